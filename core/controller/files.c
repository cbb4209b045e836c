/* The files of a running controller. */
#include "controller/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/trust.h"

#define LOCK_ATTEMPTS 10
#define LOCK_PAUSE_MS 20
#define HOST_BYTES    256

static int name_file(const struct profile *profile, const char *cluster_id,
                     enum connection_role role, const char *given, char path[PATH_BYTES],
                     struct ipcl_error *error)
{
    if (!*given)
        return connection_path(profile->dir, cluster_id, role, path, error);
    if (strchr(given, '/'))
        return ipcl_error_set(
            error,
            "'%s' cannot be the name of a connection file: the file is in the security "
            "folder, so give a name without a folder",
            given);
    return path_format(path, error, "%s/%s", profile->security, given);
}

int files_init(struct files *files, const struct profile *profile, const char *cluster_id,
               const char *client_file, const char *engine_file, bool reuse,
               struct ipcl_error *error)
{
    const char *dash = *cluster_id ? "-" : "";
    *files = (struct files){.lock = -1, .reuse = reuse};
    return profile_pid_file(profile->dir, cluster_id, files->pid, error) ||
                   path_format(files->table, error, "%s/ipcontroller%s%s-engines.json",
                               profile->security, dash, cluster_id) ||
                   path_format(files->handouts, error, "%s/ipcontroller%s%s-given-out",
                               profile->security, dash, cluster_id) ||
                   path_format(files->counter, error, "%s/ipcontroller%s%s-counter",
                               profile->security, dash, cluster_id) ||
                   path_format(files->secret, error, "%s/ipcontroller%s%s-curve.key",
                               profile->security, dash, cluster_id) ||
                   name_file(profile, cluster_id, CONNECTION_CLIENT, client_file, files->clients,
                             error) ||
                   name_file(profile, cluster_id, CONNECTION_ENGINE, engine_file, files->engines,
                             error)
               ? -1
               : 0;
}

/* Opens and locks the pid file. Returns a file descriptor, -1 where another process has it, -2 with
 * `error` set for other failures. */
static int open_locked(const char *path, struct ipcl_error *error)
{
    struct stat ours, there;
    for (int attempt = 1;;) {
        int fd = trust_open(path, O_RDWR | O_CREAT, 0600, NULL, error);
        if (fd < 0)
            return -2;
        /* ipcluster tries the lock, too, and has it for a moment. */
        if (flock(fd, LOCK_EX | LOCK_NB)) {
            close(fd);
            if (attempt++ == LOCK_ATTEMPTS)
                return -1;
            usleep(LOCK_PAUSE_MS * 1000);
            continue;
        }
        /* A controller that has just ended may have removed the file between our opening and
         * locking it. */
        if (!fstat(fd, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino)
            return fd;
        close(fd);
    }
}

int files_lock(struct files *files, struct ipcl_error *error)
{
    char text[32 + HOST_BYTES] = "", host[HOST_BYTES] = "";
    int fd = open_locked(files->pid, error);
    if (fd == -1) {
        size_t size;
        char *owner = path_read_file(files->pid, sizeof(text), &size, NULL);
        ipcl_error_set(error,
                       "a controller of this profile and cluster id is running already (process "
                       "%.20s): stop it, or start this one with "
                       "another --cluster-id or --profile",
                       owner && *owner ? strtok(owner, "\n") : "unknown");
        free(owner);
    }
    if (fd < 0)
        return -1;
    files->lock = fd;
    gethostname(host, sizeof(host) - 1);
    int length = snprintf(text, sizeof(text), "%d\n%s\n", (int)getpid(), host);
    if (ftruncate(fd, 0) || write(fd, text, (size_t)length) != length)
        return ipcl_error_set(error, "cannot write %s: %s", files->pid, strerror(errno));
    return 0;
}

/* As reuse_take() reads them. */
static int write_secrets(const struct files *files, const struct controller *controller,
                         struct ipcl_error *error)
{
    char text[CONNECTION_ROLES * CURVE_KEY_BYTES + 1];
    int size =
        snprintf(text, sizeof(text), "%s\n%s\n", controller->curves[CONNECTION_CLIENT].secret_key,
                 controller->curves[CONNECTION_ENGINE].secret_key);
    int status = path_renew_secret(files->secret, text, (size_t)size, error);
    explicit_bzero(text, sizeof(text));
    return status;
}

int files_write(struct files *files, const struct controller *controller, struct ipcl_error *error)
{
    files->written = true;
    if (files->reuse && controller->encrypted && write_secrets(files, controller, error))
        return -1;
    /* Whoever finds the clients' file finds the engines' too. */
    if (!connection_write(files->engines, CONNECTION_ENGINE, &controller->engines, error) &&
        !connection_write(files->clients, CONNECTION_CLIENT, &controller->clients, error))
        return 0;
    if (!controller->restarted)
        unlink(files->engines);
    return -1;
}

void files_remove(struct files *files)
{
    if (files->written && !files->reuse) {
        unlink(files->clients);
        unlink(files->engines);
    }
    files->written = false;
}

void files_unlock(struct files *files)
{
    if (files->lock < 0)
        return;
    unlink(files->pid);
    close(files->lock);
    files->lock = -1;
}

void files_remove_sockets(const struct controller *controller)
{
    const char *stem = controller->engines.interface + strlen("ipc://");
    char folder[PATH_BYTES], path[PATH_BYTES];
    struct stat status;

    if (strncmp(controller->engines.interface, "ipc://", strlen("ipc://")))
        return;
    snprintf(folder, sizeof(folder), "%s", stem);
    char *name = strrchr(folder, '/');
    *name++ = '\0';
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        size_t length = strlen(name);
        if (strncmp(entry->d_name, name, length) || entry->d_name[length] != ':')
            continue;
        if (!path_format(path, NULL, "%s/%s", folder, entry->d_name) && !lstat(path, &status) &&
            S_ISSOCK(status.st_mode))
            unlink(path);
    }
    if (dir)
        closedir(dir);
}
