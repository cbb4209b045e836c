/* Engines that publish. */
#include "controller/schedulers/publishers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Topics are "engine.ID.NAME" and "status.ID". */
#define TOPIC_BYTES 32

struct publisher *publishers_find(const struct publishers *publishers, const void *uuid,
                                  size_t size)
{
    struct publisher *publisher;
    HASH_FIND(hh_uuid, publishers->by_uuid, uuid, size, publisher);
    return publisher;
}

static struct publisher *of_id(const struct publishers *publishers, int id)
{
    struct publisher *publisher;
    HASH_FIND(hh_id, publishers->by_id, &id, sizeof(id), publisher);
    return publisher;
}

static void publisher_forget(struct publishers *publishers, struct publisher *publisher)
{
    if (publisher->gone) {
        DL_DELETE(publishers->gone, publisher);
        publishers->gone_count--;
    } else {
        HASH_DELETE(hh_id, publishers->by_id, publisher);
    }
    HASH_DELETE(hh_uuid, publishers->by_uuid, publisher);
    free(publisher);
}

static void retire(struct publishers *publishers, struct publisher *publisher)
{
    if (publisher->gone)
        return;
    HASH_DELETE(hh_id, publishers->by_id, publisher);
    publisher->gone = true;
    DL_APPEND(publishers->gone, publisher);
    if (++publishers->gone_count > PUBLISHERS_GONE_MAX)
        publisher_forget(publishers, publishers->gone);
}

static void publisher_enter(struct publishers *publishers, const struct notice *notice)
{
    struct publisher *publisher = of_id(publishers, notice->id);
    if (publisher)
        retire(publishers, publisher);
    publisher = publishers_find(publishers, notice->uuid, strlen(notice->uuid));
    if (publisher)
        publisher_forget(publishers, publisher);
    publisher = calloc(1, sizeof(*publisher));
    if (!publisher)
        return;
    snprintf(publisher->uuid, sizeof(publisher->uuid), "%s", notice->uuid);
    snprintf(publisher->route, sizeof(publisher->route), "%s", notice->route);
    publisher->id = notice->id;
    publisher->sealed = notice->sealed;
    HASH_ADD_KEYPTR(hh_uuid, publishers->by_uuid, publisher->uuid, strlen(publisher->uuid),
                    publisher);
    HASH_ADD(hh_id, publishers->by_id, id, sizeof(publisher->id), publisher);
}

void publishers_note(struct publishers *publishers, const struct notice *notice)
{
    struct publisher *publisher;
    if (notice->kind != NOTICE_GONE)
        publisher_enter(publishers, notice);
    else if ((publisher = publishers_find(publishers, notice->uuid, strlen(notice->uuid))))
        retire(publishers, publisher);
}

/* The id that a topic names; -1 if it names none. */
static int id_in(zmq_msg_t *topic)
{
    char text[TOPIC_BYTES] = "";
    size_t size = zmq_msg_size(topic);
    int id = -1;
    memcpy(text, zmq_msg_data(topic), size < TOPIC_BYTES ? size : TOPIC_BYTES - 1);
    if (sscanf(text, "engine.%9d.", &id) != 1)
        sscanf(text, "status.%9d", &id);
    return id;
}

bool publishers_may_use(const struct publishers *publishers, const struct publisher *publisher,
                        zmq_msg_t *topic)
{
    int id = id_in(topic);
    if (publisher && publisher->sealed)
        return id == publisher->id;
    const struct publisher *owner = of_id(publishers, id);
    return !owner || !owner->sealed;
}

void publishers_release(struct publishers *publishers)
{
    struct publisher *publisher, *next;
    HASH_ITER (hh_uuid, publishers->by_uuid, publisher, next)
        publisher_forget(publishers, publisher);
}
