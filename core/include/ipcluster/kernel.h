/* Kernel plugins (kind "kernel"): what runs user code inside an engine. The kernel has the
 * process's main thread; the engine's I/O thread owns every socket, and hands the kernel one
 * request at a time. */
#ifndef IPCLUSTER_KERNEL_H
#define IPCLUSTER_KERNEL_H

#include <jansson.h>

#include <ipcluster/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One request: the parts of a message that a kernel needs. Borrowed for the duration of the call,
 * except for buffers that it retains. */
struct ipcl_request {
    const char *msg_id;
    const char *msg_type;
    /* unpacked; NULL for apply_request, whose content is empty */
    json_t *content;
    /* the message's frames, whose memory the kernel may write to: it is nobody else's */
    const struct ipcl_buffer *buffers;
    size_t buffer_count;
    void *handle;    /* the host's, for services.retain */
    uint64_t number; /* of this engine's requests, from 1 on: what interrupt() names */
};

/* What a kernel answers. The host packs, signs and sends it. */
struct ipcl_reply {
    /* a new reference, with "status": "ok", "error" or "aborted"; NULL means {"status": "ok"} */
    json_t *content;
    json_t *metadata; /* a new reference with members to add to the reply's metadata; may be NULL */
    /* malloc'ed by the kernel, freed by the host; each is released once sent */
    struct ipcl_buffer *buffers;
    size_t buffer_count;
};

struct ipcl_kernel_services {
    struct ipcl_services base;
    /* Keeps a request's buffers alive after the call has returned: release(owner) of the returned
     * struct ends it. `index` is the buffer's. Kernel's thread; release from any. */
    struct ipcl_buffer (*retain)(void *host, const struct ipcl_request *request, size_t index);
    /* Publishes on iopub as a child of the request that runs: "display_data", "execute_result",
     * "execute_input", "error", "data_pub", "clear_output". Takes over `content`, `metadata` (may
     * be NULL) and the buffers' contents (not the array). One thread at a time: a kernel with
     * threads serialises its calls. What was printed before is published before. */
    void (*publish)(void *host, const char *msg_type, json_t *content, json_t *metadata,
                    const struct ipcl_buffer *buffers, size_t buffer_count);
    /* A part of the request that runs: "header" or "metadata", unpacked: a new reference. NULL
     * where none runs. Any thread. */
    json_t *(*part)(void *host, const char *name);
    /* Asks the client that sent the running request for a line, as Jupyter's input_request does.
     * Returns 0, or -1 with `error` set: it takes no questions. Kernel's thread. */
    int (*ask)(void *host, const char *prompt, bool secret, struct ipcl_error *error);
    /* Waits for what was asked for. Returns 0 with `*text` set, for the caller to free; 1 where a
     * signal came, which the kernel looks at before it calls again or gives up; -1 with `error`
     * set: there will be no answer. Kernel's thread. */
    int (*answer)(void *host, char **text, struct ipcl_error *error);
    /* Listens for Jupyter frontends, whose requests are then run like others. `wishes` may have
     * "connection_file", "runtime_folder" (where a link to that file is made), "transport" ("ipc",
     * which is the default, or "tcp"), and with "tcp" "ip" and ports. Returns 0 with the connection
     * file's path written to `path` of `size` bytes, or -1 with `error` set. Kernel's thread; may
     * be called before the engine has registered: it listens once it serves. */
    int (*listen)(void *host, const json_t *wishes, char *path, size_t size,
                  struct ipcl_error *error);
    /* This engine's uuid; valid until destroy. */
    const char *engine_uuid;
    /* This engine's id, -1 until it has registered. Any thread. */
    int64_t (*engine_id)(void *host);
};

/* How a kernel serves an MPI initialiser (see mpi.h), and the host's startup commands. All must be
 * there, but for the last. */
struct ipcl_kernel_operations {
    /* The types of messages that answer() answers: NULL-terminated. One that does not end in
     * "_request" gets no reply. */
    const char *const *requests;
    /* Makes the interpreter, or takes the one that the process is. Main thread. NULL with `error`
     * set on failure. Standard output and error are written to file descriptors 1 and 2, which the
     * host reads: a kernel captures nothing itself. */
    void *(*create)(const struct ipcl_kernel_services *services, struct ipcl_error *error);
    /* Main thread, each: fill `reply`; they do not fail but answer with an error. After each the
     * kernel has flushed its output to the file descriptors. */
    void (*apply)(void *self, const struct ipcl_request *request, struct ipcl_reply *reply);
    void (*answer)(void *self, const struct ipcl_request *request, struct ipcl_reply *reply);
    /* What a kernel_info_request is answered with, beside "status": a new reference, or NULL with
     * `error` set. Main thread. */
    json_t *(*describe)(void *self, struct ipcl_error *error);
    /* Empties the user's namespace. Main thread. Returns 0 or -1 with `error` set. */
    int (*clear)(void *self, struct ipcl_error *error);
    /* Runs what a profile's folder and the options passed on say is run at the start of every
     * kernel, once. What fails there is shown on standard error and does not end the start. Main
     * thread. Returns 0 or -1 with `error` set. */
    int (*start)(void *self, const char *profile_dir, struct ipcl_error *error);
    /* Runs a file as start() runs those. Main thread. Returns 0, or -1 with the exception's last
     * line in `error`. */
    int (*run_file)(void *self, const char *path, struct ipcl_error *error);
    /* Runs a statement outside of any request: in the user's namespace. Main thread. Returns 0, or
     * -1 with the exception's last line in `error`. */
    int (*run)(void *self, const char *code, struct ipcl_error *error);
    /* Evaluates an expression to an integer there. Main thread. Returns 0 or -1 with `error`
     * set. */
    int (*integer)(void *self, const char *expression, int64_t *value, struct ipcl_error *error);
    /* Binds a name in the user's namespace to an integer. Main thread. Returns 0 or -1 with `error`
     * set. */
    int (*bind_integer)(void *self, const char *name, int64_t value, struct ipcl_error *error);
    /* Interrupts a request, as Ctrl-C would: at once where it runs, when it begins where it was
     * handed over and has not begun; does nothing where it has ended. Any thread, at any time
     * between create and destroy. */
    void (*interrupt)(void *self, uint64_t number);
    /* Main thread. Takes NULL. */
    void (*destroy)(void *self);
    /* Since ABI 1.3. NULL where create() makes the interpreter in whatever process it is called.
     * Otherwise the kernel lives in an interpreter that is a program of its own, in which the
     * engine is a module: then `ipengine` becomes it, and the kernel is created there. Returns the
     * words that start it, to which those of the engine's own command line are appended: a
     * NULL-terminated array, malloc'ed as each word is; the first is the program's path. NULL with
     * `error` set where no interpreter would do. `folder` has what the installation brings along
     * for interpreters, in a folder each. It may ask for the settings IPEngine.python and
     * IPEngine.client_python. Main thread, before create(). */
    char **(*command)(const struct ipcl_services *services, const char *folder,
                      struct ipcl_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
