/* The launcher "ssh": the set of engines on all hosts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/trust.h"
#include "launch.h"
#include "ssh.h"
#include "ssh_forward.h"
#include "ssh_set.h"

#define POLL_MS      50 /* how often hosts are looked after, while something is awaited */
#define POLL_IDLE_MS 250
/* After its engines should have gone, a host has so long until its connection is cut. */
#define SLACK_MS 5000
#define CLEAN_MS 40000

void ssh_set_destroy(void *self)
{
    struct ssh_set *set = self;
    if (!set)
        return;
    ssh_fetch_free(set);
    for (size_t i = 0; i < set->host_count; i++)
        ssh_host_clear(&set->hosts[i]);
    free(set->hosts);
    free(set->copies);
    free(set->log_dir);
    free(set->label);
    list_free(set->command);
    free(set->file_stem);
    json_decref(set->connection);
    json_decref(set->clients);
    text_clear(&set->files);
    free(set);
}

static void *set_create(const struct ipcl_launcher_services *services, const char *class_name,
                        struct ipcl_error *error)
{
    struct ssh_set *set = calloc(1, sizeof(*set));
    if (!set) {
        ipcl_error_set(error, "no memory for an ssh launcher");
        return NULL;
    }
    set->services = services;
    set->class_name = class_name;
    const struct ipcl_services *base = &services->base;
    set->grace_s =
        (milliseconds(base->option_real(base->host, set->class_name, "stop_seconds_until_kill")) +
         999) /
        1000;
    set->delay_ms = milliseconds(base->option_real(base->host, set->class_name, "delay"));
    set->proxy = !strcmp(class_name, SSH_PROXY_CLASS);
    set->clean_ms = CLEAN_MS + (set->proxy ? set->grace_s * 1000 : 0);
    /* If a host does not answer, another connection is tried. */
    services->stop_takes(base->host, set->grace_s * 1000 + SLACK_MS + set->clean_ms);
    return set;
}

void *ssh_set_create(const struct ipcl_launcher_services *services, struct ipcl_error *error)
{
    return set_create(services, SSH_SET_CLASS, error);
}

void *ssh_one_create(const struct ipcl_launcher_services *services, struct ipcl_error *error)
{
    return set_create(services, SSH_ONE_CLASS, error);
}

void *ssh_proxy_create(const struct ipcl_launcher_services *services, struct ipcl_error *error)
{
    return set_create(services, SSH_PROXY_CLASS, error);
}

void *ssh_controller_create(const struct ipcl_launcher_services *services, struct ipcl_error *error)
{
    struct ssh_set *set = set_create(services, SSH_CONTROLLER_CLASS, error);
    if (set)
        set->controller = true;
    return set;
}

/* Looking after hosts */

void ssh_set_exited(void *self, int64_t pid, int status, int signum)
{
    struct ssh_set *set = self;
    for (size_t i = 0; i < set->host_count; i++) {
        struct ssh_host *host = &set->hosts[i];
        if (host->pid == pid)
            host->exited = true, host->status = status, host->signum = signum;
    }
    ssh_set_poll(set);
}

static void poll_hosts(void *self)
{
    struct ssh_set *set = self;
    set->polling = false;
    for (size_t i = 0; i < set->host_count; i++)
        ssh_host_poll(&set->hosts[i]);
    ssh_set_poll(set);
}

void ssh_set_poll(struct ssh_set *set)
{
    struct ipcl_error error;
    bool some = false, soon = set->stopping;
    for (size_t i = 0; i < set->host_count; i++) {
        some = some || set->hosts[i].pid > 0;
        soon = soon || set->hosts[i].exited || set->hosts[i].state < SSH_RUNNING ||
               set->hosts[i].queue.size > 0;
    }
    if (!some || set->polling)
        return;
    set->polling = set->services->timer(set->services->base.host, soon ? POLL_MS : POLL_IDLE_MS,
                                        poll_hosts, &error) == 0;
}

/* Removes the folder of the connections when all have ended. Only they have files in it. */
static void remove_folder(struct ssh_set *set)
{
    DIR *entries = *set->folder ? opendir(set->folder) : NULL;
    const struct dirent *entry;
    while (entries && (entry = readdir(entries)))
        unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
    if (*set->folder)
        rmdir(set->folder);
    set->folder[0] = '\0';
}

void ssh_set_changed(struct ssh_set *set)
{
    bool starting = false, gone = true;
    for (size_t i = 0; i < set->host_count; i++) {
        starting = starting || set->hosts[i].state < SSH_RUNNING;
        gone = gone && set->hosts[i].pid == 0;
    }
    if (gone)
        remove_folder(set);
    if (set->restoring || set->alive == 0)
        return;
    if (!starting && !set->told_started && !set->taken_over) {
        set->told_started = true;
        set->services->started(set->services->base.host);
    }
    set->services->status(set->services->base.host, ""); /* what to_json() says is saved */
}

void ssh_set_copy_ended(struct ssh_set *set, unsigned index, int status, const char *reason)
{
    struct ssh_copy *copy = &set->copies[index];
    if (copy->ended)
        return;
    copy->ended = true;
    set->alive--;
    set->services->stopped(set->services->base.host, set->proxy ? IPCL_ALL_COPIES : index, status,
                           reason);
}

void ssh_set_go_without(struct ssh_host *host)
{
    struct ssh_set *set = host->set;
    char text[SSH_LINE_BYTES + 300];
    unsigned missing = 0;
    for (unsigned i = host->first; i < host->first + host->count; i++) {
        if (set->copies[i].pid || set->copies[i].ended)
            continue;
        if (set->stopping || set->controller || set->proxy || set->again) {
            snprintf(text, sizeof(text), "%.200s: %s", host->name, host->problem);
            ssh_set_copy_ended(set, i, set->stopping ? 0 : 255, set->stopping ? NULL : text);
            continue;
        }
        set->copies[i].ended = true;
        set->alive--;
        missing++;
    }
    if (!missing)
        return;
    snprintf(text, sizeof(text), "%.200s: %s; %u engine%s fewer", host->name, host->problem,
             missing, missing == 1 ? "" : "s");
    set->services->resize(set->services->base.host, set->alive, text);
}

/* Starting */

/* Its name is short, because paths of sockets have to be short. */
static void name_folder(struct ssh_set *set)
{
    const char *given = getenv("TMPDIR");
    bool short_enough =
        given && *given == '/' && strlen(given) < 60 &&
        !given[strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")];
    snprintf(set->folder, sizeof(set->folder), "%s/ipcluster-ssh-XXXXXX",
             short_enough ? given : "/tmp");
}

/* A folder that nobody else can enter. */
static int make_folder(struct ssh_set *set, struct ipcl_error *error)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char noise[SSH_TOKEN_BYTES / 2];
    name_folder(set);
    if (!mkdtemp(set->folder)) {
        ipcl_error_set(error, "cannot make a folder %s: %s", set->folder, strerror(errno));
        set->folder[0] = '\0';
        return -1;
    }
    if (getrandom(noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
        return ipcl_error_set(error, "no random bytes: %s", strerror(errno));
    for (size_t i = 0; i < 2 * sizeof(noise); i++)
        set->token[i] = hex[noise[i / 2] >> (i % 2 ? 0 : 4) & 15];
    return trust_check(set->folder, error);
}

/* Decides how many of the requested engines there will be, and which host has which. */
static int deal(struct ssh_set *set, const struct ssh_plan *plan, const struct ipcl_launch *launch,
                struct ipcl_error *error)
{
    unsigned asked = set->proxy ? 1 : launch->count;
    set->first = launch->first;
    set->again = launch->beside;
    unsigned wanted = launch->any_count ? plan->slots : asked, left = wanted;
    char text[160];
    if (!plan->slots && launch->beside)
        return ipcl_error_set(
            error, "all places of the hosts are in use: add hosts, or engines on a host, as "
                   "another engine set with ipcluster engines");
    if (!plan->slots)
        return ipcl_error_set(error,
                              "there is no host to start engines on: name hosts, and how many "
                              "engines each takes, with --%s.engines=HOST=N (once for each host), "
                              "in the profile, or in a file with --%s.hosts_file",
                              set->class_name, set->class_name);
    set->hosts = calloc(plan->count, sizeof(*set->hosts));
    for (size_t i = 0; set->hosts && i < plan->count && left > 0; i++) {
        struct ssh_host *host = &set->hosts[set->host_count];
        unsigned count = plan->places[i].slots < left ? plan->places[i].slots : left;
        if (!count)
            continue;
        *host = (struct ssh_host){.set = set,
                                  .number = (unsigned)i,
                                  .first = wanted - left,
                                  .count = count,
                                  .input = -1,
                                  .output = -1};
        host->name = strdup(plan->places[i].name);
        host->destination = strdup(plan->places[i].destination);
        host->arguments = ssh_command_arguments(set, &plan->places[i]);
        set->host_count++;
        left -= count;
        if (!host->name || !host->destination || !host->arguments)
            return ipcl_error_set(error, "no memory for the host %s", plan->places[i].name);
    }
    set->count = set->alive = wanted - left;
    set->copies = calloc(set->count ? set->count : 1, sizeof(*set->copies));
    if (!set->hosts || !set->copies)
        return ipcl_error_set(error, "no memory for %u engines", wanted);
    snprintf(text, sizeof(text), "%u engines were asked for, and the hosts take %u", wanted,
             set->count);
    if (set->count != asked)
        set->services->resize(set->services->base.host, set->count, left ? text : NULL);
    return 0;
}

/* Connects to all. One that cannot even be tried is left out. */
static void connect_all(struct ssh_set *set, const struct ssh_plan *plan,
                        const struct ipcl_launch *launch)
{
    for (size_t i = 0; i < set->host_count; i++) {
        struct ssh_host *host = &set->hosts[i];
        struct text agent = {.bytes = NULL};
        struct ipcl_error error;
        ssh_agent_start(host, &plan->places[host->number], launch, &agent);
        if (ssh_host_connect(host, &agent, &error) < 0) {
            snprintf(host->problem, sizeof(host->problem), "%s", error.text);
            host->pid = 0;
            host->state = SSH_GONE;
            ssh_set_go_without(host);
        }
        text_clear(&agent);
    }
    ssh_set_poll(set);
}

/* Which hosts there are, by the settings of the class. Returns 0 or -1 with `error` set. */
static int plan_hosts(const struct ssh_set *set, const struct ipcl_launch *launch,
                      struct ssh_plan *plan, struct ipcl_error *error)
{
    const struct ipcl_services *base = &set->services->base;
    if (!strcmp(set->class_name, SSH_SET_CLASS)) {
        if (ssh_plan_read(plan, base->option_list(base->host, SSH_SET_CLASS, "engines", NULL),
                          base->option_string(base->host, SSH_SET_CLASS, "hosts_file"), error) < 0)
            return -1;
        for (const char *const *state = launch->beside; state && *state; state++)
            ssh_state_take_places(*state, plan);
        return 0;
    }
    const char *location = base->option_string(base->host, set->class_name, "location");
    const char *name = base->option_string(base->host, set->class_name, "hostname");
    if (!*location && !*name)
        return ipcl_error_set(error, "name the host with --%s.location=[user@]host",
                              set->class_name);
    return ssh_plan_add(plan, *location ? location : name,
                        launch->any_count || set->proxy ? 1 : launch->count, NULL, error);
}

/* Reads a file that is to be sent, HERE=THERE. Returns 0 or -1 with `error` set. */
static int read_file(struct text *files, const char *word, struct ipcl_error *error)
{
    const char *there = strchr(word, '=') + 1;
    char here[SSH_PATH_BYTES], chunk[8192];
    struct stat status;
    struct text bytes = {.bytes = NULL};
    ssize_t size;
    snprintf(here, sizeof(here), "%.*s", (int)(there - 1 - word), word);
    int fd = trust_open(here, O_RDONLY, 0, NULL, error);
    if (fd < 0)
        return -1;
    bool good = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    while (good && (size = read(fd, chunk, sizeof(chunk))) > 0)
        text_add_bytes(&bytes, chunk, (size_t)size);
    close(fd);
    there += !strncmp(there, "~/", 2) ? 2 : 0;
    text_format(files, "file %zu %s\n", bytes.size, there);
    text_add_bytes(files, bytes.size ? bytes.bytes : "", bytes.size);
    good = good && !bytes.failed && !files->failed && *there && !strchr(there, '\n');
    text_clear(&bytes);
    return good ? 0 : ipcl_error_set(error, "%s cannot be sent to %s", here, there);
}

/* Finds out how engines reach the controller, and how an ipcluster on a host reaches its hub.
 * Returns 0 or -1 with `error` set. */
static int find_controller(struct ssh_set *set, const struct ipcl_launch *launch,
                           struct ipcl_error *error)
{
    if (set->controller)
        return asprintf(&set->file_stem, "%s/security/ipcontroller%s%s", launch->profile_dir,
                        *launch->cluster_id ? "-" : "", launch->cluster_id) < 0
                   ? ipcl_error_set(error, "no memory for the paths of connection files")
                   : 0;
    set->connection = ssh_connection_read(launch->profile_dir, launch->cluster_id, "engine", error);
    if (set->proxy && set->connection)
        set->clients =
            ssh_connection_read(launch->profile_dir, launch->cluster_id, "client", error);
    set->here = ssh_connection_is_here(set->connection) || ssh_connection_is_here(set->clients);
    return set->connection && (set->clients || !set->proxy) ? 0 : -1;
}

/* Takes the settings that are the same for all hosts. Returns 0 or -1 with `error` set. */
static int take_settings(struct ssh_set *set, const struct ipcl_launch *launch,
                         struct ipcl_error *error)
{
    const struct ipcl_services *base = &set->services->base;
    const char *const *send = base->option_list(base->host, set->class_name, "to_send", NULL);
    set->log_dir = strdup(launch->log_dir);
    set->label = strdup(launch->label);
    set->command = list_copy(base->option_list(base->host, set->class_name, "ssh_cmd", NULL));
    if (!set->log_dir || !set->label || !set->command)
        return ipcl_error_set(error, "no memory to start engines through ssh");
    if (!set->command[0])
        return ipcl_error_set(error, "%s.ssh_cmd is empty", set->class_name);
    for (; send && *send; send++)
        if (read_file(&set->files, *send, error) < 0)
            return -1;
    return 0;
}

int ssh_set_start(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct ssh_set *set = self;
    struct ssh_plan plan = {.places = NULL};
    int outcome = plan_hosts(set, launch, &plan, error);
    if (outcome == 0)
        outcome = take_settings(set, launch, error);
    if (outcome == 0)
        outcome = find_controller(set, launch, error);
    if (outcome == 0 && (make_folder(set, error) < 0 || deal(set, &plan, launch, error) < 0)) {
        remove_folder(set);
        outcome = -1;
    }
    if (outcome == 0)
        connect_all(set, &plan, launch);
    ssh_plan_clear(&plan);
    return outcome;
}

char *ssh_set_preview(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct ssh_set *set = self;
    struct ssh_plan plan = {.places = NULL};
    struct text text = {.bytes = NULL};
    int outcome = plan_hosts(set, launch, &plan, error);
    if (outcome == 0)
        outcome = take_settings(set, launch, error);
    name_folder(set);
    if (outcome == 0)
        outcome = deal(set, &plan, launch, error);
    for (size_t i = 0; outcome == 0 && i < set->host_count; i++)
        ssh_agent_preview(&set->hosts[i], &plan.places[set->hosts[i].number], launch, &text);
    if (outcome == 0 && text.failed)
        ipcl_error_set(error, "no memory");
    ssh_plan_clear(&plan);
    return outcome == 0 && !text.failed ? text.bytes : NULL;
}

/* Signals, and the end */

int ssh_set_signal(void *self, int signum, struct ipcl_error *error)
{
    struct ssh_set *set = self;
    (void)error;
    for (size_t i = 0; i < set->host_count; i++)
        ssh_host_tell(&set->hosts[i], "signal", signum);
    return 0;
}

/* A host that has not ended its engines by now does not answer. */
static void cut_off(void *self)
{
    struct ssh_set *set = self;
    for (size_t i = 0; i < set->host_count; i++)
        ssh_host_cut(&set->hosts[i]);
}

int ssh_set_stop(void *self, struct ipcl_error *error)
{
    struct ssh_set *set = self;
    set->stopping = true;
    for (size_t i = 0; i < set->host_count; i++) {
        struct ssh_host *host = &set->hosts[i];
        if (host->state == SSH_LOST)
            ssh_event_clean(host);
        else if (host->state < SSH_STARTING)
            ssh_host_cut(host);
        else
            ssh_host_tell(host, "stop", (int)set->grace_s);
    }
    return set->services->timer(set->services->base.host, set->grace_s * 1000 + SLACK_MS, cut_off,
                                error);
}

int ssh_set_output(void *self, unsigned index, char *path, size_t path_bytes)
{
    const struct ssh_set *set = self;
    for (size_t i = 0; i < set->host_count; i++)
        if (set->proxy || index - set->hosts[i].first < set->hosts[i].count)
            return ssh_host_output(&set->hosts[i], path, path_bytes);
    return -1;
}
