/* What an engine says of itself: host, process and MPI rank; what it runs, in kernel_info_reply's
 * words where there are; the set and the batch job that it belongs to. I/O thread. */
#include "engine/facts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The hub takes shorter lines, and where one is none it drops all that the engine says. */
#define FACT_BYTES 256

/* Batch systems tell what they start in which job it is, and in which element of an array. People
 * know the two as their system prints them. */
static const struct batch_job {
    const char *system;
    const char *job;     /* the variable with its id, */
    const char *element; /* and with the element's number, which is set in each job; NULL: none */
    const char *alone;   /* what that says where the job is no array */
    const char *before, *after;
} batch_jobs[] = {
    {"Slurm", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "", "_", ""},
    {"Slurm", "SLURM_JOB_ID", NULL, NULL, "", ""},
    {"PBS", "PBS_JOBID", NULL, NULL, "", ""},
    {"HTCondor", "CONDOR_ID", NULL, NULL, "", ""}, /* set by our submit description */
    {"LSF", "LSB_JOBID", "LSB_JOBINDEX", "0", "[", "]"},
    {"SGE", "JOB_ID", "SGE_TASK_ID", "undefined", ".", ""},
};

/* Adds what there is, if the hub takes it. */
static void add(json_t *facts, const char *name, const char *text)
{
    size_t length = 0;
    while (text && text[length] && !iscntrl((unsigned char)text[length]))
        length++;
    if (length && !text[length] && length < FACT_BYTES)
        json_object_set_new(facts, name, json_string(text));
}

static void add_job(json_t *facts)
{
    const size_t count = sizeof(batch_jobs) / sizeof(*batch_jobs);
    char text[FACT_BYTES + 1];
    for (size_t i = 0; i < count && !json_object_get(facts, "job"); i++) {
        const struct batch_job *kind = &batch_jobs[i];
        const char *job = getenv(kind->job), *element = kind->element ? getenv(kind->element) : "";
        if (!job || !*job || !element)
            continue;
        bool alone = !kind->element || !strcmp(element, kind->alone);
        snprintf(text, sizeof(text), "%s job %s%s%s%s", kind->system, job,
                 alone ? "" : kind->before, alone ? "" : element, alone ? "" : kind->after);
        add(facts, "job", text);
    }
}

bool facts_in_batch_job(void)
{
    json_t *facts = json_object();
    add_job(facts);
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
    add_job(facts);
    if (engine->rank >= 0)
        json_object_set_new(facts, "rank", json_integer(engine->rank));
    return facts;
}
