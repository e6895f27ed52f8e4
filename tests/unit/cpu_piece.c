/* SPDX-License-Identifier: MIT */
#include "cpu/piece.h"

#include <string.h>

#include "tests/test.h"

TEST(piece, memory_is_aligned_and_writable)
{
    uint8_t *p = pieces_map(3);
    EXPECT(p);
    EXPECT_EQ(0, (uintptr_t)p % PIECE_BYTES);
    for (size_t i = 0; i < 3 * PIECE_BYTES; i += PAGE_SIZE)
        EXPECT_EQ(0, p[i]);
    memset(p, 0xa5, 3 * PIECE_BYTES);
    pieces_give(NULL, p, 3);
}

/* In the order in which it lay, with what was in it; the rest is the host's, which gives zeros. */
TEST(piece, given_memory_is_taken_first)
{
    struct pieces store = {.count = 0};
    uint8_t *p = pieces_map(2), *q;
    memset(p, 0xa5, 2 * PIECE_BYTES);
    pieces_give(&store, p, 2);
    EXPECT_EQ(2, store.count);
    EXPECT(pieces_take(&store) == p);
    EXPECT(pieces_take(&store) == p + PIECE_BYTES);
    EXPECT_EQ(0xa5, p[2 * PIECE_BYTES - 1]);
    EXPECT_EQ(0, store.count);
    q = pieces_take(&store);
    EXPECT(q != p && q != p + PIECE_BYTES);
    EXPECT_EQ(0, q[PIECE_BYTES - 1]);
    pieces_give(&store, q, 1);
    pieces_give(&store, p, 1);
    pieces_give(&store, p + PIECE_BYTES, 1);
    pieces_release(&store);
    EXPECT_EQ(0, store.count);
    EXPECT(!store.kept);
}

TEST(piece, no_more_than_a_number_is_kept)
{
    struct pieces store = {.count = 0};
    pieces_give(&store, pieces_map(PIECES_KEPT - 1), PIECES_KEPT - 1);
    EXPECT_EQ(PIECES_KEPT - 1, store.count);
    uint8_t *p = pieces_map(3);
    pieces_give(&store, p, 3);
    EXPECT_EQ(PIECES_KEPT, store.count);
    EXPECT(pieces_take(&store) == p);
    pieces_give(&store, p, 1);
    pieces_give(&store, pieces_map(1), 1);
    EXPECT_EQ(PIECES_KEPT, store.count);
    store.more = 1;
    pieces_give(&store, pieces_map(2), 2);
    EXPECT_EQ(PIECES_KEPT + 1, store.count);
    pieces_release(&store);
}

TEST(piece, impossible_sizes_are_refused)
{
    EXPECT(!pieces_map(SIZE_MAX / PIECE_BYTES));
    EXPECT(!pieces_map(SIZE_MAX));
}

TEST_MAIN(RUN(piece, memory_is_aligned_and_writable) RUN(piece, given_memory_is_taken_first)
              RUN(piece, no_more_than_a_number_is_kept) RUN(piece, impossible_sizes_are_refused))
