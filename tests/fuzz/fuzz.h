/* What the harnesses share: an input as frames and messages, and the serializers. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipcluster/plugin.h>
#include <ipcluster/serial.h>

#include "wire/message.h"

/* libFuzzer's name for what a harness is: called with each input, returns 0. A fault is a crash. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* JSON, or MessagePack if bit 0 is set. */
const struct ipcl_serial_operations *fuzz_serial(unsigned bits);

/* Services for plugins: each setting is an empty text or list, a small number (sizes are larger) or
 * true; nothing is logged. */
extern const struct ipcl_services fuzz_services;

/* Bytes of an input, with marks of two bytes between its parts. */
struct fuzz_bytes {
    const uint8_t *at, *end;
};
#define FUZZ_FRAME   0xfe /* FF FE ends a frame */
#define FUZZ_MESSAGE 0xfd /* FF FD a message */
/* Takes the bytes before the next such mark off `bytes`. Returns false if nothing is left. */
bool fuzz_cut(struct fuzz_bytes *bytes, uint8_t mark, struct fuzz_bytes *part);
/* The same as text: malloc'ed, ends at a NUL; NULL if nothing is left. */
char *fuzz_cut_text(struct fuzz_bytes *bytes, uint8_t mark);
static inline size_t fuzz_size(struct fuzz_bytes bytes)
{
    return (size_t)(bytes.end - bytes.at);
}

/* Makes a message of these bytes' frames in place of what it held, as message_recv() does. It has
 * at least `least` frames: empty ones are added. A frame "D" is the delimiter. */
void fuzz_message(struct fuzz_bytes bytes, struct message *message, size_t least);

/* How many inputs one state lives for: $FUZZ_LIFE; 1 shows what a single input finds. */
unsigned fuzz_life(void);

/* Path of a file in memory that holds these bytes, in place of the previous ones. */
const char *fuzz_file(struct fuzz_bytes bytes);

/* The fault that a harness finds by itself. */
#define FUZZ_ASSERT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(__FILE__, __LINE__, #condition);                                             \
    } while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *condition);

#endif
