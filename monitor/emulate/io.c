/* SPDX-License-Identifier: MIT */
/* IN OUT INS OUTS (SDM Vol. 1, "Input/Output"). */
#include "base/endian.h"
#include "cpu/debug.h"
#include "monitor/emulate/descriptor.h"

/* The I/O permission bitmap of the current TSS: every bit of the access is clear. False: run.fault.
 */
static bool bitmap_allows(struct vcpu *vcpu, uint16_t port, unsigned width)
{
    const struct cpu *cpu = &vcpu->arch;
    uint32_t attr = cpu->seg_attr[SEG_TR], limit = cpu->seg_limit[SEG_TR];
    uint8_t b[2];
    if ((attr & ATTR_UNUSABLE) || !(attr_system_type(attr) & 8) || limit < 103)
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (!system_read(vcpu, cpu->seg_base[SEG_TR] + 102, b, 2))
        return false;
    uint32_t at = le16_load(b) + port / 8u;
    if (at + 1 > limit)
        return raise_fault_code(vcpu, EXC_GP, 0);
    if (!system_read(vcpu, cpu->seg_base[SEG_TR] + at, b, 2))
        return false;
    if ((unsigned)le16_load(b) >> (port % 8) & ((1u << width) - 1))
        return raise_fault_code(vcpu, EXC_GP, 0);
    return true;
}

/* SDM Vol. 1, "I/O Privilege Level": CPL <= IOPL, or the bitmap; virtual-8086 mode always asks the
 * bitmap. */
static bool may_access(struct vcpu *vcpu, uint16_t port, unsigned width)
{
    if (likely(!is_protected(vcpu) || (!is_vm86(vcpu) && vcpu->arch.cpl <= iopl(vcpu))))
        return true;
    return bitmap_allows(vcpu, port, width);
}

/* I/O breakpoints are traps: after the access (SDM Vol. 3B, "Debug Registers"). */
static void io_breakpoint(struct vcpu *vcpu, uint16_t port, unsigned width)
{
    if (unlikely(vcpu->run.mode & MODE_BREAK) && (vcpu->arch.cr4 & CR4_DE)) {
        uint64_t match = debug_io_match(&vcpu->arch, port, width);
        if (match) {
            vcpu->arch.pending_db |= match;
            cpu_request_break(vcpu);
        }
    }
}

static uint32_t port_read(struct vcpu *vcpu, uint16_t port, unsigned width)
{
    uint32_t v = emulate_host(vcpu)->port_read(vcpu, port, width) & (uint32_t)low_mask(width * 8);
    io_breakpoint(vcpu, port, width);
    return v;
}

static void port_write(struct vcpu *vcpu, uint16_t port, unsigned width, uint32_t v)
{
    emulate_host(vcpu)->port_write(vcpu, port, width, v);
    io_breakpoint(vcpu, port, width);
}

static uint16_t port_of(const struct vcpu *vcpu, const struct insn *in, unsigned operand)
{
    return in->operands[operand].kind == OPND_IMM ? (uint16_t)(in->imm & 0xff)
                                                  : (uint16_t)vcpu->arch.gpr[REG_RDX];
}

/* IN.  SDM Vol. 2A, "IN - Input from Port". */
enum sens_result emulate_in(struct vcpu *vcpu, const struct insn *in)
{
    unsigned width = in->operands[0].size;
    uint16_t port = port_of(vcpu, in, 1);
    if (!may_access(vcpu, port, width))
        return SENS_FAULT;
    return next_or_fault(insn_write(vcpu, in, 0, port_read(vcpu, port, width)));
}

/* OUT.  SDM Vol. 2B, "OUT - Output to Port". */
enum sens_result emulate_out(struct vcpu *vcpu, const struct insn *in)
{
    unsigned width = in->operands[1].size;
    uint16_t port = port_of(vcpu, in, 0);
    if (!may_access(vcpu, port, width))
        return SENS_FAULT;
    port_write(vcpu, port, width, (uint32_t)(vcpu->arch.gpr[REG_RAX] & low_mask(width * 8)));
    return SENS_NEXT;
}

/* ---- string forms: one iteration at a time ---- */

static bool is_repeated(const struct insn *in)
{
    return in->prefixes & (PFX_REP | PFX_REPNE);
}

static uint64_t address_mask(const struct insn *in)
{
    return low_mask(in->addrsize * 8u);
}

static void advance(struct vcpu *vcpu, const struct insn *in, unsigned reg, unsigned width)
{
    uint64_t step = vcpu->arch.rflags & F_DF ? 0 - (uint64_t)width : width;
    gpr_set(vcpu, reg, in->addrsize, vcpu->arch.gpr[reg] + step);
}

/* Nothing to do: REP with a count of zero. */
static bool is_finished(const struct vcpu *vcpu, const struct insn *in)
{
    return is_repeated(in) && (vcpu->arch.gpr[REG_RCX] & address_mask(in)) == 0;
}

/* Count one iteration; more to come? */
static enum sens_result end_iteration(struct vcpu *vcpu, const struct insn *in)
{
    if (!is_repeated(in))
        return SENS_NEXT;
    gpr_set(vcpu, REG_RCX, in->addrsize, vcpu->arch.gpr[REG_RCX] - 1);
    return is_finished(vcpu, in) ? SENS_NEXT : SENS_AGAIN;
}

static bool is_aligned(struct vcpu *vcpu, laddr la, unsigned width)
{
    if (likely(!(vcpu->run.mode & MODE_ALIGN)) || !(la & (width - 1)))
        return true;
    return raise_fault_code(vcpu, EXC_AC, 0);
}

/* INS.  SDM Vol. 2A, "INS/INSB/INSW/INSD": the destination is checked before the port is read. */
enum sens_result emulate_ins(struct vcpu *vcpu, const struct insn *in)
{
    unsigned width = in->operands[0].size;
    uint16_t port = (uint16_t)vcpu->arch.gpr[REG_RDX];
    struct fault *fault = &vcpu->run.fault;
    uint8_t b[4];
    laddr la;
    if (is_finished(vcpu, in))
        return SENS_NEXT;
    if (!may_access(vcpu, port, width) ||
        !seg_linear(vcpu, SEG_ES, vcpu->arch.gpr[REG_RDI] & address_mask(in), width, ACCESS_WRITE,
                    &la) ||
        !is_aligned(vcpu, la, width) ||
        !mmu_probe(&vcpu->run.mmu, la, vcpu->run.la_mask, width, ACCESS_WRITE, fault))
        return SENS_FAULT;
    le_store(b, port_read(vcpu, port, width), width);
    if (!mmu_write(&vcpu->run.mmu, la, vcpu->run.la_mask, b, width, fault))
        return SENS_FAULT;
    if (unlikely(vcpu->run.mode & MODE_BREAK))
        debug_data_access(vcpu, la, width, true);
    advance(vcpu, in, REG_RDI, width);
    return end_iteration(vcpu, in);
}

/* OUTS.  SDM Vol. 2B, "OUTS/OUTSB/OUTSW/OUTSD". */
enum sens_result emulate_outs(struct vcpu *vcpu, const struct insn *in)
{
    unsigned width = in->operands[1].size;
    uint16_t port = (uint16_t)vcpu->arch.gpr[REG_RDX];
    uint8_t b[4];
    if (is_finished(vcpu, in))
        return SENS_NEXT;
    if (!may_access(vcpu, port, width) ||
        !seg_read(vcpu, in->seg, vcpu->arch.gpr[REG_RSI] & address_mask(in), b, width))
        return SENS_FAULT;
    port_write(vcpu, port, width, (uint32_t)le_load(b, width));
    advance(vcpu, in, REG_RSI, width);
    return end_iteration(vcpu, in);
}
