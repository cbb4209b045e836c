/* Tasks on their way to engines: those that can run are sent to the engines that the balancer
 * chooses. The task thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "controller/schedulers/task.h"

/* The most that is sent before the sockets get their turn. */
#define BATCH 256

/* Puts a count into the metadata of a task that was sent before: an engine accepts each signature
 * once, and may get this task again. Returns 0 or -1. */
static int renew(struct scheduler *scheduler, const struct task *task, struct message *message)
{
    const struct ipcl_serial_operations *serial = session_serial(scheduler->sessions.clients);
    zmq_msg_t *part = message_part(message, MESSAGE_METADATA);
    json_t *metadata = session_unpack(scheduler->sessions.clients, part, NULL);
    size_t size;
    json_object_set_new(metadata, "attempt", json_integer(task->sent));
    char *packed = metadata ? serial->pack(metadata, &size, NULL) : NULL;
    json_decref(metadata);
    int status = packed ? message_replace(part, packed, size) : -1;
    free(packed);
    return status;
}

long long scheduler_waited_us(const struct task *task)
{
    return (clock_ns() - task->since_ns) / 1000;
}

/* Sends a task to the engine that the balancer chose for it, or ends it if it cannot be sent again.
 * `message` is the task as it came; if it is NULL, the task is restored. Returns whether it was
 * sent. If the engine is not connected, the task waits again, and `message` is as it was. */
static bool send_task(struct scheduler *scheduler, struct task *task, struct message *message)
{
    bool restored = true;
    if (!message) {
        message = &scheduler->outgoing;
        message_clear(message);
        restored = !held_restore(task->data, message);
        if (restored && task->sent && !task->worker->sealed && renew(scheduler, task, message)) {
            scheduler_fail(
                scheduler, task, "ValueError",
                "the task cannot run again: its metadata cannot be packed again, perhaps because "
                "of a number beyond 64 bits");
            return false;
        }
    }
    size_t bytes = message_bytes(message);
    if (!restored || scheduler_send_to(scheduler, task->worker, message, task)) {
        scheduler_rest(scheduler, SCHEDULER_RETRY_MS);
        balancer_put_back(scheduler->balancer, task);
        return false;
    }
    window_sent(scheduler, task->worker, bytes);
    task->sent++;
    task->cut = false;
    return true;
}

void scheduler_dispatch_new(struct scheduler *scheduler, struct task *fresh,
                            struct message *message)
{
    struct task *task;
    size_t count = 0;
    while (!scheduler->draining && count++ < BATCH && (task = balancer_next(scheduler->balancer))) {
        bool sent = send_task(scheduler, task, task == fresh ? message : NULL);
        if (task == fresh && sent)
            fresh = NULL; /* its message has gone, and it may be taken back and come again */
        if (!sent)
            continue;
        trace_step_since(TRACE_DISPATCH, task->msg_id, task->msg_id_size, task->worker->id,
                         task->since_ns);
        counter_add(&stats.tasks_sent, 1);
        histogram_note(&stats.task_queue_seconds, scheduler_waited_us(task));
        task->since_ns = clock_ns();
        if (task->reported && report_add(&scheduler->report, REPORT_ASSIGNED, REPORT_TASK,
                                         task->worker->id, task->msg_id, task->msg_id_size, NULL))
            handouts_doubt(scheduler->handouts);
        if (!task->reported && !scheduler->report.recording)
            report_add(&scheduler->report, REPORT_SUBMITTED, REPORT_TASK, task->worker->id,
                       task->msg_id, task->msg_id_size, NULL);
        task->reported = true;
    }
    scheduler->more = count > BATCH;
}

void scheduler_dispatch(struct scheduler *scheduler)
{
    scheduler_dispatch_new(scheduler, NULL, NULL);
}
