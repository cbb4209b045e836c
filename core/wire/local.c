/* A controller's local sockets: offering them, and choosing them. */
#include "wire/local.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trust.h"

static const char ipc[] = "ipc://";
/* What sockets' names begin with: the ports of one role may have the numbers of the other's, on
 * another address. A colon and the port follow. */
static const char *const stems[CONNECTION_ROLES] = {
    [CONNECTION_CLIENT] = "client", [CONNECTION_ENGINE] = "engine"};

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
    const char *name = connection->local_interface + strlen(ipc), *stem;
    if (strncmp(connection->local_interface, ipc, strlen(ipc)) || *name != '/')
        return -1;
    stem = strrchr(name, '/');
    if (stem == name || stem - name >= SOCKET_FOLDER_BYTES)
        return -1;
    memcpy(path, name, (size_t)(stem - name));
    path[stem - name] = '\0';
    return 0;
}

int local_offer(struct socket_folder *folder, struct connection *connections[CONNECTION_ROLES],
                struct ipcl_error *error)
{
    const struct connection *former = connections[CONNECTION_CLIENT];
    char host[CONNECTION_BOOT_BYTES], before[SOCKET_FOLDER_BYTES] = "";
    int known = read_host(host, error);
    if (!known && strcmp(host, former->local_host) == 0)
        folder_of(former, before);
    local_withdraw(connections);
    if (known || socket_folder_make_lasting(folder, before, error))
        return -1;
    if (*before && strcmp(before, folder->path) != 0)
        log_warn("the local sockets are in another folder than those of the previous controller, "
                 "%s: engines and clients that have used these do not come back",
                 before);
    for (int role = 0; role < CONNECTION_ROLES; role++) {
        strcpy(connections[role]->local_host, host);
        snprintf(connections[role]->local_interface, sizeof(connections[role]->local_interface),
                 "%s%s/%s", ipc, folder->path, stems[role]);
    }
    return 0;
}

void local_withdraw(struct connection *connections[CONNECTION_ROLES])
{
    for (int role = 0; role < CONNECTION_ROLES; role++)
        connections[role]->local_host[0] = connections[role]->local_interface[0] = '\0';
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
static bool is_listened_on(const char *interface, int port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof(peer);
    if (snprintf(address.sun_path, sizeof(address.sun_path), "%s:%d", interface + strlen(ipc),
                 port) >= (int)sizeof(address.sun_path))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool ours = !connect(fd, (const struct sockaddr *)&address, sizeof(address)) &&
                !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.uid == geteuid();
    close(fd);
    return ours;
}

void local_choose(struct connection *connection, int port)
{
    char host[CONNECTION_BOOT_BYTES], folder[SOCKET_FOLDER_BYTES];
    struct ipcl_error error;
    connection->local = *connection->local_host && !read_host(host, &error) &&
                        !strcmp(host, connection->local_host) && !folder_of(connection, folder) &&
                        is_private(folder) && is_listened_on(connection->local_interface, port);
}

int local_segments(const struct connection *connection, char path[LOCAL_SEGMENTS_BYTES])
{
    char folder[SOCKET_FOLDER_BYTES];
    if (folder_of(connection, folder))
        return -1;
    snprintf(path, LOCAL_SEGMENTS_BYTES, "%s/segments", folder);
    return 0;
}
