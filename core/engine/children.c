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

/* Where something is connected to; without the port, all of the controller's are the same. */
struct place {
    struct sockaddr_storage address;
    int port;
};

static const struct connection *controller;
static struct place known;

/* Returns false where it is no connection of a kind that engines have. */
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

/* In the child. */
static void leave_connections(void)
{
    struct place place;
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        int fd = atoi(entry->d_name);
        if (find_place(fd, &place) && is_port_of_controller(place.port) &&
            !memcmp(&place.address, &known.address, sizeof(place.address)))
            close(fd);
    }
    if (folder)
        closedir(folder);
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
