/* One launcher at work: the class that a plugin offers, and the services that it is handed, on the
 * event loop. */
#include "cluster/launching/launcher_host.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cluster/batch/batch.h"
#include "cluster/launching/command_run.h"
#include "cluster/launching/plugin_call.h"
#include "cluster/state/processes.h"
#include "cluster/batch/template.h"
#include "plugin/services.h"

struct host_timer {
    struct host_timer *next;
    struct launcher_host *host;
    uv_timer_t timer;
    void (*fire)(void *self); /* or, with a context: */
    void (*fire_context)(void *self, void *context);
    void *context;
};

struct launcher_host {
    struct services_host base; /* first: the plain services find their host here */
    struct launcher_host_options options;
    struct ipcl_launcher_services services;
    struct host_timer *timers;
    struct command_run *commands;
    char *shown; /* of a dry run */
    unsigned stop_ms;
    bool elsewhere;
    void *self;
};

static void begin_call(const struct launcher_host *host, struct plugin_call *call,
                       const char *function)
{
    plugin_call_begin(call, host->options.class->name, host->base.plugin_name, function);
}

/* A dry run: a command line, each once in a row. */
static void show_command(struct launcher_host *host, const char *const *argv)
{
    char *line = template_quote(argv);
    if (line && (!host->shown || strcmp(host->shown, line) != 0))
        fprintf(host->options.dry, "%s\n", line);
    free(host->shown);
    host->shown = line;
}

static int64_t service_spawn(void *context, const struct ipcl_spawn *spawn,
                             struct ipcl_error *error)
{
    struct launcher_host *host = context;
    if (host->options.dry) {
        show_command(host, spawn->argv);
        return INT64_MAX;
    }
    struct workplace_back back;
    plugin_call_goes_on();
    workplace_enter(host->options.place, &back);
    int64_t pid = children_spawn(host->options.children, spawn, host->self, error);
    workplace_leave(host->options.place, &back);
    return pid;
}

static int service_adopt(void *context, int64_t pid, int64_t born,
                         void (*exited)(void *self, int64_t pid, int status, int signum),
                         struct ipcl_error *error)
{
    struct launcher_host *host = context;
    plugin_call_goes_on();
    return children_adopt(host->options.children, pid, born, exited, host->self, error);
}

static int64_t service_process_born(void *context, int64_t pid)
{
    (void)context;
    return process_born(pid);
}

static int service_kill(void *context, int64_t pid, int signum, struct ipcl_error *error)
{
    struct launcher_host *host = context;
    return children_kill(host->options.children, pid, signum, error);
}

/* Runs a command as command_run() says. */
static int run(struct launcher_host *host, const struct ipcl_command *command,
               void (*merged)(void *self, int status, const char *output), struct ipcl_error *error)
{
    struct workplace_back back;
    workplace_enter(host->options.place, &back);
    int outcome =
        command_run(host->options.loop, &host->commands, command, merged, host->self, error);
    workplace_leave(host->options.place, &back);
    return outcome;
}

static int service_run(void *context, const char *const *argv, const char *input,
                       void (*done)(void *self, int status, const char *output),
                       struct ipcl_error *error)
{
    struct launcher_host *host = context;
    const struct ipcl_command command = {.argv = argv, .input = input};
    if (host->options.dry) {
        done(host->self, -1, "");
        return 0;
    }
    return run(host, &command, done, error);
}

static int service_run_command(void *context, const struct ipcl_command *command,
                               struct ipcl_error *error)
{
    struct launcher_host *host = context;
    if (host->options.dry) {
        show_command(host, command->argv);
        return 0;
    }
    return run(host, command, NULL, error);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

static void unlink_timer(struct host_timer *timer)
{
    struct host_timer **link = &timer->host->timers;
    while (*link != timer)
        link = &(*link)->next;
    *link = timer->next;
    uv_close((uv_handle_t *)&timer->timer, free_handle);
}

static void timer_fired(uv_timer_t *handle)
{
    struct host_timer *timer = handle->data;
    void *self = timer->host->self;
    struct plugin_call call;
    unlink_timer(timer);
    begin_call(timer->host, &call, "a timer's function");
    if (timer->fire)
        timer->fire(self);
    else
        timer->fire_context(self, timer->context);
    plugin_call_end(&call);
}

static struct host_timer *start_timer(struct launcher_host *host, unsigned delay_ms,
                                      struct ipcl_error *error)
{
    struct host_timer *timer = calloc(1, sizeof(*timer));
    if (!timer) {
        ipcl_error_set(error, "no memory for a timer");
        return NULL;
    }
    uv_timer_init(host->options.loop, &timer->timer);
    timer->timer.data = timer;
    timer->host = host;
    timer->next = host->timers;
    host->timers = timer;
    uv_update_time(host->options.loop); /* starting processes takes its time */
    uv_timer_start(&timer->timer, timer_fired, delay_ms, 0);
    return timer;
}

static int service_timer(void *context, unsigned delay_ms, void (*fire)(void *self),
                         struct ipcl_error *error)
{
    struct host_timer *timer = start_timer(context, delay_ms, error);
    if (timer)
        timer->fire = fire;
    return timer ? 0 : -1;
}

static void *service_timer_start(void *context, unsigned delay_ms,
                                 void (*fire)(void *self, void *context), void *fire_context,
                                 struct ipcl_error *error)
{
    struct host_timer *timer = start_timer(context, delay_ms, error);
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
    struct launcher_host *host = context;
    if (level > IPCL_LOG_WARN)
        log_write(level, "%s: %s", host->base.plugin_name, text);
    else if (log_enabled(level))
        host->options.events.warned(host->options.events.context, text);
}

static void service_started(void *context)
{
    struct launcher_host *host = context;
    host->options.events.started(host->options.events.context, IPCL_ALL_COPIES);
}

static void service_started_some(void *context, unsigned count)
{
    struct launcher_host *host = context;
    host->options.events.started(host->options.events.context, count);
}

static void service_status(void *context, const char *text)
{
    struct launcher_host *host = context;
    host->options.events.status(host->options.events.context, text);
}

static void service_stopped(void *context, unsigned index, int status, const char *reason)
{
    struct launcher_host *host = context;
    host->options.events.stopped(host->options.events.context, index, status, reason);
}

static void service_explain(void *context, unsigned index, const char *reason, bool cut_short)
{
    struct launcher_host *host = context;
    host->options.events.explained(host->options.events.context, index, reason, cut_short);
}

static void service_waiting(void *context, unsigned count)
{
    struct launcher_host *host = context;
    host->options.events.waiting(host->options.events.context, count);
}

static void service_resize(void *context, unsigned count, const char *why)
{
    struct launcher_host *host = context;
    host->options.events.resized(host->options.events.context, count, why);
}

static void service_stop_takes(void *context, unsigned stop_ms)
{
    struct launcher_host *host = context;
    host->stop_ms = stop_ms;
}

static void service_starts_elsewhere(void *context)
{
    struct launcher_host *host = context;
    host->elsewhere = true;
}

static void expect(const struct launcher_host *host, const char *what, struct ipcl_error *error)
{
    ipcl_error_set(error, "the launcher %s %s and gave no reason", host->options.class->name, what);
}

struct launcher_host *launcher_host_create(const struct launcher_host_options *options,
                                           struct ipcl_error *error)
{
    struct launcher_host *host = calloc(1, sizeof(*host));
    if (!host) {
        ipcl_error_set(error, "no memory for the launcher %s", options->class->name);
        return NULL;
    }
    host->base.plugin_name = options->plugin->name;
    host->base.settings = options->settings;
    host->options = *options;
    services_init(&host->services.base, &host->base);
    host->services.base.log = service_log;
    host->services.spawn = service_spawn;
    host->services.adopt = service_adopt;
    host->services.process_born = service_process_born;
    host->services.kill = service_kill;
    host->services.run = service_run;
    host->services.timer = service_timer;
    host->services.started = service_started;
    host->services.stopped = service_stopped;
    host->services.started_some = service_started_some;
    host->services.status = service_status;
    host->services.run_command = service_run_command;
    host->services.timer_start = service_timer_start;
    host->services.timer_stop = service_timer_stop;
    host->services.resize = service_resize;
    host->services.stop_takes = service_stop_takes;
    host->services.starts_elsewhere = service_starts_elsewhere;
    host->services.explain = service_explain;
    host->services.waiting = service_waiting;
    host->stop_ms = options->class->stop_ms;
    host->elsewhere = options->class->properties & IPCL_STARTS_ELSEWHERE;
    struct plugin_call call;
    expect(host, "could not be created", error);
    struct workplace_back back;
    begin_call(host, &call, "create");
    workplace_enter(options->place, &back);
    host->self = options->system ? batch_create(options->system, options->system_settings,
                                                options->class, &host->services, error)
                                 : options->class->create(&host->services, error);
    workplace_leave(options->place, &back);
    plugin_call_end(&call);
    if (!host->self) {
        free(host);
        return NULL;
    }
    return host;
}

void launcher_host_destroy(struct launcher_host *host)
{
    struct plugin_call call;
    if (!host)
        return;
    begin_call(host, &call, "destroy");
    host->options.class->destroy(host->self); /* it may cancel its timers */
    plugin_call_end(&call);
    children_forget(host->options.children, host->self);
    command_forget_all(&host->commands);
    while (host->timers) {
        struct host_timer *timer = host->timers;
        host->timers = timer->next;
        uv_close((uv_handle_t *)&timer->timer, free_handle);
    }
    free(host->shown);
    free(host);
}

int launcher_start(struct launcher_host *host, const struct ipcl_launch *launch,
                   struct ipcl_error *error)
{
    bool shown = host->options.dry && host->options.class->preview;
    struct plugin_call call;
    char *preview = NULL;
    int outcome = -1;
    expect(host, "could not start anything", error);
    struct workplace_back back;
    begin_call(host, &call, shown ? "preview" : "start");
    workplace_enter(host->options.place, &back);
    if (shown)
        preview = host->options.class->preview(host->self, launch, error);
    else
        outcome = host->options.class->start(host->self, launch, error);
    workplace_leave(host->options.place, &back);
    plugin_call_end(&call);
    if (preview)
        fputs(preview, host->options.dry);
    free(preview);
    return shown && preview ? 0 : outcome;
}

int launcher_signal(struct launcher_host *host, int signum, struct ipcl_error *error)
{
    struct plugin_call call;
    expect(host, "could not send a signal", error);
    begin_call(host, &call, "signal");
    int outcome = host->options.class->signal(host->self, signum, error);
    plugin_call_end(&call);
    return outcome;
}

int launcher_stop(struct launcher_host *host, struct ipcl_error *error)
{
    struct plugin_call call;
    expect(host, "could not stop what it had started", error);
    begin_call(host, &call, "stop");
    int outcome = host->options.class->stop(host->self, error);
    plugin_call_end(&call);
    return outcome;
}

unsigned launcher_stop_ms(const struct launcher_host *host)
{
    return host->stop_ms;
}

bool launcher_is_elsewhere(const struct launcher_host *host)
{
    return host->elsewhere;
}

void launcher_look(struct launcher_host *host, const char *lost)
{
    if (host->options.system)
        batch_look(host->self, lost);
}

bool launcher_goes_on(const struct launcher_host *host)
{
    return host->options.system && batch_goes_on(host->self);
}

bool launcher_submitted(const struct launcher_host *host)
{
    return !host->options.system || batch_submitted(host->self);
}

unsigned launcher_forgo(struct launcher_host *host, unsigned most,
                        bool (*used)(void *context, const char *id), void *context)
{
    return host->options.system ? batch_forgo(host->self, most, used, context) : 0;
}

int launcher_output(struct launcher_host *host, unsigned index, char *path, size_t path_bytes)
{
    struct plugin_call call;
    begin_call(host, &call, "output");
    int outcome = host->options.class->output(host->self, index, path, path_bytes);
    plugin_call_end(&call);
    return outcome;
}

json_t *launcher_to_json(struct launcher_host *host, struct ipcl_error *error)
{
    json_error_t wrong = {.text = "it is no object"};
    struct plugin_call call;
    begin_call(host, &call, "to_json");
    char *text = host->options.class->to_json(host->self);
    plugin_call_end(&call);
    json_t *own = text ? json_loads(text, JSON_DECODE_ANY, &wrong) : NULL;
    if (!json_is_object(own)) {
        ipcl_error_set(error,
                       "the launcher %s (plugin %s) does not say what it started: its to_json() "
                       "gives no JSON object (%s), without which ipcluster stop could not find it",
                       host->options.class->name, host->base.plugin_name,
                       text ? wrong.text : "it gives NULL");
        json_decref(own);
        own = NULL;
    }
    free(text);
    return own;
}

int launcher_from_json(struct launcher_host *host, const json_t *own, struct ipcl_error *error)
{
    char *text = json_dumps(own, JSON_COMPACT);
    if (!text)
        return ipcl_error_set(error, "no memory for the state of a launcher");
    struct plugin_call call;
    expect(host, "could not find again what it had started", error);
    begin_call(host, &call, "from_json");
    int outcome = host->options.class->from_json(host->self, text, error);
    plugin_call_end(&call);
    free(text);
    return outcome;
}

json_t *launcher_processes(const struct launcher_host *host)
{
    return children_list(host->options.children, host->self);
}
