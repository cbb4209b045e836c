/* The broadcast thread: ipyparallel's client and engine connect to a broadcast port, so there is
 * one (ROUTER) for each side. A request on it is answered with an error that says what to use
 * instead. */
#include <stdlib.h>

#include "controller/controller.h"
#include "wire/loop.h"
#include "controller/refusal.h"
#include "controller/reply.h"

struct broadcast {
    struct loop *loop;
    struct session *session;
    void *clients;
    struct refusal bad_request;
    struct refusal bad_reply;
};

static void from_client(void *self, struct message *message)
{
    struct broadcast *broadcast = self;
    struct reply_request request;
    if (!refusal_verify(&broadcast->bad_request, broadcast->session, message, 1))
        return;
    reply_request_of(message, &request);
    reply_error(broadcast->session, broadcast->clients, &request, NULL, "NotImplementedError",
                "this controller does not broadcast: use a direct view, which does the same", NULL);
}

static void from_engine(void *self, struct message *message)
{
    struct broadcast *broadcast = self;
    (void)message;
    refusal_note(&broadcast->bad_reply, "nothing was broadcast");
}

static struct loop *broadcast_loop(void *self)
{
    return ((struct broadcast *)self)->loop;
}

static void broadcast_destroy(void *self)
{
    struct broadcast *broadcast = self;
    if (!broadcast)
        return;
    refusal_summary(&broadcast->bad_request);
    refusal_summary(&broadcast->bad_reply);
    loop_destroy(broadcast->loop);
    session_destroy(broadcast->session);
    free(broadcast);
}

static void *broadcast_create(struct controller *controller, struct ipcl_error *error)
{
    struct broadcast *broadcast = calloc(1, sizeof(*broadcast));
    if (!broadcast)
        return NULL;
    broadcast->bad_request.socket = "broadcast, client side";
    broadcast->bad_reply.socket = "broadcast, engine side";
    broadcast->session = controller_session(controller, error);
    broadcast->loop = loop_create(controller->context, "broadcast", error);
    controller->clients.broadcast_count = controller->engines.broadcast_count = 1;
    if (!broadcast->session || !broadcast->loop)
        goto failed;
    broadcast->clients =
        controller_listen(controller, ZMQ_ROUTER, NULL, &controller->clients.broadcast[0], error);
    if (loop_add(broadcast->loop, broadcast->clients, from_client, broadcast))
        goto failed;
    void *engines =
        controller_listen(controller, ZMQ_ROUTER, NULL, &controller->engines.broadcast[0], error);
    if (!loop_add(broadcast->loop, engines, from_engine, broadcast))
        return broadcast;
failed:
    broadcast_destroy(broadcast);
    return NULL;
}

const struct module broadcast_module = {"broadcast", broadcast_create, broadcast_loop,
                                        broadcast_destroy};
