/* How engines on a host reach the controller: by what the engines' connection file says, or, where
 * the controller listens on this machine alone, back through the connection that started them. */
#ifndef LAUNCHERS_SSH_FORWARD_H
#define LAUNCHERS_SSH_FORWARD_H

#include <jansson.h>

#include <ipcluster/error.h>

#include "ssh_text.h"

/* Reads the engines' connection file. A new reference, or NULL with `error` set. */
json_t *ssh_connection_read(const char *profile_dir, const char *cluster_id,
                            struct ipcl_error *error);
/* Whether the controller that it leads to listens on this machine alone, and nobody named an SSH
 * server for engines. */
bool ssh_connection_is_here(const json_t *connection);

/* Adds "-R" and what is forwarded, for each port, to a list of words that ends with NULL: from
 * sockets in the folder `run` of the host, or, where that is NULL, from ports of its loopback which
 * sshd chooses. Returns the list, malloc'ed as its words are, or NULL where memory is short. */
char **ssh_forward_words(const json_t *connection, const char *run);
/* For a controller on the host: "-L" and sockets in the folder `folder` here, for each port of
 * either file. */
char **ssh_forward_back_words(const json_t *engines, const json_t *clients, const char *folder);
/* Writes the file that engines on the host read: with sockets in the folder `run`, or, where that
 * is NULL, with the ports that ssh has printed, one a line. Returns 0, or -1 where these are not as
 * many as were asked for, or memory is short. */
int ssh_forward_file(const json_t *connection, const char *run, const char *ports,
                     struct text *file);
/* The file as it is. */
int ssh_connection_file(const json_t *connection, struct text *file);

#endif
