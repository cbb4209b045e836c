/* Names for users of the processes of this host that are or were engines: by their ids. */
#ifndef CLUSTER_WATCH_ENGINE_NAMES_H
#define CLUSTER_WATCH_ENGINE_NAMES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_NAME_BYTES 160
#define ENGINE_HOST_BYTES 65 /* Linux's names of hosts have 64 characters */

struct engine_name;

struct engine_names {
    struct engine_name *by_pid;
    char host[ENGINE_HOST_BYTES]; /* this host; "": not asked for yet */
};

/* Engine `id` has registered, and says this about itself ("host", "pid"). It is remembered also
 * after its end. */
void engine_names_note(struct engine_names *names, int id, const json_t *info);
bool engine_names_has(const struct engine_names *names, int64_t pid);
/* The engine's id; -1: the process is none. */
int engine_names_id(const struct engine_names *names, int64_t pid);
/* Writes "Engine 3 (node17, process 4242)", or that it has not registered. */
void engine_names_tell(const struct engine_names *names, int64_t pid, char text[ENGINE_NAME_BYTES]);
void engine_names_release(struct engine_names *names);

#endif
