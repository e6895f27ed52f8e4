/* SPDX-License-Identifier: MIT */
#include "devices/fw_cfg.h"

#include <errno.h>

#include "tests/unit/devices_board.h"
#include "tests/unit/devices_memory.h"

enum { ACCESS_AT = 0x1000, BUFFER_AT = 0x2000 };

struct rig {
    struct memory m;      /* 64 KiB of RAM */
    struct dma_space dma; /* into it */
    struct fw_cfg f;      /* the device */
};

static void rig_init(struct rig *r)
{
    memory_init(&r->m, 64 * KiB);
    r->dma = (struct dma_space){.pm = r->m.pm};
    EXPECT_EQ(0, fw_cfg_init(&r->f, &r->dma, NULL));
}

static void rig_fini(struct rig *r)
{
    fw_cfg_fini(&r->f);
    memory_fini(&r->m);
}

static void pick(struct rig *r, uint16_t key)
{
    io_out(&r->f.selector, 0x510, 2, key);
}

static uint64_t take(struct rig *r, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= io_in(&r->f.data, 0x511, 1) << (8 * i);
    return v;
}

/* One DMA transfer through the two halves of the address port; the control word afterwards. */
static uint32_t dma(struct rig *r, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t a[16];
    be32_store(a, control);
    be32_store(a + 4, len);
    be32_store(a + 8, (uint32_t)(addr >> 32));
    be32_store(a + 12, (uint32_t)addr);
    EXPECT(physmem_write(r->m.pm, ACCESS_AT, a, 16));
    io_out(&r->f.dma_port, 0x514, 4, 0);
    io_out(&r->f.dma_port, 0x518, 4, __builtin_bswap32(ACCESS_AT));
    EXPECT(physmem_read(r->m.pm, ACCESS_AT, a, 4));
    return be32_load(a);
}

TEST(fw_cfg, signature_and_id)
{
    struct rig r;
    rig_init(&r);
    pick(&r, FW_CFG_SIGNATURE);
    EXPECT_EQ(0x554D4551, take(&r, 4)); /* "QEMU" */
    pick(&r, FW_CFG_ID);
    EXPECT_EQ(3, take(&r, 4));
    EXPECT_EQ(0, take(&r, 4)); /* past the end */
    EXPECT_EQ(0x554D4551, io_in(&r.f.dma_port, 0x514, 4));
    EXPECT(io_in(&r.f.dma_port, 0x514, 8) == UINT64_C(0x47464320554D4551));
    rig_fini(&r);
}

TEST(fw_cfg, without_dma_the_id_says_so)
{
    struct fw_cfg f;
    EXPECT_EQ(0, fw_cfg_init(&f, NULL, NULL));
    EXPECT(!f.dma_port.enabled);
    io_out(&f.selector, 0x510, 2, FW_CFG_ID);
    EXPECT_EQ(1, io_in(&f.data, 0x511, 1));
    fw_cfg_fini(&f);
}

TEST(fw_cfg, numbers_and_strings_by_key)
{
    struct rig r;
    rig_init(&r);
    EXPECT_EQ(0, fw_cfg_add_u16(&r.f, FW_CFG_NB_CPUS, 4));
    EXPECT_EQ(0, fw_cfg_add_u64(&r.f, FW_CFG_RAM_SIZE, UINT64_C(0x123456789A)));
    EXPECT_EQ(0, fw_cfg_add_string(&r.f, FW_CFG_CMDLINE_DATA, "x=1"));
    EXPECT_EQ(0, fw_cfg_add_u32(&r.f, FW_CFG_ARCH_LOCAL + 2, 1));
    pick(&r, FW_CFG_NB_CPUS);
    EXPECT_EQ(4, take(&r, 2));
    pick(&r, FW_CFG_RAM_SIZE);
    EXPECT(take(&r, 8) == UINT64_C(0x123456789A));
    pick(&r, FW_CFG_CMDLINE_DATA);
    EXPECT_EQ(0x00313D78, take(&r, 4));
    pick(&r, FW_CFG_ARCH_LOCAL + 2);
    EXPECT_EQ(1, take(&r, 4));
    EXPECT_EQ(-EINVAL, fw_cfg_add_u16(&r.f, FW_CFG_FILE_DIR, 0));
    EXPECT_EQ(-EINVAL, fw_cfg_add_u16(&r.f, FW_CFG_FILE_FIRST, 0));
    EXPECT_EQ(-EINVAL, fw_cfg_add_u16(&r.f, 0x7000, 0));
    rig_fini(&r);
}

TEST(fw_cfg, directory_lists_files)
{
    struct rig r;
    uint8_t entry[64];
    rig_init(&r);
    EXPECT_EQ(0, fw_cfg_add_file(&r.f, "etc/e820", "12345", 5));
    EXPECT_EQ(0, fw_cfg_add_file(&r.f, "etc/other", "", 0));
    EXPECT_EQ(-EEXIST, fw_cfg_add_file(&r.f, "etc/e820", "1", 1));
    EXPECT_EQ(-EINVAL, fw_cfg_add_file(&r.f, "", "1", 1));
    EXPECT_EQ(
        -EINVAL,
        fw_cfg_add_file(&r.f, "a name of more than fifty-five characters does not fit in", "1", 1));
    pick(&r, FW_CFG_FILE_DIR);
    EXPECT_EQ(0x02000000, take(&r, 4));
    for (unsigned i = 0; i < sizeof(entry); i++)
        entry[i] = (uint8_t)take(&r, 1);
    EXPECT_EQ(5, be32_load(entry));
    EXPECT_EQ(FW_CFG_FILE_FIRST, be16_load(entry + 4));
    EXPECT_STR("etc/e820", (const char *)entry + 8);
    pick(&r, FW_CFG_FILE_FIRST);
    EXPECT_EQ(0x31, take(&r, 1));
    rig_fini(&r);
}

TEST(fw_cfg, directory_fills_up)
{
    struct rig r;
    char name[16];
    rig_init(&r);
    for (unsigned i = 0; i < FW_CFG_FILE_SLOTS; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        EXPECT_EQ(0, fw_cfg_add_file(&r.f, name, &i, 1));
    }
    EXPECT_EQ(-ENOSPC, fw_cfg_add_file(&r.f, "one more", "", 0));
    rig_fini(&r);
}

TEST(fw_cfg, dma_selects_skips_and_reads)
{
    struct rig r;
    uint8_t buf[8];
    rig_init(&r);
    fw_cfg_add_file(&r.f, "f", "abcdefgh", 8);
    EXPECT_EQ(0, dma(&r, FW_CFG_FILE_FIRST << 16 | 8 | 2, 3, BUFFER_AT));
    EXPECT(physmem_read(r.m.pm, BUFFER_AT, buf, 3) && memcmp(buf, "abc", 3) == 0);
    EXPECT_EQ(0, dma(&r, 4, 2, 0));
    EXPECT_EQ(0, dma(&r, 2, 5, BUFFER_AT));
    EXPECT(physmem_read(r.m.pm, BUFFER_AT, buf, 5) && memcmp(buf, "fgh\0\0", 5) == 0);
    rig_fini(&r);
}

TEST(fw_cfg, dma_refuses_writes_and_memory_that_is_not_there)
{
    struct rig r;
    uint8_t before[2], after[2];
    rig_init(&r);
    fw_cfg_add_file(&r.f, "f", "ab", 2);
    EXPECT_EQ(1, dma(&r, FW_CFG_FILE_FIRST << 16 | 8 | 16, 2, BUFFER_AT));
    pick(&r, FW_CFG_FILE_FIRST);
    EXPECT_EQ(0x6261, take(&r, 2));
    EXPECT_EQ(1, dma(&r, FW_CFG_FILE_FIRST << 16 | 8 | 2, 2, 0xFEC00000));
    EXPECT_EQ(1, dma(&r, FW_CFG_FILE_FIRST << 16 | 8 | 2, UINT32_MAX, BUFFER_AT));
    EXPECT(physmem_read(r.m.pm, ACCESS_AT, before, 2));
    io_out(&r.f.dma_port, 0x514, 4, 0xFFFFFFFF);
    io_out(&r.f.dma_port, 0x518, 4, 0xFFFFFFFF);
    EXPECT(physmem_read(r.m.pm, ACCESS_AT, after, 2));
    EXPECT(memcmp(before, after, 2) == 0);
    rig_fini(&r);
}

TEST(fw_cfg, snapshot_goes_on_in_the_middle_of_an_item)
{
    struct rig r, other;
    rig_init(&r);
    rig_init(&other);
    fw_cfg_add_string(&r.f, FW_CFG_CMDLINE_DATA, "quiet");
    fw_cfg_add_string(&other.f, FW_CFG_CMDLINE_DATA, "quiet");
    pick(&r, FW_CFG_CMDLINE_DATA);
    take(&r, 2);
    expect_round_trip(&fw_cfg_ops, &r.f, &other.f);
    EXPECT_EQ('i', take(&other, 1));
    other.f.s.offset = UINT32_MAX;
    EXPECT_EQ(0, take(&other, 2));
    rig_fini(&r);
    rig_fini(&other);
}

TEST_MAIN(RUN(fw_cfg, signature_and_id) RUN(fw_cfg, without_dma_the_id_says_so)
              RUN(fw_cfg, numbers_and_strings_by_key) RUN(fw_cfg, directory_lists_files)
                  RUN(fw_cfg, directory_fills_up) RUN(fw_cfg, dma_selects_skips_and_reads)
                      RUN(fw_cfg, dma_refuses_writes_and_memory_that_is_not_there)
                          RUN(fw_cfg, snapshot_goes_on_in_the_middle_of_an_item))
