/* SPDX-License-Identifier: MIT */
#include "cpu/segment.h"

#include "base/endian.h"
#include "cpu/debug.h"
#include "cpu/flags.h"

bool raise_fault(struct vcpu *vcpu, unsigned vector)
{
    vcpu->run.fault = fault_plain((uint8_t)vector);
    return false;
}

bool raise_fault_code(struct vcpu *vcpu, unsigned vector, uint32_t code)
{
    vcpu->run.fault = fault_code((uint8_t)vector, code);
    return false;
}

/* Type checks of the descriptor cache for a data access (SDM Vol. 3A, "Type Checking"). */
static bool type_allows(const struct cpu *cpu, unsigned seg, enum access access)
{
    uint32_t attr = cpu->seg_attr[seg];
    if (!(cpu->cr0 & CR0_PE) || (cpu->rflags & F_VM))
        return true;
    if (attr & ATTR_UNUSABLE)
        return false;
    if (access == ACCESS_WRITE)
        return (attr & (ATTR_CODE | ATTR_RW)) == ATTR_RW;
    return access == ACCESS_FETCH || !(attr & ATTR_CODE) || (attr & ATTR_RW);
}

/* [off, off + size) within the limit; expand-down segments are valid above it. */
static bool limit_allows(const struct cpu *cpu, unsigned seg, uint64_t off, unsigned size)
{
    uint32_t attr = cpu->seg_attr[seg];
    uint64_t limit = cpu->seg_limit[seg];
    uint64_t last = off + size - 1;
    if ((attr & (ATTR_CODE | ATTR_DC)) == ATTR_DC) {
        uint64_t top = attr & ATTR_DB ? UINT32_MAX : 0xffff;
        return off > limit && last <= top;
    }
    return last <= limit;
}

bool seg_linear(struct vcpu *vcpu, unsigned seg, uint64_t off, unsigned size, enum access access, laddr *la)
{
    const struct cpu *cpu = &vcpu->arch;
    unsigned vector = seg == SEG_SS ? EXC_SS : EXC_GP;
    if (mode_code(vcpu->run.mode) == DECODE_64) {
        *la = off + vcpu->run.seg_base_fast[seg];
        if (!is_canonical(*la) || !is_canonical(*la + size - 1))
            return raise_fault_code(vcpu, vector, 0);
        return true;
    }
    if (!type_allows(cpu, seg, access) || !limit_allows(cpu, seg, off, size))
        return raise_fault_code(vcpu, vector, 0);
    *la = (uint32_t)(off + cpu->seg_base[seg]);
    return true;
}

/* One data access; data breakpoints see it when it was made. */
static bool read_linear(struct vcpu *vcpu, laddr la, void *buf, unsigned len)
{
    if (!mmu_read(&vcpu->run.mmu, la, vcpu->run.la_mask, buf, len, &vcpu->run.fault))
        return false;
    if (unlikely(vcpu->run.mode & MODE_BREAK))
        debug_data_access(vcpu, la, len, false);
    return true;
}

static bool write_linear(struct vcpu *vcpu, laddr la, const void *buf, unsigned len)
{
    if (!mmu_write(&vcpu->run.mmu, la, vcpu->run.la_mask, buf, len, &vcpu->run.fault))
        return false;
    if (unlikely(vcpu->run.mode & MODE_BREAK))
        debug_data_access(vcpu, la, len, true);
    return true;
}

static bool check_alignment(struct vcpu *vcpu, laddr la, unsigned align)
{
    if (likely(!(vcpu->run.mode & MODE_ALIGN)) || !(la & (align - 1)))
        return true;
    return raise_fault_code(vcpu, EXC_AC, 0);
}

/* SDM Vol. 3A, "Alignment Requirements by Data Type": 6 and 10 bytes are far pointers and
 * pseudo-descriptors. */
static unsigned alignment_of(unsigned len)
{
    return len == 6 || len == 10 ? 4 : len & (len - 1) ? 1 : len;
}

bool seg_read(struct vcpu *vcpu, unsigned seg, uint64_t off, void *buf, unsigned len)
{
    laddr la;
    return seg_linear(vcpu, seg, off, len, ACCESS_READ, &la) &&
           check_alignment(vcpu, la, alignment_of(len)) && read_linear(vcpu, la, buf, len);
}

bool seg_write(struct vcpu *vcpu, unsigned seg, uint64_t off, const void *buf, unsigned len)
{
    laddr la;
    return seg_linear(vcpu, seg, off, len, ACCESS_WRITE, &la) &&
           check_alignment(vcpu, la, alignment_of(len)) && write_linear(vcpu, la, buf, len);
}

uint64_t insn_ea(const struct vcpu *vcpu, const struct insn *in)
{
    uint64_t ea;
    if (in->is_moffs)
        return in->imm & low_mask(in->addrsize * 8u);
    ea = (uint64_t)(int64_t)in->disp;
    if (in->base == REG_RIP)
        ea += vcpu->run.next_rip;
    else if (in->base != REG_NONE)
        ea += vcpu->arch.gpr[in->base];
    if (in->index != REG_NONE)
        ea += vcpu->arch.gpr[in->index] << in->scale;
    return ea & low_mask(in->addrsize * 8u);
}

static uint64_t read_register(const struct vcpu *vcpu, const struct operand *o)
{
    if (o->kind == OPND_GPR_HIGH)
        return vcpu->arch.gpr[o->reg] >> 8 & 0xff;
    return vcpu->arch.gpr[o->reg] & low_mask(o->size * 8u);
}

static void write_register(struct vcpu *vcpu, const struct operand *o, uint64_t v)
{
    uint64_t *r = &vcpu->arch.gpr[o->reg];
    if (o->kind == OPND_GPR_HIGH)
        *r = (*r & ~UINT64_C(0xff00)) | (v & 0xff) << 8;
    else if (o->size == 1)
        *r = (*r & ~UINT64_C(0xff)) | (uint8_t)v;
    else if (o->size == 2)
        *r = (*r & ~UINT64_C(0xffff)) | (uint16_t)v;
    else
        *r = o->size == 4 ? (uint32_t)v : v;
}

/* Linear address of a memory operand, alignment checked. False: run.fault. */
static bool operand_linear(struct vcpu *vcpu, const struct insn *in, unsigned size,
                           enum access access, laddr *la)
{
    if (!seg_linear(vcpu, in->seg, insn_ea(vcpu, in), size, access, la))
        return false;
    return check_alignment(vcpu, *la, alignment_of(size));
}

bool insn_read(struct vcpu *vcpu, const struct insn *in, unsigned operand, uint64_t *v)
{
    const struct operand *o = &in->operands[operand];
    uint8_t b[8];
    laddr la;
    switch (o->kind) {
    case OPND_GPR:
    case OPND_GPR_HIGH:
        *v = read_register(vcpu, o);
        return true;
    case OPND_IMM:
    case OPND_REL:
    case OPND_FAR:
        *v = in->imm;
        return true;
    case OPND_IMM2:
        *v = in->imm2;
        return true;
    case OPND_ONE:
        *v = 1;
        return true;
    case OPND_MEM:
    case OPND_MOFFS:
        assert(o->size >= 1 && o->size <= 8);
        if (!operand_linear(vcpu, in, o->size, ACCESS_READ, &la) ||
            !read_linear(vcpu, la, b, o->size))
            return false;
        *v = le_load(b, o->size);
        return true;
    default:
        assert(false && "insn_read: operand kind has no value");
        return false;
    }
}

bool insn_write(struct vcpu *vcpu, const struct insn *in, unsigned operand, uint64_t v)
{
    const struct operand *o = &in->operands[operand];
    uint8_t b[8];
    laddr la;
    if (o->kind == OPND_GPR || o->kind == OPND_GPR_HIGH) {
        write_register(vcpu, o, v);
        return true;
    }
    assert((o->kind == OPND_MEM || o->kind == OPND_MOFFS) && o->size >= 1 && o->size <= 8);
    le_store(b, v, o->size);
    return operand_linear(vcpu, in, o->size, ACCESS_WRITE, &la) &&
           write_linear(vcpu, la, b, o->size);
}

bool insn_read_far(struct vcpu *vcpu, const struct insn *in, uint64_t *off, uint16_t *sel)
{
    unsigned size = in->opsize;
    uint64_t ea = insn_ea(vcpu, in), behind = (ea + size) & low_mask(in->addrsize * 8u);
    uint8_t b[8], s[2];
    laddr la;
    if (!seg_linear(vcpu, in->seg, ea, size, ACCESS_READ, &la) ||
        !check_alignment(vcpu, la, size == 2 ? 2 : 4) || !read_linear(vcpu, la, b, size) ||
        !seg_linear(vcpu, in->seg, behind, 2, ACCESS_READ, &la) || !read_linear(vcpu, la, s, 2))
        return false;
    *off = le_load(b, size);
    *sel = le16_load(s);
    return true;
}

uint64_t stack_mask(const struct vcpu *vcpu)
{
    if (mode_code(vcpu->run.mode) == DECODE_64)
        return UINT64_MAX;
    return vcpu->run.mode & MODE_STACK32 ? UINT32_MAX : 0xffff;
}

/* Write the stack pointer: only its low 16 bits move on a 16-bit stack. */
static void set_stack_pointer(struct vcpu *vcpu, uint64_t sp)
{
    uint64_t mask = stack_mask(vcpu);
    uint64_t *rsp = &vcpu->arch.gpr[REG_RSP];
    *rsp = mask == 0xffff ? (*rsp & ~mask) | (sp & mask) : sp & mask;
}

bool stack_push(struct vcpu *vcpu, unsigned size, uint64_t v)
{
    uint64_t sp = (vcpu->arch.gpr[REG_RSP] - size) & stack_mask(vcpu);
    uint8_t b[8];
    le_store(b, v, size);
    if (!seg_write(vcpu, SEG_SS, sp, b, size))
        return false;
    set_stack_pointer(vcpu, sp);
    return true;
}

bool stack_pop(struct vcpu *vcpu, unsigned size, uint64_t *v)
{
    uint64_t sp = vcpu->arch.gpr[REG_RSP] & stack_mask(vcpu);
    uint8_t b[8];
    if (!seg_read(vcpu, SEG_SS, sp, b, size))
        return false;
    *v = le_load(b, size);
    set_stack_pointer(vcpu, sp + size);
    return true;
}

bool system_read(struct vcpu *vcpu, laddr la, void *buf, unsigned len)
{
    const struct privilege supervisor = {.user = false, .ac = false};
    uint64_t mask = vcpu->arch.efer & EFER_LMA ? UINT64_MAX : UINT32_MAX;
    return mmu_read_as(&vcpu->run.mmu, supervisor, la & mask, mask, buf, len, &vcpu->run.fault);
}

bool system_write(struct vcpu *vcpu, laddr la, const void *buf, unsigned len)
{
    const struct privilege supervisor = {.user = false, .ac = false};
    uint64_t mask = vcpu->arch.efer & EFER_LMA ? UINT64_MAX : UINT32_MAX;
    return mmu_write_as(&vcpu->run.mmu, supervisor, la & mask, mask, buf, len, &vcpu->run.fault);
}
