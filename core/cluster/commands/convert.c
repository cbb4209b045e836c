/* Converting ipyparallel's configuration files: Python runs the file, the program that it is for
 * says which of its settings it takes, and what is left is listed. */
#include "cluster/commands/convert.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/launching/ask.h"

#define FILE_BYTES_MAX (1 << 20)
#define NO_TRAITLETS   3

static const char *const programs[] = {"ipcluster", "ipcontroller", "ipengine"};
#define PROGRAM_COUNT (sizeof(programs) / sizeof(*programs))

struct conversion {
    struct cluster *cluster;
    const char *source;
    const char *program;
    bool force; /* replaces files */
    char target[PATH_BYTES];
    json_t *lost; /* [[name, reason]] */
};

static void lose(struct conversion *conversion, const char *class_name, const char *trait,
                 const char *reason)
{
    char name[256];
    snprintf(name, sizeof(name), "%s.%s", class_name, trait);
    json_array_append_new(conversion->lost, json_pack("[ss]", name, reason));
}

/* Finds out which program's file it is, and where the converted one goes. */
static int identify(struct conversion *conversion, struct ipcl_error *error)
{
    const char *slash = strrchr(conversion->source, '/');
    const char *name = slash ? slash + 1 : conversion->source;
    for (size_t i = 0; i < PROGRAM_COUNT; i++) {
        size_t length = strlen(programs[i]);
        if (strncmp(name, programs[i], length) || strncmp(name + length, "_config.", 8))
            continue;
        conversion->program = programs[i];
        return path_format(conversion->target, error, "%.*s%s_config.json",
                           (int)(name - conversion->source), conversion->source, programs[i]);
    }
    return ipcl_error_set(error,
                          "%s is not named as a configuration file: ipcluster_config.py, "
                          "ipcontroller_config.py or ipengine_config.py",
                          conversion->source);
}

/* {"settings": ..., "lost": ...} of a Python file; NULL with `error` set. */
static json_t *load_python(const struct conversion *conversion, struct ipcl_error *error)
{
    const char *given = settings_string(conversion->cluster->settings, "Cluster", "python");
    const char *python = *given ? given : "python3";
    const char *const argv[] = {python, "-c", convert_script, conversion->source, NULL};
    int status;
    char *output = ask_program(argv, "", &status, error);
    json_t *loaded = output && !status ? json_loads(output, 0, NULL) : NULL;
    free(output);
    if (!output)
        return NULL;
    if (status == NO_TRAITLETS)
        ipcl_error_set(error,
                       "%s lacks the package traitlets, which reads configuration files: name a "
                       "Python that has it with --python",
                       python);
    else if (!loaded)
        ipcl_error_set(error, "%s cannot be read: %s ended with %d (its messages are above)",
                       conversion->source, python, status);
    return loaded;
}

static json_t *load_json(const struct conversion *conversion, struct ipcl_error *error)
{
    size_t size;
    json_error_t reason;
    char *text = path_read_file(conversion->source, FILE_BYTES_MAX, &size, error);
    if (!text)
        return NULL;
    json_t *settings = json_loadb(text, size, 0, &reason);
    free(text);
    if (!json_is_object(settings)) {
        json_decref(settings);
        ipcl_error_set(error, "%s: line %d is not JSON: %s", conversion->source, reason.line,
                       reason.text);
        return NULL;
    }
    json_object_del(settings, "version");
    return json_pack("{s:o s:[]}", "settings", settings, "lost");
}

/* Whether the words of a command start a program of ipyparallel's. */
static bool starts_theirs(const json_t *value)
{
    size_t i;
    const json_t *word;
    json_array_foreach (value, i, word) {
        const char *text = json_string_value(word);
        if (text && (strstr(text, "ipyparallel") || strstr(text, "IPython.parallel")))
            return true;
    }
    return false;
}

/* Returns 0, or -1 with `error` set if no plugin has a launcher with this name. Any of its names
 * will do; ipyparallel knows only some. */
static int check_launcher(const struct conversion *conversion, const char *trait,
                          const json_t *value, struct ipcl_error *error)
{
    struct launcher_choice choice;
    enum ipcl_role role = strncmp(trait, "engine", 6) ? IPCL_ROLE_CONTROLLER : IPCL_ROLE_ENGINES;
    const char *name = json_string_value(value);
    return name ? launchers_find(conversion->cluster->launchers, role, name, &choice, error)
                : ipcl_error_set(error, "a launcher's name is a string");
}

static bool names_launcher(const char *trait)
{
    return !strncmp(trait, "engine_launcher", 15) || !strncmp(trait, "controller_launcher", 19);
}

/* What is text or a list to the tables, and yet means nothing here. */
static void prepare(struct conversion *conversion, json_t *settings)
{
    const char *class_name, *trait;
    json_t *traits, *value;
    struct ipcl_error error;
    void *next;
    json_object_foreach (settings, class_name, traits) {
        json_object_foreach_safe(traits, next, trait, value)
        {
            size_t length = strlen(trait);
            const char *reason = NULL;
            if (names_launcher(trait) && check_launcher(conversion, trait, value, &error))
                reason = error.text;
            else if (length > 4 && !strcmp(trait + length - 4, "_cmd") && starts_theirs(value))
                reason = "it starts ipyparallel's program; this ipcluster finds its own without it";
            if (!reason)
                continue;
            lose(conversion, class_name, trait, reason);
            json_object_del(traits, trait);
        }
    }
}

/* Asks the program which of the settings it takes. NULL with `error` set. */
static json_t *carry(const struct conversion *conversion, const json_t *settings,
                     struct ipcl_error *error)
{
    char path[PATH_BYTES];
    bool own = !strcmp(conversion->program, "ipcluster");
    enum ipcl_role role =
        strcmp(conversion->program, "ipengine") ? IPCL_ROLE_CONTROLLER : IPCL_ROLE_ENGINES;
    const char *const start[] = {"/proc/self/exe", "start", "--carry-settings", NULL};
    const char *const other[] = {path, "--carry-settings", NULL};
    if (!own && cluster_program(role, path, error))
        return NULL;
    int status;
    char *input = json_dumps(settings, 0);
    char *output = input ? ask_program(own ? start : other, input, &status, error) : NULL;
    json_t *report = output && !status ? json_loads(output, 0, NULL) : NULL;
    free(input);
    free(output);
    if (output && !report)
        ipcl_error_set(error, "%s does not list its settings (it ended with %d)",
                       own ? "ipcluster" : path, status);
    return report;
}

/* The text of the converted file, malloc'ed; NULL with `error` set. */
static char *compose(const struct conversion *conversion, json_t *settings,
                     struct ipcl_error *error)
{
    const char *slash = strrchr(conversion->source, '/');
    json_object_set_new(settings, "about",
                        json_sprintf("Converted from %s by: ipcluster profile convert. "
                                     "%s --help-all lists all settings.",
                                     slash ? slash + 1 : conversion->source, conversion->program));
    if (json_array_size(conversion->lost))
        json_object_set(settings, "not_carried_over", conversion->lost);
    char *text = json_dumps(settings, JSON_INDENT(4) | JSON_REAL_PRECISION(15));
    if (!text)
        ipcl_error_set(error, "no memory for %s", conversion->target);
    return text;
}

static void print_list(const char *title, const json_t *list)
{
    size_t i;
    json_t *pair;
    if (json_array_size(list))
        printf("  %s\n", title);
    json_array_foreach (list, i, pair)
        printf("    %s: %s\n", json_string_value(json_array_get(pair, 0)),
               json_string_value(json_array_get(pair, 1)));
}

static size_t count_settings(const json_t *settings)
{
    const char *name;
    json_t *traits;
    size_t count = 0;
    json_object_foreach ((json_t *)settings, name, traits)
        count += json_is_object(traits) ? json_object_size(traits) : 0;
    return count;
}

/* Returns 0, or -1 with `error` set if there is a file that may not be replaced. */
static int check_free(const struct conversion *conversion, const char *path,
                      struct ipcl_error *error)
{
    if (conversion->force || !path_exists(path))
        return 0;
    return ipcl_error_set(error, "%s exists already: --force replaces it", path);
}

/* A template of several lines becomes a file next to the converted one, for users to read and edit:
 * ipyparallel's programs, which may read the same settings, take no array of lines. */
static int write_template(const struct conversion *conversion, const char *class_name,
                          json_t *traits, struct ipcl_error *error)
{
    char path[PATH_BYTES], full[PATH_BYTES];
    const char *text = json_string_value(json_object_get(traits, "batch_template"));
    const char *slash = strrchr(conversion->target, '/');
    if (!text || !strchr(text, '\n'))
        return 0;
    if (path_format(path, error, "%.*s%s.template",
                    slash ? (int)(slash - conversion->target + 1) : 0, conversion->target,
                    class_name) ||
        check_free(conversion, path, error) ||
        path_write_file(path, text, strlen(text), 0600, error))
        return -1;
    json_object_del(traits, "batch_template");
    return json_object_set_new(traits, "batch_template_file",
                               json_string(realpath(path, full) ? full : path));
}

static int write_templates(const struct conversion *conversion, json_t *settings,
                           struct ipcl_error *error)
{
    const char *class_name;
    json_t *traits;
    int status = 0;
    json_object_foreach (settings, class_name, traits)
        if (!status)
            status = write_template(conversion, class_name, traits, error);
    return status;
}

static int write_target(struct conversion *conversion, const json_t *report,
                        struct ipcl_error *error)
{
    json_t *settings = json_object_get(report, "settings");
    if (write_templates(conversion, settings, error))
        return -1;
    size_t count = count_settings(settings);
    json_array_extend(conversion->lost, json_object_get(report, "refused"));
    char *text = compose(conversion, settings, error);
    int status = text ? path_write_file(conversion->target, text, strlen(text), 0600, error) : -1;
    free(text);
    if (status)
        return -1;
    printf("%s: %zu setting%s carried over into %s\n", conversion->source, count,
           count == 1 ? "" : "s", conversion->target);
    print_list("not carried over:", conversion->lost);
    print_list("left out, as without effect here:", json_object_get(report, "without_effect"));
    return 0;
}

static int convert(struct conversion *conversion, struct ipcl_error *error)
{
    const char *suffix = strrchr(conversion->source, '.');
    bool python = suffix && !strcmp(suffix, ".py");
    if (!path_exists(conversion->source))
        return ipcl_error_set(error, "%s is not there", conversion->source);
    json_t *loaded = python ? load_python(conversion, error) : load_json(conversion, error);
    if (!loaded)
        return -1;
    json_t *settings = json_object_get(loaded, "settings");
    conversion->lost = json_incref(json_object_get(loaded, "lost"));
    prepare(conversion, settings);
    json_t *report = carry(conversion, settings, error);
    int status = report ? write_target(conversion, report, error) : -1;
    json_decref(report);
    json_decref(loaded);
    return status;
}

enum convert_outcome convert_file(struct cluster *cluster, const char *path, bool force,
                                  struct ipcl_error *error)
{
    struct conversion conversion = {.cluster = cluster, .source = path, .force = force};
    if (identify(&conversion, error) || check_free(&conversion, conversion.target, error))
        return CONVERT_FAILED;
    int status = convert(&conversion, error);
    size_t lost = json_array_size(conversion.lost);
    json_decref(conversion.lost);
    return status ? CONVERT_FAILED : lost ? CONVERT_PART : CONVERT_WHOLE;
}

enum convert_outcome convert_profile(struct cluster *cluster, const struct profile *profile,
                                     bool force, struct ipcl_error *error)
{
    enum convert_outcome whole = CONVERT_WHOLE;
    char path[PATH_BYTES];
    size_t found = 0;
    for (size_t i = 0; i < PROGRAM_COUNT; i++) {
        if (path_format(path, error, "%s/%s_config.py", profile->dir, programs[i]))
            return CONVERT_FAILED;
        if (!path_exists(path))
            continue;
        found++;
        enum convert_outcome outcome = convert_file(cluster, path, force, error);
        if (outcome == CONVERT_FAILED)
            return CONVERT_FAILED;
        if (outcome == CONVERT_PART)
            whole = CONVERT_PART;
    }
    if (found)
        return whole;
    ipcl_error_set(error,
                   "%s has no ipcluster_config.py, ipcontroller_config.py or ipengine_config.py",
                   profile->dir);
    return CONVERT_FAILED;
}
