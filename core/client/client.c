/* Clients: connecting, closing, the list of engines and the event function. Any thread. */
#include "client/client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "config/profile.h"
#include "wire/serializer.h"

#define TIMEOUT_MS 10000
#define SLICE_MS   100
/* Sockets, their connections, and both ends of their monitors; and what wakes the thread. */
#define DESCRIPTORS (4 * SOCKET_COUNT + 1)

int client_check_process(const struct ipcl_client *client, struct ipcl_error *error)
{
    if (client->forks == forks_so_far())
        return 0;
    return ipcl_error_set(
        error,
        "this client was connected before a fork, by the parent of this process: connect anew in this one");
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
        atomic_store(&client->closing, true); /* with the reason, for who sees it */
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

static struct ipcl_client *client_create(const struct ipcl_connect *options,
                                         struct ipcl_error *error)
{
    /* The limits are those of the program that uses this library: they are looked at, and not
     * changed. */
    const struct socket_needs needs = {
        .who = "a client", .io_threads = 1, .descriptors = DESCRIPTORS, .threads = 1};
    struct ipcl_client *client = calloc(1, sizeof(*client));
    if (!client) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    atomic_init(&client->holds, 1);
    client->forks = forks_so_far();
    client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    client->drops_tasks = options->drop_tasks;
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    random_uuid(client->session_id);
    client->wake_fd = -1;
    client->io.context = socket_context(&needs, error);
    if (client->io.context && (client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        ipcl_error_set(error, "cannot make an event counter: %s", strerror(errno));
    if (client->wake_fd < 0) {
        ipcl_client_release(client);
        return NULL;
    }
    return client;
}

/* Waits until there is a file that is not the one of `before`. Returns false where there is none
 * until then, or it was interrupted. */
static bool wait_for_file(const char *path, const struct path_mark *before, long long deadline,
                          bool (*interrupted)(void *context), void *context)
{
    struct timespec slice = {.tv_nsec = SLICE_MS * 1000000};
    while (!path_is_new(path, before)) {
        if (clock_ms() >= deadline || (interrupted && interrupted(context)))
            return false;
        nanosleep(&slice, NULL);
    }
    return true;
}

/* Finds the connection file and waits for it, unless it was named. Returns 0 or -1 with `error`
 * set. */
static int find_file(struct ipcl_client *client, const struct ipcl_connect *options,
                     long long deadline, bool (*interrupted)(void *context), void *context,
                     struct ipcl_error *error)
{
    const struct path_mark none = {0};
    char ipython_dir[PATH_BYTES];
    struct profile profile;
    if (options->connection_file)
        return path_expand(options->connection_file, client->path, error);
    if (profile_ipython_dir(NULL, ipython_dir, error) ||
        profile_find(ipython_dir, options->profile, options->profile_dir, &profile, error) ||
        connection_path(profile.dir, options->cluster_id, CONNECTION_CLIENT, client->path, error))
        return -1;
    if (!path_exists(client->path) &&
        !wait_for_file(client->path, &none, deadline, interrupted, context) &&
        clock_ms() < deadline)
        return ipcl_error_set(error, "waiting for %s was interrupted", client->path);
    return 0;
}

/* As ipyparallel's client: a server that the caller names is used, the file's where the controller
 * is elsewhere, and a key is for a server. Returns 0 or -1 with `error` set. */
static int choose_tunnel(struct ipcl_client *client, const struct ipcl_connect *options,
                         struct ipcl_error *error)
{
    struct connection *connection = &client->connection;
    bool server = options->ssh_server && *options->ssh_server,
         key = options->ssh_key && *options->ssh_key;
    if (server && strlen(options->ssh_server) >= sizeof(connection->ssh))
        return ipcl_error_set(error, "the name of the SSH server is longer than %zu bytes",
                              sizeof(connection->ssh) - 1);
    if (server)
        strcpy(connection->ssh, options->ssh_server);
    else if (*connection->ssh && connection_is_local(connection))
        connection->ssh[0] = '\0';
    client->tunnelled = key || *connection->ssh;
    return key ? path_expand(options->ssh_key, client->ssh_key, error) : 0;
}

static int load_serializer(struct ipcl_client *client, struct ipcl_error *error)
{
    struct registry *registry = registry_create(NULL, error);
    if (!registry)
        return -1;
    client->serial =
        serializer_load(registry, client->connection.pack, client->connection.unpack, error);
    registry_destroy(registry); /* a loaded plugin stays */
    return client->serial ? 0 : -1;
}

/* The thread inherits its mask, and the threads that zmq starts in it do: no signal is ever handled
 * there. */
static int start_thread(struct ipcl_client *client, struct ipcl_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&client->thread, NULL, io_main, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return ipcl_error_set(error, "cannot start a thread: %s", strerror(failed));
    pthread_setname_np(client->thread, "ipcl-client");
    client->thread_started = true;
    return 0;
}

/* Waits, with the lock, until something changes or a slice of time has passed. */
static void wait_slice(struct ipcl_client *client, long long deadline)
{
    long long until_ms = clock_ms() + SLICE_MS;
    if (deadline >= 0 && deadline < until_ms)
        until_ms = deadline;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_cond_clockwait(&client->changed, &client->lock, CLOCK_MONOTONIC, &until);
}

/* Returns 0 once the client is connected, or -1 with `error` set. */
static int await_connection(struct ipcl_client *client, bool (*interrupted)(void *context),
                            void *context, struct ipcl_error *error)
{
    bool stop = false;
    pthread_mutex_lock(&client->lock);
    while (client->state == CLIENT_CONNECTING && !stop) {
        wait_slice(client, -1);
        pthread_mutex_unlock(&client->lock);
        stop = interrupted && interrupted(context);
        if (stop)
            atomic_store(&client->closing, true);
        pthread_mutex_lock(&client->lock);
    }
    bool connected = client->state == CLIENT_CONNECTED;
    if (!connected)
        ipcl_error_set(error, "%s", stop ? "connecting was interrupted" : client->error.text);
    pthread_mutex_unlock(&client->lock);
    return connected ? 0 : -1;
}

/* Returns 0 once the client is connected, or -1 with `error` set. `file` is noted before it is
 * read. */
static int connect_by_file(struct ipcl_client *client, const struct ipcl_connect *options,
                           struct path_mark *file, bool (*interrupted)(void *context),
                           void *context, struct ipcl_error *error)
{
    path_note(client->path, file);
    return connection_read(client->path, CONNECTION_CLIENT, &client->connection, error) ||
                   choose_tunnel(client, options, error) || load_serializer(client, error) ||
                   start_thread(client, error) ||
                   await_connection(client, interrupted, context, error)
               ? -1
               : 0;
}

/* Whether another file is waited for: where the time for that was given, and this file, which was
 * not named, is that of a controller that has gone. One that comes writes another. */
static bool awaits_another(const struct ipcl_client *client, const struct ipcl_connect *options)
{
    return options->timeout_ms > 0 && !options->connection_file && client->thread_started &&
           !atomic_load(&client->closing) && (!client->io.reached || client->io.rejected);
}

struct ipcl_client *ipcl_client_connect(const struct ipcl_connect *options,
                                        bool (*interrupted)(void *context), void *context,
                                        struct ipcl_error *error)
{
    struct ipcl_connect rest = *options;
    struct path_mark file;
    char path[PATH_BYTES];
    bool again = false;
    long long deadline = 0;
    if (client_trace_by_environment(error))
        return NULL;
    do {
        struct ipcl_client *client = client_create(&rest, error);
        if (!client)
            return NULL;
        deadline = deadline ? deadline : clock_ms() + client->timeout_ms;
        if (!find_file(client, &rest, deadline, interrupted, context, error) &&
            !connect_by_file(client, &rest, &file, interrupted, context, error))
            return client;
        again = awaits_another(client, options);
        strcpy(path, client->path);
        ipcl_client_close(client);
        again = again && wait_for_file(path, &file, deadline, interrupted, context);
        rest.timeout_ms = (int)(deadline - clock_ms());
    } while (again && rest.timeout_ms > 0);
    return NULL;
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

/* Room for an engine with this id, at its place; NULL where memory is short. */
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
        log_error("out of memory: engine %d is not noted", id);
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
                error, "the controller of %s cannot be reached at the moment: it may come back",
                client->path);
        else if (deadline >= 0 && clock_ms() >= deadline)
            status = ipcl_error_set(
                error,
                "%zu of %zu engines have registered within %.1f s: look at the engines' logs, or start more "
                "(ipcluster engines --n=%zu)",
                client->engine_count, count, timeout_ms / 1000.0, count - client->engine_count);
        else
            wait_slice(client, deadline);
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
