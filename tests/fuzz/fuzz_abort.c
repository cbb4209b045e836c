/* Abort requests: what their content names. First byte: serializer. */
#include <stdlib.h>

#include "fuzz.h"
#include "wire/abort_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct session *sessions[2];
    struct ipcl_error error;
    struct message message;
    struct abort_request request;
    if (!size)
        return 0;
    struct session **session = &sessions[data[0] & 1];
    if (!*session)
        *session = session_create("", 0, "hmac-sha256", fuzz_serial(data[0]), NULL, &error);
    message_init(&message);
    fuzz_message((struct fuzz_bytes){data + 1, data + size}, &message, 1);
    zmq_msg_t *header = message_part(&message, MESSAGE_HEADER);
    json_t *content =
        header ? session_unpack(*session, message_part(&message, MESSAGE_CONTENT), &error) : NULL;
    if (json_is_object(content) &&
        !abort_request_read(&request, *session, &message, content, &error)) {
        const char *name;
        json_t *value;
        json_object_foreach (request.named, name, value)
            FUZZ_ASSERT(json_is_true(value));
        FUZZ_ASSERT(abort_request_is_from(&request, fuzz_serial(data[0]), zmq_msg_data(header),
                                          zmq_msg_size(header)));
        abort_request_clear(&request);
    }
    json_decref(content);
    message_close(&message);
    return 0;
}
