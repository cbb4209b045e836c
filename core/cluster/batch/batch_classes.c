/* What comes from a batch system's table: launcher classes, and tables of their settings. */
#include "cluster/batch/batch_classes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/batch/batch.h"

#define STOP_MS 45000 /* batch systems wait 30 seconds before they kill */

/* The settings that all batch systems have. Commands and expressions have the defaults of their
 * table. */
static const struct ipcl_option common[] = {
    {"queue", IPCL_STRING, "", NULL, NULL,
     "The queue or partition to submit to. If empty: the batch system's default."},
    {"account", IPCL_STRING, "", NULL, NULL, "The account that is charged."},
    {"qos", IPCL_STRING, "", NULL, NULL, "The quality of service."},
    {"timelimit", IPCL_STRING, "", NULL, NULL,
     "How long a job may run, in the batch system's format: 2:00:00."},
    {"memory", IPCL_STRING, "", NULL, NULL,
     "How much memory each engine has: 4GB, 500MB. A number alone is in bytes."},
    {"cores", IPCL_INT, "0", NULL, NULL,
     "How many cores each engine has. 0: as many as the batch system gives."},
    {"gpus", IPCL_INT, "0", NULL, NULL, "How many GPUs each engine has."},
    {"options", IPCL_STRING, "", NULL, NULL,
     "Further options for the batch system, as one directive of the script."},
    {"job_extra_directives", IPCL_LIST, "", NULL, NULL,
     "Further directives of the script, each without its prefix, such as #SBATCH."},
    {"job_directives_skip", IPCL_LIST, "", NULL, NULL,
     "Texts: a directive that contains one of them is left out of the script."},
    {"prologue", IPCL_STRING, "", NULL, NULL,
     "Lines of the script before the program, such as module load openmpi. In a template: "
     "{prologue}. In a file of settings it may be an array of lines."},
    {"environment", IPCL_MAPPING, "", NULL, NULL,
     "Environment variables for the program, NAME=value."},
    {"engines_per_job", IPCL_INT, "0", NULL, NULL,
     "How many engines a job has at most. More engines become several jobs, and each starts when "
     "the batch system has room for it. 0: one job for all."},
    {"mpi", IPCL_STRING, "none", NULL, NULL,
     "What initialises MPI in the engines: mpi4py, pytrilinos, native, or none."},
    {"batch_template", IPCL_STRING, "", NULL, NULL,
     "The script, instead of the usual one for the batch system: text with {n}, "
     "{program_and_args}, {queue} and so on. In a file of settings it may be an array of lines."},
    {"batch_template_file", IPCL_STRING, "", NULL, NULL, "A file with the template."},
    {"namespace", IPCL_MAPPING, "", NULL, NULL, "Further values for the template, NAME=value."},
    {"batch_file_name", IPCL_STRING, "", NULL, NULL,
     "Where the script is written: a path, or a name in the profile's folder. If empty: beside "
     "the job's output."},
    {"output_file", IPCL_STRING, "", NULL, NULL,
     "Where the job's output goes: a path, or a name in the profile's log folder. If empty: a "
     "file in the log folder, with the cluster and the time in its name."},
    {"submit_command", IPCL_LIST, "", NULL, NULL,
     "The command that submits a script. The script's path is added to it."},
    {"delete_command", IPCL_LIST, "", NULL, NULL,
     "The command that cancels jobs. The jobs' ids are added to it."},
    {"signal_command", IPCL_LIST, "", NULL, NULL,
     "The command that sends a signal to jobs. The signal's number and the jobs' ids are added to "
     "it."},
    {"query_command", IPCL_LIST, "", NULL, NULL,
     "The command that says in which state jobs are. The jobs' ids are added to it."},
    {"history_command", IPCL_LIST, "", NULL, NULL,
     "The command that says how a job ended, if query_command no longer knows the job. The job's "
     "id is added to it."},
    {"find_command", IPCL_LIST, "", NULL, NULL,
     "The command that finds jobs by their name. The name is added to it."},
    {"job_id_regexp", IPCL_STRING, "", NULL, NULL,
     "A regular expression that finds the job's id in the output of submit_command."},
    {"job_id_regexp_group", IPCL_INT, "0", NULL, NULL,
     "Which group of the expression is the id. 0: the first group, or the whole match if there is "
     "no group."},
};
/* ipyparallel's other settings. */
#define IGNORED(names, why)                                                                        \
    {                                                                                              \
        names, IPCL_IGNORED, "", NULL, NULL, why                                                   \
    }
static const struct ipcl_option ignored[BATCH_IGNORED] = {
    IGNORED("job_array_regexp,job_array_template,queue_regexp,queue_template,output_regexp,"
            "output_template,account_regexp,account_template,qos_regexp,qos_template,"
            "timelimit_regexp,timelimit_template,options_regexp,options_template",
            "settings become the batch system's own directives; those that a template has already "
            "are found by the option's name"),
    IGNORED("output_limit,stop_timeout",
            "jobs are queried as long as they exist, and their output is kept"),
};
#define COMMON_COUNT (sizeof(common) / sizeof(*common))

static const struct ipcl_option *own_row(const struct ipcl_batch_system *system, const char *name)
{
    for (size_t i = 0; i < system->option_count; i++)
        if (strcmp(system->options[i].name, name) == 0)
            return &system->options[i];
    return NULL;
}

/* The default that the system's table has for a common setting. */
static const char *fallback(const struct ipcl_batch_system *system,
                            const struct ipcl_option *option)
{
    const struct {
        const char *name;
        const char *text;
    } defaults[] = {
        {"submit_command", system->submit}, {"delete_command", system->cancel},
        {"signal_command", system->signal}, {"query_command", system->query.command},
        {"job_id_regexp", system->job_id},  {"history_command", system->history.command},
        {"find_command", system->find},
    };
    for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
        if (strcmp(defaults[i].name, option->name) == 0)
            return defaults[i].text ? defaults[i].text : "";
    return option->fallback;
}

/* All rows: the common ones, or the system's own instead, and then the system's other rows. */
static size_t fill_options(const struct ipcl_batch_system *system, struct ipcl_option *options)
{
    size_t count = 0;
    for (size_t i = 0; i < COMMON_COUNT; i++) {
        const struct ipcl_option *own = own_row(system, common[i].name);
        options[count] = own ? *own : common[i];
        if (!own)
            options[count].fallback = fallback(system, &common[i]);
        count++;
    }
    for (size_t i = 0; i < system->option_count; i++) {
        bool placed = false;
        for (size_t k = 0; k < COMMON_COUNT && !placed; k++)
            placed = strcmp(common[k].name, system->options[i].name) == 0;
        if (!placed)
            options[count++] = system->options[i];
    }
    return count;
}

/* Their names, as the system's. */
static void name_classes(const struct ipcl_batch_system *system, struct batch_classes *made)
{
    static const char *const suffixes[] = {"Launcher", "ControllerLauncher", "EngineSetLauncher"};
    for (size_t i = 0; i < 3; i++)
        snprintf(made->names[i], sizeof(made->names[i]), "%.100s%s", system->name, suffixes[i]);
    snprintf(made->summary, sizeof(made->summary), "%.100s jobs", system->name);
    snprintf(made->alias, sizeof(made->alias), "%s", system->name);
    for (char *at = made->alias; *at; at++)
        *at = (char)tolower((unsigned char)*at);
}

struct batch_classes *batch_classes_create(const struct ipcl_batch_system *system,
                                           struct ipcl_error *error)
{
    struct batch_classes *made = calloc(1, sizeof(*made));
    if (made)
        made->options =
            calloc(BATCH_IGNORED + COMMON_COUNT + system->option_count, sizeof(*made->options));
    if (!made || !made->options) {
        batch_classes_destroy(made);
        ipcl_error_set(error, "no memory for the launchers of %s", system->name);
        return NULL;
    }
    name_classes(system, made);
    size_t count = fill_options(system, made->options);
    memcpy(made->options + count, ignored, sizeof(ignored));
    memcpy(made->rows + 1, ignored, sizeof(ignored));
    made->rows[0] = (struct ipcl_option){"*", IPCL_INHERITED, made->names[0], NULL, NULL, NULL};
    made->tables[0] =
        (struct ipcl_option_table){made->names[0], made->options, count + BATCH_IGNORED};
    for (size_t i = 0; i < 2; i++) {
        made->tables[i + 1] =
            (struct ipcl_option_table){made->names[i + 1], made->rows, 1 + BATCH_IGNORED};
        made->classes[i] = batch_class;
        if (system->here)
            made->classes[i].properties = 0;
        made->classes[i].name = made->names[i + 1];
        made->classes[i].aliases = system->aliases ? system->aliases : made->alias;
        made->classes[i].role = i == 0 ? IPCL_ROLE_CONTROLLER : IPCL_ROLE_ENGINES;
        made->classes[i].summary = made->summary;
        made->classes[i].stop_ms = system->stop_ms ? system->stop_ms : STOP_MS;
    }
    return made;
}

void batch_classes_destroy(struct batch_classes *classes)
{
    if (!classes)
        return;
    free(classes->options);
    free(classes);
}
