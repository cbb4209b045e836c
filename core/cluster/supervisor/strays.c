/* Processes that a supervisor had started and not yet noted in its state file when it was
 * killed. */
#include "cluster/supervisor/strays.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/ending.h"
#include "base/log.h"

#define KILLED_MS 5000 /* after SIGKILL */

struct strays {
    struct children *children;
    const struct state *state;
    uv_timer_t timer;
    char mark[PROCESS_MARK_BYTES];
    unsigned count; /* found */
    unsigned left;
};

static void stray_ended(void *self, int64_t pid, int status, int signum)
{
    struct strays *strays = self;
    log_info("process %" PRId64 " ended with status %d, signal %d", pid, status, signum);
    if (--strays->left == 0)
        uv_timer_stop(&strays->timer);
}

/* Each leads the session of what it starts itself. */
static void adopt_stray(void *context, const struct seen_process *process)
{
    struct strays *strays = context;
    struct ipcl_error error;
    if (process->session != process->pid || !process_is_marked(process->pid, strays->mark) ||
        state_names(strays->state, process->pid))
        return;
    if (children_adopt(strays->children, process->pid, process->born, stray_ended, strays, &error) <
        0)
        return; /* it has just gone */
    strays->count++;
    strays->left++;
}

static void signal_strays(struct strays *strays, int signum)
{
    struct ipcl_error error;
    size_t index;
    json_t *process, *processes = children_list(strays->children, strays);
    json_array_foreach (processes, index, process)
        children_kill(strays->children, json_integer_value(json_array_get(process, 0)), signum,
                      &error);
    json_decref(processes);
}

static void give_up(uv_timer_t *timer)
{
    struct strays *strays = timer->data;
    log_warn("%u processes do not end", strays->left);
    children_forget(strays->children, strays);
    strays->left = 0;
}

static void kill_strays(uv_timer_t *timer)
{
    signal_strays(timer->data, SIGKILL);
    uv_timer_start(timer, give_up, KILLED_MS, 0);
}

static void closed(uv_handle_t *handle)
{
    handle->data = NULL;
}

void strays_end(uv_loop_t *loop, struct children *children, struct progress *progress,
                const struct state *state)
{
    struct strays strays = {.children = children, .state = state};
    process_mark(state->pid, state->born, strays.mark);
    processes_walk(adopt_stray, &strays);
    if (strays.count == 0)
        return;
    progress_say(progress, "Ending %u process%s that had just been started", strays.count,
                 strays.count == 1 ? "" : "es");
    uv_timer_init(loop, &strays.timer);
    strays.timer.data = &strays;
    uv_timer_start(&strays.timer, kill_strays, ENDING_AWAITED_MS, 0);
    signal_strays(&strays, SIGTERM);
    while (strays.left > 0)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&strays.timer, closed);
    while (strays.timer.data)
        uv_run(loop, UV_RUN_ONCE);
}
