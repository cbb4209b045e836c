/* What each thread does first with what it receives: its signature, its header, its parts. First
 * byte: bit 0 serializer, bit 1 signed as it should be, bit 2 a digest of 512 bits, bits 3 and 4
 * identities. */
#include "controller/refusal.h"
#include "controller/reply.h"
#include "fuzz.h"

static struct session *session_of(struct session **session, unsigned bits)
{
    struct ipcl_error error;
    if (!*session)
        *session = session_create("secret", 6, bits & 4 ? "hmac-sha512" : "hmac-sha256",
                                  fuzz_serial(bits), NULL, &error);
    FUZZ_ASSERT(*session);
    return *session;
}

static void sign(struct session *session, struct message *message, unsigned bits)
{
    struct ipcl_error error;
    zmq_msg_t *signature = message_part(message, MESSAGE_SIGNATURE);
    zmq_msg_close(signature);
    zmq_msg_init_size(signature, bits & 4 ? 128 : 64);
    session_sign(session, message, &error);
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
    reply_error(session, &reply, &request, "uuid", "KeyError", type);
    message_close(&reply);
    for (size_t i = 0; i < message_buffer_count(message); i++)
        FUZZ_ASSERT(message_buffer(message, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct session *readers[8], *writers[8];
    static struct refusal refusal = {.socket = "fuzz"};
    struct message message, copy;
    if (!size)
        return 0;
    unsigned bits = data[0];
    size_t identities = bits >> 3 & 3;
    struct session *reader = session_of(&readers[bits & 5], bits),
                   *writer = session_of(&writers[bits & 5], bits);
    message_init(&message);
    message_init(&copy);
    fuzz_message((struct fuzz_bytes){data + 1, data + size}, &message, 2);
    bool signs = bits & 2 && message_part(&message, MESSAGE_CONTENT);
    if (signs)
        sign(writer, &message, bits);
    message_copy(&copy, &message);
    bool accepted = refusal_verify(&refusal, reader, &message, identities);
    FUZZ_ASSERT(!accepted || signs);                                   /* no forgery */
    FUZZ_ASSERT(!refusal_verify(&refusal, reader, &copy, identities)); /* nor the same again */
    if (accepted)
        read_parts(reader, &message);
    message_close(&message);
    message_close(&copy);
    return 0;
}
