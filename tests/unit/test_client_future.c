/* Futures: resolving, waiting, callbacks, output, and what is freed when. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/await_private.h"

static struct ipcl_future *make(void)
{
    struct ipcl_future *future = future_create(IPCL_CHANNEL_TASK);
    cr_assert_not_null(future);
    return future;
}

static void resolve(struct ipcl_future *future)
{
    future_resolve(future, outcome_create_failed(future, "EngineError", "engine 3 died"));
}

static void count(void *context, struct ipcl_future *future)
{
    cr_assert(ipcl_future_ready(future));
    ++*(int *)context;
}

Test(future, has_no_result_until_it_resolves)
{
    struct ipcl_future *future = make();
    cr_assert_not(ipcl_future_ready(future));
    cr_assert_null(ipcl_future_result(future));
    resolve(future);
    cr_assert(ipcl_future_ready(future));
    cr_assert_eq(ipcl_future_result(future)->status, IPCL_FAILED);
    cr_assert_str_eq(ipcl_future_result(future)->error, "engine 3 died");
    cr_assert_not_null(strstr(ipcl_future_result(future)->content, "\"ename\":\"EngineError\""));
    ipcl_future_release(future);
}

Test(future, calls_back_once_before_and_after_it_resolves)
{
    struct ipcl_future *future = make();
    int before = 0, after = 0;
    ipcl_future_on_done(future, count, &before);
    ipcl_future_on_done(future, count, &before);
    cr_assert_eq(before, 0);
    resolve(future);
    cr_assert_eq(before, 2);
    ipcl_future_on_done(future, count, &after);
    cr_assert_eq(after, 1);
    ipcl_future_release(future);
}

static void *resolve_soon(void *future)
{
    usleep(50000);
    resolve(future);
    ipcl_future_release(future);
    return NULL;
}

Test(future, wakes_who_waits)
{
    struct ipcl_future *future = make();
    pthread_t thread;
    pthread_create(&thread, NULL, resolve_soon, ipcl_future_hold(future));
    cr_assert_eq(ipcl_future_wait(future, 10000, NULL, NULL), 0);
    cr_assert(ipcl_future_ready(future));
    pthread_join(thread, NULL);
    ipcl_future_release(future);
}

struct noted {
    int number, *next;
};

static void note(void *context, struct ipcl_future *future)
{
    struct noted *noted = context;
    (void)future;
    noted->number = (*noted->next)++;
}

Test(future, calls_back_in_the_order_that_was_asked_for)
{
    struct ipcl_future *future = make();
    int next = 0;
    struct noted first = {-1, &next}, second = {-1, &next}, late = {-1, &next};
    ipcl_future_on_done(future, note, &first);
    ipcl_future_on_done(future, note, &second);
    resolve(future);
    ipcl_future_on_done(future, note, &late);
    cr_assert_eq(first.number, 0);
    cr_assert_eq(second.number, 1);
    cr_assert_eq(late.number, 2);
    ipcl_future_release(future);
}

static bool after_two(void *calls)
{
    return ++*(int *)calls == 2;
}

Test(future, waits_no_longer_than_it_is_told_to)
{
    struct ipcl_future *future = make();
    int calls = 0;
    long long start = clock_ms();
    cr_assert_eq(ipcl_future_wait(future, 0, NULL, NULL), 1);
    cr_assert_eq(ipcl_future_wait(future, 30, NULL, NULL), 1);
    cr_assert_geq(clock_ms() - start, 30);
    cr_assert_eq(ipcl_future_wait(future, -1, after_two, &calls), 2);
    cr_assert_eq(calls, 2);
    ipcl_future_release(future);
}

static struct future_output *output(const char *msg_type)
{
    struct future_output *made = calloc(1, sizeof(*made));
    made->public.msg_type = msg_type;
    return made;
}

Test(future, gives_its_output_in_order)
{
    struct ipcl_future *future = make();
    cr_assert_null(ipcl_future_output(future, NULL));
    cr_assert_eq(ipcl_future_wait_output(future, NULL, 10, NULL, NULL), 1);
    future_add_output(future, output("stream"));
    future_add_output(future, output("display_data"));
    const struct ipcl_output *first = ipcl_future_output(future, NULL);
    cr_assert_str_eq(first->msg_type, "stream");
    const struct ipcl_output *second = ipcl_future_output(future, first);
    cr_assert_str_eq(second->msg_type, "display_data");
    cr_assert_null(ipcl_future_output(future, second));
    cr_assert_eq(ipcl_future_wait_output(future, second, 10, NULL, NULL), 1);
    future_complete_output(future, 0);
    cr_assert_eq(ipcl_future_wait_output(future, second, 10, NULL, NULL), 0);
    ipcl_future_release(future);
}

Test(future, outlives_its_last_hold_while_output_is_awaited)
{
    struct ipcl_future *future = make();
    future_io_hold(future);
    resolve(future);
    ipcl_future_release(future);
    future_add_output(future, output("stream"));
    future_io_release(future);
}

Test(future, names_its_engine_when_it_fails)
{
    struct ipcl_future *future = make();
    future->engine_id = 3;
    strcpy(future->engine_uuid, "uuid-3");
    resolve(future);
    const struct ipcl_result *result = ipcl_future_result(future);
    cr_assert_eq(result->engine_id, 3);
    cr_assert_str_eq(result->engine_uuid, "uuid-3");
    cr_assert_not_null(strstr(result->content, "\"engine_id\":3"));
    ipcl_future_release(future);
}

Test(future, waits_for_output_behind_the_reply_as_long_as_some_comes)
{
    static struct client_io io;
    struct ipcl_future *future = make();
    strcpy(future->engine_uuid, "engine");
    await_add(&io, future);
    await_output_expect(&io, future, 3);
    await_resolve(&io, ipcl_future_hold(future),
                  outcome_create_failed(future, "ValueError", "of the engine"));
    cr_assert(ipcl_future_ready(future));
    await_output_added(&io, future);
    /* Much later than the reply, a moment after the first of the output. */
    future->resolved_ms -= 60000;
    cr_assert_gt(await_output_give_up(&io, clock_ms()), 0);
    cr_assert_not(ipcl_future_output_complete(future));
    /* Much later than both. */
    future->resolved_ms -= 60000;
    future->output_ms -= 60000;
    cr_assert_gt(await_output_give_up(&io, clock_ms()), 0);
    cr_assert(ipcl_future_output_complete(future));
    cr_assert_eq(ipcl_future_output_missing(future), 2);
    await_output_added(&io, future);
    cr_assert_eq(ipcl_future_output_missing(future), 1);
    /* And later than anything may come. */
    future->answered_ms -= 60000;
    future->resolved_ms -= 60000;
    future->output_ms -= 60000;
    cr_assert_eq(await_output_give_up(&io, clock_ms()), 0);
    cr_assert_eq(ipcl_future_output_missing(future), 1);
    cr_assert_null(io.awaited);
    ipcl_future_release(future);
}
