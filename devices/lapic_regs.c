/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's registers, by memory (offset n0h) and by MSR (800h + n). SDM Vol. 3A, "Local
 * APIC Register Address Map" and "x2APIC Register Availability".
 *
 *   n      register      access              n      register              access
 *   02     ID            rw; x2APIC: ro      28     ESR                   rw
 *   03     version       ro                  30     ICR                   rw; x2APIC: 64 bits
 *   08     TPR           rw                  31     ICR, high half        rw; xAPIC only
 *   09 0A  APR, PPR      ro                  32-37  LVT timer .. error    rw
 *   0B     EOI           wo                  38     initial count         rw
 *   0D     LDR           rw; x2APIC: ro      39     current count         ro
 *   0E     DFR           rw; xAPIC only      3E     divide configuration  rw
 *   0F     SVR           rw                  3F     self IPI              wo; x2APIC only
 *   10-27  ISR TMR IRR   ro
 */
#include "devices/lapic_internal.h"

enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_INITIAL = 0x38,
    REG_CURRENT = 0x39,
    REG_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f,
    REG_COUNT = 0x40,
    /* Version 14h, six LVT entries, suppression of EOI broadcasts. */
    VERSION = 0x14 | (LVT_COUNT - 1) << 16 | 1 << 24,
};

/* In the order of enum lapic_lvt: writable bits. Delivery status (12) and remote IRR (14) are
 * read-only. */
static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
    [LVT_THERMAL] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED,
    [LVT_PMC] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED,
    [LVT_LINT0] = LVT_VECTOR | LVT_DELIVERY | 1 << 13 | LVT_LEVEL | LVT_MASKED,
    [LVT_LINT1] = LVT_VECTOR | LVT_DELIVERY | 1 << 13 | LVT_LEVEL | LVT_MASKED,
    [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

#define ICR_WRITABLE (UINT64_C(0xffffffff000ccfff))
#define ICR_WRITABLE_XAPIC UINT32_C(0x000ccfff)

/* ---- read ---- */

/* False: there is no such register, or it can't be read. */
static bool read_reg(struct lapic *l, unsigned reg, uint32_t *v)
{
    const struct lapic_state *s = &l->s;
    switch (reg) {
    case REG_ID:
        *v = lapic_is_x2apic(l) ? s->id : s->id << 24;
        return true;
    case REG_VERSION:
        *v = VERSION;
        return true;
    case REG_TPR:
        *v = s->tpr;
        return true;
    case REG_APR:
        *v = 0; /* "not supported in the Intel Core, Intel Atom, Pentium 4 and later" */
        return !lapic_is_x2apic(l);
    case REG_PPR:
        *v = lapic_ppr(l);
        return true;
    case REG_EOI:
        *v = 0; /* write-only: an xAPIC reads 0 */
        return !lapic_is_x2apic(l);
    case REG_LDR:
        *v = s->ldr;
        return true;
    case REG_DFR:
        *v = s->dfr;
        return !lapic_is_x2apic(l);
    case REG_SVR:
        *v = s->svr;
        return true;
    case REG_ESR:
        *v = s->esr;
        return true;
    case REG_ICR:
        *v = (uint32_t)s->icr;
        return true;
    case REG_ICR_HIGH:
        *v = (uint32_t)(s->icr >> 32);
        return !lapic_is_x2apic(l);
    case REG_INITIAL:
        *v = s->initial_count;
        return true;
    case REG_CURRENT:
        *v = lapic_timer_current(l);
        return true;
    case REG_DIVIDE:
        *v = s->divide;
        return true;
    default:
        break;
    }
    if (reg >= REG_ISR && reg < REG_ESR) {
        const uint32_t *bits = reg < REG_TMR ? s->isr : reg < REG_IRR ? s->tmr : s->irr;
        *v = bits[reg & 7];
        return true;
    }
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
        *v = s->lvt[reg - REG_LVT];
        return true;
    }
    return false;
}

/* ---- write ---- */

static void write_svr(struct lapic *l, uint32_t v)
{
    l->s.svr = v & (0xff | SVR_ENABLE | SVR_NO_EOI_BROADCAST);
    if (!(v & SVR_ENABLE)) /* "Local APIC State After It Has Been Software Disabled": mask bits are
                              set */
        for (unsigned i = 0; i < LVT_COUNT; i++) {
            uint32_t old = l->s.lvt[i];
            l->s.lvt[i] |= LVT_MASKED;
            if (i == LVT_TIMER)
                lapic_timer_lvt_changed(l, old);
        }
}

static void write_lvt(struct lapic *l, unsigned i, uint32_t v)
{
    uint32_t old = l->s.lvt[i];
    uint32_t writable = lvt_writable[i];
    if (i == LVT_TIMER && !l->config.has_deadline)
        writable &= ~(uint32_t)LVT_TIMER_DEADLINE;
    l->s.lvt[i] = (v & writable) | (old & LVT_REMOTE_IRR & (v & LVT_LEVEL ? UINT32_MAX : 0));
    if (!lapic_is_software_enabled(l))
        l->s.lvt[i] |= LVT_MASKED;
    if (i == LVT_TIMER) {
        if ((l->s.lvt[i] & LVT_TIMER_MODE) == LVT_TIMER_MODE) { /* 11b is reserved */
            guest_error(l->trace, "lapic", "reserved timer mode");
            l->s.lvt[i] &= ~(uint32_t)LVT_TIMER_MODE;
        }
        lapic_timer_lvt_changed(l, old);
    } else if (i == LVT_LINT0 || i == LVT_LINT1) {
        lapic_check_lint(l);
        if (i == LVT_LINT0 && l->s.lint[0] && lapic_accepts_extint(l) && l->host.interrupt_pending)
            l->host.interrupt_pending(l->host.opaque);
    }
}

static void send_self(struct lapic *l, uint8_t vector)
{
    l->s.icr =
        APIC_SELF << 18 | vector; /* "Self IPI Register": as an ICR write with the self shorthand */
    lapic_send_icr(l);
}

/* Registers that only one of the two faces has, or that differ. False: not one of them. */
static bool write_xapic_only(struct lapic *l, unsigned reg, uint32_t v)
{
    switch (reg) {
    case REG_ID:
        l->s.id = v >> 24;
        return true;
    case REG_LDR:
        l->s.ldr = v & 0xff000000;
        return true;
    case REG_DFR:
        l->s.dfr = v | 0x0fffffff;
        return true;
    case REG_ICR_HIGH:
        l->s.icr = (l->s.icr & UINT32_MAX) | (uint64_t)(v & 0xff000000) << 32;
        return true;
    default:
        return false;
    }
}

/* A write that both faces share; x2APIC has checked reserved bits already. False: no such register,
 * or read-only. */
static bool write_reg(struct lapic *l, unsigned reg, uint64_t v)
{
    uint32_t v32 = (uint32_t)v;
    switch (reg) {
    case REG_TPR:
        l->s.tpr = (uint8_t)v;
        break;
    case REG_EOI:
        lapic_eoi(l);
        break;
    case REG_SVR:
        write_svr(l, v32);
        break;
    case REG_ESR: /* "a write ... to update the register's contents": latches and starts afresh */
        l->s.esr = l->s.esr_pending;
        l->s.esr_pending = 0;
        break;
    case REG_ICR:
        l->s.icr = v & ICR_WRITABLE;
        lapic_send_icr(l);
        break;
    case REG_INITIAL:
        lapic_timer_start(l, v32);
        break;
    case REG_DIVIDE:
        lapic_timer_set_divide(l, v32);
        break;
    default:
        if (reg < REG_LVT || reg >= REG_LVT + LVT_COUNT)
            return false;
        write_lvt(l, reg - REG_LVT, v32);
        break;
    }
    lapic_update(l);
    return true;
}

/* ---- memory ---- */

bool lapic_mmio_base(const struct lapic *l, paddr *base)
{
    *base = l->s.apic_base & PAGE_MASK;
    return lapic_is_enabled(l) && !lapic_is_x2apic(l);
}

uint64_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned width)
{
    uint32_t v = 0;
    unsigned reg = (offset & 0xfff) >> 4, byte = offset & 15;
    lapic_settle(l);
    if (byte >= 4)
        return 0; /* only the first dword of each 16 bytes is a register */
    if (reg >= REG_COUNT || !read_reg(l, reg, &v)) {
        lapic_error(l, ESR_ILLEGAL_REGISTER);
        return 0;
    }
    v >>= 8 * byte;
    return width < 4 ? v & low_mask(8 * width) : v;
}

void lapic_mmio_write(struct lapic *l, uint32_t offset, unsigned width, uint64_t v)
{
    unsigned reg = (offset & 0xfff) >> 4;
    lapic_settle(l);
    if (offset & 15 ||
        width < 4) { /* "... must be 128-bit aligned ... 32-bit": anything else is undefined */
        guest_error(l->trace, "lapic", "write that is not an aligned dword");
        return;
    }
    if (reg == REG_ICR)
        v = (l->s.icr & ~(uint64_t)UINT32_MAX) | (v & ICR_WRITABLE_XAPIC);
    if (reg >= REG_COUNT || (!write_xapic_only(l, reg, (uint32_t)v) && !write_reg(l, reg, v)))
        lapic_error(l, ESR_ILLEGAL_REGISTER);
}

/* ---- MSRs ---- */

/* Bits of x2APIC register reg that may be set in a write; 0 with false: the register is not
 * writable. */
static bool x2apic_writable(const struct lapic *l, unsigned reg, uint64_t *mask)
{
    switch (reg) {
    case REG_TPR:
    case REG_SELF_IPI:
        *mask = 0xff;
        return true;
    case REG_EOI:
    case REG_ESR:
        *mask = 0;
        return true;
    case REG_SVR:
        *mask = 0xff | SVR_ENABLE | SVR_NO_EOI_BROADCAST;
        return true;
    case REG_ICR:
        *mask = ICR_WRITABLE;
        return true;
    case REG_INITIAL:
        *mask = UINT32_MAX;
        return true;
    case REG_DIVIDE:
        *mask = 0xb;
        return true;
    default:
        if (reg < REG_LVT || reg >= REG_LVT + LVT_COUNT)
            return false;
        *mask =
            lvt_writable[reg - REG_LVT] | 1 << 12 | LVT_REMOTE_IRR; /* read-only bits are ignored */
        if (reg == REG_LVT + LVT_TIMER && !l->config.has_deadline)
            *mask &= ~(uint64_t)LVT_TIMER_DEADLINE;
        return true;
    }
}

bool lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *v)
{
    lapic_settle(l);
    if (msr == MSR_IA32_APIC_BASE) {
        *v = l->s.apic_base;
        return true;
    }
    if (msr == MSR_IA32_TSC_DEADLINE) {
        if (l->config.has_deadline)
            *v = lapic_timer_deadline(l);
        return l->config.has_deadline;
    }
    if (msr < MSR_X2APIC_FIRST || msr >= MSR_X2APIC_FIRST + REG_COUNT || !lapic_is_x2apic(l))
        return false;
    unsigned reg = msr - MSR_X2APIC_FIRST;
    if (reg == REG_ICR) {
        *v = l->s.icr;
        return true;
    }
    uint32_t v32;
    if (!read_reg(l, reg, &v32))
        return false;
    *v = v32;
    return true;
}

bool lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t v)
{
    lapic_settle(l);
    if (msr == MSR_IA32_APIC_BASE)
        return lapic_write_base(l, v);
    if (msr == MSR_IA32_TSC_DEADLINE) {
        if (l->config.has_deadline)
            lapic_timer_set_deadline(l, v);
        return l->config.has_deadline;
    }
    if (msr < MSR_X2APIC_FIRST || msr >= MSR_X2APIC_FIRST + REG_COUNT || !lapic_is_x2apic(l))
        return false;
    unsigned reg = msr - MSR_X2APIC_FIRST;
    uint64_t mask;
    if (!x2apic_writable(l, reg, &mask) || v & ~mask)
        return false;
    if (reg == REG_SELF_IPI)
        send_self(l, (uint8_t)v);
    else
        (void)write_reg(l, reg, v);
    return true;
}
