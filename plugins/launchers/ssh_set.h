/* The launcher "ssh": the set of engines on all hosts, as struct ipcl_launcher_class says. */
#ifndef LAUNCHERS_SSH_SET_H
#define LAUNCHERS_SSH_SET_H

#include <ipcluster/launcher.h>

void *ssh_set_create(const struct ipcl_launcher_services *services, struct ipcl_error *error);
void *ssh_one_create(const struct ipcl_launcher_services *services, struct ipcl_error *error);
void *ssh_proxy_create(const struct ipcl_launcher_services *services, struct ipcl_error *error);
void *ssh_controller_create(const struct ipcl_launcher_services *services,
                            struct ipcl_error *error);
int ssh_set_start(void *self, const struct ipcl_launch *launch, struct ipcl_error *error);
char *ssh_set_preview(void *self, const struct ipcl_launch *launch, struct ipcl_error *error);
int ssh_set_signal(void *self, int signum, struct ipcl_error *error);
int ssh_set_stop(void *self, struct ipcl_error *error);
int ssh_set_output(void *self, unsigned index, char *path, size_t path_bytes);
void ssh_set_destroy(void *self);

/* ssh_state.c */
char *ssh_set_to_json(void *self);
int ssh_set_from_json(void *self, const char *json, struct ipcl_error *error);

#endif
