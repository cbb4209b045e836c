/* The check of a plugin's file. If the first byte is not 0, the file is the beginning of this
 * program, with the rest of the input written over it. The first byte says where: so most inputs
 * pass the first checks. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "plugin/elf.h"

#define HEAD_BYTES 1024

static void head_of_this_program(uint8_t head[HEAD_BYTES])
{
    int fd = open("/proc/self/exe", O_RDONLY);
    FUZZ_ASSERT(fd >= 0 && read(fd, head, HEAD_BYTES) == HEAD_BYTES);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t own[HEAD_BYTES];
    uint8_t file[HEAD_BYTES];
    struct ipcl_error error = {""};
    if (!size)
        return 0;
    if (!own[0])
        head_of_this_program(own);
    struct fuzz_bytes bytes = {data + 1, data + size};
    if (data[0]) {
        size_t offset = data[0] % 128 * 4, left = fuzz_size(bytes);
        memcpy(file, own, sizeof(file));
        memcpy(file + offset, bytes.at,
               left < sizeof(file) - offset ? left : sizeof(file) - offset);
        bytes = (struct fuzz_bytes){file, file + sizeof(file)};
    }
    int fd = open(fuzz_file(bytes), O_RDONLY);
    FUZZ_ASSERT(fd >= 0);
    if (elf_check(fd, &error))
        FUZZ_ASSERT(*error.text && memchr(error.text, 0, sizeof(error.text)));
    close(fd);
    return 0;
}
