/* The control socket of a supervisor, on its event loop.
 *
 * A connection is not read while its answer is being written, and answers are made at once: so each
 * connection holds one request and one answer at most. If there are too many connections, the one
 * that has been silent longest is closed. Kept ones, which get more lines, do not count. */
#include "cluster/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <utlist.h>

#include "base/log.h"
#include "base/trust.h"
#include "cluster/state/json_text.h"

#define LINE_BYTES_MAX  (4 << 20) /* an environment goes into it */
#define LINE_BYTES      (4 << 10) /* the room for one at first */
#define TOLD_BYTES_MAX  (1 << 20) /* that wait for a caller that does not read them */
#define CONNECTIONS_MAX 16

struct caller {
    struct caller *prev, *next; /* in the order of what was heard last */
    struct control *control;
    uv_pipe_t pipe;
    uv_write_t write;
    char *answer; /* being written; NULL: none */
    bool last;    /* nothing more is read */
    char *line;   /* what has come of it: `size` bytes, in `room` */
    size_t size, room;
    bool kept;
    void (*gone)(void *context); /* NULL: nothing to call */
    void *context;
};

/* A further line for a caller that is kept. */
struct control_told {
    uv_write_t write;
    char *text;
    bool last;
};

struct control {
    uv_pipe_t pipe;
    control_answer *answer;
    void *context;
    struct caller *connections;
    struct log_limit refused;
    char path[PATH_BYTES];
};

static void connection_closed(uv_handle_t *handle)
{
    struct caller *caller = handle->data;
    free(caller->answer);
    free(caller->line);
    free(caller);
}

static void close_connection(struct caller *caller)
{
    if (caller->control)
        DL_DELETE(caller->control->connections, caller);
    caller->control = NULL;
    if (caller->gone)
        caller->gone(caller->context);
    caller->gone = NULL;
    if (!uv_is_closing((uv_handle_t *)&caller->pipe))
        uv_close((uv_handle_t *)&caller->pipe, connection_closed);
}

/* Logs and answers what is no request, or is refused. */
static json_t *refusal(struct control *control, const char *reason)
{
    log_limited(&control->refused, IPCL_LOG_WARN, "a request at %s was refused: %s", control->path,
                reason);
    return json_pack("{s:s s:o}", "status", "error", "error", json_text(reason));
}

/* {"status": "ok", ...} or {"status": "error", "error": "..."} */
static json_t *answer_line(struct caller *caller, size_t size)
{
    struct control *control = caller->control;
    struct ipcl_error error;
    json_error_t wrong;
    json_t *request = json_loadb(caller->line, size, JSON_REJECT_DUPLICATES, &wrong),
           *answer = NULL;
    if (!request)
        ipcl_error_set(&error, "the line is not JSON: %s", wrong.text);
    else if (!json_is_object(request))
        ipcl_error_set(&error, "a request is a JSON object, as {\"request\": \"status\"}");
    else if (caller->kept)
        ipcl_error_set(&error, "this connection already follows an earlier request: open another "
                               "one");
    else
        answer = control->answer(control->context, caller, request, &error);
    json_decref(request);
    if (!answer)
        return refusal(control, error.text);
    json_object_set_new(answer, "status", json_string("ok"));
    return answer;
}

static void serve(struct caller *caller);

static void answer_written(uv_write_t *write, int status)
{
    struct caller *caller = write->data;
    free(caller->answer);
    caller->answer = NULL;
    if (status < 0 || caller->last)
        close_connection(caller);
    else if (caller->control)
        serve(caller);
}

/* Takes over `line`. The text, to be freed, with a newline instead of its NUL; its base is NULL if
 * memory is short. */
static uv_buf_t text_of(json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    size_t length = text ? strlen(text) : 0;
    json_decref(line);
    if (text)
        text[length] = '\n';
    return uv_buf_init(text, (unsigned)length + 1);
}

/* Takes over `answer`, which is NULL if memory is short. */
static void send_answer(struct caller *caller, json_t *answer)
{
    uv_buf_t buffer = text_of(answer);
    if (!buffer.base) {
        close_connection(caller);
        return;
    }
    caller->answer = buffer.base;
    caller->write.data = caller;
    if (uv_write(&caller->write, (uv_stream_t *)&caller->pipe, &buffer, 1, answer_written) < 0)
        close_connection(caller);
}

static void lend_line(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct caller *caller = handle->data;
    size_t room = caller->room ? 2 * caller->room : LINE_BYTES;
    char *line = caller->size < caller->room ? NULL : realloc(caller->line, room);
    (void)suggested;
    if (line) {
        caller->line = line;
        caller->room = room;
    }
    *buffer = uv_buf_init(caller->line + caller->size, (unsigned)(caller->room - caller->size));
}

static void line_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct caller *caller = stream->data;
    (void)buffer;
    if (size < 0) {
        close_connection(caller);
        return;
    }
    caller->size += (size_t)size;
    DL_DELETE(caller->control->connections, caller);
    DL_APPEND(caller->control->connections, caller);
    if (size > 0)
        serve(caller);
}

/* Answers the line that has come, or reads on. */
static void serve(struct caller *caller)
{
    struct control *control = caller->control;
    const char *end = caller->size ? memchr(caller->line, '\n', caller->size) : NULL;
    if (!end && caller->size < LINE_BYTES_MAX) {
        uv_read_start((uv_stream_t *)&caller->pipe, lend_line, line_read);
        return;
    }
    uv_read_stop((uv_stream_t *)&caller->pipe);
    if (!end) {
        char reason[64];
        snprintf(reason, sizeof(reason), "a line has at most %d bytes", LINE_BYTES_MAX);
        caller->last = true;
        send_answer(caller, refusal(control, reason));
        return;
    }
    size_t length = (size_t)(end - caller->line);
    json_t *answer = answer_line(caller, length);
    caller->size -= length + 1;
    memmove(caller->line, end + 1, caller->size);
    send_answer(caller, answer);
}

void control_keep(struct caller *caller, void (*gone)(void *context), void *context)
{
    caller->kept = true;
    caller->gone = gone;
    caller->context = context;
}

static void told_written(uv_write_t *write, int status)
{
    struct control_told *told = write->data;
    if (told->last || status < 0)
        close_connection(write->handle->data);
    free(told->text);
    free(told);
}

void control_tell(struct caller *caller, json_t *line, bool last)
{
    bool waits = uv_stream_get_write_queue_size((uv_stream_t *)&caller->pipe) > TOLD_BYTES_MAX;
    struct control_told *told = waits && !last ? NULL : calloc(1, sizeof(*told));
    uv_buf_t buffer = text_of(line);
    if (last)
        caller->gone = NULL;
    if (told && buffer.base) {
        *told = (struct control_told){.text = buffer.base, .last = last};
        told->write.data = told;
        if (uv_write(&told->write, (uv_stream_t *)&caller->pipe, &buffer, 1, told_written) == 0)
            return;
    }
    free(buffer.base);
    free(told);
    if (last)
        close_connection(caller);
}

/* If there are too many connections, closes the one that has been silent longest. */
static void make_room(struct control *control)
{
    struct caller *caller, *first = NULL;
    int count = 0;
    DL_FOREACH (control->connections, caller) {
        count += !caller->kept;
        first = first || caller->kept ? first : caller;
    }
    if (count >= CONNECTIONS_MAX)
        close_connection(first);
}

static void connected(uv_stream_t *stream, int status)
{
    struct control *control = stream->data;
    struct caller *caller = status < 0 ? NULL : calloc(1, sizeof(*caller));
    struct ipcl_error error;
    int fd;
    if (!caller)
        return;
    make_room(control);
    uv_pipe_init(stream->loop, &caller->pipe, 0);
    caller->pipe.data = caller;
    caller->control = control;
    DL_APPEND(control->connections, caller);
    if (uv_accept(stream, (uv_stream_t *)&caller->pipe) < 0 ||
        uv_fileno((uv_handle_t *)&caller->pipe, &fd) < 0) {
        close_connection(caller);
    } else if (control_check_peer(fd, &error) < 0) {
        log_limited(&control->refused, IPCL_LOG_WARN, "%s: %s", control->path, error.text);
        close_connection(caller);
    } else {
        serve(caller);
    }
}

int control_address(const char *path, struct sockaddr_un *address, struct ipcl_error *error)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ipcl_error_set(error, "%s is not an absolute path", path);
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    int fd = trust_open(folder, O_RDONLY | O_DIRECTORY, 0, NULL, error);
    if (fd < 0)
        return -1;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d%s", fd, slash) <
        (int)sizeof(address->sun_path))
        return fd;
    close(fd);
    return ipcl_error_set(error, "%s is too long a name for a socket", slash + 1);
}

int control_check_peer(int fd, struct ipcl_error *error)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return ipcl_error_set(error, "the user at the other end cannot be found out: %s",
                              strerror(errno));
    if (peer.uid != geteuid() && peer.uid != 0)
        return ipcl_error_set(error, "process %d at the other end is of another user (%d)",
                              (int)peer.pid, (int)peer.uid);
    return 0;
}

/* A socket that is bound, of mode 0600 from the first moment on. -1 with `error` set. */
static int bind_socket(const char *path, struct ipcl_error *error)
{
    struct sockaddr_un address;
    int folder = control_address(path, &address, error);
    if (folder < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || fchmod(fd, 0600) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        ipcl_error_set(error, "cannot make a socket at %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    close(folder);
    return fd;
}

static void free_control(uv_handle_t *handle)
{
    free(handle->data);
}

struct control *control_create(uv_loop_t *loop, const char *folder, const char *name,
                               control_answer *answer, void *context, char path[PATH_BYTES],
                               struct ipcl_error *error)
{
    if (path_format(path, error, "%s/%s", folder, name) < 0)
        return NULL;
    struct control *control = calloc(1, sizeof(*control));
    int fd = control ? bind_socket(path, error)
                     : ipcl_error_set(error, "no memory for a socket at %s", path);
    if (fd < 0) {
        free(control);
        return NULL;
    }
    snprintf(control->path, sizeof(control->path), "%s", path);
    control->answer = answer;
    control->context = context;
    uv_pipe_init(loop, &control->pipe, 0);
    control->pipe.data = control;
    int code = uv_pipe_open(&control->pipe, fd);
    if (code < 0)
        close(fd);
    else
        code = uv_listen((uv_stream_t *)&control->pipe, CONNECTIONS_MAX, connected);
    if (code == 0)
        return control;
    ipcl_error_set(error, "cannot listen at %s: %s", path, uv_strerror(code));
    control_destroy(control);
    return NULL;
}

void control_destroy(struct control *control)
{
    if (!control)
        return;
    while (control->connections)
        close_connection(control->connections);
    unlink(control->path);
    uv_close((uv_handle_t *)&control->pipe, free_control);
}
