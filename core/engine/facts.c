/* What an engine says about itself: host, process and MPI rank; what it runs, in the words of
 * kernel_info_reply if it has them; its engine set and its batch job. I/O thread. */
#include "engine/facts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The hub takes only shorter texts, of one line. If one is not, it drops all that the engine
 * says. */
#define FACT_BYTES 256

/* Adds a fact, if it is known and the hub takes it. */
static void add(json_t *facts, const char *name, const char *text)
{
    size_t length = 0;
    while (text && text[length] && !iscntrl((unsigned char)text[length]))
        length++;
    if (length && !text[length] && length < FACT_BYTES)
        json_object_set_new(facts, name, json_string(text));
}

json_t *facts_of(const struct engine *engine)
{
    char host[FACT_BYTES] = "";
    const char *language = "", *version = "", *executable = "";
    json_t *facts = json_pack("{s:i s:s s:s}", "pid", (int)getpid(), "implementation", "ipcluster",
                              "implementation_version", PACKAGE_VERSION);
    gethostname(host, sizeof(host) - 1);
    json_unpack(engine->kernel_info, "{s:{s?s s?s s?s}}", "language_info", "name", &language,
                "version", &version, "executable", &executable);
    add(facts, "host", host);
    add(facts, "language", language);
    add(facts, "language_version", version);
    add(facts, "executable", executable);
    add(facts, "engine_set", settings_string(engine->settings, "IPEngine", "engine_set"));
    int64_t copy = settings_int(engine->settings, "IPEngine", "engine_copy");
    if (copy >= 0)
        json_object_set_new(facts, "copy", json_integer(copy));
    add(facts, "job", engine->batch_job);
    if (engine->rank >= 0)
        json_object_set_new(facts, "rank", json_integer(engine->rank));
    return facts;
}
