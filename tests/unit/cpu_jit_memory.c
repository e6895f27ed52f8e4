/* SPDX-License-Identifier: MIT */
/* Code memory: two mappings of one object, whatever pages the host makes it of. */
#include "base/types.h"

#if defined(__x86_64__)
#include "cpu/jit/x86_64/memory.h"
#include "tests/test.h"

/* The last piece is too short for a huge page. */
#define SIZE (2 * CODE_PIECE + CODE_PIECE / 2)

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 7 + (i >> 12) * 3);
}

static void expect_bytes(const struct code_memory *m, size_t end)
{
    for (size_t i = 0; i < end; i++)
        if (m->run[i] != byte_at(i))
            fail_msg("byte %zx is %x", i, m->run[i]);
}

/* Written little by little, with the next piece asked for before it is needed, as code is. */
static void fill(bool anonymous)
{
    struct code_memory m;
    const size_t step = 4096 + 64;
    EXPECT_EQ(0, code_memory_init(&m, SIZE, anonymous));
    EXPECT_EQ(0, (uintptr_t)m.write % CODE_PIECE);
    EXPECT_EQ(0, (uintptr_t)m.run % CODE_PIECE);
    for (size_t at = 0; at + step <= SIZE; at += step) {
        code_memory_join(&m, at + step);
        EXPECT(m.joined > at && m.joined <= SIZE);
        for (size_t i = at; i < at + step; i++)
            m.write[i] = byte_at(i);
    }
    expect_bytes(&m, SIZE / step * step);
    code_memory_fini(&m);
}

TEST(jit_memory, what_is_written_is_what_runs)
{
    fill(false);
    fill(true);
}

/* A page that was there before its piece is joined keeps what it holds, in both mappings. */
TEST(jit_memory, joining_keeps_what_was_written)
{
    struct code_memory m;
    EXPECT_EQ(0, code_memory_init(&m, SIZE, false));
    for (size_t i = 0; i < CODE_PIECE; i++)
        m.write[i] = byte_at(i);
    expect_bytes(&m, CODE_PIECE);
    code_memory_join(&m, CODE_PIECE / 4);
    expect_bytes(&m, CODE_PIECE);
    m.write[1] = 0x5a;
    EXPECT_EQ(0x5a, m.run[1]);
    code_memory_fini(&m);
}

TEST(jit_memory, less_than_a_piece_serves_too)
{
    struct code_memory m;
    EXPECT_EQ(0, code_memory_init(&m, CODE_PIECE / 8, false));
    code_memory_join(&m, 1);
    m.write[CODE_PIECE / 8 - 1] = 0x17;
    EXPECT_EQ(0x17, m.run[CODE_PIECE / 8 - 1]);
    code_memory_fini(&m);
}

/* Until there is no room for both kinds of code; and again when it was emptied. What is fixed stays. */
static unsigned fill_both(struct code_memory *m, size_t room)
{
    unsigned n = 0;
    while (code_memory_has_room(m, room)) {
        EXPECT(m->used + room <= m->limit);
        EXPECT(m->limit <= m->late && m->late + room <= m->late_end && m->late_end <= m->size);
        m->used += room / 4;
        m->late += room;
        m->late_used += room;
        n++;
    }
    return n;
}

TEST(jit_memory, code_and_late_code_grow_towards_each_other)
{
    static const size_t sizes[] = {CODE_PIECE / 8, SIZE};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct code_memory m;
        EXPECT_EQ(0, code_memory_init(&m, sizes[i], false));
        m.used = m.fixed = 4096;
        unsigned n = fill_both(&m, 64 * KiB);
        EXPECT(n > 1);
        code_memory_empty(&m);
        EXPECT_EQ(4096, m.used);
        EXPECT_EQ(0, m.late_used);
        EXPECT_EQ(n, fill_both(&m, 64 * KiB));
        code_memory_fini(&m);
    }
}

TEST_MAIN(RUN(jit_memory, what_is_written_is_what_runs)
              RUN(jit_memory, joining_keeps_what_was_written)
                  RUN(jit_memory, less_than_a_piece_serves_too)
                      RUN(jit_memory, code_and_late_code_grow_towards_each_other))
#else
int main(void)
{
    return 0;
}
#endif
