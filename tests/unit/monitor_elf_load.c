/* SPDX-License-Identifier: MIT */
#include "monitor/elf_load.h"

#include <errno.h>

#include "tests/test.h"
#include "tests/unit/monitor_images.h"

static const struct elf_shape pvh_64 = {.is_64 = true,
                                        .at = 0x200000,
                                        .above = 0xFFFFFFFF80000000,
                                        .entry = 0xFFFFFFFF80200002,
                                        .pvh = 0x200004};
static const struct elf_shape pvh_32 = {.at = 0x200000, .entry = 0x200002, .pvh = 0x200004};

TEST(elf, headers_say_class_extent_entry_and_note)
{
    uint8_t e[ELF_SIZE];
    struct elf_info i;
    const struct blob file = {e, sizeof(e), "kernel"};
    make_elf(e, &pvh_64);
    EXPECT_EQ(0, elf_inspect(&file, &i, NULL));
    EXPECT(i.is_64 && i.is_x86_64 && i.has_pvh);
    EXPECT_EQ(0x200004, i.pvh_entry);
    EXPECT_EQ(0x200002, i.entry); /* by the segment's addresses */
    EXPECT_EQ(0x200000, i.low);
    EXPECT_EQ(0x200000 + ELF_BSS, i.high);
    make_elf(e, &pvh_32);
    EXPECT_EQ(0, elf_inspect(&file, &i, NULL));
    EXPECT(!i.is_64 && !i.is_x86_64);
    EXPECT_EQ(0x200002, i.entry);
}

TEST(elf, image_need_not_be_aligned_in_the_hosts_memory)
{
    uint8_t e[ELF_SIZE + 1];
    struct elf_info i;
    const struct blob file = {e + 1, ELF_SIZE, "kernel"};
    make_elf(e + 1, &pvh_64);
    EXPECT_EQ(0, elf_inspect(&file, &i, NULL));
    EXPECT_EQ(0x200004, i.pvh_entry);
}

TEST(elf, pvh_guest_finds_everything_through_ebx)
{
    uint8_t e[ELF_SIZE], code[ELF_BSS], start[56], module[32], text[32];
    struct bench b;
    make_elf(e, &pvh_64);
    bench_init(&b, e, sizeof(e));
    b.boot.initrd = (struct blob){(const uint8_t *)"initial", 7, "initrd"};
    memset(b.m.host + 0x200000, 0xAA, ELF_BSS);
    EXPECT_EQ(0, bench_load(&b));
    EXPECT_EQ(ENTRY_PROT32, b.entry.mode);
    EXPECT_EQ(0x200004, b.entry.rip);
    EXPECT(physmem_read(b.m.pm, 0x200000, code, sizeof(code)));
    EXPECT(memcmp(code, ELF_CODE, ELF_CODE_SIZE) == 0);
    for (unsigned i = ELF_CODE_SIZE; i < ELF_BSS; i++)
        EXPECT_EQ(0, code[i]);
    EXPECT(physmem_read(b.m.pm, b.entry.gpr[3], start, sizeof(start)));
    EXPECT_EQ(0x336EC578, le32_load(start));
    EXPECT_EQ(1, le32_load(start + 4));
    EXPECT_EQ(1, le32_load(start + 12));
    EXPECT_EQ(0xE0000, le64_load(start + 32));
    EXPECT_EQ(4, le32_load(start + 48));
    EXPECT(physmem_read(b.m.pm, le64_load(start + 24), text, 14));
    EXPECT_STR("console=ttyS0", (const char *)text);
    EXPECT(physmem_read(b.m.pm, le64_load(start + 16), module, sizeof(module)));
    EXPECT_EQ(7, le64_load(module + 8));
    EXPECT(physmem_read(b.m.pm, le64_load(module), text, 7));
    EXPECT(memcmp(text, "initial", 7) == 0);
    EXPECT(physmem_read(b.m.pm, le64_load(start + 40) + 3 * 24, module, 24));
    EXPECT_EQ(MiB, le64_load(module));
    EXPECT_EQ(RAM_SIZE - MiB, le64_load(module + 8));
    bench_fini(&b);
}

TEST(elf, without_a_note_the_error_says_what_is_missing)
{
    uint8_t e[ELF_SIZE];
    const struct elf_shape bare = {.is_64 = true, .at = 0x200000, .entry = 0x200000};
    struct bench b;
    make_elf(e, &bare);
    bench_init(&b, e, sizeof(e));
    EXPECT_EQ(-EINVAL, bench_load(&b));
    EXPECT(strstr(b.err.text, "PVH"));
    EXPECT(b.err.hint[0]);
    bench_fini(&b);
}

TEST(elf, too_little_memory_says_how_much_is_needed)
{
    uint8_t e[ELF_SIZE];
    const struct elf_shape high = {.is_64 = true, .at = 100 * MiB, .entry = 100 * MiB, .pvh = 1};
    struct bench b;
    make_elf(e, &high);
    bench_init(&b, e, sizeof(e));
    EXPECT_EQ(-ENOSPC, bench_load(&b));
    EXPECT(strstr(b.err.text, "101 MiB"));
    EXPECT(strstr(b.err.hint, "-m "));
    bench_fini(&b);
}

TEST(elf, segments_do_not_overwrite_the_boot_information)
{
    uint8_t e[ELF_SIZE];
    const struct elf_shape low = {.at = 0x10000, .entry = 0x10000, .pvh = 0x10000};
    struct bench b;
    make_elf(e, &low);
    bench_init(&b, e, sizeof(e));
    EXPECT_EQ(-EINVAL, bench_load(&b));
    EXPECT(strstr(b.err.text, "overlaps"));
    bench_fini(&b);
}

TEST(elf, every_truncation_is_refused)
{
    uint8_t e[ELF_SIZE];
    struct bench b;
    make_elf(e, &pvh_64);
    for (size_t n = 0; n < ELF_CODE_AT + ELF_CODE_SIZE; n++) {
        uint8_t *cut = malloc(n + 1); /* so that a sanitizer sees a read too far */
        memcpy(cut, e, n);
        bench_init(&b, cut, n);
        EXPECT_EQ(-EINVAL, bench_load(&b));
        EXPECT(b.err.text[0]);
        bench_fini(&b);
        free(cut);
    }
}

TEST(elf, hostile_headers_are_refused)
{
    static const struct {
        unsigned at, size; /* field in the file */
        uint64_t v;        /* its value */
    } bad[] = {
        {5, 1, 2},                        /* big-endian */
        {18, 2, 183},                     /* AArch64 */
        {16, 2, 1},                       /* relocatable object */
        {56, 2, 0},                       /* no program headers */
        {56, 2, 0xFFFF},                  /* their number elsewhere */
        {56, 2, 1000},                    /* too many */
        {32, 8, UINT64_MAX},              /* out of the file */
        {64 + 8, 8, UINT64_MAX},          /* offset of the segment */
        {64 + 32, 8, UINT64_MAX},         /* file size */
        {64 + 40, 8, 1},                  /* memory size below file size */
        {64 + 24, 8, UINT64_MAX - 1},     /* address wraps */
        {64 + 40, 8, UINT64_MAX >> 1},    /* more than any memory */
        {64 + 56 + 8, 8, UINT64_MAX - 4}, /* offset of the notes */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t e[ELF_SIZE];
        struct bench b;
        make_elf(e, &pvh_64);
        le_store(e + bad[i].at, bad[i].v, bad[i].size);
        bench_init(&b, e, sizeof(e));
        EXPECT(bench_load(&b) < 0);
        bench_fini(&b);
    }
}

TEST_MAIN(RUN(elf, headers_say_class_extent_entry_and_note)
              RUN(elf, image_need_not_be_aligned_in_the_hosts_memory)
                  RUN(elf, pvh_guest_finds_everything_through_ebx)
                      RUN(elf, without_a_note_the_error_says_what_is_missing)
                          RUN(elf, too_little_memory_says_how_much_is_needed)
                              RUN(elf, segments_do_not_overwrite_the_boot_information)
                                  RUN(elf, every_truncation_is_refused)
                                      RUN(elf, hostile_headers_are_refused))
