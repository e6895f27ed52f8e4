/* SPDX-License-Identifier: MIT */
#include "monitor/load_bzimage.h"

#include <errno.h>
#include <zlib.h>

#include "tests/test.h"
#include "tests/unit/monitor_images.h"

enum { SETUP = 5 * 512, PAYLOAD_OFFSET = 0x400, IMAGE_MAX = 8192 };

struct bz {
    uint8_t file[IMAGE_MAX]; /* the bzImage */
    size_t size;             /* of it */
};

static size_t gzip(const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
                  .avail_in = (uInt)n,
                  .next_out = out,
                  .avail_out = (uInt)room};
    deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return z.total_out;
}

/* Boot protocol 2.15, a relocatable kernel of the given class for 2 MiB. */
static void make_bzimage(struct bz *z, bool is_64)
{
    const struct elf_shape shape = {.is_64 = is_64, .at = 2 * MiB, .entry = 2 * MiB};
    uint8_t elf[ELF_SIZE], *f = z->file;
    size_t n;
    memset(z, 0, sizeof(*z));
    make_elf(elf, &shape);
    f[0x1F1] = 4;
    le16_store(f + 0x1FE, 0xAA55);
    f[0x200] = 0xEB;
    f[0x201] = 0x66;
    memcpy(f + 0x202, "HdrS", 4);
    le16_store(f + 0x206, 0x020F);
    f[0x211] = 1;
    le32_store(f + 0x22C, 0x7FFFFFFF);
    le32_store(f + 0x230, 0x200000);
    f[0x234] = 1;
    le16_store(f + 0x236, is_64 ? 3 : 0);
    le32_store(f + 0x238, 2047);
    le64_store(f + 0x258, 2 * MiB);
    le32_store(f + 0x260, MiB);
    memcpy(f + SETUP, "stub", 4);
    n = gzip(elf, ELF_SIZE, f + SETUP + PAYLOAD_OFFSET, IMAGE_MAX - SETUP - PAYLOAD_OFFSET);
    le32_store(f + 0x248, PAYLOAD_OFFSET);
    le32_store(f + 0x24C, (uint32_t)n);
    z->size = SETUP + PAYLOAD_OFFSET + n + 16;
}

TEST(bzimage, is_unpacked_on_the_host_and_entered_in_64_bit_mode)
{
    struct bz z;
    struct bench b;
    uint8_t zero[4096], code[ELF_CODE_SIZE], pte[8];
    make_bzimage(&z, true);
    bench_init(&b, z.file, z.size);
    EXPECT_EQ(0, bench_load(&b));
    EXPECT_EQ(ENTRY_LONG64, b.entry.mode);
    EXPECT_EQ(2 * MiB, b.entry.rip);
    EXPECT_EQ(0x10, b.entry.cs);
    EXPECT_EQ(0x18, b.entry.ds);
    EXPECT(physmem_read(b.m.pm, 2 * MiB, code, sizeof(code)) &&
           memcmp(code, ELF_CODE, sizeof(code)) == 0);
    EXPECT(physmem_read(b.m.pm, b.entry.gpr[6], zero, sizeof(zero)));
    EXPECT_EQ(0, zero[0x1EF]);
    EXPECT_EQ(0x53726448, le32_load(zero + 0x202));
    EXPECT_EQ(0xFF, zero[0x210]);
    EXPECT_EQ(0x81, zero[0x211]);
    EXPECT_EQ(0xE0000, le64_load(zero + 0x70));
    EXPECT_EQ(4, zero[0x1E8]);
    EXPECT_EQ(MiB, le64_load(zero + 0x2D0 + 3 * 20));
    EXPECT_EQ(E820_RAM, le32_load(zero + 0x2D0 + 3 * 20 + 16));
    EXPECT_EQ((RAM_SIZE - MiB) / KiB, le32_load(zero + 0x1E0));
    EXPECT(physmem_read(b.m.pm, le32_load(zero + 0x228), code, 8) &&
           memcmp(code, "console=", 8) == 0);
    EXPECT(physmem_read(b.m.pm, b.entry.cr3 + 2 * PAGE_SIZE + 8, pte, 8));
    EXPECT_EQ(0x200083, le64_load(pte)); /* the second 2 MiB map to themselves */
    bench_fini(&b);
}

TEST(bzimage, of_a_32_bit_kernel_is_entered_in_protected_mode)
{
    struct bz z;
    struct bench b;
    uint8_t cs[8];
    make_bzimage(&z, false);
    bench_init(&b, z.file, z.size);
    EXPECT_EQ(0, bench_load(&b));
    EXPECT_EQ(ENTRY_PROT32, b.entry.mode);
    EXPECT_EQ(2 * MiB, b.entry.rip);
    EXPECT_EQ(LOADER_INFO, b.entry.gpr[6]);
    EXPECT(physmem_read(b.m.pm, b.entry.gdt_base + b.entry.cs, cs, 8));
    EXPECT(le64_load(cs) == UINT64_C(0x00CF9B000000FFFF));
    bench_fini(&b);
}

TEST(bzimage, own_decompressor_is_entered_200h_into_its_code)
{
    struct bz z;
    struct bench b;
    uint8_t stub[4];
    make_bzimage(&z, true);
    bench_init(&b, z.file, z.size);
    b.boot.own_decompressor = true;
    EXPECT_EQ(0, bench_load(&b));
    EXPECT_EQ(ENTRY_LONG64, b.entry.mode);
    EXPECT_EQ(0x100200, b.entry.rip);
    EXPECT(physmem_read(b.m.pm, 0x100000, stub, 4) && memcmp(stub, "stub", 4) == 0);
    bench_fini(&b);
}

TEST(bzimage, unknown_compression_is_left_to_the_kernel)
{
    struct bz z;
    struct bench b;
    make_bzimage(&z, true);
    memcpy(z.file + SETUP + PAYLOAD_OFFSET, "\x89LZO\0\0\0\0", 8);
    bench_init(&b, z.file, z.size);
    EXPECT_EQ(0, bench_load(&b));
    EXPECT_EQ(0x100200, b.entry.rip);
    bench_fini(&b);
}

TEST(bzimage, initrd_stands_high_and_clear_of_the_kernel)
{
    struct bz z;
    struct bench b;
    uint8_t zero[4096], text[8];
    make_bzimage(&z, true);
    bench_init(&b, z.file, z.size);
    b.boot.initrd = (struct blob){(const uint8_t *)"cpio 123", 8, "initrd"};
    EXPECT_EQ(0, bench_load(&b));
    EXPECT(physmem_read(b.m.pm, b.entry.gpr[6], zero, sizeof(zero)));
    EXPECT_EQ(RAM_SIZE - PAGE_SIZE, le32_load(zero + 0x218));
    EXPECT_EQ(8, le32_load(zero + 0x21C));
    EXPECT(physmem_read(b.m.pm, RAM_SIZE - PAGE_SIZE, text, 8) && memcmp(text, "cpio 123", 8) == 0);
    le32_store(z.file + 0x22C, 0x4FFFFF); /* initrd_addr_max */
    EXPECT_EQ(0, bench_load(&b));
    EXPECT(physmem_read(b.m.pm, b.entry.gpr[6], zero, sizeof(zero)));
    EXPECT_EQ(0x4FF000, le32_load(zero + 0x218));
    bench_fini(&b);
}

TEST(bzimage, initrd_that_does_not_fit_says_how_much_is_needed)
{
    struct bz z;
    struct bench b;
    uint8_t *big = calloc(1, 6 * MiB);
    make_bzimage(&z, true);
    bench_init(&b, z.file, z.size);
    b.boot.initrd = (struct blob){big, 6 * MiB, "initrd"};
    EXPECT_EQ(-ENOSPC, bench_load(&b));
    EXPECT(strstr(b.err.text, "9 MiB"));
    bench_fini(&b);
    free(big);
}

TEST(bzimage, kernel_that_does_not_fit_says_how_much_is_needed)
{
    struct bz z;
    struct bench b;
    make_bzimage(&z, true);
    le32_store(z.file + 0x260, 30 * MiB);
    bench_init(&b, z.file, z.size);
    EXPECT_EQ(-ENOSPC, bench_load(&b));
    EXPECT(strstr(b.err.text, "32 MiB"));
    b.boot.own_decompressor = true;
    EXPECT_EQ(-ENOSPC, bench_load(&b));
    bench_fini(&b);
}

TEST(bzimage, long_command_line_is_refused)
{
    struct bz z;
    struct bench b;
    char line[2100];
    make_bzimage(&z, true);
    bench_init(&b, z.file, z.size);
    memset(line, 'x', sizeof(line));
    line[2047] = 0;
    b.boot.cmdline = line;
    EXPECT_EQ(0, bench_load(&b));
    line[2047] = 'x';
    line[2048] = 0;
    EXPECT_EQ(-EINVAL, bench_load(&b));
    EXPECT(strstr(b.err.text, "2047"));
    bench_fini(&b);
}

TEST(bzimage, every_truncation_is_refused)
{
    struct bz z;
    make_bzimage(&z, true);
    for (size_t n = 0; n < z.size - 16; n++) {
        struct bench b;
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, z.file, n);
        bench_init(&b, cut, n);
        EXPECT_EQ(-EINVAL, bench_load(&b));
        EXPECT(b.err.text[0]);
        bench_fini(&b);
        free(cut);
    }
}

TEST(bzimage, hostile_headers_are_refused_or_harmless)
{
    static const unsigned at[] = {0x1F1, 0x201, 0x206, 0x211, 0x22C, 0x236,
                                  0x248, 0x24C, 0x258, 0x25C, 0x260};
    struct bz z;
    for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
        for (unsigned v = 0; v < 4; v++) {
            static const uint32_t values[] = {0, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF};
            struct bench b;
            make_bzimage(&z, true);
            le_store(z.file + at[i], values[v], at[i] < 0x22C ? 1 : 4);
            bench_init(&b, z.file, z.size);
            (void)bench_load(&b);
            b.boot.own_decompressor = true;
            (void)bench_load(&b);
            bench_fini(&b);
        }
}

TEST_MAIN(RUN(bzimage, is_unpacked_on_the_host_and_entered_in_64_bit_mode)
              RUN(bzimage, of_a_32_bit_kernel_is_entered_in_protected_mode)
                  RUN(bzimage, own_decompressor_is_entered_200h_into_its_code)
                      RUN(bzimage, unknown_compression_is_left_to_the_kernel)
                          RUN(bzimage, initrd_stands_high_and_clear_of_the_kernel)
                              RUN(bzimage, initrd_that_does_not_fit_says_how_much_is_needed)
                                  RUN(bzimage, kernel_that_does_not_fit_says_how_much_is_needed)
                                      RUN(bzimage, long_command_line_is_refused)
                                          RUN(bzimage, every_truncation_is_refused)
                                              RUN(bzimage, hostile_headers_are_refused_or_harmless))
