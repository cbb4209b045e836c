/* What is kept for a controller that takes another's place, and its question. I/O thread. */
#include "engine/recall.h"

#include <stdlib.h>
#include <string.h>

#include "engine/io.h"

void recall_note(struct io *io, struct job *job)
{
    struct seal *seal = &io->cluster.seals[SEAL_TASK];
    job->counter = io->recall.newest = seal_highest(seal, io->identity, strlen(io->identity));
}

static void drop(struct answered *answered)
{
    if (!answered->msg_id)
        return;
    message_close(&answered->message);
    free(answered->msg_id);
    answered->msg_id = NULL;
}

void recall_keep(struct io *io, const struct job *job, struct message *message)
{
    struct recall *recall = &io->recall;
    struct answered *answered = &recall->answers[recall->next];
    if (!job->counter || message_bytes(message) > RECALL_ANSWER_BYTES)
        return;
    drop(answered);
    message_init(&answered->message);
    /* Not by reference: what user code has lent may be another value by the time that it is asked
     * for. */
    if (message_duplicate(&answered->message, message) ||
        !(answered->msg_id = strdup(job->msg_id))) {
        message_close(&answered->message);
        return;
    }
    answered->counter = job->counter;
    recall->next = (recall->next + 1) % RECALL_ANSWERS;
}

/* A mapping of the msg_ids of what waits here and what runs. A new reference. */
static json_t *what_is_here(const struct io *io)
{
    json_t *here = json_object();
    const struct job *job;
    if (io->running && io->running->msg_id)
        json_object_set_new(here, io->running->msg_id, json_true());
    TAILQ_FOREACH(job, &io->queue, entry)
    json_object_set_new(here, job->msg_id, json_true());
    return here;
}

/* Marks an answer as repeated, with the counter with which its task came: so it does not count as
 * the answer to a later attempt. Returns 0 or -1. */
static int mark(const struct io *io, struct message *message, uint64_t counter)
{
    const struct door *door = &io->cluster;
    zmq_msg_t *part = message_part(message, MESSAGE_METADATA);
    json_t *metadata = session_unpack(door->session, part, NULL);
    size_t size;
    json_object_set_new(metadata, "repeats", json_integer((json_int_t)counter));
    char *packed = metadata ? door->serial->pack(metadata, &size, NULL) : NULL;
    json_decref(metadata);
    int status = packed ? message_replace(part, packed, size) : -1;
    free(packed);
    return status;
}

/* Returns whether the answer was kept and sent. `counter`: the task's; 0: not known. */
static bool answer_again(struct io *io, const char *msg_id, uint64_t counter, void *socket)
{
    struct ipcl_error error;
    struct message message;
    struct answered *answered = NULL;
    for (size_t i = 1; i <= RECALL_ANSWERS && !answered; i++) {
        struct answered *one =
            &io->recall.answers[(io->recall.next + RECALL_ANSWERS - i) % RECALL_ANSWERS];
        if (one->msg_id && !strcmp(one->msg_id, msg_id) && (!counter || counter == one->counter))
            answered = one;
    }
    if (!answered)
        return false;
    message_init(&message);
    bool sent =
        !message_copy(&message, &answered->message) && !mark(io, &message, answered->counter) &&
        !door_sign(&io->cluster, SEAL_TASK, &message, &error) && !message_send(&message, socket);
    message_close(&message);
    return sent;
}

/* Once a controller has asked, tasks of an earlier one are no longer accepted. */
static void meet(struct io *io, const char *life)
{
    struct recall *recall = &io->recall;
    if (!life || !strcmp(recall->life, life))
        return;
    snprintf(recall->life, sizeof(recall->life), "%s", life);
    recall->before = recall->newest;
    seal_close_past(&io->cluster.seals[SEAL_TASK], io->identity, strlen(io->identity));
}

void recall_serve(struct io *io, struct job *job)
{
    reply_flush(io);
    meet(io, json_string_value(json_object_get(job->content, "life")));
    json_t *here = what_is_here(io), *unbegun = json_array(), *gone = json_array(), *counter;
    const char *msg_id;
    json_object_foreach (json_object_get(job->content, "tasks"), msg_id, counter) {
        uint64_t number = (uint64_t)json_integer_value(counter);
        if (number > io->recall.before)
            json_array_append_new(unbegun, json_string(msg_id));
        else if (!json_object_get(here, msg_id) && !answer_again(io, msg_id, number, job->socket))
            json_array_append_new(gone, json_string(msg_id));
    }
    json_t *content = json_pack("{s:s s:o s:o}", "status", "ok", "unbegun", unbegun, "gone", gone);
    reply_send(io, job, content, NULL, NULL, 0);
    json_decref(content);
    json_decref(here);
    job_destroy(job);
}

void recall_release(struct io *io)
{
    for (size_t i = 0; i < RECALL_ANSWERS; i++)
        drop(&io->recall.answers[i]);
}
