/* The kernel "@NAME@": what runs user code in an engine. This one runs lines of a shell:
 * execute_request has them, and what they print is published by the host. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipcluster/kernel.h>

struct kernel {
    _Atomic pid_t child;      /* the shell that runs; 0: none */
    _Atomic uint64_t running; /* the number of the request that it runs for */
    int count;                /* of requests that were executed */
};

static void *create(const struct ipcl_kernel_services *services, struct ipcl_error *error)
{
    struct kernel *kernel = calloc(1, sizeof(*kernel));
    (void)services;
    if (!kernel)
        ipcl_error_set(error, "no memory for a kernel");
    return kernel;
}

/* Runs lines. Returns their exit status; -1 where a signal ended them. */
static int run_lines(struct kernel *kernel, const char *lines, uint64_t number)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", lines, (char *)NULL);
        _exit(127);
    }
    kernel->running = number;
    kernel->child = pid > 0 ? pid : 0;
    pid_t ended = pid > 0 ? waitpid(pid, &status, 0) : -1;
    kernel->child = 0;
    return ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static json_t *failure(const char *name, const char *value)
{
    return json_pack("{s:s s:s s:s s:[]}", "status", "error", "ename", name, "evalue", value,
                     "traceback");
}

static void apply(void *self, const struct ipcl_request *request, struct ipcl_reply *reply)
{
    (void)self, (void)request;
    reply->content = failure("NotImplementedError", "the kernel @NAME@ runs no functions");
}

static void answer(void *self, const struct ipcl_request *request, struct ipcl_reply *reply)
{
    struct kernel *kernel = self;
    const char *code = json_string_value(json_object_get(request->content, "code"));
    int status = code ? run_lines(kernel, code, request->number) : 0;
    kernel->count++;
    reply->content = status ? failure("ExitStatus", "a line ended with another status than 0")
                            : json_pack("{s:s s:i s:[] s:{}}", "status", "ok", "execution_count",
                                        kernel->count, "payload", "user_expressions");
}

static json_t *describe(void *self, struct ipcl_error *error)
{
    (void)self, (void)error;
    return json_pack("{s:s s:s s:s s:s s:{s:s s:s s:s s:s}}", "protocol_version", "5.3",
                     "implementation", "@NAME@", "implementation_version", "0.1", "banner",
                     "@NAME@", "language_info", "name", "sh", "version", "1", "mimetype",
                     "text/x-sh", "file_extension", ".sh");
}

static int clear(void *self, struct ipcl_error *error)
{
    (void)self, (void)error;
    return 0;
}

static int start(void *self, const char *profile_dir, struct ipcl_error *error)
{
    (void)self, (void)profile_dir, (void)error;
    return 0;
}

static int run(void *self, const char *code, struct ipcl_error *error)
{
    int status = run_lines(self, code, 0);
    return status ? ipcl_error_set(error, "it ended with status %d: %s", status, code) : 0;
}

static int run_file(void *self, const char *path, struct ipcl_error *error)
{
    (void)self;
    return ipcl_error_set(error, "the kernel @NAME@ runs no files: %s", path);
}

static int integer(void *self, const char *expression, int64_t *value, struct ipcl_error *error)
{
    (void)self, (void)value;
    return ipcl_error_set(error, "the kernel @NAME@ has no expressions: %s", expression);
}

static int bind_integer(void *self, const char *name, int64_t value, struct ipcl_error *error)
{
    char text[32];
    (void)self;
    snprintf(text, sizeof(text), "%lld", (long long)value);
    return setenv(name, text, 1) ? ipcl_error_set(error, "no memory for %s", name) : 0;
}

static void interrupt(void *self, uint64_t number)
{
    struct kernel *kernel = self;
    pid_t child = kernel->child;
    if (child && kernel->running == number)
        kill(child, SIGINT);
}

static const char *const requests[] = {"execute_request", NULL};
static const struct ipcl_kernel_operations operations = {
    .requests = requests,
    .create = create,
    .apply = apply,
    .answer = answer,
    .describe = describe,
    .clear = clear,
    .start = start,
    .run_file = run_file,
    .run = run,
    .integer = integer,
    .bind_integer = bind_integer,
    .interrupt = interrupt,
    .destroy = free,
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "kernel",
    .name = "@NAME@",
    .version = "0.1",
    .summary = "runs lines of a shell",
    .license = "BSD-2-Clause",
    .author = "@AUTHOR@",
    .operations = &operations,
};
