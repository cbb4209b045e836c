/* Replies to clients, some of which read late or not at all. Results beyond a limit in bytes, and
 * results with too large a frame, are replaced by errors that say so. If a client reads nothing at
 * all, even these are dropped, which is counted and logged. Replies for clients that are not
 * connected are held (early.h). */
#ifndef CONTROLLER_DELIVERY_REPLIES_H
#define CONTROLLER_DELIVERY_REPLIES_H

#include "controller/exchange/controller.h"
#include "controller/delivery/early.h"
#include "controller/delivery/outbox.h"
#include "controller/exchange/refusal.h"
#include "controller/delivery/reply.h"
#include "wire/envelope.h"

struct replies {
    struct outbox outbox;
    struct seal *seal; /* verifies what clients send and signs what is sent to them; not owned */
    struct early early;
    int64_t frame_bytes_max;
    struct envelopes envelopes; /* replies that are not sent yet */
    bool collects;
    struct refusal unread;
    struct refusal large;
};

/* For a ROUTER to clients, which it makes mandatory. Returns 0, or -1 with `error` set. */
int replies_prepare(struct replies *replies, const struct controller *controller, struct seal *seal,
                    void *clients, enum stats_socket socket, struct ipcl_error *error);
/* Clients of the previous controller, if there was one, may connect here again. */
void replies_await_clients(struct replies *replies, const struct controller *controller);
/* From now on, small replies that are sent in one round of the thread go in envelopes to clients
 * that read these: replies_tick() sends them. */
void replies_collect(struct replies *replies);
/* Signs and sends [client, ...]. Leaves nothing in `message` that matters. */
void replies_send(struct replies *replies, struct message *message);
/* refusal_verify() for a client's message, with a check of its frames' sizes. A message that is
 * refused although its signature is right is answered with an error, if it says which request it
 * is. */
bool replies_verify(struct replies *replies, struct refusal *refusal, struct message *message,
                    size_t identities);
/* Sends an error reply (reply.h). */
void replies_error(struct replies *replies, const struct reply_request *request,
                   const char *engine_uuid, const char *ename, const char *evalue);
/* Sends envelopes, and tries again to send what waits. Returns the time of the next call, or
 * CLOCK_NEVER. */
long long replies_tick(struct replies *replies, long long now_ms);
void replies_release(struct replies *replies);

#endif
