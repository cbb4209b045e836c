/* Short commands that launchers run (qsub, mpiexec --version): input in, output gathered, on the
 * event loop. */
#include "cluster/command_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"

#define OUTPUT_BYTES_MAX (1 << 20)
#define READ_BYTES       4096

struct command_run {
    struct command_run *next;
    struct command_run **list;
    uv_process_t process;
    uv_pipe_t input;
    uv_pipe_t output;
    uv_write_t write;
    uv_shutdown_t shut;
    char *input_text;
    char chunk[READ_BYTES];
    char *text;
    size_t size;
    int status;
    unsigned open_handles;
    bool exited;
    bool ended;                                               /* the output has */
    void (*done)(void *self, int status, const char *output); /* NULL: forgotten */
    void *self;
};

static void handle_closed(uv_handle_t *handle)
{
    struct command_run *run = handle->data;
    if (--run->open_handles > 0)
        return;
    free(run->input_text);
    free(run->text);
    free(run);
}

static void close_handles(struct command_run *run)
{
    uv_close((uv_handle_t *)&run->process, handle_closed);
    uv_close((uv_handle_t *)&run->input, handle_closed);
    uv_close((uv_handle_t *)&run->output, handle_closed);
}

static void finish(struct command_run *run)
{
    if (!run->exited || !run->ended)
        return;
    struct command_run **link = run->list;
    while (link && *link && *link != run)
        link = &(*link)->next;
    if (link && *link)
        *link = run->next;
    if (run->done)
        run->done(run->self, run->status, run->text ? run->text : "");
    close_handles(run);
}

static void process_exited(uv_process_t *process, int64_t status, int signum)
{
    struct command_run *run = process->data;
    run->exited = true;
    run->status = signum ? -1 : (int)status;
    finish(run);
}

static void lend_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct command_run *run = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(run->chunk, sizeof(run->chunk));
}

static void output_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct command_run *run = stream->data;
    if (size < 0) {
        run->ended = true;
        uv_read_stop(stream);
        finish(run);
        return;
    }
    if (run->size + (size_t)size > OUTPUT_BYTES_MAX)
        return;
    char *text = realloc(run->text, run->size + (size_t)size + 1);
    if (!text)
        return;
    memcpy(text + run->size, buffer->base, (size_t)size);
    run->text = text;
    run->size += (size_t)size;
    text[run->size] = '\0';
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

/* Spawns with both output streams in one pipe. Returns libuv's code. */
static int spawn_command(uv_loop_t *loop, struct command_run *run, const char *const *argv)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return uv_translate_sys_error(errno);
    /* The command's end blocks, as programs expect. */
    fcntl(ends[1], F_SETFL, fcntl(ends[1], F_GETFL) & ~O_NONBLOCK);
    uv_stdio_container_t streams[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&run->input},
        {.flags = UV_INHERIT_FD, .data.fd = ends[1]},
        {.flags = UV_INHERIT_FD, .data.fd = ends[1]},
    };
    uv_process_options_t options = {
        .exit_cb = process_exited,
        .file = argv[0],
        .args = (char **)(uintptr_t)argv,
        .flags = UV_PROCESS_DETACHED, /* a Ctrl-C at the terminal is not its business */
        .stdio_count = 3,
        .stdio = streams,
    };
    secret_start_child(false);
    int code = uv_spawn(loop, &run->process, &options);
    secret_start_child(true);
    close(ends[1]);
    if (uv_pipe_open(&run->output, ends[0]) != 0)
        close(ends[0]);
    return code;
}

int command_run(uv_loop_t *loop, struct command_run **commands, const char *const *argv,
                const char *input, void (*done)(void *self, int status, const char *output),
                void *self, struct ipcl_error *error)
{
    struct command_run *run = calloc(1, sizeof(*run));
    if (!run || !(run->input_text = strdup(input ? input : ""))) {
        free(run);
        return ipcl_error_set(error, "no memory to run %s", argv[0]);
    }
    run->done = done;
    run->self = self;
    uv_pipe_init(loop, &run->input, 0);
    uv_pipe_init(loop, &run->output, 0);
    run->process.data = run->input.data = run->output.data = run;
    run->open_handles = 3;
    int code = spawn_command(loop, run, argv);
    if (code != 0) {
        close_handles(run);
        return ipcl_error_set(error, "cannot run %s: %s", argv[0], uv_strerror(code));
    }
    run->list = commands;
    run->next = *commands;
    *commands = run;
    give_input(run);
    uv_read_start((uv_stream_t *)&run->output, lend_chunk, output_read);
    return 0;
}

void command_forget_all(struct command_run **commands)
{
    while (*commands) {
        struct command_run *run = *commands;
        *commands = run->next;
        run->list = NULL;
        run->done = NULL;
        if (!run->exited)
            uv_process_kill(&run->process, SIGKILL);
        close_handles(run);
    }
}
