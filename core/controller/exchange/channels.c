/* The channels between the controller's threads. */
#include "controller/exchange/channels.h"

#include <stdio.h>

#include "base/random.h"
#include "controller/exchange/controller.h"

/* By which a ROUTER knows what connects within the program: nobody outside guesses it, and takes it
 * (ZMQ_ROUTER_HANDOVER). */
#define NAME_DIGITS 32

static const struct {
    const char *name;
    int binds, connects; /* the types of the two sockets */
} channels[CHANNELS] = {
    [CHANNEL_HEART] = {"heart", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_IOPUB] = {"iopub", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_DIRECT] = {"direct", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_CONTROL] = {"control", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_TASK] = {"task", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_BROADCAST] = {"broadcast", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_HUB] = {"hub", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_MAIN] = {"main", ZMQ_PAIR, ZMQ_PAIR},
    [CHANNEL_RECORDS] = {"records", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_NOTES] = {"notes", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_TASKS] = {"tasks", ZMQ_ROUTER, ZMQ_DEALER},
    [CHANNEL_RESTORED] = {"restored", ZMQ_PULL, ZMQ_PUSH},
    [CHANNEL_CONNECTIONS] = {"connections", ZMQ_PAIR, ZMQ_PAIR},
};

void channel_url(enum channel channel, char url[CHANNEL_URL_BYTES])
{
    snprintf(url, CHANNEL_URL_BYTES, "inproc://%s", channels[channel].name);
}

static void *open_end(struct controller *controller, enum channel channel, bool binds,
                      struct ipcl_error *error)
{
    char url[CHANNEL_URL_BYTES], identity[NAME_DIGITS + 1];
    struct socket_options options = {.type = binds ? channels[channel].binds
                                                   : channels[channel].connects,
                                     .identity = identity,
                                     .identity_size = NAME_DIGITS};
    random_hex(identity, NAME_DIGITS);
    void *socket = socket_create(controller->context, &options, error);
    channel_url(channel, url);
    if (socket && (binds ? socket_bind(socket, url, error) : socket_connect(socket, url, error))) {
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

void *channel_bind(struct controller *controller, enum channel channel, struct ipcl_error *error)
{
    return open_end(controller, channel, true, error);
}

void *channel_connect(struct controller *controller, enum channel channel, struct ipcl_error *error)
{
    return open_end(controller, channel, false, error);
}
