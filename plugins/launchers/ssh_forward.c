/* How engines on a host reach the controller: by what the engines' connection file says, or, where
 * the controller listens on this machine alone, back through the connection that started them. */
#include "ssh_forward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
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
#define PORTS_MAX      160

static const char *const port_keys[] = {"registration", "control", "mux",    "task",
                                        "iopub",        "hb_ping", "hb_pong"};
#define PORT_KEY_COUNT (sizeof(port_keys) / sizeof(*port_keys))

json_t *ssh_connection_read(const char *profile_dir, const char *cluster_id,
                            struct ipcl_error *error)
{
    struct text path = {.bytes = NULL};
    json_t *connection = NULL;
    text_format(&path, "%s/security/ipcontroller%s%s-engine.json", profile_dir,
                *cluster_id ? "-" : "", cluster_id);
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
            ipcl_error_set(error, "%s is no connection file", path.bytes);
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

/* The port at a place, of those with a name and then of broadcast; 0 behind the last. */
static int port_at(const json_t *connection, size_t place)
{
    const json_t *port =
        place < PORT_KEY_COUNT
            ? json_object_get(connection, port_keys[place])
            : json_array_get(json_object_get(connection, "broadcast"), place - PORT_KEY_COUNT);
    return (int)json_integer_value(port);
}

/* A colon would end a path. */
static char *forward_word(const char *interface, int port, const char *run)
{
    bool local = !strncmp(interface, "ipc://", 6);
    char *word;
    int size =
        run ? asprintf(&word, "%s/" STEM "\\:%d:%s%s%d", run, port, interface + 6,
                       local ? "\\:" : ":", port)
            : asprintf(&word, "127.0.0.1:0:%s%s%d", interface + 6, local ? "\\:" : ":", port);
    return size < 0 ? NULL : word;
}

char **ssh_forward_words(const json_t *connection, const char *run)
{
    size_t count = 0;
    while (port_at(connection, count))
        count++;
    char **words = calloc(2 * count + 1, sizeof(*words));
    for (size_t i = 0; words && i < count; i++) {
        words[2 * i] = strdup("-R");
        words[2 * i + 1] =
            forward_word(member(connection, "interface"), port_at(connection, i), run);
        if (words[2 * i] && words[2 * i + 1])
            continue;
        for (size_t w = 0; w < 2 * i + 2; w++)
            free(words[w]);
        free(words);
        words = NULL;
    }
    return words;
}

/* Adds the ports of a file to a list that has room, each once. */
static size_t add_ports(const json_t *connection, int *ports, size_t count)
{
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach ((json_t *)(uintptr_t)connection, key, value) {
        bool many = json_is_array(value);
        for (i = 0; i < (many ? json_array_size(value) : 1) && count < PORTS_MAX; i++) {
            json_int_t port = json_integer_value(many ? json_array_get(value, i) : value);
            size_t known = 0;
            while (known < count && ports[known] != port)
                known++;
            if (known == count && port > 0 && port <= 65535)
                ports[count++] = (int)port;
        }
    }
    return count;
}

char **ssh_forward_back_words(const json_t *engines, const json_t *clients, const char *folder)
{
    const char *interface = member(engines, "interface") + 6;
    bool local = !strncmp(interface - 6, "ipc://", 6), good = true;
    int ports[PORTS_MAX];
    size_t count = add_ports(clients, ports, add_ports(engines, ports, 0));
    char **words = calloc(2 * count + 1, sizeof(*words));
    for (size_t i = 0; words && good && i < count; i++) {
        words[2 * i] = strdup("-L");
        if (asprintf(&words[2 * i + 1], "%s/" STEM "\\:%d:%s%s%d", folder, ports[i], interface,
                     local ? "\\:" : ":", ports[i]) < 0)
            words[2 * i + 1] = NULL;
        good = words[2 * i] && words[2 * i + 1];
    }
    if (!good) {
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

int ssh_forward_file(const json_t *connection, const char *run, const char *ports,
                     struct text *file)
{
    json_t *there = json_deep_copy(connection);
    int outcome = there ? 0 : -1;
    for (size_t i = 0; !run && outcome == 0 && port_at(connection, i); i++) {
        char *end;
        long port = strtol(ports, &end, 10);
        json_t *value = json_integer(port);
        if (end == ports || port < 1 || port > 65535)
            outcome = -1;
        ports = end + strspn(end, "\r\n");
        if (i < PORT_KEY_COUNT)
            json_object_set_new(there, port_keys[i], value);
        else
            json_array_set_new(json_object_get(there, "broadcast"), i - PORT_KEY_COUNT, value);
    }
    if (outcome == 0) {
        json_object_set_new(there, "interface",
                            run ? json_sprintf("ipc://%s/" STEM, run)
                                : json_string("tcp://127.0.0.1"));
        json_object_set_new(there, "location", json_string(""));
        outcome = ssh_connection_file(there, file);
    }
    json_decref(there);
    return outcome;
}
