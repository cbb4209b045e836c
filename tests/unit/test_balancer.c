/* The load balancer: which engine gets which task, in which order, and what becomes of tasks whose
 * engines go. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/balancer/balancer.h"

struct fixture {
    struct balancer *balancer;
    struct worker *workers[8];
    size_t names;
};

static void add_engines(struct fixture *fixture, int count)
{
    char uuid[24];
    for (int i = 0; i < count; i++) {
        snprintf(uuid, sizeof(uuid), "engine%d", i);
        fixture->workers[i] = balancer_add_engine(fixture->balancer, i, uuid);
        cr_assert(fixture->workers[i]);
    }
}

static void setup(struct fixture *fixture, const char *scheme, int high_water, int engines)
{
    fixture->balancer = balancer_create(balancer_scheme_of(scheme), high_water, 1000);
    fixture->names = 0;
    add_engines(fixture, engines);
}

static void release(struct task *task)
{
    free(task->data);
    free(task);
}

static struct task *submit_as(struct fixture *fixture, const char *client,
                              struct worker *const *targets, size_t count)
{
    struct task *task = calloc(1, sizeof(*task));
    char name[32];
    snprintf(name, sizeof(name), "task%zu", fixture->names++);
    task->msg_id = task->data = strdup(name);
    task->msg_id_size = (unsigned char)strlen(name);
    task->client = client;
    task->client_size = strlen(client);
    cr_assert_eq(balancer_submit(fixture->balancer, task, targets, count, NULL, NULL, NULL),
                 SUBMISSION_DONE);
    cr_assert_eq(balancer_task(fixture->balancer, name, strlen(name)), task);
    return task;
}

static struct task *submit(struct fixture *fixture, struct worker *const *targets, size_t count)
{
    return submit_as(fixture, "client", targets, count);
}

static void finish(struct fixture *fixture, struct task *task)
{
    balancer_finish(fixture->balancer, task, true);
    release(task);
}

/* The id of the engine that the next task goes to; -1 if no task can run. */
static int next_engine(struct fixture *fixture)
{
    struct task *task = balancer_next(fixture->balancer);
    return task ? task->worker->id : -1;
}

Test(balancer, least_load_with_the_longest_unused_first)
{
    struct fixture f;
    setup(&f, "leastload", 0, 3);
    struct task *tasks[6];
    int load[3] = {0};
    for (int i = 0; i < 6; i++) {
        tasks[i] = submit(&f, NULL, 0);
        cr_assert_eq(balancer_next(f.balancer), tasks[i]);
        load[tasks[i]->worker->id]++;
        cr_assert_eq(tasks[i]->worker, tasks[i % 3]->worker, "round %d", i);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(load[i], 2);
    struct worker *least = tasks[4]->worker;
    finish(&f, tasks[4]);
    struct task *task = submit(&f, NULL, 0);
    balancer_next(f.balancer);
    cr_assert_eq(task->worker, least);
    balancer_destroy(f.balancer, release);
}

Test(balancer, the_high_water_mark_makes_tasks_wait_in_order)
{
    struct fixture f;
    setup(&f, "leastload", 1, 2);
    struct task *tasks[5];
    for (int i = 0; i < 5; i++)
        tasks[i] = submit(&f, NULL, 0);
    cr_assert_eq(balancer_next(f.balancer), tasks[0]);
    cr_assert_eq(balancer_next(f.balancer), tasks[1]);
    cr_assert_null(balancer_next(f.balancer));
    struct worker *freed = tasks[1]->worker;
    finish(&f, tasks[1]);
    cr_assert_eq(balancer_next(f.balancer), tasks[2]);
    cr_assert_eq(tasks[2]->worker, freed);
    cr_assert_null(balancer_next(f.balancer));
    balancer_destroy(f.balancer, release);
}

Test(balancer, tasks_wait_for_engines)
{
    struct fixture f;
    setup(&f, "leastload", 0, 0);
    struct task *task = submit(&f, NULL, 0);
    cr_assert_null(balancer_next(f.balancer));
    add_engines(&f, 1);
    cr_assert_eq(balancer_next(f.balancer), task);
    balancer_destroy(f.balancer, release);
}

Test(balancer, what_would_go_to_an_engine_that_came_is_counted_and_nothing_else)
{
    struct fixture f;
    setup(&f, "leastload", 1, 1);
    struct task *runs = submit(&f, NULL, 0), *waits = submit(&f, NULL, 0);
    submit(&f, &f.workers[0], 1);
    cr_assert_eq(balancer_waiting(f.balancer), 2);
    cr_assert_eq(balancer_next(f.balancer), runs);
    cr_assert_eq(balancer_waiting(f.balancer), 1);
    cr_assert_eq(balancer_retry(f.balancer, runs, true, false), 0); /* not where it was */
    cr_assert_eq(balancer_waiting(f.balancer), 2);
    balancer_add_engine(f.balancer, 7, "late");
    balancer_next(f.balancer);
    balancer_next(f.balancer);
    cr_assert_eq(balancer_waiting(f.balancer), 0);
    balancer_give_up(f.balancer, waits);
    cr_assert_eq(balancer_waiting(f.balancer), 0);
    balancer_destroy(f.balancer, release);
}

Test(balancer, a_bound_task_runs_where_it_may_and_holds_nobody_up)
{
    struct fixture f;
    setup(&f, "leastload", 1, 2);
    struct task *first = submit(&f, &f.workers[0], 1), *second = submit(&f, &f.workers[0], 1);
    struct task *free_one = submit(&f, NULL, 0);
    cr_assert_eq(balancer_next(f.balancer), first);
    cr_assert_eq(balancer_next(f.balancer), free_one);
    cr_assert_eq(free_one->worker, f.workers[1]);
    cr_assert_null(balancer_next(f.balancer));
    finish(&f, free_one);
    cr_assert_null(balancer_next(f.balancer));
    finish(&f, first);
    cr_assert_eq(balancer_next(f.balancer), second);
    cr_assert_eq(second->worker, f.workers[0]);
    balancer_destroy(f.balancer, release);
}

Test(balancer, the_first_task_of_a_new_client_waits_for_one_of_each_other_client)
{
    struct fixture f;
    setup(&f, "leastload", 1, 1);
    for (int bound = 0; bound < 2; bound++) {
        struct worker *const *targets = bound ? &f.workers[0] : NULL;
        struct task *many[8], *few[2];
        for (int i = 0; i < 8; i++)
            many[i] = submit_as(&f, "many", targets, (size_t)bound);
        struct task *running = balancer_next(f.balancer);
        cr_assert_eq(running, many[0]);
        for (int i = 0; i < 2; i++)
            few[i] = submit_as(&f, "few", targets, (size_t)bound);
        size_t at[2] = {0, 0};
        for (size_t i = 0; i < 9; i++) {
            finish(&f, running);
            running = balancer_next(f.balancer);
            cr_assert(running);
            size_t client = running == few[0] || running == few[1];
            cr_assert_eq(running, client ? few[at[1]] : many[++at[0]]);
            at[1] += client;
            cr_assert(i < 3 || at[1] == 2, "few does not wait behind many");
        }
        finish(&f, running);
    }
    balancer_destroy(f.balancer, release);
}

/* Runs the engine's tasks, one after the other, until this one does; returns how many went
 * first. */
static size_t wait_for(struct fixture *fixture, struct task *running, const struct task *awaited)
{
    size_t before = 0;
    for (; running != awaited; before++) {
        struct worker *worker = running->worker;
        finish(fixture, running);
        running = balancer_next(fixture->balancer);
        cr_assert(running && running->worker == worker);
    }
    return before;
}

Test(balancer, a_bound_task_that_starts_early_puts_nobody_behind_its_clients_others)
{
    struct fixture f;
    setup(&f, "leastload", 1, 2);
    for (int i = 0; i < 50; i++)
        submit_as(&f, "many", &f.workers[0], 1);
    struct task *running = balancer_next(f.balancer),
                *early = submit_as(&f, "many", &f.workers[1], 1);
    cr_assert_eq(balancer_next(f.balancer), early);
    struct task *few = submit_as(&f, "few", &f.workers[0], 1);
    cr_assert_leq(wait_for(&f, running, few), 2);
    balancer_destroy(f.balancer, release);
}

Test(balancer, tasks_for_a_busy_engine_put_none_behind_that_may_run_elsewhere)
{
    struct fixture f;
    setup(&f, "leastload", 1, 2);
    struct task *blocking = submit_as(&f, "many", &f.workers[0], 1), *other[20];
    cr_assert_eq(balancer_next(f.balancer), blocking);
    for (int i = 0; i < 20; i++)
        other[i] = submit_as(&f, "other", &f.workers[1], 1);
    for (int i = 0; i < 50; i++)
        submit_as(&f, "many", &f.workers[0], 1);
    struct task *common = submit_as(&f, "many", NULL, 0);
    struct task *running = balancer_next(f.balancer);
    cr_assert(running == other[0] || running == common);
    cr_assert_leq(wait_for(&f, running, common), 2);
    balancer_destroy(f.balancer, release);
}

Test(balancer, who_had_nothing_to_run_for_long_gets_one_task_first_and_no_more)
{
    struct fixture f;
    setup(&f, "leastload", 1, 2);
    struct task *long_one = submit_as(&f, "idle", &f.workers[0], 1);
    cr_assert_eq(balancer_next(f.balancer), long_one);
    for (int i = 0; i < 50; i++)
        submit_as(&f, "idle", &f.workers[0], 1);
    struct task *running = NULL;
    for (int i = 0; i < 50; i++) {
        if (running)
            finish(&f, running);
        submit_as(&f, "busy", NULL, 0);
        running = balancer_next(f.balancer);
        cr_assert(running && running->worker == f.workers[1]);
    }
    struct task *last = submit_as(&f, "busy", f.workers, 1);
    finish(&f, long_one);
    struct task *first = balancer_next(f.balancer);
    cr_assert_str_eq(first->client, "idle");
    cr_assert_eq(wait_for(&f, first, last), 1);
    for (int i = 0; i < 20; i++)
        submit_as(&f, "idle", NULL, 0);
    finish(&f, running);
    struct task *next = balancer_next(f.balancer);
    struct task *another = submit_as(&f, "busy", NULL, 0);
    cr_assert_leq(wait_for(&f, next, another), 1);
    balancer_destroy(f.balancer, release);
}

Test(balancer, the_oldest_of_a_clients_bound_tasks_goes_first_and_clients_alternate)
{
    struct fixture f;
    setup(&f, "leastload", 1, 2);
    struct task *tasks[2][3], *running = submit_as(&f, "first", f.workers, 1);
    static const char *const clients[] = {"first", "second"};
    cr_assert_eq(balancer_next(f.balancer), running);
    for (int i = 0; i < 3; i++)
        for (int client = 0; client < 2; client++)
            tasks[client][i] = submit_as(&f, clients[client], f.workers, 1);
    struct task *elsewhere = submit_as(&f, "second", &f.workers[1], 1);
    cr_assert_eq(balancer_next(f.balancer), elsewhere);
    for (int i = 0; i < 3; i++) {
        for (int client = 0; client < 2; client++) {
            finish(&f, running);
            running = balancer_next(f.balancer);
            cr_assert_eq(running, tasks[client][i], "client %d, task %d", client, i);
        }
    }
    balancer_destroy(f.balancer, release);
}

Test(balancer, the_older_of_a_free_and_a_bound_task_goes_first)
{
    struct fixture f;
    setup(&f, "leastload", 1, 1);
    struct task *running = submit(&f, NULL, 0);
    balancer_next(f.balancer);
    struct task *bound = submit(&f, &f.workers[0], 1), *common = submit(&f, NULL, 0);
    finish(&f, running);
    cr_assert_eq(balancer_next(f.balancer), bound);
    finish(&f, bound);
    cr_assert_eq(balancer_next(f.balancer), common);
    balancer_destroy(f.balancer, release);
}

Test(balancer, what_a_dead_engine_had_is_stranded_and_can_be_retried)
{
    struct fixture f;
    setup(&f, "leastload", 0, 2);
    struct task *bound = submit(&f, &f.workers[0], 1), *either = submit(&f, f.workers, 2);
    balancer_next(f.balancer);
    balancer_next(f.balancer);
    cr_assert_eq(bound->worker, f.workers[0]);
    cr_assert_eq(either->worker, f.workers[1]);
    struct task *waiting = submit(&f, &f.workers[0], 1);
    balancer_remove_engine(f.balancer, f.workers[0], "died");
    for (int i = 0; i < 2; i++) {
        struct task *task = balancer_stranded(f.balancer);
        cr_assert(task == bound || task == waiting);
        cr_assert_eq(task->fate, task == bound ? FATE_LOST : FATE_ALONE);
        cr_assert_eq(balancer_retry(f.balancer, task, false, false), -1,
                     "no engine is left that it may run on");
        finish(&f, task);
    }
    cr_assert_null(balancer_stranded(f.balancer));
    balancer_remove_engine(f.balancer, f.workers[1], "died");
    cr_assert_eq(balancer_stranded(f.balancer), either);
    balancer_destroy(f.balancer, release);
}

Test(balancer, a_lost_task_runs_again_elsewhere)
{
    struct fixture f;
    setup(&f, "leastload", 0, 2);
    struct task *task = submit(&f, NULL, 0);
    balancer_next(f.balancer);
    struct worker *gone = task->worker, *other = f.workers[gone == f.workers[0]];
    balancer_remove_engine(f.balancer, gone, "died");
    cr_assert_eq(balancer_retry(f.balancer, balancer_stranded(f.balancer), false, false), 0);
    cr_assert_eq(balancer_next(f.balancer), task);
    cr_assert_eq(task->worker, other);
    balancer_destroy(f.balancer, release);
}

Test(balancer, what_failed_waits_behind_others_and_what_is_lost_keeps_its_place)
{
    struct fixture f;
    setup(&f, "leastload", 1, 1);
    struct task *first = submit(&f, NULL, 0), *free_one = submit(&f, NULL, 0),
                *bound = submit(&f, f.workers, 1);
    cr_assert_eq(balancer_next(f.balancer), first);
    cr_assert_eq(balancer_retry(f.balancer, first, false, false), 0);
    cr_assert_eq(balancer_next(f.balancer), first);
    cr_assert_eq(balancer_retry(f.balancer, first, false, true), 0);
    cr_assert_eq(balancer_next(f.balancer), free_one);
    finish(&f, free_one);
    cr_assert_eq(balancer_next(f.balancer), bound);
    cr_assert_eq(balancer_retry(f.balancer, bound, false, true), 0);
    cr_assert_eq(balancer_next(f.balancer), first);
    balancer_destroy(f.balancer, release);
}

Test(balancer, elsewhere_is_not_here_and_may_be_an_engine_yet_to_come)
{
    struct fixture f;
    setup(&f, "leastload", 0, 1);
    struct task *task = submit(&f, NULL, 0);
    balancer_next(f.balancer);
    cr_assert_not(balancer_has_choice(f.balancer, task));
    cr_assert_eq(balancer_retry(f.balancer, task, true, false), 0);
    cr_assert_null(balancer_next(f.balancer));
    struct worker *late = balancer_add_engine(f.balancer, 7, "late");
    cr_assert_eq(balancer_next(f.balancer), task);
    cr_assert_eq(task->worker, late);
    balancer_remove_engine(f.balancer, late, "died");
    cr_assert_eq(balancer_stranded(f.balancer), task);
    balancer_destroy(f.balancer, release);
}

Test(balancer, an_engine_that_cannot_be_reached_is_passed_over_until_resumed)
{
    struct fixture f;
    setup(&f, "lru", 0, 2);
    struct task *task = submit(&f, NULL, 0);
    balancer_next(f.balancer);
    struct worker *first = task->worker;
    balancer_put_back(f.balancer, task);
    cr_assert(balancer_suspended(f.balancer));
    cr_assert_eq(balancer_next(f.balancer), task);
    cr_assert_neq(task->worker, first);
    balancer_put_back(f.balancer, task);
    cr_assert_null(balancer_next(f.balancer));
    balancer_resume(f.balancer);
    cr_assert_not(balancer_suspended(f.balancer));
    cr_assert_eq(balancer_next(f.balancer), task);
    balancer_destroy(f.balancer, release);
}

Test(balancer, an_engine_that_retires_takes_nothing_more_and_what_it_gives_back_keeps_its_place)
{
    struct fixture f;
    setup(&f, "leastload", 0, 2);
    struct task *tasks[6];
    for (int i = 0; i < 6; i++) {
        tasks[i] = submit(&f, NULL, 0);
        balancer_next(f.balancer);
    }
    struct worker *retired = tasks[0]->worker;
    balancer_retire(f.balancer, retired);
    struct task *last = submit(&f, NULL, 0);
    for (int i = 4; i >= 0; i -= 2)
        balancer_retry(f.balancer, tasks[i], false, false);
    balancer_resume(f.balancer);
    struct task *const expected[] = {tasks[0], tasks[2], tasks[4], last};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(balancer_next(f.balancer), expected[i]);
        cr_assert_neq(expected[i]->worker, retired);
    }
    balancer_destroy(f.balancer, release);
}

Test(balancer, deadlines_in_their_order_and_only_while_waiting)
{
    struct fixture f;
    setup(&f, "leastload", 1, 0);
    struct task *tasks[3];
    long long deadlines[] = {300, 100, 200};
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "d%d", i);
        tasks[i] = calloc(1, sizeof(struct task));
        tasks[i]->deadline_ms = deadlines[i];
        tasks[i]->msg_id = tasks[i]->data = strdup(name);
        tasks[i]->msg_id_size = 2;
        balancer_submit(f.balancer, tasks[i], NULL, 0, NULL, NULL, NULL);
    }
    cr_assert_eq(balancer_deadline(f.balancer), 100);
    cr_assert_null(balancer_late(f.balancer, 99));
    cr_assert_eq(balancer_late(f.balancer, 100), tasks[1]);
    finish(&f, tasks[1]);
    cr_assert_eq(balancer_late(f.balancer, 1000), tasks[2]);
    add_engines(&f, 1);
    cr_assert_eq(balancer_next(f.balancer), tasks[0]);
    cr_assert_eq(balancer_late(f.balancer, 1000), tasks[2]);
    finish(&f, tasks[2]);
    cr_assert_eq(balancer_deadline(f.balancer), CLOCK_NEVER);
    balancer_destroy(f.balancer, release);
}

Test(balancer, every_scheme_spreads_tasks)
{
    const struct balancer_scheme *scheme;
    for (size_t i = 0; (scheme = balancer_scheme_at(i)); i++) {
        struct fixture f;
        int load[4] = {0};
        cr_assert_eq(balancer_scheme_of(scheme->name), scheme);
        setup(&f, scheme->name, 0, 4);
        for (int k = 0; k < 400; k++) {
            submit(&f, NULL, 0);
            load[next_engine(&f)]++;
        }
        for (int k = 0; k < 4; k++)
            cr_assert(load[k] > 40, "%s gave engine %d only %d tasks", scheme->name, k, load[k]);
        balancer_destroy(f.balancer, release);
    }
    cr_assert_null(balancer_scheme_of("none"));
}

Test(balancer, pure_gives_each_engine_a_task_in_turn_however_busy_it_is)
{
    struct fixture f;
    setup(&f, "pure", 1, 3);
    int order[3];
    for (int i = 0; i < 30; i++) {
        struct task *task = submit(&f, NULL, 0);
        int engine = next_engine(&f);
        if (i < 3)
            order[i] = engine;
        cr_assert_eq(engine, order[i % 3]);
        if (i % 3 == 0)
            finish(&f, task);
    }
    balancer_destroy(f.balancer, release);
}

/* A long random run. Its result checks the balancer's accounts: every task runs once or is
 * stranded. */
Test(balancer, a_long_random_play_loses_no_task)
{
    struct fixture f;
    setup(&f, "leastload", 2, 8);
    struct task *running[16];
    size_t run = 0, done = 0, submitted = 0;
    srand(1);
    for (int step = 0; step < 20000; step++) {
        struct worker *targets[3];
        size_t count = (size_t)rand() % 4;
        for (size_t i = 0; i < count; i++)
            targets[i] = f.workers[((size_t)rand() % 2 + 3 * i) % 8];
        submit(&f, targets, count);
        submitted++;
        struct task *task;
        while ((task = balancer_next(f.balancer)))
            running[run++] = task;
        cr_assert(run <= 16);
        while (run && rand() % 8) {
            size_t index = (size_t)rand() % run;
            task = running[index];
            running[index] = running[--run];
            if (rand() % 10 == 0 && balancer_has_choice(f.balancer, task)) {
                cr_assert_eq(balancer_retry(f.balancer, task, true, false), 0);
                continue;
            }
            finish(&f, task);
            done++;
        }
    }
    for (;;) {
        struct task *task;
        while ((task = balancer_next(f.balancer)))
            running[run++] = task;
        if (!run)
            break;
        finish(&f, running[--run]);
        done++;
    }
    cr_assert_eq(done, submitted);
    balancer_destroy(f.balancer, release);
}

/* After a restart engines answer tasks of the previous controller. */
Test(balancer, a_task_of_another_scheduler_ends_once)
{
    struct fixture f;
    setup(&f, "leastload", 1, 1);
    cr_assert(balancer_finish_foreign(f.balancer, "foreign", 7, f.workers[0]->uuid, true));
    cr_assert_not(balancer_finish_foreign(f.balancer, "foreign", 7, f.workers[0]->uuid, true));
    cr_assert(balancer_finish_foreign(f.balancer, "other", 5, "", false));
    struct task *task = submit(&f, NULL, 0);
    cr_assert_not(balancer_finish_foreign(f.balancer, "task0", 5, f.workers[0]->uuid, true));
    cr_assert_eq(balancer_next(f.balancer), task);
    cr_assert_not(balancer_finish_foreign(f.balancer, "task0", 5, f.workers[0]->uuid, true));
    finish(&f, task);
    cr_assert_not(balancer_finish_foreign(f.balancer, "task0", 5, f.workers[0]->uuid, true));
    balancer_destroy(f.balancer, release);
}

static struct task *expect(struct fixture *fixture)
{
    struct task *task = calloc(1, sizeof(*task));
    char name[32];
    snprintf(name, sizeof(name), "away%zu", fixture->names++);
    task->msg_id = task->data = strdup(name);
    task->msg_id_size = (unsigned char)strlen(name);
    balancer_expect(fixture->balancer, task);
    return task;
}

Test(balancer, a_task_of_another_scheduler_can_run_again)
{
    struct fixture f;
    setup(&f, "leastload", 1, 3);
    struct task *anywhere = expect(&f), *bound = expect(&f), *elsewhere = expect(&f);
    cr_assert_eq(balancer_away(f.balancer), anywhere);
    cr_assert_eq(balancer_next(f.balancer), NULL);
    cr_assert_eq(balancer_adopt(f.balancer, bound, &f.workers[2], 1), 0);
    cr_assert_eq(balancer_retry(f.balancer, bound, false, false), 0);
    cr_assert_eq(balancer_next(f.balancer), bound);
    cr_assert_eq(bound->worker, f.workers[2]);
    /* The engine that had it is known, and it goes to another one. */
    elsewhere->worker = f.workers[0];
    cr_assert_eq(balancer_adopt(f.balancer, elsewhere, NULL, 0), 0);
    cr_assert_eq(balancer_retry(f.balancer, elsewhere, true, false), 0);
    cr_assert_eq(balancer_next(f.balancer), elsewhere);
    cr_assert_eq(elsewhere->worker, f.workers[1]);
    cr_assert_eq(balancer_adopt(f.balancer, anywhere, NULL, 0), 0);
    cr_assert_eq(balancer_retry(f.balancer, anywhere, false, false), 0);
    cr_assert_eq(balancer_next(f.balancer), anywhere);
    cr_assert_eq(anywhere->worker, f.workers[0]);
    cr_assert_eq(balancer_away(f.balancer), NULL);
    finish(&f, anywhere);
    finish(&f, elsewhere);
    /* The only engine that may run it has had it already. */
    struct task *alone = expect(&f);
    alone->worker = f.workers[1];
    cr_assert_eq(balancer_adopt(f.balancer, alone, &f.workers[1], 1), 0);
    cr_assert_eq(balancer_retry(f.balancer, alone, true, false), -1);
    cr_assert_eq(balancer_stranded(f.balancer), alone);
    finish(&f, alone);
    cr_assert_eq(f.workers[1]->load, 0);
    finish(&f, bound);
    balancer_destroy(f.balancer, release);
}
