/* The launcher "ssh": command lines, and the text that the agent on a host gets at the start. */
#include <stdlib.h>
#include <string.h>

#include "launch.h"
#include "ssh.h"
#include "ssh_agent.h"

/* ssh takes the first value of an option, and what was typed last: these stand in front of the
 * user's arguments. */
static const char *const firm[] = {
    "-oBatchMode=yes", /* nobody can be asked for a password */
    "-oRemoteCommand=none",
    "-oControlPersist=no",
    "-oForwardX11=no",
};
/* These stand behind the user's arguments: -T is typed last, and of the others a value of the
 * user's comes first. */
static const char *const gentle[] = {
    "-T",
    "-oConnectTimeout=30",
    "-oServerAliveInterval=15",
};

#define SSH_SHELL_WORDS 5 /* in front of ssh's words, in the connection that starts engines */

struct words {
    const char **list;
    size_t count;
};

static void add(struct words *words, const char *word)
{
    words->list[words->count++] = word;
}

static void add_all(struct words *words, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(words, list[i]);
}

static void add_list(struct words *words, char **list)
{
    add_all(words, (const char *const *)list, list_length((const char *const *)list));
}

/* Makes room for all words of a host's command line, beside `more`. */
static struct words begin(const struct ssh_host *host, size_t more)
{
    size_t room = list_length((const char *const *)host->set->command) +
                  list_length((const char *const *)host->arguments) + 24 + more;
    return (struct words){.list = calloc(room, sizeof(const char *))};
}

static void add_ssh(struct words *words, const struct ssh_host *host, const char *const *options,
                    size_t count)
{
    add_list(words, host->set->command);
    add_all(words, firm, sizeof(firm) / sizeof(*firm));
    add_all(words, options, count);
    add_list(words, host->arguments);
    add_all(words, gentle, sizeof(gentle) / sizeof(*gentle));
}

const char **ssh_command_start(const struct ssh_host *host, const char *fifo, const char *control,
                               const char *remote)
{
    /* A FIFO that ssh holds open for writing, too, never ends: the connection outlives this
     * process. */
    static const char open_input[] = "fifo=$1; shift; exec \"$@\" 0<>\"$fifo\"";
    const char *const shell[SSH_SHELL_WORDS] = {"/bin/sh", "-c", open_input, "ssh", fifo};
    const char *const options[] = {"-oClearAllForwardings=yes", "-oControlMaster=yes", control};
    struct words words = begin(host, 0);
    if (!words.list)
        return NULL;
    add_all(&words, shell, sizeof(shell) / sizeof(*shell));
    add_ssh(&words, host, options, sizeof(options) / sizeof(*options));
    add(&words, "--");
    add(&words, host->destination);
    add(&words, remote);
    return words.list;
}

void ssh_command_remote(const struct text *agent, char remote[SSH_REMOTE_BYTES])
{
    /* The shell reads no further than the agent's end. Every user's shell understands this line. */
    snprintf(remote, SSH_REMOTE_BYTES,
             "exec /bin/sh -c 'eval \"$(dd bs=1 count=%zu 2>/dev/null)\"'", agent->size);
}

const char **ssh_command_through(const struct ssh_host *host, const char *control,
                                 const char *operation, char **forwards, const char *remote)
{
    const char *const options[] = {"-oControlMaster=no", control, "-O", operation};
    struct words words = begin(host, list_length((const char *const *)forwards));
    if (!words.list)
        return NULL;
    add_ssh(&words, host, options, operation ? 4 : 2);
    add_list(&words, forwards);
    add(&words, "--");
    add(&words, host->destination);
    if (remote)
        add(&words, remote);
    return words.list;
}

const char **ssh_command_again(const struct ssh_host *host)
{
    const char *const options[] = {"-oClearAllForwardings=yes", "-oControlMaster=no",
                                   "-oControlPath=none", "-oConnectTimeout=10"};
    struct words words = begin(host, 0);
    if (!words.list)
        return NULL;
    add_ssh(&words, host, options, sizeof(options) / sizeof(*options));
    add(&words, "--");
    add(&words, host->destination);
    add(&words, "exec /bin/sh -s");
    return words.list;
}

int ssh_command_run(const struct ssh_set *set, const struct ipcl_command *command,
                    struct ipcl_error *error)
{
    return command->argv ? set->services->run_command(set->services->base.host, command, error)
                         : ipcl_error_set(error, "no memory for ssh's command line");
}

/* A host's own list of texts; the words are borrowed. NULL if there are none or memory is short. */
static const char **own_list(const json_t *own, const char *key)
{
    const json_t *array = json_object_get(own, key);
    const char **list = array ? calloc(json_array_size(array) + 1, sizeof(*list)) : NULL;
    for (size_t i = 0; list && i < json_array_size(array); i++)
        list[i] = json_string_value(json_array_get(array, i));
    return list;
}

char **ssh_command_arguments(const struct ssh_set *set, const struct ssh_place *place)
{
    const struct ipcl_services *base = &set->services->base;
    const char *const *common = base->option_list(base->host, set->class_name, "ssh_args", NULL);
    const char *user = base->option_string(base->host, set->class_name, "user");
    const char **own = own_list(place->own, "ssh_args");
    size_t room = list_length(common) + list_length(own) + 6;
    struct words words = {.list = calloc(room, sizeof(const char *))};
    char **arguments = NULL;
    if (words.list) {
        add_all(&words, own, list_length(own));
        add_all(&words, common, list_length(common));
        if (place->port) {
            add(&words, "-p");
            add(&words, place->port);
        }
        if (*user && !strchr(place->destination, '@')) {
            add(&words, "-l");
            add(&words, user);
        }
        arguments = list_copy(words.list);
    }
    free(words.list);
    free(own);
    return arguments;
}

static void set_variable(struct text *agent, const char *name, const char *value)
{
    text_format(agent, "%s=", name);
    text_add_quoted(agent, value);
    text_add(agent, "\n");
}

/* The host's own text, or that of the class. */
static const char *own_text(const struct ssh_set *set, const json_t *own, const char *name)
{
    const struct ipcl_services *base = &set->services->base;
    const char *text = json_string_value(json_object_get(own, name));
    return text ? text : base->option_string(base->host, set->class_name, name);
}

/* The profile's folder on the host: the same path as here, but if that is in the home folder, it is
 * in the host's home folder. */
static const char *profile_there(const struct ssh_set *set, const json_t *own,
                                 const char *profile_dir)
{
    const char *home = getenv("HOME"), *given = own_text(set, own, "remote_profile_dir");
    size_t length = home ? strlen(home) : 0;
    while (length && home[length - 1] == '/')
        length--;
    if (*given)
        return !strncmp(given, "~/", 2) ? given + 2 : given;
    return length && !strncmp(profile_dir, home, length) && profile_dir[length] == '/'
               ? profile_dir + length + 1
               : profile_dir;
}

static void export(struct text *agent, const char *const *environment)
{
    for (; environment && *environment; environment++) {
        text_add(agent, "export ");
        text_add_quoted(agent, *environment);
        text_add(agent, "\n");
    }
}

static void set_environment(const struct ssh_host *host, const json_t *own,
                            const struct ipcl_launch *launch, struct text *agent)
{
    const struct ipcl_services *base = &host->set->services->base;
    const char *name;
    json_t *value;
    export(agent, launch->environment);
    export(agent, base->option_list(base->host, host->set->class_name, "environment", NULL));
    json_object_foreach (json_object_get(own, "environment"), name, value) {
        struct text word = {.bytes = NULL};
        text_format(&word, "%s=%s", name, json_string_value(value));
        text_add(agent, "export ");
        text_add_quoted(agent, word.bytes ? word.bytes : "");
        text_add(agent, "\n");
        agent->failed = agent->failed || word.failed;
        text_clear(&word);
    }
}

static void add_words(struct text *agent, const char *const *words, size_t count)
{
    for (size_t i = 0; words && i < count; i++) {
        text_add(agent, " ");
        text_add_quoted(agent, words[i]);
    }
}

/* Adds the words of one engine, or of the controller, without the program and the place of its
 * files, which the agent knows. Returns the program's name here, borrowed from the arguments. */
static const char *add_program(const struct ssh_set *set, const json_t *own,
                               const char *const *argv, struct text *agent)
{
    size_t command = 0, all = list_length(argv);
    const char **own_command = own_list(own, "engine_cmd"),
               **own_arguments = own_list(own, "engine_args");
    while (argv[command] && strncmp(argv[command], "--profile-dir=", 14) != 0)
        command++;
    const char *const *words = own_command && own_command[0] ? own_command : argv;
    size_t count = words == own_command ? list_length(own_command) : command;
    const char *name = words[0];
    text_add(agent, "\"$program\"");
    add_words(agent, words + 1, count - 1);
    text_add(agent, " \"--profile-dir=$profile\"");
    text_add(agent, set->controller ? ""
                                    : " \"--file=$run/engine.json\" "
                                      "\"--IPEngine.engine_copy=$((FIRST + number))\"");
    if (command < all)
        add_words(agent, argv + command + 1, all - command - 1);
    add_words(agent, own_arguments, list_length(own_arguments));
    free(own_command);
    free(own_arguments);
    return name;
}

/* The cluster id on the host is the set's own, so it is that of no other cluster of the profile
 * there. */
static void add_proxy(struct text *words, const char *const *command, const char *verb)
{
    text_add(words, "\"$program\"");
    add_words(words, command + 1, list_length(command + 1));
    text_format(words, " %s \"--profile-dir=$profile\" --cluster-id=\"$cluster\"", verb);
}

/* The words of an ipcluster that starts engines. */
static const char *add_engines(const struct ssh_set *set, unsigned count, struct text *agent)
{
    const struct ipcl_services *base = &set->services->base;
    const char *const *command =
        base->option_list(base->host, SSH_PROXY_CLASS, "ipcluster_cmd", NULL);
    const char *const *more =
        base->option_list(base->host, SSH_PROXY_CLASS, "ipcluster_args", NULL);
    add_proxy(agent, command, "engines");
    text_format(agent, " --n=%u", count);
    add_words(agent, more, list_length(more));
    return command[0];
}

/* Adds the words of what runs on the host. Returns the program's name. */
static const char *add_command(const struct ssh_set *set, const json_t *own,
                               const struct ipcl_launch *launch, struct text *agent)
{
    return set->proxy ? add_engines(set, launch->count, agent)
                      : add_program(set, own, launch->argv, agent);
}

/* Sets the words of what runs on the host and, if that is an ipcluster, of another that ends what
 * it leaves. */
static void set_words(const struct ssh_set *set, const json_t *own,
                      const struct ipcl_launch *launch, struct text *agent)
{
    const struct ipcl_services *base = &set->services->base;
    struct text stop = {.bytes = NULL};
    text_add(agent, "with_words() {\n\"$@\" ");
    const char *name = add_command(set, own, launch, agent);
    text_add(agent, "\n}\nprepare ");
    text_add_quoted(agent, name);
    if (set->proxy) {
        add_proxy(&stop, base->option_list(base->host, SSH_PROXY_CLASS, "ipcluster_cmd", NULL),
                  "stop");
        text_add(agent, "\nprepare_proxy ");
        text_add_quoted(agent, stop.bytes ? stop.bytes : "");
    }
    text_add(agent, set->controller ? "\nrun_controller\n" : "\nrun_engines\n");
    agent->failed = agent->failed || stop.failed;
    text_clear(&stop);
}

void ssh_agent_start(const struct ssh_host *host, const struct ssh_place *place,
                     const struct ipcl_launch *launch, struct text *agent)
{
    const struct ssh_set *set = host->set;
    set_variable(agent, "TOKEN", set->token);
    set_variable(agent, "LABEL", launch->label);
    set_variable(agent, "PROFILE_DIR", profile_there(set, place->own, launch->profile_dir));
    set_variable(agent, "WORK_DIR", own_text(set, place->own, "work_dir"));
    set_variable(agent, "PROLOGUE", own_text(set, place->own, "prologue"));
    text_format(agent, "COUNT=%u FIRST=%u GRACE=%u DELAY=%u.%03u CMD_SETTING=--%s.%s_cmd\n",
                host->count, set->first + host->first, set->grace_s, set->delay_ms / 1000,
                set->delay_ms % 1000, set->class_name,
                set->controller ? "controller"
                : set->proxy    ? "ipcluster"
                                : "engine");
    text_format(agent, "FILES=ipcontroller%s", *launch->cluster_id ? "-" : "");
    text_add_quoted(agent, launch->cluster_id);
    text_add(agent, "\n");
    set_environment(host, place->own, launch, agent);
    text_add(agent, agent_script);
    set_words(set, place->own, launch, agent);
}

static void add_line(struct text *preview, const char *before, const char *word)
{
    if (*word) {
        text_add(preview, before);
        text_add_word(preview, word);
        text_add(preview, "\n");
    }
}

/* Files that are sent first, HERE=THERE. */
static void add_sent(const struct ssh_set *set, struct text *preview)
{
    const struct ipcl_services *base = &set->services->base;
    const char *const *send = base->option_list(base->host, set->class_name, "to_send", NULL);
    for (; send && *send; send++)
        add_line(preview, "# with the file ", *send);
}

void ssh_agent_preview(const struct ssh_host *host, const struct ssh_place *place,
                       const struct ipcl_launch *launch, struct text *preview)
{
    const struct ssh_set *set = host->set;
    const char *prologue = own_text(set, place->own, "prologue");
    char control[SSH_PATH_BYTES + 32], remote[SSH_REMOTE_BYTES];
    struct text agent = {.bytes = NULL}, command = {.bytes = NULL};
    ssh_agent_start(host, place, launch, &agent);
    ssh_command_remote(&agent, remote);
    snprintf(control, sizeof(control), "-oControlPath=%s/%u", set->folder, host->number);
    const char **argv = ssh_command_start(host, "", control, remote);
    text_format(preview, "# %s:\n", host->name);
    for (size_t i = SSH_SHELL_WORDS; argv && argv[i]; i++) {
        text_add(preview, i == SSH_SHELL_WORDS ? "" : " ");
        text_add_word(preview, argv[i]);
    }
    text_format(preview, "\n# which has run there, %u time%s:\n", host->count,
                host->count == 1 ? "" : "s");
    add_sent(set, preview);
    const char *name = add_command(set, place->own, launch, &command);
    set_environment(host, place->own, launch, preview);
    text_format(preview, "%s%s", prologue, *prologue ? "\n" : "");
    add_line(preview, "cd ", own_text(set, place->own, "work_dir"));
    add_line(preview,
             set->proxy ? "cluster=" : "run=", set->proxy ? "ssh-..." : "/tmp/ipcluster-ssh-...");
    add_line(preview, "profile=", profile_there(set, place->own, launch->profile_dir));
    add_line(preview, "program=", name);
    text_format(preview, "%s\n", command.bytes ? command.bytes : "");
    preview->failed = preview->failed || agent.failed || command.failed || !argv;
    free(argv);
    text_clear(&agent);
    text_clear(&command);
}

void ssh_agent_clean(const struct ssh_host *host, struct text *agent)
{
    text_format(agent, "TOKEN='%s' GRACE=2\n%sclean_up '%s' '%s'", host->set->token, agent_script,
                host->boot, host->run);
    if (host->agent_pid)
        text_format(agent, " %lld %lld", (long long)host->agent_pid, (long long)host->agent_born);
    for (unsigned i = host->first; i < host->first + host->count; i++) {
        const struct ssh_copy *copy = &host->set->copies[i];
        if (copy->pid && !copy->ended)
            text_format(agent, " %lld %lld", (long long)copy->pid, (long long)copy->born);
    }
    text_add(agent, "\n");
}
