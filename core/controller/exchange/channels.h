/* The channels between the controller's threads: sockets within the process (inproc), each bound by
 * one thread. */
#ifndef CONTROLLER_EXCHANGE_CHANNELS_H
#define CONTROLLER_EXCHANGE_CHANNELS_H

#include <ipcluster/error.h>

struct controller;

enum channel {
    /* From the hub to each thread that engines connect to: notices (notice.h). */
    CHANNEL_HEART,
    CHANNEL_IOPUB,
    CHANNEL_DIRECT, /* from here on: the threads that forward requests */
    CHANNEL_CONTROL,
    CHANNEL_TASK,
    CHANNEL_BROADCAST,
    CHANNEL_LISTENERS, /* no channel: the number of those above; CHANNELS likewise */
    /* From these threads to the hub: reports (report.h). */
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

/* The address of a channel, for code that makes the socket in another way. */
void channel_url(enum channel channel, char url[CHANNEL_URL_BYTES]);
/* The ends of a channel: one binds, the other connects. The table in channels.c has their types.
 * NULL with `error` set on failure. */
void *channel_bind(struct controller *controller, enum channel channel, struct ipcl_error *error);
void *channel_connect(struct controller *controller, enum channel channel,
                      struct ipcl_error *error);

#endif
