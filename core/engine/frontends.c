/* Jupyter frontends at an engine. I/O thread, which owns the sockets:
 *
 *     shell     ROUTER  requests
 *     iopub     XPUB    output and status
 *     stdin     ROUTER  questions of user code, and their answers
 *     control   ROUTER  requests that do not wait for user code
 *     heartbeat ROUTER  echoes
 *
 * (the Jupyter messaging document). As with every Jupyter kernel, messages are signed but not
 * encrypted, and everybody who reaches iopub may read. So they have their own key, and are local
 * sockets in a private folder unless TCP is asked for. */
#include "engine/frontends.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "engine/children.h"
#include "engine/io.h"

#define KEY_DIGITS 32

/* As connection files name them. */
static const char *const port_names[FRONTEND_PORTS] = {
    "shell_port", "iopub_port", "stdin_port", "control_port", "hb_port",
};

static const char *wish(const json_t *wishes, const char *name)
{
    const char *text = json_string_value(json_object_get(wishes, name));
    return text ? text : "";
}

static bool is_local(const json_t *wishes)
{
    return !*wish(wishes, "transport") || !strcmp(wish(wishes, "transport"), "ipc");
}

static int check_wishes(const json_t *wishes, struct ipcl_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)wishes, name, value) {
        int at = 0;
        while (at < FRONTEND_PORTS && strcmp(name, port_names[at]))
            at++;
        bool text = !strcmp(name, "transport") || !strcmp(name, "ip") ||
                    !strcmp(name, "connection_file") || !strcmp(name, "runtime_folder");
        if (at == FRONTEND_PORTS && !text)
            return ipcl_error_set(error,
                                  "bind_kernel() does not know '%.100s': it takes transport, ip, "
                                  "connection_file, shell_port, iopub_port, stdin_port, "
                                  "control_port and hb_port",
                                  name);
        if (is_local(wishes) && (at < FRONTEND_PORTS || !strcmp(name, "ip")))
            return ipcl_error_set(error, "bind_kernel(): %.100s is for transport='tcp'", name);
        json_int_t port = text ? 0 : json_integer_value(value);
        if (text ? !json_is_string(value) : !json_is_integer(value) || port < 0 || port > 65535)
            return ipcl_error_set(error, "bind_kernel(): %.100s is %s", name,
                                  text ? "not a text" : "not a port (0 to 65535)");
    }
    if (!is_local(wishes) && strcmp(wish(wishes, "transport"), "tcp"))
        return ipcl_error_set(error, "bind_kernel(): transport is '%.100s', not 'ipc' or 'tcp'",
                              wish(wishes, "transport"));
    return 0;
}

int frontends_path(const struct engine *engine, const json_t *wishes, char path[PATH_BYTES],
                   struct ipcl_error *error)
{
    const char *file = wish(wishes, "connection_file");
    if (check_wishes(wishes, error))
        return -1;
    if (strchr(file, '/'))
        return path_expand(file, path, error);
    if (*file)
        return path_format(path, error, "%s/%s", engine->security_dir, file);
    return path_format(path, error, "%s/kernel-%ld.json", engine->security_dir, (long)getpid());
}

json_t *frontends_ports(const struct frontends *frontends)
{
    json_t *ports = json_object();
    for (int i = 0; i < FRONTEND_PORTS; i++)
        json_object_set_new(ports, port_names[i], json_integer(frontends->ports[i]));
    return ports;
}

static int write_file(struct frontends *frontends, const char *ip, const char *key,
                      struct ipcl_error *error)
{
    json_t *content = frontends_ports(frontends);
    json_t *more = json_pack("{s:s s:s s:s s:s s:s}", "ip", ip, "key", key, "transport",
                             frontends->folder.path[0] ? "ipc" : "tcp", "signature_scheme",
                             "hmac-sha256", "kernel_name", "ipcluster");
    json_object_update(content, more);
    char *text = json_dumps(content, JSON_INDENT(2));
    int status = text ? path_write_file(frontends->file, text, strlen(text), 0600, error)
                      : ipcl_error_set(error, "out of memory");
    json_decref(more);
    json_decref(content);
    free(text);
    return status;
}

/* Jupyter's programs look for kernels in a folder of their own. Without the link they need the
 * file's whole path. */
static void make_link(struct frontends *frontends, const char *folder)
{
    struct ipcl_error error;
    char path[PATH_BYTES], file[PATH_BYTES];
    strcpy(file, frontends->file);
    if (!*folder || path_format(path, &error, "%s/%s", folder, basename(file)) ||
        !strcmp(path, frontends->file))
        return;
    if (path_make_dir(folder, 0700, &error)) {
        log_warn("frontends need the whole path of %s: %s", frontends->file, error.text);
        return;
    }
    unlink(path); /* of a process that had our number */
    if (symlink(frontends->file, path))
        log_warn("frontends need the whole path of %s: %s: %s", frontends->file, path,
                 strerror(errno));
    else
        strcpy(frontends->link, path);
}

static void echo(void *self, struct message *message)
{
    struct frontends *frontends = self;
    message_send(message, frontends->heartbeat);
}

/* Whoever else has the key has not been asked. */
static bool is_asked(const struct frontends *frontends, struct message *message)
{
    zmq_msg_t *name = message_peer(message);
    return frontends->asked_size && zmq_msg_size(name) == frontends->asked_size &&
           !memcmp(zmq_msg_data(name), frontends->asked, frontends->asked_size);
}

static void take_answer(void *self, struct message *message)
{
    struct io *io = self;
    struct session *session = io->frontends.door.session;
    struct ipcl_error error;
    enum session_verdict verdict = session_verify(session, message);
    if (verdict != SESSION_ACCEPTED) {
        log_limited(&io->bad_limit, IPCL_LOG_WARN, "%s on the stdin socket dropped",
                    session_verdict_text(verdict));
        return;
    }
    if (!is_asked(&io->frontends, message)) {
        log_limited(&io->bad_limit, IPCL_LOG_WARN,
                    "an answer was dropped: its sender was not asked");
        return;
    }
    json_t *content = session_unpack(session, message_part(message, MESSAGE_CONTENT), &error);
    const char *text = json_string_value(json_object_get(content, "value"));
    if (text) {
        io->frontends.asked_size = 0;
        link_answer(&io->engine->link, strdup(text));
    }
    json_decref(content);
}

/* Local sockets are named as Jupyter does: IP-PORT. */
static int bind_one(struct frontends *frontends, void *socket, int at, const char *ip,
                    struct ipcl_error *error)
{
    char address[CONNECTION_TEXT_BYTES];
    if (!frontends->folder.path[0]) {
        snprintf(address, sizeof(address), "tcp://%.200s", ip);
        return socket_bind_port(socket, address, &frontends->ports[at], error);
    }
    frontends->ports[at] = at + 1;
    snprintf(address, sizeof(address), "ipc://%.200s-%d", ip, frontends->ports[at]);
    return socket_bind(socket, address, error);
}

/* A socket without encryption, that listens. NULL with `error` set. */
static void *listen_at(struct io *io, int at, const char *ip, struct ipcl_error *error)
{
    int type = at == FRONTEND_IOPUB ? ZMQ_XPUB : ZMQ_ROUTER;
    struct socket_options options = {
        .type = type,
        .exclusive = true,
        .send_max = type == ZMQ_XPUB ? IO_PUBLISHED_MAX : 0,
        .frame_bytes_max = type == ZMQ_XPUB ? SOCKET_TOPIC_BYTES_MAX : 0,
        .linger_ms = IO_LINGER_MS,
    };
    void *socket = socket_create(io->engine->context, &options, error);
    if (socket && (socket_set_up_listening(socket, error) ||
                   bind_one(&io->frontends, socket, at, ip, error))) {
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

static void close_all(void *const sockets[FRONTEND_PORTS])
{
    for (int i = 0; i < FRONTEND_PORTS; i++)
        if (sockets[i])
            zmq_close(sockets[i]);
}

static int bind_all(struct io *io, const char *ip, void *sockets[FRONTEND_PORTS],
                    struct ipcl_error *error)
{
    for (int i = 0; i < FRONTEND_PORTS; i++) {
        sockets[i] = listen_at(io, i, ip, error);
        if (!sockets[i])
            return -1;
    }
    return 0;
}

/* Hands the sockets to the loop. */
static int serve(struct io *io, void *const sockets[FRONTEND_PORTS])
{
    struct frontends *frontends = &io->frontends;
    struct door *door = &frontends->door;
    door->shell = sockets[FRONTEND_SHELL];
    door->control = sockets[FRONTEND_CONTROL];
    door->iopub = sockets[FRONTEND_IOPUB];
    frontends->questions = sockets[FRONTEND_STDIN];
    frontends->heartbeat = sockets[FRONTEND_HEARTBEAT];
    return loop_add(io->loop, door->shell, shell_receive, door) ||
                   loop_add(io->loop, door->control, control_receive, door) ||
                   loop_add(io->loop, frontends->questions, take_answer, io) ||
                   loop_add(io->loop, frontends->heartbeat, echo, frontends) ||
                   loop_add(io->loop, door->iopub, door_subscribed, door)
               ? -1
               : 0;
}

/* Where to listen, as the connection file's "ip" has it. */
static int choose_place(struct frontends *frontends, const json_t *wishes,
                        char ip[CONNECTION_TEXT_BYTES], struct ipcl_error *error)
{
    const char *given = wish(wishes, "ip");
    snprintf(ip, CONNECTION_TEXT_BYTES, "%.200s", *given ? given : "127.0.0.1");
    if (!is_local(wishes))
        return 0;
    if (socket_folder_make(&frontends->folder, error))
        return -1;
    snprintf(ip, CONNECTION_TEXT_BYTES, "%s/kernel", frontends->folder.path);
    return 0;
}

int frontends_open(struct io *io, const json_t *wishes, struct ipcl_error *error)
{
    struct frontends *frontends = &io->frontends;
    const struct ipcl_serial_operations *serial = io->engine->frontend_serial;
    void *sockets[FRONTEND_PORTS] = {NULL};
    char key[KEY_DIGITS + 1], path[PATH_BYTES], ip[CONNECTION_TEXT_BYTES];
    if (frontends_path(io->engine, wishes, path, error))
        return -1;
    if (frontends->file[0])
        return ipcl_error_set(error, "this engine listens for frontends already");
    random_hex(key, KEY_DIGITS);
    for (int i = 0; i < FRONTEND_PORTS; i++)
        frontends->ports[i] = (int)json_integer_value(json_object_get(wishes, port_names[i]));
    strcpy(frontends->file, path);
    struct session *session = session_create(key, KEY_DIGITS, "hmac-sha256", serial, NULL, error);
    if (door_open(&frontends->door, io, serial, session, NULL, error) ||
        choose_place(frontends, wishes, ip, error) || bind_all(io, ip, sockets, error) ||
        write_file(frontends, ip, key, error)) {
        close_all(sockets);
        frontends->file[0] = '\0';
        frontends_close(frontends);
        return -1;
    }
    children_note_frontends(frontends);
    make_link(frontends, wish(wishes, "runtime_folder"));
    explicit_bzero(key, sizeof(key));
    log_info("frontends can attach: jupyter console --existing %s", path);
    return serve(io, sockets);
}

void frontends_close(struct frontends *frontends)
{
    if (frontends->link[0])
        unlink(frontends->link);
    if (frontends->file[0])
        unlink(frontends->file);
    frontends->link[0] = frontends->file[0] = '\0';
    socket_folder_remove(&frontends->folder);
    children_note_frontends(frontends);
    door_close(&frontends->door);
}

int frontends_ask(struct io *io, const char *prompt, bool secret, struct ipcl_error *error)
{
    struct frontends *frontends = &io->frontends;
    struct job *job = io->running;
    struct message message;
    if (!job || job->door != &frontends->door || message_identities(&job->message) != 1)
        return ipcl_error_set(error, "this client does not accept questions");
    zmq_msg_t *identity = message_peer(&job->message);
    if (zmq_msg_size(identity) > sizeof(frontends->asked))
        return ipcl_error_set(error, "this client's name is too long to ask it a question");
    zmq_msg_t *header = message_part(&job->message, MESSAGE_HEADER);
    json_t *content = json_pack("{s:s s:b}", "prompt", prompt, "password", secret);
    struct session_parts parts = {.msg_type = "input_request",
                                  .parent = zmq_msg_data(header),
                                  .parent_size = zmq_msg_size(header),
                                  .content = content};
    link_forget_answer(&io->engine->link);
    frontends->asked_size = 0;
    message_init(&message);
    int status = message_append(&message, zmq_msg_data(identity), zmq_msg_size(identity));
    if (status)
        ipcl_error_set(error, "out of memory");
    else
        status = session_build(frontends->door.session, &message, &parts, NULL, error) ||
                         session_sign(frontends->door.session, &message, error)
                     ? -1
                     : 0;
    if (!status && message_send(&message, frontends->questions))
        status = ipcl_error_set(error, "the question was not sent: %s", zmq_strerror(errno));
    if (!status) {
        frontends->asked_size = zmq_msg_size(identity);
        memcpy(frontends->asked, zmq_msg_data(identity), frontends->asked_size);
    }
    message_close(&message);
    json_decref(content);
    return status;
}

void frontends_cancel(struct io *io)
{
    if (!io->frontends.asked_size)
        return;
    io->frontends.asked_size = 0;
    link_answer(&io->engine->link, NULL);
}
