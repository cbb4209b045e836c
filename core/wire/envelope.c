/* Envelopes. */
#include "wire/envelope.h"

#include <stdlib.h>

#include "wire/segment.h"

#define NUMBER_BYTES 4
/* A larger message is sent by itself: its frames then travel without being copied. */
#define MESSAGE_BYTES_MAX  8192
#define ENVELOPE_BYTES_MAX 65536
#define CAPACITY_LEAST     4096
/* The size of a frame that is the same as in the message before. */
#define SAME UINT32_MAX

void envelopes_prepare(struct envelopes *envelopes, int64_t frame_bytes_max,
                       envelopes_enclose *enclose, envelopes_send *send, void *self)
{
    bool limited = frame_bytes_max > 0 && frame_bytes_max < ENVELOPE_BYTES_MAX;
    envelopes->bytes_max = limited ? (size_t)frame_bytes_max : ENVELOPE_BYTES_MAX;
    envelopes->enclose = enclose;
    envelopes->send = send;
    envelopes->self = self;
}

static void put_number(unsigned char **at, size_t number)
{
    uint32_t bytes = htobe32((uint32_t)number);
    memcpy(*at, &bytes, sizeof(bytes));
    *at += sizeof(bytes);
}

/* Makes a message of an envelope. Returns 0, or -1 where memory is short. */
static int address(const struct envelope *envelope, struct message *message)
{
    unsigned char *at = envelope->data + ENVELOPE_HEAD_BYTES - NUMBER_BYTES;
    put_number(&at, envelope->messages);
    if (envelope->peer_size && message_append(message, envelope->peer, envelope->peer_size))
        return -1;
    return message_append(message, envelope->data, envelope->size);
}

/* Sends one. If memory is short it stays as it is: then this returns false. */
static bool close_one(struct envelopes *envelopes, size_t index)
{
    struct envelope closed = envelopes->all[index];
    struct message message;
    message_init(&message);
    bool made = !address(&closed, &message);
    if (made) {
        envelopes->open--;
        memmove(&envelopes->all[index], &envelopes->all[index + 1],
                (envelopes->open - index) * sizeof(closed));
        envelopes->all[envelopes->open] = closed;
        envelopes->sending = true;
        envelopes->send(envelopes->self, &message);
        envelopes->sending = false;
    }
    message_close(&message);
    return made;
}

/* The place of the envelope for a peer; `open` where there is none. */
static size_t find(const struct envelopes *envelopes, const void *peer, size_t size)
{
    size_t i = 0;
    while (i < envelopes->open &&
           (envelopes->all[i].peer_size != size || memcmp(envelopes->all[i].peer, peer, size) != 0))
        i++;
    return i;
}

/* How many bytes a message takes in an envelope at most. A message with a segment, which its frame
 * owns, is as large as that. */
static size_t bytes_of(const struct message *message, size_t identities)
{
    size_t bytes = NUMBER_BYTES + ENVELOPE_COUNTER_BYTES;
    for (size_t i = identities; i < message->count; i++)
        bytes += NUMBER_BYTES + segment_frame_bytes(&message->frames[i]);
    return bytes;
}

/* Returns whether there is room for so many bytes. */
static bool make_room(struct envelope *envelope, size_t bytes)
{
    size_t capacity = envelope->capacity ? envelope->capacity : CAPACITY_LEAST;
    while (capacity < envelope->size + bytes)
        capacity *= 2;
    if (capacity == envelope->capacity)
        return true;
    unsigned char *data = realloc(envelope->data, capacity);
    if (!data)
        return false;
    envelope->data = data;
    envelope->capacity = capacity;
    return true;
}

/* Whether a frame may be shared by messages: signatures, headers and parent headers differ. */
static bool may_be_shared(size_t index, size_t delimiter, size_t size)
{
    return index > delimiter + MESSAGE_PARENT + 1 && index < ENVELOPE_FRAMES_SHARED &&
           size >= ENVELOPE_SHARED_BYTES_LEAST && size <= ENVELOPE_SHARED_BYTES_MAX;
}

/* Whether the frame at this place of the message before is the same. */
static bool was_there(const struct envelope *envelope, size_t index, zmq_msg_t *frame)
{
    const struct envelope_frame *before = &envelope->before[index];
    return index < envelope->before_count && before->size == zmq_msg_size(frame) &&
           !memcmp(envelope->data + before->at, zmq_msg_data(frame), before->size);
}

static void write_message(struct envelope *envelope, struct message *message, size_t identities)
{
    size_t count = message->count - identities, delimiter = message->delimiter - identities;
    unsigned char *sizes = envelope->data + envelope->size, *at = sizes;
    put_number(&sizes, count);
    at = sizes + count * NUMBER_BYTES;
    for (size_t i = 0; i < count; i++) {
        zmq_msg_t *frame = &message->frames[identities + i];
        size_t size = zmq_msg_size(frame);
        bool shared = may_be_shared(i, delimiter, size);
        bool same = shared && was_there(envelope, i, frame);
        put_number(&sizes, same ? SAME : size);
        if (i < ENVELOPE_FRAMES_SHARED && !same)
            envelope->before[i] =
                (struct envelope_frame){(size_t)(at - envelope->data), shared ? size : 0};
        if (!same) {
            memcpy(at, zmq_msg_data(frame), size);
            at += size;
        }
    }
    envelope->before_count = count < ENVELOPE_FRAMES_SHARED ? count : ENVELOPE_FRAMES_SHARED;
    envelope->size = (size_t)(at - envelope->data);
    envelope->messages++;
}

/* Begins an envelope, with room for so many bytes. NULL where memory is short. */
static struct envelope *begin(struct envelopes *envelopes, const void *peer, size_t size,
                              size_t bytes)
{
    if (envelopes->open == ENVELOPES_OPEN && !close_one(envelopes, 0))
        return NULL;
    struct envelope *envelope = &envelopes->all[envelopes->open];
    envelope->size = envelope->messages = envelope->before_count = 0;
    if (!make_room(envelope, ENVELOPE_HEAD_BYTES + bytes))
        return NULL;
    memset(envelope->data, 0, ENVELOPE_HEAD_BYTES);
    memcpy(envelope->data, ENVELOPE_LABEL, sizeof(ENVELOPE_LABEL));
    memcpy(envelope->peer, peer, size);
    envelope->peer_size = size;
    envelope->size = ENVELOPE_HEAD_BYTES;
    envelopes->open++;
    return envelope;
}

bool envelopes_put(struct envelopes *envelopes, const void *peer, size_t size,
                   struct message *message, size_t identities)
{
    size_t bytes = bytes_of(message, identities), index;
    if (envelopes->sending || size > sizeof(envelopes->all->peer))
        return false;
    bool fits = bytes <= MESSAGE_BYTES_MAX && ENVELOPE_HEAD_BYTES + bytes <= envelopes->bytes_max;
    index = find(envelopes, peer, size);
    if (index < envelopes->open &&
        (!fits || envelopes->all[index].size + bytes > envelopes->bytes_max)) {
        if (!close_one(envelopes, index))
            return false;
        index = envelopes->open;
    }
    if (!fits)
        return false;
    struct envelope *envelope =
        index < envelopes->open ? &envelopes->all[index] : begin(envelopes, peer, size, bytes);
    if (!envelope || !make_room(envelope, bytes) || envelopes->enclose(envelopes->self, message))
        return false;
    write_message(envelope, message, identities);
    message_clear(message);
    return true;
}

void envelopes_close(struct envelopes *envelopes)
{
    while (envelopes->open && close_one(envelopes, 0))
        ;
}

void envelopes_close_for(struct envelopes *envelopes, const void *peer, size_t size)
{
    size_t index = find(envelopes, peer, size);
    if (index < envelopes->open)
        close_one(envelopes, index);
}

void envelopes_release(struct envelopes *envelopes)
{
    for (size_t i = 0; i < ENVELOPES_OPEN; i++)
        free(envelopes->all[i].data);
    memset(envelopes, 0, sizeof(*envelopes));
}

/* Returns whether there was another number. */
static bool take_number(struct envelope_reader *reader, uint32_t *number)
{
    if (reader->left < NUMBER_BYTES)
        return false;
    memcpy(number, reader->at, sizeof(*number));
    *number = be32toh(*number);
    reader->at += NUMBER_BYTES;
    reader->left -= NUMBER_BYTES;
    return true;
}

bool envelope_open(struct envelope_reader *reader, struct message *outer)
{
    zmq_msg_t *frame = envelope_of(outer);
    if (!frame)
        return false;
    reader->outer = outer;
    reader->at = envelope_body(frame, &reader->left);
    take_number(reader, &reader->messages);
    if (zmq_msg_size(frame) > ENVELOPE_BYTES_MAX)
        reader->left = 0;
    reader->before_count = 0;
    return true;
}

void envelope_close(struct envelope_reader *reader)
{
    while (reader->before_count > 0)
        zmq_msg_close(&reader->before[--reader->before_count]);
}

static uint32_t number_at(const unsigned char *numbers, size_t index)
{
    uint32_t number;
    memcpy(&number, numbers + index * NUMBER_BYTES, sizeof(number));
    return be32toh(number);
}

/* Appends the next frame, which has this number. Returns 0 or -1. */
static int append_next(struct envelope_reader *reader, uint32_t size, size_t index,
                       struct message *message)
{
    if (size == SAME)
        return index < reader->before_count && zmq_msg_size(&reader->before[index])
                   ? message_append_reference(message, &reader->before[index])
                   : -1;
    if (size > reader->left || message_append(message, reader->at, size))
        return -1;
    reader->at += size;
    reader->left -= size;
    return 0;
}

/* Keeps references to what the next message may share, and has not shared with the one before. */
static void remember(struct envelope_reader *reader, const unsigned char *sizes,
                     struct message *message, size_t identities)
{
    size_t count = message->count - identities, delimiter = message->delimiter - identities;
    for (size_t i = 0; i < count && i < ENVELOPE_FRAMES_SHARED; i++) {
        zmq_msg_t *frame = &message->frames[identities + i], *kept = &reader->before[i];
        if (number_at(sizes, i) == SAME)
            continue;
        if (i < reader->before_count)
            zmq_msg_close(kept);
        else
            reader->before_count++;
        zmq_msg_init(kept);
        if (may_be_shared(i, delimiter, zmq_msg_size(frame)))
            zmq_msg_copy(kept, frame);
    }
}

/* Returns 0 or -1. */
static int read_frames(struct envelope_reader *reader, struct message *message)
{
    uint32_t frames;
    if (!take_number(reader, &frames) || frames < 1 + MESSAGE_PARTS ||
        frames * (size_t)NUMBER_BYTES > reader->left)
        return -1;
    const unsigned char *sizes = reader->at;
    reader->at += frames * (size_t)NUMBER_BYTES;
    reader->left -= frames * (size_t)NUMBER_BYTES;
    for (uint32_t i = 0; i < frames; i++)
        if (append_next(reader, number_at(sizes, i), i, message))
            return -1;
    message_find_delimiter(message);
    remember(reader, sizes, message, message->count - frames);
    return 0;
}

bool envelope_next(struct envelope_reader *reader, struct message *message)
{
    message_clear(message);
    if (!reader->messages)
        return false;
    reader->messages--;
    if (reader->outer->count > 1 && message_append_reference(message, reader->outer->frames))
        return false;
    if (!read_frames(reader, message)) {
        message->envelope = reader;
        return true;
    }
    reader->messages = 0;
    message->delimiter = message->count;
    return true;
}
