/* Replies to clients, of which some read late or not at all. Results beyond a bound in bytes, and
 * those of which a frame is larger than may be, are replaced by errors that say so; what a client
 * that reads nothing at all still causes is dropped, which is counted and logged. Replies for
 * clients that are not there are held (early.h). */
#ifndef CONTROLLER_DELIVERY_REPLIES_H
#define CONTROLLER_DELIVERY_REPLIES_H

#include "controller/exchange/controller.h"
#include "controller/delivery/early.h"
#include "controller/delivery/outbox.h"
#include "controller/exchange/refusal.h"
#include "controller/delivery/reply.h"

struct replies {
    struct outbox outbox;
    struct seal *seal; /* verifies what they send and signs what goes to them; not owned */
    struct early early;
    int64_t frame_bytes_max;
    struct refusal unread;
    struct refusal large;
};

/* For a ROUTER to clients, which is made mandatory. Returns 0, or -1 with `error` set. */
int replies_prepare(struct replies *replies, const struct controller *controller, struct seal *seal,
                    void *clients, enum stats_socket socket, struct ipcl_error *error);
/* Clients of the previous controller, where there was one, may come back here. */
void replies_await_clients(struct replies *replies, const struct controller *controller);
/* Signs and sends [client, ...]. Leaves nothing in `message` that matters. */
void replies_send(struct replies *replies, struct message *message);
/* refusal_verify() of what a client sends, of which no frame may be too large. What is signed and
 * yet refused, and says which request it is, is answered with an error. */
bool replies_verify(struct replies *replies, struct refusal *refusal, struct message *message,
                    size_t identities);
/* Sends an error reply (reply.h). */
void replies_error(struct replies *replies, const struct reply_request *request,
                   const char *engine_uuid, const char *ename, const char *evalue);
/* Tries again what waits. Returns when to be called again, or CLOCK_NEVER. */
long long replies_tick(struct replies *replies, long long now_ms);
void replies_release(struct replies *replies);

#endif
