// class: stack of a C program
// what: an array on the stack, larger than the stack, written to its end
// expect: trap_out_of_bounds
#include <stdint.h>
typedef int (*walker)(volatile char *, int);
static int walk(volatile char *at, int left);
static volatile walker next = walk;
static int walk(volatile char *at, int left) {
    volatile char room[4096];
    room[left & 4095] = (char)left;
    return next(room, left + 1) + room[0];
}
int32_t skill_on_event(const char *type, int32_t type_len, const char *data, int32_t len) { return walk(0, 1); }
