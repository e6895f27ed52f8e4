/* SPDX-License-Identifier: MIT */
/* x87 loads and stores of every format, constants, FXCH, FCHS, FABS. */
#include "cpu/interp/x87_operand.h"

/* ---- loads ---- */

/* Push what was loaded, unless the stack is full. */
static void push(struct vcpu *vcpu, const struct fp_env *env, struct f80 v)
{
    if (!st_empty(vcpu, 7)) {
        if (x87_overflow(vcpu))
            st_push(vcpu, f80_indefinite());
        return;
    }
    x87_settle(vcpu, env);
    if (fp_x87_loads(env))
        st_push(vcpu, v);
}

/* FLD m32, m64; FILD. */
static NOINLINE bool load_number(struct vcpu *vcpu, const struct rec *rec)
{
    enum x87_format f = x87_format(rec);
    struct loaded m = x87_load(vcpu, rec, x87_bytes(f));
    struct fp_env env = x87_env(vcpu);
    struct f80 v;
    if (!m.ok)
        return false;
    if (f == X87_F32)
        v = f80_load_f32(&env, (uint32_t)m.value);
    else if (f == X87_F64)
        v = f80_load_f64(&env, m.value);
    else
        v = f80_from_i64(sext(m.value, x87_bytes(f) * 8));
    x87_point_mem(vcpu, rec);
    push(vcpu, &env, v);
    return true;
}

/* FLD m80, which converts nothing and raises nothing but #IS; FBLD. */
static NOINLINE bool load_ten_bytes(struct vcpu *vcpu, const struct rec *rec)
{
    uint8_t b[10];
    struct linear at = x87_la(vcpu, rec, 10, ACCESS_READ);
    struct fp_env env = x87_env(vcpu);
    if (!at.ok || !mem_read_bytes(vcpu, rec, at.la, b, 10))
        return false;
    x87_point_mem(vcpu, rec);
    if (x87_format(rec) == X87_BCD)
        push(vcpu, &env, f80_from_bcd(b));
    else
        push(vcpu, &env, (struct f80){le64_load(b), le16_load(b + 8)});
    return true;
}

X87_EXEC(load_ten_bytes, load_ten_bytes)

/* Nothing in the way: the stack has room and the value is exact. */
ALWAYS_INLINE void push_quick(struct vcpu *vcpu, const struct rec *rec, struct f80 v)
{
    x87_point_mem(vcpu, rec);
    x87_set_cc(vcpu, FSW_C1, 0);
    st_push(vcpu, v);
}

ALWAYS_INLINE bool load_quick(struct vcpu *vcpu, const struct rec *rec, unsigned size)
{
    if (unlikely(!x87_ready(vcpu)))
        return false;
    if (unlikely(!st_empty(vcpu, 7)))
        return load_number(vcpu, rec);
    struct loaded m = x87_load(vcpu, rec, size);
    if (unlikely(!m.ok))
        return false;
    struct x87_quick q = size == 8 ? x87_quick_f64(m.value) : x87_quick_f32((uint32_t)m.value);
    if (unlikely(!q.ok))
        return load_number(vcpu, rec);
    push_quick(vcpu, rec, q.value);
    return true;
}

ALWAYS_INLINE bool load_integer(struct vcpu *vcpu, const struct rec *rec)
{
    if (unlikely(!x87_ready(vcpu)))
        return false;
    if (unlikely(!st_empty(vcpu, 7)))
        return load_number(vcpu, rec);
    unsigned size = x87_bytes(x87_format(rec));
    struct loaded m = x87_load(vcpu, rec, size);
    if (unlikely(!m.ok))
        return false;
    push_quick(vcpu, rec, x87_from_integer(sext(m.value, size * 8)));
    return true;
}

EXEC(fild)
{
    if (unlikely(!load_integer(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* FLD m80 that hits the virtual TLB. */
EXEC(fld_m80)
{
    struct linear at = x87_la(vcpu, rec, 10, ACCESS_READ);
    const uint8_t *p = at.ok ? mem_read_host(vcpu, at.la, 10) : NULL;
    if (unlikely(!p || !st_empty(vcpu, 7) || (vcpu->arch.fsw & FSW_ES)))
        return exec_load_ten_bytes(vcpu, rec);
    push_quick(vcpu, rec, (struct f80){le64_load(p), le16_load(p + 8)});
    NEXT;
}

EXEC(fld_mem)
{
    enum x87_format f = x87_format(rec);
    if (f == X87_F80)
        return exec_fld_m80(vcpu, rec);
    if (unlikely(f == X87_F64 ? !load_quick(vcpu, rec, 8) : !load_quick(vcpu, rec, 4)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* An empty source comes before a full stack. */
static COLD void load_register_fault(struct vcpu *vcpu, unsigned i)
{
    if (st_empty(vcpu, i) ? x87_underflow(vcpu) : x87_overflow(vcpu))
        st_push(vcpu, f80_indefinite());
}

/* FLD ST(i). */
EXEC(fld_reg)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    x87_point(vcpu, rec);
    if (unlikely(st_empty(vcpu, rec->dst) || !st_empty(vcpu, 7))) {
        load_register_fault(vcpu, rec->dst);
        NEXT;
    }
    x87_set_cc(vcpu, FSW_C1, 0);
    st_push(vcpu, st_get(vcpu, rec->dst));
    NEXT;
}

/* FLD1 ... FLDZ. kind: enum f80_const. */
static NOINLINE void load_constant(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = x87_env(vcpu);
    x87_point(vcpu, rec);
    push(vcpu, &env, f80_constant((enum f80_const)x87_kind(rec), env.rc));
}

/* FLD1 and FLDZ need no rounding. */
EXEC(load_constant)
{
    unsigned which = x87_kind(rec);
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    if ((which == F80_1 || which == F80_0) && likely(st_empty(vcpu, 7))) {
        x87_point(vcpu, rec);
        x87_set_cc(vcpu, FSW_C1, 0);
        st_push(vcpu, which == F80_1 ? (struct f80){BIT(63), 0x3fff} : (struct f80){0, 0});
        NEXT;
    }
    load_constant(vcpu, rec);
    NEXT;
}

/* ---- stores ---- */

/* A number in the format of memory: the low 8 bytes and, for ten-byte formats, the other two. */
struct stored {
    uint64_t low;  /* bytes 0-7 */
    uint16_t high; /* bytes 8-9 */
};

static struct stored to_bcd(struct fp_env *env, struct f80 v)
{
    uint8_t b[10];
    f80_to_bcd(env, v, b);
    return (struct stored){le64_load(b), le16_load(b + 8)};
}

/* rc: of the instruction, for integers. The value of an empty register is the QNaN indefinite,
 * whose IE is the stack fault's. */
static struct stored convert(struct fp_env *env, enum x87_format f, struct f80 v, uint8_t rc)
{
    switch (f) {
    case X87_F32:
        return (struct stored){f80_store_f32(env, v), 0};
    case X87_F64:
        return (struct stored){f80_store_f64(env, v), 0};
    case X87_I16:
        return (struct stored){(uint16_t)f80_to_i16(env, v, rc), 0};
    case X87_I32:
        return (struct stored){(uint32_t)f80_to_i32(env, v, rc), 0};
    case X87_I64:
        return (struct stored){(uint64_t)f80_to_i64(env, v, rc), 0};
    case X87_BCD:
        return to_bcd(env, v);
    default:
        return (struct stored){v.mant, v.se};
    }
}

/* False: run.fault, nothing was written. */
static bool write_operand(struct vcpu *vcpu, const struct rec *rec, struct stored v)
{
    unsigned size = x87_bytes(x87_format(rec));
    struct linear at = x87_la(vcpu, rec, size, ACCESS_WRITE);
    uint8_t b[10];
    if (!at.ok)
        return false;
    if (size <= 8)
        return mem_store(vcpu, rec, at.la, size, v.low);
    le64_store(b, v.low);
    le16_store(b + 8, v.high);
    return mem_write_bytes(vcpu, rec, at.la, b, 10);
}

/*
 * An unmasked exception keeps the number from being stored; the operand is translated all the same,
 * and its faults come first, as on silicon. False: run.fault.
 */
static bool probe_operand(struct vcpu *vcpu, const struct rec *rec)
{
    unsigned size = x87_bytes(x87_format(rec));
    struct linear at = x87_la(vcpu, rec, size, ACCESS_WRITE);
    return at.ok && mem_probe_write(vcpu, rec, at.la, size);
}

static bool store_empty(struct vcpu *vcpu, const struct rec *rec, uint8_t rc)
{
    struct fp_env env = x87_env(vcpu);
    bool ok = x87_masks_invalid(vcpu)
                  ? write_operand(vcpu, rec, convert(&env, x87_format(rec), f80_indefinite(), rc))
                  : probe_operand(vcpu, rec);
    if (!ok)
        return false;
    x87_point_mem(vcpu, rec);
    if (x87_underflow(vcpu))
        st_pops(vcpu, x87_pops(rec));
    return true;
}

/* kind of the integer stores. */
enum { ROUNDED = 0, TRUNCATED = 1 };

/* FST, FSTP, FIST, FISTP, FISTTP, FBSTP. */
static NOINLINE bool store_number(struct vcpu *vcpu, const struct rec *rec)
{
    struct fp_env env = x87_env(vcpu);
    uint8_t rc = x87_kind(rec) == TRUNCATED ? FP_RC_ZERO : env.rc;
    if (st_empty(vcpu, 0))
        return store_empty(vcpu, rec, rc);
    struct stored v = convert(&env, x87_format(rec), st_get(vcpu, 0), rc);
    bool stores = fp_x87_stores(&env);
    if (!(stores ? write_operand(vcpu, rec, v) : probe_operand(vcpu, rec)))
        return false;
    x87_point_mem(vcpu, rec);
    x87_settle(vcpu, &env);
    if (stores)
        st_pops(vcpu, x87_pops(rec));
    return true;
}

X87_EXEC(store_number, store_number)

/* The end of a quick store: PE is masked. */
ALWAYS_INLINE void store_done(struct vcpu *vcpu, const struct rec *rec, struct x87_quick q)
{
    x87_point_mem(vcpu, rec);
    x87_set_cc(vcpu, FSW_C1, q.up ? FSW_C1 : 0);
    vcpu->arch.fsw |= q.inexact ? FP_PE : 0;
    if (x87_pops(rec))
        st_pop(vcpu);
}

/* FIST, FISTP, FISTTP of a number well within range. */
EXEC(fist)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    unsigned size = x87_bytes(x87_format(rec));
    struct x87_quick q =
        x87_quick_to_int(vcpu, st_get(vcpu, 0), size * 8, x87_kind(rec) == TRUNCATED);
    if (unlikely(!q.ok || st_empty(vcpu, 0)))
        return exec_store_number(vcpu, rec);
    struct linear at = x87_la(vcpu, rec, size, ACCESS_WRITE);
    if (unlikely(!at.ok || !mem_store(vcpu, rec, at.la, size, q.value.mant)))
        return exec_fault(vcpu, rec);
    store_done(vcpu, rec, q);
    NEXT;
}

/* FSTP m80 that hits the virtual TLB. */
EXEC(fstp_m80)
{
    struct linear at = x87_la(vcpu, rec, 10, ACCESS_WRITE);
    uint8_t *p = at.ok ? mem_write_host(vcpu, at.la, 10) : NULL;
    if (unlikely(!p || st_empty(vcpu, 0) || (vcpu->arch.fsw & FSW_ES)))
        return exec_store_number(vcpu, rec);
    struct f80 v = st_get(vcpu, 0);
    le64_store(p, v.mant);
    le16_store(p + 8, v.se);
    store_done(vcpu, rec, (struct x87_quick){.up = false});
    NEXT;
}

/* FST, FSTP m64 of a number that needs no more than rounding. */
EXEC(fst_mem)
{
    if (x87_format(rec) == X87_F80)
        return exec_fstp_m80(vcpu, rec);
    if (x87_format(rec) != X87_F64)
        return exec_store_number(vcpu, rec);
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    struct x87_quick q = x87_quick_to_f64(vcpu, st_get(vcpu, 0));
    if (unlikely(!q.ok || st_empty(vcpu, 0)))
        return exec_store_number(vcpu, rec);
    struct linear at = x87_la(vcpu, rec, 8, ACCESS_WRITE);
    if (unlikely(!at.ok || !mem_store(vcpu, rec, at.la, 8, q.value.mant)))
        return exec_fault(vcpu, rec);
    store_done(vcpu, rec, q);
    NEXT;
}

/* FST, FSTP ST(i). */
EXEC(fst_reg)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    x87_point(vcpu, rec);
    struct f80 v = st_get(vcpu, 0);
    bool ok = true;
    if (unlikely(st_empty(vcpu, 0))) {
        ok = x87_underflow(vcpu);
        v = f80_indefinite();
    } else {
        x87_set_cc(vcpu, FSW_C1, 0);
    }
    if (likely(ok)) {
        st_set(vcpu, rec->dst, v);
        if (x87_pops(rec))
            st_pop(vcpu);
    }
    NEXT;
}

/* FSTPNCE (D9 D8-DF): an empty ST(0) is no fault; nothing is stored and the stack is popped all the
 * same. */
EXEC(fstpnce)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    x87_point(vcpu, rec);
    x87_set_cc(vcpu, FSW_C1, 0);
    if (likely(!st_empty(vcpu, 0)))
        st_set(vcpu, rec->dst, st_get(vcpu, 0));
    st_pop(vcpu);
    NEXT;
}

/* ---- registers ---- */

static NOINLINE bool fxch_empty(struct vcpu *vcpu, unsigned i)
{
    if (!x87_underflow(vcpu))
        return true;
    if (st_empty(vcpu, 0))
        st_set(vcpu, 0, f80_indefinite());
    if (st_empty(vcpu, i))
        st_set(vcpu, i, f80_indefinite());
    return false;
}

/* FXCH: an empty register counts as the indefinite when #IS is masked. */
EXEC(fxch)
{
    unsigned i = rec->src;
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    x87_point(vcpu, rec);
    if (unlikely(st_empty(vcpu, 0) || st_empty(vcpu, i)) && fxch_empty(vcpu, i))
        NEXT;
    struct f80 a = st_get(vcpu, 0), b = st_get(vcpu, i);
    x87_set_cc(vcpu, FSW_C1, 0);
    st_set(vcpu, 0, b);
    st_set(vcpu, i, a);
    NEXT;
}

/* FCHS, FABS: sign bits of any content. kind: bits of se to clear (1) or invert (2). */
EXEC(sign)
{
    if (unlikely(!x87_ready(vcpu)))
        return exec_fault(vcpu, rec);
    x87_point(vcpu, rec);
    struct f80 v = st_get(vcpu, 0);
    v = x87_kind(rec) == 1 ? f80_absolute(v) : f80_change_sign(v);
    bool ok = true;
    if (unlikely(st_empty(vcpu, 0))) {
        ok = x87_underflow(vcpu);
        v = f80_indefinite();
    } else {
        x87_set_cc(vcpu, FSW_C1, 0);
    }
    if (likely(ok))
        st_set(vcpu, 0, v);
    NEXT;
}

const struct x87_row x87_move_rows[] = {
    {OP_FLD, exec_fld_reg, exec_fld_mem, 0, 0},
    {OP_FILD, NULL, exec_fild, 0, 0},
    {OP_FBLD, NULL, exec_load_ten_bytes, 0, 0},
    {OP_FLD1, exec_load_constant, NULL, F80_1, 0},
    {OP_FLDL2T, exec_load_constant, NULL, F80_L2T, 0},
    {OP_FLDL2E, exec_load_constant, NULL, F80_L2E, 0},
    {OP_FLDPI, exec_load_constant, NULL, F80_PI, 0},
    {OP_FLDLG2, exec_load_constant, NULL, F80_LG2, 0},
    {OP_FLDLN2, exec_load_constant, NULL, F80_LN2, 0},
    {OP_FLDZ, exec_load_constant, NULL, F80_0, 0},
    {OP_FST, exec_fst_reg, exec_fst_mem, ROUNDED, 0},
    {OP_FSTP, exec_fst_reg, exec_fst_mem, ROUNDED, 1},
    {OP_FSTPNCE, exec_fstpnce, NULL, ROUNDED, 1},
    {OP_FIST, NULL, exec_fist, ROUNDED, 0},
    {OP_FISTP, NULL, exec_fist, ROUNDED, 1},
    {OP_FISTTP, NULL, exec_fist, TRUNCATED, 1},
    {OP_FBSTP, NULL, exec_store_number, ROUNDED, 1},
    {OP_FXCH, exec_fxch, NULL, 0, 0},
    {OP_FABS, exec_sign, NULL, 1, 0},
    {OP_FCHS, exec_sign, NULL, 2, 0},
    {OP_INVALID, NULL, NULL, 0, 0},
};
