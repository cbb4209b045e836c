/* Connecting a client: its file, its serializer, its thread. Any thread. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "client/io_private.h"
#include "client/tracing_private.h"
#include "config/profile.h"
#include "plugin/registry.h"
#include "wire/serializer.h"

#define TIMEOUT_MS 10000
#define SLICE_MS   100
/* Sockets, their connections, and both ends of their monitors; and what wakes the thread, by its
 * loop or by a submission; and a connection for segments. */
#define DESCRIPTORS (4 * SOCKET_COUNT + 3)

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

/* Waits until there is a file, and it is another than `before`. Returns false if there is none
 * until the deadline, or it was interrupted. */
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

/* As in ipyparallel's client: uses the SSH server that the caller names, or the file's if the
 * controller is on another host. A key alone also asks for SSH. Returns 0 or -1 with `error`
 * set. */
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
    int failed = pthread_create(&client->thread, NULL, client_io_main, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return ipcl_error_set(error, "cannot start a thread: %s", strerror(failed));
    pthread_setname_np(client->thread, "ipcl-client");
    client->thread_started = true;
    return 0;
}

/* Returns 0 once the client is connected, or -1 with `error` set. */
static int await_connection(struct ipcl_client *client, bool (*interrupted)(void *context),
                            void *context, struct ipcl_error *error)
{
    bool stop = false;
    pthread_mutex_lock(&client->lock);
    while (client->state == CLIENT_CONNECTING && !stop) {
        client_wait_slice(client, -1);
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

/* Whether to wait for another file: if there is a time-out for that, and this file, which the
 * caller did not name, is that of a controller that has gone. A new one writes another file. */
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
