/* A C program that uses a running cluster: it runs code on all engines, calls functions there and
 * through the load balancer, moves data both ways, and sends large data to all engines at once.
 *
 * c_client [CONNECTION_FILE [SSH_SERVER [SSH_KEY]]]
 *
 * Without an argument it connects to the cluster of the default profile. */
#include <ipcluster/client.h>

#include <stdlib.h>
#include <string.h>

#define ENGINES_MAX 1024
#define TASKS       8

static void fail(const char *what, const struct ipcl_error *error)
{
    fprintf(stderr, "c_client: %s: %s\n", what, error->text);
    exit(1);
}

/* Waits for a future and returns its value as JSON. */
static char *value_of(struct ipcl_future *future)
{
    struct ipcl_error error;
    if (ipcl_future_wait(future, 30000, NULL, NULL)) {
        fprintf(stderr, "c_client: no result within 30 seconds\n");
        exit(1);
    }
    char *value = ipcl_future_value(future, &error);
    if (!value)
        fail("a remote call", &error);
    ipcl_future_release(future);
    return value;
}

static void print_values(const char *title, struct ipcl_view *view, struct ipcl_future **futures)
{
    printf("%s:", title);
    for (size_t i = 0; i < ipcl_view_count(view); i++) {
        char *value = value_of(futures[i]);
        printf(" %s", value);
        free(value);
    }
    printf("\n");
}

static void use_all_engines(struct ipcl_client *client)
{
    static const char payload[] = "sixteen bytes...";
    static struct ipcl_future *futures[ENGINES_MAX];
    struct ipcl_buffer bytes = {.data = payload, .size = sizeof(payload) - 1};
    struct ipcl_error error;
    struct ipcl_view *view = ipcl_view_direct(client, NULL, 0, &error);
    if (!view || ipcl_view_count(view) > ENGINES_MAX)
        fail("a view of all engines", &error);

    if (ipcl_view_execute(view, "def double(x):\n    return 2 * x\nprint('defined')", futures,
                          &error))
        fail("execute", &error);
    for (size_t i = 0; i < ipcl_view_count(view); i++) {
        const struct ipcl_output *output = NULL;
        ipcl_future_wait(futures[i], 30000, NULL, NULL);
        if (ipcl_future_result(futures[i])->status != IPCL_OK) {
            fprintf(stderr, "c_client: %s\n", ipcl_future_result(futures[i])->error);
            exit(1);
        }
        /* Output comes in pieces, a line at least, and may end a moment after the result came. */
        while (!ipcl_future_wait_output(futures[i], output, 5000, NULL, NULL) &&
               (output = ipcl_future_output(futures[i], output)))
            printf("output of engine %d: %s %s\n", ipcl_future_result(futures[i])->engine_id,
                   output->msg_type, output->content);
        ipcl_future_release(futures[i]);
    }

    if (ipcl_view_call(view, "double", "[21]", futures, &error))
        fail("call", &error);
    print_values("double(21)", view, futures);
    if (ipcl_view_push(view, "settings", "{\"width\": 3, \"names\": [\"a\", \"b\"]}", futures,
                       &error))
        fail("push", &error);
    print_values("pushed", view, futures);
    if (ipcl_view_push_bytes(view, "payload", bytes, futures, &error))
        fail("push bytes", &error);
    print_values("pushed bytes", view, futures);
    if (ipcl_view_pull(view, "[settings['width'], len(payload)]", futures, &error))
        fail("pull", &error);
    print_values("pulled", view, futures);
    ipcl_view_destroy(view);
}

/* A megabyte leaves this process once, for all engines. */
static void use_broadcast(struct ipcl_client *client)
{
    static char megabyte[1 << 20];
    static struct ipcl_future *futures[ENGINES_MAX];
    struct ipcl_buffer bytes = {.data = megabyte, .size = sizeof(megabyte)};
    struct ipcl_error error;
    struct ipcl_view *view = ipcl_view_broadcast(client, NULL, 0, &error);
    if (!view || ipcl_view_count(view) > ENGINES_MAX)
        fail("a broadcast view", &error);
    if (ipcl_view_push_bytes(view, "table", bytes, futures, &error))
        fail("broadcast", &error);
    print_values("broadcast", view, futures);
    if (ipcl_view_pull(view, "len(table)", futures, &error))
        fail("pull", &error);
    print_values("has come", view, futures);
    ipcl_view_destroy(view);
}

static void use_load_balancer(struct ipcl_client *client)
{
    struct ipcl_future *tasks[TASKS];
    struct ipcl_error error;
    struct ipcl_view *view = ipcl_view_balanced(client, &error);
    if (!view)
        fail("the load-balanced view", &error);
    for (int i = 0; i < TASKS; i++) {
        char arguments[32];
        snprintf(arguments, sizeof(arguments), "[%d, 2]", i);
        if (ipcl_view_call(view, "pow", arguments, &tasks[i], &error))
            fail("a task", &error);
    }
    printf("squares:");
    for (int i = 0; i < TASKS; i++) {
        char *value = value_of(tasks[i]);
        printf(" %s", value);
        free(value);
    }
    printf("\n");
    ipcl_view_destroy(view);
}

int main(int argc, char **argv)
{
    struct ipcl_connect options = {.connection_file = argc > 1 ? argv[1] : NULL,
                                   .ssh_server = argc > 2 ? argv[2] : NULL,
                                   .ssh_key = argc > 3 ? argv[3] : NULL};
    struct ipcl_error error;
    struct ipcl_client *client = ipcl_client_connect(&options, NULL, NULL, &error);
    if (!client || ipcl_client_wait_for_engines(client, 1, 30000, NULL, NULL, &error))
        fail("connecting", &error);
    printf("%zu engines\n", ipcl_client_engines(client, NULL, 0));
    use_all_engines(client);
    use_broadcast(client);
    use_load_balancer(client);
    ipcl_client_close(client);
    return 0;
}
