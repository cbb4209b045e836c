/* Connection files. First byte: whose. */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/connection.h"

/* No name is looked up. */
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **result);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **result)
{
    (void)node;
    (void)service;
    (void)hints;
    *result = NULL;
    return EAI_NONAME;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct connection connection;
    struct ipcl_error error;
    char url[CONNECTION_TEXT_BYTES + 16], server[CONNECTION_TEXT_BYTES],
        host[CONNECTION_TEXT_BYTES];
    if (!size)
        return 0;
    if (connection_parse("file", (const char *)data + 1, size - 1, data[0] & 1, &connection,
                         &error))
        return 0;
    FUZZ_ASSERT(connection.broadcast_count >= 0 &&
                connection.broadcast_count <= CONNECTION_LEAVES_MAX);
    FUZZ_ASSERT(connection.registration > 0 && connection.registration < 65536);
    const char *hosts[CONNECTION_ADDRESSES_MAX + 1];
    FUZZ_ASSERT(connection_hosts(&connection, hosts) <= CONNECTION_ADDRESSES_MAX + 1);
    connection_url(&connection, connection.registration, url, &error);
    connection_ssh(&connection, server, host, &error);
    connection_is_local(&connection);
    connection_check_name(&connection, &error);
    return 0;
}
