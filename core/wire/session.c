/* Sessions: building, signing and verifying messages. */
#include "wire/session.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/random.h"
#include "plugin/services.h"
#include "wire/mac.h"
#include "wire/replay.h"

#define PROTOCOL_VERSION "5.3" /* the Jupyter messaging document */
/* A session has a handful of message types; but replies take their types from requests, of which a
 * peer can send any. */
#define TEMPLATES_MAX 64

/* A header of one message type, packed once: identifier and date have fixed lengths, so a new
 * header is a copy with these two written over, whatever the serializer. */
struct header_template {
    struct header_template *next;
    char *msg_type;
    char *packed;
    size_t size;
    size_t id_offset;
    size_t date_offset;
};

struct session {
    char id[SESSION_ID_LENGTH + 1];
    const struct ipcl_serial_operations *serial;
    struct mac *mac; /* NULL: messages are not signed */
    size_t digest_bytes;
    struct poly *poly;
    struct replay *replay;
    struct header_template *templates;
    size_t template_count;
    char *empty; /* {} as the serializer packs it */
    size_t empty_size;
    unsigned long long next_id;
    unsigned long long refused[SESSION_VERDICTS];
};

static struct mac *create_mac(const char *key, size_t key_size, const char *scheme,
                              struct ipcl_error *error)
{
    if (!strncmp(scheme, "hmac-", 5))
        return mac_create(key, key_size, scheme + 5, error);
    ipcl_error_set(error, "signature scheme '%s' is not known: use hmac-sha256", scheme);
    return NULL;
}

/* The key of tags, as the counter mode of NIST's SP 800-108 derives one: an HMAC may be shorter
 * than it. No message, seal or pong is signed over this label. NULL with `error` set on failure. */
static struct poly *create_poly(struct session *session, struct ipcl_error *error)
{
    static const unsigned char label[] = "\0ipcluster tag 2";
    unsigned char digest[MAC_BYTES_MAX], key[POLY_KEY_BYTES], input[sizeof(label) + 1];
    struct poly *poly = NULL;
    size_t filled = 0;
    memcpy(input, label, sizeof(label));
    for (unsigned char number = 1; filled < sizeof(key); number++) {
        size_t missing = sizeof(key) - filled,
               size = session->digest_bytes < missing ? session->digest_bytes : missing;
        input[sizeof(label)] = number;
        if (session_digest(session, input, sizeof(input), digest))
            break;
        memcpy(key + filled, digest, size);
        filled += size;
    }
    if (filled == sizeof(key))
        poly = poly_create(key, error);
    else
        ipcl_error_set(error, "OpenSSL cannot derive a key");
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(digest, sizeof(digest));
    return poly;
}

struct session *session_create(const char *key, size_t key_size, const char *scheme,
                               const struct ipcl_serial_operations *serial, const char *id,
                               struct ipcl_error *error)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        goto no_memory;
    session->serial = serial;
    if (id)
        snprintf(session->id, sizeof(session->id), "%s", id);
    else
        random_uuid(session->id);
    if (key_size) {
        session->mac = create_mac(key, key_size, scheme, error);
        if (!session->mac)
            goto failed;
        session->digest_bytes = mac_bytes(session->mac);
        session->poly = create_poly(session, error);
        if (!session->poly)
            goto failed;
        session->replay = replay_create(SESSION_HISTORY);
        if (!session->replay)
            goto no_memory;
    }
    json_t *empty = json_object();
    if (!empty)
        goto no_memory;
    ipcl_error_set(error, "the serializer %s could not pack an empty mapping and gave no reason",
                   serial->traits_name);
    session->empty = serial->pack(empty, &session->empty_size, error);
    json_decref(empty);
    if (!session->empty)
        goto failed;
    return session;
no_memory:
    ipcl_error_set(error, "out of memory");
failed:
    session_destroy(session);
    return NULL;
}

static void forget_templates(struct session *session)
{
    while (session->templates) {
        struct header_template *template = session->templates;
        session->templates = template->next;
        free(template->msg_type);
        free(template->packed);
        free(template);
    }
    session->template_count = 0;
}

void session_destroy(struct session *session)
{
    if (!session)
        return;
    forget_templates(session);
    mac_destroy(session->mac);
    poly_destroy(session->poly);
    replay_destroy(session->replay);
    free(session->empty);
    free(session);
}

const char *session_id(const struct session *session)
{
    return session->id;
}

const struct ipcl_serial_operations *session_serial(const struct session *session)
{
    return session->serial;
}

size_t session_digest_bytes(const struct session *session)
{
    return session->mac ? session->digest_bytes : 0;
}

int session_digest(struct session *session, const void *data, size_t size,
                   unsigned char digest[MAC_BYTES_MAX])
{
    return mac_begin(session->mac) || mac_add(session->mac, data, size) ||
                   mac_end(session->mac, digest)
               ? -1
               : 0;
}

struct poly *session_poly(struct session *session)
{
    return session->poly;
}

/* The signature of the four parts, in binary. Returns 0 or -1. */
static int digest_parts(struct session *session, struct message *message,
                        unsigned char digest[MAC_BYTES_MAX])
{
    static const enum message_part parts[] = {MESSAGE_HEADER, MESSAGE_PARENT, MESSAGE_METADATA,
                                              MESSAGE_CONTENT};
    if (mac_begin(session->mac))
        return -1;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        zmq_msg_t *part = message_part(message, parts[i]);
        if (mac_add(session->mac, zmq_msg_data(part), zmq_msg_size(part)))
            return -1;
    }
    return mac_end(session->mac, digest);
}

static enum session_verdict verify_signature(struct session *session, struct message *message)
{
    zmq_msg_t *signature = message_part(message, MESSAGE_SIGNATURE);
    unsigned char claimed[MAC_BYTES_MAX], digest[MAC_BYTES_MAX];
    if (!zmq_msg_size(signature))
        return SESSION_UNSIGNED;
    if (zmq_msg_size(signature) != 2 * session->digest_bytes ||
        hex_read(zmq_msg_data(signature), claimed, session->digest_bytes) ||
        digest_parts(session, message, digest) ||
        CRYPTO_memcmp(claimed, digest, session->digest_bytes))
        return SESSION_FORGED;
    if (replay_seen(session->replay, digest) || replay_add(session->replay, digest))
        return SESSION_REPEATED;
    return SESSION_ACCEPTED;
}

static bool is_well_signed(enum session_verdict verdict)
{
    return verdict == SESSION_ACCEPTED || verdict == SESSION_REPEATED || verdict == SESSION_STALE;
}

/* Returns whether the header can be read. */
static bool read_header(struct session *session, struct message *message)
{
    struct ipcl_member members[] = {{.name = "msg_id"}, {.name = "msg_type"}};
    if (session_find(session, message_part(message, MESSAGE_HEADER), members, 2) ||
        members[0].state != IPCL_MEMBER_TEXT || members[1].state != IPCL_MEMBER_TEXT)
        return false;
    message->msg_id = members[0];
    message->msg_type = members[1];
    return true;
}

enum session_verdict session_conclude(struct session *session, struct message *message,
                                      enum session_verdict verdict)
{
    if (is_well_signed(verdict) && !read_header(session, message))
        verdict = SESSION_MALFORMED;
    session->refused[verdict]++;
    return verdict;
}

enum session_verdict session_verify(struct session *session, struct message *message)
{
    enum session_verdict verdict = SESSION_ACCEPTED;
    if (!message_is_whole(message))
        verdict = SESSION_TRUNCATED;
    else if (session->mac)
        verdict = verify_signature(session, message);
    return session_conclude(session, message, verdict);
}

const char *session_verdict_text(enum session_verdict verdict)
{
    static const char *const texts[SESSION_VERDICTS] = {
        "accepted",
        "truncated message",
        "unsigned message",
        "forged signature",
        "repeated message",
        "message for another controller",
        "message without a seal",
        "malformed header",
    };
    return texts[verdict];
}

unsigned long long session_refused(const struct session *session, enum session_verdict verdict)
{
    return session->refused[verdict];
}

int session_find(const struct session *session, zmq_msg_t *part, struct ipcl_member *members,
                 size_t count)
{
    if (!part)
        return -1;
    return session->serial->find(zmq_msg_data(part), zmq_msg_size(part), members, count);
}

json_t *session_unpack(const struct session *session, zmq_msg_t *part, struct ipcl_error *error)
{
    if (!part) {
        ipcl_error_set(error, "the message is truncated");
        return NULL;
    }
    services_expect(error, "the serializer cannot unpack it");
    return session->serial->unpack(zmq_msg_data(part), zmq_msg_size(part), error);
}

void session_message_id(const char *session_id, unsigned long long number,
                        char text[MESSAGE_ID_LENGTH + 1])
{
    static const char digits[] = "0123456789abcdef";
    memcpy(text, session_id, SESSION_ID_LENGTH);
    text[SESSION_ID_LENGTH] = '_';
    for (int i = MESSAGE_ID_LENGTH; i > SESSION_ID_LENGTH + 1; number >>= 4)
        text[--i] = digits[number & 15];
    text[MESSAGE_ID_LENGTH] = '\0';
}

static size_t offset_of(const char *bytes, size_t size, const char *text, size_t length)
{
    const char *at = memmem(bytes, size, text, length);
    return at ? (size_t)(at - bytes) : size;
}

static struct header_template *make_template(struct session *session, const char *msg_type,
                                             struct ipcl_error *error)
{
    char msg_id[MESSAGE_ID_LENGTH + 1], date[CLOCK_DATE_BYTES];
    const char *user = getenv("USER");
    session_message_id(session->id, 0, msg_id);
    clock_date(date);
    struct header_template *template = calloc(1, sizeof(*template));
    json_t *header = json_pack("{s:s s:s s:s s:s s:s s:s}", "msg_id", msg_id, "msg_type", msg_type,
                               "username", user ? user : "username", "session", session->id, "date",
                               date, "version", PROTOCOL_VERSION);
    if (!template || !header || !(template->msg_type = strdup(msg_type))) {
        ipcl_error_set(
            error,
            "a header for '%s' cannot be made: the name or $USER is not UTF-8, or memory is short",
            msg_type);
        goto failed;
    }
    services_expect(error, "the serializer could not pack a header");
    template->packed = session->serial->pack(header, &template->size, error);
    if (!template->packed)
        goto failed;
    json_decref(header);
    template->id_offset = offset_of(template->packed, template->size, msg_id, MESSAGE_ID_LENGTH);
    template->date_offset = offset_of(template->packed, template->size, date, strlen(date));
    if (session->template_count == TEMPLATES_MAX)
        forget_templates(session);
    template->next = session->templates;
    session->templates = template;
    session->template_count++;
    return template;
failed:
    json_decref(header);
    if (template)
        free(template->msg_type);
    free(template);
    return NULL;
}

static struct header_template *find_template(struct session *session, const char *msg_type,
                                             struct ipcl_error *error)
{
    struct header_template *template = session->templates;
    while (template && strcmp(template->msg_type, msg_type))
        template = template->next;
    return template ? template : make_template(session, msg_type, error);
}

static int set_part(struct message *message, enum message_part part, const char *bytes, size_t size,
                    struct ipcl_error *error)
{
    return message_set_part(message, part, bytes, size) ? ipcl_error_set(error, "out of memory")
                                                        : 0;
}

static int set_header(struct session *session, struct message *message,
                      const struct session_parts *parts, char *msg_id, struct ipcl_error *error)
{
    struct header_template *template = find_template(session, parts->msg_type, error);
    if (!template)
        return -1;
    char id[MESSAGE_ID_LENGTH + 1], date[CLOCK_DATE_BYTES];
    if (parts->msg_id)
        memcpy(id, parts->msg_id, sizeof(id));
    else
        session_message_id(session->id, session->next_id++, id);
    size_t date_length = clock_date(date);
    memcpy(template->packed + template->id_offset, id, MESSAGE_ID_LENGTH);
    memcpy(template->packed + template->date_offset, date, date_length);
    if (msg_id)
        memcpy(msg_id, id, sizeof(id));
    return set_part(message, MESSAGE_HEADER, template->packed, template->size, error);
}

static int set_packed(struct session *session, struct message *message, enum message_part part,
                      const json_t *value, const char *packed, size_t size,
                      struct ipcl_error *error)
{
    if (packed)
        return set_part(message, part, packed, size, error);
    if (!value)
        return set_part(message, part, session->empty, session->empty_size, error);
    services_expect(error, "the serializer could not pack a part of a message");
    char *bytes = session->serial->pack(value, &size, error);
    if (!bytes)
        return -1;
    int status = set_part(message, part, bytes, size, error);
    free(bytes);
    return status;
}

int session_build(struct session *session, struct message *message,
                  const struct session_parts *parts, char msg_id[MESSAGE_ID_LENGTH + 1],
                  struct ipcl_error *error)
{
    if (message_append_parts(message))
        return ipcl_error_set(error, "out of memory");
    if (set_header(session, message, parts, msg_id, error) ||
        set_packed(session, message, MESSAGE_PARENT, NULL, parts->parent, parts->parent_size,
                   error) ||
        set_packed(session, message, MESSAGE_METADATA, parts->metadata, parts->packed_metadata,
                   parts->packed_metadata_size, error) ||
        set_packed(session, message, MESSAGE_CONTENT, parts->content, parts->packed_content,
                   parts->packed_content_size, error))
        return -1;
    return 0;
}

int session_sign(struct session *session, struct message *message, struct ipcl_error *error)
{
    unsigned char digest[MAC_BYTES_MAX];
    char text[2 * MAC_BYTES_MAX];
    size_t size = session->mac ? 2 * session->digest_bytes : 0;
    if (size && digest_parts(session, message, digest))
        return ipcl_error_set(error, "OpenSSL cannot sign a message");
    hex_write(digest, size / 2, text);
    if (message_set_part(message, MESSAGE_SIGNATURE, text, size))
        return ipcl_error_set(error, "out of memory");
    return 0;
}
