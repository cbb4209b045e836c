/* Seals: binding messages to where they go. */
#include "wire/seal.h"

#include <openssl/crypto.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/hex.h"
#include "wire/window.h"

#define COUNTER_BYTES 8
/* Whoever has been silent for this long goes on with the clock: the controller may have forgotten
 * it meanwhile, and takes from names that it does not know only counters above those that it has
 * forgotten. */
#define SILENCE_MS 60000
/* Whoever's counters are further ahead of the clock than this is not forgotten, as everybody whose
 * clock is right would be refused then; and not more than so many are taken. */
#define AHEAD_US        60000000
#define AHEAD_PEERS_MAX (SEAL_PEERS_MAX / 2)
/* Longer names are nobody's: a byte holds the length. */
#define NAME_BYTES_MAX 255
/* Buffers of more bytes have a tag of their own: it is computed once for a broadcast. */
#define TOGETHER_BYTES_MAX 4096

static const unsigned char label[] = "\0ipcluster seal 2";
static const unsigned char envelope_label[] = "\0ipcluster sealed envelope 1";
static const unsigned char pong_label[] = "\0ipcluster pong 1";
static const unsigned char no_life[SEAL_LIFE_BYTES];
#define INPUT_BYTES_MAX                                                                            \
    (sizeof(envelope_label) + 2 + SEAL_LIFE_BYTES + COUNTER_BYTES + 1 + NAME_BYTES_MAX +           \
     2 * POLY_TAG_BYTES)

struct seal_peer {
    struct window window;
    uint64_t past;                 /* lower counters are too late */
    bool ahead;                    /* of the clock */
    struct seal_peer *prev, *next; /* otherwise: in the order of their last messages */
    UT_hash_handle hh;
    char name[];
};

void seal_write_life(const unsigned char life[SEAL_LIFE_BYTES], char text[SEAL_LIFE_TEXT])
{
    hex_write(life, SEAL_LIFE_BYTES, text);
    text[SEAL_LIFE_TEXT - 1] = '\0';
}

int seal_read_life(const char *text, unsigned char life[SEAL_LIFE_BYTES])
{
    return !text || strlen(text) != SEAL_LIFE_TEXT - 1 ? -1 : hex_read(text, life, SEAL_LIFE_BYTES);
}

static unsigned char *put_number(unsigned char *at, uint64_t number)
{
    number = htobe64(number);
    memcpy(at, &number, sizeof(number));
    return at + sizeof(number);
}

static unsigned char *put_bytes(unsigned char *at, const void *bytes, size_t size)
{
    if (size)
        memcpy(at, bytes, size);
    return at + size;
}

static int add_number(struct poly *poly, uint64_t number)
{
    number = htobe64(number);
    return poly_add(poly, &number, sizeof(number));
}

/* A frame behind its length. Returns 0 or -1. */
static int add_frame(struct poly *poly, zmq_msg_t *frame)
{
    size_t size = zmq_msg_size(frame);
    return add_number(poly, size) || poly_add(poly, zmq_msg_data(frame), size) ? -1 : 0;
}

/* Tags all parts from one on, but for the signature, which the seal is in, and then `buffers`
 * buffers. Returns 0 or -1. */
static int tag_frames(struct poly *poly, struct message *message, int first, size_t buffers,
                      unsigned char tag[POLY_TAG_BYTES])
{
    int failed = poly_begin(poly);
    for (int part = first; !failed && part < MESSAGE_PARTS; part++)
        if (part != MESSAGE_SIGNATURE)
            failed = add_frame(poly, message_part(message, part));
    for (size_t i = 0; !failed && i < buffers; i++)
        failed = add_frame(poly, message_buffer(message, i));
    return failed || poly_end(poly, tag) ? -1 : 0;
}

/* How many buffers a seal covers, and whether by a tag of their own. */
static size_t covered(const struct seal *seal, struct message *message, bool *apart)
{
    size_t count = seal->encrypted ? 0 : message_buffer_count(message), bytes = 0;
    for (size_t i = 0; i < count && bytes <= TOGETHER_BYTES_MAX; i++)
        bytes += zmq_msg_size(message_buffer(message, i));
    *apart = bytes > TOGETHER_BYTES_MAX;
    return count;
}

int seal_tag_buffers(const struct seal *seal, struct message *message)
{
    struct poly *poly = session_poly(seal->session);
    bool apart;
    size_t count = covered(seal, message, &apart);
    if (!apart || message->tagged == poly)
        return 0;
    message->tagged = NULL;
    if (tag_frames(poly, message, MESSAGE_PARTS, count, message->tag))
        return -1;
    message->tagged = poly;
    return 0;
}

/* Where something goes: what stands in the HMAC's input behind a label. */
static unsigned char *put_address(unsigned char *at, const struct seal *seal, const void *name,
                                  size_t size, bool to_controller,
                                  const unsigned char life[SEAL_LIFE_BYTES], uint64_t counter)
{
    *at++ = (unsigned char)(seal->role << 1 | to_controller);
    *at++ = (unsigned char)seal->channel;
    at = put_bytes(at, life, SEAL_LIFE_BYTES);
    at = put_number(at, counter);
    *at++ = (unsigned char)size;
    return put_bytes(at, name, size);
}

/* Computes the HMAC of a message. Returns 0 or -1. */
static int digest_of(const struct seal *seal, struct message *message, const void *name,
                     size_t size, bool to_controller, const unsigned char life[SEAL_LIFE_BYTES],
                     uint64_t counter, unsigned char digest[MAC_BYTES_MAX])
{
    unsigned char input[INPUT_BYTES_MAX], *at = input;
    bool apart;
    size_t buffers = covered(seal, message, &apart);
    if (size > NAME_BYTES_MAX)
        return -1;
    at = put_bytes(at, label, sizeof(label));
    at = put_address(at, seal, name, size, to_controller, life, counter);
    if (tag_frames(session_poly(seal->session), message, 0, apart ? 0 : buffers, at) ||
        seal_tag_buffers(seal, message))
        return -1;
    at += POLY_TAG_BYTES;
    if (apart)
        at = put_bytes(at, message->tag, POLY_TAG_BYTES);
    return session_digest(seal->session, input, (size_t)(at - input), digest);
}

/* The same of an envelope. */
static int digest_of_envelope(const struct seal *seal, zmq_msg_t *frame, const void *name,
                              size_t size, bool to_controller,
                              const unsigned char life[SEAL_LIFE_BYTES],
                              unsigned char digest[MAC_BYTES_MAX])
{
    unsigned char input[INPUT_BYTES_MAX], *at = input;
    struct poly *poly = session_poly(seal->session);
    size_t bytes;
    const unsigned char *body = envelope_body(frame, &bytes);
    if (size > NAME_BYTES_MAX)
        return -1;
    at = put_bytes(at, envelope_label, sizeof(envelope_label));
    at = put_address(at, seal, name, size, to_controller, life, 0);
    if (poly_begin(poly) || poly_add(poly, body, bytes) || poly_end(poly, at))
        return -1;
    return session_digest(seal->session, input, (size_t)(at + POLY_TAG_BYTES - input), digest);
}

static uint64_t clock_us(void)
{
    return (uint64_t)(clock_wall() * 1e6);
}

static uint64_t next_counter(struct seal *seal)
{
    long long now_ms = clock_ms();
    if (!seal->counter || (!seal->controller && now_ms - seal->used_ms >= SILENCE_MS)) {
        uint64_t clock = clock_us();
        seal->counter = clock > seal->counter ? clock : seal->counter;
    }
    seal->used_ms = now_ms;
    return ++seal->counter;
}

/* What this end's seals are bound to. */
static const unsigned char *own_life(const struct seal *seal)
{
    return seal->life && !seal->controller ? seal->life : no_life;
}

int seal_enclose(struct seal *seal, struct message *message)
{
    unsigned char counter[COUNTER_BYTES];
    char text[ENVELOPE_COUNTER_BYTES];
    _Static_assert(sizeof(text) == 2 * COUNTER_BYTES, "its digits");
    put_number(counter, next_counter(seal));
    hex_write(counter, COUNTER_BYTES, text);
    return message_set_part(message, MESSAGE_SIGNATURE, text, sizeof(text));
}

int seal_close_envelope(const struct seal *seal, struct message *envelope, const void *name,
                        size_t size)
{
    unsigned char digest[MAC_BYTES_MAX];
    zmq_msg_t *frame = envelope_of(envelope);
    const unsigned char *life = own_life(seal);
    size_t bytes = session_digest_bytes(seal->session);
    _Static_assert(SEAL_LIFE_BYTES + MAC_BYTES_MAX <= ENVELOPE_SEAL_BYTES, "room for any HMAC");
    if (!bytes || digest_of_envelope(seal, frame, name, size, !seal->controller, life, digest))
        return -1;
    put_bytes(put_bytes(envelope_seal(frame), life, SEAL_LIFE_BYTES), digest, bytes);
    return 0;
}

int seal_sign(struct seal *seal, struct message *message, const void *name, size_t size,
              bool sealed, struct ipcl_error *error)
{
    unsigned char digest[MAC_BYTES_MAX], counter[COUNTER_BYTES];
    char text[2 * (MAC_BYTES_MAX + COUNTER_BYTES + SEAL_LIFE_BYTES)];
    size_t bytes = session_digest_bytes(seal->session);
    if (!sealed || !bytes)
        return session_sign(seal->session, message, error);
    const unsigned char *life = own_life(seal);
    uint64_t number = next_counter(seal);
    if (digest_of(seal, message, name, size, !seal->controller, life, number, digest))
        return ipcl_error_set(error,
                              "OpenSSL cannot sign a message, or its recipient's name is too long");
    put_number(counter, number);
    hex_write(digest, bytes, text);
    hex_write(counter, COUNTER_BYTES, text + 2 * bytes);
    hex_write(life, SEAL_LIFE_BYTES, text + 2 * (bytes + COUNTER_BYTES));
    if (message_set_part(message, MESSAGE_SIGNATURE, text,
                         2 * (bytes + COUNTER_BYTES + SEAL_LIFE_BYTES)))
        return ipcl_error_set(error, "out of memory");
    return 0;
}

int seal_introduce(struct seal *seal, struct message *message, const void *name, size_t size,
                   bool sealed, struct ipcl_error *error)
{
    const unsigned char *life = seal->life;
    seal->life = NULL;
    int status = seal_sign(seal, message, name, size, sealed, error);
    seal->life = life;
    return status;
}

static struct seal_peer *find_peer(const struct seal *seal, const void *name, size_t size)
{
    struct seal_peer *peer = seal->order ? seal->order->prev : NULL;
    if (peer && peer->hh.keylen == size && !memcmp(peer->name, name, size))
        return peer;
    HASH_FIND(hh, seal->peers, name, size, peer);
    return peer;
}

static void forget_peer(struct seal *seal, struct seal_peer *peer)
{
    HASH_DEL(seal->peers, peer);
    if (peer->ahead)
        seal->ahead--;
    else
        DL_DELETE(seal->order, peer);
    window_release(&peer->window);
    free(peer);
}

/* What is forgotten of a peer is that its counters were seen: no unknown one's are taken that are
 * not above them. */
static void forget_oldest(struct seal *seal)
{
    struct seal_peer *oldest = seal->order;
    if (oldest->window.highest > seal->floor)
        seal->floor = oldest->window.highest;
    forget_peer(seal, oldest);
}

static struct seal_peer *add_peer(struct seal *seal, const void *name, size_t size)
{
    if (HASH_COUNT(seal->peers) >= SEAL_PEERS_MAX)
        forget_oldest(seal);
    struct seal_peer *peer = calloc(1, sizeof(*peer) + size);
    if (!peer)
        return NULL;
    window_init(&peer->window, seal->floor);
    memcpy(peer->name, name, size);
    HASH_ADD_KEYPTR(hh, seal->peers, peer->name, size, peer);
    DL_APPEND(seal->order, peer);
    return peer;
}

/* Puts a peer at the end of the order, or takes it out. */
static void place_peer(struct seal *seal, struct seal_peer *peer, bool ahead)
{
    if (!peer->ahead && !ahead && !peer->next)
        return;
    if (peer->ahead)
        seal->ahead--;
    else
        DL_DELETE(seal->order, peer);
    peer->ahead = ahead;
    if (ahead)
        seal->ahead++;
    else
        DL_APPEND(seal->order, peer);
}

static bool is_ahead(struct seal *seal, uint64_t counter)
{
    if (counter > seal->present) {
        uint64_t present = clock_us() + AHEAD_US;
        seal->present = present > seal->present ? present : seal->present;
    }
    return counter > seal->present;
}

/* The peer that sends this counter. NULL where it is one too many that is ahead of the clock, or
 * memory is short. */
static struct seal_peer *meet_peer(struct seal *seal, const void *name, size_t size,
                                   uint64_t counter)
{
    struct seal_peer *peer = find_peer(seal, name, size);
    if (peer && peer->window.highest > counter)
        counter = peer->window.highest;
    bool ahead = is_ahead(seal, counter);
    if (ahead && !(peer && peer->ahead) && seal->ahead == AHEAD_PEERS_MAX)
        return NULL;
    if (!peer)
        peer = add_peer(seal, name, size);
    if (peer)
        place_peer(seal, peer, ahead);
    return peer;
}

/* Whether a message is for the controller that lives now. Who does not know its life yet asks for
 * it without. */
static bool is_of_this_life(const struct seal *seal, const unsigned char life[SEAL_LIFE_BYTES])
{
    if (!seal->life || !seal->controller || !memcmp(life, seal->life, SEAL_LIFE_BYTES))
        return true;
    return seal->channel == SEAL_HUB && !memcmp(life, no_life, SEAL_LIFE_BYTES);
}

/* What may come from a peer that does not know the life: a request for it, and the news of an
 * engine's end, which also a controller that has taken another's place hears. This news is true in
 * every life. If it comes again, it does nothing: a uuid belongs to one process. */
static bool is_introduction(const struct message *message)
{
    return member_is(&message->msg_type, "connection_request") ||
           member_is(&message->msg_type, "registration_request") ||
           member_is(&message->msg_type, "unregistration_request");
}

/* Whether a message whose seal is right is in time, and has not come before. */
static enum session_verdict conclude(struct seal *seal, struct message *message, const void *name,
                                     size_t size, const unsigned char life[SEAL_LIFE_BYTES],
                                     uint64_t counter)
{
    struct seal_peer *peer = meet_peer(seal, name, size, counter);
    if (!is_of_this_life(seal, life) || (peer && counter < peer->past))
        return session_conclude(seal->session, message, SESSION_STALE);
    if (!peer || !window_take(&peer->window, counter))
        return session_conclude(seal->session, message, SESSION_REPEATED);
    enum session_verdict verdict = session_conclude(seal->session, message, SESSION_ACCEPTED);
    if (verdict == SESSION_ACCEPTED && seal->life && seal->controller &&
        memcmp(life, seal->life, SEAL_LIFE_BYTES) && !is_introduction(message))
        return session_conclude(seal->session, message, SESSION_STALE);
    return verdict;
}

static uint64_t read_number(const unsigned char bytes[COUNTER_BYTES])
{
    uint64_t number;
    memcpy(&number, bytes, sizeof(number));
    return be64toh(number);
}

static bool is_envelope_sealed(const struct seal *seal, zmq_msg_t *frame, const void *name,
                               size_t size)
{
    unsigned char digest[MAC_BYTES_MAX];
    const unsigned char *life = envelope_seal(frame), *theirs = life + SEAL_LIFE_BYTES;
    size_t bytes = session_digest_bytes(seal->session);
    for (size_t i = SEAL_LIFE_BYTES + bytes; i < ENVELOPE_SEAL_BYTES; i++)
        if (life[i])
            return false;
    return !digest_of_envelope(seal, frame, name, size, seal->controller, life, digest) &&
           !CRYPTO_memcmp(theirs, digest, bytes);
}

/* A message of an envelope, which has no seal of its own. The envelope's is checked with the first,
 * before anything is made of what the messages say that they share. */
static enum session_verdict verify_enclosed(struct seal *seal, struct envelope_reader *reader,
                                            struct message *message, const void *name, size_t size)
{
    unsigned char counter[COUNTER_BYTES];
    zmq_msg_t *frame = envelope_of(reader->outer);
    zmq_msg_t *signature = message_part(message, MESSAGE_SIGNATURE);
    if (reader->checked != seal) {
        reader->authentic = is_envelope_sealed(seal, frame, name, size);
        reader->checked = seal;
    }
    if (!reader->authentic || zmq_msg_size(signature) != ENVELOPE_COUNTER_BYTES ||
        hex_read(zmq_msg_data(signature), counter, COUNTER_BYTES))
        return session_conclude(seal->session, message, SESSION_FORGED);
    return conclude(seal, message, name, size, envelope_seal(frame), read_number(counter));
}

static enum session_verdict verify(struct seal *seal, struct message *message, const void *name,
                                   size_t size)
{
    unsigned char digest[MAC_BYTES_MAX];
    char expected[2 * MAC_BYTES_MAX];
    unsigned char rest[COUNTER_BYTES + SEAL_LIFE_BYTES], *life = rest + COUNTER_BYTES;
    zmq_msg_t *frame = message_part(message, MESSAGE_SIGNATURE);
    size_t bytes = session_digest_bytes(seal->session);
    struct envelope_reader *envelope = message->envelope;
    message->envelope = NULL;
    if (envelope && bytes && message_is_whole(message))
        return verify_enclosed(seal, envelope, message, name, size);
    if (!message_is_whole(message) || !bytes || zmq_msg_size(frame) != 2 * (bytes + sizeof(rest))) {
        bool plain = frame && zmq_msg_size(frame) == 2 * bytes;
        return seal->required && plain ? session_conclude(seal->session, message, SESSION_UNBOUND)
                                       : session_verify(seal->session, message);
    }
    const char *text = zmq_msg_data(frame);
    if (hex_read(text + 2 * bytes, rest, sizeof(rest)))
        return session_conclude(seal->session, message, SESSION_FORGED);
    uint64_t counter = read_number(rest);
    if (digest_of(seal, message, name, size, seal->controller, life, counter, digest))
        return session_conclude(seal->session, message, SESSION_FORGED);
    hex_write(digest, bytes, expected);
    if (CRYPTO_memcmp(text, expected, 2 * bytes))
        return session_conclude(seal->session, message, SESSION_FORGED);
    return conclude(seal, message, name, size, life, counter);
}

enum session_verdict seal_verify(struct seal *seal, struct message *message, const void *name,
                                 size_t size)
{
    enum session_verdict verdict = verify(seal, message, name, size);
    if (verdict == SESSION_ACCEPTED && seal->traffic)
        traffic_accept(seal->traffic, &message->msg_type);
    return verdict;
}

bool seal_knows(const struct seal *seal, const void *name, size_t size)
{
    return seal->peers && find_peer(seal, name, size);
}

uint64_t seal_highest(const struct seal *seal, const void *name, size_t size)
{
    const struct seal_peer *peer = find_peer(seal, name, size);
    return peer ? peer->window.highest : 0;
}

void seal_close_past(struct seal *seal, const void *name, size_t size)
{
    struct seal_peer *peer = find_peer(seal, name, size);
    if (peer)
        peer->past = peer->window.highest;
}

void seal_release(struct seal *seal)
{
    struct seal_peer *peer, *next;
    HASH_ITER (hh, seal->peers, peer, next)
        forget_peer(seal, peer);
}

size_t seal_prove(struct session *session, const void *name, size_t name_size, const void *ping,
                  size_t ping_size, char proof[SEAL_PROOF_MAX])
{
    unsigned char head[sizeof(pong_label) + 8 + 2 * NAME_BYTES_MAX], digest[MAC_BYTES_MAX],
        *at = head;
    size_t bytes = session_digest_bytes(session);
    if (!bytes || name_size > NAME_BYTES_MAX || ping_size > NAME_BYTES_MAX)
        return 0;
    at = put_bytes(at, pong_label, sizeof(pong_label));
    at = put_number(at, name_size);
    at = put_bytes(at, name, name_size);
    at = put_bytes(at, ping, ping_size);
    if (session_digest(session, head, (size_t)(at - head), digest))
        return 0;
    hex_write(digest, bytes, proof);
    return 2 * bytes;
}

bool seal_is_proof(struct session *session, const void *name, size_t name_size, const void *ping,
                   size_t ping_size, const void *proof, size_t proof_size)
{
    char expected[SEAL_PROOF_MAX];
    size_t size = seal_prove(session, name, name_size, ping, ping_size, expected);
    return size && size == proof_size && !CRYPTO_memcmp(proof, expected, size);
}
