/* One launcher at work: the class that a plugin offers, and the services that it gets, on the event
 * loop. */
#include "cluster/launching/launcher.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cluster/batch/batch.h"
#include "cluster/launching/command_run.h"
#include "cluster/launching/plugin_call.h"
#include "cluster/state/processes.h"
#include "cluster/batch/template.h"
#include "plugin/services.h"

struct launcher_timer {
    struct launcher_timer *next;
    struct launcher *launcher;
    uv_timer_t timer;
    void (*fire)(void *self); /* or, with a context: */
    void (*fire_context)(void *self, void *context);
    void *context;
};

struct launcher {
    struct services_host base; /* first: the plain services find their launcher here */
    struct launcher_options options;
    struct ipcl_launcher_services services;
    struct launcher_timer *timers;
    struct command_run *commands;
    char *shown; /* of a dry run */
    unsigned stop_ms;
    bool elsewhere;
    void *self;
};

static void begin_call(const struct launcher *launcher, struct plugin_call *call,
                       const char *function)
{
    plugin_call_begin(call, launcher->options.class->name, launcher->base.plugin_name, function);
}

/* A dry run: a command line, each once in a row. */
static void show_command(struct launcher *launcher, const char *const *argv)
{
    char *line = template_quote(argv);
    if (line && (!launcher->shown || strcmp(launcher->shown, line) != 0))
        fprintf(launcher->options.dry, "%s\n", line);
    free(launcher->shown);
    launcher->shown = line;
}

static int64_t service_spawn(void *context, const struct ipcl_spawn *spawn,
                             struct ipcl_error *error)
{
    struct launcher *launcher = context;
    if (launcher->options.dry) {
        show_command(launcher, spawn->argv);
        return INT64_MAX;
    }
    struct workplace_back back;
    plugin_call_goes_on();
    workplace_enter(launcher->options.place, &back);
    int64_t pid = children_spawn(launcher->options.children, spawn, launcher->self, error);
    workplace_leave(launcher->options.place, &back);
    return pid;
}

static int service_adopt(void *context, int64_t pid, int64_t born,
                         void (*exited)(void *self, int64_t pid, int status, int signum),
                         struct ipcl_error *error)
{
    struct launcher *launcher = context;
    plugin_call_goes_on();
    return children_adopt(launcher->options.children, pid, born, exited, launcher->self, error);
}

static int64_t service_process_born(void *context, int64_t pid)
{
    (void)context;
    return process_born(pid);
}

static int service_kill(void *context, int64_t pid, int signum, struct ipcl_error *error)
{
    struct launcher *launcher = context;
    return children_kill(launcher->options.children, pid, signum, error);
}

/* Runs a command as command_run() says. */
static int run(struct launcher *launcher, const struct ipcl_command *command,
               void (*merged)(void *self, int status, const char *output), struct ipcl_error *error)
{
    struct workplace_back back;
    workplace_enter(launcher->options.place, &back);
    int outcome = command_run(launcher->options.loop, &launcher->commands, command, merged,
                              launcher->self, error);
    workplace_leave(launcher->options.place, &back);
    return outcome;
}

static int service_run(void *context, const char *const *argv, const char *input,
                       void (*done)(void *self, int status, const char *output),
                       struct ipcl_error *error)
{
    struct launcher *launcher = context;
    const struct ipcl_command command = {.argv = argv, .input = input};
    if (launcher->options.dry) {
        done(launcher->self, -1, "");
        return 0;
    }
    return run(launcher, &command, done, error);
}

static int service_run_command(void *context, const struct ipcl_command *command,
                               struct ipcl_error *error)
{
    struct launcher *launcher = context;
    if (launcher->options.dry) {
        show_command(launcher, command->argv);
        return 0;
    }
    return run(launcher, command, NULL, error);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

static void unlink_timer(struct launcher_timer *timer)
{
    struct launcher_timer **link = &timer->launcher->timers;
    while (*link != timer)
        link = &(*link)->next;
    *link = timer->next;
    uv_close((uv_handle_t *)&timer->timer, free_handle);
}

static void timer_fired(uv_timer_t *handle)
{
    struct launcher_timer *timer = handle->data;
    void *self = timer->launcher->self;
    struct plugin_call call;
    unlink_timer(timer);
    begin_call(timer->launcher, &call, "a timer's function");
    if (timer->fire)
        timer->fire(self);
    else
        timer->fire_context(self, timer->context);
    plugin_call_end(&call);
}

static struct launcher_timer *start_timer(struct launcher *launcher, unsigned delay_ms,
                                          struct ipcl_error *error)
{
    struct launcher_timer *timer = calloc(1, sizeof(*timer));
    if (!timer) {
        ipcl_error_set(error, "no memory for a timer");
        return NULL;
    }
    uv_timer_init(launcher->options.loop, &timer->timer);
    timer->timer.data = timer;
    timer->launcher = launcher;
    timer->next = launcher->timers;
    launcher->timers = timer;
    uv_update_time(launcher->options.loop); /* starting processes takes its time */
    uv_timer_start(&timer->timer, timer_fired, delay_ms, 0);
    return timer;
}

static int service_timer(void *context, unsigned delay_ms, void (*fire)(void *self),
                         struct ipcl_error *error)
{
    struct launcher_timer *timer = start_timer(context, delay_ms, error);
    if (timer)
        timer->fire = fire;
    return timer ? 0 : -1;
}

static void *service_timer_start(void *context, unsigned delay_ms,
                                 void (*fire)(void *self, void *context), void *fire_context,
                                 struct ipcl_error *error)
{
    struct launcher_timer *timer = start_timer(context, delay_ms, error);
    if (timer) {
        timer->fire_context = fire;
        timer->context = fire_context;
    }
    return timer;
}

static void service_timer_stop(void *context, void *timer)
{
    (void)context;
    if (timer)
        unlink_timer(timer);
}

static void service_log(void *context, enum ipcl_log_level level, const char *text)
{
    struct launcher *launcher = context;
    if (level > IPCL_LOG_WARN)
        log_write(level, "%s: %s", launcher->base.plugin_name, text);
    else if (log_enabled(level))
        launcher->options.events.warned(launcher->options.events.context, text);
}

static void service_started(void *context)
{
    struct launcher *launcher = context;
    launcher->options.events.started(launcher->options.events.context, IPCL_ALL_COPIES);
}

static void service_started_some(void *context, unsigned count)
{
    struct launcher *launcher = context;
    launcher->options.events.started(launcher->options.events.context, count);
}

static void service_status(void *context, const char *text)
{
    struct launcher *launcher = context;
    launcher->options.events.status(launcher->options.events.context, text);
}

static void service_stopped(void *context, unsigned index, int status, const char *reason)
{
    struct launcher *launcher = context;
    launcher->options.events.stopped(launcher->options.events.context, index, status, reason);
}

static void service_explain(void *context, unsigned index, const char *reason, bool cut_short)
{
    struct launcher *launcher = context;
    launcher->options.events.explained(launcher->options.events.context, index, reason, cut_short);
}

static void service_waiting(void *context, unsigned count)
{
    struct launcher *launcher = context;
    launcher->options.events.waiting(launcher->options.events.context, count);
}

static void service_resize(void *context, unsigned count, const char *why)
{
    struct launcher *launcher = context;
    launcher->options.events.resized(launcher->options.events.context, count, why);
}

static void service_stop_takes(void *context, unsigned stop_ms)
{
    struct launcher *launcher = context;
    launcher->stop_ms = stop_ms;
}

static void service_starts_elsewhere(void *context)
{
    struct launcher *launcher = context;
    launcher->elsewhere = true;
}

static void expect(const struct launcher *launcher, const char *what, struct ipcl_error *error)
{
    ipcl_error_set(error, "the launcher %s %s and gave no reason", launcher->options.class->name,
                   what);
}

struct launcher *launcher_create(const struct launcher_options *options, struct ipcl_error *error)
{
    struct launcher *launcher = calloc(1, sizeof(*launcher));
    if (!launcher) {
        ipcl_error_set(error, "no memory for the launcher %s", options->class->name);
        return NULL;
    }
    launcher->base.plugin_name = options->plugin->name;
    launcher->base.settings = options->settings;
    launcher->options = *options;
    services_init(&launcher->services.base, &launcher->base);
    launcher->services.base.log = service_log;
    launcher->services.spawn = service_spawn;
    launcher->services.adopt = service_adopt;
    launcher->services.process_born = service_process_born;
    launcher->services.kill = service_kill;
    launcher->services.run = service_run;
    launcher->services.timer = service_timer;
    launcher->services.started = service_started;
    launcher->services.stopped = service_stopped;
    launcher->services.started_some = service_started_some;
    launcher->services.status = service_status;
    launcher->services.run_command = service_run_command;
    launcher->services.timer_start = service_timer_start;
    launcher->services.timer_stop = service_timer_stop;
    launcher->services.resize = service_resize;
    launcher->services.stop_takes = service_stop_takes;
    launcher->services.starts_elsewhere = service_starts_elsewhere;
    launcher->services.explain = service_explain;
    launcher->services.waiting = service_waiting;
    launcher->stop_ms = options->class->stop_ms;
    launcher->elsewhere = options->class->properties & IPCL_STARTS_ELSEWHERE;
    struct plugin_call call;
    expect(launcher, "could not be created", error);
    struct workplace_back back;
    begin_call(launcher, &call, "create");
    workplace_enter(options->place, &back);
    launcher->self = options->system ? batch_create(options->system, options->system_settings,
                                                    options->class, &launcher->services, error)
                                     : options->class->create(&launcher->services, error);
    workplace_leave(options->place, &back);
    plugin_call_end(&call);
    if (!launcher->self) {
        free(launcher);
        return NULL;
    }
    return launcher;
}

void launcher_destroy(struct launcher *launcher)
{
    struct plugin_call call;
    if (!launcher)
        return;
    begin_call(launcher, &call, "destroy");
    launcher->options.class->destroy(launcher->self); /* it may cancel its timers */
    plugin_call_end(&call);
    children_forget(launcher->options.children, launcher->self);
    command_forget_all(&launcher->commands);
    while (launcher->timers) {
        struct launcher_timer *timer = launcher->timers;
        launcher->timers = timer->next;
        uv_close((uv_handle_t *)&timer->timer, free_handle);
    }
    free(launcher->shown);
    free(launcher);
}

int launcher_start(struct launcher *launcher, const struct ipcl_launch *launch,
                   struct ipcl_error *error)
{
    bool shown = launcher->options.dry && launcher->options.class->preview;
    struct plugin_call call;
    char *preview = NULL;
    int outcome = -1;
    expect(launcher, "could not start anything", error);
    struct workplace_back back;
    begin_call(launcher, &call, shown ? "preview" : "start");
    workplace_enter(launcher->options.place, &back);
    if (shown)
        preview = launcher->options.class->preview(launcher->self, launch, error);
    else
        outcome = launcher->options.class->start(launcher->self, launch, error);
    workplace_leave(launcher->options.place, &back);
    plugin_call_end(&call);
    if (preview)
        fputs(preview, launcher->options.dry);
    free(preview);
    return shown && preview ? 0 : outcome;
}

int launcher_signal(struct launcher *launcher, int signum, struct ipcl_error *error)
{
    struct plugin_call call;
    expect(launcher, "could not send a signal", error);
    begin_call(launcher, &call, "signal");
    int outcome = launcher->options.class->signal(launcher->self, signum, error);
    plugin_call_end(&call);
    return outcome;
}

int launcher_stop(struct launcher *launcher, struct ipcl_error *error)
{
    struct plugin_call call;
    expect(launcher, "could not stop what it had started", error);
    begin_call(launcher, &call, "stop");
    int outcome = launcher->options.class->stop(launcher->self, error);
    plugin_call_end(&call);
    return outcome;
}

unsigned launcher_stop_ms(const struct launcher *launcher)
{
    return launcher->stop_ms;
}

bool launcher_is_elsewhere(const struct launcher *launcher)
{
    return launcher->elsewhere;
}

void launcher_look(struct launcher *launcher, const char *lost)
{
    if (launcher->options.system)
        batch_look(launcher->self, lost);
}

bool launcher_goes_on(const struct launcher *launcher)
{
    return launcher->options.system && batch_goes_on(launcher->self);
}

bool launcher_submitted(const struct launcher *launcher)
{
    return !launcher->options.system || batch_submitted(launcher->self);
}

unsigned launcher_forgo(struct launcher *launcher, unsigned most,
                        bool (*used)(void *context, const char *id), void *context)
{
    return launcher->options.system ? batch_forgo(launcher->self, most, used, context) : 0;
}

int launcher_output(struct launcher *launcher, unsigned index, char *path, size_t path_bytes)
{
    struct plugin_call call;
    begin_call(launcher, &call, "output");
    int outcome = launcher->options.class->output(launcher->self, index, path, path_bytes);
    plugin_call_end(&call);
    return outcome;
}

json_t *launcher_to_json(struct launcher *launcher, struct ipcl_error *error)
{
    json_error_t wrong = {.text = "it is not a JSON object"};
    struct plugin_call call;
    begin_call(launcher, &call, "to_json");
    char *text = launcher->options.class->to_json(launcher->self);
    plugin_call_end(&call);
    json_t *own = text ? json_loads(text, JSON_DECODE_ANY, &wrong) : NULL;
    if (!json_is_object(own)) {
        ipcl_error_set(error,
                       "the launcher %s (plugin %s) does not say what it started: its to_json() "
                       "gives no JSON object (%s). ipcluster stop needs one to find what was "
                       "started",
                       launcher->options.class->name, launcher->base.plugin_name,
                       text ? wrong.text : "it gives NULL");
        json_decref(own);
        own = NULL;
    }
    free(text);
    return own;
}

int launcher_from_json(struct launcher *launcher, const json_t *own, struct ipcl_error *error)
{
    char *text = json_dumps(own, JSON_COMPACT);
    if (!text)
        return ipcl_error_set(error, "no memory for the state of a launcher");
    struct plugin_call call;
    expect(launcher, "could not find what it had started", error);
    begin_call(launcher, &call, "from_json");
    int outcome = launcher->options.class->from_json(launcher->self, text, error);
    plugin_call_end(&call);
    free(text);
    return outcome;
}

json_t *launcher_processes(const struct launcher *launcher)
{
    return children_list(launcher->options.children, launcher->self);
}
