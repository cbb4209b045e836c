/* Signing and verifying what is published. */
#include "wire/published.h"

/* The one sender of a channel has no name. */
#define NAME      ""
#define NAME_SIZE 0

struct seal published_source(struct seal seal, const unsigned char *life)
{
    seal.controller = false;
    seal.life = life;
    return seal;
}

struct seal published_sink(struct seal seal, bool required, const unsigned char *life)
{
    seal.controller = true;
    seal.required = required;
    seal.life = life;
    return seal;
}

int published_sign(struct seal *seal, struct message *message, struct ipcl_error *error)
{
    if (session_digest_bytes(seal->session)) {
        if (seal_sign(seal, message, NAME, NAME_SIZE, true, error))
            return -1;
        zmq_msg_t *signature = message_part(message, MESSAGE_SIGNATURE);
        if (message_add_identity(message, zmq_msg_data(signature), zmq_msg_size(signature)))
            return ipcl_error_set(error, "out of memory");
    }
    return session_sign(seal->session, message, error);
}

enum session_verdict published_verify(struct seal *seal, struct message *message)
{
    zmq_msg_t *signature = message_part(message, MESSAGE_SIGNATURE);
    if (seal->required && signature && message->delimiter)
        zmq_msg_copy(signature, &message->frames[message->delimiter - 1]);
    return seal_verify(seal, message, NAME, NAME_SIZE);
}

void published_begin(struct seal *seal, uint64_t counter)
{
    seal_release(seal);
    seal->floor = counter;
}

bool subscription_read(struct message *message, struct subscription *subscription)
{
    size_t size = zmq_msg_size(&message->frames[0]);
    const char *data = zmq_msg_data(&message->frames[0]);
    if (message->count != 1 || !size || (unsigned char)data[0] > 1)
        return false;
    *subscription =
        (struct subscription){.begins = data[0], .topic = data + 1, .topic_size = size - 1};
    return true;
}
