/* The engine's I/O thread; what the main thread does is played. */
#include "played.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/io.h"
#include "network.h"

#define CONNECTING_MS 60000 /* no engine waits so long for its sockets to connect */
#define REGISTERED    2     /* a bit of the settings */
#define SOCKETS       6     /* registrar, its events, shell, control, iopub, ping */
#define SHELL         2
/* Numbers of events. */
#define OWN_SHELL   5
#define JOB_IS_DONE 6

int __wrap_usleep(useconds_t duration);
int __wrap_usleep(useconds_t duration)
{
    (void)duration;
    return 0;
}

/* Signals are only for the process itself. */
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number)
{
    FUZZ_ASSERT(pid == getpid() && number >= 0 && number <= SIGRTMAX);
    return 0;
}

static void interrupt(void *self, uint64_t number)
{
    (void)self;
    (void)number;
}

static const char *const requests[] = {"execute_request", "inspect_request", "complete_request",
                                       "comm_msg", NULL};
static const struct ipcl_kernel_operations kernel = {.requests = requests, .interrupt = interrupt};
static const struct ipcl_option options[] = {
    {"timeout", IPCL_REAL, "10", NULL, NULL, ""},
    {"max_heartbeat_misses", IPCL_INT, "50", NULL, NULL, ""},
    {"engine_set", IPCL_STRING, "", NULL, NULL, ""},
    {"engine_copy", IPCL_INT, "-1", NULL, NULL, ""}};
static const struct ipcl_option_table table = {"IPEngine", options,
                                               sizeof(options) / sizeof(*options)};
static const struct settings_program program = {.name = "fuzz", .usage = "", .description = ""};

/* One for each setting, because inputs have settings in any order. */
static struct life {
    struct engine engine;
    struct io io;
} lives[4], *life;

/* Nothing is printed. */
static void drop_output(void *context, const char *name, const char *text, size_t size)
{
    (void)context;
    (void)name;
    (void)text;
    (void)size;
}

static void set_engine(unsigned bits)
{
    static void *context;
    static struct settings *settings;
    static struct capture capture = {.publish = drop_output};
    struct ipcl_error error;
    if (!context) {
        context = zmq_ctx_new();
        settings = settings_create(&program, &error);
        FUZZ_ASSERT(settings && !settings_add(settings, &table, &error) &&
                    !capture_open(&capture, &error));
    }
    life->engine = (struct engine){
        .settings = settings,
        .context = context,
        .kernel = &kernel,
        .kernel_info = json_pack("{s:s}", "implementation", "fuzz"),
        .serial = fuzz_serial(bits),
        .frontend_serial = fuzz_serial(0),
        .uuid = "00000000-0000-4000-8000-0000000000e0",
        .route = "route",
        .id = -1,
        .requested_id = -1,
        .watcher = -1,
        .signal_fd = -1,
        .capture = capture,
        .connection = {.interface = "tcp://127.0.0.1",
                       .signature_scheme = "hmac-sha256",
                       .registration = 1,
                       .control = 1,
                       .mux = 1,
                       .task = 1,
                       .iopub = 1,
                       .hb_ping = 1,
                       .hb_pong = 1,
                       .broadcast = {1, 1},
                       .broadcast_count = 2},
    };
    FUZZ_ASSERT(!link_open(&life->engine.link, &error));
}

/* The controller answers. */
static void register_engine(void)
{
    struct ipcl_error error;
    struct message message;
    json_t *content = json_pack("{s:s s:i s:i}", "status", "ok", "id", 3, "hb_period", 3000);
    struct session_parts parts = {.msg_type = "registration_reply", .content = content};
    message_init(&message);
    FUZZ_ASSERT(!session_build(life->io.cluster.session, &message, &parts, NULL, &error));
    registration_receive(&life->io, &message);
    FUZZ_ASSERT(life->engine.id == 3);
    heart_connecting(&life->io, clock_ms() + CONNECTING_MS);
    FUZZ_ASSERT(life->io.state == IO_SERVING);
    message_close(&message);
    json_decref(content);
}

/* What is written there is the key. */
int __wrap_path_write_file(const char *path, const char *data, size_t size, mode_t mode,
                           struct ipcl_error *error);
int __wrap_path_write_file(const char *path, const char *data, size_t size, mode_t mode,
                           struct ipcl_error *error)
{
    (void)path;
    (void)data;
    (void)size;
    (void)error;
    FUZZ_ASSERT(mode == 0600);
    return 0;
}

/* As user code does by bind_kernel(); but nothing is signed. */
static void open_frontends(void)
{
    struct ipcl_error error;
    struct door *door = &life->io.frontends.door;
    json_t *wishes =
        json_pack("{s:s s:s}", "transport", "tcp", "connection_file", "/nonexistent/kernel.json");
    FUZZ_ASSERT(!frontends_open(&life->io, wishes, &error));
    session_destroy(door->session);
    door->session = session_create("", 0, "hmac-sha256", door->serial, NULL, &error);
    for (int channel = SEAL_HUB; channel < SEAL_CHANNELS; channel++)
        door->seals[channel].session = door->session;
    FUZZ_ASSERT(door->session);
    json_decref(wishes);
}

static void create(unsigned bits)
{
    struct ipcl_error error;
    set_engine(bits);
    life->io = (struct io){.engine = &life->engine};
    TAILQ_INIT(&life->io.queue);
    life->io.loop = loop_create("engine", &error);
    struct session *session =
        session_create("", 0, "hmac-sha256", life->engine.serial, life->engine.uuid, &error);
    FUZZ_ASSERT(life->io.loop &&
                !door_open(&life->io.cluster, &life->io, life->engine.serial, session,
                           &life->engine.connection, &error) &&
                !registration_start(&life->io, &error));
    if (bits & REGISTERED || fuzz_frontends)
        register_engine();
    if (fuzz_frontends)
        open_frontends();
}

static void destroy(void)
{
    struct job *job;
    while ((job = TAILQ_FIRST(&life->io.queue))) {
        TAILQ_REMOVE(&life->io.queue, job, entry);
        job_destroy(job);
    }
    if (life->io.running && life->io.running->kind != JOB_QUIT)
        job_destroy(life->io.running);
    loop_destroy(life->io.loop);
    frontends_close(&life->io.frontends);
    abort_release(&life->io);
    recall_release(&life->io);
    door_close(&life->io.cluster);
    free(life->io.parent);
    link_close(&life->engine.link);
    json_decref(life->engine.kernel_info);
}

/* What the main thread does with a job. */
static void finish_job(unsigned how)
{
    struct job *job = life->io.running;
    if (!job || job->kind == JOB_QUIT)
        return;
    if (how & 1)
        job->reply.content = json_pack("{s:s s:s s:s}", "status", how & 2 ? "error" : "ok", "ename",
                                       "E", "evalue", "v");
    if (how & 4)
        job->reply.metadata = json_pack("{s:i}", "extra", 1);
    if (how & 8) {
        job->reply.buffers = calloc(1, sizeof(struct ipcl_buffer));
        job->reply.buffers[0] = (struct ipcl_buffer){.data = "abc", .size = 3};
        job->reply.buffer_count = 1;
    }
    shell_done(&life->io, job);
}

/* User code asks its client a question. It does not know whether that client accepts questions. */
static void ask(bool secret)
{
    struct ipcl_error error;
    frontends_ask(&life->io, "?", secret, &error);
}

static void happen(unsigned what, struct fuzz_bytes bytes, struct message *message)
{
    unsigned event = what & 7, number = what >> 3 & 15;
    if (fuzz_frontends && event < FRONTEND_PORTS)
        network_receive(SOCKETS + event, bytes, message);
    else if (fuzz_frontends && event == OWN_SHELL)
        network_receive(SHELL, bytes, message);
    else if (event < SOCKETS)
        network_receive(event, bytes, message);
    else if (event == JOB_IS_DONE)
        finish_job(number);
    else if (fuzz_frontends)
        ask(number & 1);
    else if (life->io.state == IO_REGISTERING)
        registration_tick(&life->io, clock_ms() + 1000 * number);
    else if (life->io.state == IO_CONNECTING)
        heart_connecting(&life->io, clock_ms() + CONNECTING_MS);
}

static void enter(unsigned bits)
{
    life = &lives[bits];
}

static bool is_over(void)
{
    return life->io.state >= IO_STOPPING;
}

const struct network_harness network_harness = {.settings = sizeof(lives) / sizeof(*lives),
                                                .enter = enter,
                                                .create = create,
                                                .destroy = destroy,
                                                .is_over = is_over,
                                                .happen = happen};
