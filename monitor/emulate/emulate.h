/* SPDX-License-Identifier: MIT */
/*
 * What the emulators of sensitive instructions share: the face of the monitor they call back into,
 * and the handful of predicates and endings every one of them uses. Included by monitor/emulate,
 * monitor/reflect.c and by the monitor core, which fills struct emulate_host. Owns nothing; an
 * emulator never knows a device.
 */
#pragma once

#include "cpu/cpuid.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/vcpu.h"

/*
 * The rest of the monitor, as an emulator sees it. run.owner points to the monitor's struct of the
 * vCPU, whose first member is a `const struct emulate_host *`. No member is NULL. A member that
 * makes an interrupt deliverable or moves a deadline calls cpu_request_break itself.
 */
struct emulate_host {
    uint32_t (*port_read)(struct vcpu *vcpu, uint16_t port,
                          unsigned width); /* width 1, 2 or 4 bytes */
    void (*port_write)(struct vcpu *vcpu, uint16_t port, unsigned width, uint32_t v); /* the same */
    uint64_t (*tsc_base)(
        struct vcpu *vcpu); /* vtime now in TSC ticks; the TSC is this + arch.tsc_offset */
    void (*tsc_changed)(struct vcpu *vcpu);           /* arch.tsc_offset was written */
    uint64_t (*cr8_read)(struct vcpu *vcpu);          /* 0..15 */
    void (*cr8_write)(struct vcpu *vcpu, uint64_t v); /* 0..15 */
    bool (*apic_msr_read)(struct vcpu *vcpu, uint32_t msr,
                          uint64_t *v); /* 1Bh, 6E0h, 800h-8FFh; false: #GP(0) */
    bool (*apic_msr_write)(struct vcpu *vcpu, uint32_t msr, uint64_t v); /* the same */
    uint32_t (*apic_id)(struct vcpu *vcpu); /* initial x2APIC ID, for CPUID */
    void (*kvmclock_write)(struct vcpu *vcpu,
                           uint32_t msr);   /* arch.kvm_wall_clock or kvm_system_time was written */
    /* Of a guest whose model says pv: VMCALL or VMMCALL; KVM's MSRs 4B564D03H and 04H, false: #GP(0); CPUID 400001xxH. */
    enum sens_result (*hypercall)(struct vcpu *vcpu);
    bool (*pv_msr_read)(struct vcpu *vcpu, uint32_t msr, uint64_t *v);
    bool (*pv_msr_write)(struct vcpu *vcpu, uint32_t msr, uint64_t v);
    struct cpuid_regs (*pv_cpuid)(struct vcpu *vcpu, uint32_t leaf);
    uint64_t (*entropy)(struct vcpu *vcpu); /* from the machine's seeded generator */
    bool (*pause)(struct vcpu *vcpu);       /* PAUSE: true if the turn is to end now */
    void (*cache_flush)(struct vcpu *vcpu); /* INVD, WBINVD */
    const struct cpu_model *(*model)(struct vcpu *vcpu); /* what CPUID says */
    void (*long_mode)(struct vcpu *vcpu);   /* classic: the guest has entered long mode, which is its end */
};

ALWAYS_INLINE const struct emulate_host *emulate_host(const struct vcpu *vcpu)
{
    return *(const struct emulate_host *const *)vcpu->run.owner;
}

/* Every emulator of emulators.def: emulate_popf ... The contract of exec is in cpu/vcpu.h, that of
 * lower, the same in line, in cpu/jit/lowering.h. */
#define EMULATOR(op, function, reason)                                                             \
    enum sens_result emulate_##function(struct vcpu *vcpu, const struct insn *in);
#define LOWERED(op, function, reason)                                                              \
    EMULATOR(op, function, reason)                                                                 \
    bool lower_##function(struct lowering *l, const struct insn *in);
#include "monitor/emulate/emulators.def"
#undef EMULATOR

/* What WRMSR does at CPL 0. False: #GP(0), nothing changed; true: the mode may have changed. */
bool emulate_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t v);

/* The time-stamp counter at this very instruction. */
uint64_t emulate_tsc(struct vcpu *vcpu);

/* ---- predicates ---- */

ALWAYS_INLINE bool is_protected(const struct vcpu *v)
{
    return v->arch.cr0 & CR0_PE;
}

ALWAYS_INLINE bool is_vm86(const struct vcpu *v)
{
    return v->arch.rflags & F_VM;
}

/* Real or virtual-8086 mode: a selector is a base. */
ALWAYS_INLINE bool has_plain_segments(const struct vcpu *v)
{
    return !is_protected(v) || is_vm86(v);
}

ALWAYS_INLINE bool is_long_mode(const struct vcpu *v)
{
    return v->arch.efer & EFER_LMA;
}

ALWAYS_INLINE bool is_code64(const struct vcpu *v)
{
    return mode_code(v->run.mode) == DECODE_64;
}

ALWAYS_INLINE unsigned iopl(const struct vcpu *v)
{
    return (unsigned)(v->arch.rflags >> 12 & 3);
}

/* ---- endings ---- */

ALWAYS_INLINE enum sens_result fail(struct vcpu *v, unsigned vector)
{
    raise_fault(v, vector);
    return SENS_FAULT;
}

ALWAYS_INLINE enum sens_result fail_code(struct vcpu *v, unsigned vector, uint32_t code)
{
    raise_fault_code(v, vector, code);
    return SENS_FAULT;
}

ALWAYS_INLINE enum sens_result fail_gp0(struct vcpu *v)
{
    return fail_code(v, EXC_GP, 0);
}

ALWAYS_INLINE enum sens_result next_or_fault(bool ok)
{
    return ok ? SENS_NEXT : SENS_FAULT;
}

/* The instruction completed; end the block only if its mode word is no longer the one the block was
 * decoded for. */
ALWAYS_INLINE enum sens_result next_unless_mode_changed(const struct vcpu *v, uint32_t old_mode)
{
    return v->run.mode == old_mode ? SENS_NEXT : SENS_END;
}

/* ---- registers ---- */

/* Write EAX, ECX ...: a 32-bit result zero-extends. */
ALWAYS_INLINE void gpr_set32(struct vcpu *v, unsigned reg, uint64_t value)
{
    v->arch.gpr[reg] = (uint32_t)value;
}

/* Write a register as an operand of `size` 2, 4 or 8 bytes: 2 keeps the rest, 4 zero-extends. */
ALWAYS_INLINE void gpr_set(struct vcpu *v, unsigned reg, unsigned size, uint64_t value)
{
    uint64_t *r = &v->arch.gpr[reg];
    *r = size == 2   ? (*r & ~UINT64_C(0xffff)) | (uint16_t)value
         : size == 4 ? (uint32_t)value
                     : value;
}

ALWAYS_INLINE uint64_t gpr_pair(const struct vcpu *v)
{
    return v->arch.gpr[REG_RDX] << 32 | (uint32_t)v->arch.gpr[REG_RAX];
}

ALWAYS_INLINE void gpr_set_pair(struct vcpu *v, uint64_t value)
{
    v->arch.gpr[REG_RAX] = (uint32_t)value;
    v->arch.gpr[REG_RDX] = value >> 32;
}
