/* Where the controller listens: interfaces, and pools of ports. */
#include "controller/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "wire/local.h"

/* "10101" or "10101-10120", or several with commas between. */
static int add_ports(struct port_pool *pool, const char *name, const char *text,
                     struct ipcl_error *error)
{
    return numbers_add(&pool->ports, text, 1, 65535) == 0
               ? 0
               : ipcl_error_set(error,
                                "IPController.%s: '%s' is neither a port nor a range such as "
                                "10101-10120",
                                name, text);
}

/* A list of ports and ranges, all for one pool. */
static int read_pool(const struct settings *settings, const char *name, struct port_pool *pool,
                     struct ipcl_error *error)
{
    size_t count;
    const char *const *ports = settings_list(settings, "IPController", name, &count);
    for (size_t i = 0; i < count; i++)
        if (add_ports(pool, name, ports[i], error))
            return -1;
    return 0;
}

/* What ipyparallel had before it had pools: a pair of ports, for clients and for engines. */
static int read_pair(const struct settings *settings, const char *name,
                     struct controller *controller, struct ipcl_error *error)
{
    size_t count;
    const char *const *ports = settings_list(settings, "IPController", name, &count);
    if (!count)
        return 0;
    if (count != 2)
        return ipcl_error_set(
            error,
            "IPController.%s needs two ports, one for clients and one for engines; better "
            "use %s",
            name, "IPController.ports, for all");
    return add_ports(&controller->client_pool, name, ports[0], error) ||
                   add_ports(&controller->engine_pool, name, ports[1], error)
               ? -1
               : 0;
}

static int read_pools(const struct settings *settings, struct controller *controller,
                      struct ipcl_error *error)
{
    static const char *const pairs[] = {"mux", "task", "control", "iopub"};
    int64_t notifier = settings_int(settings, "IPController", "notifier_port");
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        if (read_pair(settings, pairs[i], controller, error))
            return -1;
    char port[24];
    snprintf(port, sizeof(port), "%lld", (long long)notifier);
    if (notifier && numbers_add(&controller->client_pool.ports, port, 1, 65535))
        return ipcl_error_set(error, "IPController.notifier_port is a port, not %s", port);
    return read_pool(settings, "hb", &controller->engine_pool, error) ||
                   read_pool(settings, "engine_ports", &controller->engine_pool, error) ||
                   read_pool(settings, "client_ports", &controller->client_pool, error) ||
                   read_pool(settings, "ports", &controller->pool, error)
               ? -1
               : 0;
}

/* A setting of one side, or where that is not given the common one. */
static const char *of_side(const struct settings *settings, const char *own, const char *common)
{
    const char *given = settings_string(settings, "IPController", own);
    return *given ? given : settings_string(settings, "IPController", common);
}

/* Where to listen for one side: as somebody has said, or where those who come can reach it. */
static const char *address_of(const struct settings *settings, const char *own,
                              const char *elsewhere)
{
    bool said = *settings_string(settings, "IPController", own) ||
                settings_given(settings, "IPController", "ip");
    return !said && settings_bool(settings, "IPController", elsewhere)
               ? "0.0.0.0"
               : of_side(settings, own, "ip");
}

static int set_interface(char interface[CONNECTION_TEXT_BYTES], const char *transport,
                         const char *ip, const struct settings *settings,
                         const struct profile *profile, struct ipcl_error *error)
{
    const char *cluster_id = settings_string(settings, "IPController", "cluster_id");
    bool ipc = !strcmp(transport, "ipc");
    int length;
    if (ipc)
        length = snprintf(interface, CONNECTION_TEXT_BYTES, "ipc://%s/ipcontroller%s%s",
                          profile->security, *cluster_id ? "-" : "", cluster_id);
    else
        length = snprintf(interface, CONNECTION_TEXT_BYTES, "tcp://%s",
                          strcmp(ip, "*") ? ip : "0.0.0.0");
    /* sockaddr_un has room for 107 bytes; a colon and three digits come behind. */
    if (length >= CONNECTION_TEXT_BYTES || (ipc && length > 6 + 107 - 4))
        return ipcl_error_set(
            error, "%s is too long for an address: use a profile folder with a shorter path",
            interface);
    return 0;
}

int addresses_read(const struct settings *settings, const struct profile *profile,
                   struct controller *controller, struct ipcl_error *error)
{
    const char *for_clients = of_side(settings, "client_transport", "transport");
    const char *for_engines = of_side(settings, "engine_transport", "transport");
    if (strcmp(for_clients, for_engines))
        return ipcl_error_set(
            error,
            "clients and engines must have the same transport, not %s and %s: set "
            "IPController.transport",
            for_clients, for_engines);
    if (set_interface(controller->clients.interface, for_clients,
                      address_of(settings, "client_ip", "clients_elsewhere"), settings, profile,
                      error) ||
        set_interface(controller->engines.interface, for_engines,
                      address_of(settings, "engine_ip", "engines_elsewhere"), settings, profile,
                      error))
        return -1;
    /* What lies in a private folder needs no encryption, unless it is asked for. */
    controller->encrypted =
        settings_bool(settings, "IPController", "enable_curve") &&
        (!strcmp(for_engines, "tcp") || settings_given(settings, "IPController", "enable_curve"));
    controller->local_sockets = settings_bool(settings, "IPController", "local_sockets");
    controller->shared_memory = settings_bool(settings, "IPController", "shared_memory");
    return read_pools(settings, controller, error);
}

int addresses_check(const struct settings *settings, const struct controller *controller,
                    struct ipcl_error *error)
{
    const struct connection *sides[] = {&controller->clients, &controller->engines};
    if (controller->encrypted || settings_bool(settings, "IPController", "allow_unencrypted"))
        return 0;
    for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++)
        if (!connection_stays_here(sides[i]))
            return ipcl_error_set(
                error,
                "listening on %s without encryption (IPController.enable_curve) lets whoever is "
                "on the network read messages, change what is not signed, and run code as you: "
                "leave out IPController.enable_curve=false, or confirm it with "
                "IPController.allow_unencrypted=true",
                sides[i]->interface);
    return 0;
}

static void add_address(struct connection *connection, const struct ifaddrs *interface)
{
    if (!interface->ifa_addr || interface->ifa_addr->sa_family != AF_INET ||
        !(interface->ifa_flags & IFF_UP) || interface->ifa_flags & IFF_LOOPBACK ||
        connection->address_count == CONNECTION_ADDRESSES_MAX)
        return;
    inet_ntop(AF_INET, &((const struct sockaddr_in *)interface->ifa_addr)->sin_addr,
              connection->addresses[connection->address_count++], CONNECTION_ADDRESS_BYTES);
}

void addresses_name(const struct settings *settings, struct controller *controller)
{
    struct connection *sides[] = {&controller->clients, &controller->engines};
    struct ifaddrs *interfaces;
    for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++)
        sides[i]->address_count = 0; /* a file that is used again may have told of others */
    if (*settings_string(settings, "IPController", "location") || getifaddrs(&interfaces))
        return;
    for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++)
        for (const struct ifaddrs *at = interfaces; at && connection_is_everywhere(sides[i]);
             at = at->ifa_next)
            add_address(sides[i], at);
    freeifaddrs(interfaces);
}

void addresses_offer_local(struct controller *controller, struct socket_folder *folder)
{
    struct connection *connections[CONNECTION_ROLES] = {
        [CONNECTION_CLIENT] = &controller->clients, [CONNECTION_ENGINE] = &controller->engines};
    struct ipcl_error error;
    if (!controller->local_sockets || !strncmp(controller->engines.interface, "ipc:", 4))
        local_withdraw(connections);
    else if (local_offer(folder, connections, &error))
        log_warn("programs of this host connect by TCP, as there can be no local sockets: %s",
                 error.text);
}

void addresses_free(struct controller *controller)
{
    free(controller->pool.ports.list);
    free(controller->engine_pool.ports.list);
    free(controller->client_pool.ports.list);
}
