/* The event handler around the example.
 *
 *   example   answer: what the example stored
 *
 * There is no allocator here: what the host answers lies in an arena that it keeps at the end of this skill's memory.
 */
#include "cis_skill.h"

void decode_result(int64_t result, int32_t *ptr, int32_t *len);
void example();

int64_t skill_on_event(int32_t type_ptr, int32_t type_len, int32_t data_ptr, int32_t data_len) {
    (void)data_ptr, (void)data_len;
    if (!cis_is(type_ptr, type_len, "example"))
        return cis_fail(CIS_INVALID_ARGUMENT, "the one event of this skill is `example`");

    example();

    const char *key = "my_key";
    int64_t stored = host_memory_get((int32_t)key, strlen(key));
    int32_t ptr, len;
    decode_result(stored, &ptr, &len);
    if (ptr == 0) return cis_fail(len < 0 ? len : CIS_BACKEND_FAILED, "what was stored is not there");
    return stored;
}
