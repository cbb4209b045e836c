/* Requests that are answered at once, while user code runs: abort, clear, interrupt, signal,
 * shutdown, information, counts. I/O thread. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "engine/io.h"
#include "engine/stats.h"

/* As good as for ever. */
#define DRAIN_MAX_S 1e9

/* Answers, and is done with the job. `content` is taken over; NULL: {"status": "ok"}. */
static void answer(struct io *io, struct job *job, json_t *content)
{
    reply_send(io, job, content, NULL, NULL, 0);
    publish_status(io, job, false);
    json_decref(content);
    job_destroy(job);
}

static void refuse(struct io *io, struct job *job, const char *ename, const char *evalue)
{
    reply_error(io, job, ename, evalue);
    publish_status(io, job, false);
    job_destroy(job);
}

static void abort_request(struct io *io, struct job *job)
{
    struct ipcl_error error;
    json_t *content = abort_serve(io, job, &error);
    if (content)
        answer(io, job, content);
    else
        refuse(io, job, "ValueError", error.text);
}

/* The namespace belongs to the main thread: this is the next that it does. */
static void clear_request(struct io *io, struct job *job)
{
    if (io->state == IO_STOPPING) { /* the main thread may have got its last job */
        refuse(io, job, "EngineError", io->ending);
        return;
    }
    job->kind = JOB_CLEAR;
    TAILQ_INSERT_HEAD(&io->queue, job, entry);
    shell_next(io);
}

static void interrupt_request(struct io *io, struct job *job)
{
    io_interrupt(io);
    answer(io, job, NULL);
}

static int signal_number(const json_t *value)
{
    static const struct {
        const char *name;
        int number;
    } names[] = {{"SIGINT", SIGINT},   {"SIGTERM", SIGTERM}, {"SIGKILL", SIGKILL},
                 {"SIGHUP", SIGHUP},   {"SIGQUIT", SIGQUIT}, {"SIGUSR1", SIGUSR1},
                 {"SIGUSR2", SIGUSR2}, {"SIGSTOP", SIGSTOP}, {"SIGCONT", SIGCONT},
                 {"SIGABRT", SIGABRT}, {"SIGALRM", SIGALRM}};
    if (json_is_integer(value) && json_integer_value(value) >= 0 && /* 0: whether it can be sent */
        json_integer_value(value) <= SIGRTMAX)
        return (int)json_integer_value(value);
    for (size_t i = 0; json_is_string(value) && i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(names[i].name, json_string_value(value)))
            return names[i].number;
    return -1;
}

static void signal_request(struct io *io, struct job *job)
{
    int number = signal_number(json_object_get(job->content, "sig"));
    if (number < 0) {
        refuse(io, job, "ValueError",
               "sig is not a signal: give its number or a name such as SIGINT");
        return;
    }
    log_info("a client sends signal %d (%s)", number, strsignal(number));
    if (number == SIGINT) {
        interrupt_request(io, job);
        return;
    }
    answer(io, job, NULL);
    if (number && number != SIGTERM)
        usleep(50 * 1000); /* the reply leaves before what may be the end */
    kill(getpid(), number);
}

/* When a draining engine must stop: `seconds` from now, or never, if that is no number. */
static long long drained_ms(const json_t *seconds)
{
    double left = json_is_number(seconds) ? json_number_value(seconds) : DRAIN_MAX_S;
    if (left > DRAIN_MAX_S)
        left = DRAIN_MAX_S;
    return clock_ms() + (left > 0 ? (long long)(left * 1000) : 0);
}

void control_answer_drains(struct io *io)
{
    struct job *job;
    while ((job = TAILQ_FIRST(&io->drains))) {
        TAILQ_REMOVE(&io->drains, job, entry);
        answer(io, job, NULL);
    }
}

/* Why an engine is not idle; NULL: it is. */
static const char *occupation(const struct io *io)
{
    return io->running || !TAILQ_EMPTY(&io->queue) ? "it works"
           : io->addressed                         ? "it may hold data of a client"
                                                   : NULL;
}

/* With a member `drain` the engine ends when it has done what it has begun, or after as many
 * seconds (null: however long that takes). The reply is also published, for the other clients of
 * this engine. With a member `idle` it ends only if nobody would miss it. */
static void shutdown_request(struct io *io, struct job *job)
{
    const json_t *drain = json_object_get(job->content, "drain");
    const char *why = occupation(io);
    bool idle = json_is_true(json_object_get(job->content, "idle"));
    if (idle && io->state != IO_STOPPING && why) {
        refuse(io, job, "EngineError", why);
        return;
    }
    if (drain && io->state != IO_STOPPING) {
        TAILQ_INSERT_TAIL(&io->drains, job, entry);
        io_drain(io, ENGINE_EXIT_STOPPED, "a client told the engine to drain and to end",
                 drained_ms(drain));
        return;
    }
    bool restart = json_is_true(json_object_get(job->content, "restart"));
    json_t *content = json_pack("{s:s s:b}", "status", "ok", "restart", restart);
    publish(io, "shutdown_reply", "shutdown", content, NULL, NULL, 0);
    answer(io, job, content);
    io_obey(io, IO_ORDER,
            idle ? "the engine was told to end, as it had nothing to do"
                 : "a client told the engine to end");
}

static void kernel_info_request(struct io *io, struct job *job)
{
    json_t *content = json_copy(io->engine->kernel_info);
    json_object_set_new(content, "status", json_string("ok"));
    answer(io, job, content);
}

static void connect_request(struct io *io, struct job *job)
{
    bool bound = job->door == &io->frontends.door;
    json_t *content = bound ? frontends_ports(&io->frontends) : json_object();
    json_object_set_new(content, "status", json_string("ok"));
    answer(io, job, content);
}

static void usage_request(struct io *io, struct job *job)
{
    answer(io, job, usage_content(&io->usage));
}

/* A clear_request, and what the engine does for itself, is no work. */
static bool is_work(const struct job *job)
{
    return job && job->door && job->kind != JOB_CLEAR;
}

/* What the engine has counted, as the hub's query of that name for the controller. */
static void stats_request(struct io *io, struct job *job)
{
    struct engine_stats *stats = &engine_stats;
    json_t *content = json_pack("{s:s}", "status", "ok");
    unsigned long long waiting = 0, work_us = counter_get(&stats->request_work_seconds.sum_us);
    const struct job *each, *running = is_work(io->running) ? io->running : NULL;
    for (each = TAILQ_FIRST(&io->queue); each; each = TAILQ_NEXT(each, entry))
        waiting += is_work(each);
    if (running)
        work_us += (unsigned long long)(clock_precise_us() - running->begun_us);
    counter_set(&stats->requests_waiting, waiting);
    counter_set(&stats->requests_running, running != NULL);
    counter_set(&stats->work_us, work_us);
    metric_answer(&engine_stats_table, content);
    answer(io, job, content);
}

/* Begins or ends this engine's trace, as the hub's query of that name the controller's. */
static void trace_request(struct io *io, struct job *job)
{
    struct ipcl_error error;
    const char *file = trace_switch(json_is_true(json_object_get(job->content, "on")), &error);
    if (file)
        answer(io, job, json_pack("{s:s s:s}", "status", "ok", "file", file));
    else
        refuse(io, job, "OSError", error.text);
}

static void debug_request(struct io *io, struct job *job)
{
    refuse(io, job, "NotImplementedError", "an engine has no debugger (see kernel_info_reply)");
}

static const struct {
    const char *msg_type;
    void (*serve)(struct io *io, struct job *job); /* takes over the job */
    bool control_only;
} requests[] = {
    {"abort_request", abort_request, true},
    {"clear_request", clear_request, true},
    {"connect_request", connect_request, false},
    {"debug_request", debug_request, true},
    {"interrupt_request", interrupt_request, false},
    {"kernel_info_request", kernel_info_request, false},
    {"shutdown_request", shutdown_request, false},
    {"signal_request", signal_request, true},
    {"stats_request", stats_request, true},
    {"trace_request", trace_request, true},
    {"usage_request", usage_request, true},
};

void control_count_types(void)
{
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
        traffic_tell_apart(requests[i].msg_type);
}

void control_answer(struct io *io, struct job *job)
{
    char text[256];
    struct ipcl_error error;
    clock_date(job->started);
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
        if (strcmp(requests[i].msg_type, job->msg_type))
            continue;
        if (requests[i].control_only && job->socket != job->door->control)
            break;
        job->content = session_unpack(job->door->session,
                                      message_part(&job->message, MESSAGE_CONTENT), &error);
        publish_status(io, job, true);
        if (json_is_object(job->content))
            requests[i].serve(io, job);
        else
            refuse(io, job, "BadRequest",
                   job->content ? "the content is not a mapping" : error.text);
        return;
    }
    snprintf(text, sizeof(text), "this engine does not serve %.100s on its %s socket",
             job->msg_type, job->socket == job->door->control ? "control" : "shell");
    log_limited(&io->bad_limit, IPCL_LOG_WARN, "%s", text);
    publish_status(io, job, true);
    refuse(io, job, "UnknownRequest", text);
}

void control_receive(void *self, struct message *message)
{
    struct door *door = self;
    struct job *job = door_accept(door, message, door->control);
    if (job)
        control_answer(door->io, job);
}
