/* ipcluster signal: engines are sent a signal. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cluster/commands/commands.h"
#include "cluster/commands/named_engines.h"

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-signal",
    .usage = "ipcluster signal [options] SIGNAL [ENGINE...]",
    .description =
        "Sends a signal to engines, named by their ids, or to all. The signal is a number, or a "
        "name\n"
        "such as INT or SIGINT. Engines receive it also while they work, on any host, and "
        "whoever\n"
        "started them. INT interrupts what runs there, as Ctrl-C does.",
    .exit_status = "0   They have received it.\n"
                   "1   An option is wrong, or there is no such signal or engine.\n"
                   "6   Not all have answered.\n"
                   "12  No controller runs.\n",
    .examples = "ipcluster signal INT  interrupts every engine\n"
                "ipcluster signal USR1 0 2-3",
    .words = "INT,TERM,KILL,HUP,USR1,USR2,STOP,CONT",
    .classes = CLUSTER_CLASSES,
};

/* The number of a signal; -1: there is none with that name. */
static int signal_number(const char *name)
{
    char *end;
    long number = strtol(name, &end, 10);
    if (isdigit((unsigned char)*name))
        return *end || number < 1 || number > SIGRTMAX ? -1 : (int)number;
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (int i = 1; i < SIGRTMIN; i++)
        if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), name) == 0)
            return i;
    return -1;
}

static int send_signal(struct cluster *cluster, struct ipcl_error *error)
{
    int exit_code = EXIT_WRONG;
    int number = cluster->word_count > 0 ? signal_number(cluster->words[0]) : -1;
    if (number < 0) {
        ipcl_error_set(error,
                       cluster->word_count > 0
                           ? "'%s' is not a signal: give its number or its name, such as INT"
                           : "name a signal, as in ipcluster signal INT",
                       cluster->word_count > 0 ? cluster->words[0] : "");
        return EXIT_WRONG;
    }
    json_t *engines =
        named_engines_find(cluster, cluster->words + 1, cluster->word_count - 1, &exit_code, error);
    if (engines)
        exit_code = named_engines_tell(cluster, engines, NULL, "signal_request",
                                       json_pack("{s:i}", "sig", number), error) == 0
                        ? EXIT_FINE
                        : EXIT_NOT_STOPPED;
    json_decref(engines);
    return exit_code;
}

const struct cluster_command command_signal = {
    .name = "signal",
    .summary = "send engines a signal",
    .program = &program,
    .need = NEED_PROFILE,
    .run = send_signal,
};
