/* SPDX-License-Identifier: MIT */
#include "devices/dma.h"

#include "tests/unit/devices_board.h"
#include "tests/unit/devices_memory.h"

struct msi {
    unsigned count; /* messages seen */
    uint64_t addr;  /* of the last */
    uint32_t data;  /* of the last */
};

static void take_msi(void *opaque, uint16_t requester, uint64_t addr, uint32_t data)
{
    struct msi *m = opaque;
    EXPECT_EQ(0x0018, requester);
    m->count++;
    m->addr = addr;
    m->data = data;
}

/* Pages are swapped in pairs; the page at 8000h is blocked. */
static bool swap_pages(void *opaque, uint16_t requester, uint64_t iova, bool is_write, paddr *pa)
{
    (void)opaque, (void)requester, (void)is_write;
    if ((iova & PAGE_MASK) == 0x8000)
        return false;
    *pa = iova ^ PAGE_SIZE;
    return true;
}

TEST(dma, copies_cross_pages_both_ways)
{
    struct memory m;
    uint8_t out[6000], in[6000];
    memory_init(&m, 64 * KiB);
    struct dma_space d = {.pm = m.pm};
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    EXPECT(dma_write(&d, 0xF00, out, sizeof(out)));
    EXPECT(dma_read(&d, 0xF00, in, sizeof(in)));
    EXPECT(memcmp(in, out, sizeof(in)) == 0);
    memory_fini(&m);
}

TEST(dma, memory_that_is_not_ram_refuses)
{
    struct memory m;
    uint8_t buf[16] = {1};
    memory_init(&m, 64 * KiB);
    struct dma_space d = {.pm = m.pm};
    EXPECT(!dma_write(&d, 64 * KiB - 8, buf, sizeof(buf)));
    EXPECT(!dma_read(&d, 0xFEC00000, buf, 4));
    EXPECT(!dma_write(&d, UINT64_MAX - 3, buf, sizeof(buf)));
    memory_fini(&m);
}

TEST(dma, dword_write_to_the_interrupt_window_is_a_message)
{
    struct memory m;
    struct msi msi = {0};
    uint8_t data[8] = {0x31, 0x40, 0, 0};
    memory_init(&m, 64 * KiB);
    struct dma_space d = {.pm = m.pm, .requester = 0x18, .msi = take_msi, .msi_opaque = &msi};
    EXPECT(dma_write(&d, 0xFEE01000, data, 4));
    EXPECT_EQ(1, msi.count);
    EXPECT_EQ(0xFEE01000, msi.addr);
    EXPECT_EQ(0x4031, msi.data);
    EXPECT(!dma_write(&d, 0xFEE01000, data, 8));
    EXPECT(!dma_read(&d, 0xFEE01000, data, 4));
    EXPECT_EQ(1, msi.count);
    memory_fini(&m);
}

TEST(dma, translate_hook_is_asked_page_by_page)
{
    struct memory m;
    uint8_t buf[16], page_edge[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    memory_init(&m, 64 * KiB);
    struct dma_space d = {.pm = m.pm, .translate = swap_pages};
    EXPECT(dma_write(&d, 0x1FF8, page_edge, 16));
    EXPECT(physmem_read(m.pm, 0x0FF8, buf, 8) && memcmp(buf, page_edge, 8) == 0);
    EXPECT(physmem_read(m.pm, 0x3000, buf, 8) && memcmp(buf, page_edge + 8, 8) == 0);
    EXPECT(!dma_write(&d, 0x7FF8, page_edge, 16));
    memory_fini(&m);
}

TEST_MAIN(RUN(dma, copies_cross_pages_both_ways) RUN(dma, memory_that_is_not_ram_refuses)
              RUN(dma, dword_write_to_the_interrupt_window_is_a_message)
                  RUN(dma, translate_hook_is_asked_page_by_page))
