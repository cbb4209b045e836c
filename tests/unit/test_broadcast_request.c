/* Broadcast requests: what is read of the metadata, what each engine gets, and what is refused;
 * with both serializers. */
#include <criterion/criterion.h>
#include <string.h>

#include "controller/schedulers/broadcast_request.h"
#include "unit.h"

static const char key[] = "key";
static char payload[100000];

static struct session *make_session(const char *serial)
{
    struct ipcl_error error;
    struct session *session =
        session_create(key, sizeof(key) - 1, "hmac-sha256", unit_serial(serial), NULL, &error);
    cr_assert(session, "%s", error.text);
    return session;
}

/* A broadcast of these metadata, which are taken over, as the controller receives it. */
static void make_broadcast(struct session *session, struct message *message, json_t *metadata,
                           char msg_id[MESSAGE_ID_LENGTH + 1])
{
    struct session_parts parts = {.msg_type = "apply_request", .metadata = metadata};
    message_init(message);
    message_append(message, "client", 6);
    cr_assert_eq(session_build(session, message, &parts, msg_id, NULL), 0);
    message_append(message, payload, sizeof(payload));
    json_decref(metadata);
}

static json_t *two_targets(void)
{
    return json_pack("{s:[[s,i],[s,i]] s:b s:b}", "targets", "engine-0", 0, "engine-1", 7,
                     "is_broadcast", 1, "is_coalescing", 1);
}

static void give_each_engine_its_own(const char *serial)
{
    struct session *session = make_session(serial), *engine = make_session(serial);
    struct message message, part;
    struct broadcast_request request;
    char msg_id[MESSAGE_ID_LENGTH + 1], expected[REPORT_TEXT_MAX + 1], id[REPORT_TEXT_MAX + 1];
    /* Uuids of one length and of another. */
    const char *uuids[] = {"engine-0", "engine-1", "longer-engine-2", "engine-3", "engine-4"};
    make_broadcast(session, &message, two_targets(), msg_id);
    cr_assert_null(broadcast_request_read(&request, session, &message));
    cr_assert(request.coalescing);
    cr_assert_eq(request.count, 2);
    cr_assert_str_eq(request.targets[1].uuid, "engine-1");
    cr_assert_eq(request.targets[1].id, 7);
    message_init(&part);
    for (size_t i = 0; i < sizeof(uuids) / sizeof(*uuids); i++) {
        message_clear(&part);
        cr_assert_eq(broadcast_request_part(&request, uuids[i], &part), 0);
        cr_assert_eq(message_identities(&part), 2);
        cr_assert_arr_eq(zmq_msg_data(message_peer(&part)), uuids[i], strlen(uuids[i]));
        cr_assert_arr_eq(zmq_msg_data(message_partner(&part)), "client", 6);
        cr_assert_eq(session_sign(session, &part, NULL), 0);
        cr_assert_eq(session_verify(engine, &part), SESSION_ACCEPTED);
        json_t *header = session_unpack(engine, message_part(&part, MESSAGE_HEADER), NULL);
        json_t *metadata = session_unpack(engine, message_part(&part, MESSAGE_METADATA), NULL);
        snprintf(expected, sizeof(expected), "%s_%s", msg_id, uuids[i]);
        broadcast_request_id(&request, uuids[i], id);
        cr_assert_str_eq(id, expected);
        cr_assert_str_eq(json_string_value(json_object_get(header, "msg_id")), expected);
        cr_assert_str_eq(json_string_value(json_object_get(header, "msg_type")), "apply_request");
        cr_assert_str_eq(json_string_value(json_object_get(metadata, "original_msg_id")), msg_id);
        cr_assert(json_is_true(json_object_get(metadata, "is_coalescing")));
        cr_assert_null(json_object_get(metadata, "targets"), "an engine is not told of the others");
        cr_assert_eq(zmq_msg_data(message_buffer(&part, 0)),
                     zmq_msg_data(message_buffer(&message, 0)), "the payload is not copied");
        json_decref(header);
        json_decref(metadata);
    }
    message_close(&part);
    broadcast_request_release(&request);
    message_close(&message);
    session_destroy(engine);
    session_destroy(session);
}

Test(broadcast_request, gives_each_engine_its_own)
{
    give_each_engine_its_own("json");
    give_each_engine_its_own("msgpack");
}

static const char *read_metadata(json_t *metadata, size_t *count)
{
    struct session *session = make_session("json");
    struct message message;
    struct broadcast_request request;
    char msg_id[MESSAGE_ID_LENGTH + 1];
    make_broadcast(session, &message, metadata, msg_id);
    const char *wrong = broadcast_request_read(&request, session, &message);
    *count = request.count;
    broadcast_request_release(&request);
    message_close(&message);
    session_destroy(session);
    return wrong;
}

Test(broadcast_request, takes_each_target_once)
{
    size_t count;
    cr_assert_null(read_metadata(
        json_pack("{s:[[s,i],[s,i],s,[s,i]]}", "targets", "a", 0, "a", 0, "b", "a", 0), &count));
    cr_assert_eq(count, 2);
}

Test(broadcast_request, refuses_what_names_no_engines)
{
    size_t count;
    char longer[100];
    memset(longer, 'x', sizeof(longer));
    cr_assert(strstr(read_metadata(json_pack("{s:[]}", "targets"), &count), "no engine"));
    json_t *wrong[] = {
        json_pack("{}"),
        json_pack("{s:s}", "targets", "all"),
        json_pack("{s:[i]}", "targets", 5),
        json_pack("{s:[[]]}", "targets"),
        json_pack("{s:[[i,s]]}", "targets", 5, "a"),
        json_pack("{s:[[s,s]]}", "targets", "a", "b"),
        json_pack("{s:[s]}", "targets", ""),
        json_pack("{s:[s]}", "targets", "en\"gine"),
        json_pack("{s:[s#]}", "targets", longer, 64),
        json_pack("{s:[[s,i],n]}", "targets", "a", 1),
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        const char *text = read_metadata(wrong[i], &count);
        cr_assert(text && strstr(text, "has targets"), "%zu: %s", i, text);
    }
}
