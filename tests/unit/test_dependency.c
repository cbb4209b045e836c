/* Tasks that depend on others: when and where they run, and when they cannot; compared with a model
 * that looks at every task each time. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/balancer/balancer.h"

struct fixture {
    struct balancer *balancer;
    struct worker *workers[2];
};

static void setup(struct fixture *fixture, size_t finished_max)
{
    fixture->balancer = balancer_create(balancer_scheme_of("leastload"), 1, finished_max);
    fixture->workers[0] = balancer_add_engine(fixture->balancer, 0, "zero");
    fixture->workers[1] = balancer_add_engine(fixture->balancer, 1, "one");
}

static void release(struct task *task)
{
    free(task->data);
    free(task);
}

static struct task *make(const char *name)
{
    struct task *task = calloc(1, sizeof(*task));
    task->msg_id = task->data = strdup(name);
    task->msg_id_size = (unsigned char)strlen(name);
    return task;
}

static enum submission try(struct fixture *f, struct task *task, struct worker *target,
                           const struct dependency *after, const struct dependency *follow)
{
    const char *unknown;
    return balancer_submit(f->balancer, task, &target, target ? 1 : 0, after, follow, &unknown);
}

static struct task *submit(struct fixture *f, const char *name, struct worker *target,
                           const struct dependency *after, const struct dependency *follow)
{
    struct task *task = make(name);
    cr_assert_eq(try(f, task, target, after, follow), SUBMISSION_DONE);
    return task;
}

static void end(struct fixture *f, struct task *task, bool success)
{
    balancer_finish(f->balancer, task, success);
    release(task);
}

/* Runs the next task, which must have this name; it must run at `worker` if that is not NULL. */
static struct task *run(struct fixture *f, const char *name, const struct worker *worker)
{
    struct task *task = balancer_next(f->balancer);
    cr_assert(task != NULL, "%s does not run", name);
    cr_assert_eq(strncmp(task->msg_id, name, task->msg_id_size), 0, "%.*s runs, not %s",
                 task->msg_id_size, task->msg_id, name);
    cr_assert(!worker || task->worker == worker);
    return task;
}

static const char *const a[] = {"a"}, *const ab[] = {"a", "b"};
static const struct dependency on_a = {a, 1, .all = true, .success = true},
                               all_ab = {ab, 2, .all = true, .success = true},
                               any_ab = {ab, 2, .success = true},
                               a_fails = {a, 1, .all = true, .failure = true};

Test(dependency, a_task_runs_after_all_that_it_names)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", NULL, NULL, NULL);
    submit(&f, "b", NULL, NULL, NULL);
    submit(&f, "c", NULL, &all_ab, NULL);
    struct task *first = run(&f, "a", NULL), *second = run(&f, "b", NULL);
    end(&f, second, true);
    cr_assert_null(balancer_next(f.balancer));
    end(&f, first, true);
    end(&f, run(&f, "c", NULL), true);
    /* What has finished counts, too. */
    submit(&f, "d", NULL, &all_ab, NULL);
    run(&f, "d", NULL);
    balancer_destroy(f.balancer, release);
}

Test(dependency, a_failure_makes_a_whole_chain_impossible_without_recursion)
{
    enum { LENGTH = 100000 };
    struct fixture f;
    char name[24] = "a", next[24];
    const char *ids[] = {name};
    struct dependency rule = {ids, 1, .all = true, .success = true};
    setup(&f, 10);
    submit(&f, name, NULL, NULL, NULL);
    for (int i = 0; i < LENGTH; i++) {
        snprintf(next, sizeof(next), "chain%d", i);
        submit(&f, next, NULL, &rule, NULL);
        strcpy(name, next);
    }
    end(&f, run(&f, "a", NULL), false);
    for (int i = 0; i < LENGTH; i++) {
        struct task *task = balancer_stranded(f.balancer);
        cr_assert(task && task->fate == FATE_IMPOSSIBLE);
        end(&f, task, false);
    }
    cr_assert_null(balancer_stranded(f.balancer));
    balancer_destroy(f.balancer, release);
}

Test(dependency, failures_can_be_what_is_waited_for)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", NULL, NULL, NULL);
    submit(&f, "cleanup", NULL, &a_fails, NULL);
    end(&f, run(&f, "a", NULL), false);
    end(&f, run(&f, "cleanup", NULL), true);
    struct task *late = submit(&f, "late", NULL, &on_a, NULL);
    cr_assert_eq(balancer_stranded(f.balancer), late, "it failed already");
    balancer_destroy(f.balancer, release);
}

Test(dependency, a_task_follows_to_the_engine_where_all_ran)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", f.workers[1], NULL, NULL);
    submit(&f, "b", NULL, NULL, &on_a);
    submit(&f, "free", NULL, NULL, NULL);
    struct task *other = run(&f, "free", f.workers[0]), *first = run(&f, "a", f.workers[1]);
    end(&f, other, true);
    cr_assert_null(balancer_next(f.balancer));
    end(&f, first, true);
    end(&f, run(&f, "b", f.workers[1]), true);
    submit(&f, "c", NULL, NULL, &all_ab);
    end(&f, run(&f, "c", f.workers[1]), true);
    balancer_destroy(f.balancer, release);
}

Test(dependency, following_tasks_that_ran_apart_is_impossible_and_following_any_of_them_is_not)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", f.workers[0], NULL, NULL);
    submit(&f, "b", f.workers[1], NULL, NULL);
    struct task *waits = submit(&f, "both", NULL, NULL, &all_ab);
    submit(&f, "either", NULL, NULL, &any_ab);
    end(&f, run(&f, "a", f.workers[0]), true);
    struct task *b = run(&f, "b", f.workers[1]), *either = run(&f, "either", f.workers[0]);
    end(&f, b, true);
    cr_assert_eq(balancer_stranded(f.balancer), waits);
    cr_assert_eq(waits->fate, FATE_APART);
    end(&f, waits, false);
    end(&f, either, true);
    struct task *late = submit(&f, "late", NULL, NULL, &all_ab);
    cr_assert_eq(balancer_stranded(f.balancer), late);
    balancer_destroy(f.balancer, release);
}

Test(dependency, following_to_an_engine_that_has_gone_is_impossible)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", f.workers[0], NULL, NULL);
    struct task *busy = run(&f, "a", NULL);
    struct task *waiting = submit(&f, "waiting", NULL, NULL, &on_a);
    end(&f, busy, true);
    balancer_remove_engine(f.balancer, f.workers[0], "died");
    cr_assert_eq(balancer_stranded(f.balancer), waiting);
    cr_assert_eq(waiting->fate, FATE_ALONE);
    end(&f, waiting, false);
    /* An engine that comes under the same id is another one. */
    balancer_add_engine(f.balancer, 0, "zero again");
    struct task *late = submit(&f, "late", NULL, NULL, &on_a);
    cr_assert_eq(balancer_stranded(f.balancer), late);
    end(&f, late, false);
    /* An engine that was given up too early is the same engine when it comes back. */
    struct worker *back = balancer_add_engine(f.balancer, 5, "zero");
    submit(&f, "back", NULL, NULL, &on_a);
    run(&f, "back", back);
    balancer_destroy(f.balancer, release);
}

Test(dependency, targets_and_what_is_followed_hold_both)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", f.workers[0], NULL, NULL);
    struct task *apart = submit(&f, "apart", f.workers[1], NULL, &on_a);
    submit(&f, "together", f.workers[0], NULL, &on_a);
    end(&f, run(&f, "a", f.workers[0]), true);
    cr_assert_eq(balancer_stranded(f.balancer), apart);
    struct task *together = run(&f, "together", f.workers[0]);
    /* The only engine that is left does not meet the functional dependency. */
    cr_assert_eq(balancer_retry(f.balancer, together, true, false), -1);
    balancer_destroy(f.balancer, release);
}

Test(dependency, a_functional_dependency_moves_a_task_among_those_that_it_follows)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", f.workers[0], NULL, NULL);
    submit(&f, "b", f.workers[1], NULL, NULL);
    submit(&f, "c", NULL, NULL, &any_ab);
    struct task *first = run(&f, "a", f.workers[0]), *second = run(&f, "b", f.workers[1]);
    end(&f, first, true);
    struct task *task = run(&f, "c", f.workers[0]);
    cr_assert_eq(balancer_retry(f.balancer, task, true, false), 0, "b may yet give it an engine");
    cr_assert_null(balancer_next(f.balancer));
    end(&f, second, true);
    run(&f, "c", f.workers[1]);
    cr_assert_eq(balancer_retry(f.balancer, task, true, false), -1);
    balancer_destroy(f.balancer, release);
}

Test(dependency, unknown_and_circular_dependencies_are_refused)
{
    struct fixture f;
    setup(&f, 2);
    struct task *itself = make("a"), *stranger = make("s");
    cr_assert_eq(try(&f, itself, NULL, &on_a, NULL), SUBMISSION_ITSELF);
    cr_assert_eq(try(&f, stranger, NULL, &on_a, NULL), SUBMISSION_UNKNOWN, "a was not entered");
    balancer_note_failure(f.balancer, "a", 1);
    cr_assert_eq(try(&f, stranger, NULL, &on_a, NULL), SUBMISSION_DONE);
    cr_assert_eq(balancer_stranded(f.balancer), stranger);
    end(&f, stranger, false);
    release(itself);
    balancer_destroy(f.balancer, release);
}

Test(dependency, the_oldest_finished_tasks_are_forgotten)
{
    struct fixture f;
    setup(&f, 2);
    struct task *late = make("late");
    for (int i = 0; i < 3; i++) {
        const char *names[] = {"a", "b", "c"};
        submit(&f, names[i], NULL, NULL, NULL);
        end(&f, run(&f, names[i], NULL), true);
    }
    const char *bc[] = {"b", "c"};
    struct dependency remembered = {bc, 2, .all = true, .success = true};
    cr_assert_eq(try(&f, late, NULL, &on_a, NULL), SUBMISSION_UNKNOWN);
    cr_assert_eq(try(&f, late, NULL, &remembered, NULL), SUBMISSION_DONE);
    balancer_destroy(f.balancer, release);
}

Test(dependency, what_has_waited_for_others_does_not_wait_behind_what_came_later)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", NULL, NULL, NULL);
    struct task *first = run(&f, "a", NULL);
    submit(&f, "busy", NULL, NULL, NULL);
    run(&f, "busy", NULL);
    submit(&f, "waits", NULL, &on_a, NULL);
    submit(&f, "later", NULL, NULL, NULL);
    end(&f, first, true);
    run(&f, "waits", NULL);
    balancer_destroy(f.balancer, release);
}

Test(dependency, a_task_that_times_out_while_it_waits_for_others_is_forgotten_by_them)
{
    struct fixture f;
    setup(&f, 100);
    submit(&f, "a", NULL, NULL, NULL);
    struct task *waits = make("waits"), *behind;
    waits->deadline_ms = 100;
    cr_assert_eq(try(&f, waits, NULL, &on_a, NULL), SUBMISSION_DONE);
    const char *ids[] = {"waits"};
    struct dependency rule = {ids, 1, .all = true, .success = true};
    behind = submit(&f, "behind", NULL, &rule, NULL);
    cr_assert_eq(balancer_late(f.balancer, 100), waits);
    end(&f, waits, false);
    cr_assert_eq(balancer_stranded(f.balancer), behind);
    end(&f, behind, false);
    end(&f, run(&f, "a", NULL), true);
    cr_assert_null(balancer_next(f.balancer));
    balancer_destroy(f.balancer, release);
}

/* The model. */

enum { TASKS = 60, ENGINES = 4, ROUNDS = 400, NAMED = 3 };

enum end { PENDING, SUCCEEDED, FAILED };

struct rule {
    int on[NAMED]; /* numbers of tasks */
    const char *ids[NAMED];
    struct dependency dependency;
};

static struct model {
    struct balancer *balancer;
    struct worker *engines[ENGINES]; /* NULL: gone */
    uint32_t serials[ENGINES];
    size_t started;
    struct {
        char name[16];
        struct task *task; /* while it is pending */
        enum end end;
        uint32_t ran_at;
        uint32_t targets[ENGINES]; /* serials */
        size_t target_count;
        uint32_t refused[64];
        size_t refused_count;
        bool avoids;
        struct rule after, follow;
    } tasks[TASKS];
    int count;
} m;

static bool wanted(const struct rule *rule, int number)
{
    return (m.tasks[number].end == SUCCEEDED && rule->dependency.success) ||
           (m.tasks[number].end == FAILED && rule->dependency.failure);
}

/* 1: met, 0: not yet, -1: never. */
static int judge(const struct rule *rule, bool follow)
{
    size_t met = 0, open = 0, count = rule->dependency.count;
    bool apart = false;
    for (size_t i = 0; i < count; i++) {
        met += wanted(rule, rule->on[i]);
        open += m.tasks[rule->on[i]].end == PENDING;
        for (size_t k = 0; k < count; k++)
            if (wanted(rule, rule->on[i]) && wanted(rule, rule->on[k]))
                apart = apart || !m.tasks[rule->on[i]].ran_at ||
                        m.tasks[rule->on[i]].ran_at != m.tasks[rule->on[k]].ran_at;
    }
    if (!count)
        return 1;
    if (rule->dependency.all)
        return met + open < count || (follow && apart) ? -1 : open ? 0 : 1;
    return met ? 1 : open ? 0 : -1;
}

static bool alive(uint32_t serial)
{
    for (int i = 0; i < ENGINES; i++)
        if (m.engines[i] && m.serials[i] == serial)
            return true;
    return false;
}

static bool is_refused(int number, uint32_t serial)
{
    for (size_t i = 0; i < m.tasks[number].refused_count; i++)
        if (m.tasks[number].refused[i] == serial)
            return true;
    return false;
}

/* Whether a task whose needs are met may go to an engine. */
static bool may_go(int number, uint32_t serial)
{
    const struct rule *follow = &m.tasks[number].follow;
    bool named = !m.tasks[number].target_count, follows = !follow->dependency.count;
    for (size_t i = 0; i < m.tasks[number].target_count; i++)
        named = named || m.tasks[number].targets[i] == serial;
    for (size_t i = 0; i < follow->dependency.count; i++)
        follows =
            follows || (wanted(follow, follow->on[i]) && m.tasks[follow->on[i]].ran_at == serial);
    return named && follows && alive(serial) && !is_refused(number, serial);
}

static bool may_go_somewhere(int number)
{
    for (int i = 0; i < ENGINES; i++)
        if (m.engines[i] && may_go(number, m.serials[i]))
            return true;
    return false;
}

static bool gets_more_engines(int number)
{
    const struct rule *follow = &m.tasks[number].follow;
    bool more = false;
    for (size_t i = 0; i < follow->dependency.count && !follow->dependency.all; i++)
        more = more || m.tasks[follow->on[i]].end == PENDING;
    return more;
}

/* Whether the task can run on certain engines only. */
static bool is_bound(int number)
{
    return m.tasks[number].target_count || m.tasks[number].follow.dependency.count;
}

static bool has_living_target(int number)
{
    for (size_t i = 0; i < m.tasks[number].target_count; i++)
        if (alive(m.tasks[number].targets[i]) && !is_refused(number, m.tasks[number].targets[i]))
            return true;
    return !m.tasks[number].target_count;
}

enum verdict { RUNS, WAITS, NEVER };

static enum verdict verdict_of(int number)
{
    int after = judge(&m.tasks[number].after, false), follow = judge(&m.tasks[number].follow, true);
    if (after < 0 || follow < 0)
        return NEVER;
    if (!after || !follow)
        return has_living_target(number) ? WAITS : NEVER;
    if (is_bound(number) && !may_go_somewhere(number))
        return gets_more_engines(number) && has_living_target(number) ? WAITS : NEVER;
    return RUNS;
}

static int number_of(const struct task *task)
{
    return atoi(task->msg_id);
}

static void finish(struct task *task, bool success)
{
    int number = number_of(task);
    m.tasks[number].end = success ? SUCCEEDED : FAILED;
    m.tasks[number].ran_at = task->worker ? task->worker->serial : 0;
    m.tasks[number].task = NULL;
    balancer_finish(m.balancer, task, success);
    free(task);
}

/* Ends stranded tasks, or runs lost ones again. The model must agree that the others can never
 * run. */
static void settle(void)
{
    struct task *task;
    while ((task = balancer_stranded(m.balancer))) {
        int number = number_of(task);
        if (task->fate == FATE_LOST) {
            if (rand() % 2 && !balancer_retry(m.balancer, task, false, false))
                continue;
        } else {
            cr_assert_eq(verdict_of(number), NEVER, "task %d was given up (%d)", number,
                         task->fate);
        }
        finish(task, false);
    }
}

static void check_books(void)
{
    for (int i = 0; i < m.count; i++) {
        struct task *task = m.tasks[i].task;
        if (!task || task->state == TASK_RUNNING)
            continue;
        enum verdict verdict = verdict_of(i);
        cr_assert_neq(verdict, NEVER, "task %d will never run, and nobody says so", i);
        cr_assert_eq(task->state, verdict == RUNS ? TASK_WAITING : TASK_BLOCKED, "task %d", i);
        for (int k = 0; k < ENGINES && verdict == RUNS; k++)
            cr_assert_not(m.engines[k] && !m.engines[k]->load && may_go(i, m.serials[k]),
                          "task %d could run", i);
    }
}

/* Some engines cannot be reached at first. */
static void start_all(void)
{
    struct task *task;
    do {
        balancer_resume(m.balancer);
        while ((task = balancer_next(m.balancer))) {
            int number = number_of(task);
            cr_assert_eq(verdict_of(number), RUNS, "task %d runs too early", number);
            cr_assert(may_go(number, task->worker->serial), "task %d runs at the wrong engine",
                      number);
            m.started++;
            if (rand() % 16 == 0)
                balancer_put_back(m.balancer, task);
        }
    } while (balancer_suspended(m.balancer));
}

static void draw_rule(struct rule *rule, int below)
{
    bool success = rand() % 4 != 0;
    memset(rule, 0, sizeof(*rule));
    rule->dependency = (struct dependency){.ids = rule->ids,
                                           .all = rand() % 2,
                                           .success = success,
                                           .failure = !success || rand() % 3 == 0};
    if (!below || rand() % 2)
        return;
    rule->dependency.count = 1 + (size_t)rand() % NAMED;
    for (size_t i = 0; i < rule->dependency.count; i++) {
        /* Mostly recent tasks, because most of the older ones have ended. */
        int reach = rand() % 3 ? 6 : TASKS, least = below > reach ? below - reach : 0;
        rule->on[i] = least + rand() % (below - least);
        rule->ids[i] = m.tasks[rule->on[i]].name;
    }
}

static void submit_one(void)
{
    int number = m.count++;
    struct worker *targets[ENGINES];
    struct task *task = calloc(1, sizeof(*task));
    const char *unknown;
    memset(&m.tasks[number], 0, sizeof(m.tasks[number]));
    snprintf(m.tasks[number].name, sizeof(m.tasks[number].name), "%d", number);
    draw_rule(&m.tasks[number].after, number);
    draw_rule(&m.tasks[number].follow, number);
    for (int i = 0; i < ENGINES && number % 3 == 0; i++) {
        if (!m.engines[i] || rand() % 2)
            continue;
        targets[m.tasks[number].target_count] = m.engines[i];
        m.tasks[number].targets[m.tasks[number].target_count++] = m.serials[i];
    }
    task->msg_id = m.tasks[number].name;
    task->msg_id_size = (unsigned char)strlen(task->msg_id);
    m.tasks[number].task = task;
    cr_assert_eq(balancer_submit(m.balancer, task, targets, m.tasks[number].target_count,
                                 &m.tasks[number].after.dependency,
                                 &m.tasks[number].follow.dependency, &unknown),
                 SUBMISSION_DONE);
}

/* Something happens to a task that runs or waits, or to an engine. */
static void happen(void)
{
    int number = rand() % m.count, engine = rand() % ENGINES;
    struct task *task = m.tasks[number].task;
    char uuid[24];
    if (rand() % 40 == 0 && m.engines[engine]) {
        balancer_remove_engine(m.balancer, m.engines[engine], "died");
        m.engines[engine] = NULL;
    } else if (rand() % 10 == 0 && !m.engines[engine]) {
        snprintf(uuid, sizeof(uuid), "engine%d", rand());
        m.engines[engine] = balancer_add_engine(m.balancer, engine, uuid);
        m.serials[engine] = m.engines[engine] ? m.engines[engine]->serial : 0;
    } else if (task && task->state == TASK_RUNNING && rand() % 8 == 0 &&
               m.tasks[number].refused_count < 64) {
        m.tasks[number].refused[m.tasks[number].refused_count++] = task->worker->serial;
        if (balancer_retry(m.balancer, task, true, false)) {
            cr_assert_eq(verdict_of(number), NEVER, "task %d may run elsewhere", number);
            finish(task, false);
        }
    } else if (task && task->state == TASK_RUNNING) {
        finish(task, rand() % 4);
    } else if (task && rand() % 30 == 0) {
        finish(task, false); /* it times out */
    }
}

Test(dependency, a_long_random_play_agrees_with_a_simple_model)
{
    srand(7);
    for (int round = 0; round < ROUNDS; round++) {
        m.balancer = balancer_create(balancer_scheme_at((size_t)round % 5), 1 + round % 2, 1000);
        memset(m.engines, 0, sizeof(m.engines));
        m.count = 0;
        for (int step = 0; step < 6 * TASKS || round % 2; step++) {
            if (m.count < TASKS && rand() % 4 == 0)
                submit_one();
            if (m.count)
                happen();
            settle();
            start_all();
            check_books();
            if (m.count == TASKS && step > 6 * TASKS)
                break;
        }
        balancer_destroy(m.balancer, (void (*)(struct task *))(void (*)(void))free);
    }
    cr_assert(m.started > 10 * ROUNDS, "too few tasks ran to show anything: %zu", m.started);
}
