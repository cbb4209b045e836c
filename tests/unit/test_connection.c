/* Connection files: written private and whole, and read back or refused with the reason. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/connection.h"

static char dir[] = "/tmp/ipcl-connection-XXXXXX";
static char path[PATH_BYTES];
static struct connection sample = {
    .interface = "tcp://127.0.0.1",
    .location = "",
    .key = "secret",
    .signature_scheme = "hmac-sha256",
    .pack = "json",
    .unpack = "json",
    .task_scheme = "leastload",
    .registration = 1001,
    .control = 1002,
    .mux = 1003,
    .task = 1004,
    .iopub = 1005,
    .notification = 1006,
    .hb_ping = 1007,
    .hb_pong = 1008,
    .broadcast = {1009},
    .broadcast_count = 1,
    .local_host = "boot id",
    .local_interface = "ipc:///folder/port",
};

static void open_dir(void)
{
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/file.json", dir);
}

static void close_dir(void)
{
    unlink(path);
    rmdir(dir);
}

TestSuite(connection, .init = open_dir, .fini = close_dir);

static void write_text(const char *text)
{
    struct ipcl_error error;
    cr_assert_eq(path_write_file(path, text, strlen(text), 0600, &error), 0, "%s", error.text);
}

static void assert_refused(const char *reason)
{
    struct connection read;
    struct ipcl_error error = {""};
    cr_assert_eq(connection_read(path, CONNECTION_CLIENT, &read, &error), -1);
    cr_assert(strstr(error.text, reason), "'%s' does not say '%s'", error.text, reason);
    cr_assert(strstr(error.text, path), "'%s' does not name the file", error.text);
}

Test(connection, comes_back_as_it_was_written)
{
    for (int role = CONNECTION_CLIENT; role <= CONNECTION_ENGINE; role++) {
        struct connection read;
        struct ipcl_error error;
        struct stat info;
        cr_assert_eq(connection_write(path, role, &sample, &error), 0, "%s", error.text);
        stat(path, &info);
        cr_assert_eq(info.st_mode & 0777, 0600);
        cr_assert_eq(connection_read(path, role, &read, &error), 0, "%s", error.text);
        cr_assert_str_eq(read.key, "secret");
        cr_assert_eq(read.mux, 1003);
        cr_assert_eq(read.notification, role == CONNECTION_CLIENT ? 1006 : 0);
        cr_assert_eq(read.hb_pong, role == CONNECTION_ENGINE ? 1008 : 0);
        cr_assert_eq(read.broadcast[0], 1009);
        cr_assert_str_eq(read.local_host, "boot id");
        cr_assert_str_eq(read.local_interface, "ipc:///folder/port");
    }
}

Test(connection, that_is_missing_says_how_to_start)
{
    assert_refused("is a controller running?");
}

Test(connection, that_others_can_read_is_refused)
{
    struct ipcl_error error;
    connection_write(path, CONNECTION_CLIENT, &sample, &error);
    chmod(path, 0640);
    assert_refused("chmod 600");
}

Test(connection, that_is_no_json_object_is_refused)
{
    write_text("");
    assert_refused("not a JSON object");
    write_text("{\"key\": ");
    assert_refused("not a JSON object");
    write_text("[1]");
    assert_refused("not a JSON object");
}

Test(connection, says_which_key_is_missing_or_wrong)
{
    write_text("{}");
    assert_refused("'interface'");
    write_text("{\"interface\": 1}");
    assert_refused("'interface' should be text");
    write_text("{\"local\": {\"host\": \"boot id\"}}");
    assert_refused("'local' should have 'host' and 'interface'");
    struct ipcl_error error;
    struct connection wrong = sample;
    wrong.mux = 70000;
    connection_write(path, CONNECTION_CLIENT, &wrong, &error);
    assert_refused("'mux' should be a port");
    wrong = sample;
    wrong.broadcast[0] = 0;
    connection_write(path, CONNECTION_CLIENT, &wrong, &error);
    assert_refused("'broadcast' should be ports");
}

Test(connection, by_local_sockets_leads_there_and_is_not_encrypted)
{
    struct connection here = sample;
    struct ipcl_error error;
    char url[CONNECTION_TEXT_BYTES + 16];
    const char *hosts[CONNECTION_ADDRESSES_MAX + 1];
    strcpy(here.interface, "tcp://192.0.2.1");
    strcpy(here.curve_serverkey, "a key");
    cr_assert(connection_is_encrypted(&here));
    cr_assert_eq(connection_hosts(&here, hosts), 1);
    here.local = true;
    cr_assert_not(connection_is_encrypted(&here));
    cr_assert_eq(connection_hosts(&here, hosts), 0);
    cr_assert_eq(connection_url(&here, 5, url, &error), 0);
    cr_assert_str_eq(url, "ipc:///folder/port:5");
}

Test(connection, to_all_interfaces_goes_through_loopback_at_home)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    struct ipcl_error error;
    struct connection all = sample;
    strcpy(all.interface, "tcp://0.0.0.0");
    cr_assert_eq(connection_url(&all, 5, url, &error), 0);
    cr_assert_str_eq(url, "tcp://127.0.0.1:5");
    strcpy(all.location, "192.0.2.77"); /* TEST-NET-1 (RFC 5737): nobody's */
    cr_assert_eq(connection_url(&all, 5, url, &error), 0);
    cr_assert_str_eq(url, "tcp://192.0.2.77:5");
}

Test(connection, to_all_interfaces_names_each_address_for_those_who_are_elsewhere)
{
    const char *hosts[CONNECTION_ADDRESSES_MAX + 1];
    struct ipcl_error error;
    struct connection all = sample, read;
    strcpy(all.interface, "tcp://0.0.0.0");
    strcpy(all.addresses[all.address_count++], "198.51.100.1");
    cr_assert_eq(connection_hosts(&all, hosts), 0, "loopback leads there");
    strcpy(all.location, "192.0.2.77");
    cr_assert_eq(connection_write(path, CONNECTION_ENGINE, &all, &error), 0, "%s", error.text);
    cr_assert_eq(connection_read(path, CONNECTION_ENGINE, &read, &error), 0, "%s", error.text);
    cr_assert_eq(connection_hosts(&read, hosts), 2);
    cr_assert_str_eq(hosts[0], "192.0.2.77");
    cr_assert_str_eq(hosts[1], "198.51.100.1");
    all.addresses[0][0] = '\0';
    connection_write(path, CONNECTION_CLIENT, &all, &error);
    assert_refused("'addresses' should be");
}

Test(connection, to_the_loopback_of_another_machine_is_refused_with_advice)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    struct ipcl_error error;
    struct connection elsewhere = sample;
    strcpy(elsewhere.location, "192.0.2.77");
    cr_assert_eq(connection_url(&elsewhere, 5, url, &error), -1);
    cr_assert(strstr(error.text, "192.0.2.77"));
    cr_assert(strstr(error.text, "--ip="));
}

/* The SSH server that is used and what it forwards to, as "SERVER HOST". */
static void assert_tunnel(const char *interface, const char *location, const char *ssh,
                          const char *ends)
{
    char server[CONNECTION_TEXT_BYTES], host[CONNECTION_TEXT_BYTES],
        found[2 * CONNECTION_TEXT_BYTES];
    struct ipcl_error error;
    struct connection connection = sample;
    strcpy(connection.interface, interface);
    strcpy(connection.location, location);
    strcpy(connection.ssh, ssh);
    cr_assert_eq(connection_ssh(&connection, server, host, &error), 0, "%s", error.text);
    snprintf(found, sizeof(found), "%s %s", server, host);
    cr_assert_str_eq(found, ends);
}

Test(connection, through_ssh_goes_by_the_server_that_is_named_or_the_controllers_own_machine)
{
    assert_tunnel("tcp://127.0.0.1", "a.host", "me@gate:22", "me@gate:22 127.0.0.1");
    assert_tunnel("tcp://0.0.0.0", "a.host", "gate", "gate a.host");
    assert_tunnel("tcp://192.0.2.77", "a.host", "gate", "gate 192.0.2.77");
    assert_tunnel("tcp://127.0.0.1", "a.host", "", "a.host 127.0.0.1");
    assert_tunnel("tcp://*", "a.host", "", "a.host 127.0.0.1");
    assert_tunnel("tcp://*", "", "", "127.0.0.1 127.0.0.1");
    assert_tunnel("tcp://192.0.2.77", "", "", "192.0.2.77 192.0.2.77");
}

static bool is_local(const char *interface, const char *location)
{
    struct connection connection = sample;
    strcpy(connection.interface, interface);
    strcpy(connection.location, location);
    return connection_is_local(&connection);
}

/* As ipyparallel's client decides whether the file's SSH server is for it. */
Test(connection, is_local_where_the_location_is_this_machine_and_no_other_address_is_listened_on)
{
    char name[CONNECTION_TEXT_BYTES];
    cr_assert_eq(gethostname(name, sizeof(name)), 0);
    cr_assert(is_local("tcp://127.0.0.1", name));
    cr_assert(is_local("tcp://127.0.0.1", "127.0.0.1"));
    cr_assert(is_local("tcp://0.0.0.0", name));
    cr_assert(is_local("ipc:///tmp/stem", name));
    cr_assert_not(is_local("tcp://127.0.0.1", "192.0.2.77"));
    cr_assert_not(is_local("tcp://0.0.0.0", "192.0.2.77"));
    cr_assert_not(is_local("tcp://192.0.2.77", name));
    cr_assert_not(is_local("tcp://127.0.0.1", ""), "which says nothing of where it is");
}
