/* Whether a file is a complete shared object for this processor (elf(5)). The file is read, not
 * mapped. */
#include "plugin/elf.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef ElfW(Ehdr) file_header;
typedef ElfW(Phdr) segment_header;
typedef ElfW(Shdr) section_header;

/* The header of the object that this code is in; the linker defines it. A plugin's must be like
 * it. */
extern const file_header __ehdr_start __attribute__((visibility("hidden")));

struct image {
    int fd;
    uint64_t size; /* bytes */
    file_header header;
};

static bool is_inside(uint64_t start, uint64_t size, uint64_t end)
{
    return start <= end && size <= end - start;
}

static int set_cut_off(const struct image *image, struct ipcl_error *error)
{
    return ipcl_error_set(error, "it is cut off after %llu bytes: copy or build it again",
                          (unsigned long long)image->size);
}

/* Returns 0, or -1 with `error` set if the file ends before that. */
static int read_part(const struct image *image, uint64_t offset, void *part, size_t size,
                     struct ipcl_error *error)
{
    if (!is_inside(offset, size, image->size))
        return set_cut_off(image, error);
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(image->fd, (char *)part + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno != EINTR)
            return ipcl_error_set(error, "it cannot be read: %s", strerror(errno));
        if (!got)
            return set_cut_off(image, error);
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* "aarch64", as uname has it. */
static void machine_name(const file_header *header, char name[32])
{
    static const struct {
        uint16_t machine;
        const char *name;
    } known[] = {{EM_386, "i386"},        {EM_X86_64, "x86-64"},      {EM_ARM, "arm"},
                 {EM_AARCH64, "aarch64"}, {EM_PPC, "powerpc"},        {EM_PPC64, "ppc64"},
                 {EM_S390, "s390x"},      {EM_RISCV, "riscv"},        {EM_MIPS, "mips"},
                 {EM_SPARCV9, "sparc64"}, {EM_LOONGARCH, "loongarch"}};
    bool swapped = header->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA];
    uint16_t machine =
        swapped ? (uint16_t)(header->e_machine << 8 | header->e_machine >> 8) : header->e_machine;
    int bits = header->e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 64;
    snprintf(name, 32, "%d-bit machine %u", bits, machine); /* elf.h has its name */
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i].machine == machine)
            snprintf(name, 32, "%d-bit %s", bits, known[i].name);
}

/* The number of the processor's kind has the same place for every word size. */
static int check_header(const file_header *header, struct ipcl_error *error)
{
    char built[32], own[32];
    if (header->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
        header->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA] ||
        header->e_machine != __ehdr_start.e_machine) {
        machine_name(header, built);
        machine_name(&__ehdr_start, own);
        return ipcl_error_set(error, "it was built for %s%s, but this program for %s", built,
                              strcmp(built, own) ? "" : " with the other byte order", own);
    }
    if (header->e_type != ET_DYN)
        return ipcl_error_set(error, "it is %s, not a shared object: build it with -shared -fPIC",
                              header->e_type == ET_REL    ? "an object file"
                              : header->e_type == ET_EXEC ? "a program"
                                                          : "something else");
    if (header->e_phentsize != sizeof(segment_header) || !header->e_phnum)
        return ipcl_error_set(error, "it is damaged: it has no segments");
    return 0;
}

/* Checks that what is mapped is in the file. */
static int check_segments(const struct image *image, struct ipcl_error *error)
{
    size_t bytes = image->header.e_phnum * sizeof(segment_header);
    segment_header *segments = malloc(bytes);
    if (!segments)
        return ipcl_error_set(error, "out of memory");
    int status = read_part(image, image->header.e_phoff, segments, bytes, error);
    for (size_t i = 0; i < image->header.e_phnum && !status; i++)
        if (segments[i].p_filesz &&
            !is_inside(segments[i].p_offset, segments[i].p_filesz, image->size))
            status = set_cut_off(image, error);
    free(segments);
    return status;
}

/* The linker does not need the table of sections. But it is at the end of the file: a copy that was
 * broken off has none, or only zeros in its place. */
static int check_end(const struct image *image, struct ipcl_error *error)
{
    const file_header *header = &image->header;
    section_header last;
    if (!header->e_shoff || !header->e_shnum || header->e_shentsize != sizeof(last))
        return 0;
    if (read_part(image, header->e_shoff + (header->e_shnum - 1) * sizeof(last), &last,
                  sizeof(last), error))
        return -1;
    return last.sh_type == SHT_NULL ? set_cut_off(image, error) : 0;
}

int elf_check(int fd, struct ipcl_error *error)
{
    struct image image = {.fd = fd};
    struct stat info;
    if (fstat(fd, &info))
        return ipcl_error_set(error, "it cannot be read: %s", strerror(errno));
    image.size = (uint64_t)info.st_size;
    if (read_part(&image, 0, image.header.e_ident, SELFMAG, error) ||
        memcmp(image.header.e_ident, ELFMAG, SELFMAG))
        return ipcl_error_set(error, "it is not a shared object");
    if (read_part(&image, 0, &image.header, sizeof(image.header), error) ||
        check_header(&image.header, error) || check_segments(&image, error))
        return -1;
    return check_end(&image, error);
}
