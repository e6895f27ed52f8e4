/* SPDX-License-Identifier: MIT */
/* XADD, CMPXCHG and its double-width forms, ADCX and ADOX. All vCPUs run on one thread: LOCK needs
 * nothing. */
#include "cpu/interp/integer.h"

/* ---- XADD: TEMP := SRC + DEST; SRC := DEST; DEST := TEMP.  SDM Vol. 2D, "XADD" ---- */

ALWAYS_INLINE int xadd_r(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    uint64_t dst = reg_read(vcpu, width, rec->dst);
    struct alu r = alu_add(width, dst, reg_read(vcpu, width, rec->src));
    reg_write(vcpu, width, rec->src, dst);
    reg_write(vcpu, width, rec->dst, r.value);
    flags_commit(vcpu, r);
    NEXT;
}

ALWAYS_INLINE int xadd_m(struct vcpu *vcpu, const struct rec *rec, unsigned width, enum shape shape,
                         exec_fn *miss)
{
    struct rmw m = rmw_begin(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    struct alu r = alu_add(width, m.value, reg_read(vcpu, width, rec->src));
    rmw_end(vcpu, rec, m, width, r.value);
    reg_write(vcpu, width, rec->src, m.value);
    flags_commit(vcpu, r);
    NEXT;
}

/*
 * ---- CMPXCHG ----  SDM Vol. 2A, "CMPXCHG". "The processor never produces a locked read without
 * also producing a locked write": memory is written back on a mismatch. A register DEST is not (its
 * upper half survives a 32-bit mismatch), as on silicon.
 */

ALWAYS_INLINE int cmpxchg_r(struct vcpu *vcpu, const struct rec *rec, unsigned width)
{
    uint64_t acc = gpr_read(vcpu, width, REG_RAX), dst = reg_read(vcpu, width, rec->dst);
    if (acc == dst)
        reg_write(vcpu, width, rec->dst, reg_read(vcpu, width, rec->src));
    else
        gpr_write(vcpu, width, REG_RAX, dst);
    flags_commit(vcpu, alu_sub(width, acc, dst));
    NEXT;
}

ALWAYS_INLINE int cmpxchg_m(struct vcpu *vcpu, const struct rec *rec, unsigned width,
                            enum shape shape, exec_fn *miss)
{
    struct rmw m = rmw_begin(vcpu, rec, shape, width);
    if (unlikely(!m.ok))
        return miss(vcpu, rec);
    uint64_t acc = gpr_read(vcpu, width, REG_RAX);
    rmw_end(vcpu, rec, m, width, acc == m.value ? reg_read(vcpu, width, rec->src) : m.value);
    if (acc != m.value)
        gpr_write(vcpu, width, REG_RAX, m.value);
    flags_commit(vcpu, alu_sub(width, acc, m.value));
    NEXT;
}

/* clang-format off */
#define EXCHANGE(W, name)                                                      \
    EXEC(name##W##_r) { return name##_r(vcpu, rec, W); }                       \
    EXEC_SLOW(name##W) { return name##_m(vcpu, rec, W, SHAPE_SLOW, exec_fault); }               \
    EXEC(name##W##_bd) { return name##_m(vcpu, rec, W, SHAPE_BD, exec_##name##W##_slow); }      \
    EXEC(name##W##_m64) { return name##_m(vcpu, rec, W, SHAPE_M64, exec_##name##W##_slow); }    \
    EXEC(name##W##_gen) { return name##_m(vcpu, rec, W, SHAPE_GEN, exec_fault); }

WIDTHS(EXCHANGE, xadd)
WIDTHS(EXCHANGE, cmpxchg)

#define BY_WIDTH(name, form) {exec_##name##8_##form, exec_##name##16_##form, exec_##name##32_##form, exec_##name##64_##form}
#define TABLE(name) {BY_WIDTH(name, r), BY_WIDTH(name, bd), BY_WIDTH(name, m64), BY_WIDTH(name, gen)}
/* clang-format on */

static exec_fn *const xadd_handlers[FORM1_COUNT][4] = TABLE(xadd);
static exec_fn *const cmpxchg_handlers[FORM1_COUNT][4] = TABLE(cmpxchg);

/* ---- CMPXCHG8B, CMPXCHG16B: only ZF changes.  SDM Vol. 2A, "CMPXCHG8B/CMPXCHG16B" ---- */

static void set_zf(struct vcpu *vcpu, bool zf)
{
    flags_set_status(vcpu, (flags_status(vcpu) & ~(uint32_t)F_ZF) | (zf ? F_ZF : 0));
}

ALWAYS_INLINE int cmpxchg8b(struct vcpu *vcpu, const struct rec *rec, enum shape shape)
{
    struct rmw m = rmw_begin(vcpu, rec, shape, 64);
    if (unlikely(!m.ok))
        return exec_fault(vcpu, rec);
    uint64_t want = gpr_read(vcpu, 32, REG_RDX) << 32 | gpr_read(vcpu, 32, REG_RAX);
    uint64_t new = gpr_read(vcpu, 32, REG_RCX) << 32 | gpr_read(vcpu, 32, REG_RBX);
    bool equal = want == m.value;
    rmw_end(vcpu, rec, m, 64, equal ? new : m.value);
    if (!equal) {
        gpr_write(vcpu, 32, REG_RAX, m.value);
        gpr_write(vcpu, 32, REG_RDX, m.value >> 32);
    }
    set_zf(vcpu, equal);
    NEXT;
}

EXEC(cmpxchg8b_m64)
{
    return cmpxchg8b(vcpu, rec, SHAPE_FULL);
}

EXEC(cmpxchg8b_gen)
{
    return cmpxchg8b(vcpu, rec, SHAPE_GEN);
}

/* Out of line: it needs a buffer. False: run.fault. Read with write intent: a fault is one of
 * writing. */
static NOINLINE bool cmpxchg16b_at(struct vcpu *vcpu, const struct rec *rec, laddr la)
{
    uint8_t b[16];
    uint64_t *gpr = vcpu->arch.gpr;
    if (la & 15)
        return raise_fault_code(vcpu, EXC_GP, 0);
    struct loaded lo = mem_rmw_slow(vcpu, rec, la, 8);
    struct loaded hi = lo.ok ? mem_rmw_slow(vcpu, rec, la + 8, 8) : lo;
    if (!hi.ok)
        return false;
    bool equal = lo.value == gpr[REG_RAX] && hi.value == gpr[REG_RDX];
    le64_store(b, equal ? gpr[REG_RBX] : lo.value);
    le64_store(b + 8, equal ? gpr[REG_RCX] : hi.value);
    if (!mem_write_bytes(vcpu, rec, la, b, 16))
        return false;
    gpr[REG_RAX] = lo.value;
    gpr[REG_RDX] = hi.value;
    set_zf(vcpu, equal);
    return true;
}

EXEC(cmpxchg16b_m64)
{
    if (unlikely(!cmpxchg16b_at(vcpu, rec, rec_la64(vcpu, rec))))
        return exec_fault(vcpu, rec);
    NEXT;
}

EXEC(cmpxchg16b_gen)
{
    struct linear at = rec_la_checked(vcpu, rec, 16, ACCESS_WRITE);
    if (unlikely(!at.ok || !cmpxchg16b_at(vcpu, rec, at.la)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* ---- ADCX, ADOX: two carry chains.  SDM Vol. 2A, "ADCX"; "ADOX" ---- */

ALWAYS_INLINE int add_chain(struct vcpu *vcpu, const struct rec *rec, unsigned width, uint64_t src,
                            bool is_adox)
{
    bool in = is_adox ? flag_of(vcpu) : flag_cf(vcpu);
    struct alu r = alu_adc(width, reg_read(vcpu, width, rec->dst), src, in);
    bool out = r.carry >> 63;
    uint64_t carry = vcpu->run.flag_carry;
    vcpu->run.flag_carry = is_adox ? carry_with_of(carry, out) : carry_with_cf(carry, out);
    reg_write(vcpu, width, rec->dst, r.value);
    NEXT;
}

ALWAYS_INLINE int add_chain_m(struct vcpu *vcpu, const struct rec *rec, unsigned width,
                              enum shape shape, bool is_adox)
{
    struct loaded src = operand_load(vcpu, rec, shape, width);
    if (unlikely(!src.ok))
        return exec_fault(vcpu, rec);
    return add_chain(vcpu, rec, width, src.value, is_adox);
}

/* clang-format off */
#define CHAIN(W, name, IS_ADOX)                                                                                \
    EXEC(name##W##_r) { return add_chain(vcpu, rec, W, reg_read(vcpu, W, rec->src), IS_ADOX); }                \
    EXEC(name##W##_m64) { return add_chain_m(vcpu, rec, W, SHAPE_FULL, IS_ADOX); }                              \
    EXEC(name##W##_gen) { return add_chain_m(vcpu, rec, W, SHAPE_GEN, IS_ADOX); }

CHAIN(32, adcx, false)
CHAIN(64, adcx, false)
CHAIN(32, adox, true)
CHAIN(64, adox, true)

#define CHAIN_TABLE(name)                                                                                      \
    {{exec_##name##32_r, exec_##name##64_r}, {exec_##name##32_m64, exec_##name##64_m64},                       \
     {exec_##name##32_m64, exec_##name##64_m64}, {exec_##name##32_gen, exec_##name##64_gen}}
/* clang-format on */

static exec_fn *const chain_handlers[2][FORM1_COUNT][2] = {CHAIN_TABLE(adcx), CHAIN_TABLE(adox)};

exec_fn *arith_select_exchange(struct selection *s, struct rec *rec)
{
    switch (s->in->op) {
    case OP_XADD:
        return xadd_handlers[form1_of(s, rec, 0)][s->width];
    case OP_CMPXCHG:
        return cmpxchg_handlers[form1_of(s, rec, 0)][s->width];
    case OP_CMPXCHG8B:
        return s->mem64 ? exec_cmpxchg8b_m64 : exec_cmpxchg8b_gen;
    case OP_CMPXCHG16B:
        return s->mem64 ? exec_cmpxchg16b_m64 : exec_cmpxchg16b_gen;
    case OP_ADCX:
    case OP_ADOX:
        if (s->width < WIDTH_32)
            return exec_ud;
        return chain_handlers[s->in->op == OP_ADOX][form1_of(s, rec, 1)][s->width - WIDTH_32];
    default:
        return NULL;
    }
}
