/* SPDX-License-Identifier: MIT */
#include "monitor/emulate/task_switch.h"

#include "base/endian.h"
#include "cpu/debug.h"
#include "monitor/emulate/transfer.h"

#define TSS32_SIZE 104
#define TSS16_SIZE 44
#define DR7_LOCAL UINT64_C(0x155) /* L0-L3, LE */

/* What a TSS holds of a task, whatever its format. */
struct task_state {
    uint64_t cr3;    /* 32-bit TSS only */
    uint64_t rip;    /* EIP, IP */
    uint64_t rflags; /* EFLAGS, FLAGS */
    uint64_t gpr[8]; /* EAX ECX EDX EBX ESP EBP ESI EDI */
    uint16_t sel[6]; /* ES CS SS DS FS GS */
    uint16_t ldt;    /* LDT selector */
    bool debug_trap; /* T bit */
};

static bool is_tss32(const struct descriptor *tss)
{
    return attr_system_type(tss->attr) & 8;
}

/* ---- finding the new TSS ---- */

/* The back link of the current TSS. */
static bool read_back_link(struct vcpu *vcpu, uint16_t *sel)
{
    uint8_t b[2];
    if (!system_read(vcpu, vcpu->arch.seg_base[SEG_TR], b, 2))
        return false;
    *sel = le16_load(b);
    return true;
}

/* Read and check the descriptor: type, presence, limit. IRET wants it busy, the others available.
 */
static bool find_tss(struct vcpu *vcpu, const struct task_request *r, struct descriptor *d)
{
    bool is_return = r->kind == TASK_IRET;
    unsigned wrong = is_return ? EXC_TS : EXC_GP;
    uint16_t sel = r->sel;
    if (is_return && !read_back_link(vcpu, &sel))
        return false;
    if (selector_is_null(sel) || (sel & 4))
        return raise_fault_code(vcpu, wrong, selector_error(sel, r->ext));
    if (!descriptor_fetch(vcpu, sel, wrong, r->ext, d))
        return false;
    unsigned type = attr_system_type(d->attr);
    bool ok = is_return ? type == TYPE_TSS32_BUSY || type == TYPE_TSS16_BUSY
                        : type == TYPE_TSS32 || type == TYPE_TSS16;
    if (!ok)
        return raise_fault_code(vcpu, wrong, selector_error(sel, r->ext));
    if (!(d->attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_NP, selector_error(sel, r->ext));
    if (d->limit < (is_tss32(d) ? TSS32_SIZE : TSS16_SIZE) - 1u)
        return raise_fault_code(vcpu, EXC_TS, selector_error(sel, r->ext));
    return true;
}

/* ---- reading and writing a TSS ---- */

static void parse_tss32(const uint8_t *b, struct task_state *t)
{
    t->cr3 = le32_load(b + 28);
    t->rip = le32_load(b + 32);
    t->rflags = le32_load(b + 36);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = le32_load(b + 40 + 4 * i);
    for (unsigned i = 0; i < 6; i++)
        t->sel[i] = le16_load(b + 72 + 4 * i);
    t->ldt = le16_load(b + 96);
    t->debug_trap = b[100] & 1;
}

static void parse_tss16(const uint8_t *b, struct task_state *t)
{
    t->rip = le16_load(b + 14);
    t->rflags = le16_load(b + 16);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = le16_load(b + 18 + 2 * i);
    for (unsigned i = 0; i < 4; i++)
        t->sel[i] = le16_load(b + 34 + 2 * i);
    t->ldt = le16_load(b + 42);
}

static bool read_tss(struct vcpu *vcpu, const struct descriptor *tss, struct task_state *t)
{
    uint8_t b[TSS32_SIZE];
    *t = (struct task_state){0};
    if (!system_read(vcpu, tss->base, b, is_tss32(tss) ? TSS32_SIZE : TSS16_SIZE))
        return false;
    if (is_tss32(tss))
        parse_tss32(b, t);
    else
        parse_tss16(b, t);
    return true;
}

/* The dynamic fields of the current task from EIP (IP) on, as they stand in its TSS. *off: where.
 * Returns the length. */
static unsigned format_old(const struct vcpu *vcpu, const struct task_request *r, uint8_t *b,
                           uint32_t *off)
{
    const struct cpu *cpu = &vcpu->arch;
    bool is_32 = attr_system_type(cpu->seg_attr[SEG_TR]) & 8;
    unsigned w = is_32 ? 4 : 2, segs = is_32 ? 6 : 4, n = 0;
    *off = is_32 ? 32 : 14;
    le_store(b, r->rip, w);
    le_store(b + w, r->rflags, w);
    for (n = 2; n < 10; n++)
        le_store(b + n * w, cpu->gpr[n - 2], w);
    for (unsigned i = 0; i < segs; i++, n++)
        le_store(b + n * w, cpu->seg_sel[i], w);
    return n * w;
}

/* Translate [la, la + len) for writing as the implicit accesses of a task switch are. */
static bool probe(struct vcpu *vcpu, laddr la, unsigned len)
{
    const struct privilege supervisor = {.user = false, .ac = false};
    paddr pa;
    la = (uint32_t)la;
    return mmu_translate(&vcpu->run.mmu, supervisor, la, ACCESS_WRITE, &pa, &vcpu->run.fault) &&
           mmu_translate(&vcpu->run.mmu, supervisor, (uint32_t)(la + len - 1), ACCESS_WRITE, &pa,
                         &vcpu->run.fault);
}

/* ---- the switch ---- */

/* The old task's busy bit, for JMP and IRET. */
static bool release_old(struct vcpu *vcpu)
{
    struct descriptor old;
    enum lookup found = descriptor_lookup(vcpu, vcpu->arch.seg_sel[SEG_TR], &old);
    if (found == LOOKUP_OUTSIDE)
        return true; /* the guest moved its GDT: nothing to mark */
    return found == LOOKUP_OK && descriptor_set_busy(vcpu, &old, false);
}

/* Everything in memory: old state saved, busy bits, back link. */
static bool save_old(struct vcpu *vcpu, const struct task_request *r, struct descriptor *tss)
{
    bool is_nested = r->kind == TASK_CALL || r->kind == TASK_GATE_EVENT;
    laddr old = vcpu->arch.seg_base[SEG_TR];
    uint8_t b[18 * 4], link[2];
    uint32_t off;
    unsigned len = format_old(vcpu, r, b, &off);
    if (!probe(vcpu, old + off, len) || (is_nested && !probe(vcpu, tss->base, 2)))
        return false;
    if (!is_nested && !release_old(vcpu))
        return false;
    if (r->kind != TASK_IRET && !descriptor_set_busy(vcpu, tss, true))
        return false;
    le16_store(link, vcpu->arch.seg_sel[SEG_TR]);
    return system_write(vcpu, old + off, b, len) &&
           (!is_nested || system_write(vcpu, tss->base, link, 2));
}

static bool load_cr3(struct vcpu *vcpu, const struct descriptor *tss, uint64_t cr3)
{
    struct cpu *cpu = &vcpu->arch;
    uint64_t pdpte[4];
    if (!is_tss32(tss) || !(cpu->cr0 & CR0_PG))
        return true;
    if (cpu->cr4 & CR4_PAE) {
        if (!mmu_load_pdptes(vcpu->run.pm, mmu_a20(&vcpu->run.mmu, cr3), vcpu->run.phys_bits, pdpte))
            return raise_fault_code(vcpu, EXC_GP, 0);
        for (int i = 0; i < 4; i++)
            cpu->pdpte[i] = pdpte[i];
    }
    cpu->cr3 = cr3;
    return true;
}

/* Registers of the new task, selectors with empty caches. */
static void commit_registers(struct vcpu *vcpu, const struct descriptor *tss,
                             const struct task_state *t, bool is_nested)
{
    struct cpu *cpu = &vcpu->arch;
    segment_commit(vcpu, SEG_TR, tss->sel, tss);
    cpu->seg_attr[SEG_TR] |= 2;
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~DR7_LOCAL;
    for (unsigned i = 0; i < 8; i++)
        cpu->gpr[i] = t->gpr[i];
    cpu->rip = t->rip;
    flags_set(vcpu, (t->rflags & F_ALL) | (is_nested ? F_NT : 0));
    cpu->int_shadow = SHADOW_NONE;
    cpu->cpl = is_vm86(vcpu) ? 3 : t->sel[SEG_CS] & 3;
    for (unsigned i = 0; i < 6; i++)
        segment_commit_null(vcpu, i, t->sel[i], cpu->cpl);
    segment_commit_null(vcpu, SEG_LDTR, t->ldt, 0);
}

/* ---- segments of the new task: its own faults ---- */

static bool load_ldt(struct vcpu *vcpu, uint16_t sel, uint32_t ext)
{
    struct descriptor d;
    if (selector_is_null(sel))
        return true;
    if (sel & 4)
        return raise_fault_code(vcpu, EXC_TS, selector_error(sel, ext));
    if (!descriptor_fetch(vcpu, sel, EXC_TS, ext, &d))
        return false;
    if (attr_system_type(d.attr) != TYPE_LDT || !(d.attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_TS, selector_error(sel, ext));
    segment_commit(vcpu, SEG_LDTR, sel, &d);
    return true;
}

static bool load_code(struct vcpu *vcpu, uint16_t sel, uint32_t ext)
{
    struct descriptor d;
    unsigned rpl = sel & 3u;
    if (selector_is_null(sel))
        return raise_fault_code(vcpu, EXC_TS, ext);
    if (!descriptor_fetch(vcpu, sel, EXC_TS, ext, &d))
        return false;
    unsigned dpl = attr_dpl(d.attr);
    bool dpl_ok = attr_is_conforming(d.attr) ? dpl <= rpl : dpl == rpl;
    if (!attr_is_code(d.attr) || !dpl_ok)
        return raise_fault_code(vcpu, EXC_TS, selector_error(sel, ext));
    if (!(d.attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_NP, selector_error(sel, ext));
    if (!descriptor_set_accessed(vcpu, &d))
        return false;
    segment_commit(vcpu, SEG_CS, sel, &d);
    return true;
}

static bool load_stack(struct vcpu *vcpu, uint16_t sel, uint32_t ext)
{
    struct descriptor d;
    if (selector_is_null(sel))
        return raise_fault_code(vcpu, EXC_TS, ext);
    if (!segment_check_stack(vcpu, sel, vcpu->arch.cpl, EXC_TS, ext, &d))
        return false;
    segment_commit(vcpu, SEG_SS, sel, &d);
    return true;
}

/* As a load of DS, with #TS for #GP. */
static bool load_data(struct vcpu *vcpu, unsigned seg, uint16_t sel, uint32_t ext)
{
    if (segment_load(vcpu, seg, sel))
        return true;
    struct fault *f = &vcpu->run.fault;
    if (f->vector == EXC_GP)
        f->vector = EXC_TS;
    if (f->vector != EXC_PF)
        f->error_code |= ext;
    return false;
}

static bool load_segments(struct vcpu *vcpu, const struct task_state *t, uint32_t ext)
{
    static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    if (!load_ldt(vcpu, t->ldt, ext))
        return false;
    if (is_vm86(vcpu)) {
        for (unsigned i = 0; i < 6; i++)
            segment_load_plain(vcpu, i, t->sel[i]);
        return true;
    }
    if (!load_stack(vcpu, t->sel[SEG_SS], ext) || !load_code(vcpu, t->sel[SEG_CS], ext))
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        if (!load_data(vcpu, data[i], t->sel[data[i]], ext))
            return false;
    return true;
}

static bool push_error_code(struct vcpu *vcpu, const struct task_request *r,
                            const struct descriptor *tss)
{
    const uint64_t code = r->error_code;
    struct stack s = stack_current(vcpu);
    s.error = r->ext;
    if (!stack_push_frame(vcpu, &s, &code, 1, is_tss32(tss) ? 4 : 2))
        return false;
    stack_commit(vcpu, &s);
    return true;
}

static bool enter_task(struct vcpu *vcpu, const struct task_request *r,
                       const struct descriptor *tss, const struct task_state *t)
{
    bool is_nested = r->kind == TASK_CALL || r->kind == TASK_GATE_EVENT;
    bool ok = load_cr3(vcpu, tss, t->cr3); /* else in the new task, on the old CR3 */
    commit_registers(vcpu, tss, t, is_nested);
    cpu_update_mmu(vcpu);
    if (is_tss32(tss))
        mmu_cr3_loaded(&vcpu->run.mmu, false);
    ok = ok && load_segments(vcpu, t, r->ext);
    cpu_update_mode(vcpu);
    if (!ok)
        return false;
    if (t->debug_trap) {
        vcpu->arch.pending_db |= DR6_BT;
        vcpu->run.attention = true;
    }
    if (r->has_error_code && !push_error_code(vcpu, r, tss))
        return false;
    return t->rip <= vcpu->arch.seg_limit[SEG_CS] || raise_fault_code(vcpu, EXC_GP, r->ext);
}

bool task_switch(struct vcpu *vcpu, const struct task_request *r)
{
    struct descriptor tss;
    struct task_state t;
    if (!find_tss(vcpu, r, &tss) || !read_tss(vcpu, &tss, &t) || !save_old(vcpu, r, &tss))
        return false;
    if (enter_task(vcpu, r, &tss, &t) && !transfer_virtual_interrupt(vcpu))
        return true;
    transfer_fault_there(vcpu);
    return false;
}
