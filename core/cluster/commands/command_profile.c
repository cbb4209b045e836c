/* ipcluster profile: makes profiles with their settings, lists them, and says where one is. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/settings/cluster.h"
#include "cluster/commands/commands.h"
#include "cluster/commands/convert.h"
#include "config/nearest.h"

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-profile",
    .usage = "ipcluster profile create NAME [settings] | list | locate [NAME] | convert [NAME | "
             "FILE...]",
    .description =
        "A profile is a folder with the settings of a kind of cluster: ipcluster_config.json, "
        "ipcontroller_config.json and ipengine_config.json, each {\"Class\": {\"trait\": "
        "value}}. create makes it, and writes the settings of its command line into "
        "ipcluster_config.json. list shows all profiles. locate shows a profile's folder. "
        "convert reads the configuration files of ipyparallel and of earlier versions of "
        "IPython (ipcluster_config.py, ipcontroller_config.py, ipengine_config.py) and writes "
        "JSON beside them. It lists what it could not convert, and why. Such a file is a Python "
        "program: convert runs it, with all the rights of whoever calls it.",
    .exit_status = "0  It is done.\n1  It failed; a sentence on standard error says why.\n"
                   "7  convert could not convert all settings; it has listed them.\n",
    .examples = "ipcluster profile create mpi --elauncher=MPIExecEngineSetLauncher\n"
                "ipcluster start --profile=mpi --n=4\n"
                "ipcluster profile list\n"
                "ipcluster profile locate mpi\n"
                "ipcluster profile convert mpi\n"
                "ipcluster profile convert --force ~/.ipython/profile_mpi/ipcontroller_config.py",
    .words = "create,list,locate,convert",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"force", IPCL_BOOL, "false", "force", "true", "Let convert replace existing files."},
};
static const struct ipcl_option_table table = {"IPClusterProfile", options,
                                               sizeof(options) / sizeof(*options)};

/* Writes one of the profile's files. Returns 0 or -1 with `error` set. */
static int write_config(const struct profile *profile, const char *program_name, const char *text,
                        struct ipcl_error *error)
{
    char path[PATH_BYTES];
    if (path_format(path, error, "%s/%s_config.json", profile->dir, program_name) < 0)
        return -1;
    if (path_exists(path))
        return ipcl_error_set(error, "%s exists already: edit it, or remove it first", path);
    return path_write_file(path, text, strlen(text), 0600, error);
}

static int create(struct cluster *cluster, const char *name, struct ipcl_error *error)
{
    const struct settings *settings = cluster->settings;
    const char *dir = settings_string(settings, "BaseParallelApplication", "profile_dir");
    const char *parent = settings_string(settings, "BaseParallelApplication", "ipython_dir");
    char names[PROFILE_NAMES_BYTES];
    if (!name && !*dir)
        return ipcl_error_set(error, "name the profile: ipcluster profile create NAME");
    /* The profile that the settings are for is not one of them. */
    char *text = settings_to_json(settings, profile_finders, error);
    if (!text || profile_create(parent, name, dir, &cluster->profile, error) < 0) {
        free(text);
        return -1;
    }
    bool python = profile_has_python_only(&cluster->profile, names);
    int outcome = write_config(&cluster->profile, "ipcluster", text, error);
    free(text);
    if (outcome == 0)
        outcome =
            write_config(&cluster->profile, "ipcontroller",
                         "{\"about\": \"ipcontroller --help-all lists its settings\"}\n", error);
    if (outcome == 0)
        outcome = write_config(&cluster->profile, "ipengine",
                               "{\"about\": \"ipengine --help-all lists its settings\"}\n", error);
    if (outcome == 0)
        printf("The profile %s, with its settings in ipcluster_config.json, "
               "ipcontroller_config.json and ipengine_config.json\n",
               cluster->profile.dir);
    if (outcome == 0 && python)
        printf("It also has %s, ipyparallel's files. They are Python and are not read: ipcluster "
               "profile convert --force %s%s puts their settings into these files\n",
               names, *dir ? "--profile-dir=" : "", *dir ? dir : name);
    return outcome;
}

static int is_profile(const struct dirent *entry)
{
    return strncmp(entry->d_name, "profile_", 8) == 0;
}

static int list(struct cluster *cluster, const char *name, struct ipcl_error *error)
{
    char parent[PATH_BYTES];
    struct dirent **entries;
    const char *given =
        settings_string(cluster->settings, "BaseParallelApplication", "ipython_dir");
    (void)name;
    if (profile_ipython_dir(given, parent, error) < 0)
        return -1;
    int count = scandir(parent, &entries, is_profile, alphasort);
    printf("Profiles in %s:\n", parent);
    for (int i = 0; i < count; i++) {
        printf("  %s\n", entries[i]->d_name + 8);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return 0;
}

static int locate_profile(struct cluster *cluster, const char *name, struct ipcl_error *error)
{
    const struct settings *settings = cluster->settings;
    return profile_find(settings_string(settings, "BaseParallelApplication", "ipython_dir"),
                        name ? name
                             : settings_string(settings, "BaseParallelApplication", "profile"),
                        settings_string(settings, "BaseParallelApplication", "profile_dir"),
                        &cluster->profile, error);
}

static int locate(struct cluster *cluster, const char *name, struct ipcl_error *error)
{
    if (locate_profile(cluster, name, error) < 0)
        return -1;
    printf("%s\n", cluster->profile.dir);
    return 0;
}

/* Words that name files are files; otherwise one names a profile. */
static enum convert_outcome convert(struct cluster *cluster, struct ipcl_error *error)
{
    const struct settings *settings = cluster->settings;
    bool force = settings_bool(settings, "IPClusterProfile", "force");
    const char *name = cluster->word_count > 1 ? cluster->words[1] : NULL;
    enum convert_outcome whole = CONVERT_WHOLE;
    if (!name || (cluster->word_count == 2 && !strchr(name, '.') && !strchr(name, '/'))) {
        if (locate_profile(cluster, name, error) < 0)
            return CONVERT_FAILED;
        return convert_profile(cluster, &cluster->profile, force, error);
    }
    for (int i = 1; i < cluster->word_count; i++) {
        enum convert_outcome outcome = convert_file(cluster, cluster->words[i], force, error);
        if (outcome == CONVERT_FAILED)
            return CONVERT_FAILED;
        if (outcome == CONVERT_PART)
            whole = CONVERT_PART;
    }
    return whole;
}

static const struct {
    const char *name;
    int (*run)(struct cluster *cluster, const char *name, struct ipcl_error *error);
} actions[] = {{"create", create}, {"list", list}, {"locate", locate}};
#define ACTION_COUNT (sizeof(actions) / sizeof(*actions))

static int act(struct cluster *cluster, struct ipcl_error *error)
{
    struct nearest nearest;
    if (cluster->word_count == 0)
        return ipcl_error_set(
            error, "say what to do: create NAME, list, locate [NAME] or convert (ipcluster "
                   "profile --help)");
    if (cluster->word_count > 2)
        return ipcl_error_set(error, "'%s' is one argument too many: name one profile at a time",
                              cluster->words[2]);
    nearest_begin(&nearest, cluster->words[0]);
    nearest_offer(&nearest, "convert");
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(actions[i].name, cluster->words[0]) == 0)
            return actions[i].run(cluster, cluster->words[1], error);
        nearest_offer(&nearest, actions[i].name);
    }
    return ipcl_error_set(error,
                          "profile has no '%s'; the nearest is %s (ipcluster profile --help)",
                          cluster->words[0], nearest.best);
}

static int run(struct cluster *cluster, struct ipcl_error *error)
{
    if (cluster->word_count == 0 || strcmp(cluster->words[0], "convert"))
        return act(cluster, error) == 0 ? EXIT_FINE : EXIT_WRONG;
    enum convert_outcome outcome = convert(cluster, error);
    return outcome == CONVERT_FAILED ? EXIT_WRONG
           : outcome == CONVERT_PART ? EXIT_NOT_ALL
                                     : EXIT_FINE;
}

const struct cluster_command command_profile = {
    .name = "profile",
    .summary = "make, list, find and convert profiles",
    .program = &program,
    .table = &table,
    .starts = true,
    .need = NEED_NO_PROFILE,
    .run = run,
};
