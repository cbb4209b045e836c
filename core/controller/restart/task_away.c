/* Tasks that the previous controller gave out: which engine has one, and what becomes of it when
 * that engine has gone. The task thread. */
#include "controller/restart/task_restart.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

bool away_is_at(struct away *away, const char *uuid)
{
    if (!*away->engine && away->handout.engine == handouts_hash(uuid, strlen(uuid)))
        memcpy(away->engine, uuid, strlen(uuid) + 1);
    return !strcmp(away->engine, uuid);
}

bool restart_awaits_engines(const struct scheduler *scheduler, const struct task_metadata *metadata,
                            size_t found)
{
    bool concerned = metadata->follow.count || found < json_array_size(metadata->targets);
    return concerned && scheduler->restart->socket && clock_ms() < scheduler->restart->back_ms;
}

struct task *away_of_reply(const struct scheduler *scheduler, const char *msg_id, size_t size,
                           const char *engine)
{
    struct task *task = balancer_task(scheduler->balancer, msg_id, size);
    if (!task || task->state != TASK_AWAY)
        return NULL;
    const struct away *away = (const struct away *)task;
    return *away->engine && strcmp(away->engine, engine) ? NULL : task;
}

int away_take_over(struct scheduler *scheduler, struct task *task)
{
    struct task_metadata metadata = {.targets = NULL};
    struct worker **targets = NULL;
    const char *ename, *why;
    struct message message;
    long count = -1;
    message_init(&message);
    /* The tasks that it came after have ended. But it may not be known where those ran that it
     * follows. */
    if (((const struct away *)task)->whole && !held_restore(task->data, &message) &&
        !task_metadata_read(&scheduler->reader, message_part(&message, MESSAGE_METADATA), &metadata,
                            &ename, &why) &&
        !metadata.follow.count)
        count = scheduler_find_targets(scheduler, &metadata, &targets);
    int status = -1;
    if (count == 0 && metadata.targets)
        status = restart_awaits_engines(scheduler, &metadata, 0) ? 1 : -1;
    else if (count >= 0)
        status = balancer_adopt(scheduler->balancer, task, targets, (size_t)count);
    task->sent = 1;
    task->reported = true;
    free(targets);
    task_metadata_clear(&metadata);
    message_close(&message);
    return status;
}

void away_lose(struct scheduler *scheduler, struct task *task, bool unbegun, const char *why)
{
    struct away *away = (struct away *)task;
    int status = unbegun || task->retries ? away_take_over(scheduler, task) : -1;
    away->lost = status > 0;
    away->unbegun = unbegun;
    if (status > 0) {
        scheduler->restart->lost_ms = clock_ms() + PASS_MS;
    } else if (status == 0 && unbegun) {
        scheduler_give_back(scheduler, task);
    } else {
        if (status < 0)
            task->retries = 0;
        scheduler_lose(scheduler, task, false, why);
    }
}

void away_lose_engine(struct scheduler *scheduler, struct task *task)
{
    char text[2 * REPORT_TEXT_MAX];
    const struct away *away = (const struct away *)task;
    const char *engine = away->engine;
    if (*engine && !balancer_engine(scheduler->balancer, engine, strlen(engine))) {
        task->deaths += !away->lost;
        snprintf(text, sizeof(text), "engine %s died while running task %.*s, or did not come back",
                 engine, (int)task->msg_id_size, task->msg_id);
    } else {
        snprintf(text, sizeof(text),
                 "the controller ended before this task was answered, and no engine has come back "
                 "with it: it may have run, and is not run again");
    }
    away_lose(scheduler, task, away->unbegun, text);
}
