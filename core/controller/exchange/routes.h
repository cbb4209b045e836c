/* Under which names engines' sockets come to a thread. The name that everybody knows an engine by
 * is its uuid; whoever connects under it gets what is meant for that engine (ZMQ_ROUTER_HANDOVER).
 * So our engines connect under another, which they make and tell the hub alone: their route. */
#ifndef CONTROLLER_EXCHANGE_ROUTES_H
#define CONTROLLER_EXCHANGE_ROUTES_H

#include <stdbool.h>
#include <zmq.h>

#include "controller/exchange/notice.h"

struct route;

/* All zeros: of no engine. */
struct routes {
    struct route *by_uuid, *by_name;
};

/* Enters an engine, in the place of what was known of it; `name` "": it has none but its uuid. */
void routes_add(struct routes *routes, const char *uuid, const char *name);
void routes_forget(struct routes *routes, const char *uuid);
/* The name to send to: the uuid where no other is known. */
const char *routes_of(const struct routes *routes, const char *uuid);
/* The uuid of the engine that has this name, or NULL. */
const char *routes_owner(const struct routes *routes, const char *name);
/* Puts the uuid in the place of the name that a message came under. Returns false where no engine
 * has that name, as where it is the uuid of one that has another. */
bool routes_translate(const struct routes *routes, zmq_msg_t *name);
void routes_release(struct routes *routes);

#endif
