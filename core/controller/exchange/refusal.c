/* Messages that are not accepted. */
#include "controller/exchange/refusal.h"

void refusal_note(struct refusal *refusal, const char *reason)
{
    refusal->count++;
    log_limited(&refusal->limit, IPCL_LOG_WARN, "%s: a message was dropped: %s (%llu in all)",
                refusal->socket, reason, refusal->count);
}

enum session_verdict refusal_verify(struct refusal *refusal, struct seal *seal,
                                    struct message *message, size_t identities)
{
    zmq_msg_t *sender = message_peer(message);
    if (message_has_delimiter(message) && message_identities(message) != identities) {
        refusal_note(refusal, REFUSAL_IDENTITIES);
        return SESSION_TRUNCATED;
    }
    enum session_verdict verdict =
        seal_verify(seal, message, zmq_msg_data(sender), zmq_msg_size(sender));
    if (verdict != SESSION_ACCEPTED)
        refusal_note(refusal, session_verdict_text(verdict));
    return verdict;
}

void refusal_summary(const struct refusal *refusal)
{
    if (refusal->count)
        log_info("%s: %llu messages were refused", refusal->socket, refusal->count);
}
