/* The places at which a restart hooks into the task thread: what a scheduler does beside its own
 * tasks where it has taken a previous controller's place. All of it is in restart/. In a scheduler
 * that is nobody's successor there are no hooks, and all tasks are its own. */
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
    /* Begins, with the sockets of the thread. Returns 0, or -1 with `error` set. */
    int (*open)(struct scheduler *scheduler, struct controller *controller,
                struct ipcl_error *error);
    void (*release)(struct scheduler *scheduler);
    /* Does what is due. Returns when to be called again, or CLOCK_NEVER. */
    long long (*tick)(struct scheduler *scheduler, long long now_ms);

    /* A task comes that its client has sent before: whether the previous controller may have given
     * it out. Returns 1 or 0, or -1 where that is not known yet. */
    int (*may_have_begun)(const struct scheduler *scheduler, const struct ipcl_member *msg_id);
    /* Whether a task has to wait, as it names engines that are not back, or follows other tasks.
     * `found`: so many of those that it names are here. */
    bool (*awaits_engines)(const struct scheduler *scheduler, const struct task_metadata *metadata,
                           size_t found);
    /* Whether a task has to wait that depends on one of which nothing is known. */
    bool (*awaits_tasks)(const struct scheduler *scheduler);
    /* Sets a task aside that has to wait, or answers it with an error. */
    void (*set_aside)(struct scheduler *scheduler, struct message *message,
                      const struct ipcl_member *msg_id, const struct handout *before);

    /* An engine has come. */
    void (*meet)(struct scheduler *scheduler);
    /* A task is about to go to an engine. Returns 0, or -1 where the engine is not connected. */
    int (*prepare)(struct scheduler *scheduler, struct worker *worker);

    /* An engine sends what answers no task of this scheduler's. Returns whether it was of use. */
    bool (*take_reply)(struct scheduler *scheduler, struct message *message);
    /* Takes over a task that the previous controller gave out, to run again. Returns whether that
     * can be. */
    bool (*adopt)(struct scheduler *scheduler, struct task *task);
    /* The task that the previous controller gave an engine first; NULL: there is none. */
    struct task *(*oldest_at)(const struct scheduler *scheduler, const struct worker *worker);

    /* Aborts what a request names of the tasks that are set aside: adds the msg_ids to
     * `aborted`. */
    void (*abort_aside)(struct scheduler *scheduler, const struct abort_request *request,
                        json_t *aborted);
    /* The uuid of the engine that has a task which the previous controller gave out; "" where that
     * is not known. */
    const char *(*engine_of)(const struct task *task);
};

#endif
