/* The table of a batch system, checked without one: its expressions, its scripts, and what it makes
 * of samples of what the commands print. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/job_name.h"
#include "base/path.h"
#include "cluster/batch/batch_query.h"
#include "cluster/launching/launcher.h"
#include "cluster/plugins/plugin_check_private.h"
#include "plugin/descriptor.h"

#define SAMPLE_BYTES_MAX (1 << 20)

static void check_expression(const struct plugin_check *check, const char *name,
                             const char *expression)
{
    struct ipcl_error error;
    if (expression && batch_check_expression(expression, &error) < 0)
        check_fault(check, "its %s is wrong: %s", name, error.text);
}

static void check_expressions(const struct plugin_check *check,
                              const struct ipcl_batch_system *system)
{
    const struct ipcl_batch_query *query = &system->query, *history = &system->history;
    const struct {
        const char *name, *expression;
    } all[] = {{"job_id", system->job_id},
               {"unknown_job", system->unknown_job},
               {"query.record", query->record},
               {"query.state", query->state},
               {"query.reason", query->reason},
               {"query.starts", query->starts},
               {"query.exit_status", query->exit_status},
               {"query.exit_signal", query->exit_signal},
               {"history.record", history->record},
               {"history.state", history->state},
               {"history.exit_status", history->exit_status},
               {"history.exit_signal", history->exit_signal}};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        check_expression(check, all[i].name, all[i].expression);
    if (history->command && (!history->record || !history->state))
        check_fault(check, "its history has a command, but no expressions to read what it prints");
}

static void check_states(const struct plugin_check *check, const struct ipcl_batch_system *system)
{
    bool seen[IPCL_BATCH_CUT_SHORT + 1] = {false};
    for (const struct ipcl_batch_state *state = system->states; state->words; state++) {
        if (state->phase < IPCL_BATCH_PENDING || state->phase > IPCL_BATCH_CUT_SHORT)
            check_fault(check, "its state '%s' has the phase %d, which does not exist",
                        state->words, (int)state->phase);
        else
            seen[state->phase] = true;
    }
    if (!seen[IPCL_BATCH_RUNNING])
        check_fault(check, "none of its states means a job that runs: no job would ever count as "
                           "started");
}

/* Gives each setting that the directives name a value, so that none is left out. */
static void set_directives(const struct plugin_check *check, const struct launcher_choice *choice)
{
    const struct ipcl_option_table *table = choice->system_settings;
    char field[128];
    for (size_t i = 0; i < table->count; i++) {
        const struct ipcl_option *option = &table->options[i];
        snprintf(field, sizeof(field), "{%.120s}", option->name);
        if (strstr(choice->system->directives, field))
            settings_set(check->settings, table->class_name, option->name, "7", NULL);
    }
}

static void on_warned(void *context, const char *text)
{
    check_fault(context, "%s", text);
}

/* What would be submitted, as a dry run shows it. */
static void check_script(const struct plugin_check *check, const struct launcher_choice *choice)
{
    const char *const argv[] = {"/bin/true", NULL};
    const struct ipcl_launch launch = {.count = 2,
                                       .argv = argv,
                                       .work_dir = check->folder,
                                       .log_dir = check->folder,
                                       .label = "ipengine-check",
                                       .profile_dir = check->folder,
                                       .cluster_id = ""};
    struct ipcl_error error;
    char *script = NULL;
    size_t size;
    FILE *stream = open_memstream(&script, &size);
    const struct launcher_options options = {
        .settings = check->settings,
        .plugin = choice->plugin,
        .class = choice->class,
        .system = choice->system,
        .system_settings = choice->system_settings,
        .events = {.warned = on_warned, .context = (void *)check},
        .dry = stream,
    };
    struct launcher *launcher = stream ? launcher_create(&options, &error) : NULL;
    if (!launcher || launcher_start(launcher, &launch, &error) < 0)
        check_fault(check, "the script of %s cannot be made: %s", choice->class->name,
                    stream ? error.text : "no memory");
    launcher_destroy(launcher);
    if (stream)
        fclose(stream);
    free(script);
}

/* One file of samples. */
struct sample {
    const struct plugin_check *check;
    const char *name;
    const struct ipcl_batch_query *query; /* whose command printed it */
    size_t records;
};

static bool take_record(void *context, const struct batch_record *record)
{
    static const char *const phases[] = {"is pending", "runs", "has ended"};
    struct sample *sample = context;
    sample->records++;
    if (!*record->state)
        check_fault(sample->check,
                    "%s: no state of job %s was found with the regular expression '%s'",
                    sample->name, record->id, sample->query->state);
    else if (!record->known)
        check_fault(sample->check, "%s: the state '%s' of job %s is none of its states",
                    sample->name, record->state, record->id);
    else
        printf("%s: job %s %s%s%s\n", sample->name, record->id, phases[record->phase],
               *record->text ? ": " : "", record->text);
    return false;
}

/* Checks what is printed if there is no such job, or the system does not answer. */
static void read_failure(const struct plugin_check *check, const struct ipcl_batch_system *system,
                         const char *name, const char *text)
{
    bool unknown = strncmp(name, "unknown", 7) == 0;
    if (batch_matches(system->unknown_job, text) != unknown)
        check_fault(check,
                    unknown ? "%s: its unknown_job '%s' does not match this"
                            : "%s: its unknown_job '%s' matches this: such jobs would be taken for "
                              "gone",
                    name, system->unknown_job);
    else
        printf("%s: %s\n", name, unknown ? "there is no such job" : "nothing is known");
}

static void read_answer(const struct plugin_check *check, const struct ipcl_batch_system *system,
                        const char *name, const char *text)
{
    char id[BATCH_ID_BYTES];
    struct ipcl_error error;
    bool refused = strncmp(name, "refused", 7) == 0;
    if ((batch_read_id(system->job_id, 0, text, id, &error) < 0) != refused)
        check_fault(check, "%s: %s%s", name, refused ? "its job_id finds the job " : error.text,
                    refused ? id : "");
    else
        printf("%s: %s%s\n", name, refused ? "no job" : "job ", refused ? "" : id);
}

static void read_jobs(const struct plugin_check *check, const struct ipcl_batch_system *system,
                      const char *name, const char *text)
{
    struct ipcl_error error;
    bool history = strncmp(name, "history", 7) == 0;
    const struct ipcl_batch_query *query = history ? &system->history : &system->query;
    struct sample sample = {.check = check, .name = name, .query = query};
    if (history && !query->record)
        check_fault(check, "%s: the table has no history", name);
    else if (batch_read(system, query, text, take_record, &sample, &error) < 0)
        check_fault(check, "%s: %s", name, error.text);
    else if (!sample.records)
        check_fault(check, "%s: no job was found in it with the regular expression '%s'", name,
                    query->record);
}

static void read_sample(const struct plugin_check *check, const struct ipcl_batch_system *system,
                        const char *name, const char *text)
{
    static const struct {
        const char *begins;
        void (*read)(const struct plugin_check *check, const struct ipcl_batch_system *system,
                     const char *name, const char *text);
    } kinds[] = {{"submit", read_answer}, {"refused", read_answer},  {"query", read_jobs},
                 {"history", read_jobs},  {"unknown", read_failure}, {"unreachable", read_failure}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strncmp(name, kinds[i].begins, strlen(kinds[i].begins)) == 0) {
            kinds[i].read(check, system, name, text);
            return;
        }
    }
    check_fault(check,
                "%s: a sample's name begins with submit, refused, query, history, unknown or "
                "unreachable",
                name);
}

static int is_visible(const struct dirent *entry)
{
    return *entry->d_name != '.';
}

static void read_samples(const struct plugin_check *check, const struct ipcl_batch_system *system)
{
    struct dirent **files;
    struct ipcl_error error;
    int count = scandir(check->samples, &files, is_visible, alphasort);
    if (count <= 0)
        check_fault(check, "there are no samples in %s", check->samples);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES], *text = NULL;
        size_t size;
        if (path_format(path, &error, "%s/%s", check->samples, files[i]->d_name) == 0)
            text = path_read_file(path, SAMPLE_BYTES_MAX, &size, &error);
        if (text)
            read_sample(check, system, files[i]->d_name, text);
        else
            check_fault(check, "%s", error.text);
        free(text);
        free(files[i]);
    }
    if (count >= 0)
        free(files);
}

static void check_job_variables(const struct plugin_check *check,
                                const struct launcher_choice *choice)
{
    const char *names = descriptor_job_variables(choice->plugin, choice->system);
    if (names && (*names != '{' || !job_name_is_sound(names)))
        check_fault(check,
                    "its job_variables '%s' do not begin with a variable in braces, or have one "
                    "that is not closed, or a name without any",
                    names);
}

void check_table(const struct plugin_check *check, const struct launcher_choice *choice)
{
    check_stage(check, "when the script of %s was made", choice->class->name);
    set_directives(check, choice);
    check_script(check, choice);
    if (choice->class->role == IPCL_ROLE_CONTROLLER) /* both classes are of one table */
        return;
    check_expressions(check, choice->system);
    check_states(check, choice->system);
    check_job_variables(check, choice);
    if (check->samples)
        read_samples(check, choice->system);
}
