/* The names under which engines' sockets connect to a thread. Everybody knows an engine's uuid, and
 * a program that connects under it would get the engine's messages (ZMQ_ROUTER_HANDOVER). So our
 * engines connect under another name, their route. The engine makes it and tells only the hub. */
#ifndef CONTROLLER_EXCHANGE_ROUTES_H
#define CONTROLLER_EXCHANGE_ROUTES_H

#include <stdbool.h>
#include <zmq.h>

#include "controller/exchange/notice.h"

struct route;

/* All zero: without engines. */
struct routes {
    struct route *by_uuid, *by_name;
};

/* Adds an engine, replacing an earlier entry; `name` "": it has no name but its uuid. */
void routes_add(struct routes *routes, const char *uuid, const char *name);
void routes_forget(struct routes *routes, const char *uuid);
/* The name to send to: the route, or the uuid if no route is known. */
const char *routes_of(const struct routes *routes, const char *uuid);
/* The uuid of the engine that connects under this name, or NULL. */
const char *routes_owner(const struct routes *routes, const char *name);
/* Replaces the name that a message came under by the engine's uuid. Returns false if no engine
 * connects under that name. The uuid of an engine that has a route is no such name. */
bool routes_translate(const struct routes *routes, zmq_msg_t *name);
void routes_release(struct routes *routes);

#endif
