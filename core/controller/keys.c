/* The keys of a controller's connections, and where its counters begin. Main's thread. */
#include "controller/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "controller/reuse.h"

#define COUNTER_FILE_BYTES_MAX 32
/* More than one controller can send by one channel: a hundred thousand a second for a year. */
#define COUNTERS_MAX (1ull << 42)

static int make_keys(struct controller *controller, struct ipcl_error *error)
{
    struct connection *files[CONNECTION_ROLES] = {
        [CONNECTION_CLIENT] = &controller->clients, [CONNECTION_ENGINE] = &controller->engines};
    for (size_t role = 0; role < CONNECTION_ROLES; role++) {
        struct curve *curve = &controller->curves[role];
        if (!*curve->public_key && curve_generate(curve, error))
            return -1;
        memcpy(files[role]->curve_serverkey, curve->public_key, CURVE_KEY_BYTES);
    }
    return 0;
}

/* The counter that the previous controller has begun with; 0 where there was none. */
static uint64_t counter_before(const char *path)
{
    struct ipcl_error error;
    size_t size;
    if (!path_exists(path))
        return 0;
    char *text = path_read_file(path, COUNTER_FILE_BYTES_MAX, &size, &error);
    uint64_t counter = text ? strtoull(text, NULL, 10) : 0;
    if (!counter)
        log_warn("the first counter of the previous controller cannot be read from %s: %s", path,
                 text ? "it is not a number" : error.text);
    free(text);
    return counter < UINT64_MAX / 2 ? counter : 0;
}

/* Counters begin above all that the previous controller can have used, also where the clock has
 * been set back, or is another host's: engines and clients that stayed take no others. */
static uint64_t begin_counters(const char *path)
{
    uint64_t clock = (uint64_t)(clock_wall() * 1e6), before = counter_before(path);
    uint64_t counter = before && before + COUNTERS_MAX > clock ? before + COUNTERS_MAX : clock;
    struct ipcl_error error;
    char text[32];
    int size = snprintf(text, sizeof(text), "%" PRIu64 "\n", counter);
    if (path_write_file(path, text, (size_t)size, 0600, &error))
        log_warn("this controller's first counter is not saved, so the clock of the next "
                 "controller must not be behind: %s",
                 error.text);
    return counter;
}

int keys_take(const struct files *files, const struct settings *settings,
              struct controller *controller, struct ipcl_error *error)
{
    for (size_t role = 0; role < CONNECTION_ROLES; role++)
        controller->curves[role].server = true;
    controller->reuse = controller->clients.reuse = files->reuse;
    if (files->reuse) {
        memcpy(controller->engine_table, files->table, sizeof(files->table));
        memcpy(controller->handouts_file, files->handouts, sizeof(files->handouts));
        controller->counter = begin_counters(files->counter);
    }
    if (files->reuse && path_exists(files->clients) && path_exists(files->engines))
        return reuse_take(files, settings, controller, error);
    return controller->encrypted ? make_keys(controller, error) : 0;
}
