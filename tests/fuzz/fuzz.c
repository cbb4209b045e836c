/* What the harnesses share: an input as frames and messages, and the serializers. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

#define FRAMES_MAX 64
#define LIFE       64

/* The plugins are linked under names of their own. */
extern const struct ipcl_plugin json_plugin, msgpack_plugin;

const struct ipcl_serial_operations *fuzz_serial(unsigned bits)
{
    return (bits & 1 ? &msgpack_plugin : &json_plugin)->operations;
}

static void ignore_log(void *host, enum ipcl_log_level level, const char *text)
{
    (void)host;
    (void)level;
    (void)text;
}

static const char *option_string(void *host, const char *class_name, const char *name)
{
    (void)host;
    (void)class_name;
    (void)name;
    return "";
}

static int64_t option_int(void *host, const char *class_name, const char *name)
{
    (void)host;
    (void)class_name;
    return strcmp(name, "size_limit") ? 100 : 1 << 20;
}

static double option_real(void *host, const char *class_name, const char *name)
{
    (void)host;
    (void)class_name;
    (void)name;
    return 0.1;
}

static bool option_bool(void *host, const char *class_name, const char *name)
{
    (void)host;
    (void)class_name;
    (void)name;
    return true;
}

static const char *const *option_list(void *host, const char *class_name, const char *name,
                                      size_t *count)
{
    static const char *const none[] = {NULL};
    (void)host;
    (void)class_name;
    (void)name;
    if (count)
        *count = 0;
    return none;
}

const struct ipcl_services fuzz_services = {.log = ignore_log,
                                            .option_string = option_string,
                                            .option_int = option_int,
                                            .option_real = option_real,
                                            .option_bool = option_bool,
                                            .option_list = option_list};

bool fuzz_cut(struct fuzz_bytes *bytes, uint8_t mark, struct fuzz_bytes *part)
{
    const uint8_t *p = bytes->at;
    if (p >= bytes->end)
        return false;
    while (p + 1 < bytes->end && !(p[0] == 0xff && p[1] == mark))
        p++;
    bool found = p + 1 < bytes->end;
    *part = (struct fuzz_bytes){bytes->at, found ? p : bytes->end};
    bytes->at = found ? p + 2 : bytes->end;
    return true;
}

char *fuzz_cut_text(struct fuzz_bytes *bytes, uint8_t mark)
{
    struct fuzz_bytes part;
    return fuzz_cut(bytes, mark, &part) ? strndup((const char *)part.at, fuzz_size(part)) : NULL;
}

void fuzz_message(struct fuzz_bytes bytes, struct message *message, size_t least)
{
    struct fuzz_bytes frame;
    message_clear(message);
    while (message->count < FRAMES_MAX && fuzz_cut(&bytes, FUZZ_FRAME, &frame)) {
        if (fuzz_size(frame) == 1 && *frame.at == 'D')
            message_append(message, MESSAGE_DELIMITER, strlen(MESSAGE_DELIMITER));
        else
            message_append(message, frame.at, fuzz_size(frame));
    }
    while (message->count < least)
        message_append(message, "", 0);
    message_find_delimiter(message);
}

unsigned fuzz_life(void)
{
    static unsigned life;
    const char *text = getenv("FUZZ_LIFE");
    if (!life)
        life = text ? (unsigned)atoi(text) : LIFE;
    return life;
}

const char *fuzz_file(struct fuzz_bytes bytes)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    FUZZ_ASSERT(!ftruncate(fd, 0));
    FUZZ_ASSERT(!fuzz_size(bytes) ||
                pwrite(fd, bytes.at, fuzz_size(bytes), 0) == (ssize_t)fuzz_size(bytes));
    return path;
}

_Noreturn void fuzz_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, condition);
    abort();
}

/* libFuzzer calls it first. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_set_level(-1);
    return 0;
}
