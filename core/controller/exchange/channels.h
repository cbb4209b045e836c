/* The channels by which the controller's threads talk to each other: sockets within the process
 * (inproc), each bound by one thread. */
#ifndef CONTROLLER_EXCHANGE_CHANNELS_H
#define CONTROLLER_EXCHANGE_CHANNELS_H

#include <ipcluster/error.h>

struct controller;

enum channel {
    /* From the hub to each of the threads that engines connect to: notices (notice.h). */
    CHANNEL_HEART,
    CHANNEL_IOPUB,
    CHANNEL_DIRECT, /* from here on: those that forward requests */
    CHANNEL_CONTROL,
    CHANNEL_TASK,
    CHANNEL_BROADCAST,
    CHANNEL_LISTENERS, /* how many these are, and no channel; likewise below */
    /* From these to the hub: reports (report.h). */
    CHANNEL_HUB = CHANNEL_LISTENERS,
    /* From the hub to main: a message asks it to stop the controller. */
    CHANNEL_MAIN,
    /* From the hub to the records thread and back (records.h). */
    CHANNEL_RECORDS,
    CHANNEL_NOTES,
    /* From the hub to the task thread, as a client: tasks that are submitted again. */
    CHANNEL_TASKS,
    /* From the records thread to the task thread: tasks of the previous controller (restored.h). */
    CHANNEL_RESTORED,
    /* From libzmq to the heart thread: connections that have ended. */
    CHANNEL_CONNECTIONS,
    CHANNELS
};

#define CHANNEL_URL_BYTES 64

/* The address of a channel, for what is no socket of its own. */
void channel_url(enum channel channel, char url[CHANNEL_URL_BYTES]);
/* The end of a channel that binds, and the one that connects: each of the type that the table in
 * channels.c says. NULL with `error` set on failure. */
void *channel_bind(struct controller *controller, enum channel channel, struct ipcl_error *error);
void *channel_connect(struct controller *controller, enum channel channel,
                      struct ipcl_error *error);

#endif
