/* SPDX-License-Identifier: MIT */
/* The family's small change: BSWAP MOVBE XLAT CBW CWD, flag instructions, SALC, hints, fences,
 * cache lines. */
#include "cpu/interp/integer.h"

/* ---- BSWAP, MOVBE ---- */

ALWAYS_INLINE uint64_t swapped(unsigned width, uint64_t v)
{
    return __builtin_bswap64(v) >> (64 - width);
}

EXEC(bswap64)
{
    reg_set64(vcpu, rec->dst, swapped(64, reg_get(vcpu, rec->dst)));
    NEXT;
}

EXEC(bswap32)
{
    reg_set32(vcpu, rec->dst, swapped(32, reg_get(vcpu, rec->dst)));
    NEXT;
}

/* Undefined; every part since the 486 leaves zero.  SDM Vol. 2A, "BSWAP". */
EXEC(bswap16)
{
    reg_set16(vcpu, rec->dst, 0);
    NEXT;
}

ALWAYS_INLINE int movbe_load(struct vcpu *vcpu, const struct rec *rec, unsigned width,
                             enum shape shape)
{
    struct loaded m = operand_load(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    reg_write(vcpu, width, rec->dst, swapped(width, m.value));
    NEXT;
}

ALWAYS_INLINE int movbe_store(struct vcpu *vcpu, const struct rec *rec, unsigned width,
                              enum shape shape)
{
    uint64_t v = swapped(width, reg_read(vcpu, width, rec->src));
    if (unlikely(!operand_store(vcpu, rec, shape, width, v)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* clang-format off */
#define MOVBE(W)                                                                          \
    EXEC(movbe##W##_load_m64) { return movbe_load(vcpu, rec, W, SHAPE_FULL); }            \
    EXEC(movbe##W##_load_gen) { return movbe_load(vcpu, rec, W, SHAPE_GEN); }             \
    EXEC(movbe##W##_store_m64) { return movbe_store(vcpu, rec, W, SHAPE_FULL); }          \
    EXEC(movbe##W##_store_gen) { return movbe_store(vcpu, rec, W, SHAPE_GEN); }

MOVBE(16) MOVBE(32) MOVBE(64)

#define MOVBE_ROW(W)                                                                      \
    {{exec_movbe##W##_load_m64, exec_movbe##W##_load_gen}, {exec_movbe##W##_store_m64, exec_movbe##W##_store_gen}}
static exec_fn *const movbe_handlers[4][2][2] = {
    [WIDTH_16] = MOVBE_ROW(16), [WIDTH_32] = MOVBE_ROW(32), [WIDTH_64] = MOVBE_ROW(64),
};
/* clang-format on */

/* ---- conversions of the accumulator.  SDM Vol. 2A, "CBW/CWDE/CDQE", "CWD/CDQ/CQO" ---- */

ALWAYS_INLINE int convert(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    gpr_write(vcpu, width, REG_RAX, (uint64_t)sext(vcpu->arch.gpr[REG_RAX], width / 2));
    NEXT;
}

ALWAYS_INLINE int double_up(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    gpr_write(vcpu, width, REG_RDX, (uint64_t)(sext(vcpu->arch.gpr[REG_RAX], width) >> 63));
    NEXT;
}

/* clang-format off */
EXEC(cbw) { return convert(vcpu, rec, 16); }
EXEC(cwde) { return convert(vcpu, rec, 32); }
EXEC(cdqe) { return convert(vcpu, rec, 64); }
EXEC(cwd) { return double_up(vcpu, rec, 16); }
EXEC(cdq) { return double_up(vcpu, rec, 32); }
EXEC(cqo) { return double_up(vcpu, rec, 64); }
/* clang-format on */

static exec_fn *const cbw_handlers[4] = {
    [WIDTH_16] = exec_cbw, [WIDTH_32] = exec_cwde, [WIDTH_64] = exec_cdqe};
static exec_fn *const cwd_handlers[4] = {
    [WIDTH_16] = exec_cwd, [WIDTH_32] = exec_cdq, [WIDTH_64] = exec_cqo};

/* ---- flags ---- */

ALWAYS_INLINE int set_cf(struct vcpu *vcpu, const struct rec *rec, bool cf)
{
    vcpu->run.flag_carry = carry_with_cf(vcpu->run.flag_carry, cf);
    NEXT;
}

/* clang-format off */
EXEC(clc) { return set_cf(vcpu, rec, false); }
EXEC(stc) { return set_cf(vcpu, rec, true); }
EXEC(cmc) { return set_cf(vcpu, rec, !flag_cf(vcpu)); }
EXEC(cld) { vcpu->arch.rflags &= ~(uint64_t)F_DF; NEXT; }
EXEC(std) { vcpu->arch.rflags |= F_DF; NEXT; }
/* clang-format on */

/* AH := SF ZF 0 AF 0 PF 1 CF.  SDM Vol. 2A, "LAHF". */
EXEC(lahf)
{
    reg_set8(vcpu, reg8_offset(REG_RAX, true), (flags_status(vcpu) & 0xff) | 2);
    NEXT;
}

/* SF ZF AF PF CF := AH; OF kept.  SDM Vol. 2B, "SAHF". */
EXEC(sahf)
{
    flags_set_status(vcpu, (vcpu->arch.gpr[REG_RAX] >> 8 & 0xff) | (flag_of(vcpu) ? F_OF : 0));
    NEXT;
}

/* AL := CF ? FFH : 0. Undocumented until recent editions; every part has it. */
EXEC(salc)
{
    reg_set8(vcpu, reg8_offset(REG_RAX, false), flag_cf(vcpu) ? 0xff : 0);
    NEXT;
}

/* ---- XLAT: AL := seg:[rBX + AL].  SDM Vol. 2D, "XLAT/XLATB" ---- */

/* Out of line: seg_linear needs the address of a local. False: run.fault. The address size is in
 * rec->scale. */
static NOINLINE bool xlat(struct vcpu *vcpu, const struct rec *rec)
{
    uint64_t *rax = &vcpu->arch.gpr[REG_RAX];
    uint64_t off = (vcpu->arch.gpr[REG_RBX] + (*rax & 0xff)) & low_mask(rec->scale * 8u);
    laddr la = 0;
    if (!seg_linear(vcpu, rec->seg, off, 1, ACCESS_READ, &la))
        return false;
    struct loaded m = mem_load(vcpu, rec, la, 1);
    if (!m.ok)
        return false;
    *rax = (*rax & ~UINT64_C(0xff)) | m.value;
    return true;
}

EXEC(xlat)
{
    if (unlikely(!xlat(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

static exec_fn *select_xlat(const struct selection *s, struct rec *rec)
{
    rec->seg = s->in->seg <= SEG_GS ? s->in->seg : SEG_DS;
    rec->scale = s->in->addrsize;
    return exec_xlat;
}

/* ---- hints and cache lines ---- */

EXEC(nop)
{
    NEXT;
}

/* CLFLUSH and its kin: "subject to the permission checking and faults associated with a byte load",
 * and nothing else here: guest memory has no cache.  SDM Vol. 2A, "CLFLUSH". False: run.fault. */
static NOINLINE bool flush_line(struct vcpu *vcpu, const struct rec *rec, laddr la)
{
    vcpu->run.rec = rec;
    if (vcpu->run.la_mask == UINT64_MAX && !is_canonical(la))
        return raise_fault_code(vcpu, rec->seg == SEG_ZERO_SS ? EXC_SS : EXC_GP, 0);
    return mmu_probe(&vcpu->run.mmu, la, vcpu->run.la_mask, 1, ACCESS_READ, &vcpu->run.fault);
}

EXEC(clflush_m64)
{
    if (unlikely(!flush_line(vcpu, rec, rec_la64(vcpu, rec))))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* "Allowed to flush a linear address in an execute-only segment", as a fetch is. */
EXEC(clflush_gen)
{
    struct linear at = rec_la_checked(vcpu, rec, 1, ACCESS_FETCH);
    if (unlikely(!at.ok || !flush_line(vcpu, rec, at.la)))
        return exec_fault(vcpu, rec);
    NEXT;
}

static exec_fn *select_flag_insn(unsigned op)
{
    switch (op) {
    case OP_CLC:
        return exec_clc;
    case OP_STC:
        return exec_stc;
    case OP_CMC:
        return exec_cmc;
    case OP_CLD:
        return exec_cld;
    case OP_STD:
        return exec_std;
    case OP_LAHF:
        return exec_lahf;
    case OP_SAHF:
        return exec_sahf;
    case OP_SALC:
        return exec_salc;
    default:
        return NULL;
    }
}

static exec_fn *select_hint(const struct selection *s)
{
    switch (s->in->op) {
    case OP_NOP:
    case OP_PREFETCH:
    case OP_PREFETCHW:
    case OP_PREFETCHNTA:
    case OP_PREFETCHT0:
    case OP_PREFETCHT1:
    case OP_PREFETCHT2:
    case OP_LFENCE:
    case OP_MFENCE:
    case OP_SFENCE:
    case OP_SERIALIZE:
        return exec_nop;
    case OP_CLFLUSH:
    case OP_CLFLUSHOPT:
    case OP_CLWB:
        return s->mem64 ? exec_clflush_m64 : exec_clflush_gen;
    case OP_UD0:
    case OP_UD1:
    case OP_UD2:
        return exec_ud;
    default:
        return NULL;
    }
}

exec_fn *move_select_misc(struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    exec_fn *fn = select_flag_insn(in->op);
    if (!fn)
        fn = select_hint(s);
    if (fn)
        return fn;
    switch (in->op) {
    case OP_BSWAP:
        return s->width == WIDTH_64   ? exec_bswap64
               : s->width == WIDTH_32 ? exec_bswap32
                                      : exec_bswap16;
    case OP_MOVBE:
        return movbe_handlers[s->width][opnd_is_mem(&in->operands[0])][!s->mem64];
    case OP_CBW:
        return cbw_handlers[width_index(in->opsize)];
    case OP_CWD:
        return cwd_handlers[width_index(in->opsize)];
    case OP_XLAT:
        return select_xlat(s, rec);
    default:
        return NULL;
    }
}
