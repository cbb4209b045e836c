/* The kernel's host. Main thread. */
#include "engine/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* The host that a services struct belongs to. */
static struct host *of_kernel(void *base)
{
    return (struct host *)((char *)base - offsetof(struct host, kernel_base));
}

static struct host *of_mpi(void *base)
{
    return (struct host *)((char *)base - offsetof(struct host, mpi_base));
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

static void host_publish(void *base, const char *msg_type, json_t *content, json_t *metadata,
                         const struct ipcl_buffer *buffers, size_t buffer_count)
{
    struct publication publication = {msg_type, content, metadata, buffers, buffer_count};
    struct host *host = of_kernel(base);
    if (getpid() == host->pid) /* a child that user code forks has no I/O thread */
        link_publish(&host->engine->link, &publication);
    json_decref(content);
    json_decref(metadata);
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
    host->kernel_base.plugin_name = plugin->name;
    host->kernel_base.settings = engine->settings;
    services_init(&host->kernel_services.base, &host->kernel_base);
    host->kernel_services.retain = retain;
    host->kernel_services.publish = host_publish;
    host->kernel_services.engine_uuid = engine->uuid;
    host->kernel_services.engine_id = engine_id;
    engine->kernel = plugin->operations;
    engine->kernel_self = engine->kernel->create(&host->kernel_services, error);
    return engine->kernel_self ? 0 : -1;
}

static int mpi_run(void *base, const char *code, struct ipcl_error *error)
{
    struct engine *engine = of_mpi(base)->engine;
    return engine->kernel->run(engine->kernel_self, code, error);
}

static int mpi_integer(void *base, const char *expression, int64_t *value, struct ipcl_error *error)
{
    struct engine *engine = of_mpi(base)->engine;
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
    host->mpi_self = host->mpi->create(&host->mpi_services, error);
    if (!host->mpi_self)
        return -1;
    int rank = host->mpi->rank(host->mpi_self), size = host->mpi->size(host->mpi_self);
    log_info("MPI is initialised by %s: rank %d of %d", plugin->name, rank, size);
    if (size > 1 && engine->requested_id < 0)
        engine->requested_id = rank;
    if (engine->kernel->bind_integer(engine->kernel_self, "mpi_rank", rank, error) ||
        engine->kernel->bind_integer(engine->kernel_self, "mpi_size", size, error))
        return -1;
    struct ipcl_error reason;
    const char *code = settings_string(engine->settings, "IPEngine", "init_mpi");
    if (*code && engine->kernel->run(engine->kernel_self, code, &reason))
        return ipcl_error_set(error, "the code of IPEngine.init_mpi failed: %.900s", reason.text);
    return 0;
}

/* Runs a script in the user's namespace, under its own name for tracebacks. */
static int run_script(struct engine *engine, const char *script, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    size_t size;
    if (path_expand(script, path, error))
        return -1;
    char *text = path_read_file(path, 64 << 20, &size, error);
    if (!text)
        return -1;
    free(text); /* it can be read: the interpreter reads it in the encoding that it declares */
    json_t *name = json_string(path);
    char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    char *code = NULL;
    int status = ipcl_error_set(error, "the name of start-up script %.900s is not UTF-8", path);
    if (quoted &&
        asprintf(&code, "exec(compile(open(%s, 'rb').read(), %s, 'exec'))", quoted, quoted) > 0)
        status = engine->kernel->run(engine->kernel_self, code, error);
    free(code);
    free(quoted);
    json_decref(name);
    return status;
}

int host_run_startup(struct host *host, struct ipcl_error *error)
{
    struct engine *engine = host->engine;
    struct ipcl_error reason;
    const char *script = settings_string(engine->settings, "IPEngine", "startup_script");
    const char *command = settings_string(engine->settings, "IPEngine", "startup_command");
    if (*script && run_script(engine, script, &reason))
        return ipcl_error_set(error, "the start-up script %s failed: %.800s", script, reason.text);
    if (*command && engine->kernel->run(engine->kernel_self, command, &reason))
        return ipcl_error_set(error, "the start-up command failed: %.900s", reason.text);
    return 0;
}

static void clear(struct engine *engine, struct job *job)
{
    struct ipcl_error error;
    if (engine->kernel->clear(engine->kernel_self, &error))
        job->reply.content = json_pack("{s:s s:s s:s s:[]}", "status", "error", "ename",
                                       "ClearError", "evalue", error.text, "traceback");
}

static void run_job(struct engine *engine, struct job *job)
{
    struct ipcl_request request = {job->msg_id,  job->msg_type,     job->content,
                                   job->buffers, job->buffer_count, job};
    switch (job->kind) {
    case JOB_EXECUTE:
        engine->kernel->execute(engine->kernel_self, &request, &job->reply);
        break;
    case JOB_APPLY:
        engine->kernel->apply(engine->kernel_self, &request, &job->reply);
        break;
    case JOB_COMPLETE:
        engine->kernel->complete(engine->kernel_self, &request, &job->reply);
        break;
    case JOB_CLEAR:
        clear(engine, job);
        break;
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
        run_job(engine, job);
        if (getpid() != host->pid) /* a child that user code forked and let return: the sockets are
                                      not its own */
            _exit(0);
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
    if (engine)
        engine->kernel_self = NULL;
}
