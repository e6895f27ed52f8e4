/* SPDX-License-Identifier: MIT */
#include "cpu/pmu.h"

#include "cpu/block.h"
#include "cpu/vcpu.h"

enum {
    EVENTSEL_USR = 1 << 16,
    EVENTSEL_OS = 1 << 17,
    EVENTSEL_EDGE = 1 << 18,
    EVENTSEL_INT = 1 << 20,
    EVENTSEL_EN = 1 << 22,
    EVENTSEL_INV = 1 << 23,
    FIXED_OS = 1,
    FIXED_USR = 2,
    FIXED_PMI = 8,
    EVENT_CYCLES = 0x003c,     /* UnHalted Core Cycles */
    EVENT_REF_CYCLES = 0x013c, /* UnHalted Reference Cycles */
    EVENT_RETIRED = 0x00c0,    /* Instruction Retired */
};

/* What a counter adds up. */
enum source { SOURCE_NONE, SOURCE_RETIRED, SOURCE_TICKS, SOURCE_NOT_RETIRED, SOURCE_REF };

/* ---- what each counter is set to ---- */

/* Bit of counter i in the global registers. */
static unsigned global_bit(unsigned i)
{
    return i < PMU_GENERAL ? i : 32 + i - PMU_GENERAL;
}

static unsigned fixed_ctrl(const struct cpu *cpu, unsigned i)
{
    return (unsigned)(cpu->perf_fixed_ctrl >> (4 * (i - PMU_GENERAL))) & 0xf;
}

/*
 * The counter mask compares what happens in one cycle, which is a tick: nothing happens twice in
 * one. Transitions (E) are not known: such a counter stands still.
 */
static enum source general_source(uint64_t sel)
{
    unsigned event = (unsigned)(sel & 0xffff), cmask = (unsigned)(sel >> 24 & 0xff);
    enum source source = event == EVENT_CYCLES       ? SOURCE_TICKS
                         : event == EVENT_REF_CYCLES ? SOURCE_REF
                         : event == EVENT_RETIRED    ? SOURCE_RETIRED
                                                     : SOURCE_NONE;
    if (source == SOURCE_NONE || (sel & EVENTSEL_EDGE))
        return SOURCE_NONE;
    if (cmask == 0)
        return source;
    if (!(sel & EVENTSEL_INV))
        return cmask == 1 ? source : SOURCE_NONE;
    if (cmask > 1)
        return SOURCE_TICKS;
    return source == SOURCE_RETIRED ? SOURCE_NOT_RETIRED : SOURCE_NONE;
}

/* What counter i counts at this privilege. */
static enum source source_of(const struct cpu *cpu, unsigned i, bool is_user)
{
    static const uint8_t fixed[] = {SOURCE_RETIRED, SOURCE_TICKS, SOURCE_REF};
    if (!(cpu->perf_global_ctrl >> global_bit(i) & 1))
        return SOURCE_NONE;
    if (i >= PMU_GENERAL)
        return fixed_ctrl(cpu, i) & (is_user ? FIXED_USR : FIXED_OS) ? fixed[i - PMU_GENERAL]
                                                                     : SOURCE_NONE;
    uint64_t sel = cpu->perf_eventsel[i];
    if (!(sel & EVENTSEL_EN) || !(sel & (is_user ? EVENTSEL_USR : EVENTSEL_OS)))
        return SOURCE_NONE;
    return general_source(sel);
}

static bool wants_interrupt(const struct cpu *cpu, unsigned i)
{
    return i < PMU_GENERAL ? cpu->perf_eventsel[i] & EVENTSEL_INT : fixed_ctrl(cpu, i) & FIXED_PMI;
}

/* ---- counting ---- */

/* A stretch of execution at one privilege. */
struct stretch {
    uint64_t ticks_from, ticks_to;     /* arch.ticks */
    uint64_t retired_from, retired_to; /* arch.retired */
};

static uint64_t ref_cycles(const struct pmu_run *p, uint64_t ticks)
{
    return muldiv_u64(ticks * p->tick_ns, p->tsc_hz, NS_PER_SECOND);
}

static uint64_t count_of(const struct pmu_run *p, const struct stretch *s, enum source source)
{
    uint64_t ticks = s->ticks_to - s->ticks_from, retired = s->retired_to - s->retired_from;
    switch (source) {
    case SOURCE_RETIRED:
        return retired;
    case SOURCE_TICKS:
        return ticks;
    case SOURCE_NOT_RETIRED:
        return ticks - retired;
    case SOURCE_REF:
        return ref_cycles(p, s->ticks_to) - ref_cycles(p, s->ticks_from);
    default:
        return 0;
    }
}

/*
 * Counter i passed its end. SDM Vol. 3B, "Freezing LBR and Performance Counters on PMI": with
 * version 2 the enable bits are cleared.
 */
static void overflow(struct vcpu *vcpu, unsigned i)
{
    struct cpu *cpu = &vcpu->arch;
    cpu->perf_global_status |= BIT(global_bit(i));
    if (!wants_interrupt(cpu, i))
        return;
    vcpu->run.pmu.has_interrupt = true;
    if (cpu->debugctl & DEBUGCTL_FREEZE_PERFMON)
        cpu->perf_global_ctrl = 0;
    cpu_request_break(vcpu);
}

static void add(struct vcpu *vcpu, unsigned i, uint64_t n)
{
    struct cpu *cpu = &vcpu->arch;
    uint64_t sum = cpu->perf_counter[i] + n;
    cpu->perf_counter[i] = sum & PMU_COUNTER_MASK;
    if (unlikely(sum > PMU_COUNTER_MASK))
        overflow(vcpu, i);
}

static void count(struct vcpu *vcpu, const struct stretch *s, const enum source *sources)
{
    for (unsigned i = 0; i < PMU_COUNTERS; i++)
        if (sources[i] != SOURCE_NONE)
            add(vcpu, i, count_of(&vcpu->run.pmu, s, sources[i]));
}

static void sources_now(const struct vcpu *vcpu, enum source *sources)
{
    for (unsigned i = 0; i < PMU_COUNTERS; i++)
        sources[i] = source_of(&vcpu->arch, i, vcpu->run.pmu.is_user);
}

/* From the last settlement to now, and `more` instructions of a tick further; that is settled then.
 */
static struct stretch take_stretch(struct vcpu *vcpu, unsigned more)
{
    const struct run *run = &vcpu->run;
    struct pmu_run *p = &vcpu->run.pmu;
    uint64_t ticks = cpu_ticks_now(vcpu);
    uint64_t extra = run->in_block ? run->rep_extra : 0;
    uint64_t retired = vcpu->arch.retired + (ticks - vcpu->arch.ticks) - extra;
    struct stretch s = {p->ticks, ticks + more, p->retired, retired + more};
    p->ticks = s.ticks_to;
    p->retired = s.retired_to;
    return s;
}

/* A task switch that faults in the new task was counted as an instruction: what follows makes up
 * for it. */
static void settle_to(struct vcpu *vcpu, unsigned more)
{
    enum source sources[PMU_COUNTERS];
    struct pmu_run before = vcpu->run.pmu;
    struct stretch s = take_stretch(vcpu, more);
    if ((int64_t)(s.ticks_to - s.ticks_from) <= 0 || (int64_t)(s.retired_to - s.retired_from) < 0) {
        vcpu->run.pmu = before;
        return;
    }
    sources_now(vcpu, sources);
    count(vcpu, &s, sources);
}

void pmu_settle(struct vcpu *vcpu)
{
    if (vcpu->run.pmu.is_on)
        settle_to(vcpu, 0);
}

/* ---- interrupts: the exact instruction ---- */

static uint64_t ticks_for(const struct pmu_run *p, enum source source, uint64_t n)
{
    if (source == SOURCE_REF)
        n = muldiv_u64(n, NS_PER_SECOND, p->tsc_hz) / p->tick_ns;
    return n ? n : 1;
}

uint64_t pmu_budget(const struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < PMU_COUNTERS; i++) {
        enum source source = source_of(cpu, i, vcpu->run.pmu.is_user);
        if (source == SOURCE_NONE || !wants_interrupt(cpu, i))
            continue;
        uint64_t ticks =
            ticks_for(&vcpu->run.pmu, source, PMU_COUNTER_MASK + 1 - cpu->perf_counter[i]);
        least = ticks < least ? ticks : least;
    }
    return least;
}

/* At another CPL other counters count: the running block may have been given too long. */
static void check_budget(struct vcpu *vcpu)
{
    const struct run *run = &vcpu->run;
    if (!run->in_block || run->break_pending)
        return;
    int64_t left =
        run->budget + run->held + run->block->count - (run->rec - run->block->rec) - 1;
    if (left > 0 && pmu_budget(vcpu) < (uint64_t)left)
        cpu_request_break(vcpu);
}

void pmu_cpl_changed(struct vcpu *vcpu)
{
    struct pmu_run *p = &vcpu->run.pmu;
    if (p->is_on && vcpu->run.in_block)
        settle_to(vcpu, 1); /* the instruction that does it began before; a delivery is the new CPL's */
    p->is_user = vcpu->arch.cpl != 0;
    if (p->is_on)
        check_budget(vcpu);
}

/* ---- the registers ---- */

static bool is_counting(const struct cpu *cpu)
{
    for (unsigned i = 0; i < PMU_COUNTERS; i++)
        if (source_of(cpu, i, false) != SOURCE_NONE || source_of(cpu, i, true) != SOURCE_NONE)
            return true;
    return false;
}

void pmu_rebuild(struct vcpu *vcpu)
{
    struct pmu_run *p = &vcpu->run.pmu;
    p->ticks = vcpu->arch.ticks;
    p->retired = vcpu->arch.retired;
    p->is_user = vcpu->arch.cpl != 0;
    p->is_on = is_counting(&vcpu->arch);
    p->has_interrupt = false;
}

bool pmu_is_possible(const struct cpu *cpu)
{
    for (unsigned i = 0; i < PMU_COUNTERS; i++)
        if (cpu->perf_counter[i] & ~PMU_COUNTER_MASK)
            return false;
    for (unsigned i = 0; i < PMU_GENERAL; i++)
        if (cpu->perf_eventsel[i] & ~PMU_EVENTSEL_MASK)
            return false;
    return !(cpu->perf_fixed_ctrl & ~PMU_FIXED_CTRL_MASK) &&
           !(cpu->perf_global_ctrl & ~PMU_GLOBAL_MASK) &&
           !(cpu->perf_global_status & ~PMU_GLOBAL_MASK);
}

/* Before a control changes: what each counter counts. */
static void begin_change(struct vcpu *vcpu, enum source *before)
{
    if (vcpu->run.pmu.is_on)
        settle_to(vcpu, 0);
    else
        take_stretch(vcpu, 0);
    sources_now(vcpu, before);
}

/* After it: the WRMSR itself is counted where that has not changed. */
static void end_change(struct vcpu *vcpu, enum source *before)
{
    enum source after[PMU_COUNTERS];
    struct stretch s = take_stretch(vcpu, vcpu->run.in_block);
    sources_now(vcpu, after);
    for (unsigned i = 0; i < PMU_COUNTERS; i++)
        if (before[i] != after[i])
            before[i] = SOURCE_NONE;
    count(vcpu, &s, before);
    vcpu->run.pmu.is_on = is_counting(&vcpu->arch);
    cpu_request_break(vcpu);
}

uint64_t pmu_counter(struct vcpu *vcpu, unsigned i)
{
    pmu_settle(vcpu);
    return vcpu->arch.perf_counter[i];
}

void pmu_set_counter(struct vcpu *vcpu, unsigned i, uint64_t v)
{
    enum source before[PMU_COUNTERS];
    begin_change(vcpu, before);
    vcpu->arch.perf_counter[i] = v & PMU_COUNTER_MASK;
    before[i] = SOURCE_NONE;
    end_change(vcpu, before);
}

void pmu_set_eventsel(struct vcpu *vcpu, unsigned i, uint64_t v)
{
    enum source before[PMU_COUNTERS];
    begin_change(vcpu, before);
    vcpu->arch.perf_eventsel[i] = v;
    end_change(vcpu, before);
}

void pmu_set_fixed_ctrl(struct vcpu *vcpu, uint64_t v)
{
    enum source before[PMU_COUNTERS];
    begin_change(vcpu, before);
    vcpu->arch.perf_fixed_ctrl = v;
    end_change(vcpu, before);
}

void pmu_set_global_ctrl(struct vcpu *vcpu, uint64_t v)
{
    enum source before[PMU_COUNTERS];
    begin_change(vcpu, before);
    vcpu->arch.perf_global_ctrl = v;
    end_change(vcpu, before);
}

uint64_t pmu_global_status(struct vcpu *vcpu)
{
    pmu_settle(vcpu);
    return vcpu->arch.perf_global_status;
}

void pmu_clear_status(struct vcpu *vcpu, uint64_t v)
{
    pmu_settle(vcpu);
    vcpu->arch.perf_global_status &= ~v;
}
