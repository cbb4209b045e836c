/* Messages that a thread refuses: they are counted, and logged at a limited rate. */
#ifndef CONTROLLER_EXCHANGE_REFUSAL_H
#define CONTROLLER_EXCHANGE_REFUSAL_H

#include <stdbool.h>

#include "base/log.h"
#include "controller/stats/stats.h"
#include "wire/seal.h"

/* One for each socket and thread. */
struct refusal {
    enum stats_socket socket;
    unsigned long long count;
    struct log_limit limit;
};

/* Verifies a message with `identities` frames before its delimiter, of which the first is its
 * sender's name. A message that is refused has been counted and logged. */
enum session_verdict refusal_verify(struct refusal *refusal, struct seal *seal,
                                    struct message *message, size_t identities);
#define REFUSAL_IDENTITIES "it has too few or too many identities"
#define REFUSAL_NOT_ASKED  "it answers a request that its sender does not have"
/* Count a message that is refused for another reason. The second also logs it, with a sentence. */
void refusal_count(struct refusal *refusal, enum stats_refusal reason);
void refusal_note(struct refusal *refusal, enum stats_refusal reason, const char *sentence);
/* The same as refusal_note() with a verdict that is not SESSION_ACCEPTED. */
void refusal_note_verdict(struct refusal *refusal, enum session_verdict verdict);
/* Logs how many were refused, if any. At the end. */
void refusal_summary(const struct refusal *refusal);

#endif
