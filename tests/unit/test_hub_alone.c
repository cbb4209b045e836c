/* Asking engines without an event loop. A thread of the test plays the hub and the engines. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include <zmq.h>

#include "cluster/watch/hub_watch.h"
#include "unit.h"
#include "wire/connection.h"
#include "wire/session.h"

#define KEY  "key"
#define MANY 40

/* The linker gives hub_alone.c this clock. Each look at it takes `look_ms`; 0: the real clock. */
static _Atomic long long look_ms;
long long __real_clock_ms(void);
long long __wrap_clock_ms(void);
long long __wrap_clock_ms(void)
{
    static _Atomic long long now_ms;
    return look_ms ? (now_ms += look_ms) : __real_clock_ms();
}

static struct connection connection = {.key = KEY,
                                       .signature_scheme = "hmac-sha256",
                                       .pack = "json",
                                       .unpack = "json",
                                       .registration = 1,
                                       .control = 2,
                                       .mux = 3,
                                       .task = 4,
                                       .iopub = 5,
                                       .notification = 6,
                                       .broadcast = {7},
                                       .broadcast_count = 1};

static void *bind_to(void *context, int port)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    struct ipcl_error error;
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    cr_assert_eq(connection_url(&connection, port, url, &error), 0, "%s", error.text);
    cr_assert_eq(zmq_bind(socket, url), 0, "%s", zmq_strerror(errno));
    return socket;
}

/* Answers as this engine, to the sender of the request, whichever engine that was for. */
static void answer_as(const char *engine, struct session *session, void *socket,
                      struct message *request, const char *type, json_t *content)
{
    zmq_msg_t *parent = message_part(request, MESSAGE_HEADER);
    json_t *metadata = json_pack("{s:s*}", "engine", engine);
    struct session_parts parts = {.msg_type = type,
                                  .parent = zmq_msg_data(parent),
                                  .parent_size = zmq_msg_size(parent),
                                  .metadata = metadata,
                                  .content = content};
    struct ipcl_error error;
    struct message reply;
    message_init(&reply);
    cr_assert_eq(message_append_reference(&reply, message_peer(request)), 0);
    cr_assert_eq(session_build(session, &reply, &parts, NULL, &error), 0, "%s", error.text);
    cr_assert_eq(session_sign(session, &reply, &error), 0, "%s", error.text);
    cr_assert_eq(message_send(&reply, socket), 0);
    message_close(&reply);
    json_decref(metadata);
    json_decref(content);
}

static void answer(struct session *session, void *socket, struct message *request, const char *type,
                   json_t *content)
{
    answer_as(NULL, session, socket, request, type, content);
}

/* What the hub says of its engines. */
static const char *listed =
    "{\"status\": \"ok\", \"engines\": {\"0\": \"first\", \"1\": \"second\"}}";

/* A hub with engines, which runs in a thread of its own. */
struct hub {
    void *context;
    void (*serve)(struct session *session, void *hub, void *engines, struct message *first,
                  struct message *second);
};

static void *run_hub(void *self)
{
    struct hub *served = self;
    struct ipcl_error error;
    struct session *session = session_create(KEY, strlen(KEY), connection.signature_scheme,
                                             unit_serial("json"), NULL, &error);
    void *hub = bind_to(served->context, connection.registration);
    void *engines = bind_to(served->context, connection.control);
    struct message first, second;
    message_init(&first);
    message_init(&second);
    cr_assert_eq(message_recv(&first, hub, 0), 0);
    answer(session, hub, &first, "connection_reply", json_loads(listed, 0, NULL));
    served->serve(session, hub, engines, &first, &second);
    message_close(&first);
    message_close(&second);
    session_destroy(session);
    zmq_close(hub);
    zmq_close(engines);
    return NULL;
}

/* The first engine answers when the second is asked, which answers that it works. */
static void answer_late(struct session *session, void *hub, void *engines, struct message *first,
                        struct message *second)
{
    (void)hub;
    cr_assert_eq(message_recv(first, engines, 0), 0);
    cr_assert_eq(message_recv(second, engines, 0), 0);
    answer(session, engines, first, "shutdown_reply", json_pack("{s:s}", "status", "ok"));
    answer(session, engines, second, "shutdown_reply", json_pack("{s:s}", "status", "busy"));
}

/* The controller says for the first engine that it has gone, and the second calls itself the first;
 * before that somebody answers what nobody asked. */
static void answer_under_other_names(struct session *session, void *hub, void *engines,
                                     struct message *first, struct message *second)
{
    cr_assert_eq(message_recv(first, hub, 0), 0);
    answer(session, hub, first, "trace_reply", json_pack("{s:s}", "file", "hub's"));
    cr_assert_eq(message_recv(second, engines, 0), 0);
    answer_as("third", session, engines, first, "trace_reply", json_pack("{s:s}", "file", "none"));
    cr_assert_eq(message_recv(first, engines, 0), 0);
    if (!strncmp(zmq_msg_data(message_partner(second)), "first", strlen("first"))) {
        struct message *other = first;
        first = second;
        second = other;
    }
    answer_as("first", session, engines, second, "trace_reply",
              json_pack("{s:s}", "file", "second's"));
    answer(session, engines, first, "trace_reply", json_pack("{s:s}", "evalue", "it has gone"));
}

/* The answers come one behind the other. */
static void answer_in_turn(struct session *session, void *hub, void *engines, struct message *first,
                           struct message *second)
{
    (void)hub;
    (void)second;
    for (size_t i = 0; i < MANY; i++) {
        cr_assert_eq(message_recv(first, engines, 0), 0);
        answer(session, engines, first, "usage_reply", json_pack("{s:s}", "status", "ok"));
    }
}

/* Writes a connection file as of a controller that seals nothing, such as ipyparallel's. */
static void write_file(const char *path)
{
    struct ipcl_error error;
    cr_assert_eq(connection_write(path, CONNECTION_CLIENT, &connection, &error), 0, "%s",
                 error.text);
    json_t *content = json_load_file(path, 0, NULL);
    json_object_del(content, "sealed");
    cr_assert_eq(json_dump_file(content, path, 0), 0);
    json_decref(content);
}

struct fixture {
    char folder[PATH_BYTES], path[PATH_BYTES + 16];
    struct hub hub;
    pthread_t thread;
    struct registry *registry;
};

static void begin(struct fixture *fixture,
                  void (*serve)(struct session *session, void *hub, void *engines,
                                struct message *first, struct message *second))
{
    struct ipcl_error error;
    unit_make_folder(fixture->folder);
    snprintf(connection.interface, sizeof(connection.interface), "ipc://%.64s/s", fixture->folder);
    snprintf(fixture->path, sizeof(fixture->path), "%s/client.json", fixture->folder);
    write_file(fixture->path);
    fixture->hub = (struct hub){zmq_ctx_new(), serve};
    cr_assert_eq(pthread_create(&fixture->thread, NULL, run_hub, &fixture->hub), 0);
    fixture->registry = registry_create(NULL, &error);
}

static void end(struct fixture *fixture)
{
    pthread_join(fixture->thread, NULL);
    registry_destroy(fixture->registry);
    zmq_ctx_term(fixture->hub.context);
    unit_remove_folder(fixture->folder);
}

Test(hub_alone, an_answer_that_comes_late_is_not_that_of_the_engine_that_is_asked_next)
{
    struct fixture fixture;
    struct ipcl_error error;
    begin(&fixture, answer_late);
    json_t *engines = json_pack("[{s:s} {s:s}]", "uuid", "first", "uuid", "second");
    cr_assert_eq(hub_end_idle(fixture.registry, fixture.path, engines, 2, 3000, &error), 0, "%s",
                 error.text);
    for (size_t i = 0; i < 2; i++)
        cr_expect(json_is_false(json_object_get(json_array_get(engines, i), "ends")), "%zu", i);
    json_decref(engines);
    end(&fixture);
}

Test(hub_alone, an_answer_is_that_of_the_engine_that_was_asked_whatever_name_it_has)
{
    struct fixture fixture;
    struct ipcl_error error;
    begin(&fixture, answer_under_other_names);
    json_t *traces = hub_trace(fixture.registry, fixture.path, true, 60000, &error);
    json_t *expected = json_pack("[{s:s} {s:s s:s} {s:s s:s}]", "file", "hub's", "id", "0", "error",
                                 "it has gone", "id", "1", "file", "second's");
    cr_expect(json_equal(traces, expected), "%s", json_dumps(traces, 0));
    json_decref(expected);
    json_decref(traces);
    end(&fixture);
}

/* All engines are asked at once. Each answer takes several looks at the clock. */
Test(hub_alone, each_answer_gives_the_other_engines_the_whole_time_again)
{
    struct fixture fixture;
    struct ipcl_error error = {""};
    json_t *uuids = json_array();
    for (size_t i = 0; i < MANY; i++)
        json_array_append_new(uuids, json_sprintf("engine %zu", i));
    begin(&fixture, answer_in_turn);
    look_ms = 1000;
    cr_expect_eq(hub_tell_engines(fixture.registry, fixture.path, uuids, "usage_request", NULL,
                                  MANY * (int)look_ms, &error),
                 0, "%s", error.text);
    json_decref(uuids);
    end(&fixture);
}

/* The first engine is of a version that does not count. */
static void answer_counts(struct session *session, void *hub, void *engines, struct message *first,
                          struct message *second)
{
    (void)hub;
    cr_assert_eq(message_recv(first, engines, 0), 0);
    cr_assert_eq(message_recv(second, engines, 0), 0);
    answer(session, engines, second, "stats_reply",
           json_pack("{s:s s:i s:{s:i} s:{s:s}}", "status", "ok", "time", 5, "values", "a", 1,
                     "metrics", "a", "meaning"));
    answer(session, engines, first, "error",
           json_pack("{s:s s:s}", "status", "error", "evalue", "it is not known"));
}

static bool keep_answer(void *self, json_t *answer)
{
    *(json_t **)self = json_incref(answer);
    return false;
}

Test(hub_alone, engines_that_count_are_asked_in_the_order_of_their_ids)
{
    struct fixture fixture;
    struct ipcl_error error = {""};
    json_t *told = NULL;
    listed = "{\"status\": \"ok\", \"engines\": {\"10\": \"a\", \"9\": \"b\", \"2\": \"c\"},"
             " \"engine_info\": {\"10\": {\"implementation\": \"ipcluster\", \"host\": \"h\"},"
             " \"2\": {\"implementation\": \"ipcluster\"}}}";
    begin(&fixture, answer_counts);
    cr_assert_eq(hub_stats(fixture.registry, fixture.path, HUB_STATS_ENGINES, 1, keep_answer, &told,
                           60000, &error),
                 0, "%s", error.text);
    json_object_del(told, "time");
    char *text = json_dumps(told, JSON_COMPACT);
    cr_expect_str_eq(text, "{\"metrics\":{\"a\":\"meaning\"},\"engines\":{"
                           "\"2\":{\"error\":\"it is not known\"},"
                           "\"9\":{\"error\":\"it is not one of ipcluster's, and does not count\"},"
                           "\"10\":{\"time\":5,\"values\":{\"a\":1},\"host\":\"h\"}}}");
    free(text);
    json_decref(told);
    end(&fixture);
}
