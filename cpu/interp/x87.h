/* SPDX-License-Identifier: MIT */
/*
 * What the x87 files share: the register stack, tags, status and exceptions, the memory operand,
 * and what a record of an x87 instruction holds. Included by x87*.c and fxsave*.c, and by the MMX
 * handlers for x87_ready. Owns nothing; values are the softfloat's. SDM Vol. 1, "Programming with
 * the x87 FPU".
 */
#pragma once

#include "cpu/exec.h"
#include "cpu/select.h"
#include "cpu/softfloat/softfloat.h"

/* Status word. */
enum {
    FSW_EXCEPTIONS = 0x3f, /* IE DE ZE OE UE PE */
    FSW_SF = 1 << 6,       /* stack fault */
    FSW_ES = 1 << 7,       /* an unmasked exception is pending */
    FSW_C0 = 1 << 8,
    FSW_C1 = 1 << 9,
    FSW_C2 = 1 << 10,
    FSW_TOP = 7 << 11,
    FSW_C3 = 1 << 14,
    FSW_B = 1 << 15, /* reads as ES */
    FSW_CC = FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3,
};
#define FSW_TOP_SHIFT 11

/* Control word: bit 6 reads as 1, 7 and 15:13 as 0. */
#define FCW_FIXED 0x40
#define FCW_WRITABLE 0x1f3f
#define FCW_INIT 0x37f

/*
 * rec->imm of an x87 record (none has an immediate). dst and src are the numbers of DEST and SRC on
 * the stack.
 */
enum {
    X87_FOP = 0x7ff,       /* as the FOP register wants it */
    X87_SEG_SHIFT = 11,    /* 3 bits: segment register of the memory operand */
    X87_M64 = 1 << 14,     /* its address is rec_la64's, else rec_la_checked's */
    X87_ENV32 = 1 << 15,   /* environments have the 32-bit format */
    X87_POPS_SHIFT = 16,   /* 2 bits: registers popped after it */
    X87_FORMAT_SHIFT = 18, /* 3 bits: enum x87_format of the memory operand */
    X87_KIND_SHIFT = 21,   /* 6 bits: the family's own */
    X87_KIND_MASK = 0x3f,
};

/* Memory operands that are numbers. */
enum x87_format { X87_F32, X87_F64, X87_F80, X87_I16, X87_I32, X87_I64, X87_BCD };

/* A row of a family's table: which handler, and the fields of the record that depend on the op. */
struct x87_row {
    uint16_t op;  /* enum op; OP_INVALID ends the table */
    exec_fn *reg; /* register or no operand; NULL if there is no such form */
    exec_fn *mem; /* memory operand; NULL if there is none */
    uint8_t kind; /* X87_KIND */
    uint8_t pops; /* X87_POPS */
};

/* The families, in files of their own. */
extern const struct x87_row x87_move_rows[];
extern const struct x87_row x87_arith_rows[];
extern const struct x87_row x87_function_rows[];
extern const struct x87_row x87_compare_rows[];
extern const struct x87_row x87_env_rows[];

ALWAYS_INLINE unsigned x87_kind(const struct rec *rec)
{
    return (uint32_t)rec->imm >> X87_KIND_SHIFT & X87_KIND_MASK;
}

ALWAYS_INLINE enum x87_format x87_format(const struct rec *rec)
{
    return (enum x87_format)((uint32_t)rec->imm >> X87_FORMAT_SHIFT & 7);
}

ALWAYS_INLINE unsigned x87_pops(const struct rec *rec)
{
    return (uint32_t)rec->imm >> X87_POPS_SHIFT & 3;
}

/* ---- pending exceptions ---- */

/*
 * The one place where a pending unmasked exception is reported. CR0.NE = 1: #MF of the waiting
 * instruction. CR0.NE = 0: FERR# is asserted and the processor stops before the instruction until
 * an interrupt is taken, unless the board asserts IGNNE#: then it goes on (SDM Vol. 1, "MS-DOS
 * Compatibility Sub-mode"). FERR# is asserted here, at the next waiting instruction, for every
 * exception. False: run.fault is #MF or FAULT_FERR. Not COLD, or gcc takes every function that asks
 * x87_ready for cold and makes it small instead of fast.
 */
NOINLINE bool x87_pending(struct vcpu *vcpu);

/* For every waiting x87 instruction and every MMX one: false: run.fault, as above. */
NODISCARD ALWAYS_INLINE bool x87_ready(struct vcpu *vcpu)
{
    return likely(!(vcpu->arch.fsw & FSW_ES)) || x87_pending(vcpu);
}

/*
 * A handler whose work is a function out of line: `bool work(struct vcpu *, const struct rec *)`,
 * false with run.fault. Being out of line it may have locals whose address escapes.
 */
#define X87_EXEC(name, work)                                                                       \
    EXEC(name)                                                                                     \
    {                                                                                              \
        if (unlikely(!x87_ready(vcpu) || !work(vcpu, rec)))                                        \
            return exec_fault(vcpu, rec);                                                          \
        NEXT;                                                                                      \
    }
/* The same for instructions that don't wait. */
#define X87_EXEC_NOWAIT(name, work)                                                                \
    EXEC(name)                                                                                     \
    {                                                                                              \
        if (unlikely(!work(vcpu, rec)))                                                            \
            return exec_fault(vcpu, rec);                                                          \
        NEXT;                                                                                      \
    }

/* ---- the register stack ---- */

/* The physical register of ST(i). */
ALWAYS_INLINE unsigned st_reg(const struct vcpu *vcpu, unsigned i)
{
    return (((unsigned)vcpu->arch.fsw >> FSW_TOP_SHIFT) + i) & 7;
}

ALWAYS_INLINE bool st_empty(const struct vcpu *vcpu, unsigned i)
{
    return !(vcpu->arch.ftw >> st_reg(vcpu, i) & 1);
}

ALWAYS_INLINE struct f80 st_get(const struct vcpu *vcpu, unsigned i)
{
    unsigned r = st_reg(vcpu, i);
    return (struct f80){.mant = vcpu->arch.fp_mant[r], .se = vcpu->arch.fp_se[r]};
}

/* ST(i) := v, and not empty. */
ALWAYS_INLINE void st_set(struct vcpu *vcpu, unsigned i, struct f80 v)
{
    unsigned r = st_reg(vcpu, i);
    vcpu->arch.fp_mant[r] = v.mant;
    vcpu->arch.fp_se[r] = v.se;
    vcpu->arch.ftw |= (uint8_t)(1u << r);
}

ALWAYS_INLINE void st_free(struct vcpu *vcpu, unsigned i)
{
    vcpu->arch.ftw &= (uint8_t) ~(1u << st_reg(vcpu, i));
}

ALWAYS_INLINE void st_rotate(struct vcpu *vcpu, unsigned by)
{
    unsigned fsw = vcpu->arch.fsw;
    vcpu->arch.fsw =
        (uint16_t)((fsw & ~(unsigned)FSW_TOP) | ((fsw + (by << FSW_TOP_SHIFT)) & FSW_TOP));
}

ALWAYS_INLINE void st_pop(struct vcpu *vcpu)
{
    st_free(vcpu, 0);
    st_rotate(vcpu, 1);
}

ALWAYS_INLINE void st_pops(struct vcpu *vcpu, unsigned n)
{
    while (n--)
        st_pop(vcpu);
}

ALWAYS_INLINE void st_push(struct vcpu *vcpu, struct f80 v)
{
    st_rotate(vcpu, 7);
    st_set(vcpu, 0, v);
}

/* ---- exceptions and condition codes ---- */

/* RC, PC and masks of FCW. PC = 01 is reserved and acts as 64 bits, as on silicon. */
ALWAYS_INLINE struct fp_env x87_env(const struct vcpu *vcpu)
{
    static const uint8_t precision[] = {24, 64, 53, 64};
    unsigned fcw = vcpu->arch.fcw;
    return (struct fp_env){
        .rc = fcw >> 10 & 3, .pc = precision[fcw >> 8 & 3], .masks = fcw & FP_ALL};
}

/* Condition codes in mask := cc. */
ALWAYS_INLINE void x87_set_cc(struct vcpu *vcpu, unsigned mask, unsigned cc)
{
    vcpu->arch.fsw = (uint16_t)((vcpu->arch.fsw & ~mask) | cc);
}

/* Exception flags, sticky; ES and B if one is unmasked. */
ALWAYS_INLINE void x87_raise(struct vcpu *vcpu, unsigned flags)
{
    vcpu->arch.fsw |= (uint16_t)flags;
    if (unlikely(flags & FSW_EXCEPTIONS & ~(unsigned)vcpu->arch.fcw))
        vcpu->arch.fsw |= FSW_ES | FSW_B;
}

/* What an operation left in env: flags and C1. */
ALWAYS_INLINE void x87_settle(struct vcpu *vcpu, const struct fp_env *env)
{
    x87_set_cc(vcpu, FSW_C1, env->c1_up ? FSW_C1 : 0);
    x87_raise(vcpu, env->flags);
}

/* FERR# is deasserted, and so the board takes IGNNE# back. */
ALWAYS_INLINE void x87_error_gone(struct vcpu *vcpu)
{
    vcpu->arch.ignne = false;
}

/* ES and B again from the flags and the masks: something wrote FSW or FCW. SDM Vol. 1, "Exception
 * Summary Status". */
ALWAYS_INLINE void x87_summarize(struct vcpu *vcpu)
{
    struct cpu *cpu = &vcpu->arch;
    bool es = cpu->fsw & ~(unsigned)cpu->fcw & FSW_EXCEPTIONS;
    cpu->fsw = (uint16_t)((cpu->fsw & ~(FSW_ES | FSW_B)) | (es ? FSW_ES | FSW_B : 0));
    if (!es)
        x87_error_gone(vcpu);
}

ALWAYS_INLINE void x87_set_fcw(struct vcpu *vcpu, unsigned fcw)
{
    vcpu->arch.fcw = (uint16_t)((fcw & FCW_WRITABLE) | FCW_FIXED);
}

/* #IS masked? */
ALWAYS_INLINE bool x87_masks_invalid(const struct vcpu *vcpu)
{
    return vcpu->arch.fcw & FP_IE;
}

/* #IS: an empty register was read (C1 = 0), a full one pushed upon (C1 = 1). True: masked, deliver
 * an indefinite. */
bool x87_underflow(struct vcpu *vcpu);
bool x87_overflow(struct vcpu *vcpu);

/* FCW, FSW, tags and pointers as FNINIT leaves them. */
void x87_init(struct vcpu *vcpu);

/* ---- the memory operand and the pointers ---- */

/* Linear address of size bytes at the operand. */
ALWAYS_INLINE struct linear x87_la(struct vcpu *vcpu, const struct rec *rec, unsigned size,
                                   enum access access)
{
    if (likely(rec->imm & X87_M64))
        return (struct linear){rec_la64(vcpu, rec), true};
    return rec_la_checked(vcpu, rec, size, access);
}

/* Offset of the operand in its segment. */
ALWAYS_INLINE uint64_t x87_offset(const struct vcpu *vcpu, const struct rec *rec)
{
    if (likely(rec->imm & X87_M64))
        return rec_la64(vcpu, rec) - vcpu->run.seg_base_fast[rec->seg] +
               (rec->seg >= SEG_ZERO_BIASED ? SEG_BIAS : 0);
    return rec_ea(vcpu, rec);
}

/* FOP, FIP, FCS: every instruction that is not a control instruction. SDM Vol. 1, "x87 FPU
 * Instruction and Data (Operand) Pointers". */
ALWAYS_INLINE void x87_point(struct vcpu *vcpu, const struct rec *rec)
{
    vcpu->arch.fop = (uint16_t)(rec->imm & X87_FOP);
    vcpu->arch.fip = rec_rip(vcpu, rec);
    vcpu->arch.fcs = vcpu->arch.seg_sel[SEG_CS];
}

/* FDP and FDS as well, for one with a memory operand. */
ALWAYS_INLINE void x87_point_mem(struct vcpu *vcpu, const struct rec *rec)
{
    x87_point(vcpu, rec);
    vcpu->arch.fdp = x87_offset(vcpu, rec);
    vcpu->arch.fds = vcpu->arch.seg_sel[(uint32_t)rec->imm >> X87_SEG_SHIFT & 7];
}
