/* Private folders for local sockets, in the folder for temporary files: a profile's path is often
 * too long for them. */
#include "wire/socket_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "base/trust.h"

static const char prefix[] = "ipcluster-sockets-";
#define ENDING "XXXXXX" /* as mkdtemp() has it */
/* Until it is locked, another process may take a new folder for one that was left. */
#define TRIES 10

/* Opens a folder of ours and locks it. Returns -1 where it is another's, gone, or locked. */
static int open_locked(int parent, const char *name, int operation)
{
    struct stat status;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (!fstat(fd, &status) && status.st_uid == geteuid() && !flock(fd, operation | LOCK_NB) &&
        !fstat(fd, &status) && status.st_nlink)
        return fd;
    close(fd);
    return -1;
}

/* Removes the sockets of an open folder. */
static void empty(int fd)
{
    int again = dup(fd);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    const struct dirent *entry;
    struct stat status;
    while (dir && (entry = readdir(dir)))
        if (!fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) && S_ISSOCK(status.st_mode))
            unlinkat(fd, entry->d_name, 0);
    if (dir)
        closedir(dir);
}

/* Whoever is killed leaves its folder, but not its lock. */
static void remove_left(const char *parent)
{
    DIR *dir = opendir(parent);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) ||
            strlen(entry->d_name) != strlen(prefix) + strlen(ENDING))
            continue;
        int fd = open_locked(dirfd(dir), entry->d_name, LOCK_EX);
        if (fd < 0)
            continue;
        empty(fd);
        unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
        close(fd);
    }
    if (dir)
        closedir(dir);
}

/* Locks the folder that was just made, or was there, and is nobody else's. */
static int hold(struct socket_folder *folder, struct ipcl_error *error)
{
    folder->lock = open_locked(AT_FDCWD, folder->path, LOCK_EX);
    if (folder->lock < 0)
        return ipcl_error_set(error, "cannot lock %s: %s", folder->path, strerror(errno));
    if (!trust_check(folder->path, error))
        return 0;
    socket_folder_remove(folder);
    return -1;
}

static int make_in(const char *parent, struct socket_folder *folder, struct ipcl_error *error)
{
    char real[PATH_BYTES];
    if (!realpath(parent, real))
        return ipcl_error_set(error, "cannot make a folder for sockets in %s: %s", parent,
                              strerror(errno));
    remove_left(real);
    if (snprintf(folder->path, sizeof(folder->path), "%s/%s" ENDING, real, prefix) >=
        (int)sizeof(folder->path))
        return ipcl_error_set(error, "the path of %s is too long for local sockets", real);
    if (!mkdtemp(folder->path))
        return ipcl_error_set(error, "cannot make a folder for sockets in %s: %s", real,
                              strerror(errno));
    return hold(folder, error);
}

int socket_folder_make(struct socket_folder *folder, struct ipcl_error *error)
{
    const char *given = getenv("TMPDIR");
    for (int tries = TRIES; tries; tries--)
        if ((given && *given == '/' && !make_in(given, folder, error)) ||
            !make_in("/tmp", folder, error))
            return 0;
    folder->path[0] = '\0';
    return -1;
}

static int check_own(const char *path, struct ipcl_error *error)
{
    struct stat status;
    if (!lstat(path, &status) && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
        !(status.st_mode & 077))
        return 0;
    return ipcl_error_set(error, "%s is not a folder of this user's alone", path);
}

/* Makes a folder with a name that is known, for folders of sockets; or finds it there. */
static int make_parent(const char *temporary, char path[PATH_BYTES], struct ipcl_error *error)
{
    if (path_format(path, error, "%s/ipcluster-%lu", temporary, (unsigned long)geteuid()))
        return -1;
    if (mkdir(path, 0700) && errno != EEXIST)
        return ipcl_error_set(error, "cannot make %s: %s", path, strerror(errno));
    return check_own(path, error);
}

static int make_lasting(struct socket_folder *folder, struct ipcl_error *error)
{
    const char *given = getenv("TMPDIR");
    char parent[PATH_BYTES];
    return (given && *given == '/' && !make_parent(given, parent, error) &&
            !make_in(parent, folder, error)) ||
                   (!make_parent("/tmp", parent, error) && !make_in(parent, folder, error))
               ? 0
               : -1;
}

/* Makes the folder of a previous process once more, or takes what that has left. */
static int make_again(const char *path, struct socket_folder *folder, struct ipcl_error *error)
{
    char parent[SOCKET_FOLDER_BYTES];
    snprintf(parent, sizeof(parent), "%s", path);
    *strrchr(parent, '/') = '\0';
    strcpy(folder->path, path);
    return (!mkdir(parent, 0700) || errno == EEXIST) && !check_own(parent, error) &&
                   (!mkdir(path, 0700) || errno == EEXIST) && !check_own(path, error)
               ? hold(folder, error)
               : -1;
}

int socket_folder_make_lasting(struct socket_folder *folder, const char *again,
                               struct ipcl_error *error)
{
    for (int tries = TRIES; tries && *again; tries--) {
        if (!make_again(again, folder, error))
            return 0;
        usleep(1000); /* another process may be removing it */
    }
    for (int tries = TRIES; tries; tries--)
        if (!make_lasting(folder, error))
            return 0;
    folder->path[0] = '\0';
    return -1;
}

void socket_folder_remove(struct socket_folder *folder)
{
    if (!folder->path[0])
        return;
    empty(folder->lock);
    rmdir(folder->path);
    close(folder->lock);
    folder->path[0] = '\0';
}
