/* Views: what most C programs ask of a set of engines, or of the load balancer. */
#include "client/submission_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/value_private.h"

#define JSON_MODULE "__import__('json')"

struct ipcl_view {
    struct ipcl_client *client; /* a hold */
    enum ipcl_channel channel;
    size_t count;
    int *ids; /* NULL for the load balancer */
};

static struct ipcl_view *view_create(struct ipcl_client *client, enum ipcl_channel channel,
                                     size_t count, struct ipcl_error *error)
{
    struct ipcl_view *view = calloc(1, sizeof(*view));
    int *ids = calloc(count ? count : 1, sizeof(*ids));
    if (!view || !ids) {
        ipcl_error_set(error, "out of memory");
        free(view);
        free(ids);
        return NULL;
    }
    *view = (struct ipcl_view){
        .client = ipcl_client_hold(client), .channel = channel, .count = count, .ids = ids};
    return view;
}

void ipcl_view_destroy(struct ipcl_view *view)
{
    if (!view)
        return;
    ipcl_client_release(view->client);
    free(view->ids);
    free(view);
}

static struct ipcl_view *view_of_all(struct ipcl_client *client, enum ipcl_channel channel,
                                     struct ipcl_error *error)
{
    size_t count = ipcl_client_engines(client, NULL, 0);
    struct ipcl_engine *engines = calloc(count ? count : 1, sizeof(*engines));
    struct ipcl_view *view = NULL;
    if (engines) {
        size_t now = ipcl_client_engines(client, engines, count);
        count = now < count ? now : count;
        view = view_create(client, channel, count, error);
    } else {
        ipcl_error_set(error, "out of memory");
    }
    for (size_t i = 0; view && i < count; i++)
        view->ids[i] = engines[i].id;
    free(engines);
    if (view && !count) {
        ipcl_error_set(
            error,
            "no engines are registered: start some (ipcluster engines --n=4), or wait for them with "
            "ipcl_client_wait_for_engines()");
        ipcl_view_destroy(view);
        return NULL;
    }
    return view;
}

static struct ipcl_view *view_of_engines(struct ipcl_client *client, enum ipcl_channel channel,
                                         const int *ids, size_t count, struct ipcl_error *error)
{
    char uuid[ENGINE_UUID_BYTES];
    if (!ids)
        return view_of_all(client, channel, error);
    for (size_t i = 0; i < count; i++)
        if (client_find_engine(client, ids[i], uuid, error))
            return NULL;
    struct ipcl_view *view = view_create(client, channel, count, error);
    if (view && count)
        memcpy(view->ids, ids, count * sizeof(*ids));
    return view;
}

struct ipcl_view *ipcl_view_direct(struct ipcl_client *client, const int *ids, size_t count,
                                   struct ipcl_error *error)
{
    return view_of_engines(client, IPCL_CHANNEL_DIRECT, ids, count, error);
}

struct ipcl_view *ipcl_view_broadcast(struct ipcl_client *client, const int *ids, size_t count,
                                      struct ipcl_error *error)
{
    return view_of_engines(client, IPCL_CHANNEL_BROADCAST, ids, count, error);
}

struct ipcl_view *ipcl_view_balanced(struct ipcl_client *client, struct ipcl_error *error)
{
    return view_create(client, IPCL_CHANNEL_TASK, 1, error);
}

size_t ipcl_view_count(const struct ipcl_view *view)
{
    return view->count;
}

/* Memory that several requests send, released with the last. */
struct shared {
    atomic_size_t holds;
    struct ipcl_buffer buffer;
};

static void shared_release(void *owner)
{
    struct shared *shared = owner;
    if (atomic_fetch_sub(&shared->holds, 1) != 1)
        return;
    if (shared->buffer.release)
        shared->buffer.release(shared->buffer.owner);
    free(shared);
}

#define REQUEST_BUFFERS_MAX 4

/* The request with buffers of its own: they outlive the call, but for the last where `shared` is
 * set, which gets one hold more. */
static struct ipcl_submission with_buffers(const struct ipcl_submission *request,
                                           struct shared *shared,
                                           struct ipcl_buffer buffers[REQUEST_BUFFERS_MAX])
{
    struct ipcl_submission one = *request;
    if (request->buffer_count)
        memcpy(buffers, request->buffers, request->buffer_count * sizeof(*buffers));
    if (shared) {
        atomic_fetch_add(&shared->holds, 1);
        buffers[request->buffer_count - 1] =
            (struct ipcl_buffer){shared->buffer.data, shared->buffer.size, shared, shared_release};
    }
    one.buffers = buffers;
    return one;
}

/* Submits one request for each engine, or one for all of them. */
static int submit_to_all(struct ipcl_view *view, struct ipcl_submission *request,
                         struct shared *shared, struct ipcl_future **futures,
                         struct ipcl_error *error)
{
    struct ipcl_buffer buffers[REQUEST_BUFFERS_MAX];
    struct ipcl_submission one = with_buffers(request, shared, buffers);
    one.channel = view->channel;
    if (view->channel == IPCL_CHANNEL_BROADCAST)
        return ipcl_broadcast(view->client, &one, view->ids, view->count, futures, error);
    if (view->channel == IPCL_CHANNEL_DIRECT)
        return ipcl_submit_each(view->client, &one, view->ids, view->count, futures, error);
    futures[0] = ipcl_submit(view->client, &one, error);
    return futures[0] ? 0 : -1;
}

int ipcl_view_execute(struct ipcl_view *view, const char *code, struct ipcl_future **futures,
                      struct ipcl_error *error)
{
    if (view->channel == IPCL_CHANNEL_TASK)
        return ipcl_error_set(
            error,
            "the load balancer runs functions, not code: use ipcl_view_call(), or a direct view");
    json_t *content = json_pack("{s:s s:b s:{} s:b}", "code", code, "silent", 1, "user_expressions",
                                "allow_stdin", 0);
    char *text = content ? json_dumps(content, JSON_COMPACT) : NULL;
    json_decref(content);
    if (!text)
        return ipcl_error_set(error, "the code is not UTF-8, or memory is short");
    struct ipcl_submission request = {.msg_type = "execute_request", .content = text};
    int status = submit_to_all(view, &request, NULL, futures, error);
    free(text);
    return status;
}

static struct ipcl_buffer as_buffer(const struct bytes *bytes)
{
    return (struct ipcl_buffer){.data = bytes->data, .size = bytes->size};
}

static void release_copy(void *owner)
{
    free(owner);
}

/* Bytes may be larger than what ipcl_submit() copies, so that they live until they are sent: as
 * shared memory does. */
static int submit_apply(struct ipcl_view *view, const char *expression, struct bytes *argument,
                        struct shared *payload, struct ipcl_future **futures,
                        struct ipcl_error *error)
{
    struct bytes function = {0}, info = {0};
    size_t argument_buffers = (argument ? 1 : 0) + (payload ? 1 : 0);
    struct shared *shared = payload;
    int status = -1;
    value_pickle_reference(&function, expression);
    value_pickle_apply_info(&info, argument ? 1 : 0, argument_buffers);
    if (function.size > IPCL_COPY_BYTES) {
        ipcl_error_set(error,
                       "the name or expression is longer than %d bytes: push it as a string first",
                       IPCL_COPY_BYTES - 256);
        goto done;
    }
    if (!shared && argument && argument->size > IPCL_COPY_BYTES && !argument->failed) {
        shared = calloc(1, sizeof(*shared));
        if (shared) {
            atomic_init(&shared->holds, 1);
            shared->buffer =
                (struct ipcl_buffer){argument->data, argument->size, argument->data, release_copy};
            *argument = (struct bytes){0};
        }
    }
    if (function.failed || info.failed || (argument && argument->failed) ||
        (argument && argument->size > IPCL_COPY_BYTES)) {
        ipcl_error_set(error, "out of memory");
        goto done;
    }
    struct ipcl_buffer buffers[REQUEST_BUFFERS_MAX] = {as_buffer(&function), as_buffer(&info)};
    if (argument)
        buffers[2] = as_buffer(argument);
    struct ipcl_submission request = {
        .msg_type = "apply_request", .buffers = buffers, .buffer_count = 2 + argument_buffers};
    status = submit_to_all(view, &request, shared, futures, error);
done:
    if (shared && shared != payload)
        shared_release(shared);
    bytes_free(&function);
    bytes_free(&info);
    return status;
}

static bool is_name(const char *text, size_t size)
{
    if (!size || isdigit((unsigned char)*text))
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_' && !((unsigned char)text[i] & 0x80))
            return false;
    return true;
}

static int check_name(const char *name, bool dots, struct ipcl_error *error)
{
    const char *part = name;
    for (;;) {
        size_t size = strcspn(part, ".");
        if (!is_name(part, size))
            return ipcl_error_set(error, "'%s' is not a name in Python%s", name,
                                  dots ? "" : " without dots");
        if (!part[size])
            return 0;
        if (!dots)
            return ipcl_error_set(error, "'%s' is not a name in Python without dots", name);
        part += size + 1;
    }
}

static int pickle_json(struct bytes *argument, const char *json, const char *what, bool array,
                       struct ipcl_error *error)
{
    json_error_t where;
    json_t *value = json_loads(json, JSON_DECODE_ANY, &where);
    bool right = value && (!array || json_is_array(value));
    json_decref(value);
    if (!right)
        return ipcl_error_set(error, "the %s is not %s: %s", what, array ? "a JSON array" : "JSON",
                              value ? json : where.text);
    value_pickle_text(argument, json);
    return 0;
}

int ipcl_view_call(struct ipcl_view *view, const char *name, const char *arguments,
                   struct ipcl_future **futures, struct ipcl_error *error)
{
    struct bytes expression = {0}, argument = {0};
    const char *last = strrchr(name, '.');
    int status = -1;
    if (check_name(name, true, error) ||
        pickle_json(&argument, arguments, "list of arguments", true, error))
        return -1;
    bytes_add_text(&expression, "lambda arguments: " JSON_MODULE ".dumps(");
    if (last) {
        bytes_add_text(&expression, "getattr(__import__('importlib').import_module('");
        bytes_add(&expression, name, (size_t)(last - name));
        bytes_add_text(&expression, "'), '");
        bytes_add_text(&expression, last + 1);
        bytes_add_text(&expression, "')");
    } else {
        bytes_add_text(&expression, name);
    }
    bytes_add(&expression, "(*" JSON_MODULE ".loads(arguments)))",
              sizeof("(*" JSON_MODULE ".loads(arguments)))"));
    if (expression.failed)
        ipcl_error_set(error, "out of memory");
    else
        status = submit_apply(view, expression.data, &argument, NULL, futures, error);
    bytes_free(&expression);
    bytes_free(&argument);
    return status;
}

/* The expression that binds a name to what is sent. Longer than what a request copies it is refused
 * when it is submitted. */
static void name_setter(struct bytes *expression, const char *name, const char *value)
{
    bytes_add_text(expression, "lambda value: globals().__setitem__('");
    bytes_add_text(expression, name);
    bytes_add_text(expression, "', ");
    bytes_add_text(expression, value);
    bytes_add(expression, ")", sizeof(")"));
}

int ipcl_view_push(struct ipcl_view *view, const char *name, const char *json,
                   struct ipcl_future **futures, struct ipcl_error *error)
{
    struct bytes expression = {0}, argument = {0};
    int status = -1;
    if (check_name(name, false, error) || pickle_json(&argument, json, "value", false, error))
        return -1;
    name_setter(&expression, name, JSON_MODULE ".loads(value)");
    if (expression.failed)
        ipcl_error_set(error, "out of memory");
    else
        status = submit_apply(view, expression.data, &argument, NULL, futures, error);
    bytes_free(&expression);
    bytes_free(&argument);
    return status;
}

int ipcl_view_push_bytes(struct ipcl_view *view, const char *name, struct ipcl_buffer bytes,
                         struct ipcl_future **futures, struct ipcl_error *error)
{
    struct bytes expression = {0}, argument = {0};
    struct shared *payload = calloc(1, sizeof(*payload));
    int status = -1;
    if (!payload) {
        if (bytes.release)
            bytes.release(bytes.owner);
        return ipcl_error_set(error, "out of memory");
    }
    atomic_init(&payload->holds, 1);
    payload->buffer = bytes;
    if (!check_name(name, false, error)) {
        value_pickle_bytes_to_come(&argument);
        name_setter(&expression, name, "value");
        if (expression.failed)
            ipcl_error_set(error, "out of memory");
        else
            status = submit_apply(view, expression.data, &argument, payload, futures, error);
    }
    bytes_free(&expression);
    bytes_free(&argument);
    shared_release(payload);
    return status;
}

int ipcl_view_pull(struct ipcl_view *view, const char *expression, struct ipcl_future **futures,
                   struct ipcl_error *error)
{
    struct bytes text = {0};
    int status = -1;
    bytes_add_text(&text, "lambda: " JSON_MODULE ".dumps((");
    bytes_add_text(&text, expression);
    bytes_add(&text, "))", sizeof("))"));
    if (text.failed)
        ipcl_error_set(error, "out of memory");
    else
        status = submit_apply(view, text.data, NULL, NULL, futures, error);
    bytes_free(&text);
    return status;
}

char *ipcl_future_value(struct ipcl_future *future, struct ipcl_error *error)
{
    const struct ipcl_result *result = ipcl_future_result(future);
    char *text;
    if (!result)
        ipcl_error_set(error, "the future has not resolved: wait for it with ipcl_future_wait()");
    else if (result->status != IPCL_OK)
        ipcl_error_set(error, "%s", result->error);
    else if (!result->buffer_count ||
             value_unpickle_text(result->buffers[0].data, result->buffers[0].size, &text))
        ipcl_error_set(error, "the result is not JSON: only results of ipcl_view_call() and "
                              "ipcl_view_pull() are");
    else
        return text ? text : strdup("null");
    return NULL;
}
