/* Hooks a restart into the controller's threads. */
#include "controller/restart/restart.h"

void restart_attach(struct controller *controller)
{
    if (controller->restarted)
        controller->task_hooks = &task_restart_hooks;
}
