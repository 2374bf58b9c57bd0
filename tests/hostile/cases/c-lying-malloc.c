// class: allocator of a C program that lies
// what: malloc gives the same block whatever was asked for, then one that is not there
// data: hello
// expect: bad_allocation
// unwires: allocator
#include <stdint.h>
static int calls;
void *malloc(unsigned long size) { return calls++ ? (void *)0x7ffffff0 : (void *)1024; }
int32_t skill_on_event(const char *type, int32_t type_len, const char *data, int32_t len) { return 0; }
