/* SPDX-License-Identifier: MIT */
/*
 * The A20 gate: while the keyboard controller's output port and port 92h both hold it closed, bit
 * 20 of every address is 0, in accesses, fetches and page walks.
 */
#include "roms/lib/guest.h"

#define PROBE                                                                                      \
    ((reg_t)0x7000) /* its copy; an even MiB, as all that is used while the gate is closed */
#define TABLES ((reg_t)0x8000) /* 64-bit: PML4, PDPT, page directory */
#define LOW ((reg_t)0x600000)
#define HIGH ((reg_t)0x700000)
#define CODE_OFFSET 0x100

enum { PORT_A = 0x92, PORT_A_A20 = 0x02, CODE_BYTES = 16 };
enum { FROM_LOW = 1, FROM_HIGH = 2 };

extern const char a20_probe[], a20_probe_end[], a20_code_low[], a20_code_high[];

typedef uint32_t probe_fn(uint32_t low, uint32_t high, uint32_t cr3);

static volatile uint8_t *byte_at(reg_t a)
{
    return (volatile uint8_t *)a;
}

static void prepare(void)
{
    memcpy((void *)PROBE, a20_probe, (size_t)(a20_probe_end - a20_probe));
    memcpy((void *)(LOW + CODE_OFFSET), a20_code_low, CODE_BYTES);
    memcpy((void *)(HIGH + CODE_OFFSET), a20_code_high, CODE_BYTES);
    *byte_at(LOW) = 0x11;
    *byte_at(HIGH) = 0x22;
}

/* 64-bit: PML4 -> PDPT -> page directory below 1 MiB, the first GiB one to one in 2 MiB pages. */
static uint32_t make_tables(void)
{
    volatile uint64_t *pml4 = (volatile uint64_t *)TABLES;
    memset((void *)TABLES, 0, 3 * GUEST_PAGE);
    pml4[0] = (TABLES + GUEST_PAGE) | 3;
    pml4[512] = (TABLES + 2 * GUEST_PAGE) | 3;
    for (uint64_t i = 0; i < 512; i++)
        pml4[1024 + i] = i << 21 | 0x83;
    return TABLES;
}

static uint32_t run_probe(uint32_t cr3)
{
    prepare();
    return ((probe_fn *)PROBE)((uint32_t)LOW, (uint32_t)HIGH, cr3);
}

static void expect_closed(const char *how, uint32_t cr3)
{
    uint32_t got = run_probe(cr3);
    print("closed by the controller, %s\n", how);
    check_equal("a write to an odd MiB lands in the even one", 0x5A, got & 0xFF);
    check_equal("a read from an odd MiB reads the even one", 0xA5, got >> 8 & 0xFF);
    check_equal("code in an odd MiB is that of the even one", FROM_LOW, got >> 16 & 0xFF);
    check_equal("and its own again when the gate is open", FROM_HIGH, got >> 24);
    check_equal("the odd MiB itself was not written", 0x22, *byte_at(HIGH));
    check_equal("the even MiB was", 0xA5, *byte_at(LOW));
}

/* Either of the two switches opens the gate. (Under QEMU the last one written counts.) */
static void port_92(uint32_t cr3)
{
    uint32_t got;
    out8(PORT_A, PORT_A_A20);
    got = run_probe(cr3);
    out8(PORT_A, 0);
    check_equal("port 92h holds the gate open: nothing lands elsewhere", 0xA511u,
                (uint32_t)*byte_at(LOW) << 8 | (got & 0xFF));
    check_equal("and the odd MiB is itself", 0x5A5Au,
                (uint32_t)*byte_at(HIGH) << 8 | (got >> 8 & 0xFF));
}

int main(void)
{
    uint32_t cr3 = make_tables();
    *byte_at(LOW) = 1;
    *byte_at(HIGH) = 2;
    check_equal("the gate is open at power-on", 1, *byte_at(LOW));
    expect_closed("tables as they are", cr3);
    if (IS_64)
        expect_closed("tables named by an odd MiB's address", cr3 + 0x100000);
    port_92(cr3);
    return checks_result();
}
