/* A controller's local sockets: offering them, and choosing them. */
#include "wire/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/trust.h"

static const char ipc[] = "ipc://";
/* What a socket's name begins with; a colon and its port follow. */
static const char stem[] = "/port";

/* Hosts have names in common, and addresses; this is one kernel's since it has started. In
 * containers it is their host's: then the folder says whether they share that, too. Returns 0 or
 * -1. */
static int read_host(char host[CONNECTION_BOOT_BYTES], struct ipcl_error *error)
{
    static const char file[] = "/proc/sys/kernel/random/boot_id";
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, host, CONNECTION_BOOT_BYTES - 1);
    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return ipcl_error_set(error, "%s cannot be read", file);
    host[size] = '\0';
    host[strcspn(host, "\n")] = '\0';
    return 0;
}

/* Writes the path of the folder with the sockets. Returns 0, or -1 if it is no such path. */
static int folder_of(const struct connection *connection, char path[SOCKET_FOLDER_BYTES])
{
    const char *name = connection->local_interface + strlen(ipc);
    size_t size = strlen(connection->local_interface);
    if (strncmp(connection->local_interface, ipc, strlen(ipc)) || size < strlen(ipc) + strlen(stem))
        return -1;
    size -= strlen(ipc) + strlen(stem);
    if (strcmp(name + size, stem) || size >= SOCKET_FOLDER_BYTES)
        return -1;
    memcpy(path, name, size);
    path[size] = '\0';
    return 0;
}

int local_offer(struct socket_folder *folder, struct connection *connection,
                struct ipcl_error *error)
{
    char host[CONNECTION_BOOT_BYTES], before[SOCKET_FOLDER_BYTES] = "";
    int known = read_host(host, error);
    if (!known && strcmp(host, connection->local_host) == 0)
        folder_of(connection, before);
    connection->local_host[0] = connection->local_interface[0] = '\0';
    if (known || socket_folder_make_lasting(folder, before, error))
        return -1;
    strcpy(connection->local_host, host);
    snprintf(connection->local_interface, sizeof(connection->local_interface), "%s%s%s", ipc,
             folder->path, stem);
    return 0;
}

/* Whether nobody but this user can have put something there. */
static bool is_private(const char *path)
{
    struct ipcl_error error;
    struct stat status;
    return !lstat(path, &status) && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           !(status.st_mode & 077) && !trust_check(path, &error);
}

/* Whether this user listens there: what a killed controller leaves refuses, and what is mounted
 * from another host is not connected to anything. */
static bool is_listened_on(const char *folder, int port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof(peer);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s%s:%d", folder, stem, port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool connected = !connect(fd, (const struct sockaddr *)&address, sizeof(address));
    /* So many connect at once that this one has to wait: but somebody listens. */
    bool crowded = !connected && errno == EAGAIN;
    bool ours = connected && !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
                peer.uid == geteuid();
    close(fd);
    return ours || crowded;
}

void local_choose(struct connection *connection, int port)
{
    char host[CONNECTION_BOOT_BYTES], folder[SOCKET_FOLDER_BYTES];
    struct ipcl_error error;
    connection->local = *connection->local_host && !read_host(host, &error) &&
                        !strcmp(host, connection->local_host) && !folder_of(connection, folder) &&
                        is_private(folder) && is_listened_on(folder, port);
}
