/* Children that user code forks. Called by both threads; the rest runs in the child, which has one
 * thread. */
#include "engine/children.h"

#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/frontends.h"

/* Where something is connected to; without the port, all of the controller's are the same. */
struct place {
    struct sockaddr_storage address;
    int port;
};

static const struct connection *controller;
static struct place known;
/* Where frontends connect: a folder of local sockets, or ports. */
static struct {
    char folder[SOCKET_FOLDER_BYTES];
    int lock; /* of that folder */
    int ports[FRONTEND_PORTS];
} entrance;

/* Returns false if it is no connection of a kind that engines have. */
static bool find_place(int fd, struct place *place)
{
    socklen_t size = sizeof(place->address);
    memset(place, 0, sizeof(*place));
    if (getpeername(fd, (struct sockaddr *)&place->address, &size))
        return false;
    struct sockaddr_in *four = (void *)&place->address;
    struct sockaddr_in6 *six = (void *)&place->address;
    char *path = ((struct sockaddr_un *)(void *)&place->address)->sun_path;
    char *colon = place->address.ss_family == AF_UNIX ? strrchr(path, ':') : NULL;
    if (place->address.ss_family == AF_INET) {
        place->port = ntohs(four->sin_port);
        four->sin_port = 0;
    } else if (place->address.ss_family == AF_INET6) {
        place->port = ntohs(six->sin6_port);
        six->sin6_port = 0;
    } else if (colon) {
        place->port = atoi(colon + 1);
        memset(colon, 0, strlen(colon));
    }
    return place->port > 0;
}

static bool is_port_of_controller(int port)
{
    const int ports[] = {controller->registration, controller->control, controller->mux,
                         controller->task,         controller->iopub,   controller->hb_ping,
                         controller->hb_pong};
    for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
        if (ports[i] == port)
            return true;
    for (int i = 0; i < controller->broadcast_count; i++)
        if (controller->broadcast[i] == port)
            return true;
    return false;
}

static bool is_frontends(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    const struct sockaddr_un *local = (void *)&address;
    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return false;
    if (*entrance.folder)
        return address.ss_family == AF_UNIX &&
               !strncmp(local->sun_path, entrance.folder, strlen(entrance.folder));
    int port = ntohs(address.ss_family == AF_INET    ? ((struct sockaddr_in *)&address)->sin_port
                     : address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                     : 0);
    for (int i = 0; port && i < FRONTEND_PORTS; i++)
        if (entrance.ports[i] == port)
            return true;
    return false;
}

static bool is_controllers(int fd)
{
    struct place place;
    return find_place(fd, &place) && is_port_of_controller(place.port) &&
           !memcmp(&place.address, &known.address, sizeof(place.address));
}

/* In the child. */
static void leave_connections(void)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        int fd = atoi(entry->d_name);
        if (is_controllers(fd) || is_frontends(fd))
            close(fd);
    }
    if (folder)
        closedir(folder);
    if (*entrance.folder)
        close(entrance.lock);
}

void children_start(const struct connection *connection)
{
    controller = connection;
    pthread_atfork(NULL, NULL, leave_connections);
}

void children_note_controller(int fd)
{
    struct place place;
    if (find_place(fd, &place))
        known = place;
}

void children_note_frontends(const struct frontends *frontends)
{
    strcpy(entrance.folder, frontends->folder.path);
    entrance.lock = frontends->folder.lock;
    memcpy(entrance.ports, frontends->ports, sizeof(entrance.ports));
}
