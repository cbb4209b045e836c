/* Paths and files. */
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/secret.h"
#include "base/trust.h"

#define TEMPORARY_DIGITS   5
#define TEMPORARY_ATTEMPTS 100

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

/* A path, split into its folder and its name. */
struct split {
    char path[PATH_BYTES]; /* holds both */
    const char *folder;
    const char *name;
};

static int split(const char *path, struct split *parts, struct ipcl_error *error)
{
    if (path_expand(path, parts->path, error))
        return -1;
    size_t length = strlen(parts->path);
    while (length > 1 && parts->path[length - 1] == '/')
        parts->path[--length] = '\0';
    char *slash = strrchr(parts->path, '/');
    *slash = '\0';
    parts->folder = slash == parts->path ? "/" : parts->path;
    parts->name = slash + 1;
    return 0;
}

/* Opens the folder of a path. */
static int open_above(const struct split *parts, struct ipcl_error *error)
{
    return trust_open(parts->folder, O_PATH | O_DIRECTORY, 0, NULL, error);
}

int path_make_dir(const char *path, mode_t mode, struct ipcl_error *error)
{
    struct split parts;
    int fd = trust_open(path, O_PATH | O_DIRECTORY, 0, NULL, error), failed = 0;
    if (fd < 0 && errno == ENOENT && !split(path, &parts, error) &&
        !path_make_dir(parts.folder, mode, error) && (fd = open_above(&parts, error)) >= 0) {
        failed = mkdirat(fd, parts.name, mode) && errno != EEXIST ? errno : 0;
        close(fd);
        fd = failed ? ipcl_error_set(error, "cannot make the folder %s: %s", path, strerror(failed))
                    : trust_open(path, O_PATH | O_DIRECTORY, 0, NULL, error);
    }
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

int path_make_private_dir(const char *path, struct ipcl_error *error)
{
    struct stat info;
    int fd = path_make_dir(path, 0700, error)
                 ? -1
                 : trust_open(path, O_RDONLY | O_DIRECTORY, 0, NULL, error);
    int status = 0;
    if (fd < 0)
        return -1;
    if (fstat(fd, &info))
        status = ipcl_error_set(error, "cannot read the folder %s: %s", path, strerror(errno));
    else if (info.st_uid != geteuid())
        status = ipcl_error_set(
            error,
            "the folder %s belongs to another user, so keys are not stored there: use a "
            "folder of your own",
            path);
    else if ((info.st_mode & 0777) != 0700 && fchmod(fd, 0700))
        status =
            ipcl_error_set(error, "cannot make the folder %s private: %s", path, strerror(errno));
    close(fd);
    return status;
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

/* Makes a file of mode 0600, with a new name that leftovers_remove() recognises. Returns a
 * descriptor or -1. */
static int open_temporary(int folder, const char *name, char temporary[NAME_MAX + 1])
{
    for (int attempt = 0; attempt < TEMPORARY_ATTEMPTS; attempt++) {
        char digits[TEMPORARY_DIGITS + 1];
        random_hex(digits, TEMPORARY_DIGITS);
        errno = ENAMETOOLONG;
        if (snprintf(temporary, NAME_MAX + 1, "%s.0%s", name, digits) > NAME_MAX)
            return -1;
        int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static int write_in(int folder, const char *name, const char *data, size_t size, mode_t mode)
{
    char temporary[NAME_MAX + 1];
    int fd = open_temporary(folder, name, temporary);
    if (fd < 0)
        return -1;
    int failed = write_all(fd, data, size) || fchmod(fd, mode), saved = errno;
    close(fd);
    if (!failed && !renameat(folder, temporary, folder, name))
        return 0;
    if (!failed)
        saved = errno;
    unlinkat(folder, temporary, 0);
    errno = saved;
    return -1;
}

int path_write_file(const char *path, const char *data, size_t size, mode_t mode,
                    struct ipcl_error *error)
{
    struct split parts;
    if (split(path, &parts, error))
        return -1;
    int folder = open_above(&parts, error);
    if (folder < 0)
        return errno == EPERM ? -1
                              : ipcl_error_set(error, "cannot write %s: %s", path, strerror(errno));
    int status = write_in(folder, parts.name, data, size, mode);
    if (status)
        ipcl_error_set(error, "cannot write %s: %s", path, strerror(errno));
    close(folder);
    return status;
}

char *path_read_open(int fd, const char *path, size_t limit, size_t *size, struct ipcl_error *error)
{
    struct stat info;
    char *data = NULL;
    size_t used = 0;
    if (fstat(fd, &info))
        goto system_error;
    if (!S_ISREG(info.st_mode)) {
        ipcl_error_set(error, "%s is not a file", path);
        goto failed;
    }
    if ((size_t)info.st_size > limit) {
        ipcl_error_set(error, "%s is larger than %zu bytes, the limit for such a file", path,
                       limit);
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
    data[used] = '\0';
    *size = used;
    return data;
system_error:
    ipcl_error_set(error, "cannot read %s: %s", path, strerror(errno));
failed:
    free(data);
    return NULL;
}

static char *read_file(const char *path, bool secret, size_t limit, size_t *size,
                       struct ipcl_error *error)
{
    /* A FIFO is refused, not waited for. */
    int fd = trust_open(path, O_RDONLY | O_NONBLOCK, 0, NULL, error);
    if (fd < 0)
        return NULL;
    errno = 0;
    char *data = secret && trust_check_secret(fd, path, error)
                     ? NULL
                     : path_read_open(fd, path, limit, size, error);
    close(fd);
    return data;
}

char *path_read_file(const char *path, size_t limit, size_t *size, struct ipcl_error *error)
{
    return read_file(path, false, limit, size, error);
}

char *path_read_secret(const char *path, size_t limit, size_t *size, struct ipcl_error *error)
{
    return read_file(path, true, limit, size, error);
}

int path_renew_secret(const char *path, const char *data, size_t size, struct ipcl_error *error)
{
    size_t there;
    char *text = path_read_secret(path, size, &there, NULL);
    bool same = text && there == size && !memcmp(text, data, size);
    secret_free(text);
    if (same && !utimensat(AT_FDCWD, path, NULL, 0))
        return 0;
    return path_write_file(path, data, size, 0600, error);
}
