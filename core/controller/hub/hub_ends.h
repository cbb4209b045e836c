/* The hub's engines that have ended, for the files of the hub: hub_ends.c. */
#ifndef CONTROLLER_HUB_HUB_ENDS_H
#define CONTROLLER_HUB_HUB_ENDS_H

#include "controller/hub/hub.h"

/* How an engine has ended. */
struct engine_end {
    enum ipcl_log_level level;
    const char *how; /* borrowed: what stands behind its name in a sentence */
    bool outside;    /* something outside of it ended it: whoever started it may know why */
    bool blameless;  /* it was not what it ran that ended it */
    enum notice_rest rest;
    char begun[NOTICE_ID_BYTES]; /* as in struct notice */
};

/* An engine has ended: forgets and frees it. */
void hub_end_engine(struct hub *hub, struct hub_engine *engine, const struct engine_end *end);
/* The same of one that is in no books; it stays its owner's. */
void hub_announce_end(struct hub *hub, const struct hub_engine *engine,
                      const struct engine_end *end);
/* How those end, as far as anybody knows, that the previous controller had. */
#define HUB_NOT_BACK "of the previous controller does not come back"
/* One of them is not waited for any more. A hook calls this. */
void hub_miss_engine(struct hub *hub, const struct hub_engine *engine);
/* Waits no longer for why the engine of this uuid ended, or the engine of this id: another is to
 * have the uuid or the id. */
void hub_finish_end(struct hub *hub, const char *uuid, long long id);
/* Nor for any other. */
void hub_finish_ends(struct hub *hub);
/* Notes a client that asks for the engines and says why engines end. */
void hub_note_explainer(struct hub *hub, struct query *query);
/* What is due. Returns when to be called again, or CLOCK_NEVER. */
long long hub_ends_tick(struct hub *hub, long long now_ms);
void hub_ends_release(struct hub *hub);

#endif
