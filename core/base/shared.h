/* Memory that processes share; also a process before and after it becomes another program. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include <stddef.h>

/* Makes `size` bytes of memory, all zero. Returns its descriptor, or -1 with errno set. */
int shared_make(size_t size);
/* Returns the address of a descriptor's memory, or NULL with errno set. */
void *shared_map(int fd, size_t size);

#endif
