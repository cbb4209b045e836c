/* Engines' names. */
#include "controller/exchange/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "wire/message.h"

struct route {
    char uuid[ENGINE_UUID_BYTES];
    char name[ENGINE_UUID_BYTES];
    UT_hash_handle hh_uuid, hh_name;
};

static struct route *route_named(const struct routes *routes, const void *name, size_t size)
{
    struct route *route;
    HASH_FIND(hh_name, routes->by_name, name, size, route);
    return route;
}

static struct route *route_find(const struct routes *routes, const char *uuid)
{
    struct route *route;
    HASH_FIND(hh_uuid, routes->by_uuid, uuid, strlen(uuid), route);
    return route;
}

static void route_drop(struct routes *routes, struct route *route)
{
    HASH_DELETE(hh_uuid, routes->by_uuid, route);
    HASH_DELETE(hh_name, routes->by_name, route);
    free(route);
}

void routes_add(struct routes *routes, const char *uuid, const char *name)
{
    struct route *route;
    routes_forget(routes, uuid);
    route = calloc(1, sizeof(*route));
    if (!route)
        return;
    snprintf(route->uuid, sizeof(route->uuid), "%s", uuid);
    snprintf(route->name, sizeof(route->name), "%s", *name ? name : uuid);
    HASH_ADD_KEYPTR(hh_uuid, routes->by_uuid, route->uuid, strlen(route->uuid), route);
    HASH_ADD_KEYPTR(hh_name, routes->by_name, route->name, strlen(route->name), route);
}

void routes_forget(struct routes *routes, const char *uuid)
{
    struct route *route = route_find(routes, uuid);
    if (route)
        route_drop(routes, route);
}

const char *routes_of(const struct routes *routes, const char *uuid)
{
    const struct route *route = route_find(routes, uuid);
    return route ? route->name : uuid;
}

const char *routes_owner(const struct routes *routes, const char *name)
{
    const struct route *route = route_named(routes, name, strlen(name));
    return route ? route->uuid : NULL;
}

bool routes_translate(const struct routes *routes, zmq_msg_t *name)
{
    const struct route *route = route_named(routes, zmq_msg_data(name), zmq_msg_size(name));
    if (!route)
        return false;
    return !strcmp(route->uuid, route->name) ||
           !message_replace(name, route->uuid, strlen(route->uuid));
}

void routes_release(struct routes *routes)
{
    struct route *route, *next;
    HASH_ITER (hh_uuid, routes->by_uuid, route, next)
        route_drop(routes, route);
}
