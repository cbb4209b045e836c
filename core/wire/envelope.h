/* Envelopes: small messages to one peer that travel as one. An envelope costs the sockets, threads
 * and the kernel between two programs no more than a message does. It forms where a program has
 * more than one to send; one seal (seal.h) is for all of them. Only programs of ours read envelopes
 * (`sealed` in connection files and registrations says who does).
 *
 * The frame (numbers have 4 bytes, big-endian):
 *
 *     label seal messages ( frames size ... bytes ... ) ...
 *
 * A frame that is the same as that at its place in the message before has no bytes and the size
 * 0xffffffff: tasks of a map have the same function. What is the same is shared once it is read.
 *
 * It stands where the messages' frames would: behind the identity by which a ROUTER finds the peer,
 * which all of them share, or first. A struct belongs to one thread. */
#ifndef WIRE_ENVELOPE_H
#define WIRE_ENVELOPE_H

#include <endian.h>
#include <ipcluster/kernel.h>
#include <string.h>

#include "wire/message.h"

/* With its NUL. */
#define ENVELOPE_LABEL "\0ipcluster envelope 2"
/* The life and the HMAC, which may be shorter; zeros behind it. */
#define ENVELOPE_SEAL_BYTES 80
#define ENVELOPE_HEAD_BYTES (sizeof(ENVELOPE_LABEL) + ENVELOPE_SEAL_BYTES + 4)

/* How many peers a sender has envelopes for at a time: for another, the oldest is sent. */
#define ENVELOPES_OPEN 16

/* What a message has for a seal: the counter's digits. */
#define ENVELOPE_COUNTER_BYTES 16

/* How many frames of a message may be found again in the next; and how large they are. Larger ones
 * may be shown to user code, which may write into them; smaller ones are not worth it. */
#define ENVELOPE_FRAMES_SHARED      16
#define ENVELOPE_SHARED_BYTES_LEAST 64
#define ENVELOPE_SHARED_BYTES_MAX   IPCL_KERNEL_SHARED_BYTES

/* Where a frame's bytes are. */
struct envelope_frame {
    size_t at, size;
};

struct envelope {
    unsigned char *data;                                  /* malloc'ed; kept for the next */
    struct envelope_frame before[ENVELOPE_FRAMES_SHARED]; /* of the last message */
    size_t before_count;
    size_t size, capacity;
    uint32_t messages;
    size_t peer_size; /* 0: a socket that has one peer */
    char peer[255];
};

/* Gives a message, [peer, ...] or without, a counter in place of a seal (seal_enclose()). Returns 0
 * or -1. */
typedef int envelopes_enclose(void *self, struct message *message);
/* Seals and sends [peer, envelope], or the envelope alone. What could not be sent is read with
 * envelope_open(). */
typedef void envelopes_send(void *self, struct message *message);

struct envelopes {
    struct envelope all[ENVELOPES_OPEN]; /* the first `open` have messages, the oldest first */
    size_t open;
    size_t bytes_max;
    bool sending; /* inside `send` nothing is put into another */
    envelopes_enclose *enclose;
    envelopes_send *send;
    void *self;
};

/* `frame_bytes_max`: the largest frame that the peers take; 0: any. */
void envelopes_prepare(struct envelopes *envelopes, int64_t frame_bytes_max,
                       envelopes_enclose *enclose, envelopes_send *send, void *self);
/* Puts what stands behind the first `identities` frames of a message into the envelope for a peer,
 * and leaves the message empty. Returns false, with the message unchanged, for one that is too
 * large, or if memory is short: it is to be signed and sent by itself. What was put in for this
 * peer before has then been sent, if memory is not short. */
bool envelopes_put(struct envelopes *envelopes, const void *peer, size_t size,
                   struct message *message, size_t identities);
/* Sends all, or that for one peer. */
void envelopes_close(struct envelopes *envelopes);
void envelopes_close_for(struct envelopes *envelopes, const void *peer, size_t size);
/* Releases the memory, without sending what is there. */
void envelopes_release(struct envelopes *envelopes);

/* Reads an envelope; zeroed at first. */
struct envelope_reader {
    struct message *outer;
    const void *checked; /* the seal's end that has checked it (seal.c) */
    bool authentic;      /* what it has found */
    const unsigned char *at;
    size_t left;
    uint32_t messages; /* how many are still to be read */
    size_t before_count;
    zmq_msg_t before[ENVELOPE_FRAMES_SHARED]; /* what the next message may share */
};

static inline bool envelope_is(zmq_msg_t *frame)
{
    return zmq_msg_size(frame) >= ENVELOPE_HEAD_BYTES &&
           !memcmp(zmq_msg_data(frame), ENVELOPE_LABEL, sizeof(ENVELOPE_LABEL));
}

/* The envelope of a message, or NULL. It is the last frame: a peer may choose any identity. */
static inline zmq_msg_t *envelope_of(const struct message *message)
{
    zmq_msg_t *last = message->count ? &message->frames[message->count - 1] : NULL;
    return last && message->count <= 2 && envelope_is(last) ? last : NULL;
}

/* Its seal, and what that is over. */
static inline unsigned char *envelope_seal(zmq_msg_t *frame)
{
    return (unsigned char *)zmq_msg_data(frame) + sizeof(ENVELOPE_LABEL);
}
static inline const unsigned char *envelope_body(zmq_msg_t *frame, size_t *size)
{
    *size = zmq_msg_size(frame) - sizeof(ENVELOPE_LABEL) - ENVELOPE_SEAL_BYTES;
    return envelope_seal(frame) + ENVELOPE_SEAL_BYTES;
}

/* How many messages an envelope says that it has; 1 for another message. */
static inline uint32_t envelope_messages(const struct message *message)
{
    zmq_msg_t *frame = envelope_of(message);
    uint32_t count;
    size_t size;
    if (!frame)
        return 1;
    memcpy(&count, envelope_body(frame, &size), sizeof(count));
    return be32toh(count);
}

/* Returns whether `outer` is an envelope: then envelope_close() follows. It must stay as it is
 * while it is read. */
bool envelope_open(struct envelope_reader *reader, struct message *outer);
void envelope_close(struct envelope_reader *reader);
/* Makes `message` the next one, with the identity of the envelope before it; it must be verified or
 * cleared before `reader` goes. Returns false at the end, or if memory is short. Where the envelope
 * is malformed, the last message is one without a delimiter, so that it is refused as truncated. A
 * message has all its parts: no other form comes out of an envelope. */
bool envelope_next(struct envelope_reader *reader, struct message *message);

#endif
