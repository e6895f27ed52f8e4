/* SPDX-License-Identifier: MIT */
#include "monitor/emulate/deliver.h"

#include "base/endian.h"
#include "monitor/emulate/task_switch.h"
#include "monitor/emulate/transfer.h"

/* An IDT gate, whatever its format. */
struct gate {
    unsigned type;   /* TYPE_TASK_GATE, TYPE_INTERRUPT16 .. TYPE_TRAP32 */
    uint8_t attr;    /* P, DPL, S, type */
    unsigned ist;    /* IA-32e mode: 1-7, or 0 */
    uint16_t sel;    /* code segment or TSS */
    uint64_t offset; /* of the handler */
};

static bool is_software(const struct event_delivery *e)
{
    return e->kind == EVENT_SOFTWARE_INT || e->kind == EVENT_SOFTWARE_TRAP;
}

/* EXT: "set when the exception occurred during delivery of an event external to the program" (Vol.
 * 3A, "Error Code"). */
static uint32_t ext_bit(const struct event_delivery *e)
{
    return is_software(e) ? 0 : 1;
}

/* The flags as pushed. */
static uint64_t flags_image(const struct vcpu *vcpu, const struct event_delivery *e)
{
    return flags_get(vcpu) | (e->sets_rf ? F_RF : 0);
}

static void finish(struct vcpu *vcpu, uint64_t flags)
{
    flags_set(vcpu, flags);
    vcpu->arch.int_shadow = SHADOW_NONE;
    cpu_update_transfer(vcpu);
}

/* ---- real mode, and INT n by VME redirection in virtual-8086 mode ---- */

/* Push FLAGS, CS, IP and go to the far pointer of the vector. entry: its four bytes. */
static bool deliver_plain(struct vcpu *vcpu, const struct event_delivery *e, const uint8_t *entry,
                          uint64_t image, uint64_t flags)
{
    const uint64_t frame[3] = {image, vcpu->arch.seg_sel[SEG_CS], e->rip};
    struct stack s = stack_current(vcpu);
    uint16_t ip = le16_load(entry);
    if (!is_vm86(vcpu) && ip > vcpu->arch.seg_limit[SEG_CS])
        return stack_has_room(vcpu, &s, 3, 2) && raise_fault_code(vcpu, EXC_GP, 0);
    if (!stack_push_frame(vcpu, &s, frame, 3, 2))
        return false;
    stack_commit(vcpu, &s);
    segment_load_plain(vcpu, SEG_CS, le16_load(entry + 2));
    vcpu->arch.rip = ip;
    finish(vcpu, flags);
    return true;
}

/* SDM Vol. 3B, "Interrupt and Exception Handling" of real-address mode. */
static bool deliver_real(struct vcpu *vcpu, const struct event_delivery *e)
{
    uint64_t image = flags_image(vcpu, e);
    uint8_t entry[4];
    if (e->vector * 4u + 3 > vcpu->arch.idtr_limit)
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (!system_read(vcpu, vcpu->arch.idtr_base + e->vector * 4u, entry, sizeof(entry)))
        return false;
    return deliver_plain(vcpu, e, entry, image,
                         flags_get(vcpu) & ~(uint64_t)(F_IF | F_TF | F_AC | F_RF));
}

/* Is the bit of this vector in the TSS's software-interrupt redirection bitmap set (or out of
 * reach)? */
static bool redirection_bit(struct vcpu *vcpu, uint8_t vector, bool *set)
{
    const struct cpu *cpu = &vcpu->arch;
    uint8_t b[2];
    *set = true;
    if (cpu->seg_limit[SEG_TR] < 103)
        return true;
    if (!system_read(vcpu, cpu->seg_base[SEG_TR] + 102, b, 2))
        return false;
    uint32_t map = le16_load(b);
    if (map < 32 || map - 32 + vector / 8u > cpu->seg_limit[SEG_TR])
        return true;
    if (!system_read(vcpu, cpu->seg_base[SEG_TR] + map - 32 + vector / 8u, b, 1))
        return false;
    *set = b[0] >> (vector % 8) & 1;
    return true;
}

/* INT n through the 8086 program's own IVT: SDM Vol. 3B, "Class 3 - Software Interrupt Handling",
 * methods 5 and 6. */
static bool deliver_vme(struct vcpu *vcpu, const struct event_delivery *e)
{
    const struct privilege user = {.user = true, .ac = vcpu->arch.rflags & F_AC};
    uint64_t image = flags_image(vcpu, e),
             flags = flags_get(vcpu) & ~(uint64_t)(F_TF | F_RF | F_NT);
    uint8_t entry[4];
    if (!mmu_read_as(&vcpu->run.mmu, user, e->vector * 4u, UINT32_MAX, entry, sizeof(entry),
                     &vcpu->run.fault))
        return false;
    if (iopl(vcpu) < 3) {
        image = (image & ~(uint64_t)F_IF) | F_IOPL | (image & F_VIF ? F_IF : 0);
        flags &= ~(uint64_t)F_VIF;
    } else {
        flags &= ~(uint64_t)F_IF;
    }
    return deliver_plain(vcpu, e, entry, image, flags);
}

/* ---- gates ---- */

static bool read_gate(struct vcpu *vcpu, const struct event_delivery *e, struct gate *g)
{
    bool is_long = is_long_mode(vcpu);
    unsigned size = is_long ? 16 : 8;
    uint32_t at = e->vector * size, code = e->vector * 8u + 2 + ext_bit(e);
    uint8_t b[16] = {0};
    if (at + size - 1 > vcpu->arch.idtr_limit)
        return raise_fault_code(vcpu, EXC_GP, code);
    if (!system_read(vcpu, vcpu->arch.idtr_base + at, b, size))
        return false;
    *g = (struct gate){.attr = b[5], .type = b[5] & 0x1f, .sel = le16_load(b + 2)};
    g->ist = is_long ? b[4] & 7 : 0;
    g->offset = le16_load(b) | (uint64_t)le16_load(b + 6) << 16 | (uint64_t)le32_load(b + 8) << 32;
    bool type_ok = g->type == TYPE_INTERRUPT32 || g->type == TYPE_TRAP32 ||
                   (!is_long && (g->type == TYPE_TASK_GATE || g->type == TYPE_INTERRUPT16 ||
                                 g->type == TYPE_TRAP16));
    if (!type_ok || (is_software(e) && attr_dpl(g->attr) < vcpu->arch.cpl))
        return raise_fault_code(vcpu, EXC_GP, code);
    if (!(g->attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_NP, code);
    if (g->type == TYPE_INTERRUPT16 || g->type == TYPE_TRAP16)
        g->offset &= 0xffff;
    return true;
}

/* The handler's code segment. *cpl: the privilege level it runs at. */
static bool read_handler(struct vcpu *vcpu, const struct gate *g, uint32_t ext,
                         struct descriptor *cs, unsigned *cpl)
{
    unsigned now = vcpu->arch.cpl;
    if (selector_is_null(g->sel))
        return raise_fault_code(vcpu, EXC_GP, ext);
    if (!descriptor_fetch(vcpu, g->sel, EXC_GP, ext, cs))
        return false;
    unsigned dpl = attr_dpl(cs->attr);
    bool bad = !attr_is_code(cs->attr) || dpl > now;
    bool not_64 = is_long_mode(vcpu) && (cs->attr & (ATTR_L | ATTR_DB)) != ATTR_L;
    if (bad || not_64)
        return raise_fault_code(vcpu, EXC_GP, selector_error(g->sel, ext));
    if (!(cs->attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_NP, selector_error(g->sel, ext));
    *cpl = attr_is_conforming(cs->attr) ? now : dpl;
    if (is_vm86(vcpu) && *cpl != 0)
        return raise_fault_code(vcpu, EXC_GP, selector_error(g->sel, ext));
    return descriptor_set_accessed(vcpu, cs);
}

static uint64_t handler_flags(const struct vcpu *vcpu, const struct gate *g)
{
    uint64_t flags = flags_get(vcpu) & ~(uint64_t)(F_TF | F_NT | F_RF | F_VM);
    bool is_interrupt = g->type == TYPE_INTERRUPT32 || g->type == TYPE_INTERRUPT16;
    return is_interrupt ? flags & ~(uint64_t)F_IF : flags;
}

/* SDM Vol. 3A, "Exception and Interrupt Handling in 64-bit Mode". */
static bool deliver_long(struct vcpu *vcpu, const struct event_delivery *e, const struct gate *g)
{
    const struct cpu *cpu = &vcpu->arch;
    const uint64_t frame[6] = {
        cpu->seg_sel[SEG_SS], cpu->gpr[REG_RSP], flags_image(vcpu, e), cpu->seg_sel[SEG_CS], e->rip,
        e->error_code};
    uint64_t flags = handler_flags(vcpu, g), rsp = cpu->gpr[REG_RSP];
    uint32_t ext = ext_bit(e);
    struct descriptor cs;
    unsigned cpl;
    if (!read_handler(vcpu, g, ext, &cs, &cpl))
        return false;
    bool is_inner = cpl < cpu->cpl;
    if ((is_inner || g->ist) && !transfer_inner_rsp(vcpu, cpl, g->ist, ext, &rsp))
        return false;
    struct stack s = stack_for_64(vcpu, rsp & ~UINT64_C(15), cpl, ext);
    unsigned n = e->has_error_code ? 6 : 5;
    if (!transfer_check_target(vcpu, &cs, g->offset, ext, &s, n, 8) ||
        !stack_push_frame(vcpu, &s, frame, n, 8))
        return false;
    stack_commit(vcpu, &s);
    if (is_inner)
        segment_commit_null(vcpu, SEG_SS, (uint16_t)cpl, cpl);
    transfer_enter(vcpu, &cs, cpl, g->offset);
    finish(vcpu, flags);
    return true;
}

/* The legacy frame into v, first pushed first; how many values. */
static unsigned build_frame(struct vcpu *vcpu, const struct event_delivery *e, bool is_inner,
                            uint64_t *v)
{
    const struct cpu *cpu = &vcpu->arch;
    unsigned n = 0;
    if (is_vm86(vcpu)) {
        v[n++] = cpu->seg_sel[SEG_GS];
        v[n++] = cpu->seg_sel[SEG_FS];
        v[n++] = cpu->seg_sel[SEG_DS];
        v[n++] = cpu->seg_sel[SEG_ES];
    }
    if (is_inner) {
        v[n++] = cpu->seg_sel[SEG_SS];
        v[n++] = cpu->gpr[REG_RSP];
    }
    v[n++] = flags_image(vcpu, e);
    v[n++] = cpu->seg_sel[SEG_CS];
    v[n++] = e->rip;
    if (e->has_error_code)
        v[n++] = e->error_code;
    return n;
}

static void null_data_segments(struct vcpu *vcpu)
{
    segment_commit_null(vcpu, SEG_GS, 0, 0);
    segment_commit_null(vcpu, SEG_FS, 0, 0);
    segment_commit_null(vcpu, SEG_DS, 0, 0);
    segment_commit_null(vcpu, SEG_ES, 0, 0);
}

/* SDM Vol. 2A, "INT n": INTER-PRIVILEGE-LEVEL, INTRA-PRIVILEGE-LEVEL and
 * INTERRUPT-FROM-VIRTUAL-8086-MODE. */
static bool deliver_legacy(struct vcpu *vcpu, const struct event_delivery *e, const struct gate *g)
{
    uint64_t flags = handler_flags(vcpu, g), frame[10];
    uint32_t ext = ext_bit(e);
    struct descriptor cs, ss = {0};
    unsigned cpl;
    if (!read_handler(vcpu, g, ext, &cs, &cpl))
        return false;
    bool is_inner = cpl < vcpu->arch.cpl, was_vm86 = is_vm86(vcpu);
    struct stack s = stack_current(vcpu);
    s.error = ext;
    if (is_inner && !transfer_inner_stack(vcpu, cpl, ext, &ss, &s))
        return false;
    unsigned n = build_frame(vcpu, e, is_inner, frame), size = g->type >= TYPE_INTERRUPT32 ? 4 : 2;
    if (!transfer_check_target(vcpu, &cs, g->offset, ext, &s, n, size) ||
        !stack_push_frame(vcpu, &s, frame, n, size))
        return false;
    if (is_inner)
        segment_commit(vcpu, SEG_SS, ss.sel, &ss);
    if (was_vm86)
        null_data_segments(vcpu);
    stack_commit(vcpu, &s);
    transfer_enter(vcpu, &cs, cpl, g->offset);
    finish(vcpu, flags);
    return true;
}

static bool deliver_task(struct vcpu *vcpu, const struct event_delivery *e, const struct gate *g)
{
    const struct task_request request = {
        .kind = TASK_GATE_EVENT,
        .sel = g->sel,
        .ext = ext_bit(e),
        .rip = e->rip,
        .rflags = flags_image(vcpu, e),
        .has_error_code = e->has_error_code,
        .error_code = e->error_code,
    };
    return task_switch(vcpu, &request);
}

static bool deliver_gate(struct vcpu *vcpu, const struct event_delivery *e)
{
    struct gate g;
    if (!read_gate(vcpu, e, &g))
        return false;
    if (is_long_mode(vcpu))
        return deliver_long(vcpu, e, &g);
    return g.type == TYPE_TASK_GATE ? deliver_task(vcpu, e, &g) : deliver_legacy(vcpu, e, &g);
}

bool event_deliver(struct vcpu *vcpu, const struct event_delivery *e)
{
    if (!is_protected(vcpu))
        return deliver_real(vcpu, e);
    if (unlikely(is_vm86(vcpu) && e->kind == EVENT_SOFTWARE_INT)) {
        bool set = true;
        if ((vcpu->arch.cr4 & CR4_VME) && !redirection_bit(vcpu, e->vector, &set))
            return false;
        if (!set)
            return deliver_vme(vcpu, e);
        if (iopl(vcpu) < 3)
            return raise_fault_code(vcpu, EXC_GP, 0);
    }
    return deliver_gate(vcpu, e);
}
