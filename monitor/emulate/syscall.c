/* SPDX-License-Identifier: MIT */
/* Fast system calls: SYSCALL SYSRET SYSENTER SYSEXIT. Intel's behaviour: SYSCALL and SYSRET exist
 * in 64-bit mode only. */
#include "monitor/emulate/emulate.h"

#define ATTR_CODE64 (ATTR_G | ATTR_L | ATTR_P | ATTR_S | ATTR_CODE | ATTR_RW | ATTR_ACCESSED)
#define ATTR_CODE32 (ATTR_G | ATTR_DB | ATTR_P | ATTR_S | ATTR_CODE | ATTR_RW | ATTR_ACCESSED)
#define ATTR_STACK (ATTR_G | ATTR_DB | ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED)

static void load_flat(struct cpu *cpu, unsigned seg, uint16_t sel, uint32_t attr, unsigned dpl)
{
    cpu->seg_sel[seg] = sel;
    cpu->seg_base[seg] = 0;
    cpu->seg_limit[seg] = UINT32_MAX;
    cpu->seg_attr[seg] = attr | dpl << ATTR_DPL_SHIFT;
}

/* CS and SS without looking at the descriptor tables, CPL, RIP. */
static enum sens_result enter(struct vcpu *vcpu, uint16_t cs, uint16_t ss, uint32_t code,
                              unsigned cpl, uint64_t rip)
{
    struct cpu *cpu = &vcpu->arch;
    load_flat(cpu, SEG_CS, cs, code, cpl);
    load_flat(cpu, SEG_SS, ss, ATTR_STACK, cpl);
    cpu->cpl = (uint8_t)cpl;
    cpu->rip = rip;
    cpu_update_transfer(vcpu);
    return SENS_JUMP;
}

static bool syscall_exists(const struct vcpu *vcpu)
{
    return is_code64(vcpu) && (vcpu->arch.efer & EFER_SCE);
}

/* SYSCALL.  SDM Vol. 2B, "SYSCALL - Fast System Call". */
enum sens_result emulate_syscall(struct vcpu *vcpu, const struct insn *in)
{
    struct cpu *cpu = &vcpu->arch;
    (void)in;
    if (!syscall_exists(vcpu))
        return fail(vcpu, EXC_UD);
    uint64_t flags = flags_get(vcpu) & ~(uint64_t)F_RF;
    uint16_t star = (uint16_t)(cpu->star >> 32);
    cpu->gpr[REG_RCX] = vcpu->run.next_rip;
    cpu->gpr[11] = flags;
    flags_set(vcpu, flags & ~cpu->fmask);
    return enter(vcpu, star & 0xfffc, (uint16_t)(star + 8), ATTR_CODE64, 0, cpu->lstar);
}

/* SYSRET.  SDM Vol. 2B, "SYSRET": the canonical check is made at CPL 0, so its #GP runs on the
 * user's stack pointer. */
enum sens_result emulate_sysret(struct vcpu *vcpu, const struct insn *in)
{
    struct cpu *cpu = &vcpu->arch;
    uint16_t base = (uint16_t)(cpu->star >> 48);
    bool is_64 = in->opsize == 8;
    uint64_t rip = is_64 ? cpu->gpr[REG_RCX] : (uint32_t)cpu->gpr[REG_RCX];
    if (!syscall_exists(vcpu))
        return fail(vcpu, EXC_UD);
    if (cpu->cpl != 0 || !is_canonical(rip))
        return fail_gp0(vcpu);
    flags_set(vcpu, cpu->gpr[11] & 0x3c7fd7);
    uint16_t cs = (uint16_t)(is_64 ? base + 16 : base) | 3;
    uint16_t ss = (uint16_t)(base + 8) | 3;
    return enter(vcpu, cs, ss, is_64 ? ATTR_CODE64 : ATTR_CODE32, 3, rip);
}

/* SYSENTER.  SDM Vol. 2B, "SYSENTER - Fast System Call". */
enum sens_result emulate_sysenter(struct vcpu *vcpu, const struct insn *in)
{
    struct cpu *cpu = &vcpu->arch;
    bool is_long = is_long_mode(vcpu);
    uint16_t cs = (uint16_t)cpu->sysenter_cs & 0xfffc;
    (void)in;
    if (!is_protected(vcpu) || cs == 0)
        return fail_gp0(vcpu);
    cpu->rflags &= ~(uint64_t)(F_VM | F_IF | F_RF);
    cpu->gpr[REG_RSP] = is_long ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    uint64_t rip = is_long ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
    return enter(vcpu, cs, (uint16_t)(cs + 8), is_long ? ATTR_CODE64 : ATTR_CODE32, 0, rip);
}

/* SYSEXIT.  SDM Vol. 2B, "SYSEXIT - Fast Return from Fast System Call". */
enum sens_result emulate_sysexit(struct vcpu *vcpu, const struct insn *in)
{
    struct cpu *cpu = &vcpu->arch;
    uint16_t base = (uint16_t)cpu->sysenter_cs & 0xfffc;
    bool is_64 = in->opsize == 8;
    if (!is_protected(vcpu) || base == 0 || cpu->cpl != 0)
        return fail_gp0(vcpu);
    uint64_t rip = cpu->gpr[REG_RDX], rsp = cpu->gpr[REG_RCX];
    if (is_64 && (!is_canonical(rip) || !is_canonical(rsp)))
        return fail_gp0(vcpu);
    cpu->gpr[REG_RSP] = is_64 ? rsp : (uint32_t)rsp;
    uint16_t cs = (uint16_t)(base + (is_64 ? 32 : 16)) | 3;
    uint16_t ss = (uint16_t)(base + (is_64 ? 40 : 24)) | 3;
    return enter(vcpu, cs, ss, is_64 ? ATTR_CODE64 : ATTR_CODE32, 3, is_64 ? rip : (uint32_t)rip);
}
