/* What an engine says of itself: host, process and MPI rank; what it runs, in kernel_info_reply's
 * words where there are; the set and the batch job that it belongs to. I/O thread. */
#include "engine/facts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/batch_jobs.h"

/* The hub takes shorter lines, and where one is none it drops all that the engine says. */
#define FACT_BYTES 256

/* Adds what there is, if the hub takes it. */
static void add(json_t *facts, const char *name, const char *text)
{
    size_t length = 0;
    while (text && text[length] && !iscntrl((unsigned char)text[length]))
        length++;
    if (length && !text[length] && length < FACT_BYTES)
        json_object_set_new(facts, name, json_string(text));
}

/* Puts variables of the environment in their places: "{JOB_ID}.{TASK_ID!none}" up to `end`; of one
 * with a '?' behind its name nothing. Returns false where one has no value, or that behind the '!',
 * or it is no name, or too long. */
static bool fill_in(const char *from, const char *end, char *text, size_t size)
{
    size_t used = 0;
    while (from < end && used + 1 < size) {
        const char *close = memchr(from, '}', (size_t)(end - from)), *value;
        char name[FACT_BYTES];
        if (*from != '{') {
            text[used++] = *from++;
            continue;
        }
        if (!close || close - from > (long)sizeof(name))
            return false;
        snprintf(name, sizeof(name), "%.*s", (int)(close - from - 1), from + 1);
        char *other = strpbrk(name, "!?"), sign = other ? *other : '\0';
        if (other)
            *other++ = '\0';
        value = getenv(name);
        if (!value || !*value || (sign == '!' && strcmp(value, other) == 0) ||
            strlen(value) >= size - used)
            return false;
        if (sign != '?')
            used += strlen(strcpy(text + used, value));
        from = close + 1;
    }
    text[used] = '\0';
    return from == end;
}

/* Adds the first of the `names` that is whole: "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}|
 * {SLURM_JOB_ID}", behind the first `before` bytes of `called`. */
static void add_job_of(json_t *facts, const char *called, size_t before, const char *names)
{
    char text[FACT_BYTES + 1];
    if (before >= FACT_BYTES)
        return;
    memcpy(text, called, before);
    for (; *names; names += *names == '|') {
        const char *end = strchrnul(names, '|');
        if (fill_in(names, end, text + before, sizeof(text) - before)) {
            add(facts, "job", text);
            return;
        }
        names = end;
    }
}

/* As the setting says, or as that of the systems calls it, or of the one that it names, whose
 * variables there are. */
static void add_job(json_t *facts, const struct engine *engine)
{
    const char *given = settings_string(engine->settings, "IPEngine", "batch_job");
    const char *variables = strchr(given, '{');
    if (variables)
        add_job_of(facts, given, (size_t)(variables - given), variables);
    for (size_t i = 0; !variables && i < sizeof(batch_jobs) / sizeof(*batch_jobs); i++) {
        char called[FACT_BYTES];
        int before = snprintf(called, sizeof(called), "%s job ", batch_jobs[i].system);
        if ((!*given || !strcmp(given, batch_jobs[i].system)) && !json_object_get(facts, "job"))
            add_job_of(facts, called, (size_t)before, batch_jobs[i].variables);
    }
}

bool facts_in_batch_job(const struct engine *engine)
{
    json_t *facts = json_object();
    add_job(facts, engine);
    bool in_job = json_object_size(facts) > 0;
    json_decref(facts);
    return in_job;
}

json_t *facts_of(const struct engine *engine)
{
    char host[FACT_BYTES] = "";
    const char *language = "", *version = "", *executable = "";
    json_t *facts = json_pack("{s:i s:s s:s}", "pid", (int)getpid(), "implementation", "ipcluster",
                              "implementation_version", PACKAGE_VERSION);
    gethostname(host, sizeof(host) - 1);
    json_unpack(engine->kernel_info, "{s:{s?s s?s s?s}}", "language_info", "name", &language,
                "version", &version, "executable", &executable);
    add(facts, "host", host);
    add(facts, "language", language);
    add(facts, "language_version", version);
    add(facts, "executable", executable);
    add(facts, "engine_set", settings_string(engine->settings, "IPEngine", "engine_set"));
    int64_t copy = settings_int(engine->settings, "IPEngine", "engine_copy");
    if (copy >= 0)
        json_object_set_new(facts, "copy", json_integer(copy));
    add_job(facts, engine);
    if (engine->rank >= 0)
        json_object_set_new(facts, "rank", json_integer(engine->rank));
    return facts;
}
