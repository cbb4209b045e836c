/* The link between the engine's main thread, which has the kernel, and its I/O thread: one slot
 * each way, and what wakes the other side. The main thread sleeps on a semaphore, the I/O thread
 * polls file descriptors. A task passes here twice, and sockets between the two threads cost more
 * system calls than all else that an engine does for it. */
#ifndef ENGINE_LINK_H
#define ENGINE_LINK_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

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

/* The semaphores and descriptors also order the memory of what they announce. */
struct link {
    atomic_bool open;
    struct job *job; /* handed over: one at a time is with the main thread */
    sem_t given;
    int returned_fd;                 /* eventfd: the job has come back */
    struct publication *publication; /* of whoever holds `publishing` */
    sem_t taken;
    int published_fd; /* eventfd: there is a publication */
    pthread_mutex_t publishing;
};

/* Returns 0 or -1 with `error` set. */
int link_open(struct link *link, struct ipcl_error *error);
/* Main thread, when the I/O thread has ended. */
void link_close(struct link *link);

/* Hands a job to the main thread, which has none. I/O thread. */
void link_give(struct link *link, struct job *job);
/* The job that returned_fd announces, or NULL. I/O thread. */
struct job *link_returned(struct link *link);
/* Waits for a job, over signals that are handled. Main thread. */
struct job *link_take(struct link *link);
/* Hands the job back. Main thread. */
void link_return(struct link *link);

/* Publishes and waits until the I/O thread has read all output written before, so that order is
 * kept; does nothing while the link is not open. Any thread but I/O. */
void link_publish(struct link *link, struct publication *publication);
/* The publication that published_fd announces, or NULL; and lets its publisher go on. I/O thread.
 */
struct publication *link_publication(struct link *link);
void link_published(struct link *link);

#endif
