/* SPDX-License-Identifier: MIT */
#include "monitor/reflect.h"

#define DR6_TRAP_BITS UINT64_C(0xe00f) /* B0-B3, BD, BS, BT */
#define DR6_BD BIT(13)
#define DR7_GD BIT(13)
#define DEBUGCTL_LBR_BTF UINT64_C(3)

/* Classes of SDM Vol. 3A, table "Interrupt and Exception Classes". */
enum event_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

static enum event_class vector_class(unsigned vector)
{
    switch (vector) {
    case EXC_DE:
    case EXC_TS:
    case EXC_NP:
    case EXC_SS:
    case EXC_GP:
        return CLASS_CONTRIBUTORY;
    case EXC_PF:
        return CLASS_PAGE_FAULT;
    case EXC_DF:
        return CLASS_DOUBLE_FAULT;
    default:
        return CLASS_BENIGN;
    }
}

static enum event_class class_of(const struct event_delivery *e)
{
    return e->kind == EVENT_EXCEPTION ? vector_class(e->vector) : CLASS_BENIGN;
}

/* "For any fault-class exception ... the value pushed for RF is 1" (SDM Vol. 3B,
 * "Instruction-Breakpoint Exception Condition"). */
static bool is_fault_class(const struct fault *f)
{
    switch (f->vector) {
    case EXC_DB:
        return f->dr6 & DR6_BD;
    case EXC_NMI:
    case EXC_BP:
    case EXC_OF:
    case EXC_DF:
    case EXC_MC:
        return false;
    default:
        return true;
    }
}

/* What the processor records before it delivers: CR2, DR6, DR7.GD. */
static void note_fault(struct vcpu *vcpu, const struct fault *f)
{
    struct cpu *cpu = &vcpu->arch;
    if (f->vector == EXC_PF)
        cpu->cr2 = f->cr2;
    if (f->vector == EXC_DB) {
        cpu->dr[6] = (cpu->dr[6] | (f->dr6 & DR6_TRAP_BITS)) | DR6_FIXED;
        cpu->dr[7] &= ~DR7_GD;
        cpu->debugctl &= ~DEBUGCTL_LBR_BTF;
    }
}

static struct event_delivery delivery_of(const struct vcpu *vcpu, const struct fault *f)
{
    return (struct event_delivery){
        .kind = EVENT_EXCEPTION,
        .vector = f->vector,
        .has_error_code = f->has_error_code,
        .error_code = f->error_code,
        .sets_rf = is_fault_class(f),
        .rip = vcpu->arch.rip,
    };
}

/*
 * The second event while delivering the first: what is delivered instead. False: shutdown. Serial
 * cases deliver the second alone; the first occurs again when its instruction is restarted.
 */
static bool combine(struct vcpu *vcpu, enum event_class first, struct event_delivery *e)
{
    struct fault second = vcpu->run.fault;
    enum event_class class = vector_class(second.vector);
    note_fault(vcpu, &second);
    bool is_severe = class == CLASS_CONTRIBUTORY || class == CLASS_PAGE_FAULT;
    if (first == CLASS_DOUBLE_FAULT && is_severe)
        return false;
    if ((first == CLASS_CONTRIBUTORY && class == CLASS_CONTRIBUTORY) ||
        (first == CLASS_PAGE_FAULT && is_severe))
        second = fault_code(EXC_DF, 0);
    *e = delivery_of(vcpu, &second);
    return true;
}

bool reflect_event(struct vcpu *vcpu, const struct event_delivery *e)
{
    struct event_delivery now = *e;
    flags_set_status(vcpu, vcpu->arch.rflags);
    vcpu->arch.activity = ACTIVITY_ACTIVE;
    while (!event_deliver(vcpu, &now)) {
        if (!combine(vcpu, class_of(&now), &now)) {
            vcpu->arch.activity = ACTIVITY_SHUTDOWN;
            return false;
        }
    }
    vcpu->arch.rflags = flags_get(vcpu);
    return true;
}

bool reflect_fault(struct vcpu *vcpu)
{
    note_fault(vcpu, &vcpu->run.fault);
    const struct event_delivery e = delivery_of(vcpu, &vcpu->run.fault);
    return reflect_event(vcpu, &e);
}

bool reflect_interrupt(struct vcpu *vcpu, uint8_t vector)
{
    const struct event_delivery e = {
        .kind = EVENT_EXTERNAL, .vector = vector, .rip = vcpu->arch.rip};
    return reflect_event(vcpu, &e);
}

bool reflect_nmi(struct vcpu *vcpu)
{
    const struct event_delivery e = {.kind = EVENT_NMI, .vector = EXC_NMI, .rip = vcpu->arch.rip};
    vcpu->arch.nmi_pending = false;
    vcpu->arch.nmi_blocked = true;
    return reflect_event(vcpu, &e);
}

bool reflect_debug_trap(struct vcpu *vcpu)
{
    const struct fault f = {.vector = EXC_DB, .dr6 = vcpu->arch.pending_db};
    vcpu->arch.pending_db = 0;
    note_fault(vcpu, &f);
    const struct event_delivery e = {
        .kind = EVENT_EXCEPTION, .vector = EXC_DB, .rip = vcpu->arch.rip};
    return reflect_event(vcpu, &e);
}

bool reflect_interrupt_window_open(const struct vcpu *vcpu)
{
    return (vcpu->arch.rflags & F_IF) && vcpu->arch.int_shadow == SHADOW_NONE;
}

bool reflect_nmi_window_open(const struct vcpu *vcpu)
{
    return !vcpu->arch.nmi_blocked && vcpu->arch.int_shadow != SHADOW_MOV_SS;
}

bool reflect_debug_window_open(const struct vcpu *vcpu)
{
    return vcpu->arch.int_shadow != SHADOW_MOV_SS;
}
