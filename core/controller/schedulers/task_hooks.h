/* The hooks of a restart into the task thread: what a scheduler does in addition if it has taken a
 * previous controller's place. All of it is in restart/. Without a previous controller there are no
 * hooks, and all tasks are the scheduler's own. */
#ifndef CONTROLLER_SCHEDULERS_TASK_HOOKS_H
#define CONTROLLER_SCHEDULERS_TASK_HOOKS_H

#include "controller/balancer/balancer.h"
#include "controller/exchange/controller.h"
#include "controller/delivery/handouts.h"
#include "controller/schedulers/task_metadata.h"
#include "wire/abort_request.h"
#include "wire/message.h"

struct scheduler;

struct task_hooks {
    /* Called first, with the thread's sockets. Returns 0, or -1 with `error` set. */
    int (*open)(struct scheduler *scheduler, struct controller *controller,
                struct ipcl_error *error);
    void (*release)(struct scheduler *scheduler);
    /* Does what is due. Returns the time of the next call, or CLOCK_NEVER. */
    long long (*tick)(struct scheduler *scheduler, long long now_ms);

    /* For a task that its client has sent before: whether the previous controller may have given it
     * out. Returns 1 or 0, or -1 if that is not known yet. */
    int (*may_have_begun)(const struct scheduler *scheduler, const struct ipcl_member *msg_id);
    /* Whether a task must wait because it names engines that are not back, or follows other tasks.
     * `found`: how many of the engines that it names are here. */
    bool (*awaits_engines)(const struct scheduler *scheduler, const struct task_metadata *metadata,
                           size_t found);
    /* Whether a task that depends on an unknown task must wait. */
    bool (*awaits_tasks)(const struct scheduler *scheduler);
    /* Sets a task that must wait aside, or answers it with an error. */
    void (*set_aside)(struct scheduler *scheduler, struct message *message,
                      const struct ipcl_member *msg_id, const struct handout *before);

    /* An engine has come. */
    void (*meet)(struct scheduler *scheduler);
    /* A task is about to be sent to an engine. Returns 0, or -1 if the engine is not connected. */
    int (*prepare)(struct scheduler *scheduler, struct worker *worker);

    /* An engine's message answers no task of this scheduler's. Returns whether the hooks could use
     * it. */
    bool (*take_reply)(struct scheduler *scheduler, struct message *message);
    /* Takes over a task that the previous controller gave out, to run again. Returns whether it
     * could. */
    bool (*adopt)(struct scheduler *scheduler, struct task *task);
    /* The first task that the previous controller gave to an engine; NULL: there is none. */
    struct task *(*oldest_at)(const struct scheduler *scheduler, const struct worker *worker);

    /* Aborts set-aside tasks that a request names: adds their msg_ids to `aborted`. */
    void (*abort_aside)(struct scheduler *scheduler, const struct abort_request *request,
                        json_t *aborted);
    /* The uuid of the engine that has a task of the previous controller's; "" if it is not
     * known. */
    const char *(*engine_of)(const struct task *task);
};

#endif
