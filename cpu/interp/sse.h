/* SPDX-License-Identifier: MIT */
/*
 * What the MMX and SSE families share: registers, the record of such an instruction, the one
 * handler that can execute any of them (exec_simd), and the tables that choose. Included by
 * cpu/interp/sse*.c, mmx*.c and aes*.c alone. Owns nothing.
 *
 * An instruction is a meaning on values (simd_fn) and places for its operands. Every record carries
 * both, so exec_simd is always right; the hot handlers are short cuts for register operands and for
 * memory that hits the virtual TLB, and jump to exec_simd whenever anything is unusual.
 */
#pragma once

#include "cpu/interp/integer.h"
#include "cpu/simd.h"
#include "cpu/softfloat/softfloat.h"

/*
 * env is valid in rows with ROW_FP. *d is DEST before (zero for one that is only written elsewhere
 * than in XMM and MMX) and after; *s is SRC, zero-extended; imm is the immediate byte, 0 if there
 * is none. For PLACE_FLAGS d->q[0] is the new OSZAPC as RFLAGS bits.
 */
typedef void simd_fn(struct fp_env *env, union v128 *d, const union v128 *s, unsigned imm);

/* Where an operand is. */
enum simd_place {
    PLACE_FLAGS, /* DEST: none, the flags. SRC: none */
    PLACE_XMM,
    PLACE_MMX,
    PLACE_GPR32, /* 64-bit registers get zeros above */
    PLACE_GPR64,
    PLACE_MEM,
    PLACE_IMM, /* the immediate is SRC (shifts) */
};

/* rec->imm of such a record. */
enum {
    SIMD_IMM8 = 0xff,       /* the immediate */
    SIMD_M64 = 1 << 8,      /* the memory operand is rec_la64's, else rec_la_checked's */
    SIMD_FP = 1 << 9,       /* floating point: MXCSR's controls, its flags and exceptions */
    SIMD_MMX = 1 << 10,     /* goes from x87 to MMX state; a pending x87 exception comes first */
    SIMD_ALIGNED = 1 << 11, /* the memory operand must be aligned to its size */
    SIMD_SIZE_SHIFT = 12,   /* 3 bits: log2 of the bytes of the memory operand */
    SIMD_SRC_SHIFT = 15,    /* 3 bits: enum simd_place */
    SIMD_DST_SHIFT = 18,    /* 3 bits: enum simd_place */
};

/* Attributes of a row. */
enum {
    ROW_FP = 1 << 0,        /* SIMD_FP */
    ROW_UNALIGNED = 1 << 1, /* 16 bytes of memory need not be aligned */
};

/* How an op is executed. Tables are indexed by enum op; a row without fn is no row. */
struct simd_row {
    simd_fn *fn;    /* XMM, and whatever goes with it */
    simd_fn *mmx;   /* on MMX registers, in q[0]; NULL: no such form */
    exec_fn *hot_r; /* XMM from XMM register, or NULL */
    exec_fn *hot_m; /* XMM from memory in SIMD_M64 shape, or NULL */
    exec_fn *hot_i; /* XMM by immediate, or NULL */
    uint8_t attr;   /* ROW_* */
};

/* The handler for all of them; hot handlers end in it when they can't. */
exec_fn exec_simd;

/* rec->imm and rec->link for exec_simd with this meaning. */
void simd_prepare(const struct selection *s, struct rec *rec, simd_fn *fn, unsigned attr);

/* #UD or #NM by the mode word, else NULL. SDM Vol. 3A, "Providing Operating System Support for
 * SSE/SSE2/SSE3/SSSE3/SSE4 Extensions", Vol. 3A, "Emulation of the MMX Instruction Set"; with a VEX
 * prefix Vol. 1, "Detection of Intel AVX Instructions": XCR0 decides, CR0.EM and CR4.OSFXSR don't.
 */
exec_fn *simd_unavailable(const struct selection *s);

/* The handler for s by a row: NULL when the row has no meaning for it. */
exec_fn *simd_select(const struct simd_row *row, struct selection *s, struct rec *rec);

bool simd_has_mmx(const struct insn *in);

/* Parts of the worker for handlers of odd shape. False: run.fault. */
bool simd_source(struct vcpu *vcpu, const struct rec *rec, union v128 *s);
bool simd_la(struct vcpu *vcpu, const struct rec *rec, enum access access, laddr *la);
bool simd_write(struct vcpu *vcpu, const struct rec *rec, const union v128 *d);
bool simd_enter_mmx(struct vcpu *vcpu, const struct rec *rec);
void simd_commit_mmx(struct vcpu *vcpu);

/* SDM Vol. 1, "MXCSR Control and Status Register". */
enum { MXCSR_DAZ = 1 << 6, MXCSR_MASKS_SHIFT = 7, MXCSR_RC_SHIFT = 13, MXCSR_FTZ = 1 << 15 };

/*
 * MXCSR's controls for one instruction. While all exceptions are masked the sticky flags are in it
 * too, which opens the short cuts of sse_fast.h to meanings; otherwise it starts without flags, so
 * that those it has at the end are this instruction's.
 */
ALWAYS_INLINE struct fp_env sse_env(const struct vcpu *vcpu)
{
    uint32_t mxcsr = vcpu->arch.mxcsr;
    uint8_t masks = mxcsr >> MXCSR_MASKS_SHIFT & FP_ALL;
    return (struct fp_env){.rc = mxcsr >> MXCSR_RC_SHIFT & 3,
                           .daz = mxcsr & MXCSR_DAZ,
                           .ftz = mxcsr & MXCSR_FTZ,
                           .masks = masks,
                           .flags = masks == FP_ALL ? mxcsr & FP_ALL : 0};
}

/* The flags of env to MXCSR. False: one is unmasked, run.fault is #XM or #UD. */
bool sse_settle(struct vcpu *vcpu, const struct fp_env *env);

/* Tables, by file. */
extern const struct simd_row simd_int_rows[];     /* packed integers, up and down */
extern const struct simd_row simd_shuffle_rows[]; /* between lanes; inserts, extracts, extensions */
extern const struct simd_row simd_fp_rows[];      /* floating-point arithmetic */
extern const struct simd_row
    simd_packed_rows[]; /* the same: horizontal, compares to masks, rounding, estimates */
extern const struct simd_row simd_convert_rows[]; /* conversions */
extern const struct simd_row simd_aes_rows[];     /* AES-NI, PCLMULQDQ, GFNI */
extern const size_t simd_int_count, simd_shuffle_count, simd_fp_count, simd_packed_count,
    simd_convert_count, simd_aes_count;

/* The row of a legacy op in whichever table has it, or NULL. */
const struct simd_row *simd_row_find(unsigned op);

/* The row of op in a table of count rows, or NULL. */
static inline const struct simd_row *simd_row_of(const struct simd_row *rows, size_t count,
                                                 unsigned op)
{
    return op < count && rows[op].fn ? &rows[op] : NULL;
}

/* Families in files of their own. */
select_fn sse_select_string; /* PCMPxSTRx, VPCMPxSTRx */
select_fn sse_select_masked; /* MASKMOVDQU, VMASKMOVDQU, MASKMOVQ, BLENDVx */
select_fn sse_select_sha;    /* SHA1x, SHA256x */
select_fn sse_select_sse4a;  /* EXTRQ, INSERTQ */

/* select_sse_move for the legacy op of a VEX instruction to memory or a general register. */
exec_fn *sse_select_move(struct selection *s, struct rec *rec, unsigned op);

/* Meanings of moves: all (zero-extended where SRC is shorter); the lower quadword, the upper
 * cleared; from low to low, low to high, high to low quadword. */
simd_fn simd_copy, simd_movq, simd_low_qword, simd_high_qword, simd_high_to_low;

/* Lane by lane of 1, 4 or 8 bytes: SRC where the mask's sign bit is set, else DEST. SDM Vol. 2A,
 * "BLENDVPS", Vol. 2B, "PBLENDVB". */
union v128 simd_blend(union v128 d, union v128 s, union v128 mask, unsigned bytes);

/* ---- registers ---- */

ALWAYS_INLINE union v128 xmm_get(const struct vcpu *vcpu, unsigned n)
{
    union v128 v;
    memcpy(&v, &vcpu->arch.ymm[4 * n], sizeof(v));
    return v;
}

/* The upper half of the YMM register stays. */
ALWAYS_INLINE void xmm_set(struct vcpu *vcpu, unsigned n, union v128 v)
{
    memcpy(&vcpu->arch.ymm[4 * n], &v, sizeof(v));
}

ALWAYS_INLINE uint64_t xmm_low(const struct vcpu *vcpu, unsigned n)
{
    return vcpu->arch.ymm[4 * n];
}

ALWAYS_INLINE void xmm_set_low(struct vcpu *vcpu, unsigned n, uint64_t v)
{
    vcpu->arch.ymm[4 * n] = v;
}

ALWAYS_INLINE uint32_t xmm_low32(const struct vcpu *vcpu, unsigned n)
{
    return (uint32_t)vcpu->arch.ymm[4 * n];
}

ALWAYS_INLINE void xmm_set_low32(struct vcpu *vcpu, unsigned n, uint32_t v)
{
    uint64_t *q = &vcpu->arch.ymm[4 * n];
    *q = (*q & ~UINT64_C(0xffffffff)) | v;
}

ALWAYS_INLINE unsigned simd_imm8(const struct rec *rec)
{
    return (unsigned)rec->imm & SIMD_IMM8;
}

/* Bytes of the memory operand. */
ALWAYS_INLINE unsigned rec_bytes(const struct rec *rec)
{
    return 1u << ((unsigned)rec->imm >> SIMD_SIZE_SHIFT & 7);
}

ALWAYS_INLINE enum simd_place rec_source(const struct rec *rec)
{
    return (enum simd_place)((unsigned)rec->imm >> SIMD_SRC_SHIFT & 7);
}

ALWAYS_INLINE enum simd_place rec_destination(const struct rec *rec)
{
    return (enum simd_place)((unsigned)rec->imm >> SIMD_DST_SHIFT & 7);
}

/* How the selection says these. */
enum simd_place simd_place_of(const struct operand *o);
unsigned simd_log2_bytes(unsigned bytes);

/* Linear address of the memory operand, size bytes. */
ALWAYS_INLINE struct linear simd_linear(struct vcpu *vcpu, const struct rec *rec, unsigned size,
                                        enum access access)
{
    if (likely(rec->imm & SIMD_M64))
        return (struct linear){rec_la64(vcpu, rec), true};
    return rec_la_checked(vcpu, rec, size, access);
}

/* ---- shapes of hot handlers ---- */

/* 16 or 32 bytes in one page that hits, aligned if they must be: else not ok. */
ALWAYS_INLINE struct hit simd_hit(const struct vcpu *vcpu, const struct vtlb_entry *array, laddr la,
                                  unsigned size, bool aligned)
{
    struct hit at = vtlb_hit(vcpu, array, la, size);
    at.ok = at.ok && !(aligned && (la & (size - 1)));
    return at;
}

ALWAYS_INLINE struct hit simd_hit16(const struct vcpu *vcpu, const struct vtlb_entry *array,
                                    laddr la, bool aligned)
{
    return simd_hit(vcpu, array, la, 16, aligned);
}

/* clang-format off */
/* XMM := v_name(XMM, XMM or aligned memory), and the meaning for exec_simd. */
#define SIMD_HOT(name)                                                                                   \
    EXEC(name##_r)                                                                                       \
    {                                                                                                    \
        xmm_set(vcpu, rec->dst, v_##name(xmm_get(vcpu, rec->dst), xmm_get(vcpu, rec->src)));             \
        NEXT;                                                                                            \
    }                                                                                                    \
    EXEC(name##_m)                                                                                       \
    {                                                                                                    \
        struct hit at = simd_hit16(vcpu, vcpu->run.mmu.view.read, rec_la64(vcpu, rec), true);            \
        if (unlikely(!at.ok))                                                                            \
            return exec_simd(vcpu, rec);                                                                 \
        xmm_set(vcpu, rec->dst, v_##name(xmm_get(vcpu, rec->dst), v128_load(at.host)));                  \
        NEXT;                                                                                            \
    }
/* A simd_fn from v_name(DEST, SRC). */
#define SIMD_MEANING(name)                                                                               \
    static void do_##name(struct fp_env *env, union v128 *d, const union v128 *s, unsigned imm)          \
    {                                                                                                    \
        (void)env, (void)imm;                                                                            \
        *d = v_##name(*d, *s);                                                                           \
    }
/* The same from v_name(SRC, imm). */
#define SIMD_MEANING_IMM(name)                                                                           \
    static void do_##name(struct fp_env *env, union v128 *d, const union v128 *s, unsigned imm)          \
    {                                                                                                    \
        (void)env;                                                                                       \
        *d = v_##name(*s, imm);                                                                          \
    }
/* A simd_fn with a body of its own. */
#define SIMD_FN(name)                                                                                    \
    static void do_##name(struct fp_env *env UNUSED, union v128 *d UNUSED, const union v128 *s UNUSED,   \
                          unsigned imm UNUSED)
/* clang-format on */
