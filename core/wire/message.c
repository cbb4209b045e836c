/* Multipart messages held by reference. */
#include "wire/message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/envelope.h"
#include "wire/loop.h"
#include "wire/segment.h"

/* A frame's bytes may be written in one of our threads and read in another, with libzmq in between.
 * ThreadSanitizer does not see how libzmq orders that, because libzmq is not built with it: so it
 * is told. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(frame) __tsan_release(zmq_msg_data(frame))
#define TAKE_OVER(frame) __tsan_acquire(zmq_msg_data(frame))
/* Nor does it see that libzmq reads into a buffer again only once all frames in it are closed: what
 * is written there would be a race with whoever read the frame that had been there before. */
#define MAY_WRITE_IN(frame) ((void)(frame), false)
#else
#define HAND_OVER(frame)    ((void)0)
#define TAKE_OVER(frame)    ((void)0)
#define MAY_WRITE_IN(frame) (!zmq_msg_get(frame, ZMQ_SHARED))
#endif

void message_init(struct message *message)
{
    message->count = message->delimiter = 0;
    message->tagged = NULL;
    message->envelope = NULL;
    message->capacity = MESSAGE_FRAMES_INLINE;
    message->frames = message->inline_frames;
}

void message_clear(struct message *message)
{
    for (size_t i = 0; i < message->count; i++)
        zmq_msg_close(&message->frames[i]);
    message->count = message->delimiter = 0;
    message->tagged = NULL;
    message->envelope = NULL;
}

void message_close(struct message *message)
{
    message_clear(message);
    if (message->frames != message->inline_frames)
        free(message->frames);
    message_init(message);
}

/* A zmq_msg_t may not be moved by realloc: the new array takes the frames one by one. */
static int reserve(struct message *message, size_t count)
{
    if (count <= message->capacity)
        return 0;
    size_t capacity = message->capacity * 2 > count ? message->capacity * 2 : count;
    zmq_msg_t *frames = malloc(capacity * sizeof(*frames));
    if (!frames) {
        errno = ENOMEM;
        return -1;
    }
    for (size_t i = 0; i < message->count; i++) {
        zmq_msg_init(&frames[i]);
        zmq_msg_move(&frames[i], &message->frames[i]);
        zmq_msg_close(&message->frames[i]);
    }
    if (message->frames != message->inline_frames)
        free(message->frames);
    message->frames = frames;
    message->capacity = capacity;
    return 0;
}

static bool is_delimiter(zmq_msg_t *frame)
{
    return zmq_msg_size(frame) == strlen(MESSAGE_DELIMITER) &&
           !memcmp(zmq_msg_data(frame), MESSAGE_DELIMITER, strlen(MESSAGE_DELIMITER));
}

void message_find_delimiter(struct message *message)
{
    size_t i = 0;
    while (i < message->count && !is_delimiter(&message->frames[i]))
        i++;
    message->delimiter = i;
}

static void drop_rest(void *socket)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, socket, 0) >= 0 && zmq_msg_more(&frame))
        ;
    zmq_msg_close(&frame);
}

int message_recv(struct message *message, void *socket, int flags)
{
    message_clear(message);
    for (;;) {
        int no_room = message->count == MESSAGE_FRAMES_MAX   ? EMSGSIZE
                      : reserve(message, message->count + 1) ? ENOMEM
                                                             : 0;
        if (no_room) {
            drop_rest(socket);
            message_clear(message);
            errno = no_room;
            return -1;
        }
        zmq_msg_t *frame = &message->frames[message->count];
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, socket, message->count ? 0 : flags) < 0) {
            int saved = errno;
            zmq_msg_close(frame);
            message_clear(message);
            errno = saved;
            return -1;
        }
        TAKE_OVER(frame);
        message->count++;
        if (!zmq_msg_more(frame))
            break;
    }
    message_find_delimiter(message);
    return 0;
}

static int send_from(struct message *message, size_t first, void *socket)
{
    struct traffic *traffic = loop_traffic(socket);
    size_t bytes = traffic ? traffic_bytes(message, first) : 0;
    size_t messages = traffic ? envelope_messages(message) : 0;
    loop_sent(socket);
    for (size_t i = first; i < message->count; i++) {
        int more = i + 1 < message->count ? ZMQ_SNDMORE : 0;
        HAND_OVER(&message->frames[i]);
        /* Only the first frame can be refused; zmq takes or drops the rest with it. */
        if (zmq_msg_send(&message->frames[i], socket, more | ZMQ_DONTWAIT) < 0 && i == first)
            return -1;
    }
    if (traffic)
        traffic_note(traffic, TRAFFIC_OUT, messages, bytes);
    message_clear(message);
    return 0;
}

int message_send(struct message *message, void *socket)
{
    return send_from(message, 0, socket);
}

int message_send_noted(struct message *message, void *socket)
{
    return send_from(message, 1, socket);
}

int message_send_to(struct message *message, void *socket, const void *identity, size_t size)
{
    loop_sent(socket);
    if (zmq_send(socket, identity, size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return -1;
    return message_send(message, socket);
}

int message_copy(struct message *to, struct message *from)
{
    message_clear(to);
    if (reserve(to, from->count))
        return -1;
    for (size_t i = 0; i < from->count; i++) {
        zmq_msg_init(&to->frames[i]);
        zmq_msg_copy(&to->frames[i], &from->frames[i]);
    }
    to->count = from->count;
    to->delimiter = from->delimiter;
    message_share_tag(to, from);
    return 0;
}

int message_duplicate(struct message *to, struct message *from)
{
    message_clear(to);
    for (size_t i = 0; i < from->count; i++)
        if (message_append(to, zmq_msg_data(&from->frames[i]), zmq_msg_size(&from->frames[i])))
            return -1;
    to->delimiter = from->delimiter;
    return 0;
}

int message_move(struct message *to, struct message *from)
{
    message_clear(to);
    if (reserve(to, from->count))
        return -1;
    for (size_t i = 0; i < from->count; i++) {
        zmq_msg_init(&to->frames[i]);
        zmq_msg_move(&to->frames[i], &from->frames[i]);
    }
    to->count = from->count;
    to->delimiter = from->delimiter;
    message_share_tag(to, from);
    message_clear(from);
    return 0;
}

bool message_read_event(struct message *message, uint16_t *event, uint32_t *value)
{
    const char *data = zmq_msg_data(&message->frames[0]);
    if (zmq_msg_size(&message->frames[0]) < sizeof(*event) + sizeof(*value))
        return false;
    memcpy(event, data, sizeof(*event));
    memcpy(value, data + sizeof(*event), sizeof(*value));
    return true;
}

bool member_is(const struct ipcl_member *member, const char *text)
{
    return member->state == IPCL_MEMBER_TEXT && member->size == strlen(text) &&
           !memcmp(member->data, text, member->size);
}

int message_check_frame(size_t size, int64_t frame_bytes_max, struct ipcl_error *error)
{
    if (frame_bytes_max <= 0 || size <= (uint64_t)frame_bytes_max)
        return 0;
    return ipcl_error_set(
        error,
        "a part of this message has %zu bytes, and the controller takes up to %lld "
        "(IPController.frame_bytes_max): send it in pieces, or start the controller with a "
        "higher limit",
        size, (long long)frame_bytes_max);
}

int message_check_frames(const struct message *message, int64_t frame_bytes_max,
                         struct ipcl_error *error)
{
    for (size_t i = 0; i < message->count; i++)
        if (message_check_frame(segment_frame_bytes(&message->frames[i]), frame_bytes_max, error))
            return -1;
    return 0;
}

static void added(struct message *message)
{
    if (message->delimiter == message->count)
        message->delimiter++;
    message->count++;
    message->tagged = NULL;
}

int message_append(struct message *message, const void *data, size_t size)
{
    if (reserve(message, message->count + 1))
        return -1;
    zmq_msg_t *frame = &message->frames[message->count];
    if (zmq_msg_init_size(frame, size))
        return -1;
    if (size)
        memcpy(zmq_msg_data(frame), data, size);
    added(message);
    return 0;
}

int message_append_owned(struct message *message, void *data, size_t size,
                         void (*release)(void *data, void *hint), void *hint)
{
    if (reserve(message, message->count + 1) ||
        zmq_msg_init_data(&message->frames[message->count], data, size, release, hint)) {
        release(data, hint);
        errno = ENOMEM;
        return -1;
    }
    added(message);
    return 0;
}

int message_append_frame(struct message *message, zmq_msg_t *frame)
{
    if (reserve(message, message->count + 1))
        return -1;
    zmq_msg_init(&message->frames[message->count]);
    zmq_msg_move(&message->frames[message->count], frame);
    added(message);
    return 0;
}

int message_append_reference(struct message *message, zmq_msg_t *frame)
{
    if (reserve(message, message->count + 1))
        return -1;
    zmq_msg_init(&message->frames[message->count]);
    zmq_msg_copy(&message->frames[message->count], frame);
    added(message);
    return 0;
}

static int append_from(struct message *message, struct message *from, size_t first)
{
    for (size_t i = first; i < from->count; i++)
        if (message_append_reference(message, &from->frames[i]))
            return -1;
    return 0;
}

int message_append_all(struct message *message, struct message *from)
{
    return append_from(message, from, 0);
}

int message_append_body(struct message *message, struct message *from)
{
    size_t delimiter = message->count;
    if (append_from(message, from, from->delimiter))
        return -1;
    message->delimiter = delimiter;
    return 0;
}

int message_append_body_as(struct message *message, struct message *from, const void *header,
                           size_t size)
{
    if (message_append_parts(message))
        return -1;
    for (enum message_part part = 0; part < MESSAGE_PARTS; part++)
        if (part != MESSAGE_SIGNATURE && part != MESSAGE_HEADER)
            zmq_msg_copy(message_part(message, part), message_part(from, part));
    if (message_set_part(message, MESSAGE_HEADER, header, size) ||
        append_from(message, from, from->delimiter + 1 + MESSAGE_PARTS))
        return -1;
    message_share_tag(message, from);
    return 0;
}

int message_append_identities(struct message *message, struct message *from)
{
    for (size_t i = 0; i < from->delimiter; i++)
        if (message_append(message, zmq_msg_data(&from->frames[i]), zmq_msg_size(&from->frames[i])))
            return -1;
    return 0;
}

int message_unwrap(struct message *inner, struct message *message)
{
    for (size_t i = 1; i < message->count; i++)
        if (message_append_frame(inner, &message->frames[i]))
            return -1;
    inner->delimiter = message->delimiter - 1;
    return 0;
}

void message_cut_behind(struct message *message, enum message_part last)
{
    size_t keep = message->delimiter + 1 + last + 1;
    while (message->count > keep)
        zmq_msg_close(&message->frames[--message->count]);
}

bool message_same_identities(struct message *one, struct message *other)
{
    if (one->delimiter != other->delimiter)
        return false;
    for (size_t i = 0; i < one->delimiter; i++) {
        zmq_msg_t *a = &one->frames[i], *b = &other->frames[i];
        if (zmq_msg_size(a) != zmq_msg_size(b) ||
            memcmp(zmq_msg_data(a), zmq_msg_data(b), zmq_msg_size(a)))
            return false;
    }
    return true;
}

size_t message_bytes(const struct message *message)
{
    size_t bytes = 0;
    for (size_t i = 0; i < message->count; i++)
        bytes += segment_frame_bytes(&message->frames[i]);
    return bytes;
}

void message_share_tag(struct message *to, const struct message *from)
{
    to->tagged = from->tagged;
    memcpy(to->tag, from->tag, sizeof(to->tag));
}

int message_add_identity(struct message *message, const void *data, size_t size)
{
    size_t index = message->delimiter;
    if (message_append(message, data, size))
        return -1;
    zmq_msg_t added;
    zmq_msg_init(&added);
    zmq_msg_move(&added, &message->frames[message->count - 1]);
    for (size_t i = message->count - 1; i > index; i--)
        zmq_msg_move(&message->frames[i], &message->frames[i - 1]);
    zmq_msg_move(&message->frames[index], &added);
    zmq_msg_close(&added);
    message->delimiter = index + 1;
    return 0;
}

int message_append_parts(struct message *message)
{
    size_t index = message->count;
    if (message_append(message, MESSAGE_DELIMITER, strlen(MESSAGE_DELIMITER)))
        return -1;
    message->delimiter = index;
    for (int i = 0; i < MESSAGE_PARTS; i++)
        if (message_append(message, "", 0))
            return -1;
    return 0;
}

int message_replace(zmq_msg_t *frame, const void *data, size_t size)
{
    zmq_msg_t copy;
    if (size == zmq_msg_size(frame) && MAY_WRITE_IN(frame)) {
        memcpy(zmq_msg_data(frame), data, size);
        return 0;
    }
    if (zmq_msg_init_size(&copy, size))
        return -1;
    if (size)
        memcpy(zmq_msg_data(&copy), data, size);
    zmq_msg_move(frame, &copy);
    zmq_msg_close(&copy);
    return 0;
}

int message_set_part(struct message *message, enum message_part part, const void *data, size_t size)
{
    return message_replace(message_part(message, part), data, size);
}

void message_swap_identities(struct message *message)
{
    zmq_msg_t held;
    zmq_msg_init(&held);
    zmq_msg_move(&held, &message->frames[0]);
    zmq_msg_move(&message->frames[0], &message->frames[1]);
    zmq_msg_move(&message->frames[1], &held);
    zmq_msg_close(&held);
}
