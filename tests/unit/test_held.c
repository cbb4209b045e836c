/* Messages put aside come back as they were: small frames, large ones by reference, shared ones,
 * empty ones, and the delimiter's place. */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/held.h"

Test(held, gives_back_what_was_put_aside)
{
    static char large[100000];
    struct message message, restored;
    size_t size;
    memset(large, 'L', sizeof(large));
    message_init(&message);
    message_init(&restored);
    message_append(&message, "client", 6);
    message_append_parts(&message);
    message_set_part(&message, MESSAGE_HEADER, large, sizeof(large));
    message_set_part(&message, MESSAGE_PARENT, large, HELD_COPIED_BYTES);
    for (int i = 0; i < 40; i++)
        message_append(&message, &i, sizeof(i));
    struct held *held = held_create(&message, NULL);
    cr_assert(held);
    const void *referred = zmq_msg_data(message_part(&message, MESSAGE_HEADER));
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(held_restore(held, &restored), 0);
        cr_assert_eq(restored.count, message.count);
        cr_assert_eq(restored.delimiter, message.delimiter);
        for (size_t i = 0; i < message.count; i++) {
            cr_assert_eq(zmq_msg_size(&restored.frames[i]), zmq_msg_size(&message.frames[i]));
            cr_assert_arr_eq(zmq_msg_data(&restored.frames[i]), zmq_msg_data(&message.frames[i]),
                             zmq_msg_size(&message.frames[i]));
        }
        for (int part = 0; part <= MESSAGE_PARTS; part++) {
            zmq_msg_t *same = message_part(&message, part);
            cr_assert_arr_eq(held_part(held, part, &size), zmq_msg_data(same), zmq_msg_size(same));
            cr_assert_eq(size, zmq_msg_size(same));
        }
        cr_assert_arr_eq(held_peer(held, &size), "client", 6);
        cr_assert_eq(size, 6);
        cr_assert_eq(zmq_msg_data(message_part(&restored, MESSAGE_HEADER)), referred,
                     "a large frame is not copied");
        message_clear(&restored);
    }
    held_destroy(held);
    held_destroy(NULL);
    message_close(&message);
    message_close(&restored);
}

/* A task of a map: a header of its own, a function that all tasks have, and an argument that few
 * have. */
static void make_task(struct message *message, int number, const char *function, size_t size)
{
    char header[200], argument[100];
    memset(header, 'h', sizeof(header));
    memset(argument, 'a', sizeof(argument));
    memcpy(header, &number, sizeof(number));
    memcpy(argument, &(int){number / 3}, sizeof(int));
    message_append(message, "client", 6);
    message_append_parts(message);
    message_set_part(message, MESSAGE_SIGNATURE, "signature", 9);
    message_set_part(message, MESSAGE_HEADER, header, sizeof(header));
    message_append(message, function, size);
    message_append(message, argument, sizeof(argument));
}

static const void *function_of(struct held *held)
{
    size_t size;
    return held_part(held, MESSAGE_PARTS, &size);
}

Test(held, what_messages_have_in_common_is_kept_once)
{
    enum { COUNT = 1000 };
    static struct held *all[COUNT];
    static char functions[2][3000];
    static const size_t sizes[2] = {300, sizeof(functions[1])};
    struct held_pool *pool = held_pool_create();
    struct message message, restored;
    size_t elsewhere[2] = {0};
    memset(functions, 'f', sizeof(functions));
    functions[1][2] = 'g';
    message_init(&message);
    message_init(&restored);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            make_task(&message, i, functions[i % 2], sizes[i % 2]);
            all[i] = held_create(&message, pool);
            message_clear(&message);
        }
        for (int i = 0; i < COUNT; i++) {
            make_task(&message, i, functions[i % 2], sizes[i % 2]);
            cr_assert_eq(held_restore(all[i], &restored), 0);
            for (size_t k = 0; k < message.count; k++) {
                cr_assert_eq(zmq_msg_size(&restored.frames[k]), zmq_msg_size(&message.frames[k]));
                cr_assert_arr_eq(zmq_msg_data(&restored.frames[k]),
                                 zmq_msg_data(&message.frames[k]),
                                 zmq_msg_size(&message.frames[k]));
            }
            elsewhere[i % 2] += function_of(all[i]) != function_of(all[COUNT - 2 + i % 2]);
            message_clear(&message);
            message_clear(&restored);
        }
        /* They end in another order than they came. */
        for (int i = 0; i < COUNT; i++)
            held_destroy(all[i * 7 % COUNT]);
    }
    cr_assert(elsewhere[0] < COUNT / 10 && elsewhere[1] < COUNT / 10,
              "%zu and %zu of %d are kept again", elsewhere[0], elsewhere[1], COUNT);
    held_pool_destroy(pool);
    message_close(&message);
    message_close(&restored);
}
