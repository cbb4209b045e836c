/* Seals: signatures that bind a message to where it goes. A session's signature (session.h) says
 * who wrote a message, and is valid at every engine, on every channel and after every restart.
 * Between programs of ours a message is sealed: its signature frame is
 *
 * the HMAC, in hexadecimal; 16 digits of a counter; 32 digits of the life
 *
 * and the HMAC is over these, in this order (numbers are big-endian):
 *
 * - a label, whose first byte begins no message, so that neither form can be taken for the other;
 * - the direction and the channel, a byte each;
 * - the life, 16 random bytes of each controller's start: what clients send is bound to it;
 * - the counter, 8 bytes;
 * - the name under which the peer that is not the controller connects, after its length, a byte;
 * - a tag (poly.h) over all parts except the signature, in their order (message.h), and over the
 *   buffers if the controller does not encrypt, each after its length, 8 bytes;
 * - but buffers of more than 4096 bytes in all are left out of that tag: their own tag follows
 *
 * The key of the tags is derived from the session's, and serves for all messages, as that of
 * Poly1305-AES does: nobody sees a tag, because the HMAC is over it. So somebody who changes a
 * sealed message can only guess. The HMAC of anything that was never sealed is unknown: so label to
 * name must stay, and other parts or buffers must have the same tag, which nobody without the key
 * can compute. A try succeeds with the probability that poly.h gives, 2^-81 for 64 MiB; a failed
 * try tells only that it failed. This holds even if a counter was used twice. Whoever has the
 * session's key can seal anything, without the tags of others.
 *
 * An envelope (envelope.h) has one seal for all its messages: the life, and an HMAC with a label of
 * its own, counter 0 and the tag of all bytes that follow. Each message in it has the 16 digits of
 * its counter as its signature frame.
 *
 * Counters begin with the wall clock in microseconds. So a peer that starts again has higher ones.
 * A controller's are also above those of the previous controller, whose clock may have been ahead.
 * Each counter is taken once (window.h). A reply is not bound to a life: it acts once, on the
 * request that it answers, and a controller takes replies that were on their way to the previous
 * controller. */
#ifndef WIRE_SEAL_H
#define WIRE_SEAL_H

#include "wire/connection.h"
#include "wire/envelope.h"
#include "wire/session.h"
#include "wire/traffic.h"

#define SEAL_LIFE_BYTES 16
#define SEAL_LIFE_TEXT  (2 * SEAL_LIFE_BYTES + 1)
/* How many names a controller's end remembers. If there are more, it forgets those that have been
 * silent for longest. */
#define SEAL_PEERS_MAX 16384

enum seal_channel {
    SEAL_HUB = 1,
    SEAL_DIRECT,
    SEAL_CONTROL,
    SEAL_TASK,
    SEAL_BROADCAST,
    SEAL_OUTPUT,
    SEAL_NOTIFICATION,
    SEAL_CHANNELS
};

struct seal_peer;

/* One end of one channel. One thread's. */
struct seal {
    struct session *session; /* not owned */
    enum seal_channel channel;
    enum connection_role role; /* of the peer that is not the controller */
    bool controller;           /* this is the controller's end */
    bool required;             /* the program at the other end seals everything */
    bool encrypted;            /* the controller encrypts what leaves its host: a seal need not
                                  cover buffers */
    struct traffic *traffic;   /* where what is accepted is counted; NULL: nowhere */
    const unsigned char *life; /* what clients send is bound to it; NULL on an engine's channels */
    uint64_t counter;          /* the last one given out */
    long long used_ms;         /* when `counter` was given out */
    struct seal_peer *peers;   /* a hash by name */
    struct seal_peer *order;   /* a list of peers: the one that has been silent for longest is the
                                  first */
    unsigned ahead;            /* how many peers are ahead of the clock, and not in that list */
    uint64_t present;          /* counters up to here are not ahead of the clock */
    uint64_t floor;            /* the highest counter of peers that were forgotten */
};

/* Write a life as text, and read it. The second returns 0, or -1 if the text is no life. */
void seal_write_life(const unsigned char life[SEAL_LIFE_BYTES], char text[SEAL_LIFE_TEXT]);
int seal_read_life(const char *text, unsigned char life[SEAL_LIFE_BYTES]);

/* Signs a whole message in its present form, for the peer of this name or as this peer: with a
 * seal, or with a plain signature if not `sealed`. Replaces the signature frame. Returns 0 or -1
 * with `error` set. */
int seal_sign(struct seal *seal, struct message *message, const void *name, size_t size,
              bool sealed, struct ipcl_error *error);
/* The same without a life. For the requests that ask the hub for its life (connection_request and
 * registration_request), and for unregistration_request, which the next controller must accept
 * too. */
int seal_introduce(struct seal *seal, struct message *message, const void *name, size_t size,
                   bool sealed, struct ipcl_error *error);
/* For an envelope, which has one seal for all its messages. A message gets a counter of its own in
 * place of a seal. Returns 0 or -1 (ENOMEM); if it is then not put into the envelope, it must be
 * signed. */
int seal_enclose(struct seal *seal, struct message *message);
/* Seals an envelope, [peer, envelope] or the envelope alone. Returns 0 or -1. */
int seal_close_envelope(const struct seal *seal, struct message *envelope, const void *name,
                        size_t size);
/* Tags a message's buffers, if seals cover them. A message with the same tag (message_share_tag())
 * is then signed without reading the buffers again. Returns 0 or -1. */
int seal_tag_buffers(const struct seal *seal, struct message *message);
/* Checks a message that came from, or is for, the peer of this name. A message without a seal must
 * have a session's signature, and is accepted only if no seal is required. With SESSION_REPEATED
 * and SESSION_STALE the signature was right and the header was read. */
enum session_verdict seal_verify(struct seal *seal, struct message *message, const void *name,
                                 size_t size);
/* Whether a peer of this name has sent a sealed message. */
bool seal_knows(const struct seal *seal, const void *name, size_t size);
/* The highest counter that was accepted from a peer; 0: none. */
uint64_t seal_highest(const struct seal *seal, const void *name, size_t size);
/* From now on, messages that a peer sent before its newest accepted one are SESSION_STALE. */
void seal_close_past(struct seal *seal, const void *name, size_t size);
void seal_release(struct seal *seal);

/* The proof in the answer to a ping: digits that only a program with the key can write, for this
 * name and this ping. Returns their number; 0 if messages are not signed. */
#define SEAL_PROOF_MAX (2 * MAC_BYTES_MAX)
size_t seal_prove(struct session *session, const void *name, size_t name_size, const void *ping,
                  size_t ping_size, char proof[SEAL_PROOF_MAX]);
/* Whether `proof` is the right one. */
bool seal_is_proof(struct session *session, const void *name, size_t name_size, const void *ping,
                   size_t ping_size, const void *proof, size_t proof_size);

#endif
