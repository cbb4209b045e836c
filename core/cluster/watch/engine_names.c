/* What people call the processes of this host that are or were engines. */
#include "cluster/watch/engine_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uthash.h>

/* So many are remembered; then the oldest are not. */
#define NAMES_MAX 10000

struct engine_name {
    UT_hash_handle hh;
    int64_t pid;
    int id;
};

static void host_name(char host[ENGINE_HOST_BYTES])
{
    *host = '\0';
    gethostname(host, ENGINE_HOST_BYTES - 1);
    host[ENGINE_HOST_BYTES - 1] = '\0';
}

static void forget(struct engine_names *names, struct engine_name *name)
{
    HASH_DEL(names->by_pid, name);
    free(name);
}

void engine_names_note(struct engine_names *names, int id, const json_t *info)
{
    const char *named = json_string_value(json_object_get(info, "host"));
    int64_t pid = json_integer_value(json_object_get(info, "pid"));
    struct engine_name *name;
    if (!*names->host)
        host_name(names->host);
    if (!named || strcmp(named, names->host) != 0 || pid <= 0)
        return;
    HASH_FIND(hh, names->by_pid, &pid, sizeof(pid), name);
    if (!name) {
        name = calloc(1, sizeof(*name));
        if (!name)
            return;
        name->pid = pid;
        HASH_ADD(hh, names->by_pid, pid, sizeof(pid), name);
        if (HASH_COUNT(names->by_pid) > NAMES_MAX)
            forget(names, names->by_pid); /* the oldest comes first */
    }
    name->id = id;
}

static struct engine_name *find(const struct engine_names *names, int64_t pid)
{
    struct engine_name *name;
    HASH_FIND(hh, names->by_pid, &pid, sizeof(pid), name);
    return name;
}

bool engine_names_has(const struct engine_names *names, int64_t pid)
{
    return find(names, pid) != NULL;
}

int engine_names_id(const struct engine_names *names, int64_t pid)
{
    const struct engine_name *name = find(names, pid);
    return name ? name->id : -1;
}

void engine_names_tell(const struct engine_names *names, int64_t pid, char text[ENGINE_NAME_BYTES])
{
    char host[ENGINE_HOST_BYTES];
    const struct engine_name *name = find(names, pid);
    host_name(host);
    if (name)
        snprintf(text, ENGINE_NAME_BYTES, "Engine %d (%s, process %" PRId64 ")", name->id, host,
                 pid);
    else
        snprintf(text, ENGINE_NAME_BYTES,
                 "An engine that had not registered (%s, process %" PRId64 ")", host, pid);
}

void engine_names_release(struct engine_names *names)
{
    while (names->by_pid)
        forget(names, names->by_pid);
}
