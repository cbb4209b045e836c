/* Memory that processes share. */
#include "base/shared.h"

#include <sys/mman.h>
#include <unistd.h>

int shared_make(size_t size)
{
    int fd = memfd_create("ipcluster", MFD_CLOEXEC);
    if (fd >= 0 && !ftruncate(fd, (off_t)size))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

void *shared_map(int fd, size_t size)
{
    void *memory =
        fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}
