/* SPDX-License-Identifier: MIT */
/* x87 comparisons: FCOM, FUCOM, FICOM, FTST, FCOMI, FUCOMI, FXAM, and FCMOVcc, which reads their
 * flags. */
#include "cpu/flags.h"
#include "cpu/interp/x87_operand.h"

/* kind of the comparing rows. */
enum { SIGNALLING = 0, QUIET = 1 };

/* C3 C2 C0: SDM Vol. 1, "Branching and Conditional Moves on FPU Condition Codes". */
static unsigned relation_cc(enum fp_relation r)
{
    static const uint16_t codes[] = {[FP_LESS] = FSW_C0,
                                     [FP_EQUAL] = FSW_C3,
                                     [FP_GREATER] = 0,
                                     [FP_UNORDERED] = FSW_C3 | FSW_C2 | FSW_C0};
    return codes[r];
}

/* ZF PF CF from the condition codes: bits C3 C2 C0 as SAHF would take them; OF SF AF are cleared.
 */
static unsigned relation_flags(enum fp_relation r)
{
    return relation_cc(r) >> 8;
}

/* Where the outcome of a comparison goes. */
enum target { TO_CC, TO_FLAGS };

static void deliver(struct vcpu *vcpu, enum target target, enum fp_relation r)
{
    if (target == TO_FLAGS)
        flags_set_status(vcpu, relation_flags(r));
    else
        x87_set_cc(vcpu, FSW_C3 | FSW_C2 | FSW_C0, relation_cc(r));
}

/*
 * Compare ST(0) with SRC. The codes say "unordered" for an invalid operation even when it is not
 * masked, as silicon does; the stack is popped only when it is.
 */
static void compare(struct vcpu *vcpu, const struct rec *rec, enum target target, bool is_empty,
                    struct x87_operand src)
{
    if (is_empty) {
        bool masked = x87_underflow(vcpu);
        deliver(vcpu, target, FP_UNORDERED);
        if (masked)
            st_pops(vcpu, x87_pops(rec));
        return;
    }
    struct fp_env env = x87_env(vcpu);
    enum fp_relation r =
        f80_compare(&env, st_get(vcpu, 0), src.value, src.denormal, x87_kind(rec) == SIGNALLING);
    x87_settle(vcpu, &env);
    deliver(vcpu, target, r);
    if (fp_x87_commits(&env))
        st_pops(vcpu, x87_pops(rec));
}

static void compare_registers(struct vcpu *vcpu, const struct rec *rec, enum target target,
                              unsigned i)
{
    struct x87_operand src = {.value = st_get(vcpu, i), .ok = true};
    x87_point(vcpu, rec);
    compare(vcpu, rec, target, st_empty(vcpu, 0) || st_empty(vcpu, i), src);
}

static NOINLINE bool fcom_reg(struct vcpu *vcpu, const struct rec *rec)
{
    compare_registers(vcpu, rec, TO_CC, rec->src);
    return true;
}

/* FCOMPP, FUCOMPP name no operand. */
static NOINLINE bool fcompp(struct vcpu *vcpu, const struct rec *rec)
{
    compare_registers(vcpu, rec, TO_CC, 1);
    return true;
}

static NOINLINE bool fcomi(struct vcpu *vcpu, const struct rec *rec)
{
    compare_registers(vcpu, rec, TO_FLAGS, rec->src);
    return true;
}

static NOINLINE bool fcom_mem(struct vcpu *vcpu, const struct rec *rec)
{
    struct x87_operand src = x87_operand(vcpu, rec);
    if (!src.ok)
        return false;
    x87_point_mem(vcpu, rec);
    compare(vcpu, rec, TO_CC, st_empty(vcpu, 0), src);
    return true;
}

static NOINLINE bool ftst(struct vcpu *vcpu, const struct rec *rec)
{
    struct x87_operand zero = {.ok = true};
    x87_point(vcpu, rec);
    compare(vcpu, rec, TO_CC, st_empty(vcpu, 0), zero);
    return true;
}

/* FXAM: class in C3 C2 C0, sign in C1, which an empty register has too. SDM Vol. 2A, "FXAM". */
static NOINLINE bool fxam(struct vcpu *vcpu, const struct rec *rec)
{
    struct f80 v = st_get(vcpu, 0);
    unsigned c = st_empty(vcpu, 0) ? 5u : f80_examine(v);
    unsigned cc = (c & 4 ? FSW_C3 : 0u) | (c & 2 ? FSW_C2 : 0u) | (c & 1 ? FSW_C0 : 0u);
    x87_point(vcpu, rec);
    x87_set_cc(vcpu, FSW_CC, cc | (v.se & 0x8000 ? FSW_C1 : 0u));
    return true;
}

/* FCMOVcc: an empty register is a fault, and its masked result, whether the condition holds or not;
 * C1 changes only then. kind: the condition code. */
static NOINLINE bool fcmov(struct vcpu *vcpu, const struct rec *rec)
{
    bool holds = flag_condition(vcpu, x87_kind(rec));
    x87_point(vcpu, rec);
    if (st_empty(vcpu, 0) || st_empty(vcpu, rec->src)) {
        if (x87_underflow(vcpu))
            st_set(vcpu, 0, f80_indefinite());
        return true;
    }
    if (holds)
        st_set(vcpu, 0, st_get(vcpu, rec->src));
    return true;
}

X87_EXEC(fcom_reg, fcom_reg)
X87_EXEC(fcompp, fcompp)
X87_EXEC(fcom_mem, fcom_mem)
X87_EXEC(fcomi, fcomi)
X87_EXEC(ftst, ftst)
X87_EXEC(fxam, fxam)
X87_EXEC(fcmov, fcmov)

const struct x87_row x87_compare_rows[] = {
    {OP_FCOM, exec_fcom_reg, exec_fcom_mem, SIGNALLING, 0},
    {OP_FCOMP, exec_fcom_reg, exec_fcom_mem, SIGNALLING, 1},
    {OP_FCOMPP, exec_fcompp, NULL, SIGNALLING, 2},
    {OP_FICOM, NULL, exec_fcom_mem, SIGNALLING, 0},
    {OP_FICOMP, NULL, exec_fcom_mem, SIGNALLING, 1},
    {OP_FUCOM, exec_fcom_reg, NULL, QUIET, 0},
    {OP_FUCOMP, exec_fcom_reg, NULL, QUIET, 1},
    {OP_FUCOMPP, exec_fcompp, NULL, QUIET, 2},
    {OP_FCOMI, exec_fcomi, NULL, SIGNALLING, 0},
    {OP_FCOMIP, exec_fcomi, NULL, SIGNALLING, 1},
    {OP_FUCOMI, exec_fcomi, NULL, QUIET, 0},
    {OP_FUCOMIP, exec_fcomi, NULL, QUIET, 1},
    {OP_FTST, exec_ftst, NULL, SIGNALLING, 0},
    {OP_FXAM, exec_fxam, NULL, 0, 0},
    {OP_FCMOVB, exec_fcmov, NULL, 2, 0},
    {OP_FCMOVE, exec_fcmov, NULL, 4, 0},
    {OP_FCMOVBE, exec_fcmov, NULL, 6, 0},
    {OP_FCMOVU, exec_fcmov, NULL, 10, 0},
    {OP_FCMOVNB, exec_fcmov, NULL, 3, 0},
    {OP_FCMOVNE, exec_fcmov, NULL, 5, 0},
    {OP_FCMOVNBE, exec_fcmov, NULL, 7, 0},
    {OP_FCMOVNU, exec_fcmov, NULL, 11, 0},
    {OP_INVALID, NULL, NULL, 0, 0},
};
