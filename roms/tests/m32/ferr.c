/* SPDX-License-Identifier: MIT */
/*
 * x87 exceptions the PC/AT way: CR0.NE = 0, FERR#, IRQ 13, port F0h and IGNNE#. SDM Vol. 1,
 * "MS-DOS Compatibility Sub-mode"; 82371SB, "Coprocessor Error Register".
 */
#include "roms/lib/chips.h"

enum { ERROR_IRQ = 13, TIMER_IRQ = 0, ERROR_PORT = 0xF0, FSW_ES = 0x80, FSW_ZE = 4 };
enum { UNMASK_ZE = 0x37B };

static volatile unsigned errors, ticks; /* interrupts taken */
static volatile reg_t where;            /* the last one's return address */
static volatile bool clears;            /* the handlers execute FNCLEX */
static volatile bool acknowledges;      /* IRQ 13's writes port F0h */

extern const char at_wait[];

static uint16_t status(void)
{
    uint16_t v;
    __asm__ volatile("fnstsw %0" : "=a"(v));
    return v;
}

static void on_error(struct frame *f)
{
    errors++;
    where = f->ip;
    if (acknowledges)
        out8(ERROR_PORT, 0);
    if (clears || errors > 100)
        __asm__ volatile("fnclex");
    pic_eoi(ERROR_IRQ);
}

static void on_tick(struct frame *f)
{
    ticks++;
    where = f->ip;
    if (clears || ticks > 100)
        __asm__ volatile("fnclex");
    pic_eoi(TIMER_IRQ);
}

/* 1 / 0 with ZE unmasked: pending, not yet reported. */
static void divide_by_zero(void)
{
    static const uint16_t control = UNMASK_ZE;
    __asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp" : : "m"(control) : "memory");
}

/* One waiting instruction, with interrupts on. */
static __attribute__((noinline, noclone)) void wait_for_it(void)
{
    __asm__ volatile("sti\n\tnop\n"
                     ".globl at_wait\nat_wait: fwait\n\tnop\n\tcli"
                     :
                     :
                     : "memory");
}

static void reported(void)
{
    errors = 0, clears = false, acknowledges = true;
    divide_by_zero();
    check_equal("the division leaves ZE and ES", FSW_ZE | FSW_ES, status() & (FSW_ZE | FSW_ES));
    check_equal("and nothing is reported yet", 0, errors);
    wait_for_it();
    check_equal("FWAIT: IRQ 13, once", 1, errors);
    check_equal("it interrupts before FWAIT", (reg_t)at_wait, where);
    check("IGNNE# let FWAIT go on with ES = 1", status() & FSW_ES);
    wait_for_it();
    __asm__ volatile("sti\n\tfld1\n\tcli");
    check_equal("and the following instructions too", 1, errors);
    __asm__ volatile("fnclex");
}

static void reported_again(void)
{
    errors = 0, clears = true, acknowledges = true;
    divide_by_zero();
    wait_for_it();
    check_equal("the next error is reported: FNCLEX took IGNNE# back", 1, errors);
    check_equal("and cleared by the handler", 0, status() & FSW_ES);
    clears = false;
    __asm__ volatile("fninit");
    out8(ERROR_PORT, 0); /* FERR# is not asserted: no IGNNE# */
    divide_by_zero();
    wait_for_it();
    check_equal("port F0h without an error has no effect", 2, errors);
    __asm__ volatile("fninit");
}

/* Masked: the processor stands still until another interrupt. */
static void stopped(void)
{
    pic_mask((uint16_t) ~(1u << TIMER_IRQ));
    errors = ticks = 0, clears = true;
    divide_by_zero();
    pit_start(0, 1000);
    wait_for_it();
    check_equal("IRQ 13 masked: FWAIT waits for the timer", 1, ticks);
    check_equal("which interrupts before FWAIT", (reg_t)at_wait, where);
    acknowledges = true;
    pic_mask((uint16_t) ~(1u << ERROR_IRQ | 1u << 2));
    __asm__ volatile("sti\n\tnop\n\tnop\n\tcli");
    check_equal("IRQ 13 was latched meanwhile", 1, errors);
}

static void native(void)
{
    errors = 0;
    write_cr0(read_cr0() | CR0_NE);
    divide_by_zero();
    __asm__ volatile(TRY "fwait" END_TRY : : : "memory");
    check_fault("NE = 1: #MF", EXC_MF, 0);
    check_equal("and no IRQ 13", 0, errors);
    __asm__ volatile("fninit");
}

int main(void)
{
    pic_init();
    trap_set(PIC_BASE + ERROR_IRQ, on_error);
    trap_set(PIC_BASE + TIMER_IRQ, on_tick);
    pic_mask((uint16_t) ~(1u << ERROR_IRQ | 1u << 2));
    write_cr0((read_cr0() | CR0_MP) & ~(reg_t)(CR0_EM | CR0_TS | CR0_NE));
    reported();
    reported_again();
    stopped();
    native();
    return checks_result();
}
