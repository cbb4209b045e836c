/* The commands of ipcluster. Each gets its own words, its name first, and returns the program's
 * exit code. */
#ifndef CLUSTER_COMMANDS_H
#define CLUSTER_COMMANDS_H

int command_start(int argc, char **argv);
int command_engines(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_list(int argc, char **argv);
int command_plugins(int argc, char **argv);
int command_profile(int argc, char **argv);

#endif
