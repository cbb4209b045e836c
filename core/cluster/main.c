/* The program ipcluster: its table of commands. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "cluster/settings/cluster.h"
#include "cluster/commands/commands.h"
#include "config/nearest.h"
#include "wire/connection.h"

static const struct cluster_command *const commands[] = {
    &command_start,   &command_stop,    &command_engines, &command_status,     &command_stats,
    &command_restart, &command_scale,   &command_signal,  &command_logs,       &command_trace,
    &command_list,    &command_plugins, &command_profile, &command_completion, NULL,
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(*commands) - 1)

#define USAGE "ipcluster COMMAND [options]"
#define EXAMPLES                                                                                   \
    "  ipcluster start --n=4                                        4 engines on this machine\n"   \
    "  ipcluster start --n=4 --elauncher=MPIExecEngineSetLauncher   4 engines as MPI ranks\n"      \
    "  ipcluster stop\n"

static void describe(FILE *stream)
{
    fputs("Starts and stops clusters for interactive parallel computing. A cluster is a\n"
          "controller, and engines that run Python (and MPI) for a client.\n\nCommands:\n",
          stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("  help       this text, or the help of a command: ipcluster help start\n"
          "\n"
          "ipcluster COMMAND --help says more, --help-all lists every setting; ipcluster "
          "--version\n"
          "shows the version.\n",
          stream);
}

static int help(FILE *stream)
{
    fputs("Usage: " USAGE "\n\n", stream);
    describe(stream);
    fputs("\nExamples:\n" EXAMPLES, stream);
    return EXIT_FINE;
}

/* Writes the manual page of the program as a whole; each command has one of its own. */
static int manual(void)
{
    char *description = NULL, name[] = "ipcluster", option[] = "--help-man",
         *argv[] = {name, option, NULL}, *words[2];
    size_t size;
    struct ipcl_error error;
    FILE *stream = open_memstream(&description, &size);
    if (!stream)
        return EXIT_WRONG;
    describe(stream);
    fputs("\nEach command has a manual page: ipcluster-start(1) and so on.\n", stream);
    fclose(stream);
    const struct settings_program program = {
        .name = "ipcluster", .usage = USAGE, .description = description, .examples = EXAMPLES};
    struct settings *settings = settings_create(&program, &error);
    bool done = settings && settings_parse(settings, 2, argv, words, &error) == 0 &&
                settings_answer(settings, stdout);
    settings_destroy(settings);
    free(description);
    return done ? EXIT_FINE : EXIT_WRONG;
}

/* Commands of ipyparallel's that are not here, and why. */
static const struct {
    const char *name;
    const char *reason;
} absent[] = {
    {"clean",
     "nothing needs cleaning: stop removes what a cluster left, also one that was killed, and "
     "start removes its old output"},
    {"nbextension", "it installs ipyparallel's extension of Jupyter's notebook: python3 -m "
                    "ipyparallel.cluster nbextension"},
};

static int unknown(const char *name)
{
    struct nearest nearest;
    for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
        if (strcmp(absent[i].name, name) != 0)
            continue;
        fprintf(stderr, "ipcluster: there is no command '%s': %s\n", name, absent[i].reason);
        return EXIT_WRONG;
    }
    nearest_begin(&nearest, name);
    nearest_offer(&nearest, "help");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        nearest_offer(&nearest, commands[i]->name);
    fprintf(stderr,
            "ipcluster: there is no command '%s'; the nearest is %s (ipcluster help lists them)\n",
            name, nearest.best);
    return EXIT_WRONG;
}

/* --complete WORDS...: writes what the last of them could be, for shells. */
static int complete(int argc, char **argv)
{
    const char *typed = argv[argc - 1];
    if (argc > 3 && strcmp(argv[2], "help") != 0) {
        const struct cluster_command *command = cluster_command_find(commands, argv[2]);
        char *asked = argv[1];
        argv[1] = argv[2];
        argv[2] = asked;
        return command ? cluster_run(command, commands, argc - 1, argv + 1) : EXIT_WRONG;
    }
    for (size_t i = 0; i < COMMAND_COUNT && argc < 5; i++)
        if (!strncmp(commands[i]->name, typed, strlen(typed)))
            printf("%s\t%s\n", commands[i]->name, commands[i]->summary);
    static const char *const others[] = {"help", "--help", "--version"};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others) && argc < 4; i++)
        if (!strncmp(others[i], typed, strlen(typed)))
            printf("%s\t\n", others[i]);
    return EXIT_FINE;
}

int main(int argc, char **argv)
{
    struct ipcl_error error;
    const char *name = argc > 1 ? argv[1] : "";
    signal(SIGPIPE, SIG_IGN);
    secret_forbid_cores();
    secret_hide_words();
    connection_wipe_json();
    if (log_open("ipcluster", NULL, &error) < 0) {
        fprintf(stderr, "ipcluster: %s\n", error.text);
        return EXIT_WRONG;
    }
    if (argc < 2) {
        help(stderr);
        return EXIT_WRONG;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("ipcluster %s\n", PACKAGE_VERSION);
        return EXIT_FINE;
    }
    if (strcmp(name, "--help-man") == 0)
        return manual();
    if (strcmp(name, "--complete") == 0 && argc > 2)
        return complete(argc, argv);
    bool asked = strcmp(name, "help") == 0;
    if (strcmp(name, "--help") == 0 || strcmp(name, "--help-all") == 0 || strcmp(name, "-h") == 0 ||
        (asked && argc == 2))
        return help(stdout);
    const struct cluster_command *command = cluster_command_find(commands, asked ? argv[2] : name);
    if (!command)
        return unknown(asked ? argv[2] : name);
    if (asked) {
        char option[] = "--help";
        char *words[] = {argv[2], option, NULL};
        return cluster_run(command, commands, 2, words);
    }
    return cluster_run(command, commands, argc - 1, argv + 1);
}
