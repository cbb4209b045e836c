/* The environment and the folder of a program that asked the supervisor for engines: they are
 * started with these. */
#ifndef CLUSTER_LAUNCHING_WORKPLACE_H
#define CLUSTER_LAUNCHING_WORKPLACE_H

#include <jansson.h>

#include <ipcluster/error.h>

struct workplace {
    char **environment; /* NULL: this process's own, and its folder */
    char *folder;
};

/* What workplace_leave() restores. */
struct workplace_back {
    char **environment;
    int folder;
};

/* Adds those of this process to an object, "environment" and "work_dir". Returns 0, or -1 with
 * `error` set if the folder has gone, or memory is short. */
int workplace_write(json_t *object, struct ipcl_error *error);
/* Reads them from such an object; call workplace_release() also on failure. Returns 0 or -1 with
 * `error` set. */
int workplace_read(struct workplace *place, const json_t *object, struct ipcl_error *error);
void workplace_release(struct workplace *place);

/* Gives this process that environment and folder until workplace_leave(). NULL changes nothing. */
void workplace_enter(const struct workplace *place, struct workplace_back *back);
void workplace_leave(const struct workplace *place, const struct workplace_back *back);

/* Texts, NULL-terminated, as a JSON list. NULL if memory is short. */
json_t *workplace_write_list(char **list);
/* Reads such a list, for workplace_free_list(); NULL with `error` set if it is none. */
char **workplace_read_list(const json_t *list, struct ipcl_error *error);
void workplace_free_list(char **list);

#endif
