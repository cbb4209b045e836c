/* Messages put aside come back as they were: small frames, large ones by reference, empty ones, and
 * the delimiter's place. */
#include <criterion/criterion.h>
#include <string.h>

#include "controller/held.h"

Test(held, gives_back_what_was_put_aside)
{
    static char large[100000];
    struct message message, restored;
    size_t size;
    memset(large, 'L', sizeof(large));
    message_init(&message);
    message_init(&restored);
    message_append(&message, "client", 6);
    message_append_delimiter(&message);
    message_append(&message, "", 0);
    message_append(&message, large, sizeof(large));
    message_append(&message, large, HELD_COPIED_BYTES);
    for (int i = 0; i < 40; i++)
        message_append(&message, &i, sizeof(i));
    struct held *held = held_create(&message);
    cr_assert(held);
    const void *referred = zmq_msg_data(&message.frames[3]);
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(held_restore(held, &restored), 0);
        cr_assert_eq(restored.count, message.count);
        cr_assert_eq(restored.delimiter, message.delimiter);
        for (size_t i = 0; i < message.count; i++) {
            cr_assert_eq(zmq_msg_size(&restored.frames[i]), zmq_msg_size(&message.frames[i]));
            cr_assert_arr_eq(zmq_msg_data(&restored.frames[i]), zmq_msg_data(&message.frames[i]),
                             zmq_msg_size(&message.frames[i]));
            cr_assert_arr_eq(held_frame(held, i, &size), zmq_msg_data(&message.frames[i]),
                             zmq_msg_size(&message.frames[i]));
            cr_assert_eq(size, zmq_msg_size(&message.frames[i]));
        }
        cr_assert_eq(zmq_msg_data(&restored.frames[3]), referred, "a large frame is not copied");
        message_clear(&restored);
    }
    cr_assert_eq(held_delimiter(held), 1);
    held_destroy(held);
    held_destroy(NULL);
    message_close(&message);
    message_close(&restored);
}
