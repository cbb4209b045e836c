/* State files of clusters: what is read is what was written, and which process has written it. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/state/cluster_file.h"
#include "cluster/state/state.h"
#include "unit.h"

static char folder[PATH_BYTES];

static void open_folder(void)
{
    unit_make_folder(folder);
}

static void close_folder(void)
{
    unit_remove_folder(folder);
}

TestSuite(state, .init = open_folder, .fini = close_folder);

/* Writes the state of a cluster whose engines are this very process. */
static void write_state(struct state *state, const char *cluster_id, bool engines_only)
{
    struct ipcl_error error;
    cr_assert_eq(state_init(state, "/profile", folder, cluster_id, engines_only, &error), 0);
    strcpy(state->phase, "running");
    struct state_set *set = state_add_set(state, "first", &error);
    set->n = 3;
    strcpy(set->job.class_name, "AnyLauncher");
    set->job.own = json_pack("{s:s}", "its", "own");
    set->job.processes = json_pack("[[I,I]]", (json_int_t)state->pid, (json_int_t)state->born);
    cr_assert(state_add_set(state, "waits", &error));
    cr_assert_eq(state_write(state, &error), 0, "%s", error.text);
}

/* Keeps the last of the states that are visited. */
static int keep(void *context, struct state *state)
{
    struct ipcl_error error;
    return state_copy(context, state, &error);
}

Test(state, is_read_as_it_was_written)
{
    struct state written, read;
    write_state(&written, "a", true);
    state_each(folder, keep, &read);
    cr_assert_str_eq(read.path, written.path);
    cr_assert_str_eq(read.cluster_id, "a");
    cr_assert_str_eq(read.label, written.label);
    cr_assert(read.engines_only);
    cr_assert_null(read.controller.own);
    cr_assert_eq(state_process_left(&read.controller), 0);
    cr_assert_eq(state_engine_count(&read), 3);
    const struct state_set *set = read.sets;
    cr_assert_str_eq(set->name, "first");
    cr_assert(json_equal(set->job.own, written.sets->job.own));
    cr_assert_eq(state_process_left(&set->job), written.pid);
    cr_assert_str_eq(set->next->name, "waits");
    cr_assert_null(set->next->job.own);
    cr_assert_null(set->next->next);
    state_clear(&read);
    state_clear(&written);
}

/* The words of a batch system, cut in the middle of a character. */
Test(state, is_written_also_where_a_launcher_says_what_is_no_text)
{
    struct ipcl_error error;
    struct state written, read;
    write_state(&written, "", false);
    strcpy(written.sets->job.status, "waits for caf\xc3");
    cr_assert_eq(state_write(&written, &error), 0, "%s", error.text);
    state_each(folder, keep, &read);
    cr_assert_str_eq(read.sets->job.status, "waits for caf?");
    state_clear(&read);
    state_clear(&written);
}

Test(state, is_not_taken_for_that_of_a_cluster_that_came_in_its_place)
{
    struct ipcl_error error;
    struct state first, second;
    write_state(&first, "", false);
    second = first;
    strcpy(second.phase, "stopping");
    cr_assert_eq(state_write(&second, &error), 0);
    cr_assert(state_refresh(&first));
    cr_assert_str_eq(first.phase, "stopping");
    second = first;
    second.born++;
    cr_assert_eq(state_write(&second, &error), 0);
    cr_assert_not(state_refresh(&first));
    state_remove(&first);
    cr_assert_not(state_refresh(&first));
    cr_assert_eq(state_process_left(&first.sets->job), first.pid);
    state_clear(&first);
}

Test(state, that_cannot_be_read_is_known_by_its_name_and_says_what_to_do)
{
    static const struct {
        const char *name;
        const char *cluster_id;
        bool engines_only;
    } files[] = {
        {"ipcluster.json", "", false},
        {"ipcluster-a-b.json", "a-b", false},
        {"ipcluster.engines-7.json", "", true},
        {"ipcluster-a-b.engines-7.json", "a-b", true},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        char path[PATH_BYTES];
        struct ipcl_error error;
        struct state state;
        path_format(path, &error, "%s/%s", folder, files[i].name);
        unit_write(path, "{\"version\": 1");
        state_each(folder, keep, &state);
        cr_assert_eq(state.pid, -1);
        cr_assert_str_eq(state.path, path);
        cr_assert_str_eq(state.cluster_id, files[i].cluster_id);
        cr_assert_eq(state.engines_only, files[i].engines_only);
        cr_assert(strstr(state.error.text, path) && strstr(state.error.text, "remove the file"));
        state_remove(&state);
    }
}

static ino_t file_number(const char *path)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    return status.st_ino;
}

Test(state, is_told_to_ipyparallel_anew_only_where_it_tells_something_else)
{
    struct ipcl_error error;
    struct state state;
    char pid[PATH_BYTES + 8], security[PATH_BYTES + 16], file[PATH_BYTES + 32];
    snprintf(pid, sizeof(pid), "%s/pid", folder);
    snprintf(security, sizeof(security), "%s/security", folder);
    snprintf(file, sizeof(file), "%s/cluster-a.json", security);
    cr_assert(mkdir(pid, 0700) == 0 && mkdir(security, 0700) == 0);
    cr_assert_eq(state_init(&state, folder, pid, "a", false, &error), 0);
    cr_assert_eq(state_write(&state, &error), 0, "%s", error.text);
    cluster_file_update(folder, "a");
    ino_t first = file_number(file);
    strcpy(state.phase, "running");
    cr_assert_eq(state_write(&state, &error), 0, "%s", error.text);
    cluster_file_update(folder, "a");
    cr_assert_eq(file_number(file), first);
    cr_assert_eq(link(file, strcat(security, "/kept")), 0); /* keeps its inode number in use */
    state_add_set(&state, "first", &error)->n = 3;
    cr_assert_eq(state_write(&state, &error), 0, "%s", error.text);
    cluster_file_update(folder, "a");
    cr_assert_neq(file_number(file), first);
    state_clear(&state);
}

static void count(void *context, const struct seen_process *process)
{
    (void)process;
    ++*(unsigned *)context;
}

/* One that has ended and has left nothing, with the time at which it was started. */
static pid_t ended_process(int64_t *born)
{
    int gate[2];
    char byte;
    cr_assert_eq(pipe(gate), 0);
    pid_t pid = fork();
    if (!pid) {
        close(gate[1]);
        _exit(setsid() < 0 || read(gate[0], &byte, 1) != 0);
    }
    *born = process_born(pid);
    close(gate[0]);
    close(gate[1]);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    return pid;
}

Test(processes, count_as_running_while_descriptors_are_too_short_to_look)
{
    struct rlimit limit, none;
    struct ipcl_error error;
    struct state state;
    unsigned seen = 0;
    int64_t born;
    pid_t gone = ended_process(&born);
    cr_assert(born >= 0 && !process_runs(gone, born) && !process_left(gone, born));
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool runs = process_runs(gone, born), left = process_left(gone, born),
         all = processes_walk(count, &seen);
    int status = state_init(&state, "/profile", "/profile/pid", "", false, &error);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert(runs && left && !all && seen == 0);
    cr_assert(status == -1 && strstr(error.text, "/proc"), "%s", error.text);
    cr_assert(!process_runs(gone, born) && !process_left(gone, born));
    cr_assert(processes_walk(count, &seen) && seen > 0);
}
