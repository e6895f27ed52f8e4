/* SPDX-License-Identifier: MIT */
/*
 * Every way to restart a PC, one after the other. The machine starts this image anew each time; how
 * far it came stands in the CMOS RAM, which a reset leaves alone.
 */
#include "roms/lib/chips.h"

enum { CMOS_STAGE = 0x50, CMOS_SCRATCH = 0x51, CMOS_TSC = 0x58 };
enum { KBC = 0x64, KBC_RESET = 0xFE, PORT_A = 0x92, RESET_CONTROL = 0xCF9 };
enum { PIC_DATA = 0x21 };

static unsigned stage;            /* bss: 0 whenever the image starts */
static volatile int fresh = 1234; /* data: as in the file whenever the image starts */

static void by_keyboard_controller(void)
{
    out8(KBC, KBC_RESET);
}

static void by_port_92(void)
{
    out8(PORT_A, 1);
}

/* CF9h: hard reset when bit 2 rises; bit 1 makes it hard. */
static void by_reset_control(void)
{
    out8(RESET_CONTROL, 2);
    out8(RESET_CONTROL, 6);
}

static void by_soft_reset_control(void)
{
    out8(RESET_CONTROL, 0);
    out8(RESET_CONTROL, 4);
}

/* The byte with all outputs but reset high, to the controller's output port. */
static void by_output_port(void)
{
    out8(KBC, 0xD1);
    out8(0x60, 0xCE);
}

static void by_triple_fault(void)
{
    static const struct table_register nowhere = {0, 0};
    load_idt(&nowhere);
    __asm__ volatile("int3");
}

static const struct {
    const char *name; /* for messages */
    void (*reset)(void);
} ways[] = {
    {"keyboard controller command FEh", by_keyboard_controller},
    {"port 92h", by_port_92},
    {"reset control register, hard", by_reset_control},
    {"reset control register, soft", by_soft_reset_control},
    {"keyboard controller output port", by_output_port},
    {"triple fault", by_triple_fault},
};

/* The TSC just before a reset. */
static void keep_tsc(void)
{
    uint64_t now = read_tsc();
    for (unsigned i = 0; i < 8; i++)
        cmos_write((uint8_t)(CMOS_TSC + i), (uint8_t)(now >> 8 * i));
}

static uint64_t kept_tsc(void)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)cmos_read((uint8_t)(CMOS_TSC + i)) << 8 * i;
    return v;
}

/* Leave traces that no reset may leave standing. */
static void soil(void)
{
    fresh = 0;
    stage = 99;
    out8(PIC_DATA, 0x5A);
    cmos_write(CMOS_SCRATCH, 0xC3);
    write_msr(MSR_LSTAR, 0x1234);
    write_dr0(0x4321);
}

static void look(uint64_t start)
{
    check_equal("data is as in the file", 1234, (uint64_t)fresh);
    check_equal("bss is zero", 0, stage);
    check_equal("CR0 is the boot code's", CR0_PE | CR0_ET | CR0_NE,
                read_cr0() & ~(CR0_PG | CR0_WP));
    check("the TSC began at 0", start < kept_tsc());
    check_equal("IA32_LSTAR is zero", 0, read_msr(MSR_LSTAR));
    check("the reset control register is zero", in8(RESET_CONTROL) == 0);
    check_equal("port 92h is zero", 0, in8(PORT_A));
    check_equal("CMOS RAM was kept", 0xC3, cmos_read(CMOS_SCRATCH));
}

int main(void)
{
    uint64_t start = read_tsc();
    unsigned n = cmos_read(CMOS_STAGE);
    if (n > 0) {
        print("came back from: %s\n", ways[n - 1].name);
        look(start);
    }
    if (n == COUNT(ways) || checks_result() != (n ? 0 : 1))
        return checks_result();
    cmos_write(CMOS_STAGE, (uint8_t)(n + 1));
    soil();
    print_flush();
    keep_tsc();
    ways[n].reset();
    check("the reset came at once", false);
    return 1;
}
