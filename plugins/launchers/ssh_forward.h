/* How engines on a host reach the controller: as the engines' connection file says or, if the
 * controller listens only on this host, back through the connection that started them. */
#ifndef LAUNCHERS_SSH_FORWARD_H
#define LAUNCHERS_SSH_FORWARD_H

#include <jansson.h>

#include <ipcluster/error.h>

#include "ssh_text.h"

#define SSH_PORTS_MAX 160

/* The ports of the controller that are forwarded, each once. Begins as zeros. */
struct ssh_ports {
    const char *interfaces[SSH_PORTS_MAX]; /* borrowed from its connection file */
    int ports[SSH_PORTS_MAX];
    size_t count;
};

/* Reads the connection file of a role, "engine" or "client". A new reference, or NULL with `error`
 * set. */
json_t *ssh_connection_read(const char *profile_dir, const char *cluster_id, const char *role,
                            struct ipcl_error *error);
/* Whether its controller listens only on this host, and no SSH server was named for all that
 * connect: then the file is "here". False for NULL. */
bool ssh_connection_is_here(const json_t *connection);

/* Adds the ports of a connection file that is here. */
void ssh_ports_add(struct ssh_ports *ports, const json_t *connection);
/* A list with `option` ("-R" or "-L") and what is forwarded, for each port: from sockets in
 * `folder` or, if that is NULL, from ports of loopback that sshd chooses. For list_free(); NULL if
 * memory is short. */
char **ssh_forward_words(const struct ssh_ports *ports, const char *option, const char *folder);
/* Writes a connection file for the host. If the file is not "here", it is unchanged. Otherwise it
 * has sockets in the folder `run` or, if that is NULL, the ports that ssh has printed, one a line.
 * Returns 0, or -1 if it has printed too few, or memory is short. */
int ssh_forward_file(const json_t *connection, const struct ssh_ports *ports, const char *run,
                     const char *printed, struct text *file);
/* Writes the file unchanged. */
int ssh_connection_file(const json_t *connection, struct text *file);

#endif
