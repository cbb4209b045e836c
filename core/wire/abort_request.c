/* Abort requests, as ipyparallel's clients send them: their content's msg_ids name requests, or
 * all. */
#include "wire/abort_request.h"

#include <string.h>

/* The texts of a list, or a text, as the members of a mapping: a new reference, or NULL. */
static json_t *set_of(json_t *names)
{
    json_t *set = json_object(), *name;
    size_t i;
    bool valid = !names || json_is_null(names) || json_is_array(names) || json_is_string(names);
    if (json_is_string(names))
        json_object_set_new(set, json_string_value(names), json_true());
    json_array_foreach (names, i, name)
        if (!json_is_string(name) || json_object_set_new(set, json_string_value(name), json_true()))
            valid = false;
    if (valid)
        return set;
    json_decref(set);
    return NULL;
}

int abort_request_read(struct abort_request *request, const struct session *session,
                       struct message *message, const json_t *content, struct ipcl_error *error)
{
    *request = (struct abort_request){.session = {.name = "session"}};
    if (session_find(session, message_part(message, MESSAGE_HEADER), &request->session, 1) ||
        request->session.state != IPCL_MEMBER_TEXT)
        return ipcl_error_set(error, "the header of an abort request has no session");
    request->named = set_of(json_object_get(content, "msg_ids"));
    if (!request->named)
        return ipcl_error_set(error, "msg_ids must be a list of msg_ids; an empty list means all "
                                     "waiting requests of this client");
    return 0;
}

void abort_request_clear(struct abort_request *request)
{
    json_decref(request->named);
    request->named = NULL;
}

bool abort_request_is_from(const struct abort_request *request,
                           const struct ipcl_serial_operations *serial, const void *header,
                           size_t size)
{
    struct ipcl_member session = {.name = "session"};
    return !serial->find(header, size, &session, 1) && session.state == IPCL_MEMBER_TEXT &&
           session.size == request->session.size &&
           !memcmp(session.data, request->session.data, session.size);
}
