/* What an engine tells its watcher. */
#include "engine/watched.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/shared.h"
#include "engine/watch_private.h"

/* Sends the files. Returns 0 or -1 with errno set. */
static int send_files(int socket, const char *profile_dir, const int files[WATCH_FILES])
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(WATCH_FILES * sizeof(int))];
    } control = {.head = {.cmsg_len = CMSG_LEN(WATCH_FILES * sizeof(int)),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS}};
    struct iovec text = {(char *)profile_dir, strlen(profile_dir)};
    const struct msghdr message = {.msg_iov = &text,
                                   .msg_iovlen = 1,
                                   .msg_control = &control,
                                   .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.head), files, WATCH_FILES * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

void watched_hand_over(struct engine *engine, const char *profile_dir)
{
    const struct capture *capture = &engine->capture;
    int first = engine->watcher, ends[2] = {-1, -1}, failure = 0;
    int files[WATCH_FILES] = {capture->streams[0].pipe, capture->streams[1].pipe, capture->memory,
                              shared_make(sizeof(struct watch_begun)), -1};
    engine->begun = shared_map(files[WATCH_BEGUN], sizeof(struct watch_begun));
    if (first < 0)
        failure = -first;
    else if (!engine->begun || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        failure = errno;
    else {
        files[WATCH_SOCKET] = ends[0];
        failure = send_files(first, profile_dir, files) ? errno : 0;
    }
    if (failure)
        log_warn("no watcher can be started (%s): if this engine dies, the controller will not "
                 "learn how",
                 strerror(failure));
    const int done[] = {first, ends[0], files[WATCH_TEXT], files[WATCH_BEGUN],
                        failure ? ends[1] : -1};
    for (size_t i = 0; i < sizeof(done) / sizeof(*done); i++)
        if (done[i] >= 0)
            close(done[i]);
    engine->watcher = failure ? -1 : ends[1];
}

void watched_admit(struct engine *engine)
{
    bool wanted = settings_bool(engine->settings, "IPEngine", "enable_nanny");
    if (engine->watcher >= 0 && !wanted) {
        close(engine->watcher);
        engine->watcher = -1;
    }
    /* A tunnel ends with the engine. */
    engine->watched = engine->watcher >= 0 && !engine->tunnel;
}

void watched_note_begun(const struct engine *engine, const char *msg_id)
{
    struct watch_begun *begun = engine->begun;
    if (!begun)
        return;
    unsigned next = begun->current + 1;
    snprintf(begun->tasks[next & 1], WATCH_TASK_BYTES, "%s", msg_id);
    begun->current = next;
}

void watched_tell(const struct engine *engine, int64_t id)
{
    struct watch_news news = {
        .id = id, .watched = engine->watched, .connection = engine->connection};
    memcpy(news.uuid, engine->uuid, sizeof(news.uuid));
    memcpy(news.route, engine->route, sizeof(news.route));
    if (engine->watcher >= 0 &&
        send(engine->watcher, &news, sizeof(news), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_debug("the watcher is gone: %s", strerror(errno));
    explicit_bzero(&news, sizeof(news));
}
