/* The commands of ipcluster. Each gets its own words, its name first, and returns the program's
 * exit code. */
#ifndef CLUSTER_COMMANDS_COMMANDS_H
#define CLUSTER_COMMANDS_COMMANDS_H

#include <ipcluster/option.h>

#include "cluster/cluster.h"

int command_start(int argc, char **argv);
int command_engines(int argc, char **argv);
/* Reads the words of ipcluster engines as cluster_open() does; for the supervisor that a set
 * `joins`, too. */
int command_open_engines(struct cluster *cluster, int argc, char **argv, bool joins,
                         struct ipcl_error *error);
int command_stop(int argc, char **argv);
int command_list(int argc, char **argv);
int command_status(int argc, char **argv);
int command_logs(int argc, char **argv);
int command_restart(int argc, char **argv);
int command_scale(int argc, char **argv);
int command_signal(int argc, char **argv);
int command_plugins(int argc, char **argv);
int command_profile(int argc, char **argv);
int command_completion(int argc, char **argv);

/* Their own settings, which a profile's file may have for each of them. */
extern const struct ipcl_option_table command_stop_table, command_list_table, command_logs_table,
    command_status_table, command_scale_table, command_profile_table;

#endif
