/* Calls into a launcher's plugin: if it crashes in a call, or does not return from it, it is named.
 * One thread. */
#ifndef CLUSTER_LAUNCHING_PLUGIN_CALL_H
#define CLUSTER_LAUNCHING_PLUGIN_CALL_H

#include <ipcluster/plugin.h>

/* A call that is going on. */
struct plugin_call {
    struct plugin_call *outer; /* the call in which it was made; NULL: none */
    const char *class_name, *plugin_name, *function;
};

/* From now on a call that is stuck or crashes is named on standard error. Uses SIGALRM. */
void plugin_calls_watch(void);
/* Between these two, `call` and the texts must stay valid. */
void plugin_call_begin(struct plugin_call *call, const char *class_name, const char *plugin_name,
                       const char *function);
void plugin_call_end(struct plugin_call *call);
/* The plugin uses a service within a call: the call is not stuck. */
void plugin_call_goes_on(void);

#endif
