/* A multipart message: identities, the delimiter, a signature, four packed parts, and buffers.
 *
 *     [identity ...] "<IDS|MSG>" signature header parent_header metadata content [buffer ...]
 *
 * (the Jupyter messaging document, "The Wire Protocol"). Only core/wire knows where each of these
 * is: other code asks for it by name. Frames are held, moved and copied by reference; no payload
 * byte is copied here, unless a function says so. A struct message belongs to one thread at a time
 * and must not be copied by assignment. */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <ipcluster/error.h>
#include <ipcluster/serial.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#define MESSAGE_DELIMITER     "<IDS|MSG>"
#define MESSAGE_FRAMES_INLINE 16
/* a message with more frames is received to its end and refused */
#define MESSAGE_FRAMES_MAX 65536

#define MESSAGE_TAG_BYTES 16

/* The parts, in the order in which they travel. This enum alone says where each part is:
 * message_append_parts() lays them out in this order, and code that reads or writes a part names
 * it. */
enum message_part {
    MESSAGE_SIGNATURE,
    MESSAGE_HEADER,
    MESSAGE_PARENT,
    MESSAGE_METADATA,
    MESSAGE_CONTENT,
    MESSAGE_PARTS /* the number of parts; the first buffer stands here */
};

struct envelope_reader;

/* Only core/wire reads its members. */
struct message {
    size_t count; /* frames in use */
    size_t capacity;
    size_t delimiter; /* the delimiter's index; `count` where there is none */
    /* Text members of the header. Valid once session_verify() has accepted the message, until the
     * message is moved. */
    struct ipcl_member msg_id, msg_type;
    /* That it has come in, until it is verified (seal.c). */
    struct envelope_reader *envelope;
    const void *tagged; /* the key that made `tag` over the buffers (seal.c); NULL: there is no
                           tag */
    unsigned char tag[MESSAGE_TAG_BYTES];
    zmq_msg_t *frames;
    zmq_msg_t inline_frames[MESSAGE_FRAMES_INLINE];
};

void message_init(struct message *message);
/* Releases all frames; the message is empty and can be used again. */
void message_clear(struct message *message);
/* Releases everything; message_init() before any further use. */
void message_close(struct message *message);

/* Receives a whole message, replacing what `message` held, and finds its delimiter. `flags` are
 * zmq_msg_recv's, and apply to the first frame. Returns 0, or -1 with errno: EAGAIN, EMSGSIZE (too
 * many frames: all were received and dropped), ENOMEM, ETERM. */
int message_recv(struct message *message, void *socket, int flags);
/* Sends all frames, and leaves the message empty. Returns 0, or -1 with errno, the message
 * unchanged: EHOSTUNREACH (a mandatory ROUTER has no such peer), EAGAIN. */
int message_send(struct message *message, void *socket);
/* The same without the note (message_note()). */
int message_send_noted(struct message *message, void *socket);
/* The same as message_send(), with one identity before all frames. */
int message_send_to(struct message *message, void *socket, const void *identity, size_t size);
/* Empties `to` and makes it hold the same frames, by reference. Returns 0 or -1 (ENOMEM). */
int message_copy(struct message *to, struct message *from);
/* Empties `to` and makes it hold copies of the bytes. Returns 0 or -1 (ENOMEM). */
int message_duplicate(struct message *to, struct message *from);
/* Empties `to` and moves all frames there. Returns 0 or -1 (ENOMEM), with `from` unchanged. */
int message_move(struct message *to, struct message *from);

/* Reads an event of zmq_socket_monitor(3): a frame with its number (16 bits) and a value (32 bits),
 * and a second frame that names the address. Returns whether the message is such an event. */
bool message_read_event(struct message *message, uint16_t *event, uint32_t *value);

/* Whether a member is this text. */
bool member_is(const struct ipcl_member *member, const char *text);

/* Checks that no frame is larger than the controller takes (0: it does not say). Returns 0, or -1
 * with `error` set. */
int message_check_frames(const struct message *message, int64_t frame_bytes_max,
                         struct ipcl_error *error);
/* The same for the size of one frame. */
int message_check_frame(size_t size, int64_t frame_bytes_max, struct ipcl_error *error);

/* A part, or NULL where the message has no delimiter or is too short. */
static inline zmq_msg_t *message_part(struct message *message, enum message_part part)
{
    size_t index = message->delimiter + 1 + part;
    return index < message->count ? &message->frames[index] : NULL;
}
/* Whether it has all parts. */
static inline bool message_is_whole(const struct message *message)
{
    return message->count > message->delimiter + MESSAGE_PARTS;
}
static inline size_t message_buffer_count(const struct message *message)
{
    size_t first = message->delimiter + 1 + MESSAGE_PARTS;
    return message->count > first ? message->count - first : 0;
}
static inline zmq_msg_t *message_buffer(struct message *message, size_t index)
{
    return message_part(message, MESSAGE_PARTS + index);
}

/* How many identities there are; all frames where there is no delimiter. */
static inline size_t message_identities(const struct message *message)
{
    return message->delimiter;
}
static inline bool message_has_delimiter(const struct message *message)
{
    return message->delimiter < message->count;
}
/* The first identity. The message must have one. At a ROUTER: the peer that the message came from,
 * or is for. At an engine: the sender, to whom the reply goes. */
static inline zmq_msg_t *message_peer(struct message *message)
{
    return &message->frames[0];
}
/* The second identity. The message must have two. At the controller: the party at the far end, for
 * whom the message is handed on. */
static inline zmq_msg_t *message_partner(struct message *message)
{
    return &message->frames[1];
}
/* The first frame of a published message, by which subscribers select. */
static inline zmq_msg_t *message_topic(struct message *message)
{
    return &message->frames[0];
}
bool message_same_identities(struct message *one, struct message *other);

/* Between threads of one program, a message may have a note (a struct) as its first frame, or be a
 * note alone. */
static inline zmq_msg_t *message_note(struct message *message)
{
    return &message->frames[0];
}
/* Moves what stands behind the note of `message` to `inner`, which is empty. Returns 0 or -1
 * (ENOMEM). */
int message_unwrap(struct message *inner, struct message *message);

/* The frames of a message that is not in Jupyter's form: a ping, or what stands behind a note. */
static inline size_t message_frame_count(const struct message *message)
{
    return message->count;
}
static inline zmq_msg_t *message_frame(struct message *message, size_t index)
{
    return &message->frames[index];
}
static inline zmq_msg_t *message_last_frame(struct message *message)
{
    return &message->frames[message->count - 1];
}
/* The bytes of all frames, and of the segments that they refer to (segment.h). */
size_t message_bytes(const struct message *message);

/* Gives `to`, which has the same buffers, the tag of `from`, so that it is not computed again. */
void message_share_tag(struct message *to, const struct message *from);

/* Append a frame: a copy of bytes; bytes that are released by `release(data, hint)`, from any
 * thread, when zmq is done with them; or another frame, which is left empty. Return 0 or -1
 * (ENOMEM); the second releases the bytes when it fails. */
int message_append(struct message *message, const void *data, size_t size);
int message_append_owned(struct message *message, void *data, size_t size,
                         void (*release)(void *data, void *hint), void *hint);
int message_append_frame(struct message *message, zmq_msg_t *frame);
/* Append another frame, which stays as it is, or all frames of another message, by reference.
 * Return 0 or -1 (ENOMEM). */
int message_append_reference(struct message *message, zmq_msg_t *frame);
int message_append_all(struct message *message, struct message *from);
/* Appends all frames of another message except its identities, by reference. Returns 0 or -1
 * (ENOMEM). */
int message_append_body(struct message *message, struct message *from);
/* The same with another header, whose bytes are copied, and an empty signature. */
int message_append_body_as(struct message *message, struct message *from, const void *header,
                           size_t size);
/* Appends copies of another message's identities. Returns 0 or -1 (ENOMEM). */
int message_append_identities(struct message *message, struct message *from);
/* Releases all frames behind a part. */
void message_cut_behind(struct message *message, enum message_part last);
/* Inserts a copy of bytes as one more identity, behind the others. Returns 0 or -1 (ENOMEM). */
int message_add_identity(struct message *message, const void *data, size_t size);
/* Appends the delimiter and all parts. The parts are empty: message_set_part() fills them. Returns
 * 0 or -1 (ENOMEM). */
int message_append_parts(struct message *message);
/* Finds the delimiter among frames that were appended one by one, as message_recv() does. */
void message_find_delimiter(struct message *message);
/* Replaces a frame, which other messages may share, by a copy of bytes. Returns 0, or -1 (ENOMEM)
 * with the frame unchanged. */
int message_replace(zmq_msg_t *frame, const void *data, size_t size);
/* The same for a part, which the message must have. */
int message_set_part(struct message *message, enum message_part part, const void *data,
                     size_t size);
/* Exchanges the first two frames, which turns a message round on its way through two ROUTERs. The
 * message must have two. */
void message_swap_identities(struct message *message);

#endif
