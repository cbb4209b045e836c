/* Which hosts there are, how many engines each takes, and each host's own settings. */
#ifndef LAUNCHERS_SSH_PLAN_H
#define LAUNCHERS_SSH_PLAN_H

#include <jansson.h>

#include <ipcluster/launcher.h>

struct ssh_place {
    char *name;        /* as it was given */
    char *destination; /* [user@]host, as ssh takes it */
    char *port;        /* NULL: ssh's default */
    unsigned slots;
    json_t *own; /* the host's own settings: an object */
};

struct ssh_plan {
    struct ssh_place *places;
    size_t count;
    unsigned slots;
};

/* Reads the mapping `engines`, words HOST=N or HOST={...}, and then `hosts_file` ("": none).
 * Returns 0, or -1 with `error` set. Call ssh_plan_clear() in either case. */
int ssh_plan_read(struct ssh_plan *plan, const char *const *engines, const char *hosts_file,
                  struct ipcl_error *error);
/* Adds one host, "[user@]host[:port]"; `own` is taken over, and may be NULL. */
int ssh_plan_add(struct ssh_plan *plan, const char *name, unsigned slots, json_t *own,
                 struct ipcl_error *error);
void ssh_plan_clear(struct ssh_plan *plan);

#endif
