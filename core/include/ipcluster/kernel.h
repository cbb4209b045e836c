/* Kernel plugins (kind "kernel"): a kernel runs user code inside an engine. It has the process's
 * main thread. The engine's I/O thread owns every socket, and hands the kernel one request at a
 * time. */
#ifndef IPCLUSTER_KERNEL_H
#define IPCLUSTER_KERNEL_H

#include <jansson.h>

#include <ipcluster/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Buffers of up to so many bytes may be several requests': a kernel does not write to them. */
#define IPCL_KERNEL_SHARED_BYTES 4096

/* One request: the parts of a message that a kernel needs. Borrowed for the duration of the call,
 * except for buffers that it retains. */
struct ipcl_request {
    const char *msg_id;
    const char *msg_type;
    /* unpacked; NULL for apply_request, whose content is empty */
    json_t *content;
    /* the message's frames. The kernel may write to the memory of those of more than
     * IPCL_KERNEL_SHARED_BYTES bytes: nobody else uses it */
    const struct ipcl_buffer *buffers;
    size_t buffer_count;
    void *handle;    /* the engine's, for services.retain */
    uint64_t number; /* the request's number on this engine, from 1 on, for interrupt() */
};

/* What a kernel answers. The engine packs, signs and sends it. */
struct ipcl_reply {
    /* a new reference, with "status": "ok", "error" or "aborted"; NULL means {"status": "ok"} */
    json_t *content;
    json_t *metadata; /* a new reference with members to add to the reply's metadata; may be NULL */
    /* malloc'ed by the kernel, freed by the engine; each is released when it was sent */
    struct ipcl_buffer *buffers;
    size_t buffer_count;
};

struct ipcl_kernel_services {
    struct ipcl_services base;
    /* Keeps buffer `index` of a request alive after the call has returned, until release(owner) of
     * the returned struct is called. Kernel's thread; release from any. */
    struct ipcl_buffer (*retain)(void *host, const struct ipcl_request *request, size_t index);
    /* Publishes on iopub as a child of the request that runs: "display_data", "execute_result",
     * "execute_input", "error", "data_pub", "clear_output". Takes over `content`, `metadata` (may
     * be NULL) and the buffers' contents (not the array). One thread at a time: a kernel with
     * threads serialises its calls. Text that was printed earlier is published earlier. */
    void (*publish)(void *host, const char *msg_type, json_t *content, json_t *metadata,
                    const struct ipcl_buffer *buffers, size_t buffer_count);
    /* A part of the request that runs ("header" or "metadata"), unpacked: a new reference. NULL if
     * no request runs. Any thread. */
    json_t *(*part)(void *host, const char *name);
    /* Asks the client that sent the running request for a line, as Jupyter's input_request does.
     * Returns 0, or -1 with `error` set: the client accepts no questions. Kernel's thread. */
    int (*ask)(void *host, const char *prompt, bool secret, struct ipcl_error *error);
    /* Waits for the answer. Returns 0 with `*text` set; the caller frees it. Returns 1 if a signal
     * came: the kernel handles it, then calls again or gives up. Returns -1 with `error` set if
     * there will be no answer. Kernel's thread. */
    int (*answer)(void *host, char **text, struct ipcl_error *error);
    /* Listens for Jupyter frontends. Their requests then run like others. `wishes` may have
     * "connection_file", "runtime_folder" (where a link to that file is made), "transport" ("ipc",
     * the default, or "tcp"), and with "tcp" also "ip" and ports. Returns 0 with the connection
     * file's path written to `path` of `size` bytes, or -1 with `error` set. Kernel's thread. It
     * may be called before the engine has registered; then the engine listens when it serves. */
    int (*listen)(void *host, const json_t *wishes, char *path, size_t size,
                  struct ipcl_error *error);
    /* This engine's uuid; valid until destroy. */
    const char *engine_uuid;
    /* This engine's id, -1 until it has registered. Any thread. */
    int64_t (*engine_id)(void *host);
};

/* What a kernel implements, for requests, for an MPI initialiser (see mpi.h) and for the engine's
 * startup commands. All must be there, except the last. */
struct ipcl_kernel_operations {
    /* The types of messages that answer() answers, NULL-terminated. A message whose type does not
     * end in "_request" gets no reply. */
    const char *const *requests;
    /* Makes the interpreter, or takes the one that the process is. Main thread. NULL with `error`
     * set on failure. User code writes standard output and error to file descriptors 1 and 2, and
     * the engine reads these: a kernel captures nothing itself. */
    void *(*create)(const struct ipcl_kernel_services *services, struct ipcl_error *error);
    /* Both: main thread. They fill `reply`; they cannot fail, but may answer with an error. When
     * they return, the kernel has flushed its output to the file descriptors. */
    void (*apply)(void *self, const struct ipcl_request *request, struct ipcl_reply *reply);
    void (*answer)(void *self, const struct ipcl_request *request, struct ipcl_reply *reply);
    /* The answer to a kernel_info_request, without "status": a new reference, or NULL with `error`
     * set. Main thread. */
    json_t *(*describe)(void *self, struct ipcl_error *error);
    /* Empties the user's namespace. Main thread. Returns 0 or -1 with `error` set. */
    int (*clear)(void *self, struct ipcl_error *error);
    /* Runs, once, what the profile's folder and the options that were passed on name for the start
     * of every kernel. An error there is shown on standard error and does not end the start. Main
     * thread. Returns 0 or -1 with `error` set. */
    int (*start)(void *self, const char *profile_dir, struct ipcl_error *error);
    /* Runs a file as start() runs its files. Main thread. Returns 0, or -1 with the exception's
     * last line in `error`. */
    int (*run_file)(void *self, const char *path, struct ipcl_error *error);
    /* Runs a statement outside of any request, in the user's namespace. Main thread. Returns 0, or
     * -1 with the exception's last line in `error`. */
    int (*run)(void *self, const char *code, struct ipcl_error *error);
    /* Evaluates an expression to an integer, in the user's namespace. Main thread. Returns 0 or -1
     * with `error` set. */
    int (*integer)(void *self, const char *expression, int64_t *value, struct ipcl_error *error);
    /* Binds a name in the user's namespace to an integer. Main thread. Returns 0 or -1 with `error`
     * set. */
    int (*bind_integer)(void *self, const char *name, int64_t value, struct ipcl_error *error);
    /* Interrupts a request, as Ctrl-C would. If the request runs: at once. If it was handed over
     * and has not begun: when it begins. If it has ended: does nothing. Any thread, at any time
     * between create and destroy. */
    void (*interrupt)(void *self, uint64_t number);
    /* Main thread. Takes NULL. */
    void (*destroy)(void *self);
    /* Since ABI 1.3. NULL if create() can make the interpreter in any process. Otherwise the
     * interpreter is a program of its own, and the engine is a module in it: `ipengine` becomes
     * that program, and the kernel is created there. Returns the words that start the program, a
     * NULL-terminated array; the array and each word are malloc'ed. The first word is the program's
     * path. The words of the engine's own command line are appended. NULL with `error` set if no
     * interpreter fits. `folder` has the files of the installation for interpreters, in a folder
     * for each. command() may ask for the settings IPEngine.python and IPEngine.client_python. Main
     * thread, before create(). */
    char **(*command)(const struct ipcl_services *services, const char *folder,
                      struct ipcl_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
