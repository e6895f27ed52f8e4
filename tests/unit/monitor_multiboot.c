/* SPDX-License-Identifier: MIT */
#include "monitor/multiboot.h"

#include <errno.h>

#include "tests/test.h"
#include "tests/unit/monitor_images.h"

static void put_header(uint8_t *at, uint32_t flags)
{
    le32_store(at, 0x1BADB002);
    le32_store(at + 4, flags);
    le32_store(at + 8, 0u - (0x1BADB002 + flags));
}

/* An ELF32 with the header between program headers and code. */
static void make_multiboot(uint8_t *e, uint32_t flags)
{
    const struct elf_shape shape = {.at = 0x400000, .entry = 0x400002};
    make_elf(e, &shape);
    put_header(e + 0x180, flags);
}

static void read_string(struct bench *b, uint32_t at, char *out, size_t n)
{
    EXPECT(physmem_read(b->m.pm, at, out, n));
    out[n - 1] = 0;
}

TEST(multiboot, elf_starts_with_the_magic_and_its_information)
{
    uint8_t e[ELF_SIZE], info[120], code[ELF_CODE_SIZE], map[24];
    char text[64];
    struct bench b;
    make_multiboot(e, 3);
    bench_init(&b, e, sizeof(e));
    EXPECT_EQ(0, bench_load(&b));
    EXPECT_EQ(ENTRY_PROT32, b.entry.mode);
    EXPECT_EQ(0x400002, b.entry.rip);
    EXPECT_EQ(0x2BADB002, b.entry.gpr[0]);
    EXPECT(physmem_read(b.m.pm, 0x400000, code, 8) && memcmp(code, ELF_CODE, 8) == 0);
    EXPECT(physmem_read(b.m.pm, b.entry.gpr[3], info, sizeof(info)));
    EXPECT_EQ(639, le32_load(info + 4));
    EXPECT_EQ((RAM_SIZE - MiB) / KiB, le32_load(info + 8));
    read_string(&b, le32_load(info + 16), text, sizeof(text));
    EXPECT_STR("kernel console=ttyS0", text);
    read_string(&b, le32_load(info + 64), text, sizeof(text));
    EXPECT_STR("trapline", text);
    EXPECT_EQ(4 * 24, le32_load(info + 44));
    EXPECT(physmem_read(b.m.pm, le32_load(info + 48), map, 24));
    EXPECT_EQ(20, le32_load(map));
    EXPECT_EQ(0x9FC00, le64_load(map + 12));
    EXPECT_EQ(0, le32_load(info + 20));
    bench_fini(&b);
}

TEST(multiboot, modules_stand_on_pages_with_their_lines)
{
    uint8_t e[ELF_SIZE], info[120], list[32], data[4];
    char text[16];
    struct bench b;
    make_multiboot(e, 1);
    bench_init(&b, e, sizeof(e));
    b.boot.modules[0] = (struct blob){(const uint8_t *)"one", 3, "a.bin x=1"};
    b.boot.modules[1] = (struct blob){(const uint8_t *)"two", 3, "b.bin"};
    b.boot.module_count = 2;
    EXPECT_EQ(0, bench_load(&b));
    EXPECT(physmem_read(b.m.pm, b.entry.gpr[3], info, sizeof(info)));
    EXPECT_EQ(2, le32_load(info + 20));
    EXPECT(physmem_read(b.m.pm, le32_load(info + 24), list, sizeof(list)));
    EXPECT_EQ(0x400000 + ELF_BSS, le32_load(list));
    EXPECT_EQ(3, le32_load(list + 4) - le32_load(list));
    read_string(&b, le32_load(list + 8), text, sizeof(text));
    EXPECT_STR("a.bin x=1", text);
    EXPECT_EQ(0x401000 + ELF_BSS, le32_load(list + 16));
    EXPECT(physmem_read(b.m.pm, le32_load(list + 16), data, 3) && memcmp(data, "two", 3) == 0);
    bench_fini(&b);
}

TEST(multiboot, address_fields_replace_the_file_format)
{
    uint8_t f[256] = {0}, code[16];
    struct bench b;
    put_header(f + 64, 0x10000);
    le32_store(f + 64 + 12, 0x200020); /* the header itself: 32 bytes into the load area */
    le32_store(f + 64 + 16, 0x200000);
    le32_store(f + 64 + 20, 0x200060);
    le32_store(f + 64 + 24, 0x201000);
    le32_store(f + 64 + 28, 0x200048);
    f[32] = 0x42; /* first byte loaded */
    bench_init(&b, f, sizeof(f));
    memset(b.m.host + 0x200000, 0xAA, 0x1000);
    EXPECT_EQ(0, bench_load(&b));
    EXPECT_EQ(0x200048, b.entry.rip);
    EXPECT(physmem_read(b.m.pm, 0x200000, code, 1));
    EXPECT_EQ(0x42, code[0]);
    EXPECT(physmem_read(b.m.pm, 0x200FFF, code, 1));
    EXPECT_EQ(0, code[0]);
    bench_fini(&b);
}

TEST(multiboot, contradicting_addresses_are_refused)
{
    static const uint32_t bad[][5] = {
        {0x200000, 0x200020, 0, 0, 0},          /* load above the header */
        {0x200020, 0x100000, 0, 0, 0},          /* starts before the file */
        {0x200020, 0x200000, 0x1FFFFF, 0, 0},   /* ends before it starts */
        {0x200020, 0x200000, 0x300000, 0, 0},   /* longer than the file */
        {0x200020, 0x200000, 0, 0x1000, 0},     /* BSS ends before it starts */
        {0x200020, 0x200000, 0, 0xFFFFFFFF, 0}, /* more than there is */
        {0x8020, 0x8000, 0, 0, 0},              /* over the boot information */
        {0xFFFFFFF0, 0xFFFFFFD0, 0, 0, 0},      /* no memory there */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t f[256] = {0};
        struct bench b;
        put_header(f + 64, 0x10000);
        for (unsigned j = 0; j < 5; j++)
            le32_store(f + 64 + 12 + 4 * j, bad[i][j]);
        bench_init(&b, f, sizeof(f));
        EXPECT(bench_load(&b) < 0);
        EXPECT(b.err.text[0]);
        bench_fini(&b);
    }
}

TEST(multiboot, header_is_sought_in_the_first_8_kib_only)
{
    uint8_t *f = calloc(1, 16384);
    put_header(f + 8180, 0);
    EXPECT(multiboot_recognises(f, 16384));
    EXPECT(!multiboot_recognises(f, 8191));
    memset(f, 0, 16384);
    put_header(f + 8184, 0);
    EXPECT(!multiboot_recognises(f, 16384));
    put_header(f + 2, 0);
    EXPECT(!multiboot_recognises(f, 16384)); /* not aligned */
    put_header(f + 4, 0);
    f[4 + 8]++;
    EXPECT(!multiboot_recognises(f, 16384)); /* checksum */
    free(f);
}

TEST(multiboot, required_features_we_lack_are_an_error)
{
    uint8_t e[ELF_SIZE];
    struct bench b;
    make_multiboot(e, 0x8);
    bench_init(&b, e, sizeof(e));
    EXPECT_EQ(-EINVAL, bench_load(&b));
    bench_fini(&b);
    make_multiboot(e, 0x4); /* a video mode is a wish that may be ignored */
    bench_init(&b, e, sizeof(e));
    EXPECT_EQ(0, bench_load(&b));
    bench_fini(&b);
}

TEST(multiboot, every_truncation_is_refused)
{
    uint8_t e[ELF_SIZE];
    make_multiboot(e, 3);
    for (size_t n = 0; n < ELF_CODE_AT + ELF_CODE_SIZE; n++) {
        struct bench b;
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, e, n);
        bench_init(&b, cut, n);
        EXPECT_EQ(-EINVAL, bench_load(&b));
        bench_fini(&b);
        free(cut);
    }
}

TEST(multiboot, module_option_is_split)
{
    char option[] = "a.bin x=1,b.bin,,c,d.bin";
    struct module_spec m[4];
    EXPECT_EQ(3, loader_split_modules(option, m, 4));
    EXPECT_STR("a.bin x=1", m[0].command);
    EXPECT_EQ(5, m[0].path_len);
    EXPECT_STR("b.bin,c", m[1].command);
    EXPECT_STR("d.bin", m[2].command);
    char empty[] = "";
    EXPECT_EQ(0, loader_split_modules(empty, m, 4));
    char many[] = "a,b,c,d,e,f";
    EXPECT_EQ(4, loader_split_modules(many, m, 4));
}

/* A gzip file by hand: one stored block (RFC 1951, 3.2.4), CRC-32, size. */
static size_t make_gzip(uint8_t *out, const uint8_t *in, size_t n)
{
    static const uint8_t header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    uint32_t crc = UINT32_MAX;
    memcpy(out, header, 10);
    out[10] = 1;
    le16_store(out + 11, (uint16_t)n);
    le16_store(out + 13, (uint16_t)~n);
    memcpy(out + 15, in, n);
    for (size_t i = 0; i < n * 8; i++)
        crc = crc >> 1 ^ (((crc ^ (uint32_t)in[i / 8] >> i % 8) & 1) ? 0xedb88320 : 0);
    le32_store(out + 15 + n, ~crc);
    le32_store(out + 19 + n, (uint32_t)n);
    return n + 23;
}

TEST(loader, a_gzip_file_is_unpacked_first)
{
    uint8_t e[ELF_SIZE], z[ELF_SIZE + 23], code[ELF_CODE_SIZE];
    struct bench b;
    make_multiboot(e, 3);
    bench_init(&b, z, make_gzip(z, e, sizeof(e)));
    EXPECT_EQ(0, bench_load(&b));
    EXPECT_EQ(ENTRY_PROT32, b.entry.mode);
    EXPECT_EQ(0x400002, b.entry.rip);
    EXPECT(physmem_read(b.m.pm, 0x400000, code, 8) && memcmp(code, ELF_CODE, 8) == 0);
    bench_fini(&b);
}

TEST(loader, a_damaged_gzip_file_is_refused)
{
    uint8_t e[ELF_SIZE], z[ELF_SIZE + 23];
    struct bench b;
    make_multiboot(e, 3);
    size_t n = make_gzip(z, e, sizeof(e));
    z[0x300 - 0x200] ^= 1;
    bench_init(&b, z, n);
    EXPECT_EQ(-EINVAL, bench_load(&b));
    bench_fini(&b);
    for (n = 0; n < 20; n++) {
        bench_init(&b, z, n);
        EXPECT_EQ(-EINVAL, bench_load(&b));
        bench_fini(&b);
    }
}

TEST(loader, something_else_is_named_as_such)
{
    struct bench b;
    bench_init(&b, (const uint8_t *)"#!/bin/sh\n", 10);
    EXPECT_EQ(-EINVAL, bench_load(&b));
    EXPECT(strstr(b.err.text, "/boot/kernel"));
    EXPECT(strstr(b.err.hint, "bzImage"));
    bench_fini(&b);
}

TEST_MAIN(RUN(multiboot, elf_starts_with_the_magic_and_its_information)
              RUN(multiboot, modules_stand_on_pages_with_their_lines)
                  RUN(multiboot, address_fields_replace_the_file_format)
                      RUN(multiboot, contradicting_addresses_are_refused)
                          RUN(multiboot, header_is_sought_in_the_first_8_kib_only)
                              RUN(multiboot, required_features_we_lack_are_an_error)
                                  RUN(multiboot, every_truncation_is_refused)
                                      RUN(multiboot, module_option_is_split)
                                          RUN(loader, a_gzip_file_is_unpacked_first)
                                              RUN(loader, a_damaged_gzip_file_is_refused)
                                                  RUN(loader, something_else_is_named_as_such))
