/* The serializers. First byte: bit 0 which one, bits 1 to 3 how many members are looked for. What
 * unpack takes as a mapping find takes as well, and both know of the same members; what is packed
 * is unpacked to the same. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static const char *const names[] = {"msg_id",  "msg_type", "status",   "a",
                                    "targets", "session",  "\xc3\xa9", "pending"};
#define NAMES (sizeof(names) / sizeof(*names))

static void check_members(const struct ipcl_serial_operations *serial, const json_t *value,
                          const struct ipcl_member *members, size_t count)
{
    struct ipcl_error error;
    for (size_t i = 0; i < count; i++) {
        bool found = members[i].state != IPCL_MEMBER_ABSENT;
        FUZZ_ASSERT(found == (json_object_get(value, members[i].name) != NULL));
        if (members[i].state == IPCL_MEMBER_OTHER)
            json_decref(serial->unpack(members[i].data, members[i].size, &error));
    }
}

static void check_packing(const struct ipcl_serial_operations *serial, const json_t *value)
{
    struct ipcl_error error;
    size_t size;
    char *packed = serial->pack(value, &size, &error);
    if (!packed)
        return;
    json_t *again = serial->unpack(packed, size, &error);
    FUZZ_ASSERT(again && json_equal(value, again));
    json_decref(again);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ipcl_error error = {""};
    struct ipcl_member members[NAMES];
    if (!size)
        return 0;
    const struct ipcl_serial_operations *serial = fuzz_serial(data[0]);
    const char *bytes = (const char *)data + 1, *end = (const char *)data + size;
    size_t count = 1 + (data[0] >> 1 & 7);
    for (size_t i = 0; i < count; i++)
        members[i] = (struct ipcl_member){.name = names[i]};
    int failed = serial->find(bytes, size - 1, members, count);
    for (size_t i = 0; i < count && !failed; i++)
        FUZZ_ASSERT(members[i].state == IPCL_MEMBER_ABSENT ||
                    (members[i].data >= bytes && members[i].data + members[i].size <= end));
    json_t *value = serial->unpack(bytes, size - 1, &error);
    FUZZ_ASSERT(value || (*error.text && memchr(error.text, 0, sizeof(error.text))));
    if (json_is_object(value)) {
        FUZZ_ASSERT(!failed);
        check_members(serial, value, members, count);
    }
    if (value)
        check_packing(serial, value);
    json_decref(value);
    return 0;
}
