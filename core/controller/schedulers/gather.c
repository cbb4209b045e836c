/* The book of coalesced broadcasts. */
#include "controller/schedulers/gather.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* How many engines' tracebacks one reply carries. */
#define TRACEBACKS_MAX 4

struct gathering *gather_open(struct gather *gather, const char *msg_id, size_t size,
                              const struct reply_request *request)
{
    struct gathering *gathering;
    HASH_FIND(hh, gather->by_id, msg_id, size, gathering);
    if (gathering)
        return NULL;
    gathering = calloc(1, sizeof(*gathering) + request->client_size + request->header_size + size);
    if (!gathering)
        return NULL;
    char *bytes = (char *)(gathering + 1);
    gathering->request = (struct reply_request){
        .client = memcpy(bytes, request->client, request->client_size),
        .client_size = request->client_size,
        .header = memcpy(bytes + request->client_size, request->header, request->header_size),
        .header_size = request->header_size,
    };
    gathering->msg_id = memcpy(bytes + request->client_size + request->header_size, msg_id, size);
    gathering->open = 1;
    zmq_msg_init(&gathering->content);
    clock_date(gathering->started);
    HASH_ADD_KEYPTR(hh, gather->by_id, gathering->msg_id, size, gathering);
    return gathering;
}

struct gather_part *gather_add(struct gather *gather, struct gathering *gathering,
                               const char *msg_id, const char *uuid, json_int_t engine_id)
{
    struct gather_part *part = calloc(1, sizeof(*part));
    if (!part || !(part->msg_id = strdup(msg_id))) {
        free(part);
        return NULL;
    }
    part->gathering = gathering;
    part->engine_id = engine_id;
    memcpy(part->uuid, uuid, strlen(uuid) + 1);
    DL_APPEND(gathering->parts, part);
    HASH_ADD_KEYPTR(hh, gather->open_parts, part->msg_id, strlen(part->msg_id), part);
    gathering->open++;
    return part;
}

void gather_added(struct gathering *gathering)
{
    gathering->open--;
}

struct gather_part *gather_find(const struct gather *gather, const char *msg_id, size_t size)
{
    struct gather_part *part;
    HASH_FIND(hh, gather->open_parts, msg_id, size, part);
    return part;
}

static void end_part(struct gather *gather, struct gather_part *part, enum part_state state,
                     json_t *error)
{
    HASH_DEL(gather->open_parts, part);
    part->state = state;
    part->error = error;
    part->gathering->open--;
}

void gather_fail(struct gather *gather, struct gather_part *part, json_t *error)
{
    end_part(gather, part, PART_FAILED, error);
}

/* Takes over a reply's buffers. Returns 0 or -1 (memory is short). */
static int take_buffers(struct gather_part *part, struct message *reply)
{
    size_t count = message_buffer_count(reply);
    part->buffers = count ? malloc(count * sizeof(*part->buffers)) : NULL;
    if (count && !part->buffers)
        return -1;
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&part->buffers[i]);
        zmq_msg_move(&part->buffers[i], message_buffer(reply, i));
    }
    part->buffer_count = count;
    return 0;
}

void gather_answer(struct gather *gather, struct gather_part *part, enum part_state state,
                   json_t *error, struct message *reply)
{
    zmq_msg_t *content = &part->gathering->content;
    end_part(gather, part, state, error);
    if (state != PART_OK)
        return;
    if (take_buffers(part, reply)) {
        part->state = PART_FAILED;
        part->error = reply_error_content("MemoryError", "the controller is out of memory");
    } else if (!zmq_msg_size(content)) {
        zmq_msg_move(content, message_part(reply, MESSAGE_CONTENT));
    }
}

void gather_close(struct gather *gather, struct gathering *gathering)
{
    while (gathering->parts) {
        struct gather_part *part = gathering->parts;
        DL_DELETE(gathering->parts, part);
        if (part->state == PART_OPEN)
            HASH_DEL(gather->open_parts, part);
        for (size_t i = 0; i < part->buffer_count; i++)
            zmq_msg_close(&part->buffers[i]);
        free(part->buffers);
        json_decref(part->error);
        free(part->msg_id);
        free(part);
    }
    HASH_DEL(gather->by_id, gathering);
    zmq_msg_close(&gathering->content);
    free(gathering);
}

void gather_release(struct gather *gather)
{
    while (gather->by_id)
        gather_close(gather, gather->by_id);
}

enum part_state gathering_state(const struct gathering *gathering)
{
    const struct gather_part *part;
    enum part_state state = PART_OK;
    DL_FOREACH (gathering->parts, part) {
        if (part->state == PART_FAILED)
            return PART_FAILED;
        if (part->state == PART_ABORTED)
            state = PART_ABORTED;
    }
    return state;
}

static const char *gather_text_of(const json_t *error, const char *name)
{
    const char *text = json_string_value(json_object_get(error, name));
    return text ? text : "";
}

/* Appends the lines of one engine's traceback, with the engine's number above them. */
static void add_traceback(json_t *lines, const struct gather_part *part)
{
    const json_t *traceback = json_object_get(part->error, "traceback");
    json_array_append_new(lines, json_sprintf("[engine %lld] %s: %s", (long long)part->engine_id,
                                              gather_text_of(part->error, "ename"),
                                              gather_text_of(part->error, "evalue")));
    if (json_is_array(traceback))
        json_array_extend(lines, (json_t *)traceback);
}

json_t *gathering_error(const struct gathering *gathering)
{
    const struct gather_part *part, *first = NULL;
    size_t failed = 0, count = 0;
    json_t *lines = json_array();
    DL_FOREACH (gathering->parts, part) {
        count++;
        if (part->state != PART_FAILED)
            continue;
        if (!first)
            first = part;
        if (failed++ < TRACEBACKS_MAX)
            add_traceback(lines, part);
    }
    if (failed > TRACEBACKS_MAX)
        json_array_append_new(lines, json_sprintf("... and %zu more", failed - TRACEBACKS_MAX));
    json_t *content = first && json_is_object(first->error) ? json_copy(first->error) : NULL;
    if (!content)
        content = reply_error_content("RuntimeError", "the engine's error cannot be read");
    json_object_set_new(content, "status", json_string("error"));
    json_object_set_new(content, "traceback", lines);
    if (failed > 1)
        json_object_set_new(content, "evalue",
                            json_sprintf("%s (engine %lld; %zu of %zu engines failed)",
                                         gather_text_of(content, "evalue"),
                                         (long long)first->engine_id, failed, count));
    return content;
}

json_t *gathering_targets(const struct gathering *gathering)
{
    const struct gather_part *part;
    json_t *targets = json_array();
    DL_FOREACH (gathering->parts, part)
        json_array_append_new(targets, json_pack("[sI]", part->uuid, part->engine_id));
    return targets;
}
