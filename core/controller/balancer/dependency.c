/* Tasks that depend on others: `after` them, or where these ran (`follow`).
 *
 * A task has an edge for each that it depends on, which is in the list of the other until that
 * ends. Counts say whether the needs are met, so that each end costs the same however many there
 * are. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/container.h"
#include "controller/balancer/balancer_private.h"

struct edge {
    struct task *waiter;
    struct task *on; /* NULL: that task has ended */
    struct edge *prev, *next;
    uint32_t ran_at; /* once it has ended, as `follow` needs it: an engine's serial; 0 for none */
    bool follow;
};

struct need {
    bool all, success, failure; /* see struct dependency */
    bool apart;                 /* of `follow`: they ran at different engines, or at none */
    size_t count;
    size_t left; /* have not ended */
    size_t met;  /* have ended as is needed */
    uint32_t ran_at;
    struct edge *edges;
};

struct needs {
    struct need after, follow;
    struct edge edges[];
};

static enum needs_state need_check(const struct need *need)
{
    bool missed = need->count - need->left > need->met;
    if (!need->count)
        return NEEDS_MET;
    if (need->all)
        return missed || need->apart ? NEEDS_NEVER : need->left ? NEEDS_OPEN : NEEDS_MET;
    return need->met ? NEEDS_MET : need->left ? NEEDS_OPEN : NEEDS_NEVER;
}

enum needs_state needs_check(const struct task *task, enum task_fate *fate)
{
    enum needs_state after = need_check(&task->needs->after),
                     follow = need_check(&task->needs->follow);
    bool apart = task->needs->follow.all && task->needs->follow.apart;
    *fate = after != NEEDS_NEVER && apart ? FATE_APART : FATE_IMPOSSIBLE;
    if (after == NEEDS_NEVER || follow == NEEDS_NEVER)
        return NEEDS_NEVER;
    return after == NEEDS_OPEN || follow == NEEDS_OPEN ? NEEDS_OPEN : NEEDS_MET;
}

bool needs_more_engines(const struct task *task)
{
    return task->needs && !task->needs->follow.all && task->needs->follow.left;
}

void needs_allow_at(const struct balancer *balancer, struct task *task, uint32_t serial)
{
    struct worker *worker = serial ? balancer_engine_of_serial(balancer, serial) : NULL;
    if (worker)
        binding_allow(task, worker);
}

void needs_allow(struct balancer *balancer, struct task *task)
{
    const struct need *follow = &task->needs->follow;
    if (follow->count)
        task->bound = true;
    if (follow->count && follow->all)
        needs_allow_at(balancer, task, follow->ran_at);
    for (size_t i = 0; i < follow->count && !follow->all; i++)
        needs_allow_at(balancer, task, follow->edges[i].ran_at);
}

static void edge_ends(struct edge *edge, struct task_outcome outcome)
{
    struct needs *needs = edge->waiter->needs;
    struct need *need = edge->follow ? &needs->follow : &needs->after;
    edge->on = NULL;
    need->left--;
    if (outcome.success ? !need->success : !need->failure)
        return;
    if (need->met && need->ran_at != outcome.ran_at)
        need->apart = edge->follow;
    need->apart = need->apart || (edge->follow && !outcome.ran_at);
    need->met++;
    need->ran_at = edge->ran_at = outcome.ran_at;
}

struct task *needs_end(struct task *task, struct task_outcome outcome, uint32_t *ran_at)
{
    struct edge *edge = task->dependents;
    if (!edge)
        return NULL;
    DL_DELETE(task->dependents, edge);
    edge_ends(edge, outcome);
    *ran_at = edge->follow ? edge->ran_at : 0;
    return edge->waiter;
}

static enum submission make_edge(struct balancer *balancer, struct edge *edge, struct need *need,
                                 const char *id)
{
    size_t size = strlen(id);
    uint64_t hash = table_hash(&balancer->tasks, id, size);
    struct table_item *item = table_find(&balancer->tasks, hash, id, size);
    struct task_outcome outcome;
    need->count++;
    need->left++;
    if (item) {
        edge->on = container_of(item, struct task, item);
        DL_APPEND(edge->on->dependents, edge);
        return edge->on == edge->waiter ? SUBMISSION_ITSELF : SUBMISSION_DONE;
    }
    if (!finished_find(balancer->finished, hash, &outcome))
        return SUBMISSION_UNKNOWN;
    edge_ends(edge, outcome);
    return SUBMISSION_DONE;
}

static enum submission make_need(struct balancer *balancer, struct task *task, struct need *need,
                                 const struct dependency *dependency, struct edge *edges,
                                 const char **unknown)
{
    enum submission status = SUBMISSION_DONE;
    need->edges = edges;
    if (!dependency)
        return status;
    need->all = dependency->all;
    need->success = dependency->success;
    need->failure = dependency->failure;
    for (size_t i = 0; i < dependency->count && status == SUBMISSION_DONE; i++) {
        edges[i] = (struct edge){.waiter = task, .follow = need == &task->needs->follow};
        status = make_edge(balancer, &edges[i], need, dependency->ids[i]);
        *unknown = dependency->ids[i];
    }
    return status;
}

enum submission needs_create(struct balancer *balancer, struct task *task,
                             const struct dependency *after, const struct dependency *follow,
                             const char **unknown)
{
    size_t first = after ? after->count : 0, count = first + (follow ? follow->count : 0);
    task->needs = calloc(1, sizeof(*task->needs) + count * sizeof(struct edge));
    if (!task->needs)
        return SUBMISSION_NO_MEMORY;
    struct edge *edges = task->needs->edges;
    enum submission status = make_need(balancer, task, &task->needs->after, after, edges, unknown);
    if (status == SUBMISSION_DONE)
        status = make_need(balancer, task, &task->needs->follow, follow, edges + first, unknown);
    return status;
}

void needs_forget(struct task *task)
{
    struct edge *edge;
    while ((edge = task->dependents)) {
        DL_DELETE(task->dependents, edge);
        edge->on = NULL;
    }
}

static void cut(struct need *need)
{
    for (size_t i = 0; i < need->count; i++)
        if (need->edges[i].on)
            DL_DELETE(need->edges[i].on->dependents, &need->edges[i]);
}

void needs_destroy(struct task *task)
{
    if (!task->needs)
        return;
    cut(&task->needs->after);
    cut(&task->needs->follow);
    free(task->needs);
    task->needs = NULL;
}
