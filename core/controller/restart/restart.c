/* Hooks a restart into the controller's threads. */
#include "controller/restart/restart.h"

void restart_attach(struct controller *controller)
{
    controller->records_hooks = &records_restart_hooks;
    if (controller->restarted || controller->restore_engines)
        controller->hub_hooks = &hub_restart_hooks;
    if (controller->restarted)
        controller->task_hooks = &task_restart_hooks;
}
