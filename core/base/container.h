/* The way back from a member of a struct to the struct. */
#ifndef BASE_CONTAINER_H
#define BASE_CONTAINER_H

#include <stddef.h>

/* The `type` whose `member` is at this address. */
#define container_of(address, type, member)                                                        \
    ((type *)(void *)((char *)(address)-offsetof(type, member)))
/* The same where neither may be written. */
#define container_of_const(address, type, member)                                                  \
    ((const type *)(const void *)((const char *)(address)-offsetof(type, member)))

#endif
