/* Profile folders: where they are, making them, and opening one for a program. */
#include "config/profile.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "base/trust.h"
#include "config/accepted.h"

#define BASE_CLASS        "BaseParallelApplication"
#define FOLDER_PREFIX     "profile_"
#define TRACE_BYTES_LEAST 65536
#define NAME_BYTES_MAX    128 /* leaves room for what programs add to it in names of files */

static const struct ipcl_option options[] = {
    {"profile", IPCL_STRING, "default", "profile", NULL,
     "The profile's name. Its folder is profile_NAME in IPython's folder; `ipcluster profile "
     "create NAME` makes it."},
    {"profile_dir", IPCL_STRING, "", "profile-dir", NULL,
     "The profile's folder, in place of a name."},
    {"ipython_dir", IPCL_STRING, "", "ipython-dir", NULL,
     "IPython's folder, which holds the profiles. Default: $IPYTHONDIR, or ~/.ipython."},
    {"cluster_id", IPCL_STRING, "", "cluster-id", NULL,
     "A name that tells clusters of one profile apart. It becomes part of the names of "
     "connection files."},
    {"log_level", IPCL_STRING, "20", "log-level", NULL,
     "How much to log: ERROR, WARN, INFO, DEBUG, or Python's numbers (40, 30, 20, 10). With "
     "DEBUG, controller and engines log each step of each request with its msg_id, at most a "
     "hundred a second for each thread. They never log the contents of requests."},
    {"log_to_file", IPCL_BOOL, "false", "log-to-file", "true",
     "Log to PROGRAM-PID.log in the profile's log folder in place of standard error."},
    {"log_file", IPCL_STRING, "", "log-file", NULL, "Log to this file; implies log_to_file."},
    {"extra_config_file", IPCL_STRING, "", "config", NULL,
     "A further file of settings, JSON, which is read after the profile's."},
    {"show_config", IPCL_BOOL, "false", NULL, "true",
     "Write the given settings as JSON, and do nothing else."},
    {"show_config_json", IPCL_RENAMED, BASE_CLASS ".show_config", NULL, NULL, NULL},
    {"point_out_python", IPCL_BOOL, "true", NULL, NULL,
     "Warn if the profile has ipyparallel's configuration files, which are Python, but none of "
     "these programs, which are JSON."},
    {"work_dir", IPCL_STRING, "", "work-dir", NULL,
     "The folder to work in. Default: the folder in which the program was started."},
};
const struct ipcl_option_table profile_options = {BASE_CLASS, options,
                                                  sizeof(options) / sizeof(options[0])};

static const struct settings_choice choices[] = {
    {BASE_CLASS, "log_level", "DEBUG,INFO,WARN,WARNING,ERROR,CRITICAL"}};

const char *const profile_finders[] = {BASE_CLASS ".profile", BASE_CLASS ".profile_dir",
                                       BASE_CLASS ".ipython_dir", NULL};

static const struct ipcl_option process_options[] = {
    {"clean_logs", IPCL_BOOL, "false", "clean-logs", "true",
     "Remove the log files of earlier processes of this program from the profile's log folder."},
    {"trace", IPCL_STRING, "", "trace", NULL,
     "Write a trace of what happens to each message, step by step, to this file, or to a new "
     "file in this folder. Perfetto (ui.perfetto.dev) shows it. `ipcluster trace merge` makes "
     "one file of several."},
    {"trace_bytes_max", IPCL_INT, "268435456", NULL, NULL,
     "How many bytes a trace may have. The newest are kept, in FILE and FILE.1."},
};
static const struct ipcl_option_table process_table = {
    BASE_CLASS, process_options, sizeof(process_options) / sizeof(*process_options)};

/* ipyparallel's launchers set these. */
static const struct settings_variable variables[] = {
    {"IPP_CLUSTER_ID", BASE_CLASS, "cluster_id"},
    {"IPP_PROFILE_DIR", BASE_CLASS, "profile_dir"},
};

static const struct settings_flag flags[] = {
    {"debug", BASE_CLASS, "log_level", "DEBUG", "Log everything: --log-level=DEBUG."},
    {"quiet", BASE_CLASS, "log_level", "ERROR", "Log errors only: --log-level=ERROR."},
    {"show-config", BASE_CLASS, "show_config", "true",
     "Write the given settings as JSON, and do nothing else."},
    {"show-config-json", BASE_CLASS, "show_config", "true", "The same."},
};
static const struct settings_flag process_flags[] = {
    {"init", BASE_CLASS, "auto_create", "true", "Make the profile if it does not exist."},
};

static int is_profile(const struct dirent *entry)
{
    return !strncmp(entry->d_name, FOLDER_PREFIX, strlen(FOLDER_PREFIX));
}

static void offer_profiles(const struct settings *settings, const void *context, FILE *stream)
{
    char parent[PATH_BYTES];
    struct dirent **entries;
    (void)context;
    if (profile_ipython_dir(settings_string(settings, BASE_CLASS, "ipython_dir"), parent, NULL))
        return;
    int count = scandir(parent, &entries, is_profile, alphasort);
    for (int i = 0; i < count; i++) {
        settings_offer(settings, stream, entries[i]->d_name + strlen(FOLDER_PREFIX), NULL);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static const struct settings_offer offers[] = {{BASE_CLASS, "profile", offer_profiles}};

int profile_add_options(struct settings *settings, struct ipcl_error *error)
{
    if (settings_add_choices(settings, choices, 1, error) ||
        settings_add_offers(settings, offers, 1, NULL, error) ||
        settings_add(settings, &profile_options, error) || accepted_add(settings, error) ||
        settings_add_variables(settings, variables, sizeof(variables) / sizeof(*variables), error))
        return -1;
    return settings_add_flags(settings, flags, sizeof(flags) / sizeof(flags[0]), error);
}

int profile_add_process_options(struct settings *settings, struct ipcl_error *error)
{
    if (settings_add(settings, &process_table, error))
        return -1;
    return settings_add_flags(settings, process_flags, 1, error);
}

int profile_ipython_dir(const char *override, char path[PATH_BYTES], struct ipcl_error *error)
{
    const char *environment = getenv("IPYTHONDIR");
    if (override && *override)
        return path_expand(override, path, error);
    if (environment && *environment)
        return path_expand(environment, path, error);
    return path_expand("~/.ipython", path, error);
}

/* Whether a text can be a part of files' names, and of a line that is shown. */
static bool is_name(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at == '/' || iscntrl((unsigned char)*at))
            return false;
    return strlen(text) <= NAME_BYTES_MAX;
}

static int check_cluster_id(const struct settings *settings, struct ipcl_error *error)
{
    const char *id = settings_string(settings, BASE_CLASS, "cluster_id");
    return is_name(id)
               ? 0
               : ipcl_error_set(error,
                                "the cluster id '%.200s' cannot be part of a file name: give one "
                                "of at most %d bytes without / and control characters",
                                id, NAME_BYTES_MAX);
}

/* Fills `profile` with the paths of a profile, which need not exist. */
static int set_paths(const char *ipython_dir, const char *name, const char *dir,
                     struct profile *profile, struct ipcl_error *error)
{
    char parent[PATH_BYTES];
    if (!name || !*name)
        name = "default";
    if (dir && *dir) {
        if (path_expand(dir, profile->dir, error))
            return -1;
    } else {
        if (*name == '.' || !is_name(name))
            return ipcl_error_set(
                error,
                "'%.200s' cannot be a profile's name: a name has at most %d bytes, no / and no "
                "control characters. Use --profile-dir to name a folder",
                name, NAME_BYTES_MAX);
        if (profile_ipython_dir(ipython_dir, parent, error) ||
            path_format(profile->dir, error, "%s/" FOLDER_PREFIX "%s", parent, name))
            return -1;
    }
    if (path_format(profile->security, error, "%s/security", profile->dir) ||
        path_format(profile->log, error, "%s/log", profile->dir) ||
        path_format(profile->pid, error, "%s/pid", profile->dir))
        return -1;
    return 0;
}

static int refuse_missing(const struct profile *profile, struct ipcl_error *error)
{
    char parent[PATH_BYTES], names[IPCL_ERROR_BYTES / 2] = "";
    struct dirent **entries;
    size_t length = 0;
    snprintf(parent, sizeof(parent), "%s", profile->dir);
    char *slash = strrchr(parent, '/');
    *slash = '\0';
    const char *name = slash + 1;
    if (strncmp(name, FOLDER_PREFIX, strlen(FOLDER_PREFIX)))
        return ipcl_error_set(
            error,
            "there is no profile folder %s; `ipcluster profile create --profile-dir=%s` "
            "makes it",
            profile->dir, profile->dir);
    name += strlen(FOLDER_PREFIX);
    int count = scandir(parent, &entries, is_profile, alphasort);
    for (int i = 0; i < count; i++) {
        if (length < sizeof(names))
            length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
                                       i ? ", " : "", entries[i]->d_name + strlen(FOLDER_PREFIX));
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (!strcmp(name, "default"))
        return ipcl_error_set(error,
                              "the default profile has no cluster, and does not exist yet (there "
                              "is no %s): start one with ipcluster start",
                              profile->dir);
    return ipcl_error_set(
        error, "there is no profile '%s' in %s (there: %s); `ipcluster profile create %s` makes it",
        name, parent, *names ? names : "none", name);
}

int profile_find(const char *ipython_dir, const char *name, const char *dir,
                 struct profile *profile, struct ipcl_error *error)
{
    if (set_paths(ipython_dir, name, dir, profile, error))
        return -1;
    int fd = trust_open(profile->dir, O_RDONLY | O_DIRECTORY, 0, NULL, error);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? refuse_missing(profile, error) : -1;
    close(fd);
    return 0;
}

int profile_create(const char *ipython_dir, const char *name, const char *dir,
                   struct profile *profile, struct ipcl_error *error)
{
    if (set_paths(ipython_dir, name, dir, profile, error) ||
        path_make_dir(profile->dir, 0755, error) ||
        path_make_private_dir(profile->security, error) ||
        path_make_dir(profile->log, 0755, error) || path_make_dir(profile->pid, 0700, error))
        return -1;
    return 0;
}

int profile_of_settings(const struct settings *settings, bool create, struct profile *profile,
                        struct ipcl_error *error)
{
    const char *ipython_dir = settings_string(settings, BASE_CLASS, "ipython_dir");
    const char *name = settings_string(settings, BASE_CLASS, "profile");
    const char *dir = settings_string(settings, BASE_CLASS, "profile_dir");
    bool make = create || (!*dir && !strcmp(name, "default"));
    if (!make && profile_find(ipython_dir, name, dir, profile, error))
        return -1;
    /* A profile that exists may lack folders, too: IPython makes them one by one. */
    return profile_create(ipython_dir, name, dir, profile, error);
}

/* Whether a file of the log folder is PROGRAM-PID.log of an earlier process. */
static bool is_log_of(const char *name, const char *program)
{
    size_t length = strlen(program);
    if (strncmp(name, program, length) || name[length] != '-')
        return false;
    name += length + 1;
    size_t digits = strspn(name, "0123456789");
    return digits && !strcmp(name + digits, ".log");
}

/* Removes the logs of earlier processes, as far as no other process has done so. */
static void clean_logs(const struct profile *profile, const char *program)
{
    char path[PATH_BYTES];
    DIR *dir = opendir(profile->log);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (is_log_of(entry->d_name, program) &&
            !path_format(path, NULL, "%s/%s", profile->log, entry->d_name))
            unlink(path);
    if (dir)
        closedir(dir);
}

int profile_start_trace(const struct settings *settings, const char *program,
                        const struct profile *profile, struct ipcl_error *error)
{
    const char *path = settings_string(settings, BASE_CLASS, "trace");
    int64_t bytes_max = settings_int(settings, BASE_CLASS, "trace_bytes_max");
    if (bytes_max < TRACE_BYTES_LEAST)
        return ipcl_error_set(error, BASE_CLASS ".trace_bytes_max is a number of bytes, %d or more",
                              TRACE_BYTES_LEAST);
    if (trace_offer(program, profile->log, bytes_max, error))
        return -1;
    return *path ? trace_start(program, path, bytes_max, error)
                 : trace_start_by_environment(program, bytes_max, error);
}

static int open_log(const struct settings *settings, const char *program,
                    const struct profile *profile, struct ipcl_error *error)
{
    char path[PATH_BYTES] = "";
    const char *file = settings_string(settings, BASE_CLASS, "log_file");
    if (settings_has(settings, BASE_CLASS, "clean_logs", IPCL_BOOL) &&
        strcmp(program, "ipcluster") && settings_bool(settings, BASE_CLASS, "clean_logs"))
        clean_logs(profile, program);
    if (*file && path_expand(file, path, error))
        return -1;
    if (!*file && settings_bool(settings, BASE_CLASS, "log_to_file") &&
        path_format(path, error, "%s/%s-%d.log", profile->log, program, (int)getpid()))
        return -1;
    if (log_open(program, *path ? path : NULL, error))
        return -1;
    if (log_set_level_name(settings_string(settings, BASE_CLASS, "log_level"), error))
        return -1;
    trace_to_log(log_enabled(IPCL_LOG_DEBUG));
    return 0;
}

/* Reads another file of settings, which a setting names. */
static int load_extra(struct settings *settings, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    const char *file = settings_string(settings, BASE_CLASS, "extra_config_file");
    if (!*file)
        return 0;
    if (path_expand(file, path, error))
        return -1;
    const char *suffix = strrchr(path, '.');
    if (suffix && !strcmp(suffix, ".py"))
        return ipcl_error_set(
            error,
            "%.900s is Python, but settings are JSON. Convert it: ipcluster profile "
            "convert %.900s",
            path, path);
    if (!path_exists(path))
        return ipcl_error_set(error, "the file of settings %s does not exist", path);
    return settings_load_file(settings, path, NULL, error);
}

int profile_pid_file(const char *profile_dir, const char *cluster_id, char path[PATH_BYTES],
                     struct ipcl_error *error)
{
    return path_format(path, error, "%s/pid/ipcontroller%s%s.pid", profile_dir,
                       *cluster_id ? "-" : "", cluster_id);
}

/* Adds a name to a list in words. */
static void add_name(char names[PROFILE_NAMES_BYTES], const char *each)
{
    size_t length = strlen(names);
    snprintf(names + length, PROFILE_NAMES_BYTES - length, "%s%s", length ? ", " : "", each);
}

bool profile_has_python_only(const struct profile *profile, char names[PROFILE_NAMES_BYTES])
{
    static const char *const programs[] = {"ipcluster", "ipcontroller", "ipengine"};
    char path[PATH_BYTES];
    *names = '\0';
    for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
        if (path_format(path, NULL, "%s/%s_config.json", profile->dir, programs[i]) ||
            path_exists(path))
            return false;
        strcpy(strrchr(path, '.'), ".py");
        if (path_exists(path))
            add_name(names, strrchr(path, '/') + 1);
    }
    return *names;
}

static void point_out_python(const struct settings *settings, const struct profile *profile)
{
    char names[PROFILE_NAMES_BYTES];
    bool by_dir = *settings_string(settings, BASE_CLASS, "profile_dir");
    if (settings_bool(settings, BASE_CLASS, "point_out_python") &&
        profile_has_python_only(profile, names))
        log_warn("%s has %s, ipyparallel's files. They are Python and are not read: ipcluster "
                 "profile convert %s%s makes JSON of them",
                 profile->dir, names, by_dir ? "--profile-dir=" : "",
                 by_dir ? profile->dir : settings_string(settings, BASE_CLASS, "profile"));
}

bool profile_shows_settings(const struct settings *settings, FILE *stream)
{
    struct ipcl_error error;
    const char *const all[] = {BASE_CLASS ".show_config", NULL};
    if (!settings_bool(settings, BASE_CLASS, "show_config"))
        return false;
    char *text = settings_to_json(settings, all, &error);
    fprintf(stream, "%s\n", text ? text : error.text);
    free(text);
    return true;
}

int profile_read(struct settings *settings, bool create, struct profile *profile,
                 struct ipcl_error *error)
{
    return settings_load_environment(settings, error) ||
                   profile_of_settings(settings, create, profile, error) ||
                   settings_load(settings, profile->dir, NULL, error) ||
                   load_extra(settings, error) || check_cluster_id(settings, error)
               ? -1
               : 0;
}

int profile_open(struct settings *settings, const char *program, bool create,
                 struct profile *profile, struct ipcl_error *error)
{
    return profile_read(settings, create, profile, error) ||
                   profile_enter(settings, program, profile, error)
               ? -1
               : 0;
}

int profile_enter(struct settings *settings, const char *program, const struct profile *profile,
                  struct ipcl_error *error)
{
    char work_dir[PATH_BYTES];
    if (open_log(settings, program, profile, error))
        return -1;
    point_out_python(settings, profile);
    const char *given = settings_string(settings, BASE_CLASS, "work_dir");
    if (!*given)
        return 0;
    if (path_expand(given, work_dir, error))
        return -1;
    if (chdir(work_dir))
        return ipcl_error_set(error, "the work folder %s cannot be entered: %s", work_dir,
                              strerror(errno));
    return 0;
}
