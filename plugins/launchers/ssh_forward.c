/* How engines on a host reach the controller: as the engines' connection file says or, if the
 * controller listens only on this host, back through the connection that started them. */
#include "ssh_forward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trust.h"
#include "launch.h"

/* A socket's name is this, a colon and the port, as the connection file's interface and a port are
 * put together. */
#define STEM           "s"
#define FILE_BYTES_MAX (1 << 20)

/* The members of a connection file that are ports or lists of ports. */
static const char *const port_keys[] = {"registration", "control", "mux",     "task",     "iopub",
                                        "notification", "hb_ping", "hb_pong", "broadcast"};
#define PORT_KEY_COUNT (sizeof(port_keys) / sizeof(*port_keys))

json_t *ssh_connection_read(const char *profile_dir, const char *cluster_id, const char *role,
                            struct ipcl_error *error)
{
    struct text path = {.bytes = NULL};
    json_t *connection = NULL;
    text_format(&path, "%s/security/ipcontroller%s%s-%s.json", profile_dir, *cluster_id ? "-" : "",
                cluster_id, role);
    int fd = path.failed ? -1 : trust_open(path.bytes, O_RDONLY, 0, NULL, error);
    if (path.failed)
        ipcl_error_set(error, "no memory for the connection file's path");
    if (fd >= 0 && trust_check_secret(fd, path.bytes, error) == 0) {
        char *text = calloc(1, FILE_BYTES_MAX + 1);
        ssize_t size = text ? read(fd, text, FILE_BYTES_MAX) : -1;
        connection = size > 0 ? json_loadb(text, (size_t)size, 0, NULL) : NULL;
        if (text)
            explicit_bzero(text, FILE_BYTES_MAX);
        free(text);
        if (!json_is_string(json_object_get(connection, "interface"))) {
            ipcl_error_set(error, "%s is not a connection file", path.bytes);
            json_decref(connection);
            connection = NULL;
        }
    }
    if (fd >= 0)
        close(fd);
    text_clear(&path);
    return connection;
}

static const char *member(const json_t *connection, const char *key)
{
    const char *text = json_string_value(json_object_get(connection, key));
    return text ? text : "";
}

bool ssh_connection_is_here(const json_t *connection)
{
    static const char *const here[] = {"ipc://", "tcp://127.", "tcp://localhost", "tcp://[::1]"};
    for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++)
        if (!strncmp(member(connection, "interface"), here[i], strlen(here[i])))
            return !*member(connection, "ssh");
    return false;
}

static size_t place_of(const struct ssh_ports *ports, json_int_t port)
{
    size_t place = 0;
    while (place < ports->count && ports->ports[place] != port)
        place++;
    return place;
}

static void add_port(struct ssh_ports *ports, const json_t *port, const char *interface)
{
    json_int_t number = json_integer_value(port);
    if (number < 1 || number > 65535 || place_of(ports, number) < ports->count ||
        ports->count == SSH_PORTS_MAX)
        return;
    ports->interfaces[ports->count] = interface;
    ports->ports[ports->count++] = (int)number;
}

void ssh_ports_add(struct ssh_ports *ports, const json_t *connection)
{
    for (size_t i = 0; i < PORT_KEY_COUNT && ssh_connection_is_here(connection); i++) {
        const json_t *value = json_object_get(connection, port_keys[i]);
        add_port(ports, value, member(connection, "interface"));
        for (size_t k = 0; k < json_array_size(value); k++)
            add_port(ports, json_array_get(value, k), member(connection, "interface"));
    }
}

/* The word that forwards a port, or a socket in the folder, to the controller. A path with a colon
 * would end there. */
static char *forward_word(const struct ssh_ports *ports, size_t place, const char *folder)
{
    const char *interface = ports->interfaces[place] + 6;
    const char *colon = strncmp(ports->interfaces[place], "ipc://", 6) ? ":" : "\\:";
    int port = ports->ports[place];
    char *word;
    int size =
        folder ? asprintf(&word, "%s/" STEM "\\:%d:%s%s%d", folder, port, interface, colon, port)
               : asprintf(&word, "127.0.0.1:0:%s%s%d", interface, colon, port);
    return size < 0 ? NULL : word;
}

char **ssh_forward_words(const struct ssh_ports *ports, const char *option, const char *folder)
{
    char **words = calloc(2 * ports->count + 1, sizeof(*words));
    for (size_t i = 0; words && i < ports->count; i++) {
        words[2 * i] = strdup(option);
        words[2 * i + 1] = words[2 * i] ? forward_word(ports, i, folder) : NULL;
        if (words[2 * i + 1])
            continue;
        list_free(words);
        words = NULL;
    }
    return words;
}

int ssh_connection_file(const json_t *connection, struct text *file)
{
    char *text = json_dumps(connection, JSON_INDENT(2));
    if (!text)
        return -1;
    text_add(file, text);
    explicit_bzero(text, strlen(text));
    free(text);
    return file->failed ? -1 : 0;
}

/* Takes the ports that ssh has printed, one a line. Returns 0, or -1 if there are too few. */
static int read_ports(const struct ssh_ports *ports, const char *printed, int *there)
{
    for (size_t i = 0; i < ports->count; i++) {
        char *end;
        long port = strtol(printed, &end, 10);
        if (end == printed || port < 1 || port > 65535)
            return -1;
        there[i] = (int)port;
        printed = end + strspn(end, "\r\n");
    }
    return 0;
}

static void replace_port(const struct ssh_ports *ports, const int *there, json_t *port)
{
    size_t place = place_of(ports, json_integer_value(port));
    if (place < ports->count)
        json_integer_set(port, there[place]);
}

int ssh_forward_file(const json_t *connection, const struct ssh_ports *ports, const char *run,
                     const char *printed, struct text *file)
{
    int there[SSH_PORTS_MAX];
    json_t *copy;
    if (!ssh_connection_is_here(connection))
        return ssh_connection_file(connection, file);
    if (!run && read_ports(ports, printed, there) < 0)
        return -1;
    copy = json_deep_copy(connection);
    for (size_t i = 0; copy && !run && i < PORT_KEY_COUNT; i++) {
        json_t *value = json_object_get(copy, port_keys[i]);
        replace_port(ports, there, value);
        for (size_t k = 0; k < json_array_size(value); k++)
            replace_port(ports, there, json_array_get(value, k));
    }
    json_object_set_new(copy, "interface",
                        run ? json_sprintf("ipc://%s/" STEM, run) : json_string("tcp://127.0.0.1"));
    json_object_set_new(copy, "location", json_string(""));
    json_object_del(copy, "local");
    int outcome = copy ? ssh_connection_file(copy, file) : -1;
    json_decref(copy);
    return outcome;
}
