/* The launcher "ssh": what is kept of a set, so that a later supervisor finds it again. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "launch.h"
#include "ssh.h"
#include "ssh_set.h"

static json_t *list_json(char **list)
{
    json_t *array = json_array();
    for (size_t i = 0; list && list[i]; i++)
        json_array_append_new(array, json_string(list[i]));
    return array;
}

static json_t *host_json(const struct ssh_host *host)
{
    return json_pack(
        "{s:i s:s s:s s:o s:i s:i s:i s:I s:I s:I s:I s:I s:s s:s}", "number", (int)host->number,
        "name", host->name, "destination", host->destination, "arguments",
        list_json(host->arguments), "first", (int)host->first, "count", (int)host->count, "state",
        (int)host->state, "pid", (json_int_t)host->pid, "born", (json_int_t)host->born, "agent_pid",
        (json_int_t)host->agent_pid, "agent_born", (json_int_t)host->agent_born, "offset",
        (json_int_t)(host->offset - (off_t)host->line_size), "boot", host->boot, "run", host->run);
}

char *ssh_set_to_json(void *self)
{
    const struct ssh_set *set = self;
    json_t *hosts = json_array(), *copies = json_array();
    for (size_t i = 0; i < set->host_count; i++)
        json_array_append_new(hosts, host_json(&set->hosts[i]));
    for (unsigned i = 0; i < set->count; i++)
        json_array_append_new(copies,
                              json_pack("[I,I,b]", (json_int_t)set->copies[i].pid,
                                        (json_int_t)set->copies[i].born, set->copies[i].ended));
    json_t *whole = json_pack("{s:s s:s s:s s:s s:o s:o s:o}", "folder", set->folder, "token",
                              set->token, "log_dir", set->log_dir ? set->log_dir : "", "label",
                              set->label ? set->label : "", "ssh_cmd", list_json(set->command),
                              "hosts", hosts, "copies", copies);
    char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
    json_decref(whole);
    return text;
}

/* How many of a host's copies have not ended. */
static unsigned count_alive(const json_t *copies, int first, int count)
{
    unsigned alive = 0;
    for (int i = first; i >= 0 && i < first + count; i++)
        alive += json_is_false(json_array_get(json_array_get(copies, (size_t)i), 2));
    return alive;
}

/* A host may be named more than once. */
static void take_places(struct ssh_plan *plan, const char *name, unsigned count)
{
    for (size_t i = 0; i < plan->count && count > 0; i++) {
        struct ssh_place *place = &plan->places[i];
        unsigned taken = place->slots < count ? place->slots : count;
        if (strcmp(place->name, name) != 0)
            continue;
        place->slots -= taken;
        plan->slots -= taken;
        count -= taken;
    }
}

void ssh_state_take_places(const char *json, struct ssh_plan *plan)
{
    json_t *whole = json_loads(json, 0, NULL), *host;
    size_t i;
    json_array_foreach (json_object_get(whole, "hosts"), i, host) {
        const char *name;
        int first, count;
        if (json_unpack(host, "{s:s s:i s:i}", "name", &name, "first", &first, "count", &count) ==
            0)
            take_places(plan, name, count_alive(json_object_get(whole, "copies"), first, count));
    }
    json_decref(whole);
}

/* A list for list_free(), or NULL. */
static char **read_list(const json_t *array)
{
    size_t count = json_array_size(array);
    const char **words = calloc(count + 1, sizeof(*words));
    bool good = words && json_is_array(array);
    for (size_t i = 0; good && i < count; i++)
        good = (words[i] = json_string_value(json_array_get(array, i))) != NULL;
    char **list = good ? list_copy(words) : NULL;
    free(words);
    return list;
}

static int read_copies(struct ssh_set *set, json_t *copies)
{
    set->count = (unsigned)json_array_size(copies);
    set->copies = calloc(set->count + 1, sizeof(*set->copies));
    for (unsigned i = 0; set->copies && i < set->count; i++) {
        json_int_t pid, born;
        int ended;
        if (json_unpack(json_array_get(copies, i), "[I,I,b]", &pid, &born, &ended) < 0)
            return -1;
        set->copies[i] = (struct ssh_copy){.pid = pid, .born = born, .ended = ended};
        set->alive += !ended;
    }
    return set->copies ? 0 : -1;
}

static int read_host(struct ssh_set *set, json_t *value)
{
    struct ssh_host *host = &set->hosts[set->host_count];
    const char *name, *destination, *boot, *run;
    json_t *arguments;
    json_int_t pid, born, agent_pid, agent_born, offset;
    int number, first, count, state;
    *host = (struct ssh_host){.set = set, .input = -1, .output = -1};
    if (json_unpack(value, "{s:i s:s s:s s:o s:i s:i s:i s:I s:I s:I s:I s:I s:s s:s}", "number",
                    &number, "name", &name, "destination", &destination, "arguments", &arguments,
                    "first", &first, "count", &count, "state", &state, "pid", &pid, "born", &born,
                    "agent_pid", &agent_pid, "agent_born", &agent_born, "offset", &offset, "boot",
                    &boot, "run", &run) < 0 ||
        first < 0 || count < 0 || (unsigned)first + (unsigned)count > set->count || state < 0 ||
        state > SSH_GONE)
        return -1;
    set->host_count++;
    host->number = (unsigned)number;
    host->first = (unsigned)first;
    host->count = (unsigned)count;
    host->state = (enum ssh_state)state;
    host->pid = pid;
    host->born = born;
    host->agent_pid = agent_pid;
    host->agent_born = agent_born;
    host->offset = offset;
    snprintf(host->boot, sizeof(host->boot), "%s", boot);
    snprintf(host->run, sizeof(host->run), "%s", run);
    host->name = strdup(name);
    host->destination = strdup(destination);
    host->arguments = read_list(arguments);
    return host->name && host->destination && host->arguments ? 0 : -1;
}

static int read_set(struct ssh_set *set, json_t *whole)
{
    const char *folder, *token, *log_dir, *label;
    json_t *command, *hosts, *copies, *host;
    size_t i;
    if (json_unpack(whole, "{s:s s:s s:s s:s s:o s:o s:o}", "folder", &folder, "token", &token,
                    "log_dir", &log_dir, "label", &label, "ssh_cmd", &command, "hosts", &hosts,
                    "copies", &copies) < 0 ||
        read_copies(set, copies) < 0)
        return -1;
    snprintf(set->folder, sizeof(set->folder), "%s", folder);
    snprintf(set->token, sizeof(set->token), "%s", token);
    set->log_dir = strdup(log_dir);
    set->label = strdup(label);
    set->command = read_list(command);
    set->hosts = calloc(json_array_size(hosts) + 1, sizeof(*set->hosts));
    if (!set->log_dir || !set->label || !set->command || !set->hosts)
        return -1;
    json_array_foreach (hosts, i, host)
        if (read_host(set, host) < 0)
            return -1;
    return 0;
}

/* If the connection has ended, its engines ended with it; or some are left, which are ended with
 * the set. An engine that never started is nowhere. */
static void restore_host(struct ssh_host *host)
{
    struct ssh_set *set = host->set;
    if (host->state != SSH_GONE && ssh_host_adopt(host) == 0)
        return;
    host->pid = 0;
    host->state = SSH_GONE;
    ssh_event_tell_over(host);
    for (unsigned i = host->first; i < host->first + host->count; i++) {
        if (!set->copies[i].pid && !host->agent_pid)
            ssh_set_copy_ended(set, i, 0, NULL);
        else if (!set->copies[i].ended)
            host->state = SSH_LOST;
    }
}

int ssh_set_from_json(void *self, const char *json, struct ipcl_error *error)
{
    struct ssh_set *set = self;
    json_t *whole = json_loads(json, 0, NULL);
    int outcome = whole ? read_set(set, whole) : -1;
    json_decref(whole);
    if (outcome < 0)
        return ipcl_error_set(error, "the saved state of an ssh launcher is damaged");
    for (unsigned i = 0; i < set->count; i++)
        if (set->copies[i].ended)
            set->services->stopped(set->services->base.host, set->proxy ? IPCL_ALL_COPIES : i, 0,
                                   NULL);
    set->restoring = set->taken_over = true;
    for (size_t i = 0; i < set->host_count; i++)
        restore_host(&set->hosts[i]);
    set->restoring = false;
    ssh_set_poll(set);
    return set->alive > 0 ? 0 : ipcl_error_set(error, "none of its processes runs any more");
}
