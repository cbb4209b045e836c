/* What the I/O thread awaits: futures by their number until they resolve, and then until their
 * output has ended. */
#include "client/await_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "client/submission_private.h"

/* Output is published before the reply is sent. If it has not come OUTPUT_WAIT_MS after the reply
 * and other output of its request, it is missing. It may be lost, because it was published while
 * the client subscribed. Or its connection recovers later from a cut: so it is accepted for
 * OUTPUT_LATE_MS, though nothing waits for it any more. */
#define OUTPUT_WAIT_MS 2000
#define OUTPUT_LATE_MS 60000

/* A cluster that never says that a request's output has ended must not make us remember it for
 * ever. */
#define RESOLVED_MAX 65536

void await_add(struct client_io *io, struct ipcl_future *future)
{
    future_io_hold(future);
    future->output_expected = -1;
    io->open_tasks += future->channel == IPCL_CHANNEL_TASK;
    HASH_ADD(hh, io->awaited, number, sizeof(future->number), future);
}

static int read_number(const char *digits, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < MESSAGE_ID_LENGTH - SESSION_ID_LENGTH - 1; i++) {
        char digit = digits[i];
        int value = digit >= '0' && digit <= '9'   ? digit - '0'
                    : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                                   : -1;
        if (value < 0)
            return -1;
        *number = *number << 4 | (unsigned)value;
    }
    return 0;
}

void await_add_broadcast(struct client_io *io, struct client_broadcast *broadcast)
{
    broadcast->open = broadcast->count;
    HASH_ADD(hh, io->broadcasts, number, sizeof(broadcast->number), broadcast);
    for (size_t i = 0; i < broadcast->count; i++) {
        struct ipcl_future *part = broadcast->parts[i];
        await_add(io, part);
        part->broadcast = broadcast;
        future_io_hold(part); /* so that parts can be found by uuid as long as one is awaited */
    }
}

/* The number in a msg_id of ours, also if more follows it. Returns 0 or -1. */
static int number_of(const struct ipcl_client *client, const char *msg_id, size_t size,
                     uint64_t *number)
{
    return size >= MESSAGE_ID_LENGTH && !memcmp(msg_id, client->session_id, SESSION_ID_LENGTH) &&
                   msg_id[SESSION_ID_LENGTH] == '_'
               ? read_number(msg_id + SESSION_ID_LENGTH + 1, number)
               : -1;
}

static struct client_broadcast *find_broadcast(const struct client_io *io, uint64_t number)
{
    struct client_broadcast *broadcast;
    HASH_FIND(hh, io->broadcasts, &number, sizeof(number), broadcast);
    return broadcast;
}

struct client_broadcast *await_find_broadcast(struct ipcl_client *client, const char *msg_id,
                                              size_t size)
{
    uint64_t number;
    return size == MESSAGE_ID_LENGTH && !number_of(client, msg_id, size, &number)
               ? find_broadcast(&client->io, number)
               : NULL;
}

static int compare_uuid(const char *uuid, size_t size, const struct ipcl_future *part)
{
    int order = strncmp(uuid, part->engine_uuid, size);
    return order ? order : -(part->engine_uuid[size] != '\0');
}

/* The number of the part for this engine; if there is none, the broadcast's, which no future
 * has. */
static uint64_t part_number(const struct client_broadcast *broadcast, const char *uuid, size_t size)
{
    size_t low = 0, high = broadcast->count;
    while (low < high && size < ENGINE_UUID_BYTES) {
        size_t middle = (low + high) / 2;
        int order = compare_uuid(uuid, size, broadcast->parts[middle]);
        if (!order)
            return broadcast->parts[middle]->number;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return broadcast->number;
}

struct ipcl_future *await_find(struct ipcl_client *client, const char *msg_id, size_t size)
{
    uint64_t number;
    struct ipcl_future *future = NULL;
    if (number_of(client, msg_id, size, &number))
        return NULL;
    /* A broadcast's parts have its identifier, an underscore and their engine's uuid. */
    if (size > MESSAGE_ID_LENGTH) {
        const struct client_broadcast *broadcast = find_broadcast(&client->io, number);
        if (!broadcast || msg_id[MESSAGE_ID_LENGTH] != '_')
            return NULL;
        number =
            part_number(broadcast, msg_id + MESSAGE_ID_LENGTH + 1, size - MESSAGE_ID_LENGTH - 1);
    }
    HASH_FIND(hh, client->io.awaited, &number, sizeof(number), future);
    return future;
}

static void forget_part(struct client_io *io, struct client_broadcast *broadcast)
{
    if (--broadcast->open)
        return;
    HASH_DEL(io->broadcasts, broadcast);
    for (size_t i = 0; i < broadcast->count; i++)
        future_io_release(broadcast->parts[i]);
    free(broadcast);
}

void await_each_part(struct client_io *io, struct client_broadcast *broadcast,
                     void (*each)(void *context, struct ipcl_future *part), void *context)
{
    broadcast->open++; /* keeps it, also if these are the last parts */
    for (size_t i = 0; i < broadcast->count; i++)
        if (!ipcl_future_ready(broadcast->parts[i]))
            each(context, broadcast->parts[i]);
    forget_part(io, broadcast);
}

static void forget(struct client_io *io, struct ipcl_future *future)
{
    HASH_DEL(io->awaited, future);
    if (future->broadcast)
        forget_part(io, future->broadcast);
    future_io_release(future);
}

static void add_resolved(struct client_io *io, struct ipcl_future *future, long long now_ms)
{
    future->next_resolved = NULL;
    future->resolved_ms = now_ms;
    if (io->newest_resolved)
        io->newest_resolved->next_resolved = future;
    else
        io->oldest_resolved = future;
    io->newest_resolved = future;
    io->resolved_count++;
}

static struct ipcl_future *take_oldest_resolved(struct client_io *io)
{
    struct ipcl_future *future = io->oldest_resolved;
    io->oldest_resolved = future->next_resolved;
    if (!io->oldest_resolved)
        io->newest_resolved = NULL;
    io->resolved_count--;
    return future;
}

/* What runs nothing on an engine publishes nothing. */
static bool is_silent(const struct ipcl_future *future)
{
    return future->channel == IPCL_CHANNEL_HUB || future->channel == IPCL_CHANNEL_CONTROL;
}

/* Nobody waits any more for output that has not come. */
static void give_up_output(struct ipcl_future *future)
{
    long long missing = future->output_expected - (long long)future->output_count;
    if (!ipcl_future_output_complete(future))
        future_complete_output(future, is_silent(future)             ? 0
                                       : future->output_expected < 0 ? -1
                                                                     : missing);
}

static void forget_oldest_resolved(struct client_io *io)
{
    struct ipcl_future *future = take_oldest_resolved(io);
    give_up_output(future);
    forget(io, future);
}

/* Whether all of its output has come: then it can be forgotten. */
static bool is_settled(const struct ipcl_future *future)
{
    return ipcl_future_output_complete(future) && !ipcl_future_output_missing(future);
}

void await_resolve(struct client_io *io, struct ipcl_future *future, struct future_outcome *outcome)
{
    bool silent =
        is_silent(future) || !outcome || outcome->result.status == IPCL_ABORTED ||
        (outcome->result.status == IPCL_FAILED && !*outcome->result.engine_uuid); /* it never ran */
    if (silent && !ipcl_future_output_complete(future))
        future_complete_output(future, 0);
    bool complete = ipcl_future_output_complete(future);
    io->open_tasks -= future->channel == IPCL_CHANNEL_TASK;
    submission_forget(io, future);
    /* The load balancer's choice: should that engine die, its output has ended. */
    if (outcome && !*future->engine_uuid && *outcome->result.engine_uuid)
        strcpy(future->engine_uuid, outcome->result.engine_uuid);
    if (trace_is_on())
        trace_step_since(TRACE_RESULT, ipcl_future_id(future), strlen(ipcl_future_id(future)),
                         outcome ? outcome->result.engine_id : -1,
                         trace_of_wall(future->submitted));
    future->answered_ms = clock_ms();
    if (!complete)
        add_resolved(io, future, future->answered_ms);
    /* Whoever waits for the result also has the hold of the submission, which ends here. */
    future_resolve(future, outcome);
    ipcl_future_release(future);
    if (complete)
        forget(io, future);
    /* The first ones if their output has ended, and the oldest if there are too many. */
    while (io->oldest_resolved &&
           (io->resolved_count > RESOLVED_MAX || is_settled(io->oldest_resolved)))
        forget_oldest_resolved(io);
}

void await_output_complete(struct client_io *io, struct ipcl_future *future)
{
    future_complete_output(future, 0);
    while (io->oldest_resolved && is_settled(io->oldest_resolved))
        forget_oldest_resolved(io);
}

static bool all_has_come(const struct ipcl_future *future)
{
    return future->output_expected >= 0 &&
           (long long)future->output_count >= future->output_expected;
}

void await_output_added(struct client_io *io, struct ipcl_future *future)
{
    future->output_count++;
    future->output_ms = clock_ms();
    if (all_has_come(future))
        await_output_complete(io, future);
    else if (ipcl_future_output_missing(future) > 0)
        future_complete_output(future, future->output_expected - (long long)future->output_count);
}

void await_output_expect(struct client_io *io, struct ipcl_future *future, long long count)
{
    future->output_expected = count;
    if (all_has_come(future))
        await_output_complete(io, future);
}

long long await_output_give_up(struct client_io *io, long long now_ms)
{
    while (io->oldest_resolved && io->oldest_resolved->resolved_ms + OUTPUT_WAIT_MS <= now_ms) {
        struct ipcl_future *future = io->oldest_resolved;
        bool comes = future->output_ms + OUTPUT_WAIT_MS > now_ms;
        if (!comes)
            give_up_output(future);
        if (comes || (ipcl_future_output_missing(future) > 0 &&
                      future->answered_ms + OUTPUT_LATE_MS > now_ms))
            add_resolved(io, take_oldest_resolved(io), now_ms);
        else
            forget_oldest_resolved(io);
    }
    return io->oldest_resolved ? io->oldest_resolved->resolved_ms + OUTPUT_WAIT_MS : 0;
}

static void fail(struct client_io *io, struct ipcl_future *future, const char *ename,
                 const char *text)
{
    give_up_output(future);
    await_resolve(io, future, outcome_create_failed(future, ename, text));
}

/* Those linked by next_resolved. */
static void fail_list(struct client_io *io, struct ipcl_future *failing, const char *ename,
                      const char *text)
{
    struct ipcl_future *future;
    while ((future = failing)) {
        failing = future->next_resolved;
        future->next_resolved = NULL;
        fail(io, future, ename, text);
    }
}

void await_fail_engine(struct client_io *io, const char *uuid, const char *text)
{
    struct ipcl_future *future, *next, *failing = NULL;
    /* In two steps, because failing one may also forget others. */
    HASH_ITER (hh, io->awaited, future, next) {
        if (strcmp(future->engine_uuid, uuid))
            continue;
        if (ipcl_future_ready(future)) {
            give_up_output(future);
        } else {
            future->next_resolved = failing;
            failing = future;
        }
    }
    fail_list(io, failing, "EngineError", text);
}

bool await_any_before(const struct client_io *io, uint64_t number)
{
    for (struct ipcl_future *future = io->awaited; future; future = future->hh.next)
        if (future->number < number && !ipcl_future_ready(future))
            return true;
    return false;
}

void await_fail_unknown(struct ipcl_client *client, uint64_t number,
                        bool (*again)(struct ipcl_client *client, struct ipcl_future *future),
                        const char *text)
{
    struct client_io *io = &client->io;
    struct ipcl_future *future, *next, *failing = NULL;
    HASH_ITER (hh, io->awaited, future, next) {
        if (future->number < number && !future->known && !ipcl_future_ready(future) &&
            !again(client, future)) {
            future->next_resolved = failing;
            failing = future;
        }
        future->known = false;
    }
    fail_list(io, failing, "ConnectionError", text);
}

void await_fail_all(struct client_io *io, const char *text)
{
    struct ipcl_future *future, *next;
    while (io->oldest_resolved)
        forget_oldest_resolved(io);
    HASH_ITER (hh, io->awaited, future, next)
        fail(io, future, "ConnectionError", text);
}
