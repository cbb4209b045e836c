/* Scripts of batch jobs: a template with its values, and directives for the settings that are
 * given. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/batch/batch_private.h"
#include "cluster/batch/template.h"

#define TEMPLATE_BYTES_MAX (1 << 20)
#define LINE_BYTES         512

/* The values of a template, and the texts that are freed with them. */
struct values {
    struct template_value *list;
    char **owned;
    size_t count;
    bool failed;
};

/* Takes `text`, which may be NULL where memory is short. */
static void add(struct values *values, const char *name, char *text)
{
    struct template_value *list =
        realloc(values->list, (values->count + 1) * sizeof(*values->list));
    char **owned = realloc(values->owned, 2 * (values->count + 1) * sizeof(*values->owned));
    char *own_name = strdup(name);
    if (list)
        values->list = list;
    if (owned)
        values->owned = owned;
    if (!list || !owned || !text || !own_name) {
        values->failed = true;
        free(own_name);
        free(text);
        return;
    }
    owned[2 * values->count] = own_name;
    owned[2 * values->count + 1] = text;
    list[values->count++] = (struct template_value){.name = own_name, .text = text};
}

static void add_copy(struct values *values, const char *name, const char *text)
{
    add(values, name, strdup(text));
}

static void free_values(struct values *values)
{
    for (size_t i = 0; i < 2 * values->count; i++)
        free(values->owned[i]);
    free(values->owned);
    free(values->list);
}

static const char *text_setting(const struct batch *batch, const char *name)
{
    const struct ipcl_services *base = &batch->services->base;
    return base->option_string(base->host, batch->class_name, name);
}

static const char *const *list_setting(const struct batch *batch, const char *name, size_t *count)
{
    const struct ipcl_services *base = &batch->services->base;
    return base->option_list(base->host, batch->class_name, name, count);
}

/* One setting, as text. */
static void add_setting(struct values *values, const struct batch *batch,
                        const struct ipcl_option *option)
{
    const struct ipcl_services *base = &batch->services->base;
    char number[64];
    switch (option->type) {
    case IPCL_STRING:
        add_copy(values, option->name, text_setting(batch, option->name));
        break;
    case IPCL_INT:
        snprintf(number, sizeof(number), "%lld",
                 (long long)base->option_int(base->host, batch->class_name, option->name));
        add_copy(values, option->name, number);
        break;
    case IPCL_REAL:
        snprintf(number, sizeof(number), "%.15g",
                 base->option_real(base->host, batch->class_name, option->name));
        add_copy(values, option->name, number);
        break;
    case IPCL_LIST:
        add(values, option->name, template_quote(list_setting(batch, option->name, NULL)));
        break;
    default:
        break;
    }
}

static void add_word(struct values *values, const char *name, const char *text)
{
    const char *const words[] = {text, NULL};
    add(values, name, template_quote(words));
}

/* The program as the script starts it: env NAME=value ... program arguments --mpi=... With
 * `args_alone`, only the words after the program. */
static char *program_and_args(const struct batch_job *job, const struct ipcl_launch *launch,
                              bool args_alone)
{
    const struct batch *batch = job->batch;
    size_t variables, given = 0, words = 0, used = 0;
    const char *const *environment = list_setting(batch, "environment", &variables);
    const char *mpi = text_setting(batch, "mpi");
    bool with_mpi = batch->role == IPCL_ROLE_ENGINES && *mpi && strcmp(mpi, "none") != 0;
    char mpi_option[LINE_BYTES], mpi_size[64];
    while (launch->environment && launch->environment[given])
        given++;
    while (launch->argv[words])
        words++;
    const char **argv = calloc(variables + given + words + 4, sizeof(*argv));
    if (!argv)
        return NULL;
    if (variables + given + with_mpi && !args_alone)
        argv[used++] = "env";
    if (with_mpi && !args_alone) {
        snprintf(mpi_size, sizeof(mpi_size), "IPCLUSTER_MPI_SIZE=%u", launch->count);
        argv[used++] = mpi_size;
    }
    for (size_t i = 0; i < given && !args_alone; i++)
        argv[used++] = launch->environment[i];
    for (size_t i = 0; i < variables && !args_alone; i++)
        argv[used++] = environment[i];
    for (size_t i = args_alone; i < words; i++)
        argv[used++] = launch->argv[i];
    if (with_mpi) {
        snprintf(mpi_option, sizeof(mpi_option), "--mpi=%s", mpi);
        argv[used++] = mpi_option;
    }
    char *text = args_alone || !*job->ends ? template_quote(argv) : batch_wrap(job->ends, argv);
    free(argv);
    return text;
}

/* Stands between double quotes, in a shell or a directive. */
static void add_quoted(struct values *values, const char *name, const char *text)
{
    char *escaped = malloc(2 * strlen(text) + 1), *to = escaped;
    for (; escaped && *text; *to++ = *text++)
        if (strchr("\\\"$`", *text))
            *to++ = '\\';
    if (escaped)
        *to = '\0';
    add(values, name, escaped);
}

/* For systems that take a path with % for a pattern. */
static void add_pattern(struct values *values, const char *text)
{
    char *escaped = malloc(2 * strlen(text) + 1), *to = escaped;
    for (; escaped && *text; *to++ = *text++)
        if (*text == '%')
            *to++ = '%';
    if (escaped)
        *to = '\0';
    add_quoted(values, "output_pattern", escaped ? escaped : "");
    values->failed |= !escaped;
    free(escaped);
}

/* An amount of memory such as 4GB, 4g or 500 MiB, in MiB, rounded up; 0 if it is none. Units are
 * powers of 1024, as in batch systems. */
static int64_t mebibytes(const char *text)
{
    static const char units[] = "KMGT";
    char *end;
    double amount = strtod(text, &end);
    end += strspn(end, " ");
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    for (const char *each = units; unit && each <= unit; each++)
        amount *= 1024;
    end += unit != NULL;
    end += unit && *end == 'i';
    end += toupper((unsigned char)*end) == 'B';
    amount /= 1024 * 1024;
    if (end == text || *end || !(amount > 0) || amount > 1e12)
        return 0;
    return (int64_t)amount + ((double)(int64_t)amount < amount);
}

/* Adds values for directives that follow from settings: {memory_mb}, "" if it is not given, and
 * {engine_cores}, at least one. Returns 0 or -1 with `error` set. */
static int add_sizes(struct values *values, const struct batch *batch, struct ipcl_error *error)
{
    const struct ipcl_services *base = &batch->services->base;
    int64_t cores = base->option_int(base->host, batch->class_name, "cores");
    const char *memory = text_setting(batch, "memory");
    char number[32] = "";
    if (cores < 0 || base->option_int(base->host, batch->class_name, "gpus") < 0)
        return ipcl_error_set(error, "%s.cores or gpus is less than 0", batch->class_name);
    int64_t amount = mebibytes(memory);
    if (*memory && amount == 0)
        return ipcl_error_set(error, "%s.memory: '%s' is not a size such as 4GB or 500MB",
                              batch->class_name, memory);
    if (*memory)
        snprintf(number, sizeof(number), "%lld", (long long)amount);
    add_copy(values, "memory_mb", number);
    snprintf(number, sizeof(number), "%lld", (long long)(cores ? cores : 1));
    add_copy(values, "engine_cores", number);
    return 0;
}

/* The values that a template may name. If two have one name, the first counts. */
static int collect(struct values *values, const struct batch_job *job,
                   const struct ipcl_launch *launch, struct ipcl_error *error)
{
    const struct batch *batch = job->batch;
    const struct ipcl_option_table *settings = batch->settings;
    char number[32], name[128];
    snprintf(number, sizeof(number), "%u", launch->count);
    add_copy(values, "n", number);
    add(values, "program_and_args", program_and_args(job, launch, false));
    add(values, "program_args", program_and_args(job, launch, true));
    add_word(values, "program", launch->argv[0]);
    add_word(values, "profile_dir", launch->profile_dir);
    add_word(values, "work_dir", launch->work_dir);
    add_copy(values, "cluster_id", launch->cluster_id);
    add_copy(values, "job_name", job->name);
    add_quoted(values, "output", job->output);
    add_pattern(values, job->output);
    const char *const *pairs = list_setting(batch, "namespace", NULL);
    for (size_t i = 0; pairs && pairs[i]; i++) {
        size_t length = strcspn(pairs[i], "=");
        snprintf(name, sizeof(name), "%.*s", (int)length, pairs[i]);
        add_copy(values, name, pairs[i] + length + 1);
    }
    for (size_t i = 0; i < settings->count; i++)
        add_setting(values, batch, &settings->options[i]);
    if (add_sizes(values, batch, error) < 0)
        return -1;
    return values->failed ? ipcl_error_set(error, "no memory for a job's script") : 0;
}

/* The path of a script or output from the setting `given`: in this folder if it is relative. */
static int place(const char *given, const char *folder, const char *number, char path[PATH_BYTES],
                 struct ipcl_error *error)
{
    char expanded[PATH_BYTES] = "";
    if (*given == '~' && path_expand(given, expanded, error) < 0)
        return -1;
    bool whole = *given == '/' || *given == '~';
    return path_format(path, error, "%s%s%s%s", whole ? "" : folder, whole ? "" : "/",
                       *given == '~' ? expanded : given, number);
}

/* If there are several jobs, each has its own files, numbered if a setting gives their path. */
static int choose_paths(struct batch_job *job, const struct ipcl_launch *launch,
                        struct ipcl_error *error)
{
    const struct batch *batch = job->batch;
    const char *script = text_setting(batch, "batch_file_name");
    const char *output = text_setting(batch, "output_file");
    char number[16] = "";
    if (batch->job_count > 1)
        snprintf(number, sizeof(number), ".%u", (unsigned)(job - batch->jobs) + 1);
    snprintf(job->name, sizeof(job->name), "%s", launch->label);
    for (char *at = job->name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
            *at = '_'; /* batch systems and their commands take no other characters */
    int status = *output
                     ? place(output, launch->log_dir, number, job->output, error)
                     : path_format(job->output, error, "%s/%s.log", launch->log_dir, launch->label);
    if (status == 0 && batch->role == IPCL_ROLE_ENGINES)
        status = path_format(job->ends, error, "%s/%s.ends", launch->log_dir, launch->label);
    if (status == 0)
        status = *script
                     ? place(script, launch->profile_dir, number, job->script, error)
                     : path_format(job->script, error, "%s/%s.sh", launch->log_dir, launch->label);
    return status;
}

/* The batch system's own template: malloc'ed; NULL where memory is short. */
static char *own_template(const struct batch *batch)
{
    const struct ipcl_batch_system *system = batch->system;
    const char *lines = batch->role == IPCL_ROLE_ENGINES ? system->engines : system->controller;
    char *whole = NULL;
    size_t size;
    FILE *stream = open_memstream(&whole, &size);
    if (!stream)
        return NULL;
    fputs("#!/bin/sh\n", stream);
    while (lines && *lines) {
        size_t length = strcspn(lines, "\n");
        fprintf(stream, "%s %.*s\n", system->prefix, (int)length, lines);
        lines += length + (lines[length] == '\n');
    }
    fprintf(stream, "{prologue}\ncd {work_dir} && exec %s\n",
            system->run ? system->run : "{program_and_args} >> \"{output}\" 2>&1");
    fclose(stream);
    return whole;
}

/* The template, and in `origin` where it is from, for errors. Malloc'ed; NULL with `error` set. */
static char *find_template(const struct batch *batch, const struct ipcl_launch *launch,
                           char origin[PATH_BYTES], struct ipcl_error *error)
{
    const char *text = text_setting(batch, "batch_template");
    const char *file = text_setting(batch, "batch_template_file");
    size_t size;
    if (*text && *file) {
        ipcl_error_set(error,
                       "%s.batch_template and batch_template_file are both given: leave one out",
                       batch->class_name);
        return NULL;
    }
    if (*file) {
        if (place(file, launch->profile_dir, "", origin, error) < 0)
            return NULL;
        char *read = path_read_file(origin, TEMPLATE_BYTES_MAX, &size, error);
        if (!read && errno == ENOENT)
            ipcl_error_set(error, "%s.batch_template_file: %s does not exist", batch->class_name,
                           origin);
        return read;
    }
    snprintf(origin, PATH_BYTES, "%s",
             *text ? "the setting batch_template" : "the batch system's own template");
    char *copy = *text ? strdup(text) : own_template(batch);
    if (!copy)
        ipcl_error_set(error, "no memory for a job's script");
    return copy;
}

/* Whether a line has the option of a directive, in one of its spellings, as of
 * "-J|--job-name={n}". */
static bool has_option(const char *line, size_t length, const char *text)
{
    text += strncmp(text, "-l ", 3) ? 0 : 3; /* what it limits follows */
    for (size_t size; (size = strcspn(text, "|={ \n")); text += size + 1) {
        const char *found = memmem(line, length, text, size);
        if (found && (!found[size] || !strchr("-_abcdefghijklmnopqrstuvwxyz", found[size])))
            return true;
        if (text[size] != '|')
            break;
    }
    return false;
}

/* The next line of a script that has the option of a directive: after the prefix, or at the line's
 * beginning, as in a submit description. Sets *length. NULL: there is none. */
static const char *find_directive(const char *script, const char *prefix, const char *text,
                                  size_t *length)
{
    for (const char *line = script; *line; line += *length + (line[*length] == '\n')) {
        *length = strcspn(line, "\n");
        bool directive = strncmp(line, prefix, strlen(prefix)) == 0;
        if ((directive || strncmp(line, text, strcspn(text, "|={ ")) == 0) &&
            has_option(line, *length, text))
            return line;
    }
    return NULL;
}

/* Whether a setting that a directive names, also in an expression, has no value, or is a number of
 * 0. */
static bool lacks_value(const char *text, const struct values *values)
{
    bool inside = false;
    for (const char *at = text; *at; at++) {
        inside = (inside || *at == '{') && *at != '}';
        if (!inside || !isalpha((unsigned char)*at))
            continue;
        size_t length = 1;
        while (isalnum((unsigned char)at[length]) || at[length] == '_')
            length++;
        const struct template_value *value = values->list, *end = value + values->count;
        while (value < end && (strncmp(value->name, at, length) != 0 || value->name[length]))
            value++;
        if (value < end && (!*value->text || strcmp(value->text, "0") == 0))
            return true;
        at += length - 1;
    }
    return false;
}

/* In the last of its spellings. */
static int write_directive(const struct batch *batch, struct values *values, const char *text,
                           FILE *stream, struct ipcl_error *error)
{
    if (lacks_value(text, values))
        return 0;
    for (size_t size = strcspn(text, "|={ "); text[size] == '|'; size = strcspn(text, "|={ "))
        text += size + 1;
    char *filled = template_fill(text, values->list, values->count, error);
    if (!filled)
        return -1;
    fprintf(stream, "%s %s\n", batch->system->prefix, filled);
    free(filled);
    return 0;
}

/* Writes the directives that the script does not have. Returns 0 or -1 with `error` set. */
static int write_directives(const struct batch *batch, struct values *values, const char *script,
                            FILE *stream, struct ipcl_error *error)
{
    const struct ipcl_batch_system *system = batch->system;
    char *list = strdup(system->directives), *rest = list, *text;
    size_t length;
    int status = list ? 0 : ipcl_error_set(error, "no memory for a job's script");
    while (status == 0 && (text = strsep(&rest, "\n")))
        if (!find_directive(script, system->prefix, text, &length))
            status = write_directive(batch, values, text, stream, error);
    free(list);
    if (status == 0)
        status = write_directive(batch, values, "{options}", stream, error);
    const char *const *extra = list_setting(batch, "job_extra_directives", NULL);
    for (size_t i = 0; status == 0 && extra && extra[i]; i++)
        fprintf(stream, "%s %s\n", system->prefix, extra[i]);
    return status;
}

/* Whether nothing but a template can use a setting: the system has no directive for it. */
static bool is_templates(const struct batch *batch, const char *name)
{
    static const char *const settings[] = {"prologue", "queue", "account", "qos", "timelimit"};
    char braces[32];
    for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
        snprintf(braces, sizeof(braces), "{%s}", settings[i]);
        if (strcmp(name, settings[i]) == 0)
            return !strstr(batch->system->directives, braces);
    }
    return false;
}

/* A setting that only a template can use, and that this one does not. */
static int check_unused(const struct batch *batch, const struct values *values, const char *origin,
                        struct ipcl_error *error)
{
    const char *const *pairs = list_setting(batch, "namespace", NULL);
    for (size_t i = 0; i < values->count; i++) {
        const struct template_value *value = &values->list[i];
        bool given = *value->text && is_templates(batch, value->name), second = false;
        for (size_t k = 0; k < i; k++)
            second |= strcmp(values->list[k].name, value->name) == 0; /* and counts for nothing */
        for (size_t k = 0; pairs && pairs[k]; k++)
            given |= strncmp(pairs[k], value->name, strlen(value->name)) == 0 &&
                     pairs[k][strlen(value->name)] == '=';
        if (given && !second && !value->used)
            return ipcl_error_set(error, "%s: '%s' is set, but %s has no {%s}", batch->class_name,
                                  value->name, origin, value->name);
    }
    return 0;
}

/* The script's own first line, or a shell's; *rest is what follows. */
static void write_first_line(const char *script, FILE *stream, const char **rest)
{
    *rest = script;
    if (strncmp(script, "#!", 2) != 0) {
        fputs("#!/bin/sh\n", stream);
        return;
    }
    size_t length = strcspn(script, "\n");
    fprintf(stream, "%.*s\n", (int)length, script);
    *rest = script + length + (script[length] == '\n');
}

/* Takes the directives out of a script that job_directives_skip names. */
static void leave_out(const struct batch *batch, char *script)
{
    const char *const *skip = list_setting(batch, "job_directives_skip", NULL);
    const char *prefix = batch->system->prefix;
    char *to = script;
    for (char *line = script; *line;) {
        size_t length = strcspn(line, "\n"), whole = length + (line[length] == '\n');
        bool out = false;
        for (size_t i = 0; strncmp(line, prefix, strlen(prefix)) == 0 && skip && skip[i]; i++)
            out |= memmem(line, length, skip[i], strlen(skip[i])) != NULL;
        if (!out) {
            memmove(to, line, whole);
            to += whole;
        }
        line += whole;
    }
    *to = '\0';
}

/* Fills the template, and puts the directives after its first line. */
static char *compose(const struct batch *batch, struct values *values, const char *template,
                     const char *origin, struct ipcl_error *error)
{
    struct ipcl_error reason;
    const char *rest;
    char *whole = NULL;
    size_t size;
    char *script = template_fill(template, values->list, values->count, &reason);
    if (!script) {
        ipcl_error_set(error, "%s, %s", origin, reason.text);
        return NULL;
    }
    FILE *stream = open_memstream(&whole, &size);
    int status = stream ? 0 : ipcl_error_set(error, "no memory for a job's script");
    if (status == 0) {
        write_first_line(script, stream, &rest);
        status = write_directives(batch, values, script, stream, error);
        fputs(rest, stream);
    }
    if (status == 0)
        status = check_unused(batch, values, origin, error);
    if (stream)
        fclose(stream);
    free(script);
    if (status == 0 && whole) {
        leave_out(batch, whole);
        return whole;
    }
    free(whole);
    return NULL;
}

/* Whether the job has the name that we give it: a template may give it another, which other jobs
 * may have as well. */
static bool has_own_name(const struct batch_job *job, const char *script)
{
    const struct ipcl_batch_system *system = job->batch->system;
    const char *lines =
        job->batch->role == IPCL_ROLE_ENGINES ? system->engines : system->controller;
    bool named = false;
    size_t length;
    const char *naming = strstr(system->directives, "{job_name}");
    const char *begin = naming ? system->directives : lines;
    if (!naming && !(naming = lines ? strstr(lines, "{job_name}") : NULL))
        return true;
    while (naming > begin && naming[-1] != '\n')
        naming--;
    while ((script = find_directive(script, system->prefix, naming, &length))) {
        named = memmem(script, length, job->name, strlen(job->name)) != NULL;
        if (!named)
            break;
        script += length;
    }
    return named;
}

char *batch_script(struct batch_job *job, const struct ipcl_launch *launch,
                   struct ipcl_error *error)
{
    const struct batch *batch = job->batch;
    struct values values = {.list = NULL};
    char origin[PATH_BYTES], *script = NULL;
    if (choose_paths(job, launch, error) < 0)
        return NULL;
    char *template = find_template(batch, launch, origin, error);
    if (template && collect(&values, job, launch, error) == 0)
        script = compose(batch, &values, template, origin, error);
    if (script && !has_own_name(job, script))
        *job->name = '\0';
    free(template);
    free_values(&values);
    return script;
}

int batch_write_script(struct batch_job *job, const struct ipcl_launch *launch,
                       struct ipcl_error *error)
{
    char *script = batch_script(job, launch, error);
    if (!script)
        return -1;
    int status = path_write_file(job->script, script, strlen(script), 0700, error);
    if (status == 0 && *job->ends)
        status = path_write_file(job->ends, "", 0, 0600, error);
    free(script);
    return status;
}
