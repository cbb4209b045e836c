/* What the direct, the control and the broadcast thread have in common: each relays between clients
 * and the engines that they name, and has sockets and state for both sides. */
#ifndef SCHEDULERS_PASSAGE_H
#define SCHEDULERS_PASSAGE_H

#include "controller/delivery/replies.h"
#include "controller/delivery/targets.h"
#include "controller/exchange/asked.h"
#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/exchange/refusal.h"
#include "controller/exchange/report.h"
#include "wire/loop.h"

struct passage {
    struct loop *loop;
    struct sessions sessions;
    void *clients;
    void *notices;
    struct targets targets;
    struct replies replies;
    struct asked asked;
    int losses; /* reports answers that are too large to be read (gate.h) */
    struct report report;
    struct refusal bad_request;
    struct refusal bad_reply;
};

/* What differs between the threads. */
struct passage_kind {
    const char *name;
    enum channel notices;
    enum seal_channel seal_channel;
    const char *client_identity; /* ipyparallel's names of these ROUTERs */
    const char *engine_identity;
    enum stats_socket client_side;
    enum stats_socket engine_side;
    loop_receive *from_client, *from_engine;
    loop_ready *read_notices, *hear_losses;
    loop_tick *on_tick;
};

/* Opens a passage, which is zero except for the functions of `targets`; `self` is the thread's, for
 * all functions that are called. Returns 0, or -1 with `error` set: call passage_close() in both
 * cases. Main thread. */
int passage_open(struct passage *passage, const struct passage_kind *kind, void *self,
                 struct controller *controller, int *client_port, int *engine_port,
                 struct ipcl_error *error);
void passage_close(struct passage *passage);

#endif
