/* Messages that are not accepted. */
#include "controller/exchange/refusal.h"

#include <stdlib.h>

#include "controller/exchange/segments.h"

void refusal_count(struct refusal *refusal, enum stats_refusal reason)
{
    refusal->count++;
    counter_add(&stats.sockets[refusal->socket].messages_refused[reason], 1);
}

void refusal_note(struct refusal *refusal, enum stats_refusal reason, const char *sentence)
{
    refusal_count(refusal, reason);
    log_limited(&refusal->limit, IPCL_LOG_WARN, "%s: a message was dropped: %s (%llu in all)",
                stats_socket_name(refusal->socket), sentence, refusal->count);
}

void refusal_note_verdict(struct refusal *refusal, enum session_verdict verdict)
{
    refusal_note(refusal, (enum stats_refusal)verdict, session_verdict_text(verdict));
}

/* An answer whose data are not there becomes one that says so. */
static void tell_of_loss(struct refusal *refusal, const struct session *session,
                         struct message *message)
{
    static const char why[] = "the answer's data were lost on the way, or memory is short";
    size_t size;
    json_t *content = json_pack("{s:s s:s s:s s:[s] s:{}}", "status", "error", "ename",
                                "ConnectionError", "evalue", why, "traceback", why, "engine_info");
    char *packed = content ? session_serial(session)->pack(content, &size, NULL) : NULL;
    refusal_note(refusal, REFUSED_MEMORY, why);
    message_cut_behind(message, MESSAGE_CONTENT);
    if (packed)
        message_set_part(message, MESSAGE_CONTENT, packed, size);
    json_decref(content);
    free(packed);
}

enum session_verdict refusal_verify(struct refusal *refusal, struct seal *seal,
                                    struct message *message, size_t identities)
{
    zmq_msg_t *sender = message_peer(message);
    if (message_has_delimiter(message) && message_identities(message) != identities) {
        refusal_note(refusal, REFUSED_IDENTITIES, REFUSAL_IDENTITIES);
        return SESSION_TRUNCATED;
    }
    enum session_verdict verdict =
        seal_verify(seal, message, zmq_msg_data(sender), zmq_msg_size(sender));
    if (verdict != SESSION_ACCEPTED)
        refusal_note_verdict(refusal, verdict);
    else if (segments_take(seal->role, message))
        tell_of_loss(refusal, seal->session, message);
    return verdict;
}

void refusal_summary(const struct refusal *refusal)
{
    if (refusal->count)
        log_info("%s: %llu messages were refused", stats_socket_name(refusal->socket),
                 refusal->count);
}
