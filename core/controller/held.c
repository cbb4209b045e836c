/* Messages put aside, compactly: one piece of memory holds the list of frames, the references, and
 * the small frames' bytes. */
#include "controller/held.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct held_frame {
    uint32_t size;   /* of a copied frame */
    uint32_t offset; /* of a copied frame among the bytes; for others, HELD_LARGE and the index of
                        the reference in `size` */
};
#define HELD_LARGE UINT32_MAX

struct held {
    uint32_t count;
    uint32_t delimiter;
    uint32_t large_count;
    struct held_frame *frames;
    char *bytes;
    zmq_msg_t large[]; /* then the frames, then the bytes */
};

struct held *held_create(struct message *message)
{
    size_t bytes = 0, large_count = 0;
    for (size_t i = 0; i < message->count; i++) {
        size_t size = zmq_msg_size(&message->frames[i]);
        if (size > HELD_COPIED_BYTES)
            large_count++;
        else
            bytes += size;
    }
    struct held *held = malloc(sizeof(*held) + large_count * sizeof(held->large[0]) +
                               message->count * sizeof(struct held_frame) + bytes);
    if (!held)
        return NULL;
    held->count = (uint32_t)message->count;
    held->delimiter = (uint32_t)message->delimiter;
    held->large_count = 0;
    held->frames = (struct held_frame *)(void *)&held->large[large_count];
    held->bytes = (char *)(held->frames + message->count);
    uint32_t offset = 0;
    for (size_t i = 0; i < message->count; i++) {
        zmq_msg_t *frame = &message->frames[i];
        size_t size = zmq_msg_size(frame);
        if (size > HELD_COPIED_BYTES) {
            zmq_msg_init(&held->large[held->large_count]);
            zmq_msg_copy(&held->large[held->large_count], frame);
            held->frames[i] =
                (struct held_frame){.size = held->large_count++, .offset = HELD_LARGE};
        } else {
            held->frames[i] = (struct held_frame){.size = (uint32_t)size, .offset = offset};
            memcpy(held->bytes + offset, zmq_msg_data(frame), size);
            offset += (uint32_t)size;
        }
    }
    return held;
}

void held_destroy(struct held *held)
{
    if (!held)
        return;
    for (uint32_t i = 0; i < held->large_count; i++)
        zmq_msg_close(&held->large[i]);
    free(held);
}

static int restore_frame(struct held *held, const struct held_frame *frame, struct message *message)
{
    zmq_msg_t copy;
    if (frame->offset != HELD_LARGE)
        return message_append(message, held->bytes + frame->offset, frame->size);
    zmq_msg_init(&copy);
    zmq_msg_copy(&copy, &held->large[frame->size]);
    int status = message_append_frame(message, &copy);
    zmq_msg_close(&copy);
    return status;
}

int held_restore(struct held *held, struct message *message)
{
    for (uint32_t i = 0; i < held->count; i++) {
        if (restore_frame(held, &held->frames[i], message)) {
            message_clear(message);
            errno = ENOMEM;
            return -1;
        }
    }
    message->delimiter = held->delimiter;
    return 0;
}

size_t held_delimiter(const struct held *held)
{
    return held->delimiter;
}

const void *held_frame(struct held *held, size_t index, size_t *size)
{
    const struct held_frame *frame = &held->frames[index];
    if (frame->offset == HELD_LARGE) {
        *size = zmq_msg_size(&held->large[frame->size]);
        return zmq_msg_data(&held->large[frame->size]);
    }
    *size = frame->size;
    return held->bytes + frame->offset;
}
