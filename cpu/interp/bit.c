/* SPDX-License-Identifier: MIT */
/* BT BTS BTR BTC, BSF BSR, TZCNT LZCNT POPCNT, CRC32. */
#include "cpu/interp/integer.h"

/* ---- BT, BTS, BTR, BTC ---- */

ALWAYS_INLINE int bit_r(struct vcpu *vcpu, const struct rec *rec, enum bit_op op, unsigned width,
                        uint64_t bit)
{
    struct alu r = alu_bit_test(width, op, alu_old(vcpu, reg_read(vcpu, width, rec->dst)), bit);
    if (op != BIT_TEST)
        reg_write(vcpu, width, rec->dst, r.value);
    vcpu->run.flag_carry = r.carry;
    NEXT;
}

/* The word at la. BT only reads. */
ALWAYS_INLINE int bit_at(struct vcpu *vcpu, const struct rec *rec, enum bit_op op, unsigned width,
                         laddr la, uint64_t bit)
{
    struct rmw m = {0, la, NULL, false, false};
    if (op == BIT_TEST) {
        struct loaded v = mem_load(vcpu, rec, la, width / 8);
        m.value = v.value;
        m.ok = v.ok;
    } else {
        m = rmw_at(vcpu, rec, SHAPE_FULL, la, width);
    }
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    struct alu r = alu_bit_test(width, op, alu_old(vcpu, m.value), bit);
    if (op != BIT_TEST)
        rmw_end(vcpu, rec, m, width, r.value);
    vcpu->run.flag_carry = r.carry;
    NEXT;
}

ALWAYS_INLINE enum access access_of(enum bit_op op)
{
    return op == BIT_TEST ? ACCESS_READ : ACCESS_WRITE;
}

ALWAYS_INLINE int bit_m_i(struct vcpu *vcpu, const struct rec *rec, enum bit_op op, unsigned width,
                          enum shape shape)
{
    struct linear at = operand_la(vcpu, rec, shape, width / 8, access_of(op));
    if (unlikely(!at.ok))
        return exec_fault(vcpu, rec);
    return bit_at(vcpu, rec, op, width, at.la, rec_imm(rec));
}

/* A bit string: the register is signed and reaches beyond the operand.  SDM Vol. 2A, "BT"; Vol. 1,
 * "Bit String". */
ALWAYS_INLINE uint64_t string_offset(uint64_t bit, unsigned width)
{
    return (uint64_t)(sext(bit, width) >> 3) & ~(uint64_t)(width / 8 - 1);
}

ALWAYS_INLINE int bit_m64_r(struct vcpu *vcpu, const struct rec *rec, enum bit_op op,
                            unsigned width)
{
    uint64_t bit = reg_read(vcpu, width, rec->src);
    return bit_at(vcpu, rec, op, width, rec_la64(vcpu, rec) + string_offset(bit, width), bit);
}

/* The offset is part of the effective address, so it wraps with it. */
static NOINLINE struct linear string_la(struct vcpu *vcpu, const struct rec *rec, uint64_t offset,
                                        unsigned size, enum access access)
{
    uint64_t ea = (rec_ea(vcpu, rec) + offset) & low_mask((rec->scale >> 4) * 8u);
    laddr la = 0;
    vcpu->run.rec = rec;
    bool ok = seg_linear(vcpu, rec->seg, ea, size, access, &la);
    return (struct linear){la, ok};
}

ALWAYS_INLINE int bit_gen_r(struct vcpu *vcpu, const struct rec *rec, enum bit_op op,
                            unsigned width)
{
    uint64_t bit = reg_read(vcpu, width, rec->src);
    struct linear at = string_la(vcpu, rec, string_offset(bit, width), width / 8, access_of(op));
    if (unlikely(!at.ok))
        return exec_fault(vcpu, rec);
    return bit_at(vcpu, rec, op, width, at.la, bit);
}

/* clang-format off */
#define BITS(W, name, OP)                                                                            \
    EXEC(name##W##_r_r) { return bit_r(vcpu, rec, OP, W, reg_read(vcpu, W, rec->src)); }             \
    EXEC(name##W##_r_i) { return bit_r(vcpu, rec, OP, W, rec_imm(rec)); }                            \
    EXEC(name##W##_m64_i) { return bit_m_i(vcpu, rec, OP, W, SHAPE_FULL); }                          \
    EXEC(name##W##_gen_i) { return bit_m_i(vcpu, rec, OP, W, SHAPE_GEN); }                           \
    EXEC(name##W##_m64_r) { return bit_m64_r(vcpu, rec, OP, W); }                                    \
    EXEC(name##W##_gen_r) { return bit_gen_r(vcpu, rec, OP, W); }

#define BITS_ALL(name, OP) BITS(16, name, OP) BITS(32, name, OP) BITS(64, name, OP)

BITS_ALL(bt, BIT_TEST)
BITS_ALL(bts, BIT_SET)
BITS_ALL(btr, BIT_RESET)
BITS_ALL(btc, BIT_COMPLEMENT)

enum { R_R, R_I, M64_I, GEN_I, M64_R, GEN_R, BIT_FORMS };

#define WIDE(name, form) {NULL, exec_##name##16_##form, exec_##name##32_##form, exec_##name##64_##form}
#define TABLE(name)                                                                                  \
    {WIDE(name, r_r), WIDE(name, r_i), WIDE(name, m64_i), WIDE(name, gen_i), WIDE(name, m64_r), WIDE(name, gen_r)}

static exec_fn *const bit_handlers[4][BIT_FORMS][4] = {
    [BIT_TEST] = TABLE(bt), [BIT_SET] = TABLE(bts), [BIT_RESET] = TABLE(btr), [BIT_COMPLEMENT] = TABLE(btc),
};
/* clang-format on */

/* ---- BSF BSR TZCNT LZCNT POPCNT ---- */

enum count_op { COUNT_BSF, COUNT_BSR, COUNT_TZCNT, COUNT_LZCNT, COUNT_POPCNT, COUNT_OPS };

ALWAYS_INLINE struct alu apply_count(enum count_op op, unsigned width, uint64_t src)
{
    switch (op) {
    case COUNT_BSF:
        return alu_bsf(width, src);
    case COUNT_BSR:
        return alu_bsr(width, src);
    case COUNT_TZCNT:
        return alu_tzcnt(width, src);
    case COUNT_LZCNT:
        return alu_lzcnt(width, src);
    default:
        return alu_popcnt(width, src);
    }
}

/* BSF and BSR of zero leave DEST alone. */
ALWAYS_INLINE int count(struct vcpu *vcpu, const struct rec *rec, enum count_op op, unsigned width,
                        uint64_t src)
{
    struct alu r = apply_count(op, width, src);
    if (op > COUNT_BSR || r.result != 0)
        reg_write(vcpu, width, rec->dst, r.value);
    flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int count_m(struct vcpu *vcpu, const struct rec *rec, enum count_op op,
                          unsigned width, enum shape shape)
{
    struct loaded src = operand_load(vcpu, rec, shape, width);
    if (unlikely(!src.ok))
        return exec_fault(vcpu, rec);
    return count(vcpu, rec, op, width, src.value);
}

/* clang-format off */
#define COUNT(W, name, OP)                                                                           \
    EXEC(name##W##_r) { return count(vcpu, rec, OP, W, reg_read(vcpu, W, rec->src)); }               \
    EXEC(name##W##_m64) { return count_m(vcpu, rec, OP, W, SHAPE_FULL); }                            \
    EXEC(name##W##_gen) { return count_m(vcpu, rec, OP, W, SHAPE_GEN); }

#define COUNT_ALL(name, OP) COUNT(16, name, OP) COUNT(32, name, OP) COUNT(64, name, OP)

COUNT_ALL(bsf, COUNT_BSF)
COUNT_ALL(bsr, COUNT_BSR)
COUNT_ALL(tzcnt, COUNT_TZCNT)
COUNT_ALL(lzcnt, COUNT_LZCNT)
COUNT_ALL(popcnt, COUNT_POPCNT)

enum { PLACE_R, PLACE_M64, PLACE_GEN, PLACE_COUNT };

#define COUNT_TABLE(name) {WIDE(name, r), WIDE(name, m64), WIDE(name, gen)}
static exec_fn *const count_handlers[COUNT_OPS][PLACE_COUNT][4] = {
    COUNT_TABLE(bsf), COUNT_TABLE(bsr), COUNT_TABLE(tzcnt), COUNT_TABLE(lzcnt), COUNT_TABLE(popcnt),
};
/* clang-format on */

/* ---- CRC32: DEST is 32 bits, zero-extended; no flags ---- */

ALWAYS_INLINE int crc32(struct vcpu *vcpu, const struct rec *rec, unsigned width, uint64_t src)
{
    reg_set32(vcpu, rec->dst, alu_crc32((uint32_t)reg_get(vcpu, rec->dst), src, width / 8));
    NEXT;
}

ALWAYS_INLINE int crc32_m(struct vcpu *vcpu, const struct rec *rec, unsigned width,
                          enum shape shape)
{
    struct loaded src = operand_load(vcpu, rec, shape, width);
    if (unlikely(!src.ok))
        return exec_fault(vcpu, rec);
    return crc32(vcpu, rec, width, src.value);
}

/* clang-format off */
#define CRC32(W, name)                                                                               \
    EXEC(name##W##_r) { return crc32(vcpu, rec, W, reg_read(vcpu, W, rec->src)); }                   \
    EXEC(name##W##_m64) { return crc32_m(vcpu, rec, W, SHAPE_FULL); }                                \
    EXEC(name##W##_gen) { return crc32_m(vcpu, rec, W, SHAPE_GEN); }

WIDTHS(CRC32, crc)

#define BY_WIDTH(form) {exec_crc8_##form, exec_crc16_##form, exec_crc32_##form, exec_crc64_##form}
static exec_fn *const crc_handlers[PLACE_COUNT][4] = {BY_WIDTH(r), BY_WIDTH(m64), BY_WIDTH(gen)};
/* clang-format on */

static exec_fn *select_bit_test(const struct selection *s, enum bit_op op)
{
    const struct operand *o = s->in->operands;
    bool by_reg = opnd_is_reg(&o[1]);
    unsigned form = by_reg ? (s->mem64 ? M64_R : GEN_R) : (s->mem64 ? M64_I : GEN_I);
    if (opnd_is_reg(&o[0]))
        form = by_reg ? R_R : R_I;
    return bit_handlers[op][form][s->width];
}

static unsigned place_of(const struct selection *s)
{
    return opnd_is_reg(&s->in->operands[1]) ? PLACE_R : s->mem64 ? PLACE_M64 : PLACE_GEN;
}

exec_fn *select_bit(struct selection *s, struct rec *rec)
{
    (void)rec;
    switch (s->in->op) {
    case OP_BT:
        return select_bit_test(s, BIT_TEST);
    case OP_BTS:
        return select_bit_test(s, BIT_SET);
    case OP_BTR:
        return select_bit_test(s, BIT_RESET);
    case OP_BTC:
        return select_bit_test(s, BIT_COMPLEMENT);
    case OP_BSF:
        return count_handlers[COUNT_BSF][place_of(s)][s->width];
    case OP_BSR:
        return count_handlers[COUNT_BSR][place_of(s)][s->width];
    case OP_TZCNT:
        return count_handlers[COUNT_TZCNT][place_of(s)][s->width];
    case OP_LZCNT:
        return count_handlers[COUNT_LZCNT][place_of(s)][s->width];
    case OP_POPCNT:
        return count_handlers[COUNT_POPCNT][place_of(s)][s->width];
    case OP_CRC32:
        return crc_handlers[place_of(s)][width_index(s->in->operands[1].size)];
    default:
        return NULL;
    }
}
