/* Broadcasts: one request that the controller hands to many engines, each of which resolves a
 * future of its own. Any thread.
 *
 * The engines' requests are named by the controller: the broadcast's msg_id, an underscore and the
 * engine's uuid (ipyparallel's broadcast view). Replies are always taken one by one: a coalesced
 * reply does not say which engine failed, and ipyparallel's controller never sends it once an
 * engine has died. */
#include "client/submission_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void destroy(struct client_broadcast *broadcast)
{
    for (size_t i = 0; i < broadcast->count; i++)
        ipcl_future_release(broadcast->parts[i]);
    free(broadcast);
}

static int compare_parts(const void *left, const void *right)
{
    return strcmp((*(struct ipcl_future *const *)left)->engine_uuid,
                  (*(struct ipcl_future *const *)right)->engine_uuid);
}

/* Names the parts, which are ordered now, and counts them among the client's messages. Returns 0 or
 * -1 with `error` set. */
static int name_parts(struct ipcl_client *client, struct client_broadcast *broadcast,
                      struct ipcl_error *error)
{
    char id[MESSAGE_ID_LENGTH + 1];
    broadcast->number = atomic_fetch_add(&client->next_number, broadcast->count + 1);
    session_message_id(client->session_id, broadcast->number, id);
    for (size_t i = 0; i < broadcast->count; i++) {
        struct ipcl_future *part = broadcast->parts[i];
        if (i && !compare_parts(&broadcast->parts[i - 1], &broadcast->parts[i]))
            return ipcl_error_set(error,
                                  "engine %d is named twice: a broadcast goes to each engine once",
                                  part->engine_id);
        part->number = broadcast->number + 1 + i;
        if (asprintf(&part->other_id, "%s_%s", id, part->engine_uuid) < 0) {
            part->other_id = NULL;
            return ipcl_error_set(error, "out of memory");
        }
    }
    return 0;
}

/* The parts, in the engines' order in `futures`, and by uuid in the broadcast. */
static struct client_broadcast *create(struct ipcl_client *client, const int *engine_ids,
                                       size_t count, struct ipcl_future **futures,
                                       struct ipcl_error *error)
{
    struct client_broadcast *broadcast =
        calloc(1, sizeof(*broadcast) + count * sizeof(broadcast->parts[0]));
    ipcl_error_set(error, count ? "out of memory" : "a broadcast names no engine");
    if (!broadcast || !count)
        goto failed;
    for (; broadcast->count < count; broadcast->count++) {
        struct ipcl_future *part = future_create(IPCL_CHANNEL_BROADCAST);
        if (!part)
            goto failed;
        futures[broadcast->count] = broadcast->parts[broadcast->count] = part;
        if (submission_address(client, part, engine_ids[broadcast->count], error)) {
            broadcast->count++;
            goto failed;
        }
    }
    qsort(broadcast->parts, count, sizeof(broadcast->parts[0]), compare_parts);
    if (!name_parts(client, broadcast, error))
        return broadcast;
failed:
    if (broadcast)
        destroy(broadcast);
    return NULL;
}

/* The request's metadata and a broadcast's, as JSON text to free. NULL if they are no mapping or
 * memory is short. */
static char *make_metadata(const struct ipcl_submission *request,
                           struct ipcl_future *const *futures, size_t count)
{
    json_t *metadata =
        request->metadata ? json_loads(request->metadata, JSON_ALLOW_NUL, NULL) : json_object();
    json_t *targets = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(targets,
                              json_pack("[si]", futures[i]->engine_uuid, futures[i]->engine_id));
    int failed = json_object_set_new(metadata, "targets", targets) ||
                 json_object_set_new(metadata, "is_broadcast", json_true()) ||
                 json_object_set_new(metadata, "is_coalescing", json_false());
    char *text = failed ? NULL : json_dumps(metadata, JSON_COMPACT);
    json_decref(metadata);
    return text;
}

int ipcl_broadcast(struct ipcl_client *client, const struct ipcl_submission *submission,
                   const int *engine_ids, size_t count, struct ipcl_future **futures,
                   struct ipcl_error *error)
{
    struct client_broadcast *broadcast = create(client, engine_ids, count, futures, error);
    struct ipcl_submission request = *submission;
    if (!broadcast) {
        submission_release_buffers(submission, 0);
        return -1;
    }
    char *metadata = make_metadata(submission, futures, count);
    if (!metadata) {
        ipcl_error_set(error,
                       "the metadata of a request is not a JSON mapping, or memory is short");
        submission_release_buffers(submission, 0);
        destroy(broadcast);
        return -1;
    }
    request.metadata = metadata;
    for (size_t i = 0; i < count; i++)
        ipcl_future_hold(futures[i]);
    int status = submission_push(client, &request, NULL, broadcast, error);
    free(metadata);
    if (!status)
        return 0;
    for (size_t i = 0; i < count; i++)
        ipcl_future_release(futures[i]);
    destroy(broadcast);
    return -1;
}
