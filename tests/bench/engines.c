/* Simulated engines, many to a process: engines [--segments] CONNECTION-FILE COUNT [INFO-FILE]
 * registers COUNT of them, each with sockets of its own, answers heartbeats, and every request at
 * once with success; an apply's result is None. With --segments they take large buffers in shared
 * memory. What each says of itself is its element of the JSON list in INFO-FILE.
 *
 * Prints one JSON object when the heart of each has been heard and answered: {"registered": COUNT,
 * "seconds": ...}; and another when standard input ends, which ends the engines: {"answered":
 * requests, "engines": those that are left}. They leave without a word unless "leave" was read
 * before. One thread owns all sockets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "wire/connection.h"
#include "wire/local.h"
#include "wire/seal.h"
#include "wire/segment_link.h"
#include "wire/session.h"
#include "wire/socket.h"

#define UUID_BYTES 37
#define EVENTS     256
#define BATCH      64 /* messages of one socket in a row */
#define REPEAT_MS  10000

extern const struct ipcl_plugin ipcl_plugin; /* the JSON serializer */

enum { REGISTRAR, SHELL, CONTROL, IOPUB, PING, PONG, SOCKETS };

struct engine {
    char uuid[UUID_BYTES];
    void *sockets[SOCKETS];
    bool registered, beating;
    long long id;
    char *metadata; /* of a reply, packed */
    size_t metadata_size;
    struct segment_link segments;
};

static struct {
    void *context;
    struct connection connection;
    struct curve curve;
    struct session *session;
    const struct ipcl_serial_operations *serial;
    struct engine *engines;
    json_t *infos;
    size_t count, beating, left;
    unsigned long long answered;
    int epoll;
    long long started_ms, repeat_ms;
    bool leave, segments;
    uint64_t *busy; /* sockets that may have something to read */
    size_t busy_count;
    bool *is_busy;
} all;

static void need(int good, const char *error)
{
    if (!good) {
        fprintf(stderr, "engines: %s\n", error);
        exit(1);
    }
}

static void watch(int descriptor, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    need(!epoll_ctl(all.epoll, EPOLL_CTL_ADD, descriptor, &event), strerror(errno));
}

static void look_at(uint64_t tag)
{
    if (!all.is_busy[tag])
        all.busy[all.busy_count++] = tag;
    all.is_busy[tag] = true;
}

static void connect_port(void *socket, int port)
{
    struct ipcl_error error;
    char url[CONNECTION_TEXT_BYTES + 16];
    need(!connection_url(&all.connection, port, url, &error) &&
             !socket_connect(socket, url, &error),
         error.text);
}

static void open_socket(struct engine *engine, int which, int type, int port)
{
    struct ipcl_error error;
    struct socket_options options = {
        .type = type,
        .curve = connection_is_encrypted(&all.connection) ? &all.curve : NULL,
        .identity = type == ZMQ_SUB ? NULL : engine->uuid,
        .identity_size = type == ZMQ_SUB ? 0 : strlen(engine->uuid),
        .linger_ms = 500,
    };
    int descriptor;
    size_t size = sizeof(descriptor);
    void *socket = engine->sockets[which] = socket_create(all.context, &options, &error);
    need(socket != NULL, error.text);
    if (type == ZMQ_SUB)
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    connect_port(socket, port);
    zmq_getsockopt(socket, ZMQ_FD, &descriptor, &size);
    uint64_t tag = (uint64_t)(engine - all.engines) * SOCKETS + (uint64_t)which;
    watch(descriptor, tag);
    look_at(tag); /* its descriptor tells of changes only after the socket was found empty */
}

static void close_engine(struct engine *engine)
{
    for (int i = 0; i < SOCKETS; i++)
        if (engine->sockets[i])
            zmq_close(engine->sockets[i]);
    memset(engine->sockets, 0, sizeof(engine->sockets));
    segment_link_close(&engine->segments);
    all.left--;
}

static void tell_hub(struct engine *engine, const char *msg_type, json_t *content)
{
    struct ipcl_error error;
    struct message message;
    struct session_parts parts = {.msg_type = msg_type, .content = content};
    message_init(&message);
    need(!session_build(all.session, &message, &parts, NULL, &error) &&
             !session_sign(all.session, &message, &error),
         error.text);
    message_send(&message, engine->sockets[REGISTRAR]);
    message_close(&message);
    json_decref(content);
}

static void ask_for_id(struct engine *engine)
{
    json_t *info = json_array_get(all.infos, (size_t)(engine - all.engines));
    tell_hub(engine, "registration_request",
             json_pack("{s:s s:O*}", "uuid", engine->uuid, "info", info));
}

static void start_engine(struct engine *engine)
{
    random_uuid(engine->uuid);
    open_socket(engine, REGISTRAR, ZMQ_DEALER, all.connection.registration);
    ask_for_id(engine);
}

/* A request is lost if the controller is so busy that it takes a connection's handshake for a
 * stranger's that never ends. Engines repeat theirs, too. */
static void repeat_requests(void)
{
    if (clock_ms() < all.repeat_ms)
        return;
    all.repeat_ms = clock_ms() + REPEAT_MS;
    for (size_t i = 0; i < all.count; i++)
        if (!all.engines[i].registered && all.engines[i].sockets[REGISTRAR]) {
            ask_for_id(&all.engines[i]);
            look_at(i * SOCKETS + REGISTRAR); /* sending may take what its descriptor tells of */
        }
}

/* Packs the metadata of a reply; if `size` is not 0, of a reply to a broadcast. */
static void pack_metadata(struct engine *engine, const char *original_msg_id, int size,
                          bool coalescing, char **packed, size_t *packed_size)
{
    struct ipcl_error error;
    char date[CLOCK_DATE_BYTES];
    clock_date(date);
    json_t *metadata =
        json_pack("{s:s s:b s:s s:b s:b s:s% s:s}", "started", date, "dependencies_met", 1,
                  "engine", engine->uuid, "is_broadcast", size > 0, "is_coalescing", coalescing,
                  "original_msg_id", original_msg_id, (size_t)size, "status", "ok");
    *packed = metadata ? all.serial->pack(metadata, packed_size, &error) : NULL;
    need(*packed != NULL, "out of memory");
    json_decref(metadata);
}

static void open_segments(struct engine *engine, const char *text)
{
    unsigned char life[SEAL_LIFE_BYTES];
    if (all.segments && !seal_read_life(text, life))
        segment_link_open(&engine->segments, &all.connection, all.session, CONNECTION_ENGINE,
                          engine->uuid, life);
}

/* The heart is connected last: the hub hears it when everything else is connected. */
static void take_id(struct engine *engine, struct message *message)
{
    const struct connection *connection = &all.connection;
    json_t *content = session_unpack(all.session, message_part(message, MESSAGE_CONTENT), NULL);
    const char *status = "", *evalue = "", *life = "";
    json_int_t id = -1;
    json_unpack(content, "{s?s s?s s?I s?s}", "status", &status, "evalue", &evalue, "id", &id,
                "life", &life);
    need(engine->registered || (!strcmp(status, "ok") && id >= 0), evalue);
    if (!engine->registered) { /* otherwise it answers a request that was repeated */
        engine->registered = true;
        engine->id = id;
        open_segments(engine, life);
        pack_metadata(engine, "", 0, false, &engine->metadata, &engine->metadata_size);
        open_socket(engine, SHELL, ZMQ_ROUTER, connection->mux);
        connect_port(engine->sockets[SHELL], connection->task);
        if (connection->broadcast_count)
            connect_port(engine->sockets[SHELL],
                         connection->broadcast[id % connection->broadcast_count]);
        open_socket(engine, CONTROL, ZMQ_ROUTER, connection->control);
        open_socket(engine, IOPUB, ZMQ_PUB, connection->iopub);
        open_socket(engine, PONG, ZMQ_DEALER, connection->hb_pong);
        open_socket(engine, PING, ZMQ_SUB, connection->hb_ping);
    }
    json_decref(content);
}

static void beat(struct engine *engine, struct message *message)
{
    message_send(message, engine->sockets[PONG]);
    if (engine->beating)
        return;
    engine->beating = true;
    if (++all.beating == all.count) {
        printf("{\"registered\": %zu, \"seconds\": %.3f}\n", all.count,
               (double)(clock_ms() - all.started_ms) / 1000);
        fflush(stdout);
    }
}

static bool is(const struct ipcl_member *member, const char *text)
{
    return member->state == IPCL_MEMBER_TEXT && member->size == strlen(text) &&
           !memcmp(member->data, text, member->size);
}

static bool is_true(const struct ipcl_member *member)
{
    return member->state == IPCL_MEMBER_OTHER && member->size == 4 &&
           !memcmp(member->data, "true", 4);
}

/* "apply_request" is answered by "apply_reply". */
static void reply_type(const struct ipcl_member *request, char type[64])
{
    int length = request->state == IPCL_MEMBER_TEXT && request->size < 48 ? (int)request->size : 0;
    if (length > 8 && !memcmp(request->data + length - 8, "_request", 8))
        length -= 8;
    snprintf(type, 64, "%.*s_reply", length, request->data);
}

static void answer(struct engine *engine, void *socket, struct message *request)
{
    static const char ok
        [] = "{\"status\": \"ok\"}",
      executed[] =
          "{\"status\": \"ok\", \"execution_count\": 1, \"user_expressions\": {}, \"payload\": []}";
    struct ipcl_member type = {.name = "msg_type"}, members[] = {{.name = "is_broadcast"},
                                                                 {.name = "is_coalescing"},
                                                                 {.name = "original_msg_id"}};
    struct message reply;
    char text[64], *metadata = engine->metadata;
    size_t metadata_size = engine->metadata_size;
    zmq_msg_t *header = message_part(request, MESSAGE_HEADER);
    if (!message_part(request, MESSAGE_CONTENT) || session_find(all.session, header, &type, 1))
        return;
    reply_type(&type, text);
    if (!session_find(all.session, message_part(request, MESSAGE_METADATA), members, 3) &&
        is_true(&members[0]) && members[2].state == IPCL_MEMBER_TEXT)
        pack_metadata(engine, members[2].data, (int)members[2].size, is_true(&members[1]),
                      &metadata, &metadata_size);
    message_init(&reply);
    message_append_identities(&reply, request);
    struct session_parts parts = {
        .msg_type = text,
        .parent = zmq_msg_data(header),
        .parent_size = zmq_msg_size(header),
        .packed_metadata = metadata,
        .packed_metadata_size = metadata_size,
        .packed_content = is(&type, "execute_request") ? executed : ok,
        .packed_content_size = is(&type, "execute_request") ? sizeof(executed) - 1 : sizeof(ok) - 1,
    };
    struct ipcl_error error;
    need(!session_build(all.session, &reply, &parts, NULL, &error), error.text);
    if (is(&type, "apply_request"))
        message_append(&reply, "N.", 2);
    need(!session_sign(all.session, &reply, &error), error.text);
    message_send(&reply, socket);
    message_close(&reply);
    all.answered++;
    if (metadata != engine->metadata)
        free(metadata);
    if (is(&type, "shutdown_request"))
        close_engine(engine);
}

/* A socket's descriptor tells of changes only: it is read until it has nothing, or called again.
 * Returns whether it may have more. */
static bool serve(struct engine *engine, int which)
{
    struct message message;
    bool more = true;
    message_init(&message);
    for (int i = 0; more && i < BATCH && engine->sockets[which]; i++) {
        more = !message_recv(&message, engine->sockets[which], ZMQ_DONTWAIT);
        if (!more)
            continue;
        if (which == REGISTRAR)
            take_id(engine, &message);
        else if (which == PING)
            beat(engine, &message);
        else if (which == SHELL || which == CONTROL) {
            need(!segment_link_unpack(&engine->segments, &message), "a segment is not there");
            answer(engine, engine->sockets[which], &message);
        }
    }
    message_close(&message);
    return more && engine->sockets[which];
}

/* Reads what the parent process says. Returns whether it goes on. */
static bool listen_to_parent(void)
{
    char text[256];
    ssize_t size = read(STDIN_FILENO, text, sizeof(text));
    if (size > 0 && memmem(text, (size_t)size, "leave", 5))
        all.leave = true;
    return size > 0;
}

static void run(uint64_t parent)
{
    static struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(all.epoll, events, EVENTS, all.busy_count ? 0 : REPEAT_MS);
        need(count >= 0 || errno == EINTR, strerror(errno));
        repeat_requests();
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 != parent)
                look_at(events[i].data.u64);
            else if (!listen_to_parent())
                return;
        }
        for (size_t i = all.busy_count; i > 0; i--) {
            uint64_t tag = all.busy[i - 1];
            if (serve(&all.engines[tag / SOCKETS], (int)(tag % SOCKETS)))
                continue;
            all.is_busy[tag] = false;
            all.busy[i - 1] = all.busy[--all.busy_count];
        }
    }
}

static void set_up(const char *file, size_t count)
{
    struct ipcl_error error;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    all.serial = ipcl_plugin.operations;
    need(!connection_read(file, CONNECTION_ENGINE, &all.connection, &error), error.text);
    need(!strcmp(all.connection.pack, "json"), "simulated engines speak JSON alone");
    local_choose(&all.connection, all.connection.registration);
    all.context = zmq_ctx_new();
    zmq_ctx_set(all.context, ZMQ_MAX_SOCKETS, (int)(SOCKETS * count + 16));
    if (connection_is_encrypted(&all.connection)) {
        need(!curve_generate(&all.curve, &error), error.text);
        memcpy(all.curve.server_key, all.connection.curve_serverkey, CURVE_KEY_BYTES);
    }
    all.session = session_create(all.connection.key, strlen(all.connection.key),
                                 all.connection.signature_scheme, all.serial, NULL, &error);
    need(all.session != NULL, error.text);
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    all.engines = calloc(count, sizeof(*all.engines));
    all.busy = calloc(count * SOCKETS, sizeof(*all.busy));
    all.is_busy = calloc(count * SOCKETS, sizeof(*all.is_busy));
    need(all.epoll >= 0 && all.engines && all.busy && all.is_busy, strerror(errno));
    all.count = all.left = count;
}

int main(int argc, char **argv)
{
    all.segments = argc > 1 && !strcmp(argv[1], "--segments");
    argc -= all.segments;
    argv += all.segments;
    long count = argc == 3 || argc == 4 ? atol(argv[2]) : 0;
    need(count > 0, "usage: engines [--segments] CONNECTION-FILE COUNT [INFO-FILE]");
    set_up(argv[1], (size_t)count);
    if (argc == 4)
        need((all.infos = json_load_file(argv[3], 0, NULL)) != NULL, "INFO-FILE is not JSON");
    watch(STDIN_FILENO, (uint64_t)count * SOCKETS);
    all.started_ms = clock_ms();
    all.repeat_ms = all.started_ms + REPEAT_MS;
    for (size_t i = 0; i < all.count; i++)
        start_engine(&all.engines[i]);
    run((uint64_t)count * SOCKETS);
    printf("{\"answered\": %llu, \"engines\": %zu}\n", all.answered, all.left);
    for (size_t i = 0; i < all.count; i++) {
        struct engine *engine = &all.engines[i];
        if (!engine->sockets[REGISTRAR])
            continue;
        if (all.leave && engine->registered)
            tell_hub(engine, "unregistration_request",
                     json_pack("{s:I}", "id", (json_int_t)engine->id));
        close_engine(engine);
        free(engine->metadata);
    }
    json_decref(all.infos);
    session_destroy(all.session);
    zmq_ctx_term(all.context);
    free(all.engines);
    free(all.busy);
    free(all.is_busy);
    return 0;
}
