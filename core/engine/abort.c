/* Aborting: requests that wait here, or are still on their way, are answered and do not run. I/O
 * thread. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "engine/io.h"
#include "wire/abort_request.h"

/* How many requests that have not come yet are noted: the newest. */
#define AWAITED_MAX 65536

struct awaited {
    UT_hash_handle hh;
    char name[]; /* of the request: its session, a space and its msg_id */
};

/* NULL if memory is short. */
static struct awaited *name_request(const struct ipcl_member *session, const char *msg_id)
{
    size_t id_size = strlen(msg_id) + 1;
    struct awaited *awaited = calloc(1, sizeof(*awaited) + session->size + 1 + id_size);
    if (!awaited)
        return NULL;
    memcpy(awaited->name, session->data, session->size);
    awaited->name[session->size] = ' ';
    memcpy(awaited->name + session->size + 1, msg_id, id_size);
    return awaited;
}

static struct awaited *find(const struct io *io, const char *name)
{
    struct awaited *found;
    HASH_FIND_STR(io->aborted, name, found);
    return found;
}

static void forget(struct io *io, struct awaited *awaited)
{
    HASH_DEL(io->aborted, awaited);
    free(awaited);
}

/* Returns whether it is noted. */
static bool note(struct io *io, const struct ipcl_member *session, const char *msg_id)
{
    struct awaited *awaited = name_request(session, msg_id);
    if (!awaited)
        return false;
    if (find(io, awaited->name)) {
        free(awaited);
        return true;
    }
    if (HASH_COUNT(io->aborted) >= AWAITED_MAX)
        forget(io, io->aborted);
    HASH_ADD_STR(io->aborted, name, awaited);
    return true;
}

bool abort_awaits(struct io *io, struct job *job)
{
    struct ipcl_member session = {.name = "session"};
    if (!io->aborted ||
        session_find(job->door->session, message_part(&job->message, MESSAGE_HEADER), &session,
                     1) ||
        session.state != IPCL_MEMBER_TEXT)
        return false;
    struct awaited *name = name_request(&session, job->msg_id);
    struct awaited *found = name ? find(io, name->name) : NULL;
    free(name);
    if (found)
        forget(io, found);
    return found;
}

static bool is_meant(const struct abort_request *request, struct job *job)
{
    zmq_msg_t *header = message_part(&job->message, MESSAGE_HEADER);
    return job->kind != JOB_CLEAR &&
           abort_request_is_from(request, job->serial, zmq_msg_data(header), zmq_msg_size(header));
}

/* Aborts those of the queue that are named, or all, and takes their names off. Returns their
 * msg_ids. */
static json_t *abort_queued(struct io *io, const struct abort_request *request)
{
    const bool all = !json_object_size(request->named);
    struct job *job = TAILQ_FIRST(&io->queue), *next;
    json_t *aborted = json_array();
    for (; job; job = next) {
        next = TAILQ_NEXT(job, entry);
        bool named = all || !json_object_del(request->named, job->msg_id);
        if (!named || !is_meant(request, job))
            continue;
        TAILQ_REMOVE(&io->queue, job, entry);
        json_array_append_new(aborted, json_string(job->msg_id));
        shell_abort(io, job);
    }
    return aborted;
}

json_t *abort_serve(struct io *io, struct job *job, struct ipcl_error *error)
{
    struct abort_request request;
    const char *name;
    json_t *value;
    if (abort_request_read(&request, job->door->session, &job->message, job->content, error))
        return NULL;
    json_t *aborted = abort_queued(io, &request), *noted = json_array();
    if (io->running && io->running->msg_id)
        json_object_del(request.named, io->running->msg_id);
    json_object_foreach (request.named, name, value)
        if (note(io, &request.session, name))
            json_array_append_new(noted, json_string(name));
    abort_request_clear(&request);
    json_t *content =
        json_pack("{s:s s:o s:o}", "status", "ok", "aborted", aborted, "noted", noted);
    if (!content)
        ipcl_error_set(error, "out of memory");
    return content;
}

void abort_release(struct io *io)
{
    while (io->aborted)
        forget(io, io->aborted);
}
