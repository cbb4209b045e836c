/* Messages to engines: signed, noted as given out, and sent. The task thread. */
#include <string.h>

#include "controller/exchange/segments.h"
#include "controller/schedulers/task.h"

static struct handout handout_of(const struct task *task)
{
    return (struct handout){.retries = task->retries, .deaths = task->deaths};
}

int scheduler_send_to(struct scheduler *scheduler, struct worker *worker, struct message *message,
                      const struct task *task)
{
    const char *name = routes_of(&scheduler->routes, worker->uuid);
    struct seal *seal = &scheduler->sessions.engine_seal;
    size_t size = strlen(name);
    if (task && scheduler->hooks && scheduler->hooks->prepare(scheduler, worker))
        return -1;
    if (segments_give_to(name, message) ||
        seal_sign(seal, message, name, size, worker->sealed, NULL))
        return -1;
    if (task) {
        struct handout handout = handout_of(task);
        handout.engine = handouts_hash(worker->uuid, strlen(worker->uuid));
        handout.counter = worker->sealed ? seal->counter : 0;
        handouts_add(scheduler->handouts, task->msg_id, task->msg_id_size, &handout);
    }
    if (!message_send_to(message, scheduler->engines, name, size))
        return 0;
    segments_recall_from(name, message);
    if (task)
        handouts_undo(scheduler->handouts);
    return -1;
}
