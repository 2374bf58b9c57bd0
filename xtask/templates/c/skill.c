/* Greets people, and remembers the last one.
 *
 *   greet   data: a name, as a JSON string   answer: a greeting
 *   last                                     answer: the last name, or nothing
 */
#include "cis_skill.h"

#define HELLO "Hello, "
static const char key[] = "last";
static char greeting[256];

static int64_t greet(const char *data, uint32_t data_len) {
    if (data_len < 3 || data[0] != '"' || data[data_len - 1] != '"')
        return cis_fail(CIS_INVALID_ARGUMENT, "the event's data must be a name in quotes");
    /* What stands between the quotes. Names with escapes in them would need a parser. */
    const char *name = data + 1;
    uint32_t len = data_len - 2;
    if (len > sizeof greeting - strlen(HELLO)) return cis_fail(CIS_INVALID_ARGUMENT, "the name is too long");

    int32_t stored = host_memory_set((int32_t)key, strlen(key), (int32_t)name, (int32_t)len);
    if (stored < 0) return cis_fail(stored, "the name could not be stored");

    memcpy(greeting, HELLO, strlen(HELLO));
    memcpy(greeting + strlen(HELLO), name, len);
    cis_log(CIS_LOG_INFO, "greeted");
    return cis_pack(greeting, strlen(HELLO) + len);
}

int64_t skill_on_event(int32_t type_ptr, int32_t type_len, int32_t data_ptr, int32_t data_len) {
    if (cis_is(type_ptr, type_len, "greet")) return greet((const char *)data_ptr, (uint32_t)data_len);
    if (cis_is(type_ptr, type_len, "last")) return host_memory_get((int32_t)key, strlen(key));
    return cis_fail(CIS_INVALID_ARGUMENT, "the events of this skill are `greet` and `last`");
}
