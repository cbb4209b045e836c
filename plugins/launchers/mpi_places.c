/* Where mpiexec puts ranks: on which hosts, and on how many cores of this one. */
#include "mpi_places.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HOST_BYTES 256

/* What the word after an option says. */
enum names { NAMES_NOTHING, NAMES_HOSTS, NAMES_FILE, NAMES_RANKS };

/* Options of Open MPI, which also takes one dash instead of two, and of MPICH. */
static const struct placing {
    const char *option;
    enum names names;
} placings[] = {
    {"--oversubscribe", NAMES_NOTHING},
    {"--map-by", NAMES_NOTHING},
    {"--host", NAMES_HOSTS},
    {"-H", NAMES_HOSTS},
    {"-hosts", NAMES_HOSTS},
    {"--hostfile", NAMES_FILE},
    {"--machinefile", NAMES_FILE},
    {"-f", NAMES_FILE},
    {"--rankfile", NAMES_RANKS},
    {"-rf", NAMES_RANKS},
};

unsigned mpi_cores(void)
{
    cpu_set_t allowed;
    unsigned count = 0;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return 1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        char path[96];
        int first = cpu;
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 cpu);
        FILE *siblings = fopen(path, "r");
        if (siblings) {
            if (fscanf(siblings, "%d", &first) != 1)
                first = cpu;
            fclose(siblings);
        }
        count += first == cpu || !CPU_ISSET(first, &allowed);
    }
    return count ? count : 1;
}

static const struct placing *find_placing(const char *argument)
{
    for (size_t i = 0; i < sizeof(placings) / sizeof(*placings); i++) {
        const char *option = placings[i].option;
        if (strcmp(argument, option) == 0 ||
            (strncmp(option, "--", 2) == 0 && strcmp(argument, option + 1) == 0))
            return &placings[i];
    }
    return NULL;
}

bool mpi_is_placed(const char *const *arguments)
{
    static const char *const batch_systems[] = {"SLURM_JOB_ID", "PBS_NODEFILE", "PE_HOSTFILE",
                                                "LSB_MCPU_HOSTS"};
    for (size_t i = 0; arguments && arguments[i]; i++)
        if (find_placing(arguments[i]))
            return true;
    for (size_t i = 0; i < sizeof(batch_systems) / sizeof(*batch_systems); i++)
        if (getenv(batch_systems[i]))
            return true;
    return false;
}

/* Whether it is an address that this host has. */
static bool is_own_address(const char *text)
{
    struct in_addr address;
    struct ifaddrs *all = NULL;
    bool own = false;
    if (inet_pton(AF_INET, text, &address) != 1 || getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *one = all; one && !own; one = one->ifa_next)
        own = one->ifa_addr && one->ifa_addr->sa_family == AF_INET &&
              ((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr.s_addr ==
                  address.s_addr;
    freeifaddrs(all);
    return own;
}

/* Whether a name or address, of `length` bytes, is another host's. This host's name may have its
 * domain or not. */
static bool is_other(const char *name, size_t length)
{
    char here[HOST_BYTES] = "", host[HOST_BYTES];
    gethostname(here, sizeof(here) - 1);
    snprintf(host, sizeof(host), "%.*s", (int)length, name);
    if (!*host || strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
        is_own_address(host))
        return false;
    size_t plain = strcspn(here, ".");
    return strncasecmp(host, here, plain) != 0 || (host[plain] != '\0' && host[plain] != '.');
}

/* host[:slots],... */
static bool list_names_others(const char *list)
{
    for (const char *name = list; *name; name += strspn(name, ",")) {
        if (is_other(name, strcspn(name, ":,")))
            return true;
        name += strcspn(name, ",");
    }
    return false;
}

/* Whether a file names other hosts: one a line, with `of_ranks` after "rank 0=". The rest of a line
 * does not matter here. If the file cannot be read, mpiexec reports that. */
static bool file_names_others(const char *path, bool of_ranks)
{
    char line[1024];
    bool others = false;
    FILE *file = fopen(path, "r");
    while (file && !others && fgets(line, sizeof(line), file)) {
        const char *equals = of_ranks ? strchr(line, '=') : NULL,
                   *host = equals ? equals + 1 : line;
        host += strspn(host, " \t");
        others = *host != '#' && is_other(host, strcspn(host, ": \t\r\n"));
    }
    if (file)
        fclose(file);
    return others;
}

/* Whether a batch job says that it has other hosts. */
static bool job_has_others(void)
{
    static const char *const counts[] = {"SLURM_JOB_NUM_NODES", "SLURM_NNODES"};
    static const char *const files[] = {"PBS_NODEFILE", "PE_HOSTFILE"};
    const char *hosts = getenv("LSB_MCPU_HOSTS"); /* host slots host slots ... */
    for (size_t i = 0; i < 2; i++) {
        const char *count = getenv(counts[i]), *path = getenv(files[i]);
        if ((count && atoi(count) > 1) || (path && file_names_others(path, false)))
            return true;
    }
    while (hosts && *hosts) {
        hosts += strspn(hosts, " ");
        size_t length = strcspn(hosts, " ");
        if (is_other(hosts, length))
            return true;
        hosts += length;
        hosts += strspn(hosts, " ");
        hosts += strcspn(hosts, " ");
    }
    return false;
}

static bool names_others(enum names names, const char *word)
{
    if (names == NAMES_HOSTS)
        return list_names_others(word);
    return names != NAMES_NOTHING && file_names_others(word, names == NAMES_RANKS);
}

bool mpi_is_elsewhere(const char *const *arguments)
{
    for (size_t i = 0; arguments && arguments[i]; i++) {
        const struct placing *placing = find_placing(arguments[i]);
        const char *word = arguments[i + 1];
        if (!placing || !word)
            continue;
        if (names_others(placing->names, word))
            return true;
    }
    return job_has_others();
}
