/* Asking a supervisor at its control socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "cluster/control/control.h"

#define ANSWER_BYTES_MAX (256 << 20)
#define CHUNK_BYTES      (64 << 10)

/* What is left of the time until `end_ms` is for the next call. Returns 0 or -1 with errno set. */
static int set_time(int fd, int option, long long end_ms)
{
    long long left_ms = end_ms - clock_ms();
    const struct timeval left = {left_ms / 1000, left_ms % 1000 * 1000};
    if (left_ms > 0)
        return setsockopt(fd, SOL_SOCKET, option, &left, sizeof(left));
    errno = EAGAIN;
    return -1;
}

static int connect_to(const char *path, long long end_ms, struct ipcl_error *error)
{
    struct sockaddr_un address;
    int folder = control_address(path, &address, error);
    if (folder < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int outcome = fd < 0 ? -1 : set_time(fd, SO_SNDTIMEO, end_ms);
    if (outcome == 0)
        outcome = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    if (outcome < 0)
        ipcl_error_set(error, "%s", strerror(errno));
    else
        outcome = control_check_peer(fd, error);
    close(folder);
    if (outcome == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int send_line(int fd, const json_t *request, long long end_ms)
{
    char *text = json_dumps(request, JSON_COMPACT);
    if (!text) {
        errno = ENOMEM;
        return -1;
    }
    size_t size = strlen(text) + 1, sent = 0;
    text[size - 1] = '\n';
    while (sent < size) {
        ssize_t some = set_time(fd, SO_SNDTIMEO, end_ms) < 0
                           ? -1
                           : send(fd, text + sent, size - sent, MSG_NOSIGNAL);
        if (some < 0 && errno != EINTR)
            break;
        sent += some > 0 ? (size_t)some : 0;
    }
    free(text);
    return sent == size ? 0 : -1;
}

/* The answer's line, malloc'ed, without its end; NULL with errno set. */
static char *receive_line(int fd, long long end_ms, size_t *size)
{
    char *line = NULL;
    for (*size = 0; *size < ANSWER_BYTES_MAX;) {
        char *more = realloc(line, *size + CHUNK_BYTES);
        if (!more)
            break;
        line = more;
        ssize_t some =
            set_time(fd, SO_RCVTIMEO, end_ms) < 0 ? -1 : recv(fd, line + *size, CHUNK_BYTES, 0);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0) {
            errno = some == 0 ? ECONNRESET : errno;
            break;
        }
        *size += (size_t)some;
        if (line[*size - 1] == '\n')
            return line;
    }
    free(line);
    return NULL;
}

static int no_answer(const char *path, const char *reason, struct ipcl_error *error)
{
    return ipcl_error_set(error, "the ipcluster at %s does not answer: %s", path, reason);
}

static const char *why_silent(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? "not in time" : strerror(errno);
}

int control_send(const char *path, json_t *request, int timeout_ms, struct ipcl_error *error)
{
    long long end_ms = clock_ms() + timeout_ms;
    struct ipcl_error reason;
    int fd = connect_to(path, end_ms, &reason);
    if (fd < 0) {
        no_answer(path, reason.text, error);
    } else if (send_line(fd, request, end_ms) < 0) {
        no_answer(path, why_silent(), error);
        close(fd);
        fd = -1;
    }
    json_decref(request);
    return fd;
}

json_t *control_ask(const char *path, json_t *request, int timeout_ms, struct ipcl_error *error)
{
    long long end_ms = clock_ms() + timeout_ms;
    int fd = control_send(path, request, timeout_ms, error);
    size_t size = 0;
    if (fd < 0)
        return NULL;
    char *line = receive_line(fd, end_ms, &size);
    json_t *answer = line ? json_loadb(line, size, 0, NULL) : NULL;
    const char *refusal = json_string_value(json_object_get(answer, "error"));
    if (refusal)
        ipcl_error_set(error, "%s", refusal);
    else if (!json_is_object(answer))
        no_answer(path, line ? "its answer is not JSON" : why_silent(), error);
    if (refusal || !json_is_object(answer)) {
        json_decref(answer);
        answer = NULL;
    }
    free(line);
    close(fd);
    return answer;
}
