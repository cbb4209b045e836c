/* Whom to trust. */
#include "base/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LINKS_MAX  40   /* as Linux follows */
#define NAME_BYTES 4096 /* what the system's databases say of a user or a group */

/* A way from the root to a file. */
struct walk {
    int folder;            /* the folder that it has come to; -1 before the root */
    char real[PATH_BYTES]; /* the path of that folder without links, "" for the root */
    char rest[PATH_BYTES]; /* the rest of the path */
    int links;             /* how many it has followed */
    bool shared;           /* everybody can make files in that folder */
    bool refused;          /* what it has come to is not trusted, as `error` says */
    struct ipcl_error *error;
};

static bool is_only_member(const struct group *group, const char *user)
{
    for (char **member = group->gr_mem; *member; member++)
        if (strcmp(*member, user))
            return false;
    return true;
}

/* Whether it is the primary group of another user of the host's own file. Users of a directory
 * service (LDAP) are not looked through: there may be very many, or it may not list them. */
static bool is_primary_of_another(gid_t group, uid_t user)
{
    FILE *file = fopen("/etc/passwd", "re");
    char text[NAME_BYTES];
    struct passwd other, *found;
    bool another = false;
    while (file && !another && !fgetpwent_r(file, &other, text, sizeof(text), &found))
        another = other.pw_gid == group && other.pw_uid != user;
    if (file)
        fclose(file);
    return another;
}

/* Whether a group is root's, or has no member but this user. Where each user has such a group, it
 * often has permission to write. A user whom the system does not know, as in containers, has the
 * group with the user's own number. */
static bool is_own_group(gid_t id)
{
    char user_text[NAME_BYTES], group_text[NAME_BYTES];
    struct passwd user, *found_user;
    struct group group, *found_group;
    if (!id)
        return true;
    if (getpwuid_r(geteuid(), &user, user_text, sizeof(user_text), &found_user) || !found_user)
        return id == getegid() && id == geteuid();
    return user.pw_gid == id &&
           !getgrgid_r(id, &group, group_text, sizeof(group_text), &found_group) && found_group &&
           !strcmp(group.gr_name, user.pw_name) && is_only_member(&group, user.pw_name) &&
           !is_primary_of_another(id, user.pw_uid);
}

#define NOBODY ((uid_t)-1)

static uid_t unknown_owner = NOBODY;

/* Each line of the map is the first number of a range here, the first of the same range outside,
 * and how many there are (user_namespaces(7)). */
static void find_unknown_owner(void)
{
    unsigned owner, first, count;
    FILE *file = fopen("/proc/sys/kernel/overflowuid", "re");
    bool known = !file || fscanf(file, "%u", &owner) != 1;
    if (file)
        fclose(file);
    file = known ? NULL : fopen("/proc/self/uid_map", "re");
    known = !file;
    while (file && fscanf(file, "%u %*u %u", &first, &count) == 2)
        known = known || (owner >= first && owner - first < count);
    if (file)
        fclose(file);
    if (!known)
        unknown_owner = owner;
}

/* A container that a user starts without root's help knows that user only, and shows all other
 * users of the host, root among them, as one. What that one owns counts as root's: otherwise no
 * home could be reached. But where everybody can make files, it may be anybody's. */
static bool is_roots(const struct walk *walk, uid_t owner)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!owner)
        return true;
    pthread_once(&once, find_unknown_owner);
    return owner == unknown_owner && owner != NOBODY && !walk->shared;
}

static int refuse_owner(const char *kind, uid_t owner, const char *path, struct ipcl_error *error)
{
    return ipcl_error_set(error,
                          "the %s %s is owned by user %u, neither root nor you, and is not "
                          "used: use one of your own, or, if this is intended, chown -h %u %s",
                          kind, path, (unsigned)owner, (unsigned)geteuid(), path);
}

static int refuse_writers(const char *kind, const char *writers, char class, const char *path,
                          struct ipcl_error *error)
{
    return ipcl_error_set(error, "the %s %s can be written by %s, and is not used: chmod %c-w %s",
                          kind, path, writers, class, path);
}

/* A link has no mode, and what is written to a device is not kept there. */
static int check_info(const struct walk *walk, const struct stat *info, const char *path)
{
    struct ipcl_error *error = walk->error;
    const char *kind = S_ISDIR(info->st_mode) ? "folder" : S_ISLNK(info->st_mode) ? "link" : "file";
    bool sticky = S_ISDIR(info->st_mode) && (info->st_mode & S_ISVTX);
    if (info->st_uid != geteuid() && !is_roots(walk, info->st_uid))
        return refuse_owner(kind, info->st_uid, path, error);
    if (S_ISLNK(info->st_mode) || S_ISCHR(info->st_mode) || sticky)
        return 0;
    if (info->st_mode & S_IWOTH)
        return refuse_writers(kind, "everybody", 'o', path, error);
    if ((info->st_mode & S_IWGRP) && !is_own_group(info->st_gid))
        return refuse_writers(kind, "its group", 'g', path, error);
    return 0;
}

/* `path` is "" for the root. */
static int check(struct walk *walk, const struct stat *info, const char *path)
{
    walk->refused = check_info(walk, info, *path ? path : "/") != 0;
    return walk->refused ? -1 : 0;
}

/* Takes the next name off the rest; "" at the end. Returns 0, or -1 where it is too long. */
static int next_name(struct walk *walk, char name[NAME_MAX + 1])
{
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(start, "/");
    errno = ENAMETOOLONG;
    if (length > NAME_MAX)
        return -1;
    memcpy(name, start, length);
    name[length] = '\0';
    start += length;
    start += strspn(start, "/");
    memmove(walk->rest, start, strlen(start) + 1);
    return 0;
}

/* Puts two parts of a path together. Returns 0, or -1 where they are too long. */
static int join(char path[PATH_BYTES], const char *first, const char *second)
{
    errno = ENAMETOOLONG;
    int size = snprintf(path, PATH_BYTES, *second ? "%s/%s" : "%s%s", first, second);
    return size < 0 || size >= PATH_BYTES ? -1 : 0;
}

/* The path of what has this name in the folder that was come to. */
static int path_of(const struct walk *walk, const char *name, char path[PATH_BYTES])
{
    if (!strcmp(name, "..")) {
        strcpy(path, walk->real);
        if (*path)
            *strrchr(path, '/') = '\0';
        return 0;
    }
    bool here = !*name || !strcmp(name, ".");
    return join(path, walk->real, here ? "" : name);
}

/* Checks what was opened and notes its path; closes it where it is not trusted. */
static int check_opened(struct walk *walk, const char *name, int fd)
{
    char path[PATH_BYTES];
    struct stat info;
    if (!path_of(walk, name, path) && !fstat(fd, &info) && !check(walk, &info, path)) {
        strcpy(walk->real, path);
        walk->shared = info.st_mode & S_IWOTH;
        return 0;
    }
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* Goes into a folder, "" for the root. */
static int enter(struct walk *walk, const char *name)
{
    int fd =
        openat(walk->folder, *name ? name : "/", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || check_opened(walk, name, fd))
        return -1;
    if (walk->folder >= 0)
        close(walk->folder);
    walk->folder = fd;
    return 0;
}

static int enter_root(struct walk *walk)
{
    if (walk->folder >= 0)
        close(walk->folder);
    walk->folder = -1;
    walk->shared = false;
    *walk->real = '\0';
    return enter(walk, "");
}

/* Puts what a link says before the rest. errno is ENOTDIR where it is no link. */
static int follow(struct walk *walk, const char *name)
{
    char path[PATH_BYTES], target[PATH_BYTES], rest[PATH_BYTES];
    struct stat info;
    if (fstatat(walk->folder, name, &info, AT_SYMLINK_NOFOLLOW) || path_of(walk, name, path))
        return -1;
    if (!S_ISLNK(info.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    /* Nobody else can replace a link of ours where nobody else can write, or only with a sticky
     * bit. */
    if (check(walk, &info, path))
        return -1;
    ssize_t size = readlinkat(walk->folder, name, target, sizeof(target) - 1);
    if (size < 0)
        return -1;
    target[size] = '\0';
    errno = ELOOP;
    if (++walk->links > LINKS_MAX || join(rest, target, walk->rest))
        return -1;
    strcpy(walk->rest, rest);
    return *target == '/' ? enter_root(walk) : 0;
}

/* The links there are the kernel's: /dev/stdout leads to one, which opens what this program has,
 * and says nothing that could be followed where that is a pipe. */
static bool is_in_proc(const struct walk *walk)
{
    struct statfs info;
    return !fstatfs(walk->folder, &info) && info.f_type == PROC_SUPER_MAGIC;
}

/* Opens what the walk leads to. Returns a descriptor or -1 with errno set. */
static int walk_to_end(struct walk *walk, int flags, mode_t mode)
{
    char name[NAME_MAX + 1];
    for (int status = enter_root(walk); !status;) {
        if (next_name(walk, name))
            return -1;
        bool last = !*walk->rest && strcmp(name, ".") && strcmp(name, "..");
        if (last) {
            int fd =
                openat(walk->folder, *name ? name : ".",
                       flags | (is_in_proc(walk) ? 0 : O_NOFOLLOW) | O_NOCTTY | O_CLOEXEC, mode);
            if (fd >= 0)
                return check_opened(walk, name, fd) ? -1 : fd;
        } else if (!enter(walk, name)) {
            continue;
        }
        if (walk->refused || (errno != ENOTDIR && errno != ELOOP))
            return -1;
        status = follow(walk, name);
    }
    return -1;
}

int trust_open(const char *path, int flags, mode_t mode, char real[PATH_BYTES],
               struct ipcl_error *error)
{
    struct walk walk = {.folder = -1, .error = error};
    char here[PATH_BYTES] = "";
    bool begun = (*path == '/' || getcwd(here, sizeof(here))) && !join(walk.rest, here, path);
    int fd = begun ? walk_to_end(&walk, flags, mode) : -1, reason = errno;
    if (walk.folder >= 0)
        close(walk.folder);
    if (fd >= 0 && real)
        strcpy(real, *walk.real ? walk.real : "/");
    if (fd < 0 && !walk.refused)
        ipcl_error_set(error, "cannot open %s: %s", path, strerror(reason));
    errno = walk.refused ? EPERM : reason;
    return fd;
}

int trust_check(const char *path, struct ipcl_error *error)
{
    int fd = trust_open(path, O_RDONLY | O_NONBLOCK, 0, NULL, error);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

int trust_check_secret(int fd, const char *path, struct ipcl_error *error)
{
    struct stat info;
    if (fstat(fd, &info))
        return ipcl_error_set(error, "cannot look at %s: %s", path, strerror(errno));
    bool ours = info.st_uid == geteuid();
    if (info.st_mode & (ours ? 077 : 007))
        return ipcl_error_set(error,
                              "%s can be read by others, so the key in it is not secret: chmod "
                              "600 %s, and use a new key if others may have read it",
                              path, path);
    return 0;
}
