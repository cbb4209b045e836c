/* The tasks that have finished, as the task scheduler remembers them for tasks that depend on them:
 * success or failure, and where they ran. Only the newest, as many as are configured, 20 bytes
 * each. A task is known by the 64 bits of its msg_id's hash: with a million remembered tasks, an
 * unknown msg_id is taken for one of them with odds of 1 to 10^13. */
#ifndef CONTROLLER_BALANCER_FINISHED_H
#define CONTROLLER_BALANCER_FINISHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that can be remembered. */
#define FINISHED_MAX 100000000

struct finished;

struct task_outcome {
    bool success;
    uint32_t ran_at; /* the engine's serial, below 2^31; 0: at no engine */
};

/* Memory grows as tasks are added. NULL when memory is short. */
struct finished *finished_create(size_t max);
/* Takes NULL. */
void finished_destroy(struct finished *finished);
/* Remembers a task; if there is no room, forgets the oldest. */
void finished_add(struct finished *finished, uint64_t hash, struct task_outcome outcome);
bool finished_find(const struct finished *finished, uint64_t hash, struct task_outcome *outcome);

#endif
