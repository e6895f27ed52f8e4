/* SPDX-License-Identifier: MIT */
/*
 * What the integer families share: operand access by width and by shape of the memory operand, and
 * the choice of a form. Included by arith, move, shift, muldiv, bit, stack, branch and string
 * alone. Everything inlines with constant width and shape, so that a handler is one line and costs
 * what it does.
 */
#pragma once

#include "cpu/alu.h"
#include "cpu/exec.h"
#include "cpu/segment.h"
#include "cpu/select.h"

/*
 * Shapes of a memory operand. BD and M64: 64-bit mode with 64-bit addresses, base + disp only (most
 * operands), and everything. Their accesses fail when the virtual TLB misses, and the handler's
 * last act is then to jump to its SLOW twin: so the hot handler calls nothing and needs no stack
 * frame. SLOW is any 64-bit address, out of line. GEN: any other mode or address size, with segment
 * checks. An access that fails in a SLOW or GEN handler is a fault.
 */
enum shape { SHAPE_BD, SHAPE_M64, SHAPE_GEN, SHAPE_COUNT, SHAPE_SLOW = SHAPE_COUNT, SHAPE_FULL };

/* The twin of hot handlers, reached only from them. */
#define EXEC_SLOW(name) static COLD int exec_##name##_slow(struct vcpu *vcpu, const struct rec *rec)

/* Where a form goes when its access fails, as macro arguments. */
#define TO_SLOW(name) exec_##name##_slow
#define TO_FAULT(name) exec_fault

/* Forms of two operands, as indices of handler tables: a form with memory stands for SHAPE_COUNT
 * entries. */
enum form {
    FORM_R_R,
    FORM_R_I,
    FORM_R_M,
    FORM_M_R = FORM_R_M + SHAPE_COUNT,
    FORM_M_I = FORM_M_R + SHAPE_COUNT,
    FORM_COUNT = FORM_M_I + SHAPE_COUNT,
};

/* Forms of one operand. */
enum form1 { FORM1_R, FORM1_M, FORM1_COUNT = FORM1_M + SHAPE_COUNT };

#define WIDTHS(X, ...) X(8, __VA_ARGS__) X(16, __VA_ARGS__) X(32, __VA_ARGS__) X(64, __VA_ARGS__)

/* ---- choosing ---- */

static inline bool opnd_is_reg(const struct operand *o)
{
    return o->kind == OPND_GPR || o->kind == OPND_GPR_HIGH;
}

static inline bool opnd_is_mem(const struct operand *o)
{
    return o->kind == OPND_MEM || o->kind == OPND_MOFFS;
}

static inline enum shape shape_of(const struct selection *s, const struct rec *rec)
{
    if (!s->mem64)
        return SHAPE_GEN;
    bool is_zero = rec->seg == SEG_ZERO || rec->seg == SEG_ZERO_SS;
    return is_zero && rec->index == REC_NONE ? SHAPE_BD : SHAPE_M64;
}

/* Index of the form of operands 0 and 1; OPND_ONE and OPND_IMM are I. */
static inline unsigned form_of(const struct selection *s, const struct rec *rec)
{
    const struct operand *o = s->in->operands;
    if (opnd_is_mem(&o[0]))
        return (opnd_is_reg(&o[1]) ? FORM_M_R : FORM_M_I) + shape_of(s, rec);
    if (opnd_is_mem(&o[1]))
        return FORM_R_M + shape_of(s, rec);
    return opnd_is_reg(&o[1]) ? FORM_R_R : FORM_R_I;
}

/* Index of the form of operand n alone. */
static inline unsigned form1_of(const struct selection *s, const struct rec *rec, unsigned n)
{
    return opnd_is_mem(&s->in->operands[n]) ? FORM1_M + shape_of(s, rec) : FORM1_R;
}

/* WIDTH_* of an operand of 1, 2, 4 or 8 bytes. */
static inline unsigned width_index(unsigned bytes)
{
    return bytes == 8 ? WIDTH_64 : bytes == 4 ? WIDTH_32 : bytes == 2 ? WIDTH_16 : WIDTH_8;
}

/* Parts of families that live in files of their own. */
select_fn arith_select_unary;    /* INC DEC NEG NOT */
select_fn arith_select_exchange; /* XADD CMPXCHG CMPXCHG8B CMPXCHG16B ADCX ADOX */
select_fn move_select_condition; /* CMOVCC SETCC */
select_fn move_select_misc;      /* flags, conversions, hints: no hot path */
select_fn branch_select_call;    /* CALL RET, JMP through register or memory */

/* ---- registers ---- */

ALWAYS_INLINE uint64_t reg_read(const struct vcpu *vcpu, unsigned width, unsigned r)
{
    return width == 8 ? reg_get8(vcpu, r) : reg_get(vcpu, r) & low_mask(width);
}

ALWAYS_INLINE void reg_write(struct vcpu *vcpu, unsigned width, unsigned r, uint64_t v)
{
    if (width == 8)
        reg_set8(vcpu, r, v);
    else if (width == 16)
        reg_set16(vcpu, r, v);
    else if (width == 32)
        reg_set32(vcpu, r, v);
    else
        reg_set64(vcpu, r, v);
}

/* RAX..RDI by number, whatever the record says. Width 8: AL..BL. */
ALWAYS_INLINE uint64_t gpr_read(const struct vcpu *vcpu, unsigned width, unsigned gpr)
{
    return vcpu->arch.gpr[gpr] & low_mask(width);
}

ALWAYS_INLINE void gpr_write(struct vcpu *vcpu, unsigned width, unsigned gpr, uint64_t v)
{
    reg_write(vcpu, width, width == 8 ? reg8_offset(gpr, false) : REC_GPR + gpr, v);
}

/* DEST and the flags before, for meanings that may keep some. */
ALWAYS_INLINE struct alu alu_old(const struct vcpu *vcpu, uint64_t dst)
{
    return (struct alu){dst, vcpu->run.flag_result, vcpu->run.flag_carry};
}

ALWAYS_INLINE uint64_t rec_imm(const struct rec *rec)
{
    return (uint64_t)(int64_t)rec->imm;
}

/* ---- the memory operand ---- */

ALWAYS_INLINE struct linear operand_la(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                                       unsigned size, enum access access)
{
    if (shape == SHAPE_GEN)
        return rec_la_checked(vcpu, rec, size, access);
    if (shape == SHAPE_BD)
        return (struct linear){reg_get(vcpu, rec->base) + (uint64_t)(int64_t)rec->disp, true};
    return (struct linear){rec_la64(vcpu, rec), true};
}

/* A hit of the virtual TLB, as mem_read_host and mem_write_host, without a second test for NULL. */
struct hit {
    uint8_t *host; /* the bytes, if ok */
    bool ok;       /* they lie in one page that hits */
};

ALWAYS_INLINE struct hit vtlb_hit(const struct vcpu *vcpu, const struct vtlb_entry *array, laddr la,
                                  unsigned size)
{
    const struct vtlb_entry *e = vtlb_entry_at(array, vcpu->run.mmu.view.byte_mask, la);
    return (struct hit){(uint8_t *)(uintptr_t)(la + e->addend),
                        likely(e->tag == ((la + size - 1) & PAGE_MASK))};
}

/* At a linear address: a miss fails in the hot shapes. */
ALWAYS_INLINE struct loaded load_at(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                                    laddr la, unsigned width)
{
    if (shape == SHAPE_SLOW)
        return mem_load_slow(vcpu, rec, la, width / 8);
    if (shape == SHAPE_GEN || shape == SHAPE_FULL)
        return mem_load(vcpu, rec, la, width / 8);
    struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, la, width / 8);
    return likely(at.ok) ? (struct loaded){host_load(at.host, width / 8), true}
                         : (struct loaded){0, false};
}

NODISCARD ALWAYS_INLINE bool store_at(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                                      laddr la, unsigned width, uint64_t v)
{
    if (shape == SHAPE_SLOW)
        return mem_store_slow(vcpu, rec, la, width / 8, v);
    if (shape == SHAPE_GEN || shape == SHAPE_FULL)
        return mem_store(vcpu, rec, la, width / 8, v);
    struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.write, la, width / 8);
    if (unlikely(!at.ok))
        return false;
    host_store(at.host, width / 8, v);
    return true;
}

ALWAYS_INLINE struct loaded operand_load(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                                         unsigned width)
{
    struct linear at = operand_la(vcpu, rec, shape, width / 8, ACCESS_READ);
    if (unlikely(!at.ok))
        return (struct loaded){0, false};
    return load_at(vcpu, rec, shape, at.la, width);
}

NODISCARD ALWAYS_INLINE bool operand_store(struct vcpu *vcpu, const struct rec *rec,
                                           enum shape shape, unsigned width, uint64_t v)
{
    struct linear at = operand_la(vcpu, rec, shape, width / 8, ACCESS_WRITE);
    return likely(at.ok) && store_at(vcpu, rec, shape, at.la, width, v);
}

/* A read-modify-write under way. */
struct rmw {
    uint64_t value; /* what was read */
    laddr la;       /* where */
    uint8_t *host;  /* its bytes, if is_host */
    bool is_host;   /* the virtual TLB hit */
    bool ok;        /* false: a miss (hot shapes) or run.fault */
};

ALWAYS_INLINE struct rmw rmw_at(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                                laddr la, unsigned width)
{
    if (shape != SHAPE_SLOW) {
        struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.write, la, width / 8);
        if (likely(at.ok))
            return (struct rmw){host_load(at.host, width / 8), la, at.host, true, true};
        if (shape != SHAPE_GEN && shape != SHAPE_FULL)
            return (struct rmw){0, la, NULL, false, false};
    }
    struct loaded m = mem_rmw_slow(vcpu, rec, la, width / 8);
    return (struct rmw){m.value, la, NULL, false, m.ok};
}

ALWAYS_INLINE struct rmw rmw_begin(struct vcpu *vcpu, const struct rec *rec, enum shape shape,
                                   unsigned width)
{
    struct linear at = operand_la(vcpu, rec, shape, width / 8, ACCESS_WRITE);
    if (unlikely(!at.ok))
        return (struct rmw){0, 0, NULL, false, false};
    return rmw_at(vcpu, rec, shape, at.la, width);
}

ALWAYS_INLINE void rmw_end(struct vcpu *vcpu, const struct rec *rec, struct rmw m, unsigned width,
                           uint64_t v)
{
    if (likely(m.is_host))
        host_store(m.host, width / 8, v);
    else
        mem_rmw_store(vcpu, rec, m.la, NULL, width / 8, v);
}
