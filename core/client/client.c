/* Clients: closing, the list of engines and the event function. Any thread. */
#include "client/client_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define SLICE_MS 100

int client_check_process(const struct ipcl_client *client, struct ipcl_error *error)
{
    if (client->forks == forks_so_far())
        return 0;
    return ipcl_error_set(
        error,
        "the parent of this process connected this client, before a fork: connect again in this "
        "process");
}

struct ipcl_client *ipcl_client_hold(struct ipcl_client *client)
{
    atomic_fetch_add(&client->holds, 1);
    return client;
}

void ipcl_client_release(struct ipcl_client *client)
{
    if (!client || atomic_fetch_sub(&client->holds, 1) != 1)
        return;
    if (client->io.context)
        zmq_ctx_term(client->io.context);
    if (client->wake_fd >= 0)
        close(client->wake_fd);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    for (size_t i = 0; i < client->engine_count; i++)
        free(client->engines[i].info);
    free(client->engines);
    free(client);
}

void client_set_state(struct ipcl_client *client, enum client_state state,
                      const struct ipcl_error *error)
{
    pthread_mutex_lock(&client->lock);
    client->state = state;
    if (error && !*client->error.text)
        client->error = *error;
    if (state == CLIENT_CLOSED)
        atomic_store(&client->closing, true); /* with the reason, for whoever sees it */
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

void client_set_reach(struct ipcl_client *client, bool out_of_reach)
{
    pthread_mutex_lock(&client->lock);
    client->out_of_reach = out_of_reach;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* Waits, with the lock, until something changes or a slice of time has passed. */
void client_wait_slice(struct ipcl_client *client, long long deadline)
{
    long long until_ms = clock_ms() + SLICE_MS;
    if (deadline >= 0 && deadline < until_ms)
        until_ms = deadline;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_cond_clockwait(&client->changed, &client->lock, CLOCK_MONOTONIC, &until);
}

void ipcl_client_close(struct ipcl_client *client)
{
    uint64_t one = 1;
    if (!client)
        return;
    if (client->forks != forks_so_far())
        return; /* its thread is the parent's */
    if (client->thread_started) {
        atomic_store(&client->closing, true);
        if (write(client->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
            log_error("a client's thread cannot be woken: %s", strerror(errno));
        pthread_join(client->thread, NULL);
        client->thread_started = false;
    }
    ipcl_client_release(client);
}

bool ipcl_client_closed(const struct ipcl_client *client)
{
    return atomic_load(&client->closing);
}

int ipcl_client_check(struct ipcl_client *client, struct ipcl_error *error)
{
    if (client_check_process(client, error))
        return -1;
    if (!ipcl_client_closed(client))
        return 0;
    pthread_mutex_lock(&client->lock);
    ipcl_error_set(error, "%s", *client->error.text ? client->error.text : "the client is closed");
    pthread_mutex_unlock(&client->lock);
    return -1;
}

unsigned long long ipcl_client_refused(const struct ipcl_client *client)
{
    return atomic_load(&client->refused);
}

const char *ipcl_client_connection_file(const struct ipcl_client *client)
{
    return client->path;
}

/* The first engine whose id is not lower. */
static size_t engine_place(const struct ipcl_client *client, int id)
{
    size_t low = 0, high = client->engine_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (client->engines[middle].public.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The engine with this id, or NULL. */
static struct listed_engine *engine_at(const struct ipcl_client *client, int id)
{
    size_t place = engine_place(client, id);
    return place < client->engine_count && client->engines[place].public.id == id
               ? &client->engines[place]
               : NULL;
}

int client_find_engine(struct ipcl_client *client, int id, char uuid[ENGINE_UUID_BYTES],
                       struct ipcl_error *error)
{
    pthread_mutex_lock(&client->lock);
    const struct listed_engine *engine = engine_at(client, id);
    size_t count = client->engine_count;
    if (engine)
        memcpy(uuid, engine->public.uuid, ENGINE_UUID_BYTES);
    pthread_mutex_unlock(&client->lock);
    if (engine)
        return 0;
    return ipcl_error_set(error, "there is no engine %d: %zu engine%s registered", id, count,
                          count == 1 ? " is" : "s are");
}

/* Room for an engine with this id, at its place; NULL if memory is short. */
static struct listed_engine *enter_engine(struct ipcl_client *client, int id)
{
    size_t place = engine_place(client, id);
    if (client->engine_count == client->engine_capacity) {
        size_t capacity = client->engine_capacity ? client->engine_capacity * 2 : 16;
        struct listed_engine *engines = realloc(client->engines, capacity * sizeof(*engines));
        if (!engines)
            return NULL;
        client->engines = engines;
        client->engine_capacity = capacity;
    }
    struct listed_engine *engine = &client->engines[place];
    memmove(engine + 1, engine, (client->engine_count - place) * sizeof(*engine));
    client->engine_count++;
    *engine = (struct listed_engine){.public.id = id};
    return engine;
}

void client_add_engine(struct ipcl_client *client, int id, const char *uuid, char *info)
{
    pthread_mutex_lock(&client->lock);
    struct listed_engine *engine = engine_at(client, id);
    if (!engine)
        engine = enter_engine(client, id);
    if (engine) {
        snprintf(engine->public.uuid, ENGINE_UUID_BYTES, "%s", uuid);
        free(engine->info);
        engine->info = info;
    } else {
        log_error("out of memory: engine %d is not added to the list of engines", id);
        free(info);
    }
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

void client_remove_engine(struct ipcl_client *client, int id, const char *uuid)
{
    pthread_mutex_lock(&client->lock);
    struct listed_engine *engine = engine_at(client, id);
    if (engine && !strcmp(engine->public.uuid, uuid)) {
        free(engine->info);
        client->engine_count--;
        memmove(engine, engine + 1,
                (size_t)(&client->engines[client->engine_count] - engine) * sizeof(*engine));
    }
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

size_t ipcl_client_engines(struct ipcl_client *client, struct ipcl_engine *engines, size_t capacity)
{
    pthread_mutex_lock(&client->lock);
    size_t count = ipcl_client_closed(client) ? 0 : client->engine_count;
    for (size_t i = 0; i < count && i < capacity; i++)
        engines[i] = client->engines[i].public;
    pthread_mutex_unlock(&client->lock);
    return count;
}

char *ipcl_client_engine_info(struct ipcl_client *client, int id)
{
    pthread_mutex_lock(&client->lock);
    const struct listed_engine *engine = engine_at(client, id);
    char *info = engine && engine->info ? strdup(engine->info) : NULL;
    pthread_mutex_unlock(&client->lock);
    return info;
}

int ipcl_client_wait_for_engines(struct ipcl_client *client, size_t count, int timeout_ms,
                                 bool (*interrupted)(void *context), void *context,
                                 struct ipcl_error *error)
{
    long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
    int status = 0;
    if (ipcl_client_check(client, error))
        return -1;
    pthread_mutex_lock(&client->lock);
    while (!status && (client->out_of_reach || client->engine_count < count)) {
        if (client->state != CLIENT_CONNECTED)
            status = ipcl_error_set(
                error, "%s", *client->error.text ? client->error.text : "the client is closed");
        else if (deadline >= 0 && clock_ms() >= deadline && client->out_of_reach)
            status = ipcl_error_set(
                error, "the controller of %s cannot be reached now: try again, it may come back",
                client->path);
        else if (deadline >= 0 && clock_ms() >= deadline)
            status = ipcl_error_set(
                error,
                "%zu of %zu engines have registered within %.1f s: look at the engines' logs, or start more "
                "(ipcluster engines --n=%zu)",
                client->engine_count, count, timeout_ms / 1000.0, count - client->engine_count);
        else
            client_wait_slice(client, deadline);
        pthread_mutex_unlock(&client->lock);
        if (!status && interrupted && interrupted(context))
            status = ipcl_error_set(error, "waiting for engines was interrupted");
        pthread_mutex_lock(&client->lock);
    }
    pthread_mutex_unlock(&client->lock);
    return status;
}

void ipcl_client_on_event(struct ipcl_client *client,
                          void (*event)(void *context, const struct ipcl_event *event),
                          void *context)
{
    pthread_mutex_lock(&client->lock);
    client->event = event;
    client->event_context = context;
    pthread_mutex_unlock(&client->lock);
}

void client_emit(struct ipcl_client *client, const struct ipcl_event *event)
{
    pthread_mutex_lock(&client->lock);
    void (*function)(void *context, const struct ipcl_event *event) = client->event;
    void *context = client->event_context;
    pthread_mutex_unlock(&client->lock);
    if (function)
        function(context, event);
}

void client_wake(struct ipcl_client *client)
{
    uint64_t one = 1;
    /* It fails only if the counter is full, and then the thread is awake. */
    if (write(client->wake_fd, &one, sizeof(one)) < 0)
        return;
}
