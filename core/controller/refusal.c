/* Messages that are not accepted. */
#include "controller/refusal.h"

void refusal_note(struct refusal *refusal, const char *reason)
{
    refusal->count++;
    log_limited(&refusal->limit, IPCL_LOG_WARN, "%s: a message was dropped: %s (%llu in all)",
                refusal->socket, reason, refusal->count);
}

bool refusal_verify(struct refusal *refusal, struct session *session, struct message *message,
                    size_t identities)
{
    enum session_verdict verdict = SESSION_TRUNCATED;
    if (message->delimiter < message->count && message->delimiter != identities) {
        refusal_note(refusal, REFUSAL_IDENTITIES);
        return false;
    }
    verdict = session_verify(session, message);
    if (verdict != SESSION_ACCEPTED)
        refusal_note(refusal, session_verdict_text(verdict));
    return verdict == SESSION_ACCEPTED;
}

void refusal_summary(const struct refusal *refusal)
{
    if (refusal->count)
        log_info("%s: %llu messages were refused", refusal->socket, refusal->count);
}
