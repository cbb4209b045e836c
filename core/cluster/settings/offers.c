/* What shells can offer as values of ipcluster's settings: launchers, and the clusters and engine
 * sets of the profile. */
#include "cluster/settings/offers.h"

#include <string.h>

#include "cluster/state/state.h"
#include "config/profile.h"
#include "plugin/offer.h"

/* What is being written, for the functions that are called for each. */
struct values_offered {
    const struct settings *settings;
    FILE *stream;
    enum ipcl_role role;
};

static void offer_class(void *context, const struct launcher_choice *choice)
{
    const struct values_offered *offered = context;
    const struct ipcl_launcher_class *class = choice->class;
    char alias[64];
    if (class->role != offered->role)
        return;
    settings_offer(offered->settings, offered->stream, class->name, class->summary);
    for (const char *at = class->aliases; at && *at; at += strcspn(at, ","), at += *at == ',') {
        snprintf(alias, sizeof(alias), "%.*s", (int)strcspn(at, ","), at);
        settings_offer(offered->settings, offered->stream, alias, class->summary);
    }
}

static void offer_launchers(const struct settings *settings, const void *launchers,
                            enum ipcl_role role, FILE *stream)
{
    struct launchers *there = *(struct launchers *const *)launchers;
    struct values_offered offered = {settings, stream, role};
    if (there)
        launchers_each(there, offer_class, &offered);
}

static void offer_engine_launchers(const struct settings *settings, const void *launchers,
                                   FILE *stream)
{
    offer_launchers(settings, launchers, IPCL_ROLE_ENGINES, stream);
}

static void offer_controller_launchers(const struct settings *settings, const void *launchers,
                                       FILE *stream)
{
    offer_launchers(settings, launchers, IPCL_ROLE_CONTROLLER, stream);
}

static int offer_id(void *context, struct state *state)
{
    const struct values_offered *offered = context;
    if (*state->cluster_id)
        settings_offer(offered->settings, offered->stream, state->cluster_id, NULL);
    return 0;
}

static int offer_set(void *context, struct state *state)
{
    const struct values_offered *offered = context;
    const char *id = settings_string(offered->settings, "BaseParallelApplication", "cluster_id");
    for (const struct state_set *set = state->sets; set && !strcmp(state->cluster_id, id);
         set = set->next)
        settings_offer(offered->settings, offered->stream, set->name, set->job.class_name);
    return 0;
}

/* Offers words from the states of the profile that the earlier words name. */
static void offer_states(const struct settings *settings, FILE *stream,
                         int (*offer)(void *context, struct state *state))
{
    struct values_offered offered = {.settings = settings, .stream = stream};
    struct profile profile;
    if (!profile_find(settings_string(settings, "BaseParallelApplication", "ipython_dir"),
                      settings_string(settings, "BaseParallelApplication", "profile"),
                      settings_string(settings, "BaseParallelApplication", "profile_dir"), &profile,
                      NULL))
        state_each(profile.pid, offer, &offered);
}

static void offer_ids(const struct settings *settings, const void *launchers, FILE *stream)
{
    (void)launchers;
    offer_states(settings, stream, offer_id);
}

static void offer_sets(const struct settings *settings, const void *launchers, FILE *stream)
{
    (void)launchers;
    offer_states(settings, stream, offer_set);
}

static void offer_mpi(const struct settings *settings, const void *launchers, FILE *stream)
{
    (void)launchers;
    offer_plugins(settings, "mpi", stream);
}

static const struct settings_offer offers[] = {
    {"*", "mpi", offer_mpi},
    {"Cluster", "engine_launcher_class", offer_engine_launchers},
    {"Cluster", "controller_launcher_class", offer_controller_launchers},
    {"BaseParallelApplication", "cluster_id", offer_ids},
    {"IPClusterStop", "engine_set", offer_sets},
    {"IPClusterScale", "engine_set", offer_sets},
};

int offers_add(struct settings *settings, struct launchers *const *launchers,
               struct ipcl_error *error)
{
    return settings_add_offers(settings, offers, sizeof(offers) / sizeof(*offers), launchers,
                               error);
}
