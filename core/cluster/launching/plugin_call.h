/* Calls into the plugin of a launcher: one that crashes in a call, or does not return from it, is
 * named. One thread. */
#ifndef CLUSTER_LAUNCHING_PLUGIN_CALL_H
#define CLUSTER_LAUNCHING_PLUGIN_CALL_H

#include <ipcluster/plugin.h>

/* One that is going on. */
struct plugin_call {
    struct plugin_call *outer; /* in which it was made; NULL: none */
    const char *class_name, *plugin_name, *function;
};

/* From now on a call that is stuck or crashes is named on the standard error. Takes SIGALRM. */
void plugin_calls_watch(void);
/* Between these two `call` stays where it is, and so do the texts. */
void plugin_call_begin(struct plugin_call *call, const char *class_name, const char *plugin_name,
                       const char *function);
void plugin_call_end(struct plugin_call *call);
/* The plugin of a call that is going on has asked for something: the call is not stuck. */
void plugin_call_goes_on(void);

#endif
