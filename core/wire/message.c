/* Multipart messages held by reference. */
#include "wire/message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/loop.h"

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
    message->capacity = MESSAGE_FRAMES_INLINE;
    message->frames = message->inline_frames;
}

void message_clear(struct message *message)
{
    for (size_t i = 0; i < message->count; i++)
        zmq_msg_close(&message->frames[i]);
    message->count = message->delimiter = 0;
    message->tagged = NULL;
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
    bool found = false;
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
        if (!found && zmq_msg_size(frame) == strlen(MESSAGE_DELIMITER) &&
            !memcmp(zmq_msg_data(frame), MESSAGE_DELIMITER, strlen(MESSAGE_DELIMITER))) {
            message->delimiter = message->count;
            found = true;
        }
        message->count++;
        if (!zmq_msg_more(frame))
            break;
    }
    if (!found)
        message->delimiter = message->count;
    return 0;
}

int message_send(struct message *message, void *socket)
{
    return message_send_from(message, 0, socket);
}

int message_send_from(struct message *message, size_t first, void *socket)
{
    loop_sent(socket);
    for (size_t i = first; i < message->count; i++) {
        int more = i + 1 < message->count ? ZMQ_SNDMORE : 0;
        HAND_OVER(&message->frames[i]);
        /* Only the first frame can be refused; zmq takes or drops the rest with it. */
        if (zmq_msg_send(&message->frames[i], socket, more | ZMQ_DONTWAIT) < 0 && i == first)
            return -1;
    }
    message_clear(message);
    return 0;
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
        if (message_check_frame(zmq_msg_size(&message->frames[i]), frame_bytes_max, error))
            return -1;
    return 0;
}

zmq_msg_t *message_part(struct message *message, enum message_part part)
{
    size_t index = message->delimiter + 1 + part;
    return index < message->count ? &message->frames[index] : NULL;
}

size_t message_buffer_count(const struct message *message)
{
    size_t first = message->delimiter + 1 + MESSAGE_PARTS;
    return message->count > first ? message->count - first : 0;
}

zmq_msg_t *message_buffer(struct message *message, size_t index)
{
    return message_part(message, MESSAGE_PARTS + index);
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

int message_append_copies(struct message *message, struct message *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (message_append_reference(message, &from->frames[i]))
            return -1;
    return 0;
}

void message_share_tag(struct message *to, const struct message *from)
{
    to->tagged = from->tagged;
    memcpy(to->tag, from->tag, sizeof(to->tag));
}

int message_insert(struct message *message, size_t index, const void *data, size_t size)
{
    if (message_append(message, data, size))
        return -1;
    if (index <= message->delimiter)
        message->delimiter++;
    zmq_msg_t inserted;
    zmq_msg_init(&inserted);
    zmq_msg_move(&inserted, &message->frames[message->count - 1]);
    for (size_t i = message->count - 1; i > index; i--)
        zmq_msg_move(&message->frames[i], &message->frames[i - 1]);
    zmq_msg_move(&message->frames[index], &inserted);
    zmq_msg_close(&inserted);
    return 0;
}

int message_append_delimiter(struct message *message)
{
    size_t index = message->count;
    if (message_append(message, MESSAGE_DELIMITER, strlen(MESSAGE_DELIMITER)))
        return -1;
    message->delimiter = index;
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

void message_swap_identities(struct message *message)
{
    zmq_msg_t held;
    zmq_msg_init(&held);
    zmq_msg_move(&held, &message->frames[0]);
    zmq_msg_move(&message->frames[0], &message->frames[1]);
    zmq_msg_move(&message->frames[1], &held);
    zmq_msg_close(&held);
}
