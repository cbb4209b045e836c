/* The link between the engine's main thread and its I/O thread: inproc sockets that carry pointers.
 */
#ifndef ENGINE_LINK_H
#define ENGINE_LINK_H

#include <pthread.h>

#include "engine/job.h"

/* Something a kernel publishes. Lives on the publishing thread's stack: link_publish() returns when
 * it was taken. */
struct publication {
    const char *msg_type;
    json_t *content;
    json_t *metadata;
    const struct ipcl_buffer *buffers;
    size_t buffer_count;
};

struct link {
    void *main_jobs;         /* PAIR, main thread */
    void *io_jobs;           /* PAIR, I/O thread */
    void *main_publications; /* PAIR, whoever holds `publishing` */
    void *io_publications;   /* PAIR, I/O thread */
    pthread_mutex_t publishing;
};

/* Returns 0 or -1 with `error` set. */
int link_open(struct link *link, void *context, struct ipcl_error *error);
/* Closes the main thread's ends; the I/O thread's are its loop's to close. */
void link_close_main(struct link *link);

/* Hands a job over: `socket` is the caller's end. */
void link_send(void *socket, struct job *job);
/* Waits for a job, over signals that are handled. NULL where the context has ended. */
struct job *link_receive(void *socket);
/* Publishes and waits until the I/O thread has read all output written before, so that order is
 * kept. Any thread but I/O. */
void link_publish(struct link *link, struct publication *publication);

#endif
