/* What each thread does first with what it receives: its signature, its header, its parts. First
 * byte: bit 0 serializer, bit 1 signed as it should be, bit 2 a digest of 512 bits, bits 3 and 4
 * identities, bit 5 sealed. */
#include "controller/exchange/refusal.h"
#include "controller/delivery/reply.h"
#include "fuzz.h"

static struct seal *seal_of(struct seal *seal, bool controller, unsigned bits)
{
    static const unsigned char life[SEAL_LIFE_BYTES] = "life";
    struct ipcl_error error;
    if (!seal->session)
        *seal = (struct seal){.session = session_create("secret", 6,
                                                        bits & 4 ? "hmac-sha512" : "hmac-sha256",
                                                        fuzz_serial(bits), NULL, &error),
                              .channel = SEAL_TASK,
                              .controller = controller,
                              .life = life};
    FUZZ_ASSERT(seal->session);
    return seal;
}

static void sign(struct seal *seal, struct message *message, unsigned bits)
{
    zmq_msg_t *name = message_peer(message);
    seal_sign(seal, message, zmq_msg_data(name), zmq_msg_size(name), bits & 32, NULL);
}

static void read_parts(struct session *session, struct message *message)
{
    struct reply_request request;
    struct ipcl_error error;
    struct message reply;
    char type[64];
    struct ipcl_member member = {.name = "msg_id"};
    session_find(session, message_part(message, MESSAGE_PARENT), &member, 1);
    for (enum message_part part = MESSAGE_HEADER; part < MESSAGE_PARTS; part++)
        json_decref(session_unpack(session, message_part(message, part), &error));
    reply_request_of(message, &request);
    message_init(&reply);
    reply_type(session, &request, type, sizeof(type));
    reply_make_error(session, &reply, &request, "uuid", "KeyError", type);
    message_close(&reply);
    for (size_t i = 0; i < message_buffer_count(message); i++)
        FUZZ_ASSERT(message_buffer(message, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seal readers[8], writers[8];
    static struct refusal refusal = {.socket = STATS_QUERIES};
    struct message message, copy;
    if (!size)
        return 0;
    unsigned bits = data[0];
    size_t identities = bits >> 3 & 3;
    struct seal *reader = seal_of(&readers[bits & 5], true, bits),
                *writer = seal_of(&writers[bits & 5], false, bits);
    message_init(&message);
    message_init(&copy);
    fuzz_message((struct fuzz_bytes){data + 1, data + size}, &message, 2);
    bool signs = bits & 2 && message_is_whole(&message);
    if (signs)
        sign(writer, &message, bits);
    message_copy(&copy, &message);
    bool accepted = refusal_verify(&refusal, reader, &message, identities) == SESSION_ACCEPTED;
    FUZZ_ASSERT(!accepted || signs); /* no forgery is accepted, and nothing twice: */
    FUZZ_ASSERT(refusal_verify(&refusal, reader, &copy, identities) != SESSION_ACCEPTED);
    if (accepted)
        read_parts(reader->session, &message);
    message_close(&message);
    message_close(&copy);
    return 0;
}
