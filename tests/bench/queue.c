/* Measures the task scheduler with many tasks waiting: queue CONNECTION-FILE PID KIND COUNT, where
 * PID is the controller's and KIND "free" for tasks that wait for engines, or "graph" for tasks
 * that wait for each other, with COUNT dependencies in all.
 *
 * No engine is there at first: it submits the tasks, prints one JSON object, and waits for the
 * engines that its caller starts; then it takes the replies and prints another. A task is a call of
 * ipyparallel's client that does nothing, byte for byte in size. One thread with one socket. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire/connection.h"
#include "wire/local.h"
#include "wire/session.h"
#include "wire/socket.h"

#define FUNCTION_BYTES  294
#define ARGUMENTS_BYTES 52
#define CHAIN_LENGTH    1000
#define ID_BYTES        (MESSAGE_ID_LENGTH + 4) /* in a JSON list */

extern const struct ipcl_plugin ipcl_plugin; /* the JSON serializer */

static struct {
    void *socket;
    struct session *session;
    unsigned long long next; /* number of the next task */
    char *metadata;          /* room for that of a task that depends on many */
    size_t edges;
} all;

static void need(int good, const char *error)
{
    if (!good) {
        fprintf(stderr, "queue: %s\n", error);
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t resident_bytes(const char *pid)
{
    char path[64];
    unsigned long size, resident = 0;
    snprintf(path, sizeof(path), "/proc/%s/statm", pid);
    FILE *file = fopen(path, "r");
    need(file && fscanf(file, "%lu %lu", &size, &resident) == 2,
         "the controller's memory cannot be read");
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void connect_socket(const char *file)
{
    static struct connection connection;
    static struct curve curve;
    struct ipcl_error error;
    char url[CONNECTION_TEXT_BYTES + 16];
    need(!connection_read(file, CONNECTION_CLIENT, &connection, &error), error.text);
    struct socket_options options = {.type = ZMQ_DEALER};
    local_choose(&connection, connection.task);
    if (connection_is_encrypted(&connection)) {
        need(!curve_generate(&curve, &error), error.text);
        memcpy(curve.server_key, connection.curve_serverkey, CURVE_KEY_BYTES);
        options.curve = &curve;
    }
    all.socket = socket_create(zmq_ctx_new(), &options, &error);
    need(all.socket && !connection_url(&connection, connection.task, url, &error) &&
             !socket_connect(all.socket, url, &error),
         error.text);
    all.session = session_create(connection.key, strlen(connection.key),
                                 connection.signature_scheme, ipcl_plugin.operations, NULL, &error);
    need(all.session != NULL, error.text);
}

/* Sends a task that depends on `count` others: numbers first, first + step, ... Returns its
 * number. */
static unsigned long long submit(unsigned long long first, unsigned long long step, size_t count)
{
    static const char bytes[FUNCTION_BYTES];
    struct message message;
    char id[MESSAGE_ID_LENGTH + 1];
    char *end = all.metadata + sprintf(all.metadata, "{\"after\": [");
    for (size_t i = 0; i < count; i++) {
        session_message_id(session_id(all.session), first + i * step, id);
        end += sprintf(end, "%s\"%s\"", i ? ", " : "", id);
    }
    end += sprintf(end, "], \"follow\": [], \"timeout\": 0.0, \"targets\": [], \"retries\": 0}");
    session_message_id(session_id(all.session), all.next, id);
    struct session_parts parts = {.msg_type = "apply_request",
                                  .msg_id = id,
                                  .packed_metadata = all.metadata,
                                  .packed_metadata_size = (size_t)(end - all.metadata)};
    message_init(&message);
    struct ipcl_error error;
    need(!session_build(all.session, &message, &parts, NULL, &error), error.text);
    message_append(&message, bytes, FUNCTION_BYTES);
    message_append(&message, bytes, ARGUMENTS_BYTES);
    need(!session_sign(all.session, &message, &error), error.text);
    message_send(&message, all.socket);
    message_close(&message);
    all.edges += count;
    return all.next++;
}

/* Chains, a fan out, a fan in, and diamonds, a quarter of all dependencies each. */
static void submit_graph(size_t edges)
{
    size_t quarter = edges / 4;
    for (size_t i = 0; i < quarter; i += CHAIN_LENGTH)
        for (size_t k = 0; k <= CHAIN_LENGTH; k++)
            submit(all.next - 1, 1, k ? 1 : 0);
    unsigned long long root = submit(0, 0, 0);
    for (size_t i = 0; i < quarter; i++)
        submit(root, 1, 1);
    submit(root + 1, 1, quarter);
    for (size_t i = 0; i < quarter; i += 4) {
        unsigned long long top = submit(0, 0, 0);
        submit(top, 1, 1);
        submit(top, 1, 1);
        submit(top + 1, 1, 2);
    }
}

/* Waits for one reply. Returns whether it is a success. */
static bool take(void)
{
    struct message message;
    struct ipcl_member status = {.name = "status"};
    message_init(&message);
    need(!message_recv(&message, all.socket, 0), "no reply can be received");
    need(!session_find(all.session, message_part(&message, MESSAGE_CONTENT), &status, 1),
         "a reply is malformed");
    bool good = status.state == IPCL_MEMBER_TEXT && status.size == 2;
    message_close(&message);
    return good;
}

int main(int argc, char **argv)
{
    need(argc == 5, "usage: queue CONNECTION-FILE PID free|graph COUNT");
    size_t count = strtoul(argv[4], NULL, 10);
    all.metadata = malloc(256 + count * ID_BYTES);
    need(all.metadata != NULL, "out of memory");
    connect_socket(argv[1]);
    size_t before = resident_bytes(argv[2]);
    double start = now();
    if (!strcmp(argv[3], "graph"))
        submit_graph(count);
    else
        for (size_t i = 0; i < count; i++)
            submit(0, 0, 0);
    size_t tasks = all.next;
    /* A task that depends on itself is refused at once, after all earlier tasks are taken. */
    submit(tasks, 1, 1);
    need(!take(), "a task ran without an engine, or before it could");
    double entered = now() - start;
    printf("{\"tasks\": %zu, \"dependencies\": %zu, \"submit_s\": %.3f, \"bytes_a_task\": %.0f}\n",
           tasks, all.edges - 1, entered,
           (double)(resident_bytes(argv[2]) - before) / (double)tasks);
    fflush(stdout);
    size_t failed = !take();
    start = now();
    for (size_t i = 1; i < tasks; i++)
        failed += !take();
    double drained = now() - start;
    sleep(3); /* the controller gives memory back when it has been idle */
    printf("{\"drain_s\": %.3f, \"failed\": %zu, \"left_bytes\": %zd}\n", drained, failed,
           (ssize_t)(resident_bytes(argv[2]) - before));
    return 0;
}
