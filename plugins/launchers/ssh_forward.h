/* How engines on a host reach the controller: by what the engines' connection file says, or, where
 * the controller listens on this machine alone, back through the connection that started them. */
#ifndef LAUNCHERS_SSH_FORWARD_H
#define LAUNCHERS_SSH_FORWARD_H

#include <jansson.h>

#include <ipcluster/error.h>

#include "ssh_text.h"

#define SSH_PORTS_MAX 160

/* What is forwarded: ports of the controller, each once. Begins as zeros. */
struct ssh_ports {
    const char *interfaces[SSH_PORTS_MAX]; /* of its connection file, whose memory it is */
    int ports[SSH_PORTS_MAX];
    size_t count;
};

/* Reads the connection file of a role, "engine" or "client". A new reference, or NULL with `error`
 * set. */
json_t *ssh_connection_read(const char *profile_dir, const char *cluster_id, const char *role,
                            struct ipcl_error *error);
/* Whether the controller that it leads to listens on this machine alone, and nobody named an SSH
 * server for all that connect. False for NULL. */
bool ssh_connection_is_here(const json_t *connection);

/* Adds the ports of a connection file that is here. */
void ssh_ports_add(struct ssh_ports *ports, const json_t *connection);
/* A list with `option` ("-R" or "-L") and what is forwarded, for each port: from sockets in
 * `folder`, or, where that is NULL, from ports of loopback which sshd chooses. For list_free();
 * NULL where memory is short. */
char **ssh_forward_words(const struct ssh_ports *ports, const char *option, const char *folder);
/* Writes a connection file as the host reads it: as it is where it is not here, otherwise with
 * sockets in the folder `run`, or, where that is NULL, with the ports that ssh has printed, one a
 * line. Returns 0, or -1 where these are not as many as were asked for, or memory is short. */
int ssh_forward_file(const json_t *connection, const struct ssh_ports *ports, const char *run,
                     const char *printed, struct text *file);
/* The file as it is. */
int ssh_connection_file(const json_t *connection, struct text *file);

#endif
