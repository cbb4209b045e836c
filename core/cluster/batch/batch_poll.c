/* Asks about batch jobs: one query for all jobs of a system, less and less often while nothing
 * changes. All launchers of a process share one thread.
 *
 * Two files for a job's life call each other: this one asks, and batch_job.c decides what the
 * answers mean and what is asked next. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/batch/batch_private.h"

#define FIRST_MS        500
#define CLOSE_MS        100 /* the same of a job that may be about to end */
#define DOUBT_MS        1000
#define LONGEST_MS      15000
#define STOPPING_MS     1000
#define QUERY_BYTES_MAX 100000 /* of ids in one query: a word of a command has at most 128 KiB */

/* All jobs that are looked after. */
static struct batch_job *watched;

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

/* A query as it is put together: its words, or all ids in the last of them. */
struct batch_question {
    const char **argv;
    char *joined;
    size_t words, bytes;
};

/* Adds a job to a query if there is room, and notes that the query asks for it. */
static void ask_for(struct batch_question *question, struct batch_job *job)
{
    const char *option = job->batch->system->query.ids_option;
    size_t length = strlen(job->id) + 1;
    if (question->bytes + length > QUERY_BYTES_MAX)
        return;
    if (option)
        sprintf(question->joined + strlen(question->joined), "%s%s", question->bytes ? "," : option,
                job->id);
    else
        question->argv[question->words++] = job->id;
    question->bytes += length;
    job->asked_ms = clock_ms();
    job->looked_ms = -1;
}

/* The query's words with the ids of the job and of the system's other known jobs that there is room
 * for. Free both of its members. Returns 0 or -1 with `error` set. */
static int make_question(struct batch_question *question, struct batch_job *job,
                         struct ipcl_error *error)
{
    const char *option = job->batch->system->query.ids_option;
    char *const *words = job->batch->commands[BATCH_QUERY];
    size_t jobs = 0;
    for (const struct batch_job *other = watched; other; other = other->next)
        jobs++;
    *question = (struct batch_question){.argv = NULL};
    while (words[question->words])
        question->words++;
    question->argv = calloc(question->words + jobs + 2, sizeof(*question->argv));
    question->joined = calloc(1, (option ? strlen(option) : 0) + QUERY_BYTES_MAX + 1);
    if (!question->argv || !question->joined)
        return ipcl_error_set(error, "no memory for a query");
    for (size_t i = 0; i < question->words; i++)
        question->argv[i] = words[i];
    ask_for(question, job);
    for (struct batch_job *other = watched; other; other = other->next)
        if (other != job && same_system(other->batch, job->batch))
            ask_for(question, other);
    if (option)
        question->argv[question->words++] = question->joined;
    return 0;
}

static bool is_watched(const struct batch_job *job)
{
    const struct batch_job *each = watched;
    while (each && each != job)
        each = each->next;
    return each;
}

/* For batch_read(): finds one job's record. */
struct batch_search {
    const struct batch_job *job;
    struct batch_record record;
    bool found;
    unsigned count; /* of its records */
};

/* An array's tasks are records of one job. A running one counts most, then one that waits, then one
 * that ended badly. */
static bool counts_more(const struct batch_record *record, const struct batch_record *than)
{
    static const int ranks[] = {
        [IPCL_BATCH_PENDING] = 1, [IPCL_BATCH_RUNNING] = 2, [IPCL_BATCH_ENDED] = 0};
    if (record->phase != than->phase)
        return ranks[record->phase] > ranks[than->phase];
    return record->phase == IPCL_BATCH_ENDED && record->status && !than->status;
}

/* A site's regular expression may leave out the server's name: 123, of 123.server or
 * 123[].server. */
static bool is_id(const char *id, const char *printed)
{
    size_t length = strlen(id);
    return strncmp(id, printed, length) == 0 && (!printed[length] || strchr(".[", printed[length]));
}

static bool take_record(void *context, const struct batch_record *record)
{
    struct batch_search *search = context;
    if (!is_id(search->job->id, record->id))
        return false;
    if (search->count++ == 0 || counts_more(record, &search->record))
        search->record = *record;
    search->found = true;
    return false;
}

/* Tells one job what the query found. */
static void tell_job(struct batch_job *job, const struct ipcl_command_end *end)
{
    const struct ipcl_batch_system *system = job->batch->system;
    struct batch_search search = {.job = job};
    struct ipcl_error error;
    char why[BATCH_TEXT_BYTES];
    bool failed = end->timed_out || end->status != 0;
    if (batch_read(system, &system->query, end->output, take_record, &search, &error) < 0) {
        batch_unreachable(job, error.text);
    } else if (search.found) {
        job->several = job->several || search.count > 1;
        batch_is(job, &search.record);
    } else if (failed && (end->timed_out || !(batch_matches(system->unknown_job, end->errors) ||
                                              batch_matches(system->unknown_job, end->output)))) {
        batch_failure(end, why, sizeof(why));
        batch_unreachable(job, why);
    } else {
        batch_is(job, NULL);
    }
}

/* Telling a job may end it, and others with it: so the list is read again after each. The state of
 * all jobs together is told once. */
static void answered(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *asker = self;
    long long now = clock_ms();
    (void)context;
    struct batch_job *job;
    do {
        for (job = watched; job; job = job->next)
            if (same_system(job->batch, asker) && job->looked_ms < 0)
                break;
        if (job) {
            job->looked_ms = now;
            tell_job(job, end);
        }
    } while (job);
    batch_tell(asker);
    for (job = watched; job; job = job->next)
        if (job->batch != asker)
            batch_tell(job->batch);
}

static void ask(struct batch_job *job)
{
    const struct ipcl_launcher_services *services = job->batch->services;
    struct ipcl_error error;
    struct batch_question question;
    int status = make_question(&question, job, &error);
    struct ipcl_command command = {
        .argv = question.argv, .timeout_ms = BATCH_COMMAND_MS, .done = answered};
    if (status == 0)
        status = services->run_command(services->base.host, &command, &error);
    free(question.argv);
    free(question.joined);
    if (status < 0) {
        batch_unreachable(job, error.text);
        batch_tell(job->batch);
    }
}

static void look_later(struct batch_job *job);

static void look(void *self, void *context)
{
    struct batch_job *job = context;
    (void)self;
    job->timer = NULL;
    look_later(job);
    /* Another job's query may have been about this one as well. */
    long long waits = job->looked_ms < 0 ? BATCH_COMMAND_MS : job->interval_ms / 2;
    if (clock_ms() - job->asked_ms >= waits)
        ask(job);
}

/* Looks again after a while, which grows. */
static void look_later(struct batch_job *job)
{
    const struct ipcl_launcher_services *services = job->batch->services;
    struct ipcl_error error;
    unsigned longest = batch_ends(job) ? STOPPING_MS : LONGEST_MS;
    job->interval_ms = job->interval_ms + job->interval_ms / 2;
    if (job->interval_ms > longest)
        job->interval_ms = longest;
    services->timer_stop(services->base.host, job->timer);
    job->timer = services->timer_start(services->base.host, job->interval_ms, look, job, &error);
    if (!job->timer)
        services->base.log(services->base.host, IPCL_LOG_ERROR, error.text);
}

void batch_watch(struct batch_job *job)
{
    if (!is_watched(job)) {
        job->next = watched;
        watched = job;
    }
    job->interval_ms = FIRST_MS;
    job->asked_ms = job->looked_ms = 0;
    look_later(job);
}

void batch_watch_closely(struct batch_job *job)
{
    if (!is_watched(job)) {
        batch_watch(job);
    } else if (!job->timer || job->interval_ms > 2 * CLOSE_MS) {
        job->interval_ms = CLOSE_MS;
        look_later(job);
    }
}

void batch_unwatch(struct batch_job *job)
{
    const struct ipcl_launcher_services *services = job->batch->services;
    struct batch_job **link = &watched;
    while (*link && *link != job)
        link = &(*link)->next;
    if (*link)
        *link = job->next;
    services->timer_stop(services->base.host, job->timer);
    job->timer = NULL;
}

void batch_ask_anew(const struct batch *batch)
{
    for (struct batch_job *job = watched; job; job = job->next)
        if (batch->commands[BATCH_QUERY] && job->looked_ms < 0 && same_system(job->batch, batch))
            job->asked_ms = 0;
}

static void history_answered(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch_job *job = context;
    const struct ipcl_batch_system *system = job->batch->system;
    struct batch_search search = {.job = job};
    struct ipcl_error error;
    job->asking = false;
    bool ended = job->end.phase == IPCL_BATCH_ENDED;
    if (!ended) {
        job->end.status = 1;
        snprintf(job->end.text, sizeof(job->end.text), "has gone, and %s does not say how it ended",
                 system->name);
    }
    bool found =
        system->history.record &&
        batch_read(system, &system->history, end->output, take_record, &search, &error) == 0 &&
        search.found && search.record.phase == IPCL_BATCH_ENDED;
    if (found || ended || !batch_is_new(job))
        batch_ended(job, found ? &search.record : &job->end);
    batch_tell(self);
}

static void doubt_answered(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch_job *job = context;
    const struct ipcl_batch_system *system = job->batch->system;
    struct batch_search search = {.job = job};
    struct ipcl_error error;
    (void)self;
    job->asking = false;
    if (batch_read(system, &system->history, end->output, take_record, &search, &error) < 0 ||
        !search.found || search.record.phase != IPCL_BATCH_ENDED)
        return;
    job->doubted = false;
    batch_explain(job, &search.record);
}

void batch_ask_doubt(struct batch_job *job)
{
    struct ipcl_error error;
    if (job->interval_ms > DOUBT_MS)
        job->doubted = false;
    if (!job->doubted || job->asking || !job->batch->system->history.record ||
        !*job->batch->commands[BATCH_HISTORY])
        return;
    job->asking = batch_run_for(job, BATCH_HISTORY, job->id, doubt_answered, &error) == 0;
}

void batch_ask_history(struct batch_job *job)
{
    const struct ipcl_command_end nothing = {.output = "", .errors = ""};
    struct ipcl_error error;
    if (job->asking)
        return;
    job->asking = true;
    if (!*job->batch->commands[BATCH_HISTORY] ||
        batch_run_for(job, BATCH_HISTORY, job->id, history_answered, &error) < 0)
        history_answered(job->batch, job, &nothing);
}
