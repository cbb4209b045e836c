/* Paths and files. */
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int path_format(char path[PATH_BYTES], struct ipcl_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(path, PATH_BYTES, format, args);
    va_end(args);
    if (size < 0 || size >= PATH_BYTES)
        return ipcl_error_set(error, "the path %.100s... is too long", path);
    return 0;
}

bool path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool path_is_same(const char *one, const char *other)
{
    struct stat first, second;
    if (!strcmp(one, other))
        return true;
    return !stat(one, &first) && !stat(other, &second) && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

void path_note(const char *path, struct path_mark *mark)
{
    struct stat found = {0};
    if (stat(path, &found) || !found.st_size)
        found = (struct stat){0};
    *mark = (struct path_mark){found.st_dev, found.st_ino, found.st_mtim};
}

bool path_is_new(const char *path, const struct path_mark *before)
{
    struct path_mark now;
    path_note(path, &now);
    return now.inode && (now.device != before->device || now.inode != before->inode ||
                         now.written.tv_sec != before->written.tv_sec ||
                         now.written.tv_nsec != before->written.tv_nsec);
}

static const char *home_dir(void)
{
    const char *home = getenv("HOME");
    if (home && *home)
        return home;
    struct passwd *user = getpwuid(getuid());
    return user ? user->pw_dir : "/";
}

int path_expand(const char *path, char absolute[PATH_BYTES], struct ipcl_error *error)
{
    if (path[0] == '~' && (path[1] == '/' || !path[1]))
        return path_format(absolute, error, "%s%s", home_dir(), path + 1);
    if (path[0] == '/')
        return path_format(absolute, error, "%s", path);
    char here[PATH_BYTES];
    if (!getcwd(here, sizeof(here)))
        return ipcl_error_set(error, "the current folder cannot be read: %s", strerror(errno));
    return path_format(absolute, error, "%s/%s", here, path);
}

int path_make_dir(const char *path, mode_t mode, struct ipcl_error *error)
{
    char part[PATH_BYTES];
    if (path_format(part, error, "%s", path))
        return -1;
    for (char *slash = part + 1; *slash; slash++) {
        if (*slash != '/')
            continue;
        *slash = '\0';
        if (mkdir(part, mode) && errno != EEXIST)
            return ipcl_error_set(error, "cannot make the folder %s: %s", part, strerror(errno));
        *slash = '/';
    }
    struct stat info;
    if (mkdir(part, mode) && (errno != EEXIST || stat(part, &info) || !S_ISDIR(info.st_mode)))
        return ipcl_error_set(error, "cannot make the folder %s: %s", path, strerror(errno));
    return 0;
}

int path_make_private_dir(const char *path, struct ipcl_error *error)
{
    struct stat info;
    if (path_make_dir(path, 0700, error))
        return -1;
    if (stat(path, &info))
        return ipcl_error_set(error, "cannot look at the folder %s: %s", path, strerror(errno));
    if (info.st_uid != geteuid())
        return ipcl_error_set(error, "the folder %s belongs to another user: keys are not kept there", path);
    if ((info.st_mode & 0777) != 0700 && chmod(path, 0700))
        return ipcl_error_set(error, "cannot make the folder %s private: %s", path, strerror(errno));
    return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        data += written;
        size -= (size_t)written;
    }
    return fsync(fd);
}

int path_write_file(const char *path, const char *data, size_t size, mode_t mode, struct ipcl_error *error)
{
    char temporary[PATH_BYTES];
    if (path_format(temporary, error, "%s.XXXXXX", path))
        return -1;
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return ipcl_error_set(error, "cannot write %s: %s", path, strerror(errno));
    int failed = write_all(fd, data, size) || fchmod(fd, mode);
    int saved = errno;
    close(fd);
    if (!failed && rename(temporary, path)) {
        failed = 1;
        saved = errno;
    }
    if (!failed)
        return 0;
    unlink(temporary);
    return ipcl_error_set(error, "cannot write %s: %s", path, strerror(saved));
}

char *path_read_file(const char *path, size_t limit, size_t *size, struct ipcl_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is refused, not waited for */
    struct stat info;
    char *data = NULL;
    size_t used = 0;
    if (fd < 0 || fstat(fd, &info))
        goto system_error;
    if (!S_ISREG(info.st_mode)) {
        ipcl_error_set(error, "%s is not a file", path);
        goto failed;
    }
    if ((size_t)info.st_size > limit) {
        ipcl_error_set(error, "%s is larger than the %zu bytes that such a file may have", path, limit);
        goto failed;
    }
    data = malloc((size_t)info.st_size + 1);
    if (!data)
        goto system_error;
    while (used < (size_t)info.st_size) {
        ssize_t got = read(fd, data + used, (size_t)info.st_size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            goto system_error;
        if (!got)
            break; /* it has become shorter */
        used += (size_t)got;
    }
    close(fd);
    data[used] = '\0';
    *size = used;
    return data;
system_error:
    ipcl_error_set(error, "cannot read %s: %s", path, strerror(errno));
failed:
    free(data);
    if (fd >= 0)
        close(fd);
    return NULL;
}

static int check_one(const char *path, bool is_ancestor, struct ipcl_error *error)
{
    struct stat info;
    if (stat(path, &info))
        return ipcl_error_set(error, "cannot look at %s: %s", path, strerror(errno));
    if (info.st_uid != 0 && info.st_uid != geteuid())
        return ipcl_error_set(error, "%s is owned by user %u, neither root nor you", path, (unsigned)info.st_uid);
    /* In a sticky folder nobody can replace what another owns. */
    bool sticky = is_ancestor && (info.st_mode & S_ISVTX);
    if ((info.st_mode & S_IWOTH) && !sticky)
        return ipcl_error_set(error, "%s can be written by everybody: chmod o-w %s", path, path);
    /* A group of the user's own number is, by convention, the user alone. */
    bool private_group = info.st_gid == 0 || (info.st_gid == getegid() && info.st_gid == geteuid());
    if ((info.st_mode & S_IWGRP) && !private_group && !sticky)
        return ipcl_error_set(error, "%s can be written by its group: chmod g-w %s", path, path);
    return 0;
}

int path_check_trust(const char *path, char real[PATH_BYTES], struct ipcl_error *error)
{
    char above[PATH_BYTES];
    if (!realpath(path, real))
        return ipcl_error_set(error, "cannot look at %s: %s", path, strerror(errno));
    if (check_one(real, false, error))
        return -1;
    strcpy(above, real);
    for (char *slash; (slash = strrchr(above, '/')); ) {
        bool root = slash == above;
        slash[root ? 1 : 0] = '\0';
        if (check_one(above, true, error))
            return -1;
        if (root)
            break;
    }
    return 0;
}

int path_program_dir(char path[PATH_BYTES], struct ipcl_error *error)
{
    ssize_t size = readlink("/proc/self/exe", path, PATH_BYTES - 1);
    if (size < 0)
        return ipcl_error_set(error, "cannot tell where this program is: %s", strerror(errno));
    path[size] = '\0';
    *strrchr(path, '/') = '\0';
    return 0;
}

static char build_tree[PATH_BYTES];

/* Programs of a build tree lie two folders below its top, or three where libtool keeps them. */
static void find_build_tree(void)
{
    char dir[PATH_BYTES], marker[PATH_BYTES];
    if (path_program_dir(dir, NULL))
        return;
    for (int up = 0; up < 4 && *dir; up++) {
        if (path_format(marker, NULL, "%s/config.status", dir) == 0 && path_exists(marker)) {
            snprintf(build_tree, sizeof(build_tree), "%s", dir);
            return;
        }
        *strrchr(dir, '/') = '\0';
    }
}

const char *path_build_tree(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_build_tree);
    return *build_tree ? build_tree : NULL;
}
