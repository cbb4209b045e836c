/* The queue: requests wait here while one is with the main thread. I/O thread, shell socket. */
#include <stdlib.h>
#include <string.h>

#include "base/ending.h"
#include "base/trace.h"
#include "engine/io.h"
#include "engine/stats.h"
#include "engine/watched.h"

/* Finds out what kind of job a request is. Returns false if the kernel does not answer it. */
static bool find_kind(struct io *io, struct job *job)
{
    const char *const *type = io->engine->kernel->requests;
    job->kind = JOB_APPLY;
    if (!strcmp(job->msg_type, "apply_request"))
        return true;
    while (*type && strcmp(*type, job->msg_type))
        type++;
    job->kind = strcmp(job->msg_type, "execute_request") ? JOB_ANSWER : JOB_EXECUTE;
    return *type;
}

bool shell_is_task(const struct io *io, struct job *job)
{
    return job->door == &io->cluster &&
           door_channel(job->door, job->socket, &job->message) == SEAL_TASK;
}

static void count_end(enum request_end end)
{
    counter_add(&engine_stats.requests_finished[end], 1);
}

static void answer_unrun(struct io *io, struct job *job, void answer(struct io *, struct job *))
{
    count_end(REQUEST_NOT_RUN);
    log_info("%s %s does not run", job->msg_type, job->msg_id);
    publish_status(io, job, true);
    if (reply_wanted(job))
        answer(io, job);
    publish_status(io, job, false);
    job_destroy(job);
}

void shell_abort(struct io *io, struct job *job)
{
    answer_unrun(io, job, reply_aborted);
}

/* The engine ends, and the request has not begun. */
static void turn_away(struct io *io, struct job *job)
{
    answer_unrun(io, job, shell_is_task(io, job) ? reply_unbegun : reply_ended);
}

/* Returns 0, or -1 with `error` set. */
static int read_request(struct job *job, struct ipcl_error *error)
{
    if (job->kind != JOB_APPLY) {
        job->content =
            session_unpack(job->door->session, message_part(&job->message, MESSAGE_CONTENT), error);
        if (!job->content)
            return -1;
        if (!json_is_object(job->content))
            return ipcl_error_set(error, "the content is not a mapping");
    }
    return job_find_buffers(job) ? ipcl_error_set(error, "out of memory") : 0;
}

static void enqueue(struct io *io, struct job *job)
{
    struct ipcl_error error;
    clock_date(job->started);
    if (!find_kind(io, job)) {
        control_answer(io, job);
        return;
    }
    if (read_request(job, &error)) {
        count_end(REQUEST_NOT_RUN);
        reply_error(io, job, "BadRequest", error.text);
        job_destroy(job);
    } else if (abort_awaits(io, job)) {
        shell_abort(io, job);
    } else if (io->draining || io->state == IO_STOPPING) {
        turn_away(io, job);
    } else {
        TAILQ_INSERT_TAIL(&io->queue, job, entry);
    }
}

/* The last first: the scheduler puts each before what waits there. */
static void give_back_queued(struct io *io)
{
    struct job *job = TAILQ_LAST(&io->queue, job_list), *before;
    for (; job; job = before) {
        before = TAILQ_PREV(job, job_list, entry);
        if (!shell_is_task(io, job))
            continue;
        TAILQ_REMOVE(&io->queue, job, entry);
        reply_returned(io, job);
        job_destroy(job);
    }
    reply_flush(io);
}

static void take_recall(struct io *io, struct job *job)
{
    struct ipcl_error error;
    clock_date(job->started);
    job->content =
        session_unpack(job->door->session, message_part(&job->message, MESSAGE_CONTENT), &error);
    recall_serve(io, job);
}

void shell_receive(void *self, struct message *message)
{
    struct door *door = self;
    struct job *job = door_accept(door, message, door->shell);
    bool task = job && shell_is_task(door->io, job);
    if (task && !strcmp(job->msg_type, "recall_request")) {
        take_recall(door->io, job);
        return;
    }
    if (task && !strcmp(job->msg_type, "return_request")) {
        give_back_queued(door->io);
        job_destroy(job);
        return;
    }
    if (task)
        recall_note(door->io, job);
    if (job) {
        trace_step(TRACE_ENGINE_RECEIVE, job->msg_id, strlen(job->msg_id), -1);
        job->received_ns = trace_now();
    }
    if (job)
        enqueue(door->io, job);
    shell_next(door->io);
}

static void quit(struct io *io)
{
    static struct job quit_job = {.kind = JOB_QUIT};
    io->running = &quit_job;
    io->stop_ms = clock_ms() + ENDING_QUIT_MS;
    link_give(&io->engine->link, &quit_job);
}

void shell_reach(struct io *io)
{
    static struct job reach_job = {.kind = JOB_REACH};
    io->running = &reach_job;
    link_give(&io->engine->link, &reach_job);
}

void shell_next(struct io *io)
{
    if (io->running)
        return;
    struct job *job = TAILQ_FIRST(&io->queue);
    if (!job) {
        if (io->state == IO_STOPPING)
            quit(io);
        else if (io->draining)
            io_stop(io, io->drained, io->ending);
        return;
    }
    TAILQ_REMOVE(&io->queue, job, entry);
    io->running = job;
    job->number = ++io->jobs;
    if (shell_is_task(io, job))
        watched_note_begun(io->engine, job->msg_id);
    else
        io->addressed = job->kind != JOB_CLEAR;
    capture_forget(&io->engine->capture); /* what the previous request printed */
    publish_parent(io, job);
    clock_date(job->started);
    bounds_begin(io, job);
    if (job->kind != JOB_CLEAR) /* which control_answer() has done */
        publish_status(io, job, true);
    job->begun_us = clock_precise_us();
    link_give(&io->engine->link, job);
}

static bool has_failed(const struct job *job)
{
    const char *status = json_string_value(json_object_get(job->reply.content, "status"));
    return status && !strcmp(status, "error");
}

/* stop_on_error: what the same client wanted executed afterwards is aborted. Other clients'
 * requests and applies go on. */
static void stop_on_error(struct io *io, struct job *failed)
{
    if (failed->kind != JOB_EXECUTE || !has_failed(failed) ||
        json_is_false(json_object_get(failed->content, "stop_on_error")) ||
        json_is_true(json_object_get(failed->content, "silent")))
        return;
    struct job *job = TAILQ_FIRST(&io->queue), *next;
    for (; job; job = next) {
        next = TAILQ_NEXT(job, entry);
        if (job->kind != JOB_EXECUTE || !message_same_identities(&job->message, &failed->message))
            continue;
        TAILQ_REMOVE(&io->queue, job, entry);
        shell_abort(io, job);
    }
}

/* Whether a job was interrupted by the engine's end, and says no more than that. */
static bool was_cut_short(const struct io *io, const struct job *job)
{
    const char *ename = json_string_value(json_object_get(job->reply.content, "ename"));
    return io->state == IO_STOPPING && ename && !strcmp(ename, "KeyboardInterrupt");
}

static void answer_too_long(struct io *io, struct job *job, double seconds)
{
    char text[96];
    snprintf(text, sizeof(text), "the request ran longer than its time limit of %g s", seconds);
    reply_error(io, job, "TaskTimeout", text);
}

static void count_run(const struct job *job, bool too_long)
{
    if (job->kind == JOB_CLEAR)
        return; /* a client's, but nothing that runs */
    count_end(too_long || has_failed(job) ? REQUEST_FAILED : REQUEST_OK);
    histogram_note(&engine_stats.request_work_seconds, clock_precise_us() - job->begun_us);
}

void shell_done(struct io *io, struct job *job)
{
    capture_flush(&io->engine->capture); /* counted as this job's */
    io->running = NULL;
    if (job->kind == JOB_QUIT) {
        loop_end(io->loop);
        return;
    }
    if (job->kind == JOB_REACH) {
        registration_reached(io);
        shell_next(io);
        return;
    }
    struct ipcl_reply *reply = &job->reply;
    double limit = io->bounds.seconds;
    bool too_long = bounds_end(io, job);
    count_run(job, too_long);
    if (reply_wanted(job) && too_long) {
        answer_too_long(io, job, limit);
    } else if (reply_wanted(job) && was_cut_short(io, job)) {
        reply_ended(io, job);
    } else if (reply_wanted(job)) {
        reply_send(io, job, reply->content, reply->metadata, reply->buffers, reply->buffer_count);
        reply->buffer_count = 0; /* their contents were taken over */
    }
    publish_status(io, job, false);
    stop_on_error(io, job);
    job_destroy(job);
    shell_next(io);
}

void shell_answer_queued(struct io *io, bool tasks_alone)
{
    struct job *job = TAILQ_FIRST(&io->queue), *next;
    for (; job; job = next) {
        next = TAILQ_NEXT(job, entry);
        if (job->kind == JOB_CLEAR || (tasks_alone && !shell_is_task(io, job)))
            continue;
        TAILQ_REMOVE(&io->queue, job, entry);
        turn_away(io, job);
    }
    reply_flush(io);
}
