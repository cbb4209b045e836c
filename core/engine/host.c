/* The engine's main thread and its plugins: the kernel and MPI. Main thread. */
#include "engine/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/container.h"
#include "base/log.h"
#include "base/trace.h"
#include "engine/io.h"
#include "engine/mpi.h"

/* The struct host that a services struct belongs to. */
static struct host *of_kernel(void *base)
{
    return container_of(base, struct host, kernel_base);
}

static struct host *of_mpi(void *base)
{
    return container_of(base, struct host, mpi_base);
}

static void release_retained(void *owner)
{
    zmq_msg_close(owner);
    free(owner);
}

static struct ipcl_buffer retain(void *base, const struct ipcl_request *request, size_t index)
{
    struct job *job = request->handle;
    struct ipcl_buffer buffer = {"", 0, NULL, NULL};
    zmq_msg_t *copy = malloc(sizeof(*copy));
    (void)base;
    if (!copy)
        return buffer;
    zmq_msg_init(copy);
    zmq_msg_copy(copy, message_buffer(&job->message, index)); /* by reference */
    buffer.data = zmq_msg_data(copy);
    buffer.size = zmq_msg_size(copy);
    buffer.owner = copy;
    buffer.release = release_retained;
    return buffer;
}

/* Has the I/O thread run an errand. Returns false if there is no such thread: it has not started,
 * or this is a child that user code has forked. */
static bool send_errand(struct host *host, struct errand *errand)
{
    return getpid() == host->pid && link_send(&host->engine->link, errand);
}

/* Something a kernel publishes. */
struct publication {
    struct errand errand;
    const char *msg_type;
    json_t *content;
    json_t *metadata;
    const struct ipcl_buffer *buffers;
    size_t buffer_count;
};

static void run_publication(struct io *io, struct errand *errand)
{
    struct publication *item = (struct publication *)errand;
    publish(io, item->msg_type, item->msg_type, item->content, item->metadata, item->buffers,
            item->buffer_count);
}

static void host_publish(void *base, const char *msg_type, json_t *content, json_t *metadata,
                         const struct ipcl_buffer *buffers, size_t buffer_count)
{
    struct publication publication = {{run_publication}, msg_type, content,
                                      metadata,          buffers,  buffer_count};
    if (!send_errand(of_kernel(base), &publication.errand))
        publish_release(buffers, buffer_count);
    json_decref(content);
    json_decref(metadata);
}

struct question {
    struct errand errand;
    const char *prompt;
    bool secret;
    int status;
    struct ipcl_error *error;
};

static void run_question(struct io *io, struct errand *errand)
{
    struct question *question = (struct question *)errand;
    question->status = frontends_ask(io, question->prompt, question->secret, question->error);
}

static int ask(void *base, const char *prompt, bool secret, struct ipcl_error *error)
{
    struct question question = {{run_question}, prompt, secret, -1, error};
    ipcl_error_set(error, "questions can be asked only while a request runs");
    send_errand(of_kernel(base), &question.errand);
    return question.status;
}

static int answer(void *base, char **text, struct ipcl_error *error)
{
    if (!link_wait_answer(&of_kernel(base)->engine->link, text))
        return 1;
    return *text ? 0 : ipcl_error_set(error, "the engine ends");
}

struct listening {
    struct errand errand;
    const json_t *wishes;
    int status;
    struct ipcl_error *error;
};

static void run_listening(struct io *io, struct errand *errand)
{
    struct listening *listening = (struct listening *)errand;
    listening->status = frontends_open(io, listening->wishes, listening->error);
}

static int host_listen(void *base, const json_t *wishes, char *path, size_t size,
                       struct ipcl_error *error)
{
    struct host *host = of_kernel(base);
    struct listening listening = {{run_listening}, wishes, 0, error};
    char file[PATH_BYTES];
    if (frontends_path(host->engine, wishes, file, error))
        return -1;
    if ((size_t)snprintf(path, size, "%s", file) >= size)
        return ipcl_error_set(error, "the connection file's path is too long");
    if (getpid() == host->pid && !send_errand(host, &listening.errand) &&
        !host->engine->frontend_wishes)
        host->engine->frontend_wishes = json_deep_copy(wishes);
    return listening.status;
}

static json_t *part(void *base, const char *name)
{
    struct host *host = of_kernel(base);
    enum message_part wanted = strcmp(name, "header") ? MESSAGE_METADATA : MESSAGE_HEADER;
    struct ipcl_error error;
    json_t *unpacked = NULL;
    pthread_mutex_lock(&host->job_lock);
    if (host->job) {
        zmq_msg_t *frame = message_part(&host->job->message, wanted);
        unpacked = host->job->serial->unpack(zmq_msg_data(frame), zmq_msg_size(frame), &error);
    }
    pthread_mutex_unlock(&host->job_lock);
    return unpacked;
}

static void set_job(struct host *host, struct job *job)
{
    pthread_mutex_lock(&host->job_lock);
    host->job = job;
    pthread_mutex_unlock(&host->job_lock);
}

static int64_t engine_id(void *base)
{
    return of_kernel(base)->engine->id;
}

int host_create_kernel(struct host *host, struct engine *engine, const struct ipcl_plugin *plugin,
                       struct ipcl_error *error)
{
    host->engine = engine;
    host->pid = getpid();
    pthread_mutex_init(&host->job_lock, NULL);
    host->kernel_base.plugin_name = plugin->name;
    host->kernel_base.settings = engine->settings;
    services_init(&host->kernel_services.base, &host->kernel_base);
    host->kernel_services.retain = retain;
    host->kernel_services.publish = host_publish;
    host->kernel_services.part = part;
    host->kernel_services.ask = ask;
    host->kernel_services.answer = answer;
    host->kernel_services.listen = host_listen;
    host->kernel_services.engine_uuid = engine->uuid;
    host->kernel_services.engine_id = engine_id;
    engine->kernel = plugin->operations;
    ipcl_error_set(error, "the kernel %s could not be created and gave no reason", plugin->name);
    engine->kernel_self = engine->kernel->create(&host->kernel_services, error);
    if (!engine->kernel_self)
        return -1;
    ipcl_error_set(error, "the kernel %s does not describe itself and gave no reason",
                   plugin->name);
    engine->kernel_info = engine->kernel->describe(engine->kernel_self, error);
    return engine->kernel_info ? 0 : -1;
}

static int mpi_run(void *base, const char *code, struct ipcl_error *error)
{
    struct engine *engine = of_mpi(base)->engine;
    services_expect(error, "the kernel did not run it");
    return engine->kernel->run(engine->kernel_self, code, error);
}

static int mpi_integer(void *base, const char *expression, int64_t *value, struct ipcl_error *error)
{
    struct engine *engine = of_mpi(base)->engine;
    services_expect(error, "the kernel did not evaluate it");
    return engine->kernel->integer(engine->kernel_self, expression, value, error);
}

int host_start_mpi(struct host *host, const struct ipcl_plugin *plugin, struct ipcl_error *error)
{
    struct engine *engine = host->engine;
    host->mpi_base.plugin_name = plugin->name;
    host->mpi_base.settings = engine->settings;
    services_init(&host->mpi_services.base, &host->mpi_base);
    host->mpi_services.run = mpi_run;
    host->mpi_services.integer = mpi_integer;
    host->mpi = plugin->operations;
    ipcl_error_set(error, "%s could not initialise MPI and gave no reason", plugin->name);
    host->mpi_self = host->mpi->create(&host->mpi_services, error);
    if (!host->mpi_self)
        return -1;
    int rank = host->mpi->rank(host->mpi_self), size = host->mpi->size(host->mpi_self);
    log_info("MPI is initialised by %s: rank %d of %d", plugin->name, rank, size);
    if (size == 1 && !settings_bool(engine->settings, "IPEngine", "mpi_singleton") &&
        mpi_check_alone((int)settings_int(engine->settings, "IPEngine", "mpi_size"), error))
        return -1;
    engine->rank = rank;
    const struct numbers *ids = &engine->requested_ids;
    if (size > 1 && engine->requested_id < 0)
        engine->requested_id = ids->count ? ids->list[(size_t)rank % ids->count] : rank;
    services_expect(error, "the kernel could not bind mpi_rank and mpi_size");
    if (engine->kernel->bind_integer(engine->kernel_self, "mpi_rank", rank, error) ||
        engine->kernel->bind_integer(engine->kernel_self, "mpi_size", size, error))
        return -1;
    struct ipcl_error reason = {"the kernel gave no reason"};
    const char *code = settings_string(engine->settings, "IPEngine", "init_mpi");
    if (*code && engine->kernel->run(engine->kernel_self, code, &reason))
        return ipcl_error_set(error, "the code of IPEngine.init_mpi failed: %.900s", reason.text);
    return 0;
}

int host_run_startup(struct host *host, const char *profile_dir, struct ipcl_error *error)
{
    struct engine *engine = host->engine;
    struct ipcl_error reason = {"the kernel gave no reason"};
    char path[PATH_BYTES];
    const char *script = settings_string(engine->settings, "IPEngine", "startup_script");
    const char *command = settings_string(engine->settings, "IPEngine", "startup_command");
    services_expect(error, "the kernel could not run its start-up code");
    if (engine->kernel->start(engine->kernel_self, profile_dir, error))
        return -1;
    if (*command && engine->kernel->run(engine->kernel_self, command, &reason))
        return ipcl_error_set(error, "the start-up command failed: %.900s", reason.text);
    if (*script && (path_expand(script, path, &reason) ||
                    engine->kernel->run_file(engine->kernel_self, path, &reason)))
        return ipcl_error_set(error, "the start-up script %s failed: %.800s", script, reason.text);
    return 0;
}

static void clear(struct engine *engine, struct job *job)
{
    struct ipcl_error error;
    services_expect(&error, "the kernel could not empty the namespace");
    if (engine->kernel->clear(engine->kernel_self, &error))
        job->reply.content = json_pack("{s:s s:s s:s s:[]}", "status", "error", "ename",
                                       "ClearError", "evalue", error.text, "traceback");
}

static void run_job(struct engine *engine, struct job *job)
{
    struct ipcl_request request = {job->msg_id,       job->msg_type, job->content, job->buffers,
                                   job->buffer_count, job,           job->number};
    switch (job->kind) {
    case JOB_APPLY:
        engine->kernel->apply(engine->kernel_self, &request, &job->reply);
        break;
    case JOB_EXECUTE:
    case JOB_ANSWER:
        engine->kernel->answer(engine->kernel_self, &request, &job->reply);
        break;
    case JOB_CLEAR:
        clear(engine, job);
        break;
    case JOB_REACH:
    case JOB_QUIT:
        break;
    }
}

void host_serve(struct host *host)
{
    struct engine *engine = host->engine;
    for (;;) {
        struct job *job = link_take(&engine->link);
        if (job->kind == JOB_QUIT)
            return;
        if (job->kind == JOB_REACH) {
            engine_reach(engine);
            link_return(&engine->link);
            continue;
        }
        set_job(host, job);
        trace_step_since(TRACE_BEGIN, job->msg_id, strlen(job->msg_id), -1, job->received_ns);
        run_job(engine, job);
        trace_step(TRACE_END, job->msg_id, strlen(job->msg_id), -1);
        set_job(host, NULL);
        if (getpid() != host->pid) /* a child that user code forked and let return: the sockets are
                                      not its own */
            _exit(0);
        if (!io_take_back(job))
            link_return(&engine->link);
    }
}

void host_destroy(struct host *host)
{
    struct engine *engine = host->engine;
    if (host->mpi)
        host->mpi->destroy(host->mpi_self);
    host->mpi = NULL;
    if (engine && engine->kernel_self)
        engine->kernel->destroy(engine->kernel_self);
    if (engine) {
        json_decref(engine->kernel_info);
        json_decref(engine->frontend_wishes);
        engine->frontend_wishes = NULL;
        engine->kernel_info = NULL;
        engine->kernel_self = NULL;
    }
}
