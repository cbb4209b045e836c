/* Calls into the plugin of a launcher: one that crashes in a call, or does not return from it, is
 * named. */
#include "cluster/launching/plugin_call.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LONG_SECONDS 5 /* what a call does that takes time, it does on the event loop */
#define STACK_BYTES  65536

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static const int ends[] = {SIGINT, SIGTERM};
#define CRASHES (sizeof(crashes) / sizeof(*crashes))
#define ENDS    (sizeof(ends) / sizeof(*ends))

static bool watching;
static struct plugin_call *volatile innermost;
static struct sigaction crash_before[CRASHES], end_before[ENDS];
static volatile sig_atomic_t told; /* that it does not return */

/* In a handler of a signal only write(2) is certain. */
static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody listens */
}

static void say_call(const struct plugin_call *call, const char *what)
{
    say("ipcluster: the launcher ");
    say(call->class_name);
    say(" (plugin ");
    say(call->plugin_name);
    say(what);
    say(call->function);
}

/* What follows is as it would be without us: when this returns a fault is there again, and a signal
 * that was sent is sent again. */
static void crashed(int signum, siginfo_t *how, void *context)
{
    (void)context;
    for (size_t i = 0; i < CRASHES; i++)
        if (crashes[i] == signum)
            sigaction(signum, &crash_before[i], NULL);
    if (innermost) {
        say_call(innermost, ") has crashed in ");
        say("(), and so did ipcluster: ipcluster stop ends what had been started\n");
    }
    if (how->si_code <= 0)
        raise(signum);
}

static void late(int signum)
{
    (void)signum;
    if (!innermost || told)
        return;
    told = true;
    say_call(innermost, ") has not returned for 5 seconds from ");
    say("(): Ctrl-C ends ipcluster without it, and ipcluster stop what had been started\n");
    for (size_t i = 0; i < ENDS; i++) {
        struct sigaction by_default = {.sa_handler = SIG_DFL};
        sigaction(ends[i], &by_default, &end_before[i]);
    }
}

/* A stack that has overflowed is of no use to a handler. */
void plugin_calls_watch(void)
{
    static char stack[STACK_BYTES];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction crash = {.sa_sigaction = crashed, .sa_flags = SA_ONSTACK | SA_SIGINFO};
    struct sigaction alarm = {.sa_handler = late, .sa_flags = SA_RESTART};
    if (watching)
        return;
    sigaltstack(&other, NULL);
    for (size_t i = 0; i < CRASHES; i++)
        sigaction(crashes[i], &crash, &crash_before[i]);
    sigaction(SIGALRM, &alarm, NULL);
    watching = true;
}

void plugin_call_begin(struct plugin_call *call, const char *class_name, const char *plugin_name,
                       const char *function)
{
    *call = (struct plugin_call){innermost, class_name, plugin_name, function};
    innermost = call;
    plugin_call_goes_on();
}

void plugin_call_goes_on(void)
{
    if (watching && innermost && !told)
        alarm(LONG_SECONDS);
}

void plugin_call_end(struct plugin_call *call)
{
    innermost = call->outer;
    if (watching)
        alarm(innermost ? LONG_SECONDS : 0);
    if (!told)
        return;
    told = false;
    for (size_t i = 0; i < ENDS; i++)
        sigaction(ends[i], &end_before[i], NULL);
    say_call(call, ") has returned from ");
    say("()\n");
}
