/* Looking after batch jobs: one query for all jobs of a system, less and less often while nothing
 * changes. All launchers of a process share one thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/batch_internal.h"

#define FIRST_MS    500
#define LONGEST_MS  15000
#define STOPPING_MS 1000

/* All jobs that are looked after. */
static struct batch *watched;

static bool same_system(const struct batch *one, const struct batch *other)
{
    if (one->system != other->system)
        return false;
    for (size_t i = 0;; i++) {
        if (!one->commands[BATCH_QUERY][i] || !other->commands[BATCH_QUERY][i])
            return one->commands[BATCH_QUERY][i] == other->commands[BATCH_QUERY][i];
        if (strcmp(one->commands[BATCH_QUERY][i], other->commands[BATCH_QUERY][i]) != 0)
            return false;
    }
}

/* The query's words and the ids of all jobs of the system that are known. For free(), as is
 * *joined; NULL where memory is short. */
static const char **query_words(const struct batch *batch, char **joined)
{
    const char *option = batch->system->query.ids_option;
    size_t words = 0, jobs = 0, used = 0;
    while (batch->commands[BATCH_QUERY][words])
        words++;
    for (const struct batch *job = watched; job; job = job->next)
        jobs += same_system(job, batch);
    const char **argv = calloc(words + jobs + 2, sizeof(*argv));
    *joined = calloc(1, (option ? strlen(option) : 0) + jobs * (BATCH_ID_BYTES + 1) + 1);
    if (!argv || !*joined) {
        free(argv);
        free(*joined);
        *joined = NULL;
        return NULL;
    }
    for (; used < words; used++)
        argv[used] = batch->commands[BATCH_QUERY][used];
    char *end = option ? stpcpy(*joined, option) : *joined;
    bool any = false;
    for (const struct batch *job = watched; job; job = job->next) {
        if (!same_system(job, batch))
            continue;
        if (!option)
            argv[used++] = job->id;
        else
            end = stpcpy(stpcpy(end, any ? "," : ""), job->id);
        any = true;
    }
    if (option)
        argv[used++] = *joined;
    return argv;
}

static struct batch *find_watched(const struct batch *batch)
{
    struct batch *job = watched;
    while (job && job != batch)
        job = job->next;
    return job;
}

/* For batch_read(): finds one job's record. */
struct search {
    const struct batch *batch;
    struct batch_record record;
    bool found;
};

/* Of an array's tasks, which are records of one job, one that runs counts first, then one that
 * waits, then one that ended badly. */
static bool counts_more(const struct batch_record *record, const struct batch_record *than)
{
    static const int ranks[] = {
        [IPCL_BATCH_PENDING] = 1, [IPCL_BATCH_RUNNING] = 2, [IPCL_BATCH_ENDED] = 0};
    if (record->phase != than->phase)
        return ranks[record->phase] > ranks[than->phase];
    return record->phase == IPCL_BATCH_ENDED && record->status && !than->status;
}

/* A site's regular expression may leave out the server's name: 123, of 123.server or 123[].server.
 */
static bool is_id(const char *id, const char *printed)
{
    size_t length = strlen(id);
    return strncmp(id, printed, length) == 0 && (!printed[length] || strchr(".[", printed[length]));
}

static bool take_record(void *context, const struct batch_record *record)
{
    struct search *search = context;
    if (is_id(search->batch->id, record->id) &&
        (!search->found || counts_more(record, &search->record))) {
        search->found = true;
        search->record = *record;
    }
    return false;
}

/* Tells one job what the query found. */
static void tell(struct batch *batch, const struct ipcl_command_end *end)
{
    struct search search = {.batch = batch};
    struct ipcl_error error;
    char why[BATCH_TEXT_BYTES];
    bool failed = end->timed_out || end->status != 0;
    if (batch_read(batch->system, &batch->system->query, end->output, take_record, &search,
                   &error) < 0) {
        batch_unreachable(batch, error.text);
    } else if (search.found) {
        batch_is(batch, &search.record);
    } else if (failed &&
               (end->timed_out || !(batch_matches(batch->system->unknown_job, end->errors) ||
                                    batch_matches(batch->system->unknown_job, end->output)))) {
        batch_failure(end, why, sizeof(why));
        batch_unreachable(batch, why);
    } else {
        batch_is(batch, NULL);
    }
}

/* A job that is told may end, and others with it: the list is read anew after each. */
static void answered(void *self, void *context, const struct ipcl_command_end *end)
{
    const struct batch *asker = self;
    long long now = clock_ms();
    (void)context;
    struct batch *job;
    do {
        for (job = watched; job; job = job->next)
            if (same_system(job, asker) && job->looked_ms < 0)
                break;
        if (job) {
            job->looked_ms = now;
            tell(job, end);
        }
    } while (job);
}

/* Marks the jobs that a query is about, so that its answer is theirs. */
static void ask(struct batch *batch)
{
    struct ipcl_error error;
    char *joined;
    const char **argv = query_words(batch, &joined);
    struct ipcl_command command = {.argv = argv, .timeout_ms = BATCH_COMMAND_MS, .done = answered};
    int status = argv ? batch->services->run_command(batch->services->base.host, &command, &error)
                      : ipcl_error_set(&error, "no memory for a query");
    for (struct batch *job = watched; job && status == 0; job = job->next)
        if (same_system(job, batch)) {
            job->asked_ms = clock_ms();
            job->looked_ms = -1;
        }
    free(argv);
    free(joined);
    if (status < 0)
        batch_unreachable(batch, error.text);
}

static void look(void *self, void *context)
{
    struct batch *batch = self;
    (void)context;
    batch->timer = NULL;
    batch_look_later(batch);
    /* Another job's query may have been about this one as well. */
    long long waits = batch->looked_ms < 0 ? BATCH_COMMAND_MS : batch->interval_ms / 2;
    if (clock_ms() - batch->asked_ms >= waits)
        ask(batch);
}

void batch_look_later(struct batch *batch)
{
    const struct ipcl_launcher_services *services = batch->services;
    struct ipcl_error error;
    unsigned longest = batch->stopping ? STOPPING_MS : LONGEST_MS;
    batch->interval_ms = batch->interval_ms + batch->interval_ms / 2;
    if (batch->interval_ms > longest)
        batch->interval_ms = longest;
    services->timer_stop(services->base.host, batch->timer);
    batch->timer =
        services->timer_start(services->base.host, batch->interval_ms, look, NULL, &error);
    if (!batch->timer)
        services->base.log(services->base.host, IPCL_LOG_ERROR, error.text);
}

void batch_watch(struct batch *batch)
{
    if (!find_watched(batch)) {
        batch->next = watched;
        watched = batch;
    }
    batch->interval_ms = FIRST_MS;
    batch->asked_ms = batch->looked_ms = 0;
    batch_look_later(batch);
}

void batch_unwatch(struct batch *batch)
{
    struct batch **link = &watched;
    while (*link && *link != batch)
        link = &(*link)->next;
    if (*link)
        *link = batch->next;
    batch->services->timer_stop(batch->services->base.host, batch->timer);
    batch->timer = NULL;
}

static void history_answered(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    struct search search = {.batch = batch};
    struct ipcl_error error;
    (void)context;
    struct batch_record unknown = {.phase = IPCL_BATCH_ENDED, .status = 1};
    snprintf(unknown.text, sizeof(unknown.text), "has gone from %s, which says no more of it",
             batch->system->name);
    bool found = batch->system->history.record &&
                 batch_read(batch->system, &batch->system->history, end->output, take_record,
                            &search, &error) == 0 &&
                 search.found && search.record.phase == IPCL_BATCH_ENDED;
    batch_is(batch, found ? &search.record : &unknown);
}

void batch_ask_history(struct batch *batch)
{
    const struct ipcl_command_end nothing = {.output = "", .errors = ""};
    struct ipcl_error error;
    if (!*batch->commands[BATCH_HISTORY] ||
        batch_run(batch, BATCH_HISTORY, batch->id, NULL, NULL, history_answered, &error) < 0)
        history_answered(batch, NULL, &nothing);
}
