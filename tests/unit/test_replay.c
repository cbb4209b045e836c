/* Replay detection: each digest is known once it was added, and only the newest are remembered. */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/replay.h"

static void make_digest(unsigned char digest[REPLAY_DIGEST_BYTES], unsigned number)
{
    memset(digest, 0, REPLAY_DIGEST_BYTES);
    memcpy(digest, &number, sizeof(number));
}

Test(replay, knows_what_was_added_and_nothing_else)
{
    unsigned char digest[REPLAY_DIGEST_BYTES];
    struct replay *replay = replay_create(1024);
    for (unsigned i = 0; i < 1000; i++) {
        make_digest(digest, i);
        cr_assert_not(replay_seen(replay, digest));
        cr_assert_eq(replay_add(replay, digest), 0);
        cr_assert(replay_seen(replay, digest));
    }
    make_digest(digest, 1000);
    cr_assert_not(replay_seen(replay, digest));
    replay_destroy(replay);
}

Test(replay, forgets_the_oldest_and_only_them)
{
    unsigned char digest[REPLAY_DIGEST_BYTES];
    struct replay *replay = replay_create(512);
    for (unsigned i = 0; i < 10000; i++) {
        make_digest(digest, i);
        cr_assert_eq(replay_add(replay, digest), 0);
    }
    for (unsigned i = 0; i < 10000; i++) {
        make_digest(digest, i);
        cr_assert_eq(replay_seen(replay, digest), i >= 10000 - 512, "digest %u", i);
    }
    replay_destroy(replay);
}

Test(replay, tells_digests_of_one_bucket_apart)
{
    unsigned char a[REPLAY_DIGEST_BYTES], b[REPLAY_DIGEST_BYTES];
    struct replay *replay = replay_create(256);
    make_digest(a, 7);
    make_digest(b, 7);
    b[REPLAY_DIGEST_BYTES - 1] = 1;
    replay_add(replay, a);
    cr_assert_not(replay_seen(replay, b));
    replay_destroy(replay);
}
