/* The commands of ipcluster, each in a file of its name; main.c lists them. */
#ifndef CLUSTER_COMMANDS_COMMANDS_H
#define CLUSTER_COMMANDS_COMMANDS_H

#include "cluster/settings/cluster.h"

extern const struct cluster_command command_completion, command_engines, command_list, command_logs,
    command_plugins, command_profile, command_restart, command_scale, command_signal, command_start,
    command_stats, command_status, command_stop, command_trace;

#endif
