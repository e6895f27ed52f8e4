/* SPDX-License-Identifier: MIT */
/* MOV, MOVNTI, MOVZX, MOVSX, MOVSXD, LEA, XCHG. No flags. The rest of the family is in
 * move_condition.c and move_misc.c. */
#include "cpu/interp/integer.h"

ALWAYS_INLINE int mov_r_r(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    reg_write(vcpu, width, rec->dst, reg_read(vcpu, width, rec->src));
    NEXT;
}

ALWAYS_INLINE int mov_r_i(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    reg_write(vcpu, width, rec->dst, rec_imm(rec));
    NEXT;
}

ALWAYS_INLINE int mov_m(struct vcpu *vcpu, const struct rec *rec, unsigned width, enum shape shape,
                        uint64_t v, exec_fn *miss)
{
    if (unlikely(!operand_store(vcpu, rec, shape, width, v)))
        return miss(vcpu, rec);
    NEXT;
}

/* Load with extension from `from` to `width` bits; MOV is from = width. */
ALWAYS_INLINE int mov_r_m(struct vcpu *vcpu, const struct rec *rec, unsigned width, unsigned from,
                          bool is_signed, enum shape shape, exec_fn *miss)
{
    struct loaded m = operand_load(vcpu, rec, shape, from);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    reg_write(vcpu, width, rec->dst, is_signed ? (uint64_t)sext(m.value, from) : m.value);
    NEXT;
}

ALWAYS_INLINE int extend_r_r(struct vcpu *vcpu, const struct rec *rec, unsigned width,
                             unsigned from, bool is_signed)
{
    uint64_t v = reg_read(vcpu, from, rec->src);
    reg_write(vcpu, width, rec->dst, is_signed ? (uint64_t)sext(v, from) : v);
    NEXT;
}

/* clang-format off */
#define MOV_FORMS(W, name)                                                                                     \
    EXEC(mov##W##_r_r) { return mov_r_r(vcpu, rec, W); }                                                       \
    EXEC(mov##W##_r_i) { return mov_r_i(vcpu, rec, W); }                                                       \
    EXEC_SLOW(mov##W##_r) { return mov_r_m(vcpu, rec, W, W, false, SHAPE_SLOW, exec_fault); }                  \
    EXEC_SLOW(mov##W##_m_r)                                                                                    \
    { return mov_m(vcpu, rec, W, SHAPE_SLOW, reg_read(vcpu, W, rec->src), exec_fault); }                       \
    EXEC_SLOW(mov##W##_m_i) { return mov_m(vcpu, rec, W, SHAPE_SLOW, rec_imm(rec), exec_fault); }              \
    MOV_M(W, bd, SHAPE_BD, TO_SLOW) MOV_M(W, m64, SHAPE_M64, TO_SLOW) MOV_M(W, gen, SHAPE_GEN, TO_FAULT)

#define MOV_M(W, shape, SHAPE, MISS)                                                                           \
    EXEC(mov##W##_r_##shape) { return mov_r_m(vcpu, rec, W, W, false, SHAPE, MISS(mov##W##_r)); }              \
    EXEC(mov##W##_##shape##_r)                                                                                 \
    { return mov_m(vcpu, rec, W, SHAPE, reg_read(vcpu, W, rec->src), MISS(mov##W##_m_r)); }                    \
    EXEC(mov##W##_##shape##_i) { return mov_m(vcpu, rec, W, SHAPE, rec_imm(rec), MISS(mov##W##_m_i)); }

WIDTHS(MOV_FORMS, mov)

#define EXTEND(name, W, FROM, IS_SIGNED)                                                                       \
    EXEC(name##_r) { return extend_r_r(vcpu, rec, W, FROM, IS_SIGNED); }                                       \
    EXEC_SLOW(name) { return mov_r_m(vcpu, rec, W, FROM, IS_SIGNED, SHAPE_SLOW, exec_fault); }                 \
    EXEC(name##_bd) { return mov_r_m(vcpu, rec, W, FROM, IS_SIGNED, SHAPE_BD, exec_##name##_slow); }           \
    EXEC(name##_m64) { return mov_r_m(vcpu, rec, W, FROM, IS_SIGNED, SHAPE_M64, exec_##name##_slow); }         \
    EXEC(name##_gen) { return mov_r_m(vcpu, rec, W, FROM, IS_SIGNED, SHAPE_GEN, exec_fault); }

/* MOVZX to 32 and to 64 bits are the same. */
EXTEND(movzx16_8, 16, 8, false)
EXTEND(movzx32_8, 32, 8, false)
EXTEND(movzx32_16, 32, 16, false)
EXTEND(movsx16_8, 16, 8, true)
EXTEND(movsx32_8, 32, 8, true)
EXTEND(movsx64_8, 64, 8, true)
EXTEND(movsx32_16, 32, 16, true)
EXTEND(movsx64_16, 64, 16, true)
EXTEND(movsx64_32, 64, 32, true)

#define BY_WIDTH(form) {exec_mov8_##form, exec_mov16_##form, exec_mov32_##form, exec_mov64_##form}
static exec_fn *const mov_handlers[FORM_COUNT][4] = {
    [FORM_R_R] = BY_WIDTH(r_r), [FORM_R_I] = BY_WIDTH(r_i),
    [FORM_R_M + SHAPE_BD] = BY_WIDTH(r_bd), [FORM_R_M + SHAPE_M64] = BY_WIDTH(r_m64), [FORM_R_M + SHAPE_GEN] = BY_WIDTH(r_gen),
    [FORM_M_R + SHAPE_BD] = BY_WIDTH(bd_r), [FORM_M_R + SHAPE_M64] = BY_WIDTH(m64_r), [FORM_M_R + SHAPE_GEN] = BY_WIDTH(gen_r),
    [FORM_M_I + SHAPE_BD] = BY_WIDTH(bd_i), [FORM_M_I + SHAPE_M64] = BY_WIDTH(m64_i), [FORM_M_I + SHAPE_GEN] = BY_WIDTH(gen_i),
};

#define EXTEND_ROW(name) {exec_##name##_r, exec_##name##_bd, exec_##name##_m64, exec_##name##_gen}
/* By DEST and SRC width, then form. */
static exec_fn *const movzx_handlers[4][2][FORM1_COUNT] = {
    [WIDTH_16] = {[WIDTH_8] = EXTEND_ROW(movzx16_8)},
    [WIDTH_32] = {[WIDTH_8] = EXTEND_ROW(movzx32_8), [WIDTH_16] = EXTEND_ROW(movzx32_16)},
    [WIDTH_64] = {[WIDTH_8] = EXTEND_ROW(movzx32_8), [WIDTH_16] = EXTEND_ROW(movzx32_16)},
};
static exec_fn *const movsx_handlers[4][3][FORM1_COUNT] = {
    [WIDTH_16] = {[WIDTH_8] = EXTEND_ROW(movsx16_8)},
    [WIDTH_32] = {[WIDTH_8] = EXTEND_ROW(movsx32_8), [WIDTH_16] = EXTEND_ROW(movsx32_16)},
    [WIDTH_64] = {[WIDTH_8] = EXTEND_ROW(movsx64_8), [WIDTH_16] = EXTEND_ROW(movsx64_16), [WIDTH_32] = EXTEND_ROW(movsx64_32)},
};
/* clang-format on */

/* MOV r64, imm64: the immediate stands in link. */
EXEC(mov64_r_i64)
{
    reg_set64(vcpu, rec->dst, rec->link);
    NEXT;
}

/* ---- MOV with a 64-bit offset (A0-A3) that does not fit disp: it stands in link ---- */

ALWAYS_INLINE laddr moffs_la(const struct vcpu *vcpu, const struct rec *rec)
{
    return vcpu->run.seg_base_fast[rec->seg] + rec->link;
}

ALWAYS_INLINE int moffs_load(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    struct loaded m = mem_load(vcpu, rec, moffs_la(vcpu, rec), width / 8);
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    reg_write(vcpu, width, rec->dst, m.value);
    NEXT;
}

ALWAYS_INLINE int moffs_store(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    if (unlikely(
            !mem_store(vcpu, rec, moffs_la(vcpu, rec), width / 8, reg_read(vcpu, width, rec->src))))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* clang-format off */
#define MOFFS(W, name)                                             \
    EXEC(name##W##_load) { return moffs_load(vcpu, rec, W); }      \
    EXEC(name##W##_store) { return moffs_store(vcpu, rec, W); }

WIDTHS(MOFFS, moffs)

static exec_fn *const moffs_handlers[2][4] = {
    {exec_moffs8_load, exec_moffs16_load, exec_moffs32_load, exec_moffs64_load},
    {exec_moffs8_store, exec_moffs16_store, exec_moffs32_store, exec_moffs64_store},
};
/* clang-format on */

/* ---- LEA: the offset, truncated to address and operand size.  SDM Vol. 2A, "LEA" ---- */

ALWAYS_INLINE uint64_t lea64(const struct vcpu *vcpu, const struct rec *rec)
{
    return reg_get(vcpu, rec->base) + (reg_get(vcpu, rec->index) << rec->scale) +
           (uint64_t)(int64_t)rec->disp;
}

/* clang-format off */
#define LEA(W, name)                                                                                               \
    EXEC(name##W##_bd)                                                                                             \
    { reg_write(vcpu, W, rec->dst, reg_get(vcpu, rec->base) + (uint64_t)(int64_t)rec->disp); NEXT; }               \
    EXEC(name##W##_m64) { reg_write(vcpu, W, rec->dst, lea64(vcpu, rec)); NEXT; }                                  \
    EXEC(name##W##_gen) { reg_write(vcpu, W, rec->dst, rec_ea(vcpu, rec)); NEXT; }

LEA(16, lea) LEA(32, lea) LEA(64, lea)
    /* clang-format on */

    static exec_fn *const lea_handlers[4][SHAPE_COUNT] = {
        [WIDTH_16] = {exec_lea16_bd, exec_lea16_m64, exec_lea16_gen},
        [WIDTH_32] = {exec_lea32_bd, exec_lea32_m64, exec_lea32_gen},
        [WIDTH_64] = {exec_lea64_bd, exec_lea64_m64, exec_lea64_gen},
};

/* RIP-relative whose displacement does not fit disp after it was made relative to the block
 * (record.h): it stands in link. */
EXEC(lea16_far)
{
    reg_set16(vcpu, rec->dst, vcpu->run.insn_base + rec->link);
    NEXT;
}

EXEC(lea32_far)
{
    reg_set32(vcpu, rec->dst, vcpu->run.insn_base + rec->link);
    NEXT;
}

EXEC(lea64_far)
{
    reg_set64(vcpu, rec->dst, vcpu->run.insn_base + rec->link);
    NEXT;
}

static exec_fn *select_lea(const struct selection *s, struct rec *rec)
{
    static exec_fn *const far[4] = {
        [WIDTH_16] = exec_lea16_far, [WIDTH_32] = exec_lea32_far, [WIDTH_64] = exec_lea64_far};
    int64_t disp = (int64_t)s->in->disp + rec->off + rec->len;
    if (!s->mem64)
        return lea_handlers[s->width][SHAPE_GEN];
    if (s->in->base == REG_RIP && disp != rec->disp) {
        rec->link = (uint64_t)disp;
        return far[s->width];
    }
    return lea_handlers[s->width][rec->index == REC_NONE ? SHAPE_BD : SHAPE_M64];
}

/* ---- XCHG: TEMP := DEST; DEST := SRC; SRC := TEMP.  SDM Vol. 2D, "XCHG" ---- */

ALWAYS_INLINE int xchg_r(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    uint64_t dst = reg_read(vcpu, width, rec->dst);
    reg_write(vcpu, width, rec->dst, reg_read(vcpu, width, rec->src));
    reg_write(vcpu, width, rec->src, dst);
    NEXT;
}

ALWAYS_INLINE int xchg_m(struct vcpu *vcpu, const struct rec *rec, unsigned width, enum shape shape,
                         exec_fn *miss)
{
    struct rmw m = rmw_begin(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    rmw_end(vcpu, rec, m, width, reg_read(vcpu, width, rec->src));
    reg_write(vcpu, width, rec->src, m.value);
    NEXT;
}

/* clang-format off */
#define XCHG(W, name)                                                                                      \
    EXEC(name##W##_r) { return xchg_r(vcpu, rec, W); }                                                     \
    EXEC_SLOW(name##W) { return xchg_m(vcpu, rec, W, SHAPE_SLOW, exec_fault); }                            \
    EXEC(name##W##_bd) { return xchg_m(vcpu, rec, W, SHAPE_BD, exec_##name##W##_slow); }                   \
    EXEC(name##W##_m64) { return xchg_m(vcpu, rec, W, SHAPE_M64, exec_##name##W##_slow); }                 \
    EXEC(name##W##_gen) { return xchg_m(vcpu, rec, W, SHAPE_GEN, exec_fault); }

WIDTHS(XCHG, xchg)

#define XCHG_ROW(form) {exec_xchg8_##form, exec_xchg16_##form, exec_xchg32_##form, exec_xchg64_##form}
/* clang-format on */

static exec_fn *const xchg_handlers[FORM1_COUNT][4] = {XCHG_ROW(r), XCHG_ROW(bd), XCHG_ROW(m64),
                                                       XCHG_ROW(gen)};

/* XCHG r, m (the assembler's order) decodes as m, r; both spellings come here with memory first. */
static exec_fn *select_xchg(const struct selection *s, const struct rec *rec)
{
    return xchg_handlers[form1_of(s, rec, 0)][s->width];
}

static exec_fn *select_mov(const struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    unsigned form = form_of(s, rec);
    if (form == FORM_R_I && s->width == WIDTH_64 && (int64_t)in->imm != rec->imm) {
        rec->link = in->imm;
        return exec_mov64_r_i64;
    }
    if (in->is_moffs && s->mem64 && (int64_t)in->imm != rec->disp) {
        rec->link = in->imm;
        return moffs_handlers[form >= FORM_M_R][s->width];
    }
    return mov_handlers[form][s->width];
}

static exec_fn *select_extend(const struct selection *s, const struct rec *rec, bool is_signed)
{
    const struct operand *o = s->in->operands;
    unsigned from = width_index(o[1].size), to = width_index(o[0].size);
    if (from == to) /* MOVSXD without REX.W */
        return mov_handlers[form_of(s, rec)][to];
    if (to == WIDTH_8 || from > to)
        return exec_ud;
    unsigned form = form1_of(s, rec, 1);
    return is_signed ? movsx_handlers[to][from][form] : movzx_handlers[to][from][form];
}

exec_fn *select_move(struct selection *s, struct rec *rec)
{
    exec_fn *fn;
    switch (s->in->op) {
    case OP_MOV:
    case OP_MOVNTI:
        return select_mov(s, rec);
    case OP_MOVZX:
        return select_extend(s, rec, false);
    case OP_MOVSX:
    case OP_MOVSXD:
        return select_extend(s, rec, true);
    case OP_LEA:
        return select_lea(s, rec);
    case OP_XCHG:
        return select_xchg(s, rec);
    default:
        fn = move_select_condition(s, rec);
        return fn ? fn : move_select_misc(s, rec);
    }
}
