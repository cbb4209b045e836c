/* Waiting for the connection file, and reading it. Main thread. */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include "wire/local.h"
#include "wire/serializer.h"

#define LOOK_AGAIN_MS 100

static int find_file(struct engine *engine, const char *profile_dir, struct ipcl_error *error)
{
    const char *url_file = settings_string(engine->settings, "IPEngine", "url_file");
    const char *name = settings_string(engine->settings, "IPEngine", "url_file_name");
    if (*url_file)
        return path_expand(url_file, engine->connection_file, error);
    if (*name)
        return path_format(engine->connection_file, error, "%s/security/%s", profile_dir, name);
    return connection_path(
        profile_dir, settings_string(engine->settings, "BaseParallelApplication", "cluster_id"),
        CONNECTION_ENGINE, engine->connection_file, error);
}

long long engine_patience_ms(const struct engine *engine)
{
    double seconds = settings_real(engine->settings, "IPEngine", "timeout");
    long long left_ms = (long long)(seconds * 1000) - engine->waited_ms;
    return left_ms < 0 ? 0 : left_ms;
}

/* Where a timeout is given, and none for the file alone, it is for both together. */
static int wait_for_file(struct engine *engine, struct ipcl_error *error)
{
    bool together = settings_given(engine->settings, "IPEngine", "timeout") &&
                    !settings_given(engine->settings, "IPEngine", "wait_for_url_file");
    double seconds =
        settings_real(engine->settings, "IPEngine", together ? "timeout" : "wait_for_url_file");
    long long begun_ms = clock_ms();
    if (path_exists(engine->connection_file))
        return 0;
    log_warn("%s does not exist yet: waiting up to %g seconds for a controller to write it",
             engine->connection_file, seconds);
    while (clock_ms() - begun_ms < seconds * 1000) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
        if (!path_exists(engine->connection_file))
            continue;
        engine->waited_ms = together ? clock_ms() - begun_ms : 0;
        return 0;
    }
    return ipcl_error_set(
        error,
        "%.700s did not appear within %g seconds: start ipcontroller with the same profile and "
        "cluster id, or name its connection file with --file",
        engine->connection_file, seconds);
}

/* A launcher that has no folder in common with the engine gives the file's text. */
static int read_info(struct engine *engine, const char *info, struct ipcl_error *error)
{
    strcpy(engine->connection_file, "$IPP_CONNECTION_INFO");
    log_info("reading %s", engine->connection_file);
    return connection_parse(engine->connection_file, info, strlen(info), CONNECTION_ENGINE,
                            &engine->stated, error);
}

/* A given setting replaces what the file says; with `if_none` only if the file says nothing. */
static int set_text(const struct engine *engine, const char *class_name, const char *name,
                    bool if_none, char *text, size_t bytes, struct ipcl_error *error)
{
    const char *given = settings_string(engine->settings, class_name, name);
    if (!*given || (if_none && *text))
        return 0;
    if (strlen(given) >= bytes)
        return ipcl_error_set(error, "%s.%s is longer than %zu bytes", class_name, name, bytes - 1);
    strcpy(text, given);
    return 0;
}

/* Replaces parts of the connection by settings. Returns its serializer, or NULL with `error`
 * set. */
static const struct ipcl_serial_operations *
complete(const struct engine *engine, struct connection *connection, struct ipcl_error *error)
{
    if (set_text(engine, "IPEngine", "location", false, connection->location,
                 sizeof(connection->location), error) ||
        set_text(engine, "IPEngine", "sshserver", false, connection->ssh, sizeof(connection->ssh),
                 error) ||
        set_text(engine, "IPEngine", "curve_serverkey", true, connection->curve_serverkey,
                 sizeof(connection->curve_serverkey), error) ||
        set_text(engine, "Session", "key", true, connection->key, sizeof(connection->key), error))
        return NULL;
    if (*settings_string(engine->settings, "IPEngine", "location"))
        connection->address_count = 0; /* it is said which */
    return serializer_load(engine->registry, connection->pack, connection->unpack, error);
}

/* Makes what is stated the connection. A server that is named is used, and a key that is named is
 * for one. Returns 0 or -1 with `error` set. */
static int reach(struct engine *engine, struct ipcl_error *error)
{
    const char *key_file = settings_string(engine->settings, "IPEngine", "sshkey");
    long long begun_ms = clock_ms(), patience_ms = engine_patience_ms(engine);
    engine->connection = engine->stated;
    if (!engine->connection.ssh[0] && !*key_file) {
        local_choose(&engine->connection, engine->connection.registration);
        return 0;
    }
    log_info("tunnelling through %s",
             engine->connection.ssh[0] ? engine->connection.ssh : "the controller's host");
    engine->tunnel =
        tunnel_open(&engine->connection, key_file,
                    patience_ms < INT_MAX ? (int)patience_ms : INT_MAX, &engine->ending, error);
    if (settings_given(engine->settings, "IPEngine", "timeout"))
        engine->waited_ms += clock_ms() - begun_ms;
    return engine->tunnel ? 0 : -1;
}

void engine_reach(struct engine *engine)
{
    struct ipcl_error error = {""};
    tunnel_close(engine->tunnel, 0);
    engine->tunnel = NULL;
    reach(engine, &error);
    strcpy(engine->unreachable, error.text);
}

int engine_read_connection(struct engine *engine, const char *profile_dir, struct ipcl_error *error)
{
    struct connection *connection = &engine->stated;
    const char *info = settings_string(engine->settings, "IPEngine", "connection_info");
    if (*info && !settings_given(engine->settings, "IPEngine", "url_file")) {
        if (read_info(engine, info, error))
            return -1;
    } else {
        if (find_file(engine, profile_dir, error) || wait_for_file(engine, error))
            return -1;
        log_info("reading %s", engine->connection_file);
        path_note(engine->connection_file, &engine->connection_mark);
        if (connection_read(engine->connection_file, CONNECTION_ENGINE, connection, error))
            return -1;
    }
    settings_hide(engine->settings, "Session", "key");
    settings_hide(engine->settings, "IPEngine", "connection_info");
    engine->serial = complete(engine, connection, error);
    if (!engine->serial || reach(engine, error))
        return -1;
    if (!engine->connection.key[0] && !engine->connection.curve_serverkey[0])
        log_warn("%s has no key: messages are neither signed nor encrypted",
                 engine->connection_file);
    return 0;
}

bool engine_read_new_connection(struct engine *engine)
{
    struct connection found;
    struct ipcl_error error;
    if (!engine->connection_mark.inode ||
        !path_is_new(engine->connection_file, &engine->connection_mark))
        return false;
    path_note(engine->connection_file, &engine->connection_mark);
    const struct ipcl_serial_operations *serial =
        connection_read(engine->connection_file, CONNECTION_ENGINE, &found, &error)
            ? NULL
            : complete(engine, &found, &error);
    bool differs = serial && memcmp(&found, &engine->stated, sizeof(found)) != 0;
    if (!serial)
        log_warn("%s is new, but cannot be used: %s", engine->connection_file, error.text);
    if (differs) {
        engine->stated = found;
        engine->serial = serial;
    }
    explicit_bzero(&found, sizeof(found));
    return differs;
}
