/* Trust: it ends where others can write. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/trust.h"
#include "unit.h"

#define ANOTHER 12345 /* a user */

static char dir[PATH_BYTES], file[PATH_BYTES], other[PATH_BYTES];
static struct ipcl_error error;

static void open_dir(void)
{
    unit_make_folder(dir);
    cr_assert(realpath(dir, other));
    strcpy(dir, other);
    cr_assert_eq(path_format(file, NULL, "%s/file", dir), 0);
    cr_assert_eq(path_format(other, NULL, "%s/other", dir), 0);
    unit_write(file, "text");
}

static void close_dir(void)
{
    unit_remove_folder(dir);
}

TestSuite(trust, .init = open_dir, .fini = close_dir);

static bool trusts(const char *path)
{
    int fd = trust_open(path, O_RDONLY, 0, NULL, &error);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Whether the file is refused with a reason that names this. */
static bool refused(const char *path, const char *reason)
{
    errno = 0;
    return !trusts(path) && errno == EPERM && strstr(error.text, reason);
}

static void need_root(void)
{
    if (geteuid())
        cr_skip("only root can give a file away");
}

Test(trust, opens_what_only_root_and_the_user_can_write)
{
    char text[8] = "";
    int fd = trust_open(file, O_RDONLY, 0, NULL, &error);
    cr_assert_geq(fd, 0, "%s", error.text);
    cr_assert_eq(read(fd, text, sizeof(text)), 4);
    cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    cr_assert(trusts("/"));
    cr_assert(trusts("/dev/null"), "%s", error.text);
}

Test(trust, opens_what_the_program_has_open_already_as_dev_stdout_does)
{
    char path[PATH_BYTES];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
    cr_assert_eq(symlink(path, other), 0);
    int fd = trust_open(other, O_WRONLY | O_CREAT | O_APPEND, 0600, NULL, &error);
    cr_assert_geq(fd, 0, "%s", error.text);
    cr_assert_eq(write(fd, "text", 4), 4);
    close(fd);
}

Test(trust, says_what_is_not_there)
{
    errno = 0;
    cr_assert_not(trusts(other));
    cr_assert_eq(errno, ENOENT);
    cr_assert(strstr(error.text, other));
    strcat(file, "/below");
    cr_assert_not(trusts(file));
    cr_assert_eq(errno, ENOTDIR);
}

Test(trust, refuses_what_everybody_can_write_and_names_the_command_that_mends_it)
{
    char command[PATH_BYTES + 16];
    snprintf(command, sizeof(command), "chmod o-w %s", file);
    chmod(file, 0666);
    cr_assert(refused(file, command), "%s", error.text);
    cr_assert_eq(system(command), 0);
    cr_assert(refused(file, "chmod g-w") || !getegid());
    chmod(file, 0644);
    cr_assert(trusts(file));
    chmod(dir, 0777);
    snprintf(command, sizeof(command), "chmod o-w %s", dir);
    cr_assert(refused(file, command), "%s", error.text);
}

Test(trust, refuses_to_make_a_file_where_everybody_can_write)
{
    chmod(dir, 0777);
    cr_assert_eq(trust_open(other, O_WRONLY | O_CREAT, 0600, NULL, &error), -1);
    cr_assert_neq(access(other, F_OK), 0);
}

Test(trust, goes_through_a_folder_in_which_nobody_replaces_what_is_anothers)
{
    chmod(dir, 01777);
    cr_assert(trusts(file), "%s", error.text);
    int fd = trust_open(other, O_WRONLY | O_CREAT | O_EXCL, 0600, NULL, &error);
    cr_assert_geq(fd, 0, "%s", error.text);
    close(fd);
}

Test(trust, follows_links_of_the_users_own_and_tells_the_path_without_them)
{
    char real[PATH_BYTES], path[PATH_BYTES + 32];
    cr_assert_eq(symlink(".", other), 0);
    snprintf(path, sizeof(path), "%s//./other/./link", dir);
    cr_assert_eq(symlink("other/file", path), 0);
    int fd = trust_open(path, O_RDONLY, 0, real, &error);
    cr_assert_geq(fd, 0, "%s", error.text);
    close(fd);
    cr_assert_str_eq(real, file);
    fd = trust_open(other, O_PATH | O_DIRECTORY, 0, real, &error);
    cr_assert_geq(fd, 0, "%s", error.text);
    close(fd);
    cr_assert_str_eq(real, dir);
}

Test(trust, does_not_follow_links_in_circles)
{
    cr_assert_eq(symlink(other, other), 0);
    cr_assert_not(trusts(other));
    cr_assert_eq(errno, ELOOP);
}

Test(trust, refuses_files_folders_and_links_of_another_user)
{
    need_root();
    cr_assert_eq(symlink(file, other), 0);
    cr_assert(trusts(other), "%s", error.text);
    cr_assert_eq(lchown(other, ANOTHER, 0), 0);
    cr_assert(refused(other, "owned by user 12345"), "%s", error.text);
    cr_assert(strstr(error.text, "chown -h 0 "));
    cr_assert_eq(chown(file, ANOTHER, 0), 0);
    cr_assert(refused(file, "owned by user 12345"), "%s", error.text);
    cr_assert_eq(chown(file, 0, 0), 0);
    cr_assert_eq(chown(dir, ANOTHER, 0), 0);
    cr_assert(refused(file, dir), "%s", error.text);
}

/* The user "daemon", who has a group of that name; the folder and the file are theirs. */
static const struct passwd *give_to_daemon(void)
{
    const struct passwd *user = getpwnam("daemon");
    const struct group *group = getgrnam("daemon");
    need_root();
    if (!user || !group || user->pw_gid != group->gr_gid)
        cr_skip("there is no user and group daemon");
    chmod(dir, 0775);
    chmod(file, 0664);
    cr_assert_eq(chown(dir, user->pw_uid, user->pw_gid) | chown(file, user->pw_uid, user->pw_gid),
                 0);
    return user;
}

Test(trust, lets_the_users_own_group_write_and_no_other)
{
    const struct passwd *user = give_to_daemon();
    cr_assert_eq(seteuid(user->pw_uid), 0);
    cr_assert(trusts(file), "%s", error.text);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(chown(file, user->pw_uid, ANOTHER), 0);
    cr_assert_eq(seteuid(user->pw_uid), 0);
    cr_assert(refused(file, "can be written by its group"), "%s", error.text);
    cr_assert_eq(seteuid(0), 0);
}

Test(trust, lets_no_group_write_that_is_the_primary_group_of_another_user)
{
    const struct passwd *user = give_to_daemon();
    char command[2 * PATH_BYTES];
    snprintf(command, sizeof(command), "{ cat /etc/passwd; echo another:x:%d:%d::/:; } >%s",
             ANOTHER, (int)user->pw_gid, other);
    cr_assert_eq(system(command), 0);
    chmod(other, 0644);
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount(other, "/etc/passwd", NULL, MS_BIND, NULL))
        cr_skip("this root may mount nothing");
    cr_assert_eq(seteuid(user->pw_uid), 0);
    cr_assert(refused(file, "can be written by its group"), "%s", error.text);
    cr_assert_eq(seteuid(0), 0);
}

Test(trust, a_secret_is_the_owners_alone)
{
    chmod(file, 0600);
    int fd = open(file, O_RDONLY);
    cr_assert_eq(trust_check_secret(fd, file, &error), 0);
    chmod(file, 0640);
    cr_assert_eq(trust_check_secret(fd, file, &error), -1);
    cr_assert(strstr(error.text, "chmod 600"));
    close(fd);
}

/* Enters a user namespace as in a container that a user starts without root. Returns whether it
 * could. */
static bool enter_namespace_without_root(void)
{
    char line[32];
    int size = snprintf(line, sizeof(line), "%d %d 1", ANOTHER, ANOTHER);
    if (setresuid(ANOTHER, ANOTHER, ANOTHER) || prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER))
        return false;
    int fd = open("/proc/self/uid_map", O_WRONLY);
    bool entered = fd >= 0 && write(fd, line, (size_t)size) == size;
    close(fd);
    return entered;
}

Test(trust, takes_an_owner_unknown_to_the_namespace_for_root_except_in_a_shared_folder)
{
    enum { GOOD, NO_NAMESPACE, ROOTS_REFUSED, ANOTHERS_TRUSTED };
    int status;
    need_root();
    chmod(dir, 01777);
    cr_assert_eq(lchown(file, ANOTHER + 1, 0), 0);
    pid_t child = fork();
    if (!child)
        _exit(!enter_namespace_without_root() ? NO_NAMESPACE
              : !trusts("/etc/passwd")        ? ROOTS_REFUSED
              : trusts(file)                  ? ANOTHERS_TRUSTED
                                              : GOOD);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_NAMESPACE)
        cr_skip("users can make no namespaces here");
    cr_assert_eq(WEXITSTATUS(status), GOOD);
}
