/* The task scheduler's reading of a task's metadata, and of a reply's. First byte: serializer. */
#include <math.h>

#include "controller/schedulers/task_metadata.h"
#include "fuzz.h"

static void read_task(struct task_metadata_reader *reader, zmq_msg_t *part)
{
    struct task_metadata metadata;
    const char *ename = NULL, *evalue = NULL;
    if (task_metadata_read(reader, part, &metadata, &ename, &evalue)) {
        FUZZ_ASSERT(ename && evalue);
    } else {
        FUZZ_ASSERT(metadata.retries >= 0);
        FUZZ_ASSERT(metadata.timeout >= 0 && isfinite(metadata.timeout));
        for (size_t i = 0; i < metadata.after.count; i++)
            FUZZ_ASSERT(metadata.after.ids[i]);
        for (size_t i = 0; i < metadata.follow.count; i++)
            FUZZ_ASSERT(metadata.follow.ids[i]);
        task_metadata_is_plain(&metadata);
    }
    task_metadata_clear(&metadata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct task_metadata_reader readers[2];
    struct ipcl_error error;
    struct message message;
    struct task_reply reply;
    if (!size)
        return 0;
    struct task_metadata_reader *reader = &readers[data[0] & 1];
    if (!reader->serial)
        FUZZ_ASSERT(!task_metadata_prepare(reader, fuzz_serial(data[0]), &error));
    message_init(&message);
    message_append(&message, data + 1, size - 1);
    read_task(reader, message_frame(&message, 0));
    task_metadata_of_reply(reader, message_frame(&message, 0), &reply);
    message_close(&message);
    return 0;
}
