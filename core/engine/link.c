/* The link between main thread and I/O thread. */
#include "engine/link.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int link_open(struct link *link, struct ipcl_error *error)
{
    link->returned_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    link->errand_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->returned_fd < 0 || link->errand_fd < 0 || sem_init(&link->given, 0, 0) ||
        sem_init(&link->done, 0, 0) || sem_init(&link->answered, 0, 0) ||
        pthread_mutex_init(&link->sending, NULL))
        return ipcl_error_set(error, "the engine's threads cannot be linked: %s", strerror(errno));
    atomic_store(&link->open, true);
    return 0;
}

void link_close(struct link *link)
{
    atomic_store(&link->open, false);
    close(link->returned_fd);
    close(link->errand_fd);
    sem_destroy(&link->given);
    sem_destroy(&link->done);
    link_forget_answer(link);
    sem_destroy(&link->answered);
    pthread_mutex_destroy(&link->sending);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) && errno == EINTR)
        ;
}

/* An eventfd that is neither full nor closed takes the write: so there is no failure to handle. */
static void announce(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static bool was_announced(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof(count)) == sizeof(count);
}

void link_give(struct link *link, struct job *job)
{
    link->job = job;
    sem_post(&link->given);
}

struct job *link_returned(struct link *link)
{
    return was_announced(link->returned_fd) ? link->job : NULL;
}

struct job *link_take(struct link *link)
{
    wait_for(&link->given);
    return link->job;
}

void link_return(struct link *link)
{
    announce(link->returned_fd);
}

bool link_send(struct link *link, struct errand *errand)
{
    if (!atomic_load(&link->open))
        return false;
    pthread_mutex_lock(&link->sending);
    link->errand = errand;
    announce(link->errand_fd);
    wait_for(&link->done);
    pthread_mutex_unlock(&link->sending);
    return true;
}

struct errand *link_errand(struct link *link)
{
    return was_announced(link->errand_fd) ? link->errand : NULL;
}

void link_errand_done(struct link *link)
{
    sem_post(&link->done);
}

void link_answer(struct link *link, char *text)
{
    free(atomic_exchange(&link->answer, text));
    sem_post(&link->answered);
}

void link_forget_answer(struct link *link)
{
    while (!sem_trywait(&link->answered))
        ;
    free(atomic_exchange(&link->answer, NULL));
}

bool link_wait_answer(struct link *link, char **text)
{
    if (sem_wait(&link->answered))
        return false;
    *text = atomic_exchange(&link->answer, NULL);
    return true;
}
