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

struct io;

/* Something that the I/O thread is to do for another, which waits. The first member of a struct on
 * the waiting thread's stack. */
struct errand {
    void (*run)(struct io *io, struct errand *errand); /* I/O thread */
};

/* The semaphores and descriptors also order the memory of what they announce. */
struct link {
    atomic_bool open;
    struct job *job; /* handed over: one at a time is with the main thread */
    sem_t given;
    int returned_fd;       /* eventfd: the job has come back */
    struct errand *errand; /* of whoever holds `sending` */
    sem_t done;
    int errand_fd; /* eventfd: there is an errand */
    pthread_mutex_t sending;
    sem_t answered;         /* posted when a question is answered, or will not be: see `answer` */
    _Atomic(char *) answer; /* malloc'ed; NULL: there will be none */
};

/* Returns 0 or -1 with `error` set. */
int link_open(struct link *link, struct ipcl_error *error);
/* Main thread, when the I/O thread has ended. */
void link_close(struct link *link);

/* Hands a job to the main thread, which has none. I/O thread. */
void link_give(struct link *link, struct job *job);
/* The job that returned_fd announces, or NULL. I/O thread. */
struct job *link_returned(struct link *link);
/* Waits for a job, also after signals that are handled. Main thread. */
struct job *link_take(struct link *link);
/* Hands the job back. Main thread. */
void link_return(struct link *link);

/* Has the I/O thread run an errand, and waits until that is done. Returns false if the link is not
 * open. Any thread except I/O. */
bool link_send(struct link *link, struct errand *errand);
/* The errand that errand_fd announces, or NULL; and lets its sender go on. I/O thread. */
struct errand *link_errand(struct link *link);
void link_errand_done(struct link *link);

/* Answers a question, with malloc'ed text or NULL. I/O thread. */
void link_answer(struct link *link, char *text);
/* Forgets an answer that nobody waited for. I/O thread, before a question is asked. */
void link_forget_answer(struct link *link);
/* Waits for an answer. Returns false if a signal came first. Main thread. */
bool link_wait_answer(struct link *link, char **text);

#endif
