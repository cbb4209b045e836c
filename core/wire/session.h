/* A session: makes, signs and verifies messages with a cluster's key, and accepts each signature
 * once. Each thread has its own; there are no locks. Signatures are HMAC (RFC 2104) over header,
 * parent header, metadata and content, in lower-case hexadecimal (the Jupyter messaging document,
 * "The Wire Protocol"). */
#ifndef WIRE_SESSION_H
#define WIRE_SESSION_H

#include <ipcluster/serial.h>

#include "wire/mac.h"
#include "wire/message.h"
#include "wire/poly.h"

/* How many accepted signatures are remembered, the newest ones. jupyter_client remembers as
 * many. */
#define SESSION_HISTORY 65536
/* How many tasks a controller gives an engine at a time where no setting says it. As many answers
 * may be lost with the controller: an engine keeps as many for the next one. */
#define SESSION_TASKS_AT_HAND 64
/* Lengths of identifiers, without the NUL. A message's is its session's, an underscore and a
 * counter. */
#define SESSION_ID_LENGTH 36
#define MESSAGE_ID_LENGTH (SESSION_ID_LENGTH + 1 + 12)

enum session_verdict {
    SESSION_ACCEPTED,
    SESSION_TRUNCATED, /* no delimiter, or parts missing behind it */
    SESSION_UNSIGNED,
    SESSION_FORGED, /* the signature is not that of these parts under our key */
    SESSION_REPEATED,
    SESSION_STALE,     /* sealed (seal.h) for another controller's life */
    SESSION_UNBOUND,   /* not sealed, where a seal is required */
    SESSION_MALFORMED, /* signed, but its header is not a mapping with msg_id and msg_type */
    SESSION_VERDICTS
};
/* Member of the error that answers a stale request: true. */
#define SESSION_STALE_MEMBER "stale"

struct session;

/* `key` has `key_size` bytes (0: messages are not signed, as in jupyter_client with an empty key).
 * `scheme` is "hmac-" and the name of a digest of OpenSSL's, as "hmac-sha256". `serial` must
 * outlive the session. `id` is its identifier of SESSION_ID_LENGTH characters (NULL: a random
 * UUID). NULL with `error` set on failure. */
struct session *session_create(const char *key, size_t key_size, const char *scheme,
                               const struct ipcl_serial_operations *serial, const char *id,
                               struct ipcl_error *error);
void session_destroy(struct session *session);
const char *session_id(const struct session *session);
const struct ipcl_serial_operations *session_serial(const struct session *session);

/* Checks a received message: its parts, its signature, and that it is new. An accepted signature is
 * remembered. The header's msg_id and msg_type are text, and are stored in the message; nothing
 * else is parsed. Each refusal is counted. */
enum session_verdict session_verify(struct session *session, struct message *message);
/* For seal.c: the HMAC over `size` bytes. Returns 0 or -1. */
int session_digest(struct session *session, const void *data, size_t size,
                   unsigned char digest[MAC_BYTES_MAX]);
/* For seal.c: makes tags, with a key derived from the session's. NULL: messages are not signed. */
struct poly *session_poly(struct session *session);
/* For seal.c: the HMAC's length; 0: messages are not signed. */
size_t session_digest_bytes(const struct session *session);
/* For seal.c: ends a verification, and counts it. If the signature is right the header is read,
 * which may change the verdict. */
enum session_verdict session_conclude(struct session *session, struct message *message,
                                      enum session_verdict verdict);
/* A word or two for a log line: "forged signature". */
const char *session_verdict_text(enum session_verdict verdict);
/* How many messages were refused with this verdict. */
unsigned long long session_refused(const struct session *session, enum session_verdict verdict);

/* Finds named members of a part, as serial.h says. A NULL part is malformed. Returns 0 or -1. */
int session_find(const struct session *session, zmq_msg_t *part, struct ipcl_member *members,
                 size_t count);
/* Unpacks a part. Returns a new reference, or NULL with `error` set. */
json_t *session_unpack(const struct session *session, zmq_msg_t *part, struct ipcl_error *error);

/* Writes the identifier of the message with this number. For a program that numbers all its
 * messages itself, and names them before they are built. */
void session_message_id(const char *session_id, unsigned long long number,
                        char text[MESSAGE_ID_LENGTH + 1]);

/* What a message is built from. Each part is a json_t (borrowed) or packed bytes; if both are NULL
 * it is {}. */
struct session_parts {
    const char *msg_type;
    /* MESSAGE_ID_LENGTH characters from session_message_id(); NULL for the next identifier */
    const char *msg_id;
    const char *parent; /* the parent's packed header, byte for byte; NULL for none */
    size_t parent_size;
    const json_t *metadata;
    const char *packed_metadata;
    size_t packed_metadata_size;
    const json_t *content;
    const char *packed_content;
    size_t packed_content_size;
};
/* Appends the delimiter and the parts to `message`, which may hold identities. The signature is
 * empty: the caller appends buffers, and then signs (session_sign(), seal_sign()). `msg_id`, if not
 * NULL, receives the identifier. Returns 0 or -1 with `error` set. */
int session_build(struct session *session, struct message *message,
                  const struct session_parts *parts, char msg_id[MESSAGE_ID_LENGTH + 1],
                  struct ipcl_error *error);
/* Signs a message that was built, again if its parts have changed or it is passed on under another
 * key. The signature frame is replaced, because others may share the old one. Returns 0 or -1 with
 * `error` set. */
int session_sign(struct session *session, struct message *message, struct ipcl_error *error);

#endif
