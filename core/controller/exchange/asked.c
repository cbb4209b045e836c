/* Requests that wait for answers. */
#include "controller/exchange/asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

struct asked_request {
    struct table_item item;
    struct asked_engine *engine;
    struct asked_request *prev, *next; /* at that engine */
    size_t count;                      /* a client may ask the same twice, and hears twice */
    size_t key_size;
    unsigned char key[];
};

struct asked_engine {
    char uuid[ENGINE_UUID_BYTES];
    struct asked_request *requests;
    UT_hash_handle hh;
};

static const void *asked_key_of(const struct table_item *item, size_t *size)
{
    const struct asked_request *request = (const struct asked_request *)item;
    *size = request->key_size;
    return request->key;
}

int asked_init(struct asked *asked, bool restarted, struct ipcl_error *error)
{
    *asked = (struct asked){.restarted = restarted};
    return table_init(&asked->requests, asked_key_of) ? ipcl_error_set(error, "out of memory") : 0;
}

/* Client, engine and msg_id, the first two behind their lengths. Returns the key's length, or 0
 * where memory is short. */
static size_t make_key(struct asked *asked, zmq_msg_t *client, const void *engine,
                       size_t engine_size, const struct ipcl_member *msg_id)
{
    size_t sizes[] = {zmq_msg_size(client), engine_size};
    size_t size = sizeof(sizes) + sizes[0] + sizes[1] + msg_id->size;
    if (size > asked->capacity) {
        unsigned char *grown = realloc(asked->key, 2 * size);
        if (!grown)
            return 0;
        asked->key = grown;
        asked->capacity = 2 * size;
    }
    unsigned char *at = asked->key;
    memcpy(at, sizes, sizeof(sizes));
    memcpy(at += sizeof(sizes), zmq_msg_data(client), sizes[0]);
    memcpy(at += sizes[0], engine, sizes[1]);
    memcpy(at + sizes[1], msg_id->data, msg_id->size);
    return size;
}

static struct asked_request *asked_find(const struct asked *asked, uint64_t hash, size_t key_size)
{
    return (struct asked_request *)table_find(&asked->requests, hash, asked->key, key_size);
}

static struct asked_engine *meet_engine(struct asked *asked, const char *uuid)
{
    struct asked_engine *engine;
    HASH_FIND_STR(asked->engines, uuid, engine);
    if (engine || !(engine = calloc(1, sizeof(*engine))))
        return engine;
    strncpy(engine->uuid, uuid, sizeof(engine->uuid) - 1);
    HASH_ADD_STR(asked->engines, uuid, engine);
    return engine;
}

bool asked_is_request(const struct ipcl_member *msg_type)
{
    static const char suffix[] = "_request";
    size_t size = strlen(suffix);
    return msg_type->state == IPCL_MEMBER_OTHER ||
           (msg_type->size >= size &&
            !memcmp(msg_type->data + msg_type->size - size, suffix, size));
}

int asked_add(struct asked *asked, zmq_msg_t *client, const char *engine,
              const struct ipcl_member *msg_id, const struct ipcl_member *msg_type)
{
    if (!asked_is_request(msg_type))
        return 0;
    size_t size = make_key(asked, client, engine, strlen(engine), msg_id);
    uint64_t hash = table_hash(&asked->requests, asked->key, size);
    struct asked_request *request = size ? asked_find(asked, hash, size) : NULL;
    if (request) {
        request->count++;
        return 0;
    }
    request = size ? malloc(sizeof(*request) + size) : NULL;
    struct asked_engine *holder = request ? meet_engine(asked, engine) : NULL;
    if (!holder) {
        free(request);
        return -1;
    }
    *request =
        (struct asked_request){.item.hash = hash, .engine = holder, .count = 1, .key_size = size};
    memcpy(request->key, asked->key, size);
    DL_APPEND(holder->requests, request);
    table_add(&asked->requests, &request->item);
    return 0;
}

/* An engine of which nothing is awaited any more is forgotten: one that does not come back after a
 * restart is never told to have gone. */
static void asked_end(struct asked *asked, struct asked_request *request)
{
    struct asked_engine *engine = request->engine;
    DL_DELETE(engine->requests, request);
    table_remove(&asked->requests, &request->item);
    free(request);
    if (engine->requests)
        return;
    HASH_DEL(asked->engines, engine);
    free(engine);
}

enum asked_verdict asked_take(struct asked *asked, struct message *message,
                              const struct ipcl_member *msg_id)
{
    zmq_msg_t *engine = message_peer(message);
    size_t size = make_key(asked, message_partner(message), zmq_msg_data(engine),
                           zmq_msg_size(engine), msg_id);
    uint64_t hash = table_hash(&asked->requests, asked->key, size);
    struct asked_request *request = size ? asked_find(asked, hash, size) : NULL;
    if (!request)
        return asked->restarted ? ASKED_UNKNOWN : ASKED_OTHER;
    if (!--request->count)
        asked_end(asked, request);
    return ASKED_ANSWER;
}

void asked_report(struct report *report, enum asked_verdict verdict, int engine,
                  const struct ipcl_member *msg_id, struct message *message)
{
    char uuid[ENGINE_UUID_BYTES];
    zmq_msg_t *name = message_peer(message);
    if (verdict == ASKED_ANSWER) {
        report_add(report, REPORT_DONE, REPORT_DIRECT, engine, msg_id->data, msg_id->size, message);
        return;
    }
    snprintf(uuid, sizeof(uuid), "%.*s", (int)zmq_msg_size(name), (const char *)zmq_msg_data(name));
    report_add_from(report, REPORT_DONE, REPORT_DIRECT, uuid, msg_id->data, msg_id->size, message);
}

bool asked_lose(struct asked *asked, const char *uuid, struct ipcl_member *client,
                struct ipcl_member *msg_id)
{
    struct asked_engine *engine;
    HASH_FIND_STR(asked->engines, uuid, engine);
    if (!engine)
        return false;
    struct asked_request *request = engine->requests;
    size_t sizes[2], head = sizeof(sizes);
    memcpy(asked->key, request->key, request->key_size); /* it has room for each that was added */
    memcpy(sizes, request->key, sizeof(sizes));
    *client = (struct ipcl_member){.data = (char *)asked->key + head, .size = sizes[0]};
    head += sizes[0] + sizes[1];
    *msg_id =
        (struct ipcl_member){.data = (char *)asked->key + head, .size = request->key_size - head};
    if (!--request->count)
        asked_end(asked, request);
    return true;
}

void asked_forget(struct asked *asked, const char *uuid)
{
    struct asked_request *request, *next;
    struct asked_engine *engine;
    HASH_FIND_STR(asked->engines, uuid, engine);
    for (request = engine ? engine->requests : NULL; request; request = next) {
        next = request->next;
        asked_end(asked, request);
    }
}

void asked_release(struct asked *asked)
{
    while (asked->engines)
        asked_forget(asked, asked->engines->uuid);
    table_release(&asked->requests);
    free(asked->key);
}
