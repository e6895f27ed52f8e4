/* SPDX-License-Identifier: MIT */
/* Names of translated code for GDB: the list that it reads, and the symbols in its files. */
#include "frontends/gdb_jit.h"

#include <string.h>

#include "base/endian.h"
#include "tests/test.h"

#define CODE 0x700000000000u

static unsigned files(void)
{
    unsigned n = 0;
    for (const struct jit_code_entry *e = __jit_debug_descriptor.first_entry; e; e = e->next) {
        EXPECT(!e->next || e->next->prev == e);
        n++;
    }
    return n;
}

/* The section header i of a file. */
static const uint8_t *section(const struct jit_code_entry *e, unsigned i)
{
    const uint8_t *p = (const uint8_t *)e->symfile_addr;
    EXPECT(memcmp(p, "\177ELF", 4) == 0 && i < le16_load(p + 60));
    const uint8_t *s = p + le64_load(p + 40) + i * le16_load(p + 58);
    EXPECT(s + 64 <= p + e->symfile_size);
    return s;
}

/* The function that has address in it, or NULL. */
static const char *symbol_at(uint64_t address)
{
    for (const struct jit_code_entry *e = __jit_debug_descriptor.first_entry; e; e = e->next) {
        const uint8_t *p = (const uint8_t *)e->symfile_addr, *text = section(e, 1),
                      *table = section(e, 2);
        const char *strings = (const char *)p + le64_load(section(e, 3) + 24);
        if (address - le64_load(text + 16) >= le64_load(text + 32))
            continue;
        const uint8_t *s = p + le64_load(table + 24), *end = s + le64_load(table + 32);
        EXPECT(strings + le64_load(section(e, 3) + 32) == (const char *)p + e->symfile_size);
        for (s += 24; s < end; s += 24)
            if (address - le64_load(s + 8) < le64_load(s + 16))
                return strings + le32_load(s);
    }
    return NULL;
}

static void add(struct gdb_jit *gj, unsigned i)
{
    gdb_jit_add(gj, (const void *)(uintptr_t)(CODE + i * 32), 20, 0xffffffff81000000u + i,
                0x1000000 + i);
}

TEST(gdb_jit, names_code)
{
    struct gdb_jit *gj = gdb_jit_create();
    assert_non_null(gj);
    EXPECT_EQ(files(), 0);
    for (unsigned i = 0; i < 600; i++)
        add(gj, i);
    EXPECT_EQ(files(), 2 + 600 - 512);
    EXPECT_EQ(__jit_debug_descriptor.action_flag, JIT_REGISTER);
    EXPECT_EQ(__jit_debug_descriptor.version, 1);
    EXPECT_STR("guest_ffffffff81000000_at_1000000", symbol_at(CODE));
    EXPECT_STR("guest_ffffffff81000007_at_1000007", symbol_at(CODE + 7 * 32 + 19));
    EXPECT_STR("guest_ffffffff81000257_at_1000257", symbol_at(CODE + 599 * 32 + 1));
    EXPECT(!symbol_at(CODE + 7 * 32 + 20) && !symbol_at(CODE + 600 * 32));
    add(gj, 3); /* the cache was emptied */
    EXPECT_EQ(files(), 1);
    EXPECT(!symbol_at(CODE) && symbol_at(CODE + 3 * 32));
    gdb_jit_destroy(gj);
    EXPECT_EQ(files(), 0);
    EXPECT_EQ(__jit_debug_descriptor.action_flag, JIT_UNREGISTER);
}

TEST_MAIN(RUN(gdb_jit, names_code))
