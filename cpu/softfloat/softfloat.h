/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Floating point in integer arithmetic: SSE single and double precision, and the 80-bit x87 format.
 *
 * Called by the SSE handlers (mostly through sse_fast.h) and by the x87 handlers. Owns the rules of
 * the manual that belong to *values*: rounding, NaN propagation, exception flags and their order,
 * masked and unmasked results. It never touches the x87 stack, tags or MXCSR, never traps, and
 * never uses the host's floating point, so that every host computes the same bits.
 *
 * An unmasked exception is a flag in env->flags whose bit in env->masks is clear:
 *   - SSE: the instruction must write nothing; call fp_sse_settle() first when it had several
 * elements;
 *   - x87: fp_x87_commits(), fp_x87_loads() and fp_x87_stores() say whether the returned value is
 * to be written.
 *
 * SDM Vol. 1, "Programming with the x87 FPU", "Programming with Intel SSE", and the section
 * "Overview of Floating-Point Exceptions".
 */

#include <stdbool.h>
#include <stdint.h>

/* Exception flags, in the order of FSW, FCW and MXCSR. */
enum {
    FP_IE = 1u << 0,                /* invalid operation */
    FP_DE = 1u << 1,                /* denormal operand */
    FP_ZE = 1u << 2,                /* divide by zero */
    FP_OE = 1u << 3,                /* numeric overflow */
    FP_UE = 1u << 4,                /* numeric underflow */
    FP_PE = 1u << 5,                /* inexact result (precision) */
    FP_ALL = 0x3f,                  /* all six */
    FP_PRE = FP_IE | FP_DE | FP_ZE, /* found before the result is computed */
};

/* Rounding control, as encoded in FCW.RC, MXCSR.RC and the immediate of ROUNDxx. */
enum {
    FP_RC_NEAREST = 0, /* to nearest, ties to even */
    FP_RC_DOWN = 1,    /* toward minus infinity */
    FP_RC_UP = 2,      /* toward plus infinity */
    FP_RC_ZERO = 3,    /* truncate */
};

/*
 * Control and status of one floating-point unit. It lives in the vCPU (one for SSE, one for x87).
 * For SSE, flags may be seeded with the sticky flags of MXCSR while all exceptions are masked (that
 * is what opens the fast path); otherwise the caller clears it before the instruction and merges
 * after.
 */
struct fp_env {
    uint8_t rc;    /* rounding control, FP_RC_* */
    uint8_t pc;    /* x87 precision control in bits: 24, 53 or 64; not used by SSE */
    bool daz;      /* MXCSR.DAZ: denormal inputs are zero; false for x87 */
    bool ftz;      /* MXCSR.FTZ: tiny results become zero while UM is set; false for x87 */
    uint8_t masks; /* exception masks IM..PM, bits 0-5; a set bit masks */
    uint8_t flags; /* out, OR-ed: IE DE ZE OE UE PE, bits 0-5 */
    bool c1_up;    /* out, x87: C1, the last rounding went away from zero */
};

/* Double extended precision as it stands in memory and in the x87 registers. */
struct f80 {
    uint64_t mant; /* significand, bit 63 is the explicit integer bit J */
    uint16_t se;   /* bit 15 sign, bits 14-0 biased exponent (3FFFh is 2^0) */
};

/* Outcome of a comparison. */
enum fp_relation {
    FP_LESS,      /* first < second */
    FP_EQUAL,     /* equal, zeros of either sign included */
    FP_GREATER,   /* first > second */
    FP_UNORDERED, /* a NaN or an unsupported format took part */
};

/* The four operations that share one set of rules. */
enum fp_op {
    FP_ADD, /* a + b */
    FP_SUB, /* a - b */
    FP_MUL, /* a * b */
    FP_DIV, /* a / b */
};

/*
 * A number before rounding: (-1)^sign * (hi:lo / 2^127) * 2^exp, bit 63 of hi set unless it is
 * zero. Bit 0 of lo is sticky: set when anything nonzero lies below.
 */
struct fp_wide {
    uint64_t hi; /* upper 64 bits of the significand */
    uint64_t lo; /* lower 64 bits, sticky at the end */
    int32_t exp; /* unbiased exponent, not limited to any format */
    bool sign;   /* negative */
};

/*
 * True values of the x87 transcendentals, filled by whoever links a multiple-precision library. The
 * arguments are finite, nonzero and in range; every special case is handled before the call. A
 * result is truncated toward zero with a sticky end, so that one rounding gives the correctly
 * rounded value in every mode; trigonometric arguments are reduced with the 66-bit pi of SDM Vol.
 * 1, "Approximation of Pi".
 */
struct fp_transcendentals {
    struct fp_wide (*f2xm1)(struct f80 x);                 /* 2^x - 1, 0 < |x| < 1 */
    struct fp_wide (*fyl2x)(struct f80 y, struct f80 x);   /* y * log2(x), x > 0, x != 1 */
    struct fp_wide (*fyl2xp1)(struct f80 y, struct f80 x); /* y * log2(x + 1), x > -1 */
    struct fp_wide (*fpatan)(struct f80 y, struct f80 x);  /* angle of the point (x, y) */
    struct fp_wide (*fsin)(struct f80 x);                  /* |x| < 2^63 */
    struct fp_wide (*fcos)(struct f80 x);                  /* |x| < 2^63 */
    struct fp_wide (*fptan)(struct f80 x);                 /* |x| < 2^63 */
};

/*
 * Flags of a packed SSE instruction after all its elements: an unmasked pre-computation exception
 * of any element keeps the post-computation ones from being reported (SDM Vol. 1, "SIMD
 * Floating-Point Exception Conditions"). Nonzero (flags & ~masks) afterwards means #XM or #UD and
 * no write.
 */
static inline uint8_t fp_sse_settle(uint8_t flags, uint8_t masks)
{
    return (flags & FP_PRE & ~masks) != 0 ? (uint8_t)(flags & FP_PRE) : flags;
}

/* Whether an x87 result goes to its register: not after an unmasked IE, DE or ZE. */
static inline bool fp_x87_commits(const struct fp_env *env)
{
    return (env->flags & ~env->masks & FP_PRE) == 0;
}

/*
 * Whether FLD m32/m64 pushes: an unmasked DE does not stop it. (SDM Vol. 1, "Denormal Operand
 * Exception", reads as if TOP were left alone; silicon, an AMD EPYC, pushes the converted value.)
 */
static inline bool fp_x87_loads(const struct fp_env *env)
{
    return (env->flags & ~env->masks & FP_IE) == 0;
}

/* Whether an x87 store goes to memory (and pops): not after an unmasked exception other than PE. */
static inline bool fp_x87_stores(const struct fp_env *env)
{
    return (env->flags & ~env->masks & FP_ALL & ~FP_PE) == 0;
}

/* ---- SSE: bit patterns of IEEE single (uint32_t) and double (uint64_t) ---- */

/*
 * ADD, SUB, MUL, DIV, SQRT. NaNs: the first source that is a NaN, quieted; QNaN floating-point
 * indefinite for an invalid operation. SDM Vol. 1, "Operating on SNaNs and QNaNs".
 */
uint32_t f32_add(struct fp_env *env, uint32_t a, uint32_t b);
uint32_t f32_sub(struct fp_env *env, uint32_t a, uint32_t b);
uint32_t f32_mul(struct fp_env *env, uint32_t a, uint32_t b);
uint32_t f32_div(struct fp_env *env, uint32_t a, uint32_t b);
uint32_t f32_sqrt(struct fp_env *env, uint32_t a);
uint64_t f64_add(struct fp_env *env, uint64_t a, uint64_t b);
uint64_t f64_sub(struct fp_env *env, uint64_t a, uint64_t b);
uint64_t f64_mul(struct fp_env *env, uint64_t a, uint64_t b);
uint64_t f64_div(struct fp_env *env, uint64_t a, uint64_t b);
uint64_t f64_sqrt(struct fp_env *env, uint64_t a);

/* Signs of a fused multiply-add: FNMADD negates the product, FMSUB the addend, FNMSUB both. */
enum { FP_NEGATE_PRODUCT = 1, FP_NEGATE_ADDEND = 2 };

/*
 * a * b + c with one rounding. NaNs: a, else b, else c, quieted and with its own sign; a QNaN
 * outranks 0 * Inf. SDM Vol. 1, "Fused-Multiply-ADD (FMA) Numeric Behavior".
 */
uint32_t f32_fma(struct fp_env *env, uint32_t a, uint32_t b, uint32_t c, unsigned negate);
uint64_t f64_fma(struct fp_env *env, uint64_t a, uint64_t b, uint64_t c, unsigned negate);

/* MIN, MAX: the second operand, unchanged, when either is a NaN or both are zero (SDM Vol. 2,
 * "MINPS"). */
uint32_t f32_min(struct fp_env *env, uint32_t a, uint32_t b);
uint32_t f32_max(struct fp_env *env, uint32_t a, uint32_t b);
uint64_t f64_min(struct fp_env *env, uint64_t a, uint64_t b);
uint64_t f64_max(struct fp_env *env, uint64_t a, uint64_t b);

/* Compare; signalling forms (COMISx, CMPLT, CMPLE, CMPNLT, CMPNLE) raise IE for a QNaN as well. */
enum fp_relation f32_compare(struct fp_env *env, uint32_t a, uint32_t b, bool signalling);
enum fp_relation f64_compare(struct fp_env *env, uint64_t a, uint64_t b, bool signalling);

/* Round to integral value by rc; PE is not reported when suppress_pe (SDM Vol. 2, "ROUNDPD"). */
uint32_t f32_round(struct fp_env *env, uint32_t a, uint8_t rc, bool suppress_pe);
uint64_t f64_round(struct fp_env *env, uint64_t a, uint8_t rc, bool suppress_pe);

/* CVTSS2SD, CVTSD2SS. */
uint64_t f32_to_f64(struct fp_env *env, uint32_t a);
uint32_t f64_to_f32(struct fp_env *env, uint64_t a);

/*
 * Half precision (bits 15:0): VCVTPH2PS takes denormals as they are, whatever DAZ says, and never
 * reports DE; VCVTPS2PH rounds by rc and makes denormals, whatever FTZ says (SDM Vol. 2).
 */
uint32_t f16_to_f32(struct fp_env *env, uint16_t a);
uint16_t f32_to_f16(struct fp_env *env, uint32_t a, uint8_t rc);

/* To signed integers by rc (pass FP_RC_ZERO for CVTT forms, env->rc for the others); the integer
 * indefinite (only the sign bit set) and IE when the value does not fit. */
int32_t f32_to_i32(struct fp_env *env, uint32_t a, uint8_t rc);
int64_t f32_to_i64(struct fp_env *env, uint32_t a, uint8_t rc);
int32_t f64_to_i32(struct fp_env *env, uint64_t a, uint8_t rc);
int64_t f64_to_i64(struct fp_env *env, uint64_t a, uint8_t rc);

/* From signed integers, rounded by env->rc. */
uint32_t f32_from_i32(struct fp_env *env, int32_t v);
uint32_t f32_from_i64(struct fp_env *env, int64_t v);
uint64_t f64_from_i32(struct fp_env *env, int32_t v);
uint64_t f64_from_i64(struct fp_env *env, int64_t v);

/* ---- x87: 80-bit ---- */

/*
 * FADD, FSUB, FMUL, FDIV (the reversed forms swap a and b), rounded to env->pc bits.
 *   m_denormal  the memory operand was denormal in its own format before it was widened (DE)
 * All of the functions below clear env->c1_up first and OR into env->flags.
 */
struct f80 f80_arith(struct fp_env *env, enum fp_op op, struct f80 a, struct f80 b,
                     bool m_denormal);
struct f80 f80_sqrt(struct fp_env *env, struct f80 a);

/* The exact root of a normal, positive number before rounding. Small enough to come back in
 * registers, for handlers. */
struct f80_root {
    uint64_t hi; /* 64 bits, bit 63 set; the exponent is half of a's, rounded down */
    uint64_t lo; /* the bits below; the last stands for all that follow */
};
struct f80_root f80_root(struct f80 a);

/* FCOM (signalling: IE for any NaN) and FUCOM (IE for SNaN and unsupported formats only). */
enum fp_relation f80_compare(struct fp_env *env, struct f80 a, struct f80 b, bool m_denormal,
                             bool signalling);

/* FRNDINT, by env->rc. */
struct f80 f80_rndint(struct fp_env *env, struct f80 a);

/* FSCALE: a * 2^trunc(b). Always rounded to 64 bits. */
struct f80 f80_scale(struct fp_env *env, struct f80 a, struct f80 b);

/* FXTRACT: returns the significand (new ST(0)); *exponent gets what replaces the old ST(0). */
struct f80 f80_extract(struct fp_env *env, struct f80 a, struct f80 *exponent);

/* Partial remainder: FPREM truncates the quotient, FPREM1 (nearest) rounds it. */
struct f80_rem {
    struct f80 value; /* the remainder, or the partly reduced dividend */
    uint8_t quotient; /* Q2..Q0 in bits 2-0, for C0, C3, C1 */
    bool partial;     /* C2: reduction is incomplete, execute again */
};
struct f80_rem f80_rem(struct fp_env *env, struct f80 a, struct f80 b, bool nearest);

/* FXAM class in the bits C3 C2 C0 (bits 2, 1, 0) of a register that is not empty. */
uint8_t f80_examine(struct f80 a);

static inline struct f80 f80_change_sign(struct f80 a)
{
    a.se ^= 0x8000;
    return a;
}

static inline struct f80 f80_absolute(struct f80 a)
{
    a.se &= 0x7fff;
    return a;
}

/* FLD m32/m64: DE for a denormal, IE for an SNaN, which comes back quiet. */
struct f80 f80_load_f32(struct fp_env *env, uint32_t v);
struct f80 f80_load_f64(struct fp_env *env, uint64_t v);

/* Widen a memory operand of an arithmetic or compare instruction: no flags, SNaN stays signalling;
 * *m_denormal goes to f80_arith() or f80_compare(). */
struct f80 f80_widen_f32(uint32_t v, bool *m_denormal);
struct f80 f80_widen_f64(uint64_t v, bool *m_denormal);

/* FST m32/m64. */
uint32_t f80_store_f32(struct fp_env *env, struct f80 a);
uint64_t f80_store_f64(struct fp_env *env, struct f80 a);

/* FILD (exact) and FIST/FISTP/FISTTP (rc FP_RC_ZERO for the last). */
struct f80 f80_from_i64(int64_t v);
int16_t f80_to_i16(struct fp_env *env, struct f80 a, uint8_t rc);
int32_t f80_to_i32(struct fp_env *env, struct f80 a, uint8_t rc);
int64_t f80_to_i64(struct fp_env *env, struct f80 a, uint8_t rc);

/* FBLD, FBSTP: ten bytes, least significant digit pair first, sign in bit 7 of the last. */
struct f80 f80_from_bcd(const uint8_t bcd[10]);
void f80_to_bcd(struct fp_env *env, struct f80 a, uint8_t bcd[10]);

/* FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ in the order of their opcodes D9 E8-EE. */
enum f80_const { F80_1, F80_L2T, F80_L2E, F80_PI, F80_LG2, F80_LN2, F80_0, F80_CONST_COUNT };
struct f80 f80_constant(enum f80_const which, uint8_t rc);

/* QNaN floating-point indefinite, the masked response to stack faults and invalid operations. */
static inline struct f80 f80_indefinite(void)
{
    return (struct f80){.mant = UINT64_C(0xc000000000000000), .se = 0xffff};
}

/*
 * Transcendentals; SDM Vol. 2 under each mnemonic, tables "... Results". Results are correctly
 * rounded to 64 bits by env->rc, whatever env->pc says.
 */
struct f80 f80_f2xm1(struct fp_env *env, const struct fp_transcendentals *t, struct f80 x);
struct f80 f80_fyl2x(struct fp_env *env, const struct fp_transcendentals *t, struct f80 y,
                     struct f80 x);
struct f80 f80_fyl2xp1(struct fp_env *env, const struct fp_transcendentals *t, struct f80 y,
                       struct f80 x);
struct f80 f80_fpatan(struct fp_env *env, const struct fp_transcendentals *t, struct f80 y,
                      struct f80 x);

/* FSIN, FCOS, FPTAN: false when |x| >= 2^63 (C2 = 1, nothing changes); otherwise true and *out. The
 * handler of FPTAN pushes the 1.0, or the same NaN, itself. FSINCOS calls the first two. */
bool f80_fsin(struct fp_env *env, const struct fp_transcendentals *t, struct f80 x,
              struct f80 *out);
bool f80_fcos(struct fp_env *env, const struct fp_transcendentals *t, struct f80 x,
              struct f80 *out);
bool f80_fptan(struct fp_env *env, const struct fp_transcendentals *t, struct f80 x,
               struct f80 *out);
