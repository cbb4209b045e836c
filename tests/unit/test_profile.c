/* Profiles: where they are, what is made, and what a program finds in one. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/profile.h"
#include "unit.h"

static const struct settings_program program = {
    .name = "ipcontroller",
    .usage = "ipcontroller",
    .description = "Test.",
    .classes = "IPController,BaseParallelApplication",
};

static char home[PATH_BYTES];
static struct ipcl_error error;
static struct profile profile;

static void make_home(void)
{
    unit_make_folder(home);
    setenv("HOME", home, 1);
    unsetenv("IPYTHONDIR");
}

static void remove_home(void)
{
    unit_remove_folder(home);
}

TestSuite(profile, .init = make_home, .fini = remove_home);

static mode_t mode_of(const char *path)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0, "%s is not there", path);
    return status.st_mode & 0777;
}

static bool ends_with(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && !strcmp(text + strlen(text) - strlen(end), end);
}

Test(profile, lies_where_ipython_keeps_it)
{
    char path[PATH_BYTES], expected[PATH_BYTES];
    cr_assert_eq(path_format(expected, &error, "%s/.ipython", home), 0);
    cr_assert_eq(profile_ipython_dir(NULL, path, &error), 0);
    cr_expect_str_eq(path, expected);
    setenv("IPYTHONDIR", "/elsewhere", 1);
    cr_assert_eq(profile_ipython_dir("", path, &error), 0);
    cr_expect_str_eq(path, "/elsewhere");
    cr_assert_eq(profile_ipython_dir("/given", path, &error), 0);
    cr_expect_str_eq(path, "/given");
}

Test(profile, is_made_with_a_private_security_folder)
{
    cr_assert_eq(profile_create(NULL, "mpi", NULL, &profile, &error), 0, "%s", error.text);
    cr_expect(ends_with(profile.dir, "/.ipython/profile_mpi"), "%s", profile.dir);
    cr_expect_eq(mode_of(profile.security), 0700);
    cr_expect_eq(mode_of(profile.pid) & 077, 0);
    mode_of(profile.log);
    cr_assert_eq(chmod(profile.security, 0755), 0);
    cr_assert_eq(profile_create(NULL, "mpi", NULL, &profile, &error), 0, "%s", error.text);
    cr_expect_eq(mode_of(profile.security), 0700, "an open folder is closed");
}

Test(profile, that_is_missing_is_answered_with_those_there_are)
{
    cr_assert_eq(profile_create(NULL, "mpi", NULL, &profile, &error), 0, "%s", error.text);
    cr_expect_eq(profile_find(NULL, "mpi", NULL, &profile, &error), 0);
    cr_expect_eq(profile_find(NULL, "slurm", NULL, &profile, &error), -1);
    cr_expect(strstr(error.text, "slurm") && strstr(error.text, "there: mpi") &&
                  strstr(error.text, "ipcluster profile create slurm"),
              "%s", error.text);
    cr_expect_eq(profile_find(NULL, NULL, "/nonexistent/x", &profile, &error), -1);
    cr_expect(strstr(error.text, "/nonexistent/x"), "%s", error.text);
}

Test(profile, has_a_name_and_no_path)
{
    cr_expect_eq(profile_create(NULL, "../x", NULL, &profile, &error), -1);
    cr_expect_eq(profile_create(NULL, "a/b", NULL, &profile, &error), -1);
    cr_expect(strstr(error.text, "--profile-dir"), "%s", error.text);
}

/* Opens a profile as a program does that was started with one option. */
static struct settings *open_with(const char *option, int expected)
{
    char *argv[] = {(char *)"ipcontroller", (char *)option, NULL}, *words[2];
    struct settings *settings = settings_create(&program, &error);
    cr_assert(settings != NULL);
    cr_assert_eq(profile_add_options(settings, &error), 0, "%s", error.text);
    cr_assert_eq(settings_parse(settings, option ? 2 : 1, argv, words, &error), 0, "%s",
                 error.text);
    cr_expect_eq(profile_open(settings, "ipcontroller", false, &profile, &error), expected, "%s",
                 error.text);
    return settings;
}

Test(profile, default_is_always_made)
{
    struct settings *settings = open_with(NULL, 0);
    cr_expect(ends_with(profile.dir, "/profile_default"), "%s", profile.dir);
    cr_expect_eq(mode_of(profile.security), 0700);
    settings_destroy(settings);
}

Test(profile, others_are_not_made_unasked)
{
    settings_destroy(open_with("--profile=mpi", -1));
    cr_expect(strstr(error.text, "ipcluster profile create mpi"), "%s", error.text);
    cr_expect_not(path_exists(profile.dir));
}

Test(profile, its_file_is_read_under_the_programs_own_class)
{
    char path[PATH_BYTES];
    cr_assert_eq(profile_create(NULL, "mpi", NULL, &profile, &error), 0, "%s", error.text);
    cr_assert_eq(path_format(path, &error, "%s/ipcontroller_config.json", profile.dir), 0);
    unit_write(path, "{\"IPController\": {\"cluster_id\": \"night\", \"log_level\": 40}}");
    struct settings *settings = open_with("--profile=mpi", 0);
    cr_expect_str_eq(settings_string(settings, "BaseParallelApplication", "cluster_id"), "night");
    cr_expect_str_eq(settings_string(settings, "IPController", "log_level"), "40");
    settings_destroy(settings);
}

Test(profile, logs_into_its_log_folder)
{
    struct settings *settings = open_with("--log-to-file", 0);
    char path[PATH_BYTES];
    cr_assert_eq(path_format(path, &error, "%s/ipcontroller-%d.log", profile.log, (int)getpid()),
                 0);
    cr_expect(path_exists(path), "%s", path);
    settings_destroy(settings);
}

Test(profile, a_wrong_log_level_or_work_folder_says_so)
{
    settings_destroy(open_with("--log-level=60", -1));
    cr_expect(strstr(error.text, "60"), "%s", error.text);
    settings_destroy(open_with("--work-dir=/nonexistent", -1));
    cr_expect(strstr(error.text, "/nonexistent"), "%s", error.text);
}

Test(profile, the_work_folder_is_entered)
{
    char option[PATH_BYTES], here[PATH_BYTES];
    cr_assert_eq(path_format(option, &error, "--work-dir=%s", home), 0);
    settings_destroy(open_with(option, 0));
    cr_assert(getcwd(here, sizeof(here)) != NULL);
    cr_expect_str_eq(here, home);
}
