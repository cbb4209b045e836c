/* Replies that are earlier than their client. The thread of the socket to clients. */
#include "controller/delivery/early.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/delivery/flight.h"
#include "controller/exchange/segments.h"
#include "wire/held.h"
#include "controller/delivery/outbox.h"
#include "controller/delivery/reply.h"
#include "wire/loop.h"

#define RETRY_MS 20
/* What is held, the newest of it, once clients have had time to come back. */
#define HELD_BYTES (16u << 20)
#define HOMES_MAX  1024
/* Longer sessions are not known again. */
#define SESSION_BYTES 128
/* A ROUTER's name for a peer that gives none is a zero byte and four others. */
#define NAME_BYTES 5

struct early_reply {
    struct held *held; /* [client, engine, delimiter ...] */
    size_t bytes;
    bool sent; /* to a client with the old name, which may be another client */
    struct early_reply *prev, *next;
    char session[SESSION_BYTES]; /* its client's; "": it is not known */
};

struct home {
    char session[SESSION_BYTES];
    unsigned char name[NAME_BYTES];
    UT_hash_handle hh;
};

void early_prepare(struct early *early, const struct controller *controller, struct seal *seal,
                   struct outbox *outbox)
{
    early->outbox = outbox;
    early->seal = seal;
    early->until_ms = controller->restarted ? clock_ms() + CONTROLLER_RETURN_MS : 0;
}

/* Whether reconnecting clients may still be on their way. */
static bool early_is_open(const struct early *early, long long now_ms)
{
    return early->until_ms && now_ms < early->until_ms;
}

static bool is_nameless(zmq_msg_t *client)
{
    return zmq_msg_size(client) == NAME_BYTES && !*(const unsigned char *)zmq_msg_data(client);
}

static void early_drop(struct early *early, struct early_reply *reply)
{
    DL_DELETE(early->first, reply);
    early->bytes -= reply->bytes;
    held_destroy(reply->held);
    free(reply);
}

/* The session that a request's header or a reply's parent names; "" if it names none. */
static void early_read_session(const struct early *early, struct message *message,
                               enum message_part part, char session[SESSION_BYTES])
{
    struct ipcl_member member = {.name = "session"};
    *session = '\0';
    if (session_find(early->seal->session, message_part(message, part), &member, 1) ||
        member.state != IPCL_MEMBER_TEXT || member.size >= SESSION_BYTES)
        return;
    memcpy(session, member.data, member.size);
    session[member.size] = '\0';
}

static struct home *find_home(const struct early *early, const char *session)
{
    struct home *home;
    HASH_FIND_STR(early->homes, session, home);
    return home;
}

/* Addresses a reply for a client without an identity to the client's present name. Returns whether
 * that is known. */
static bool find_way(const struct early *early, struct message *message, const char *session)
{
    zmq_msg_t name;
    const struct home *home = find_home(early, session);
    if (!home || zmq_msg_init_size(&name, NAME_BYTES))
        return false;
    memcpy(zmq_msg_data(&name), home->name, NAME_BYTES);
    zmq_msg_move(message_peer(message), &name);
    return true;
}

static struct early_reply *early_keep(struct early *early, struct message *message,
                                      const char *session)
{
    struct early_reply *reply = calloc(1, sizeof(*reply));
    size_t bytes = sizeof(*reply) + message_bytes(message);
    if (!reply || !(reply->held = held_create(message, NULL))) {
        free(reply);
        return NULL;
    }
    memcpy(reply->session, session, SESSION_BYTES);
    reply->bytes = bytes;
    early->bytes += bytes;
    if (!early->first)
        early->next_try_ms = clock_ms() + RETRY_MS;
    DL_APPEND(early->first, reply);
    return reply;
}

static void limit(struct early *early)
{
    while (early->bytes > HELD_BYTES)
        early_drop(early, early->first);
}

struct early_reply *early_address(struct early *early, struct message *message)
{
    struct early_reply *reply = NULL;
    struct message copy;
    char session[SESSION_BYTES];
    if (!early->until_ms)
        return NULL;
    early_read_session(early, message, MESSAGE_PARENT, session);
    if (!*session || find_way(early, message, session) || !is_nameless(message_peer(message)) ||
        early->bytes > HELD_BYTES)
        return NULL;
    message_init(&copy);
    if (!message_copy(&copy, message))
        reply = early_keep(early, &copy, session);
    message_close(&copy);
    if (reply)
        reply->sent = true;
    return reply;
}

void early_hold(struct early *early, struct message *message, struct early_reply *copy)
{
    char session[SESSION_BYTES];
    if (copy)
        copy->sent = false;
    if (copy || !early->until_ms)
        return;
    early_read_session(early, message, MESSAGE_PARENT, session);
    early_keep(early, message, session);
    if (!early_is_open(early, clock_ms()))
        limit(early);
}

enum fate { DELIVERED, KEPT, ABSENT };

static enum fate deliver(struct early *early, struct early_reply *reply, struct message *message)
{
    const struct home *home = find_home(early, reply->session);
    zmq_msg_t *client;
    if (reply->sent && !home)
        return KEPT;
    if (held_restore(reply->held, message))
        return ABSENT;
    client = message_peer(message);
    if (reply->sent && !memcmp(home->name, zmq_msg_data(client), NAME_BYTES))
        return DELIVERED;
    bool certain = !is_nameless(client) || !*reply->session;
    certain |= find_way(early, message, reply->session);
    /* Signed anew, because others may have been sent to this client meanwhile. */
    if (segments_give(early->seal->role, message) || reply_sign(early->seal, message, true) ||
        outbox_send(early->outbox, message, 0) != OUTBOX_TAKEN) {
        segments_recall(early->seal->role, message);
        return ABSENT;
    }
    reply->sent = true;
    return certain ? DELIVERED : KEPT;
}

/* Tries to send the replies that are held for the client of this session; for all if it is NULL. */
static void early_try_again(struct early *early, const char *session)
{
    struct early_reply *reply, *next;
    const char *absent = ""; /* the client of this session is not there: its other replies wait */
    struct message message;
    message_init(&message);
    DL_FOREACH_SAFE (early->first, reply, next) {
        if ((session && strcmp(reply->session, session)) ||
            (*absent && !strcmp(reply->session, absent)))
            continue;
        message_clear(&message);
        enum fate fate = deliver(early, reply, &message);
        if (fate == DELIVERED)
            early_drop(early, reply);
        else if (fate == ABSENT)
            absent = reply->session;
    }
    message_close(&message);
}

static struct home *add_home(struct early *early, const char *session)
{
    struct home *home = calloc(1, sizeof(*home)), *oldest = early->homes;
    if (!home)
        return NULL;
    if (HASH_COUNT(early->homes) == HOMES_MAX) {
        HASH_DEL(early->homes, oldest);
        free(oldest);
    }
    memcpy(home->session, session, SESSION_BYTES);
    HASH_ADD_STR(early->homes, session, home);
    return home;
}

void early_meet(struct early *early, struct message *request)
{
    zmq_msg_t *client = message_peer(request);
    const void *name = zmq_msg_data(client);
    char session[SESSION_BYTES];
    if (!early->until_ms || !is_nameless(client))
        return;
    early_read_session(early, request, MESSAGE_HEADER, session);
    struct home *home = find_home(early, session);
    if (!*session || (home && !memcmp(home->name, name, NAME_BYTES)) ||
        (!home && !(home = add_home(early, session))))
        return;
    memcpy(home->name, name, NAME_BYTES);
    early_try_again(early, session);
}

long long early_tick(struct early *early, long long now_ms)
{
    if (!early->first)
        return CLOCK_NEVER;
    if (!early_is_open(early, now_ms)) {
        limit(early);
        return CLOCK_NEVER;
    }
    if (now_ms >= early->next_try_ms) {
        early_try_again(early, NULL);
        early->next_try_ms = now_ms + RETRY_MS;
    }
    return early->first ? early->next_try_ms : CLOCK_NEVER;
}

void early_release(struct early *early)
{
    struct home *home, *next;
    while (early->first)
        early_drop(early, early->first);
    HASH_ITER (hh, early->homes, home, next) {
        HASH_DEL(early->homes, home);
        free(home);
    }
}
