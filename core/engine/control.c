/* Requests that are answered at once, while user code runs: abort, clear, interrupt, signal,
 * shutdown, information. I/O thread. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/io.h"

static void abort_request(struct io *io, struct job *job)
{
    json_t *named = json_object_get(job->content, "msg_ids");
    json_t *msg_ids = json_is_string(named) ? json_pack("[O]", named) : json_incref(named);
    shell_abort(io, json_array_size(msg_ids) ? msg_ids : NULL);
    json_decref(msg_ids);
    reply_send(io, job, NULL, NULL, NULL, 0);
    job_destroy(job);
}

/* The namespace belongs to the main thread: this is the next that it does. */
static void clear_request(struct io *io, struct job *job)
{
    job->kind = JOB_CLEAR;
    TAILQ_INSERT_HEAD(&io->queue, job, entry);
    shell_next(io);
}

static void interrupt_request(struct io *io, struct job *job)
{
    if (io->running)
        io->engine->kernel->interrupt(io->engine->kernel_self);
    reply_send(io, job, NULL, NULL, NULL, 0);
    job_destroy(job);
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
    if (json_is_integer(value) && json_integer_value(value) > 0 &&
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
        reply_error(io, job, "ValueError",
                    "sig is not a signal: give its number or a name such as SIGINT");
        job_destroy(job);
        return;
    }
    log_info("a client sends signal %d (%s)", number, strsignal(number));
    reply_send(io, job, NULL, NULL, NULL, 0);
    job_destroy(job);
    if (number != SIGINT && number != SIGTERM)
        usleep(50 * 1000); /* the reply leaves before what may be the end */
    kill(getpid(), number);
}

static void shutdown_request(struct io *io, struct job *job)
{
    bool restart = json_is_true(json_object_get(job->content, "restart"));
    json_t *content = json_pack("{s:s s:b}", "status", "ok", "restart", restart);
    reply_send(io, job, content, NULL, NULL, 0);
    json_decref(content);
    job_destroy(job);
    io_stop(io, ENGINE_EXIT_STOPPED, "a client asked this engine to shut down");
}

static void kernel_info_request(struct io *io, struct job *job)
{
    json_t *content =
        json_pack("{s:s s:s s:s s:s s:s s:{s:s s:s s:s} s:[]}", "status", "ok", "protocol_version",
                  "5.3", "implementation", "ipcluster", "implementation_version", PACKAGE_VERSION,
                  "banner", "ipengine of ipcluster " PACKAGE_VERSION, "language_info", "name",
                  "python", "mimetype", "text/x-python", "file_extension", ".py", "help_links");
    reply_send(io, job, content, NULL, NULL, 0);
    json_decref(content);
    job_destroy(job);
}

static const struct {
    const char *msg_type;
    void (*serve)(struct io *io, struct job *job); /* takes over the job */
    bool control_only;
} requests[] = {
    {"abort_request", abort_request, true},
    {"clear_request", clear_request, true},
    {"interrupt_request", interrupt_request, true},
    {"signal_request", signal_request, true},
    {"shutdown_request", shutdown_request, true},
    {"kernel_info_request", kernel_info_request, false},
};

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
        if (json_is_object(job->content)) {
            requests[i].serve(io, job);
        } else {
            reply_error(io, job, "BadRequest",
                        job->content ? "the content is not a mapping" : error.text);
            job_destroy(job);
        }
        return;
    }
    snprintf(text, sizeof(text), "this engine does not serve %.100s on its %s socket",
             job->msg_type, job->socket == job->door->control ? "control" : "shell");
    log_limited(&io->bad_limit, IPCL_LOG_WARN, "%s", text);
    reply_error(io, job, "UnknownRequest", text);
    job_destroy(job);
}

void control_receive(void *self, struct message *message)
{
    struct door *door = self;
    struct job *job = door_accept(door, message, door->control);
    if (job)
        control_answer(door->io, job);
}
