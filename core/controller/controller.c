/* Making the sockets and sessions of the controller's threads. */
#include "controller/controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int next_port(struct port_pool *pool)
{
    return pool->next < pool->count ? pool->ports[pool->next++] : 0;
}

/* Binds to the port that is asked for; or to the first of the pool's that is free, or any. */
static int bind_socket(struct controller *controller, void *socket, int *port,
                       struct ipcl_error *error)
{
    const char *interface = controller->engines.interface;
    if (*port)
        return socket_bind_port(socket, interface, port, error);
    while ((*port = next_port(&controller->pool)))
        if (!socket_bind_port(socket, interface, port, error))
            return 0;
    return socket_bind_port(socket, interface, port, error);
}

static void *listen_on(struct controller *controller, const struct socket_options *options,
                       int *port, struct ipcl_error *error)
{
    void *socket = socket_create(controller->context, options, error);
    if (!socket)
        return NULL;
    if (socket_set_up_listening(socket, error) || bind_socket(controller, socket, port, error)) {
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

void *controller_listen(struct controller *controller, int type, const char *identity, int *port,
                        struct ipcl_error *error)
{
    struct socket_options options = {
        .type = type,
        .curve = controller->encrypted ? &controller->curve : NULL,
        .identity = identity,
        .identity_size = identity ? strlen(identity) : 0,
        .frame_bytes_max = controller->frame_bytes_max,
        .linger_ms = 500,
    };
    return listen_on(controller, &options, port, error);
}

void *controller_listen_mandatory(struct controller *controller, const char *identity, int *port,
                                  struct ipcl_error *error)
{
    struct socket_options options = {
        .type = ZMQ_ROUTER,
        .curve = controller->encrypted ? &controller->curve : NULL,
        .identity = identity,
        .identity_size = strlen(identity),
        .mandatory = true,
        .frame_bytes_max = controller->frame_bytes_max,
    };
    return listen_on(controller, &options, port, error);
}

static void *inproc(struct controller *controller, int type, const char *name, bool bind,
                    struct ipcl_error *error)
{
    char url[64];
    struct socket_options options = {.type = type};
    void *socket = socket_create(controller->context, &options, error);
    snprintf(url, sizeof(url), "inproc://%s", name);
    if (socket && (bind ? socket_bind(socket, url, error) : socket_connect(socket, url, error))) {
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

void *controller_inproc_bind(struct controller *controller, int type, const char *name,
                             struct ipcl_error *error)
{
    return inproc(controller, type, name, true, error);
}

void *controller_inproc_connect(struct controller *controller, int type, const char *name,
                                struct ipcl_error *error)
{
    return inproc(controller, type, name, false, error);
}

struct session *controller_session(const struct controller *controller, struct ipcl_error *error)
{
    const struct connection *file = &controller->clients;
    return session_create(file->key, strlen(file->key), file->signature_scheme, controller->serial,
                          NULL, error);
}
