/* Hash tables: what is put in is found, also while the table grows, and an insertion is never a
 * long one. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"

struct thing {
    struct table_item item;
    char name[16];
};

static const void *key_of(const struct table_item *item, size_t *size)
{
    const struct thing *thing = (const struct thing *)item;
    *size = strlen(thing->name);
    return thing->name;
}

static struct table_item *find(const struct table *table, const char *name)
{
    return table_find(table, table_hash(table, name, strlen(name)), name, strlen(name));
}

static void add(struct table *table, struct thing *thing, int number)
{
    snprintf(thing->name, sizeof(thing->name), "thing%d", number);
    thing->item.hash = table_hash(table, thing->name, strlen(thing->name));
    table_add(table, &thing->item);
}

Test(table, what_is_there_is_found_and_nothing_else)
{
    enum { COUNT = 20000 };
    static struct thing things[COUNT];
    static bool there[COUNT];
    struct table table;
    char name[16];
    size_t count = 0;
    cr_assert_eq(table_init(&table, key_of), 0);
    srand(1);
    for (int step = 0; step < 200000; step++) {
        /* It fills, and empties again, several times. */
        int number = rand() % COUNT;
        bool fills = step / 50000 % 2 == 0;
        if (there[number] && (!fills || rand() % 8 == 0)) {
            table_remove(&table, &things[number].item);
            there[number] = false;
            count--;
        } else if (!there[number] && (fills || rand() % 8 == 0)) {
            add(&table, &things[number], number);
            there[number] = true;
            count++;
        }
        number = rand() % COUNT;
        snprintf(name, sizeof(name), "thing%d", number);
        cr_assert_eq(find(&table, name), there[number] ? &things[number].item : NULL);
        cr_assert_eq(table.count, count);
    }
    table_release(&table);
}

Test(table, every_item_is_taken_once_also_while_it_grows)
{
    static struct thing things[100];
    struct table table;
    struct table_item *item;
    size_t from = 0, count = 0;
    table_init(&table, key_of);
    for (int i = 0; i < 70; i++)
        add(&table, &things[i], i);
    cr_assert(table.old, "it grows: otherwise this test shows nothing");
    while ((item = table_take(&table, &from))) {
        cr_assert_eq(find(&table, ((struct thing *)item)->name), NULL);
        count++;
    }
    cr_assert_eq(count, 70);
    table_release(&table);
}

Test(table, hashes_are_those_of_siphash)
{
    /* SipHash-1-3 of bytes 0 to 14 under the key 0 to 15, from the algorithm's definition. */
    struct table table = {.seed = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL}};
    unsigned char bytes[15];
    for (unsigned char i = 0; i < sizeof(bytes); i++)
        bytes[i] = i;
    cr_assert_eq(table_hash(&table, bytes, sizeof(bytes)), 0xd320d86d2a519956ULL, "%llx",
                 (unsigned long long)table_hash(&table, bytes, sizeof(bytes)));
}
