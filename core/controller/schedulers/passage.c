/* Opening and closing the sockets of a thread that relays. Main's thread. */
#include "controller/schedulers/passage.h"

#include <unistd.h>

#include "controller/door/gate.h"

static int listen_to_engines(struct passage *passage, const struct passage_kind *kind, void *self,
                             struct controller *controller, int *port, struct ipcl_error *error)
{
    passage->losses = gate_watch_losses(error);
    if (loop_add_fd(passage->loop, passage->losses, kind->hear_losses, self))
        return -1;
    passage->targets.engines =
        controller_listen_mandatory(controller, kind->engine_identity, port, error);
    if (loop_add_open(passage->loop, passage->targets.engines, kind->from_engine, self))
        return -1;
    stats_watch(kind->engine_side, passage->loop, passage->targets.engines,
                &passage->sessions.engine_seal);
    return 0;
}

static int listen_to_clients(struct passage *passage, const struct passage_kind *kind, void *self,
                             struct controller *controller, int *port, struct ipcl_error *error)
{
    passage->clients = controller_listen(controller, CONNECTION_CLIENT, ZMQ_ROUTER,
                                         kind->client_identity, port, error);
    if (loop_add_open(passage->loop, passage->clients, kind->from_client, self))
        return -1;
    stats_watch(kind->client_side, passage->loop, passage->clients, &passage->sessions.client_seal);
    return 0;
}

int passage_open(struct passage *passage, const struct passage_kind *kind, void *self,
                 struct controller *controller, int *client_port, int *engine_port,
                 struct ipcl_error *error)
{
    passage->targets.self = self;
    passage->bad_request.socket = kind->client_side;
    passage->bad_reply.socket = kind->engine_side;
    passage->report.recording = controller->store != NULL;
    passage->loop = loop_create(kind->name, error);
    if (!passage->loop || asked_init(&passage->asked, controller->restarted, error) ||
        controller_sessions(controller, kind->seal_channel, &passage->sessions, error))
        return -1;
    passage->notices = channel_bind(controller, kind->notices, error);
    if (loop_add_ready(passage->loop, passage->notices, kind->read_notices, self) ||
        listen_to_engines(passage, kind, self, controller, engine_port, error) ||
        listen_to_clients(passage, kind, self, controller, client_port, error) ||
        replies_prepare(&passage->replies, controller, &passage->sessions.client_seal,
                        passage->clients, kind->client_side, error) ||
        targets_prepare(&passage->targets, controller, &passage->sessions.engine_seal,
                        kind->engine_side, error))
        return -1;
    replies_await_clients(&passage->replies, controller);
    replies_collect(&passage->replies);
    passage->targets.return_until_ms = passage->replies.early.until_ms;
    passage->report.socket = channel_connect(controller, CHANNEL_HUB, error);
    loop_set_tick(passage->loop, kind->on_tick, self);
    return loop_keep(passage->loop, passage->report.socket);
}

void passage_close(struct passage *passage)
{
    refusal_summary(&passage->bad_request);
    refusal_summary(&passage->bad_reply);
    targets_release(&passage->targets);
    replies_release(&passage->replies);
    asked_release(&passage->asked);
    loop_destroy(passage->loop);
    if (passage->losses > 0)
        close(passage->losses);
    sessions_destroy(&passage->sessions);
    report_release(&passage->report);
}
