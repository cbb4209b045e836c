/* Profile folders: $IPYTHONDIR/profile_NAME with security/, log/ and pid/, where IPython keeps them
 * (default ~/.ipython). */
#ifndef CONFIG_PROFILE_H
#define CONFIG_PROFILE_H

#include <stdbool.h>

#include <ipcluster/error.h>
#include <ipcluster/option.h>

#include "base/path.h"
#include "config/settings.h"

/* The settings that every program has: profile, profile-dir, ipython-dir, cluster-id, log-level,
 * log-to-file, log-file, config, work-dir (class "BaseParallelApplication"; a program names it in
 * settings_program.classes behind its own). */
extern const struct ipcl_option_table profile_options;
/* Adds them, with their flags (--debug, --quiet), and what ipyparallel's programs take that has no
 * effect here. Returns 0 or -1 with `error` set. */
int profile_add_options(struct settings *settings, struct ipcl_error *error);
/* Adds what controller and engine have in common: --clean-logs, and --init for their own setting
 * `auto_create`, which must be there. Returns 0 or -1 with `error` set. */
int profile_add_process_options(struct settings *settings, struct ipcl_error *error);
/* Writes the settings that were given, if --show-config asks for them. Returns whether it did: the
 * program is done then. */
bool profile_shows_settings(const struct settings *settings, FILE *stream);

/* The settings among these that choose the profile, and so cannot be in its file: "Class.trait",
 * NULL-terminated. */
extern const char *const profile_finders[];

struct profile {
    char dir[PATH_BYTES];      /* absolute */
    char security[PATH_BYTES]; /* dir/security */
    char log[PATH_BYTES];      /* dir/log */
    char pid[PATH_BYTES];      /* dir/pid */
};

/* IPython's folder: `override` where not NULL or empty, else $IPYTHONDIR, else ~/.ipython. Returns
 * 0 or -1 with `error` set. */
int profile_ipython_dir(const char *override, char path[PATH_BYTES], struct ipcl_error *error);
/* Finds a profile by name (NULL: "default") or by folder. Returns 0, or -1 with `error` set, which
 * lists the profiles there are. Creates nothing. */
int profile_find(const char *ipython_dir, const char *name, const char *dir,
                 struct profile *profile, struct ipcl_error *error);
/* Makes the folders that are missing, security/ private to the owner. Returns 0 or -1 with `error`
 * set. */
int profile_create(const char *ipython_dir, const char *name, const char *dir,
                   struct profile *profile, struct ipcl_error *error);
/* The same, with the settings `profile_dir`, `profile` and `ipython_dir` that are known so far;
 * `create` makes what is missing, and "default" is always made. For a program that needs the folder
 * before it can load the files (to find plugins). */
int profile_of_settings(const struct settings *settings, bool create, struct profile *profile,
                        struct ipcl_error *error);
/* The file that the controller of a cluster id holds locked for as long as it lives, with its
 * process and host. Returns 0 or -1 with `error` set. */
int profile_pid_file(const char *profile_dir, const char *cluster_id, char path[PATH_BYTES],
                     struct ipcl_error *error);
/* Whether the profile has configuration files of ipyparallel's and none of ours; then their
 * names. */
#define PROFILE_NAMES_BYTES 80
bool profile_has_python_only(const struct profile *profile, char names[PROFILE_NAMES_BYTES]);
/* Finds the profile as profile_of_settings(), and loads the files and the environment. Returns 0 or
 * -1 with `error` set. settings_finish() is left to the caller, once all tables are there. */
int profile_read(struct settings *settings, bool create, struct profile *profile,
                 struct ipcl_error *error);
/* Opens the log of `program`, and goes to the work folder. Returns 0 or -1 with `error` set. */
int profile_enter(struct settings *settings, const char *program, const struct profile *profile,
                  struct ipcl_error *error);
/* Begins a trace if the settings or the environment ask for one; later ones are in the profile's
 * log folder. For programs that have profile_add_process_options(). Returns 0 or -1 with `error`
 * set. */
int profile_start_trace(const struct settings *settings, const char *program,
                        const struct profile *profile, struct ipcl_error *error);
/* What a program's main does after settings_parse(): profile_read() and profile_enter(). */
int profile_open(struct settings *settings, const char *program, bool create,
                 struct profile *profile, struct ipcl_error *error);

#endif
