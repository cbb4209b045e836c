/* Messages put aside, compactly: one piece of memory holds the references to large and to shared
 * frames, the list of frames, and the bytes of the others. */
#include "wire/held.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/segment.h"

/* Frames of these sizes are looked for among those that other messages have. */
#define SHARED_LEAST 32
#define SHARED_MOST  (1 << 20)
#define SLOTS        64
/* How many other frames a slot sees before it gives up its own. */
#define PATIENCE 16

/* A frame that is not in its message's own memory. */
struct held_part {
    struct held_part **slot; /* where the pool knows it from; NULL where it does not */
    uint32_t users;
    zmq_msg_t frame;
};

/* A message is released by the thread that has put it aside. */
static _Thread_local size_t all_bytes;

size_t held_bytes(void)
{
    return all_bytes;
}

struct held_pool {
    struct slot {
        struct held_part *part; /* NULL: none is held any more, or it was seen but once */
        uint64_t mark;
        int patience;
    } slots[SLOTS];
};

struct held {
    uint32_t count;
    uint32_t delimiter;
    uint32_t part_count;
    uint32_t bytes;            /* those behind the numbers */
    struct held_part *parts[]; /* then a number for each frame, then the bytes */
};

/* A frame's number: its size, or PART and the index of its part. */
#define PART 0x80000000u

static uint32_t *numbers_of(struct held *held)
{
    return (uint32_t *)(void *)&held->parts[held->part_count];
}

static char *bytes_of(struct held *held)
{
    return (char *)(numbers_of(held) + held->count);
}

struct held_pool *held_pool_create(void)
{
    return calloc(1, sizeof(struct held_pool));
}

void held_pool_destroy(struct held_pool *pool)
{
    free(pool);
}

static void release(struct held_part *part)
{
    if (--part->users)
        return;
    if (part->slot)
        *part->slot = NULL;
    all_bytes -= segment_frame_bytes(&part->frame);
    zmq_msg_close(&part->frame);
    free(part);
}

/* Whether a frame is large, or owns a segment: that goes with the frame's last copy. */
static bool is_by_reference(zmq_msg_t *frame)
{
    return zmq_msg_size(frame) > HELD_COPIED_BYTES || segment_is_reference(frame);
}

/* By reference, or a copy. */
static struct held_part *make_part(zmq_msg_t *frame)
{
    size_t size = zmq_msg_size(frame);
    struct held_part *part = calloc(1, sizeof(*part));
    if (!part)
        return NULL;
    part->users = 1;
    if (is_by_reference(frame)) {
        zmq_msg_init(&part->frame);
        zmq_msg_copy(&part->frame, frame);
    } else if (zmq_msg_init_size(&part->frame, size)) {
        free(part);
        return NULL;
    } else {
        memcpy(zmq_msg_data(&part->frame), zmq_msg_data(frame), size);
    }
    all_bytes += segment_frame_bytes(frame);
    return part;
}

/* The multiplication brings differences up, the shift brings them down again. */
static uint64_t mix(uint64_t mark, const unsigned char *data, size_t size)
{
    for (size_t part; size; data += part, size -= part) {
        uint64_t word = 0;
        part = size < sizeof(word) ? size : sizeof(word);
        memcpy(&word, data, part);
        mark = (mark ^ word) * 0x9e3779b97f4a7c15ULL;
        mark ^= mark >> 32;
    }
    return mark;
}

/* A hash of a frame's ends: whether it may be one that was seen. Never 0. */
static uint64_t mark_of(const unsigned char *data, size_t size)
{
    size_t ends = size < 128 ? size : 128, last = size < 256 ? size - ends : 128;
    return mix(mix(size, data, ends), data + size - last, last) | 1;
}

/* A frame that others have, too: a new use of theirs. One that is seen for the second time becomes
 * such. NULL for others. */
static struct held_part *share(struct held_pool *pool, zmq_msg_t *frame)
{
    size_t size = zmq_msg_size(frame);
    if (!pool || size < SHARED_LEAST || size > SHARED_MOST || segment_is_reference(frame))
        return NULL;
    uint64_t mark = mark_of(zmq_msg_data(frame), size);
    struct slot *slot = &pool->slots[(mark >> 32) % SLOTS];
    struct held_part *part = slot->part;
    if (part && slot->mark == mark && zmq_msg_size(&part->frame) == size &&
        !memcmp(zmq_msg_data(&part->frame), zmq_msg_data(frame), size)) {
        slot->patience = PATIENCE;
        part->users++;
        return part;
    }
    if (part && slot->patience-- > 0)
        return NULL;
    if (part)
        part->slot = NULL;
    slot->part = NULL;
    if (slot->mark == mark && (slot->part = part = make_part(frame))) {
        part->slot = &slot->part;
        slot->patience = PATIENCE;
        return part;
    }
    slot->mark = mark;
    return NULL;
}

/* The part of each frame that gets one, NULL for the others. The signature and the header are each
 * message's own. Returns 0 or -1. */
static int find_parts(struct message *message, struct held_pool *pool, struct held_part **parts,
                      size_t *bytes, uint32_t *count)
{
    size_t own = message->delimiter + 1;
    for (size_t i = 0; i < message->count; i++) {
        zmq_msg_t *frame = &message->frames[i];
        bool shareable = i != own + MESSAGE_SIGNATURE && i != own + MESSAGE_HEADER;
        parts[i] = shareable ? share(pool, frame) : NULL;
        if (!parts[i] && is_by_reference(frame) && !(parts[i] = make_part(frame)))
            return -1;
        *count += parts[i] != NULL;
        *bytes += parts[i] ? 0 : zmq_msg_size(frame);
    }
    return 0;
}

static size_t sizeof_held(const struct held *held)
{
    return sizeof(*held) + held->part_count * sizeof(struct held_part *) +
           held->count * sizeof(uint32_t) + held->bytes;
}

static struct held *build(struct message *message, struct held_part **parts, size_t bytes,
                          uint32_t count)
{
    struct held *held = malloc(sizeof(*held) + count * sizeof(struct held_part *) +
                               message->count * sizeof(uint32_t) + bytes);
    if (!held)
        return NULL;
    *held = (struct held){.count = (uint32_t)message->count,
                          .delimiter = (uint32_t)message->delimiter,
                          .part_count = count,
                          .bytes = (uint32_t)bytes};
    all_bytes += sizeof_held(held);
    uint32_t *numbers = numbers_of(held), next = 0;
    char *at = bytes_of(held);
    for (size_t i = 0; i < message->count; i++) {
        size_t size = zmq_msg_size(&message->frames[i]);
        if (parts[i]) {
            numbers[i] = PART | next;
            held->parts[next++] = parts[i];
            continue;
        }
        numbers[i] = (uint32_t)size;
        memcpy(at, zmq_msg_data(&message->frames[i]), size);
        at += size;
    }
    return held;
}

struct held *held_create(struct message *message, struct held_pool *pool)
{
    struct held_part *few[MESSAGE_FRAMES_INLINE] = {0}, **parts = few;
    if (message->count > MESSAGE_FRAMES_INLINE &&
        !(parts = calloc(message->count, sizeof(struct held_part *))))
        return NULL;
    size_t bytes = 0;
    uint32_t count = 0;
    struct held *held = NULL;
    if (!find_parts(message, pool, parts, &bytes, &count))
        held = build(message, parts, bytes, count);
    for (size_t i = 0; !held && i < message->count; i++)
        if (parts[i])
            release(parts[i]);
    if (parts != few)
        free(parts);
    return held;
}

void held_destroy(struct held *held)
{
    if (!held)
        return;
    for (uint32_t i = 0; i < held->part_count; i++)
        release(held->parts[i]);
    all_bytes -= sizeof_held(held);
    free(held);
}

int held_restore(struct held *held, struct message *message)
{
    const uint32_t *numbers = numbers_of(held);
    const char *at = bytes_of(held);
    for (uint32_t i = 0; i < held->count; i++) {
        bool part = numbers[i] & PART;
        if (part ? message_append_reference(message, &held->parts[numbers[i] & ~PART]->frame)
                 : message_append(message, at, numbers[i])) {
            message_clear(message);
            errno = ENOMEM;
            return -1;
        }
        at += part ? 0 : numbers[i];
    }
    message->delimiter = held->delimiter;
    return 0;
}

/* One of the first, as those before it are counted. */
static const void *frame_of(struct held *held, size_t index, size_t *size)
{
    const uint32_t *numbers = numbers_of(held);
    const char *at = bytes_of(held);
    for (size_t i = 0; i < index; i++)
        at += numbers[i] & PART ? 0 : numbers[i];
    if (numbers[index] & PART) {
        zmq_msg_t *frame = &held->parts[numbers[index] & ~PART]->frame;
        *size = zmq_msg_size(frame);
        return zmq_msg_data(frame);
    }
    *size = numbers[index];
    return at;
}

const void *held_part(struct held *held, enum message_part part, size_t *size)
{
    return frame_of(held, held->delimiter + 1 + part, size);
}

const void *held_peer(struct held *held, size_t *size)
{
    return frame_of(held, 0, size);
}
