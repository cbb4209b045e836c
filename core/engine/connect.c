/* Waiting for the connection file, and reading it. Main thread. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"

#define LOOK_AGAIN_MS 100

static int find_file(struct engine *engine, const char *profile_dir, struct ipcl_error *error)
{
    const char *url_file = settings_string(engine->settings, "IPEngine", "url_file");
    if (*url_file)
        return path_expand(url_file, engine->connection_file, error);
    return connection_path(
        profile_dir, settings_string(engine->settings, "BaseParallelApplication", "cluster_id"),
        CONNECTION_ENGINE, engine->connection_file, error);
}

static int wait_for_file(struct engine *engine, struct ipcl_error *error)
{
    double seconds = settings_real(engine->settings, "IPEngine", "wait_for_url_file");
    long long deadline_ms = clock_ms() + (long long)(seconds * 1000);
    if (path_exists(engine->connection_file))
        return 0;
    log_warn("%s is not there: waiting up to %g seconds for a controller to write it",
             engine->connection_file, seconds);
    while (clock_ms() < deadline_ms) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
        if (path_exists(engine->connection_file))
            return 0;
    }
    return ipcl_error_set(
        error,
        "%.700s did not appear within %g seconds: start ipcontroller with the same profile and "
        "cluster id, or name its connection file with --file",
        engine->connection_file, seconds);
}

int engine_read_connection(struct engine *engine, const char *profile_dir, struct ipcl_error *error)
{
    if (find_file(engine, profile_dir, error) || wait_for_file(engine, error))
        return -1;
    log_info("reading %s", engine->connection_file);
    if (connection_read(engine->connection_file, CONNECTION_ENGINE, &engine->connection, error))
        return -1;
    const char *location = settings_string(engine->settings, "IPEngine", "location");
    if (strlen(location) >= sizeof(engine->connection.location))
        return ipcl_error_set(error, "IPEngine.location is too long");
    if (*location)
        strcpy(engine->connection.location, location);
    if (engine->connection.ssh[0])
        return ipcl_error_set(
            error,
            "%.600s says to tunnel through ssh to %.200s, which this engine cannot do: start "
            "ipcontroller with an --ip that engines reach",
            engine->connection_file, engine->connection.ssh);
    if (!engine->connection.key[0] && !engine->connection.curve_serverkey[0])
        log_warn("%s has no key: messages are neither signed nor encrypted",
                 engine->connection_file);
    return 0;
}
