/* The book of coalesced broadcasts: parts end in any order, once each; the reply has them in the
 * client's order; nothing is left when a broadcast is closed. */
#include <criterion/criterion.h>
#include <string.h>

#include "controller/schedulers/gather.h"

static const struct reply_request request = {
    .client = "client", .client_size = 6, .header = "{header}", .header_size = 8};

static struct gathering *open_three(struct gather *gather)
{
    struct gathering *gathering = gather_open(gather, "M", 1, &request);
    cr_assert(gathering);
    cr_assert(gather_add(gather, gathering, "M_a", "a", 0));
    cr_assert(gather_add(gather, gathering, "M_b", "b", 1));
    cr_assert(gather_add(gather, gathering, "M_c", "c", 2));
    gather_added(gathering);
    return gathering;
}

static struct gather_part *part_of(const struct gather *gather, const char *msg_id)
{
    struct gather_part *part = gather_find(gather, msg_id, strlen(msg_id));
    cr_assert(part, "%s", msg_id);
    return part;
}

/* A reply with these buffers. */
static void make_reply(struct message *reply, const char *content, const char *const *buffers)
{
    message_init(reply);
    message_append_parts(reply);
    message_set_part(reply, MESSAGE_CONTENT, content, strlen(content));
    for (; *buffers; buffers++)
        message_append(reply, *buffers, strlen(*buffers));
}

static void answer(struct gather *gather, const char *msg_id, const char *const *buffers)
{
    struct message reply;
    make_reply(&reply, "{\"status\": \"ok\"}", buffers);
    gather_answer(gather, part_of(gather, msg_id), PART_OK, NULL, &reply);
    message_close(&reply);
}

Test(gather, has_the_parts_in_the_clients_order_however_they_come)
{
    struct gather gather = {0};
    struct gathering *gathering = open_three(&gather);
    answer(&gather, "M_c", (const char *[]){"3", NULL});
    answer(&gather, "M_a", (const char *[]){"1", "1 more", NULL});
    cr_assert_eq(gathering->open, 1);
    answer(&gather, "M_b", (const char *[]){NULL});
    cr_assert_eq(gathering->open, 0);
    cr_assert_eq(gathering_state(gathering), PART_OK);
    cr_assert_eq(gathering->parts->buffer_count, 2);
    cr_assert_arr_eq(zmq_msg_data(&gathering->parts->buffers[1]), "1 more", 6);
    cr_assert_eq(gathering->parts->next->buffer_count, 0);
    cr_assert_eq(gathering->parts->next->next->buffer_count, 1);
    cr_assert_eq(zmq_msg_size(&gathering->content), strlen("{\"status\": \"ok\"}"));
    cr_assert_arr_eq(gathering->request.header, "{header}", 8);
    gather_close(&gather, gathering);
    cr_assert_null(gather.by_id);
    cr_assert_null(gather.open_parts);
}

Test(gather, a_part_ends_once_and_a_broadcast_is_entered_once)
{
    struct gather gather = {0};
    struct gathering *gathering = open_three(&gather);
    cr_assert_null(gather_open(&gather, "M", 1, &request));
    answer(&gather, "M_a", (const char *[]){"1", NULL});
    cr_assert_null(gather_find(&gather, "M_a", 3));
    cr_assert_null(gather_find(&gather, "M_x", 3));
    gather_close(&gather, gathering);
    cr_assert_null(gather_find(&gather, "M_b", 3));
    gathering = open_three(&gather);
    cr_assert(gathering, "the msg_id is free again");
    gather_release(&gather);
    cr_assert_null(gather.by_id);
}

Test(gather, is_open_while_parts_are_added)
{
    struct gather gather = {0};
    struct gathering *gathering = gather_open(&gather, "M", 1, &request);
    gather_fail(&gather, gather_add(&gather, gathering, "M_a", "a", 0),
                reply_error_content("EngineError", "gone"));
    cr_assert_eq(gathering->open, 1);
    gather_added(gathering);
    cr_assert_eq(gathering->open, 0);
    gather_release(&gather);
}

Test(gather, an_error_is_that_of_the_first_engine_and_names_the_number)
{
    struct gather gather = {0};
    struct message reply;
    struct gathering *gathering = open_three(&gather);
    answer(&gather, "M_a", (const char *[]){"1", NULL});
    gather_fail(&gather, part_of(&gather, "M_c"), reply_error_content("EngineError", "died"));
    make_reply(&reply, "", (const char *[]){"not kept", NULL});
    gather_answer(&gather, part_of(&gather, "M_b"), PART_FAILED,
                  json_pack("{s:s s:s s:s s:[s] s:{s:s}}", "status", "error", "ename", "ValueError",
                            "evalue", "no", "traceback", "line 1", "engine_info", "engine_uuid",
                            "b"),
                  &reply);
    message_close(&reply);
    cr_assert_eq(gathering_state(gathering), PART_FAILED);
    json_t *content = gathering_error(gathering);
    cr_assert_str_eq(json_string_value(json_object_get(content, "ename")), "ValueError");
    cr_assert_str_eq(json_string_value(json_object_get(content, "evalue")),
                     "no (engine 1; 2 of 3 engines failed)");
    cr_assert_str_eq(json_string_value(json_object_get(content, "status")), "error");
    cr_assert_eq(json_array_size(json_object_get(content, "traceback")), 4);
    cr_assert(json_object_get(json_object_get(content, "engine_info"), "engine_uuid"));
    json_decref(content);
    json_t *targets = gathering_targets(gathering);
    char *text = json_dumps(targets, JSON_COMPACT);
    cr_assert_str_eq(text, "[[\"a\",0],[\"b\",1],[\"c\",2]]");
    free(text);
    json_decref(targets);
    gather_release(&gather);
}

Test(gather, an_error_that_cannot_be_read_is_an_error)
{
    struct gather gather = {0};
    struct gathering *gathering = open_three(&gather);
    json_t *errors[] = {json_integer(7), NULL, json_array()};
    for (size_t i = 0; i < 3; i++)
        gather_fail(&gather, part_of(&gather, (const char *[]){"M_a", "M_b", "M_c"}[i]), errors[i]);
    json_t *content = gathering_error(gathering);
    cr_assert_str_eq(json_string_value(json_object_get(content, "ename")), "RuntimeError");
    json_decref(content);
    gather_release(&gather);
}

Test(gather, is_aborted_where_parts_are_and_none_failed)
{
    struct gather gather = {0};
    struct message reply;
    struct gathering *gathering = open_three(&gather);
    make_reply(&reply, "{\"status\": \"aborted\"}", (const char *[]){NULL});
    gather_answer(&gather, part_of(&gather, "M_b"), PART_ABORTED, NULL, &reply);
    message_close(&reply);
    answer(&gather, "M_a", (const char *[]){"1", NULL});
    answer(&gather, "M_c", (const char *[]){"1", NULL});
    cr_assert_eq(gathering_state(gathering), PART_ABORTED);
    gather_release(&gather);
}
