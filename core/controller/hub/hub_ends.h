/* The hub's engines that have ended, for the files of the hub: hub_ends.c. */
#ifndef CONTROLLER_HUB_HUB_ENDS_H
#define CONTROLLER_HUB_HUB_ENDS_H

#include "controller/hub/hub.h"

/* How an engine has ended. */
struct engine_end {
    enum ipcl_log_level level;
    const char *how; /* borrowed: the rest of a sentence that begins with its name */
    bool outside;    /* something outside of it ended it: the program that started it may know
                        why */
    bool blameless;  /* it ended for a reason other than what it ran */
    enum notice_rest rest;
    char begun[NOTICE_ID_BYTES]; /* as in struct notice */
};

/* An engine has ended: forgets and frees it. */
void hub_end_engine(struct hub *hub, struct hub_engine *engine, const struct engine_end *end);
/* The same for an engine that the hub has not registered; its owner still frees it. */
void hub_announce_end(struct hub *hub, const struct hub_engine *engine,
                      const struct engine_end *end);
/* What is said of the previous controller's engines that do not come back, if nothing else is
 * known. */
#define HUB_NOT_BACK "of the previous controller does not come back"
/* Stops waiting for such an engine. A hook calls this. */
void hub_miss_engine(struct hub *hub, const struct hub_engine *engine);
/* Stops waiting for the reason why the engine of this uuid, or of this id, ended: another engine
 * will get the uuid or the id. */
void hub_finish_end(struct hub *hub, const char *uuid, long long id);
/* Stops waiting for all reasons. */
void hub_finish_ends(struct hub *hub);
/* Notes a client that asks for the engines and that says why engines end. */
void hub_note_explainer(struct hub *hub, struct query *query);
/* Does what is due. Returns the time of the next call, or CLOCK_NEVER. */
long long hub_ends_tick(struct hub *hub, long long now_ms);
void hub_ends_release(struct hub *hub);

#endif
