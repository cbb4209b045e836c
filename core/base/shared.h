/* Memory that processes share, also a program and what it becomes. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include <stddef.h>

/* Returns a descriptor of memory of that size, which is zero, or -1 with errno set. */
int shared_make(size_t size);
/* Returns where the memory of a descriptor is now, or NULL with errno set. */
void *shared_map(int fd, size_t size);

#endif
