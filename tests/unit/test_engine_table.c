/* The file by which the next controller knows the engines of the previous one. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "controller/hub/engine_table.h"

Test(engine_table,
     keeps_what_the_next_controller_goes_by_where_an_engine_dies_before_it_registers_again)
{
    struct ipcl_error error = {""};
    char path[] = "/tmp/ipcluster-unit-XXXXXX";
    struct engine_table table = {.path = path};
    struct engines before = {0}, after = {0};
    close(mkstemp(path));
    for (int id = 0; id < 2; id++) {
        struct hub_engine *engine = engines_accept(&before, id ? "b" : "a", id, 100, &error);
        cr_assert(engine, "%s", error.text);
        engines_confirm(&before, engine);
        engine->watched = engine->sealed = id == 1;
    }
    engine_table_changed(&table, &before, 1);
    engine_table_finish(&table, &before);
    cr_assert_eq(engine_table_load(&table, &after, 100, &error), 2, "%s", error.text);
    for (int id = 0; id < 2; id++) {
        const struct hub_engine *engine = engines_by_id(&after, id);
        cr_assert(engine->restored);
        cr_assert_eq(engine->watched, id == 1);
        cr_assert_eq(engine->sealed, id == 1);
    }
    unlink(path);
    engines_release(&before);
    engines_release(&after);
}
