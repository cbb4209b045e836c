/* Controllers that were started by hand: finding them, and ending them in order. */
#include "cluster/watch/by_hand.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ending.h"
#include "base/trust.h"
#include "cluster/watch/hub_watch.h"
#include "config/profile.h"
#include "wire/connection.h"

#define HUB_MS      5000  /* for the hub of a controller that runs */
#define PROBE_MS    1000  /* for that of a connection file that may be old */
#define STOPPING_MS 30000 /* for the controller, which writes down what it records */
#define KILLED_MS   5000
#define LOOK_MS     20

/* A controller holds a lock on its pid file for as long as it lives; so it does not matter whose
 * the number in the file is by now. */
static bool is_held(const char *path)
{
    int fd = trust_open(path, O_RDONLY | O_NONBLOCK, 0, NULL, NULL);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    return held;
}

bool by_hand_holds(const char *profile_dir, const char *cluster_id)
{
    char path[PATH_BYTES];
    return profile_pid_file(profile_dir, cluster_id, path, NULL) == 0 && is_held(path);
}

/* The process, and below it the host: "" in a file that another version has written. */
static void read_pid_file(const char *path, struct by_hand *found)
{
    char here[STATE_TEXT_BYTES] = "";
    size_t size;
    char *text = path_read_file(path, 2 * STATE_TEXT_BYTES, &size, NULL);
    if (!text)
        return;
    sscanf(text, "%" SCNd64 " %255s", &found->pid, found->host);
    free(text);
    gethostname(here, sizeof(here) - 1);
    found->elsewhere = *found->host && strcmp(here, found->host) != 0;
}

bool by_hand_find(struct registry *registry, const char *profile_dir, const char *cluster_id,
                  struct by_hand *found)
{
    char path[PATH_BYTES];
    struct ipcl_error error;
    *found = (struct by_hand){.engines = -1};
    snprintf(found->cluster_id, sizeof(found->cluster_id), "%s", cluster_id);
    if (profile_pid_file(profile_dir, cluster_id, path, &error) ||
        connection_path(profile_dir, cluster_id, CONNECTION_CLIENT, found->client_file, &error))
        return false;
    read_pid_file(path, found);
    if (!found->elsewhere && !is_held(path))
        found->pid = 0;
    if (path_exists(found->client_file))
        found->engines =
            hub_count_engines(registry, found->client_file,
                              found->pid && !found->elsewhere ? HUB_MS : PROBE_MS, &error);
    return found->pid > 0 || found->engines >= 0;
}

/* Calls `visit` for the cluster ids in the names of a folder's files, "ipcontroller[-ID]SUFFIX". */
static void each_id(const char *folder, const char *suffix,
                    void (*visit)(void *context, const char *cluster_id), void *context)
{
    const char *stem = "ipcontroller";
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char *id = entries[i]->d_name;
        size_t length = strlen(id), end = strlen(suffix);
        if (strncmp(id, stem, strlen(stem)) == 0 && length >= strlen(stem) + end &&
            strcmp(id + length - end, suffix) == 0) {
            id[length - end] = '\0';
            id += strlen(stem);
            if (!*id || (*id == '-' && id[1]))
                visit(context, *id ? id + 1 : id);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

struct by_hand_search {
    struct registry *registry;
    const char *profile_dir;
    void (*visit)(void *context, const struct by_hand *found);
    void *context;
};

static void look_at(void *context, const char *cluster_id)
{
    const struct by_hand_search *search = context;
    struct by_hand found;
    if (by_hand_find(search->registry, search->profile_dir, cluster_id, &found))
        search->visit(search->context, &found);
}

/* Those with a pid file were looked at before. */
static void look_at_others(void *context, const char *cluster_id)
{
    const struct by_hand_search *search = context;
    char path[PATH_BYTES];
    if (profile_pid_file(search->profile_dir, cluster_id, path, NULL) == 0 && !path_exists(path))
        look_at(context, cluster_id);
}

void by_hand_each(struct registry *registry, const char *profile_dir,
                  void (*visit)(void *context, const struct by_hand *found), void *context)
{
    struct by_hand_search search = {registry, profile_dir, visit, context};
    char folder[PATH_BYTES];
    if (path_format(folder, NULL, "%s/pid", profile_dir) == 0)
        each_id(folder, ".pid", look_at, &search);
    if (path_format(folder, NULL, "%s/security", profile_dir) == 0)
        each_id(folder, "-client.json", look_at_others, &search);
}

static bool runs(struct registry *registry, const struct by_hand *found, int64_t born)
{
    struct ipcl_error error;
    return found->pid ? process_runs(found->pid, born)
                      : hub_count_engines(registry, found->client_file, PROBE_MS, &error) >= 0;
}

/* Whether it has gone within that time. */
static bool wait_for_end(struct registry *registry, const struct by_hand *found, int64_t born,
                         int patience_ms)
{
    long long end = clock_ms() + patience_ms;
    while (runs(registry, found, born)) {
        if (clock_ms() > end)
            return false;
        usleep(LOOK_MS * 1000);
    }
    return true;
}

bool by_hand_stop(struct registry *registry, struct progress *progress, const struct by_hand *found)
{
    struct ipcl_error error;
    int64_t born = process_born(found->pid);
    char process[48] = "";
    bool asked = found->engines >= 0, engines_left = false;
    if (found->pid)
        snprintf(process, sizeof(process), ", process %" PRId64, found->pid);
    progress_say(progress, "Stopping a controller that was started by hand%s", process);
    if (found->engines > 0)
        progress_say(progress, "Asking its %d engine%s to end", found->engines,
                     found->engines == 1 ? "" : "s");
    if (asked && hub_end(registry, found->client_file, ENDING_AWAITED_MS, &error) < 0) {
        progress_fail(progress, "%s", error.text);
        engines_left = true;
    }
    bool ended = asked && wait_for_end(registry, found, born, STOPPING_MS);
    if (!ended && found->pid) {
        kill((pid_t)found->pid, SIGTERM);
        ended = wait_for_end(registry, found, born, STOPPING_MS);
    }
    if (!ended && found->pid) {
        progress_say(progress, "It has not ended: killing it");
        kill((pid_t)found->pid, SIGKILL);
        ended = wait_for_end(registry, found, born, KILLED_MS);
    }
    return ended && !engines_left;
}
