/* Seals: signatures that bind a message to where it goes. A session's signature (session.h) says
 * who wrote a message, and is as good at every engine, on every channel and after every restart.
 * Between programs of ours a message is sealed: its signature frame is
 *
 * the HMAC, in hexadecimal; 16 digits of a counter; 32 digits of the life
 *
 * and the HMAC is over, one behind the other,
 *
 * - a label, whose first byte begins no message, so that neither form can be taken for the other;
 * - the direction and the channel, a byte each;
 * - the life, 16 bytes that each controller draws at its start: what clients send is bound to it;
 * - the counter, 8 bytes;
 * - the name under which the peer that is not the controller connects to it, behind its length, a
 *   byte;
 * - a tag (poly.h) over all parts but the signature, in their order (message.h), and, where the
 *   connection is not encrypted, the buffers, each behind its length, 8 bytes;
 * - where these are buffers of more than 4096 bytes in all, not these but a tag of their own
 *
 * (numbers are big-endian). The key of the tags is derived from the session's, and one key serves
 * for all messages, as that of Poly1305-AES does: nobody sees a tag, as the HMAC is over it. So to
 * change what somebody has sealed is to guess: the HMAC of what was never sealed cannot be known,
 * thus label to name stay, and what comes in the place of parts or buffers has to have a tag that
 * nobody without the key can compute. A try succeeds with the chance that poly.h names, 2^-81 for
 * 64 MiB, and all that it tells is that it did not. That holds also where a counter was used twice.
 * Whoever has the session's key can seal anything, and needs no other's tag.
 *
 * Counters begin with the wall clock in microseconds, so that those of a peer that starts anew are
 * higher, and a controller's also above those of the previous one, whose clock may have been ahead;
 * each is taken once (window.h). A reply is not bound to a life: it acts once, on the request that
 * it answers, and a controller takes those that were on their way to its predecessor. */
#ifndef WIRE_SEAL_H
#define WIRE_SEAL_H

#include "wire/connection.h"
#include "wire/session.h"
#include "wire/traffic.h"

#define SEAL_LIFE_BYTES 16
#define SEAL_LIFE_TEXT  (2 * SEAL_LIFE_BYTES + 1)
/* The names that a controller's end knows: those heard of longest ago are forgotten. */
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
    bool required;             /* whoever is at the other end seals everything */
    bool encrypted;            /* the connection is: a seal need not cover buffers */
    struct traffic *traffic;   /* where what is accepted is counted; NULL: nowhere */
    const unsigned char *life; /* what clients send is bound to it; NULL at an engine's channels */
    uint64_t counter;          /* the last that was given out */
    long long used_ms;         /* when */
    struct seal_peer *peers;   /* a hash by name */
    struct seal_peer *order;   /* a list: whoever has been silent for longest is the first */
    unsigned ahead;            /* how many are ahead of the clock, and not in that list */
    uint64_t present;          /* counters up to here are not ahead of the clock */
    uint64_t floor;            /* the highest counter of those that were forgotten */
};

/* Writes a life as text, and reads it: returns 0, or -1 where it is none. */
void seal_write_life(const unsigned char life[SEAL_LIFE_BYTES], char text[SEAL_LIFE_TEXT]);
int seal_read_life(const char *text, unsigned char life[SEAL_LIFE_BYTES]);

/* Signs a message whole as it is, for or as the peer of this name: sealed, or where not `sealed`
 * with a plain signature. Replaces its signature frame. Returns 0 or -1 with `error` set. */
int seal_sign(struct seal *seal, struct message *message, const void *name, size_t size,
              bool sealed, struct ipcl_error *error);
/* The same without a life, for what asks the hub for it (connection_request and
 * registration_request), and for unregistration_request, which a controller that has taken
 * another's place is to hear as well. */
int seal_introduce(struct seal *seal, struct message *message, const void *name, size_t size,
                   bool sealed, struct ipcl_error *error);
/* Tags a message's buffers, where seals cover them: whatever has the same (message_share_tag()) is
 * signed without reading them again. Returns 0 or -1. */
int seal_tag_buffers(const struct seal *seal, struct message *message);
/* Checks a message that came from, or for, the peer of this name. What is not sealed has to have a
 * session's signature, and is taken only where no seal is required. SESSION_REPEATED and
 * SESSION_STALE are verdicts on what is well signed, and whose header is read. */
enum session_verdict seal_verify(struct seal *seal, struct message *message, const void *name,
                                 size_t size);
/* Whether a peer of this name has sent something sealed. */
bool seal_knows(const struct seal *seal, const void *name, size_t size);
/* The highest counter that was taken of a peer; 0: none. */
uint64_t seal_highest(const struct seal *seal, const void *name, size_t size);
/* Whatever a peer sent before the newest that was taken, and comes later, is SESSION_STALE. */
void seal_close_past(struct seal *seal, const void *name, size_t size);
void seal_release(struct seal *seal);

/* What answers a ping beside its echo: digits that only whoever has the key can write, for this
 * name and this ping. Returns their number, 0 where messages are not signed. */
#define SEAL_PROOF_MAX (2 * MAC_BYTES_MAX)
size_t seal_prove(struct session *session, const void *name, size_t name_size, const void *ping,
                  size_t ping_size, char proof[SEAL_PROOF_MAX]);
/* Whether it is that. */
bool seal_is_proof(struct session *session, const void *name, size_t name_size, const void *ping,
                   size_t ping_size, const void *proof, size_t proof_size);

#endif
