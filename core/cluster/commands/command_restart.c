/* ipcluster restart: single engines end, and come back under their ids. */
#include <stdio.h>
#include <stdlib.h>

#include "cluster/commands/commands.h"
#include "cluster/commands/named_engines.h"

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-restart",
    .usage = "ipcluster restart [options] ENGINE...",
    .description =
        "Ends engines, named by their ids, and starts new ones in their places, with the same "
        "ids.\n"
        "The new engines have nothing of what clients had put there. Waits until they are "
        "there. All\n"
        "ranks of an MPI world restart together. An engine that was started by hand is not "
        "restarted.",
    .exit_status = "0   The new engines are there.\n"
                   "1   An option is wrong, or there is no such engine, or ipcluster has not\n"
                   "    started it.\n"
                   "4   Not all new engines have registered.\n"
                   "12  No controller runs.\n",
    .examples = "ipcluster restart 1\n"
                "ipcluster restart 0 2-3 --profile=mpi",
    .classes = CLUSTER_CLASSES,
};

/* Engines without a supervisor: nothing can start them again. */
static int refuse(const json_t *engines, const json_t *taken, struct ipcl_error *error)
{
    size_t i, k;
    json_t *engine, *id;
    json_array_foreach (engines, i, engine) {
        bool found = false;
        json_array_foreach (taken, k, id)
            found = found || json_equal(id, json_object_get(engine, "id"));
        if (!found)
            return ipcl_error_set(error,
                                  "engine %lld was not started by an ipcluster that runs: end "
                                  "it with ipcluster stop --engine=%lld, and start another",
                                  (long long)json_integer_value(json_object_get(engine, "id")),
                                  (long long)json_integer_value(json_object_get(engine, "id")));
    }
    return 0;
}

static int restart(struct cluster *cluster, struct ipcl_error *error)
{
    int exit_code = EXIT_WRONG;
    if (cluster->word_count == 0) {
        ipcl_error_set(error, "say which engines, as ipcluster restart 3");
        return EXIT_WRONG;
    }
    json_t *engines =
        named_engines_find(cluster, cluster->words, cluster->word_count, &exit_code, error);
    json_t *taken = engines ? named_engines_ask(cluster, engines, "restart", error) : NULL;
    if (taken && refuse(engines, taken, error) == 0) {
        char *text = named_engines_text(taken);
        int outcome = named_engines_await(cluster, engines, taken, error);
        if (outcome == 0 && !cluster->quiet)
            printf("%s %s back\n", text ? text : "They",
                   text && json_array_size(taken) == 1 ? "is" : "are");
        exit_code = outcome == 0 ? EXIT_FINE : EXIT_ENGINES_FAILED;
        free(text);
    }
    json_decref(taken);
    json_decref(engines);
    return exit_code;
}

const struct cluster_command command_restart = {
    .name = "restart",
    .summary = "end engines, and start new ones with the same ids",
    .program = &program,
    .need = NEED_PROFILE,
    .run = restart,
};
