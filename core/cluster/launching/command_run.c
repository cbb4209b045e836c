/* Short commands that launchers run (qsub, mpiexec --version): input in, output gathered, on the
 * event loop. */
#include "cluster/launching/command_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "config/settings.h"

#define OUTPUT_BYTES_MAX (1 << 20)
#define READ_BYTES       4096

/* One of the two output streams. */
struct stream {
    struct command_run *run;
    uv_pipe_t pipe;
    char chunk[READ_BYTES];
    char *text;
    size_t size;
    bool ended;
    bool cut; /* there was more */
};

struct command_run {
    struct command_run *next;
    struct command_run **list;
    uv_process_t process;
    uv_pipe_t input;
    struct stream output;
    struct stream errors;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t shut;
    char *input_text;
    int status;
    unsigned open_handles;
    bool spawned; /* the process is libuv's */
    bool exited;
    bool told; /* the launcher knows of its end, or has been forgotten */
    void (*done)(void *self, void *context, const struct ipcl_command_end *end);
    void (*merged)(void *self, int status, const char *output);
    void *self;
    void *context;
};

static void release(struct command_run *run)
{
    if (--run->open_handles > 0)
        return;
    free(run->input_text);
    free(run->output.text);
    free(run->errors.text);
    free(run);
}

static void handle_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void stream_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    release(stream->run);
}

static void close_handles(struct command_run *run)
{
    if (run->spawned)
        uv_close((uv_handle_t *)&run->process, handle_closed);
    else
        run->open_handles--;
    uv_close((uv_handle_t *)&run->input, handle_closed);
    uv_close((uv_handle_t *)&run->timer, handle_closed);
    uv_close((uv_handle_t *)&run->output.pipe, stream_closed);
    uv_close((uv_handle_t *)&run->errors.pipe, stream_closed);
}

static void tell(struct command_run *run, bool timed_out)
{
    struct ipcl_command_end end = {
        .status = run->output.cut && run->done ? -1 : run->status,
        .timed_out = timed_out,
        .output = run->output.text ? run->output.text : "",
        .errors = run->errors.text ? run->errors.text : "",
    };
    if (run->told)
        return;
    run->told = true;
    if (run->merged)
        run->merged(run->self, end.status, end.output);
    else
        run->done(run->self, run->context, &end);
}

/* After a time-out, it does not wait for processes that still hold the output open. */
static void finish(struct command_run *run)
{
    if (!run->exited || (!run->told && (!run->output.ended || !run->errors.ended)))
        return;
    struct command_run **link = run->list;
    while (link && *link && *link != run)
        link = &(*link)->next;
    if (link && *link)
        *link = run->next;
    tell(run, false);
    close_handles(run);
}

static void process_exited(uv_process_t *process, int64_t status, int signum)
{
    struct command_run *run = process->data;
    run->exited = true;
    run->status = signum ? -1 : (int)status;
    finish(run);
}

/* It leads a session of its own, with all that it has started. */
static void time_over(uv_timer_t *timer)
{
    struct command_run *run = timer->data;
    if (run->exited) { /* what it has left behind holds its output open */
        tell(run, false);
        finish(run);
        return;
    }
    run->status = -1;
    kill(-run->process.pid, SIGKILL);
    tell(run, true);
}

static void lend_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct stream *stream = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(stream->chunk, sizeof(stream->chunk));
}

static void output_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buffer)
{
    struct stream *stream = handle->data;
    if (size < 0) {
        stream->ended = true;
        uv_read_stop(handle);
        finish(stream->run);
        return;
    }
    stream->cut |= stream->size + (size_t)size > OUTPUT_BYTES_MAX;
    if (stream->cut)
        return;
    char *text = realloc(stream->text, stream->size + (size_t)size + 1);
    if (!text)
        return;
    memcpy(text + stream->size, buffer->base, (size_t)size);
    stream->text = text;
    stream->size += (size_t)size;
    text[stream->size] = '\0';
}

/* The command sees the end of its input. */
static void input_written(uv_write_t *write, int status)
{
    struct command_run *run = write->data;
    (void)status;
    if (!uv_is_closing((uv_handle_t *)&run->input))
        uv_shutdown(&run->shut, (uv_stream_t *)&run->input, NULL);
}

static void give_input(struct command_run *run)
{
    uv_buf_t buffer = uv_buf_init(run->input_text, (unsigned)strlen(run->input_text));
    run->write.data = run;
    if (uv_write(&run->write, (uv_stream_t *)&run->input, &buffer, 1, input_written) != 0)
        input_written(&run->write, 0);
}

/* Makes a pipe whose end for the command blocks, as programs expect. Returns that end, or libuv's
 * code. */
static int open_stream(struct stream *stream)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return uv_translate_sys_error(errno);
    fcntl(ends[1], F_SETFL, fcntl(ends[1], F_GETFL) & ~O_NONBLOCK);
    int code = uv_pipe_open(&stream->pipe, ends[0]);
    if (code == 0)
        return ends[1];
    close(ends[0]);
    close(ends[1]);
    return code;
}

/* The environment without keys: batch systems' commands pass it to jobs, and show it to other
 * users. To be freed; NULL if memory is short. */
static char **without_keys(char **environment)
{
    size_t count = 0, kept = 0;
    while (environment[count])
        count++;
    char **list = calloc(count + 1, sizeof(*list));
    for (size_t i = 0; list && i < count; i++)
        if (!settings_gives_key(environment[i]))
            list[kept++] = environment[i];
    return list;
}

/* Returns libuv's code. */
static int spawn_command(uv_loop_t *loop, struct command_run *run, const char *const *argv)
{
    int output = open_stream(&run->output);
    int errors = run->merged || output < 0 ? output : open_stream(&run->errors);
    int code = errors < 0 ? errors : 0;
    uv_stdio_container_t streams[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&run->input},
        {.flags = UV_INHERIT_FD, .data.fd = output},
        {.flags = UV_INHERIT_FD, .data.fd = errors},
    };
    char **environment = without_keys(environ);
    if (!environment && code == 0)
        code = UV_ENOMEM;
    uv_process_options_t options = {
        .env = environment,
        .exit_cb = process_exited,
        .file = argv[0],
        .args = (char **)(uintptr_t)argv,
        .flags = UV_PROCESS_DETACHED, /* a Ctrl-C at the terminal is not its business */
        .stdio_count = 3,
        .stdio = streams,
    };
    secret_start_child(false);
    run->spawned = code == 0;
    if (code == 0)
        code = uv_spawn(loop, &run->process, &options);
    secret_start_child(true);
    free(environment);
    if (output >= 0)
        close(output);
    if (errors >= 0 && errors != output)
        close(errors);
    return code;
}

static struct command_run *create(uv_loop_t *loop, const struct ipcl_command *command)
{
    struct command_run *run = calloc(1, sizeof(*run));
    if (!run || !(run->input_text = strdup(command->input ? command->input : ""))) {
        free(run);
        return NULL;
    }
    run->done = command->done;
    run->context = command->context;
    uv_pipe_init(loop, &run->input, 0);
    uv_pipe_init(loop, &run->output.pipe, 0);
    uv_pipe_init(loop, &run->errors.pipe, 0);
    uv_timer_init(loop, &run->timer);
    run->process.data = run->input.data = run->timer.data = run;
    run->output.run = run->errors.run = run;
    run->output.pipe.data = &run->output;
    run->errors.pipe.data = &run->errors;
    run->open_handles = 5;
    return run;
}

int command_run(uv_loop_t *loop, struct command_run **commands, const struct ipcl_command *command,
                void (*merged)(void *self, int status, const char *output), void *self,
                struct ipcl_error *error)
{
    struct command_run *run = create(loop, command);
    if (!run)
        return ipcl_error_set(error, "no memory to run %s", command->argv[0]);
    run->merged = merged;
    run->errors.ended = merged != NULL;
    run->self = self;
    int code = spawn_command(loop, run, command->argv);
    if (code != 0) {
        close_handles(run);
        return ipcl_error_set(error, "cannot run %s: %s", command->argv[0], uv_strerror(code));
    }
    run->list = commands;
    run->next = *commands;
    *commands = run;
    give_input(run);
    uv_read_start((uv_stream_t *)&run->output.pipe, lend_chunk, output_read);
    if (!merged)
        uv_read_start((uv_stream_t *)&run->errors.pipe, lend_chunk, output_read);
    uv_update_time(loop);
    if (command->timeout_ms)
        uv_timer_start(&run->timer, time_over, command->timeout_ms, 0);
    return 0;
}

void command_forget_all(struct command_run **commands)
{
    while (*commands) {
        struct command_run *run = *commands;
        *commands = run->next;
        run->list = NULL;
        run->told = true;
        if (!run->exited)
            kill(-run->process.pid, SIGKILL);
        close_handles(run);
    }
}
