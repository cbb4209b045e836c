/* The command lines of controller and engines: the program and its arguments. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/job_name.h"
#include "base/installation.h"
#include "cluster/settings/cluster.h"
#include "plugin/descriptor.h"

struct argv_words {
    char **list;
    size_t count;
    bool failed;
};

static void add_word(struct argv_words *words, const char *prefix, const char *text)
{
    char **list = realloc(words->list, (words->count + 2) * sizeof(*list));
    char *word = malloc(strlen(prefix) + strlen(text) + 1);
    if (list)
        words->list = list;
    if (!list || !word) {
        free(word);
        words->failed = true;
        return;
    }
    strcpy(word, prefix);
    strcat(word, text);
    list[words->count++] = word;
    list[words->count] = NULL;
}

static void add_words(struct argv_words *words, const char *const *list)
{
    for (size_t i = 0; list && list[i]; i++)
        add_word(words, "", list[i]);
}

void cluster_free_argv(char **argv)
{
    for (size_t i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
}

/* A list setting of the launcher's class or, if that is empty, of all launchers of its role. */
static const char *const *launcher_list(const struct cluster *cluster,
                                        const struct launcher_choice *choice, const char *what)
{
    bool engines = choice->class->role == IPCL_ROLE_ENGINES;
    char name[64];
    size_t count;
    snprintf(name, sizeof(name), "%s_%s", engines ? "engine" : "controller", what);
    const char *const *list = settings_list(cluster->settings, choice->class->name, name, &count);
    return count > 0
               ? list
               : settings_list(cluster->settings, engines ? "EngineLauncher" : "ControllerLauncher",
                               name, &count);
}

int cluster_program(enum ipcl_role role, char path[PATH_BYTES], struct ipcl_error *error)
{
    bool engines = role == IPCL_ROLE_ENGINES;
    const char *name = engines ? "ipengine" : "ipcontroller";
    int outcome = installation_program(name, path, error);
    if (outcome == 0 && access(path, X_OK) != 0)
        outcome = ipcl_error_set(error,
                                 "%.2000s, which belongs to this ipcluster, cannot be run: %s. "
                                 "Install it again, or set %s",
                                 path, strerror(errno),
                                 engines ? "EngineLauncher.engine_cmd"
                                         : "ControllerLauncher.controller_cmd");
    return outcome;
}

/* Adds the program that belongs to this one. */
static int add_program(struct argv_words *words, enum ipcl_role role, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    if (cluster_program(role, path, error) < 0)
        return -1;
    add_word(words, "", path);
    return 0;
}

static void add_setting(struct argv_words *words, const struct cluster *cluster,
                        const char *class_name, const char *name, const char *option)
{
    const char *value = settings_string(cluster->settings, class_name, name);
    if (settings_given(cluster->settings, class_name, name) && *value)
        add_word(words, option, value);
}

/* Adds the Python that the user named, and that of the program that starts the cluster or of the
 * activated environment: other hosts do not have our environment. */
static void add_python(struct argv_words *words, const struct cluster *cluster)
{
    const char *given = settings_string(cluster->settings, "Cluster", "client_python");
    const char *active = getenv("VIRTUAL_ENV");
    char path[PATH_BYTES];
    add_setting(words, cluster, "Cluster", "python", "--python=");
    if (!active || !*active)
        active = getenv("CONDA_PREFIX");
    if (!*given && active && *active && !path_format(path, NULL, "%s/bin/python", active) &&
        path_exists(path))
        given = path;
    if (*given)
        add_word(words, "--IPEngine.client_python=", given);
}

/* Tells engines how to find the id of their batch job. For a system that engines know, its name is
 * enough: then users' templates need no quotes. Adds nothing if the plugin's variables are wrong,
 * which engines would refuse: `ipcluster plugins check` says so. */
static void add_job(struct argv_words *words, const struct launcher_choice *choice)
{
    const struct ipcl_batch_system *system = choice->system;
    const char *variables = system ? descriptor_job_variables(choice->plugin, system) : NULL;
    char prefix[256];
    if (!variables || !job_name_is_sound(variables))
        return;
    if (job_name_is_known(system->name, variables)) {
        add_word(words, "--IPEngine.batch_job=", system->name);
        return;
    }
    snprintf(prefix, sizeof(prefix), "--IPEngine.batch_job=%.128s job ", system->name);
    add_word(words, prefix, variables);
}

char **cluster_argv(const struct cluster *cluster, const struct launcher_choice *choice,
                    const char *engine_set, const char *ids, struct ipcl_error *error)
{
    struct argv_words words = {.list = NULL};
    char names[PROFILE_NAMES_BYTES];
    bool engines = choice->class->role == IPCL_ROLE_ENGINES;
    const char *const *command = launcher_list(cluster, choice, "cmd");
    if (command && command[0])
        add_words(&words, command);
    else if (add_program(&words, choice->class->role, error) < 0)
        return NULL;
    add_word(&words, "--profile-dir=", cluster->profile.dir);
    if (*cluster->cluster_id)
        add_word(&words, "--cluster-id=", cluster->cluster_id);
    add_setting(&words, cluster, "BaseParallelApplication", "log_level", "--log-level=");
    if (profile_has_python_only(&cluster->profile, names))
        add_word(&words, "", "--BaseParallelApplication.point_out_python=false");
    if (engines) {
        add_word(&words, "--IPEngine.engine_set=", engine_set);
        if (*ids)
            add_word(&words, "--IPEngine.ids=", ids);
        add_job(&words, choice);
        add_python(&words, cluster);
    } else {
        if (cluster->engines_elsewhere)
            add_word(&words, "", "--IPController.engines_elsewhere=true");
        if (choice->class->properties & IPCL_STARTS_ELSEWHERE)
            add_word(&words, "", "--IPController.clients_elsewhere=true");
        add_setting(&words, cluster, "Cluster", "controller_ip", "--ip=");
        add_setting(&words, cluster, "Cluster", "controller_location", "--location=");
    }
    add_words(&words, launcher_list(cluster, choice, "args"));
    if (choice->class->role == cluster->extra_role)
        add_words(&words, (const char *const *)cluster->extra);
    if (words.failed) {
        cluster_free_argv(words.list);
        ipcl_error_set(error, "no memory for a command line");
        return NULL;
    }
    return words.list;
}
