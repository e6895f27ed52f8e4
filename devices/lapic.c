/* SPDX-License-Identifier: MIT */
/*
 * Local APIC: acceptance, priority, EOI, local vectors, IPIs. SDM Vol. 3A, chapter "Advanced
 * Programmable Interrupt Controller (APIC)"; section names below are of that chapter. Registers are
 * in lapic_regs.c, the timer in lapic_timer.c.
 */
#include "devices/lapic.h"

#include <errno.h>
#include <string.h>

#include "devices/lapic_internal.h"

/* ---- 256-bit registers ---- */

static bool test_bit(const uint32_t *reg, uint8_t vector)
{
    return reg[vector >> 5] >> (vector & 31) & 1;
}

static void put_bit(uint32_t *reg, uint8_t vector, bool v)
{
    uint32_t bit = UINT32_C(1) << (vector & 31);
    reg[vector >> 5] = v ? reg[vector >> 5] | bit : reg[vector >> 5] & ~bit;
}

static int highest_bit(const uint32_t *reg)
{
    for (int i = 7; i >= 0; i--)
        if (reg[i])
            return i * 32 + 31 - __builtin_clz(reg[i]);
    return -1;
}

/* ---- priority: "Task and Processor Priorities" ---- */

uint8_t lapic_ppr(const struct lapic *l)
{
    int isrv = highest_bit(l->s.isr);
    uint8_t class = isrv < 0 ? 0 : (uint8_t)isrv & 0xf0;
    return (l->s.tpr & 0xf0) >= class ? l->s.tpr : class;
}

void lapic_update(struct lapic *l)
{
    int v = lapic_is_enabled(l) ? highest_bit(l->s.irr) : -1;
    l->pending = v >= 0 && (v & 0xf0) > (lapic_ppr(l) & 0xf0) ? v : -1;
    if (l->pending >= 0 && l->host.interrupt_pending)
        l->host.interrupt_pending(l->host.opaque);
}

int lapic_highest_pending(const struct lapic *l)
{
    return l->pending;
}

void lapic_acknowledge(struct lapic *l, uint8_t vector)
{
    lapic_settle(l);
    put_bit(l->s.irr, vector, false);
    bool is_alone = highest_bit(l->s.isr) < 0;
    put_bit(l->s.isr, vector, true);
    lapic_update(l);
    if (is_alone && highest_bit(l->s.irr) < 0 && !test_bit(l->s.tmr, vector) && l->host.offer_eoi)
        l->s.eoi_offered = l->host.offer_eoi(l->host.opaque);
}

uint64_t lapic_cr8(const struct lapic *l)
{
    return l->s.tpr >> 4;
}

void lapic_set_cr8(struct lapic *l, uint64_t v)
{
    l->s.tpr = (uint8_t)(v << 4);
    lapic_update(l);
}

bool lapic_is_software_enabled(const struct lapic *l)
{
    return l->s.svr & SVR_ENABLE;
}

/* ---- acceptance: "Interrupt Acceptance for Fixed Interrupts" ---- */

void lapic_error(struct lapic *l, uint32_t esr_bit)
{
    bool is_new = !(l->s.esr_pending & esr_bit);
    l->s.esr_pending |= esr_bit;
    /* An illegal vector in LVT error itself must not report itself for ever: fire for new bits
     * only. */
    if (is_new)
        lapic_fire_lvt(l, LVT_ERROR);
}

static bool accept_vector(struct lapic *l, uint8_t vector, bool is_level)
{
    if (!lapic_is_software_enabled(l))
        return false;
    if (vector < 16) {
        lapic_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
        return false;
    }
    put_bit(l->s.irr, vector, true);
    put_bit(l->s.tmr, vector, is_level);
    lapic_update(l);
    return true;
}

static bool call(void (*f)(void *), void *opaque)
{
    if (f)
        f(opaque);
    return true;
}

bool lapic_accept(struct lapic *l, const struct apic_message *m)
{
    lapic_settle(l);
    switch (m->delivery) {
    case APIC_FIXED:
    case APIC_LOWEST:
        return accept_vector(l, m->vector, m->level_trigger);
    case APIC_SMI:
        return call(l->host.smi, l->host.opaque);
    case APIC_NMI:
        return call(l->host.nmi, l->host.opaque);
    case APIC_INIT:
        /* "INIT Level De-assert" only synchronised arbitration IDs, which nobody can see any more.
         */
        return m->assert ? call(l->host.init, l->host.opaque) : true;
    case APIC_STARTUP:
        if (l->host.sipi)
            l->host.sipi(l->host.opaque, m->vector);
        return true;
    case APIC_EXTINT:
        l->s.has_extint = true;
        return call(l->host.interrupt_pending, l->host.opaque);
    default:
        guest_error(l->trace, "lapic", "message with reserved delivery mode");
        return false;
    }
}

/* "Logical Destination Mode": flat and cluster model, and x2APIC's. */
static bool matches_logical(const struct lapic *l, uint32_t dest)
{
    if (dest == APIC_BROADCAST)
        return true;
    if (lapic_is_x2apic(l))
        return dest >> 16 == l->s.ldr >> 16 && dest & l->s.ldr & 0xffff;
    uint32_t mda = dest & 0xff, id = l->s.ldr >> 24;
    if (l->s.dfr >> 28 == 0xf)
        return mda & id;
    if (l->s.dfr >> 28 == 0)
        return mda >> 4 == id >> 4 && mda & id & 0xf;
    return false;
}

bool lapic_matches(const struct lapic *l, const struct apic_message *m)
{
    if (!lapic_is_enabled(l))
        return false;
    switch (m->shorthand) {
    case APIC_SELF:
        return m->source == l->config.apic_id;
    case APIC_ALL:
        return true;
    case APIC_OTHERS:
        return m->source != l->config.apic_id;
    default:
        if (m->logical)
            return matches_logical(l, m->dest);
        return m->dest == APIC_BROADCAST ||
               m->dest == (lapic_is_x2apic(l) ? l->s.id : l->s.id & 0xff);
    }
}

/* ---- EOI: "Signaling Interrupt Servicing Completion" ---- */

/* A level interrupt of LINT0 or LINT1 with this vector is done. */
static void clear_remote_irr(struct lapic *l, uint8_t vector)
{
    for (unsigned i = LVT_LINT0; i <= LVT_LINT1; i++)
        if ((l->s.lvt[i] & LVT_VECTOR) == vector)
            l->s.lvt[i] &= ~(uint32_t)LVT_REMOTE_IRR;
    lapic_check_lint(l);
}

void lapic_settle(struct lapic *l)
{
    if (!l->s.eoi_offered)
        return;
    l->s.eoi_offered = false;
    if (l->host.take_eoi && l->host.take_eoi(l->host.opaque))
        lapic_eoi(l);
}

void lapic_end_interrupt(struct lapic *l)
{
    lapic_settle(l);
    if (lapic_is_enabled(l))
        lapic_eoi(l);
}

void lapic_eoi(struct lapic *l)
{
    int v = highest_bit(l->s.isr);
    if (v < 0)
        return;
    uint8_t vector = (uint8_t)v;
    put_bit(l->s.isr, vector, false);
    if (test_bit(l->s.tmr, vector)) {
        if (!(l->s.svr & SVR_NO_EOI_BROADCAST) && l->host.eoi_broadcast)
            l->host.eoi_broadcast(l->host.opaque, vector);
        clear_remote_irr(l, vector);
    }
    lapic_update(l);
}

/* ---- local interrupts: "Local Vector Table" ---- */

void lapic_fire_lvt(struct lapic *l, enum lapic_lvt which)
{
    uint32_t lvt = l->s.lvt[which];
    if (lvt & LVT_MASKED || !lapic_is_enabled(l))
        return;
    struct apic_message m = {.vector = (uint8_t)lvt, .delivery = lvt >> 8 & 7, .assert = true};
    if (which == LVT_TIMER || which == LVT_ERROR)
        m.delivery = APIC_FIXED;
    if (which == LVT_PMC)
        l->s.lvt[which] |=
            LVT_MASKED; /* SDM Vol. 3B, "Generating an Interrupt on Overflow": set on delivery */
    if (m.delivery == APIC_FIXED && lvt & LVT_LEVEL && (which == LVT_LINT0 || which == LVT_LINT1)) {
        m.level_trigger = true;
        l->s.lvt[which] |= LVT_REMOTE_IRR;
    }
    if (m.delivery != APIC_STARTUP && m.delivery != APIC_LOWEST && m.delivery != APIC_EXTINT)
        lapic_accept(l, &m);
}

void lapic_local_interrupt(struct lapic *l, enum lapic_lvt which)
{
    if (which == LVT_PMC || which == LVT_THERMAL)
        lapic_fire_lvt(l, which);
}

void lapic_check_lint(struct lapic *l)
{
    for (unsigned i = 0; i < 2; i++) {
        uint32_t lvt = l->s.lvt[LVT_LINT0 + i];
        bool is_level = (lvt & LVT_DELIVERY) == APIC_FIXED << 8 && lvt & LVT_LEVEL;
        if (is_level && l->s.lint[i] && !(lvt & LVT_REMOTE_IRR))
            lapic_fire_lvt(l, LVT_LINT0 + i);
    }
}

void lapic_set_lint(void *opaque, unsigned n, bool level)
{
    struct lapic *l = opaque;
    if (n > 1 || l->s.lint[n] == level)
        return;
    l->s.lint[n] = level;
    uint32_t lvt = l->s.lvt[LVT_LINT0 + n];
    bool is_level = (lvt & LVT_DELIVERY) == APIC_FIXED << 8 && lvt & LVT_LEVEL;
    if (!lapic_is_enabled(l)) { /* the pins are INTR and NMI */
        if (level && n == 1)
            call(l->host.nmi, l->host.opaque);
    } else if (is_level) {
        lapic_check_lint(l);
    } else if (level) {
        lapic_fire_lvt(l, LVT_LINT0 + n);
    }
    if (n == 0 && level && lapic_accepts_extint(l))
        call(l->host.interrupt_pending, l->host.opaque);
}

bool lapic_lint_ignores_if(const struct lapic *l, unsigned n)
{
    uint32_t lvt = l->s.lvt[LVT_LINT0 + n];
    if (!lapic_is_enabled(l))
        return n == 1;
    return !(lvt & LVT_MASKED) && apic_ignores_if(lvt >> 8 & 7);
}

bool lapic_accepts_extint(const struct lapic *l)
{
    uint32_t lvt = l->s.lvt[LVT_LINT0];
    bool is_virtual_wire = !(lvt & LVT_MASKED) && (lvt & LVT_DELIVERY) == APIC_EXTINT << 8;
    return !lapic_is_enabled(l) || is_virtual_wire || l->s.has_extint;
}

void lapic_extint_acknowledge(struct lapic *l)
{
    l->s.has_extint = false;
}

/* ---- IPIs: "Issuing Interprocessor Interrupts" ---- */

void lapic_send_icr(struct lapic *l)
{
    uint32_t low = (uint32_t)l->s.icr;
    uint32_t dest = (uint32_t)(l->s.icr >> 32);
    struct apic_message m = {
        .dest = lapic_is_x2apic(l) ? dest : apic_dest8(dest >> 24),
        .source = l->config.apic_id,
        .vector = (uint8_t)low,
        .delivery = low >> 8 & 7,
        .shorthand = low >> 18 & 3,
        .logical = low >> 11 & 1,
        .level_trigger = false, /* an IPI sets no TMR bit: trigger mode matters for INIT only */
    };
    bool is_deassert = m.delivery == APIC_INIT && low >> 15 & 1 && !(low >> 14 & 1);
    m.assert = !is_deassert;
    bool has_vector = m.delivery == APIC_FIXED || m.delivery == APIC_LOWEST;
    if (has_vector && m.vector < 16) {
        lapic_error(l, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    if (m.delivery == 3 || m.delivery == APIC_EXTINT) {
        guest_error(l->trace, "lapic", "ICR with reserved delivery mode");
        return;
    }
    /* "Valid Combinations for the ... Interrupt Command Register": self goes with fixed only, all
     * with fixed. */
    if ((m.shorthand == APIC_SELF || m.shorthand == APIC_ALL) && m.delivery != APIC_FIXED) {
        guest_error(l->trace, "lapic", "ICR shorthand does not go with delivery mode");
        if (m.shorthand == APIC_SELF || m.delivery != APIC_NMI)
            return;
    }
    if (m.shorthand == APIC_SELF)
        lapic_accept(l, &m);
    else if (l->host.send)
        l->host.send(l->host.opaque, &m);
}

/* ---- life ---- */

/* x2APIC's LDR follows from the ID: "Deriving Logical x2APIC ID from the Local x2APIC ID". */
static uint32_t x2apic_ldr(uint32_t id)
{
    return (id >> 4) << 16 | UINT32_C(1) << (id & 15);
}

void lapic_init_reset(struct lapic *l)
{
    struct lapic_state keep = l->s;
    l->s = (struct lapic_state){.apic_base = keep.apic_base,
                                .id = keep.id,
                                .dfr = UINT32_MAX,
                                .svr = 0xff,
                                .deadline_when = VTIME_NEVER};
    memcpy(l->s.lint, keep.lint, sizeof(keep.lint));
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->s.lvt[i] = LVT_MASKED;
    if (lapic_is_x2apic(l))
        l->s.ldr = x2apic_ldr(l->s.id);
    lapic_timer_arm(l);
    lapic_update(l);
}

static void reset(void *opaque)
{
    struct lapic *l = opaque;
    l->s.apic_base = LAPIC_DEFAULT_BASE | (l->config.is_absent ? 0 : (unsigned)APIC_BASE_EN) |
                     (l->config.is_bsp ? (unsigned)APIC_BASE_BSP : 0);
    l->s.id = l->config.apic_id & 0xff;
    lapic_init_reset(l);
}

/* "x2APIC State Transitions": the legal moves of EN and EXTD. */
static bool is_legal_transition(uint64_t from, uint64_t to)
{
    bool from_en = from & APIC_BASE_EN, from_x2 = from & APIC_BASE_EXTD;
    bool to_en = to & APIC_BASE_EN, to_x2 = to & APIC_BASE_EXTD;
    if (to_x2)
        return to_en && from_en;
    return !(from_x2 && to_en);
}

/* The bits of IA32_APIC_BASE that are not reserved. */
static uint64_t base_bits(const struct lapic *l)
{
    uint64_t modes = l->config.has_x2apic ? APIC_BASE_EN | APIC_BASE_EXTD : APIC_BASE_EN;
    if (l->config.is_absent)
        modes = 0;
    return APIC_BASE_BSP | modes | (low_mask(l->config.phys_bits) & PAGE_MASK);
}

bool lapic_write_base(struct lapic *l, uint64_t v)
{
    uint64_t old = l->s.apic_base;
    if (v & ~base_bits(l) || !is_legal_transition(old, v))
        return false;
    l->s.apic_base = v;
    bool was_enabled = old & APIC_BASE_EN, was_x2apic = old & APIC_BASE_EXTD;
    if (was_enabled != lapic_is_enabled(l)) {
        l->s.id = l->config.apic_id & 0xff;
        lapic_init_reset(
            l); /* "Enabling or Disabling the Local APIC": comes back as after power-up */
        call(l->host.interrupt_pending, l->host.opaque);
    } else if (!was_x2apic && lapic_is_x2apic(l)) {
        l->s.id = l->config.apic_id;
        l->s.ldr = x2apic_ldr(l->s.id);
        l->s.icr = 0;
    }
    return true;
}

void lapic_set_virtual_wire(struct lapic *l)
{
    l->s.svr |= SVR_ENABLE;
    l->s.lvt[LVT_LINT0] = APIC_EXTINT << 8;
    l->s.lvt[LVT_LINT1] = APIC_NMI << 8;
    lapic_update(l);
}

static int after_load(void *opaque, struct err *err)
{
    struct lapic *l = opaque;
    const struct lapic_state *s = &l->s;
    uint64_t modes = s->apic_base & (APIC_BASE_EN | APIC_BASE_EXTD);
    if (modes == APIC_BASE_EXTD || s->apic_base & ~base_bits(l))
        return err_set(err, EINVAL, "local APIC %u: impossible IA32_APIC_BASE", l->config.apic_id);
    if (s->irr[0] & 0xffff || s->isr[0] & 0xffff || s->divide & ~0xbu)
        return err_set(err, EINVAL, "local APIC %u: impossible register value", l->config.apic_id);
    lapic_timer_arm(l);
    lapic_update(l);
    return 0;
}

const struct device_ops lapic_ops = {
    .name = "lapic",
    .doc = "Local APIC with x2APIC and TSC deadline",
    .size = sizeof(struct lapic),
    .fields = lapic_state_fields,
    .version = 2,
    .reset = reset,
    .after_load = after_load,
};

void lapic_init(struct lapic *l, struct event_queue *queue, const struct lapic_config *config,
                const struct lapic_host *host, struct trace *trace)
{
    assert(config->bus_hz && (config->tsc_hz || host->tsc));
    *l = (struct lapic){
        .config = *config, .host = *host, .queue = queue, .trace = trace, .pending = -1};
    event_register(queue, &l->timer, "lapic timer", 0, lapic_timer_fire, l);
    reset(l);
}
