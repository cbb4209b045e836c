/* What launchers of processes share: copies of a launch's lists, and times. */
#ifndef LAUNCHERS_LAUNCH_H
#define LAUNCHERS_LAUNCH_H

#include <stddef.h>

#include <ipcluster/launcher.h>

/* Lists end with NULL; NULL is an empty one. */
size_t list_length(const char *const *list);
/* A deep copy for list_free(), or NULL if memory is short. */
char **list_copy(const char *const *list);
void list_free(char **list);

/* Tells the supervisor how long a setting gives copies between SIGTERM and SIGKILL. */
void say_patience(const struct ipcl_launcher_services *services, double seconds);
/* A setting in seconds as a timer's milliseconds; 0 if it is negative or not a number. */
unsigned milliseconds(double seconds);

#endif
