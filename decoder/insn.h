/* SPDX-License-Identifier: MIT */
/*
 * Bytes to struct insn, and the one instruction table. Called by the block builder, by the emulators of sensitive
 * instructions (for the insn of an exit), by the tracer and the classifier. Owns nothing but const tables and the
 * lookup that decoder_create builds from insn.def. Never reads more than 15 bytes; never looks at machine state
 * other than the three facts in enum decode_mode.
 */
#pragma once

#include "base/types.h"

#define INSN_MAX_LEN 15

/* What of the machine's state changes how bytes decode: CS.L and CS.D. */
enum decode_mode {
    DECODE_16, /* real, virtual-8086 and 16-bit code segments */
    DECODE_32, /* 32-bit code segments, compatibility mode included */
    DECODE_64, /* 64-bit mode */
};

/* Architectural flag bits, as in RFLAGS. */
enum {
    F_CF = 1 << 0,
    F_PF = 1 << 2,
    F_AF = 1 << 4,
    F_ZF = 1 << 6,
    F_SF = 1 << 7,
    F_TF = 1 << 8,
    F_IF = 1 << 9,
    F_DF = 1 << 10,
    F_OF = 1 << 11,
    F_IOPL = 3 << 12,
    F_NT = 1 << 14,
    F_RF = 1 << 16,
    F_VM = 1 << 17,
    F_AC = 1 << 18,
    F_VIF = 1 << 19,
    F_VIP = 1 << 20,
    F_ID = 1 << 21,
};
#define F_OSZAPC (F_OF | F_SF | F_ZF | F_AF | F_PF | F_CF)
#define F_OSZAP (F_OF | F_SF | F_ZF | F_AF | F_PF)
#define F_OSZPC (F_OF | F_SF | F_ZF | F_PF | F_CF)
#define F_ALL 0x3f7fd5

/* The architectural condition that makes an instruction trap (column "privilege"). */
enum insn_privilege {
    PRIV_NONE,
    PRIV_CPL0,    /* #GP(0) if CPL > 0 */
    PRIV_IOPL,    /* #GP(0) if CPL > IOPL (CLI, STI; also VME/PVI) */
    PRIV_IO,      /* IN, OUT, INS, OUTS: IOPL or the I/O permission bitmap */
    PRIV_VM86,    /* #GP(0) in virtual-8086 mode with IOPL < 3 */
    PRIV_UMIP,    /* #GP(0) if CPL > 0 and CR4.UMIP */
    PRIV_TSD,     /* #GP(0) if CPL > 0 and CR4.TSD (RDTSC, RDTSCP) */
    PRIV_PCE,     /* #GP(0) if CPL > 0 and not CR4.PCE (RDPMC) */
    PRIV_PE,      /* #UD outside protected mode (LAR, LSL, VERR, ARPL ...) */
    PRIV_GATE,    /* by the descriptor or gate it names (far CALL, JMP, RET, INT, IRET, segment loads) */
    PRIV_FSGS,    /* #UD unless CR4.FSGSBASE */
    PRIV_OSXSAVE, /* #UD unless CR4.OSXSAVE */
    PRIV_CPL0_PE, /* #UD outside protected mode, then #GP(0) if CPL > 0 (LLDT, LTR) */
    PRIV_UMIP_PE, /* #UD outside protected mode, then as PRIV_UMIP (SLDT, STR) */
};

/* Sensitivity after Popek and Goldberg (a set; column "sensitivity"). */
enum sensitivity {
    SENS_NONE = 0,
    SENS_CONTROL = 1,  /* changes the mode or the allocation of resources */
    SENS_MODE = 2,     /* behaviour depends on the mode (CPL, VM, IF ...) */
    SENS_LOCATION = 4, /* behaviour depends on where things are (descriptor tables, CR3 ...) */
    SENS_TIME = 8,     /* reads a clock, a counter or the entropy source */
};

/* CPUID features that gate rows; names in cpu/cpuid.def's order are made from this list. */
#define DECODER_FEATURES(X)                                                                              \
    X(8086) X(186) X(286) X(386) X(486) X(FPU) X(CX8) X(TSC) X(MSR) X(CMOV) X(SEP) X(FXSR) X(CLFSH)      \
    X(MMX) X(SSE) X(SSE2) X(SSE3) X(SSSE3) X(SSE41) X(SSE42) X(MONITOR) X(CX16) X(MOVBE) X(POPCNT)       \
    X(AES) X(PCLMUL) X(XSAVE) X(XSAVEOPT) X(XSAVEC) X(XSAVES) X(RDRAND) X(RDSEED) X(FSGSBASE)            \
    X(INVPCID) X(SMAP) X(PKU) X(LM) X(SYSCALL) X(RDTSCP) X(RDPID) X(LAHF_LM) X(3DNOWPREFETCH)            \
    X(PENTIUM_PMC) X(ADX) X(BMI1) X(BMI2) X(LZCNT) X(AVX) X(AVX2) X(FMA) X(F16C) X(SHA) X(GFNI)          \
    X(CLFLUSHOPT) X(CLWB) X(VMX) X(SVM) X(NOPL) X(SMX) X(ERMS) X(SERIALIZE) X(VAES) X(VPCLMULQDQ) X(SSE4A)  \
    X(AVX_VNNI)

enum feature {
#define X(name) FEAT_##name,
    DECODER_FEATURES(X)
#undef X
    FEATURE_COUNT
};

/* enum op: one name per mnemonic that insn.def uses: OP_ADC, OP_MOV ... OP_INVALID = 0. Generated from the table
 * at build time into decoder/op.h by decoder/mkops (awk): names in order of first appearance.
 * INSN_ROWS: how many rows it has. */
#include "decoder/op.h"

enum operand_kind {
    OPND_NONE,
    OPND_GPR,      /* reg 0..15 (RAX..R15), size 1, 2, 4, 8; size 1 is AL, CL ... SPL, BPL, R8B ... */
    OPND_GPR_HIGH, /* AH, CH, DH, BH: reg 0..3, size 1 */
    OPND_MEM,      /* the insn's one memory operand, at seg:[base + index * scale + disp] */
    OPND_IMM,      /* insn.imm, already extended to the operand size (and to 64 bits) */
    OPND_IMM2,     /* insn.imm2: ENTER's level, far pointer's selector, EXTRQ */
    OPND_REL,      /* branch displacement in insn.imm, sign-extended; target is next RIP + imm */
    OPND_FAR,      /* ptr16:16/32 in the instruction: offset in imm, selector in imm2 */
    OPND_MOFFS,    /* memory at seg:imm (A0-A3); also has is_moffs set and base = index = none, disp = 0 */
    OPND_SREG,     /* ES CS SS DS FS GS = 0..5 */
    OPND_CR,       /* control register number */
    OPND_DR,       /* debug register number */
    OPND_ST,       /* x87 register ST(reg) */
    OPND_MMX,      /* MM0..MM7 */
    OPND_XMM,      /* XMM0..XMM15; of size 32: YMM0..YMM15 */
    OPND_STR_SRC,  /* seg:[rSI] of a string instruction, seg overridable */
    OPND_STR_DST,  /* ES:[rDI] */
    OPND_ONE,      /* the constant 1 of D0, D1 */
    OPND_PORT_DX,  /* the port in DX */
    OPND_FLAGS,    /* FLAGS/EFLAGS/RFLAGS as PUSHF, POPF see them */
};

/* Access of an operand: the prefix r_, w_, rw_ of the table; ACC_ADDR is an address never accessed (LEA, INVLPG). */
enum { ACC_NONE = 0, ACC_R = 1, ACC_W = 2, ACC_RW = 3, ACC_ADDR = 4 };

struct operand {
    uint8_t kind;   /* enum operand_kind */
    uint8_t reg;    /* register number, where the kind has one */
    uint8_t size;   /* bytes accessed: 1 2 4 6 8 10 16 32, 28/94/108/512 kept as 0 (see the row) */
    uint8_t access; /* ACC_* */
};

enum { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_NONE = 0xff };
#define REG_NONE 16 /* base or index: none (reads as zero) */
#define REG_RIP 17  /* base: RIP of the next instruction */

enum insn_prefix {
    PFX_LOCK = 1 << 0,
    PFX_REP = 1 << 1,   /* F3 */
    PFX_REPNE = 1 << 2, /* F2 */
    PFX_OPSIZE = 1 << 3,
    PFX_ADDRSIZE = 1 << 4,
    PFX_SEG = 1 << 5, /* a segment override that has effect */
    PFX_REX = 1 << 6,
    PFX_REX_W = 1 << 7,
};

struct insn {
    uint16_t op;              /* enum op; OP_INVALID: #UD */
    uint16_t row;             /* index of the row in the table (insn_desc) */
    uint8_t len;              /* bytes, 1..15 */
    uint8_t opcode;           /* last opcode byte */
    uint8_t map;              /* 0: one byte, 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t prefixes;         /* enum insn_prefix; VEX's substitutes are not in it */
    uint8_t opsize;           /* effective operand size in bytes: 2, 4, 8 */
    uint8_t addrsize;         /* effective address size in bytes: 2, 4, 8 */
    uint8_t modrm;            /* the ModRM byte, 0 if there is none */
    bool has_modrm;           /* a ModRM byte is present */
    bool has_mem;             /* one operand is memory through ModRM or moffs; fields below are valid */
    bool is_moffs;            /* the address is imm */
    uint8_t seg;              /* effective segment of the memory (or OPND_STR_SRC) operand, default applied */
    uint8_t base;             /* GPR, REG_NONE or REG_RIP */
    uint8_t index;            /* GPR or REG_NONE; with vsib: XMM or YMM */
    uint8_t scale;            /* shift: 0..3 */
    bool has_vex;             /* C4 or C5 prefix */
    uint8_t vex_l;            /* VEX.L: 0: 128, 1: 256 */
    uint8_t vex_v;            /* VEX.vvvv register */
    bool vex_w;               /* VEX.W, in any mode */
    uint8_t vsib;             /* size of the vector of indices of the memory operand; 0: index is a GPR */
    uint8_t vsib_index;       /* size of one index in it: 4 or 8; sign-extended */
    uint8_t operand_count;    /* of operands[] */
    struct operand operands[4]; /* in the manual's order: DEST first */
    int32_t disp;             /* displacement, sign-extended */
    uint64_t imm;             /* immediate, relative displacement or moffs */
    uint64_t imm2;            /* second immediate */
    uint8_t bytes[INSN_MAX_LEN]; /* the instruction's own bytes */
};

/* One row of the table, read-only. */
struct insn_desc {
    const char *name;     /* mnemonic, upper case */
    const char *encoding; /* text of the encoding column, for docs */
    const char *operands; /* text of the operands column, for docs */
    const char *manual;   /* volume and title */
    uint16_t op;          /* enum op */
    uint8_t privilege;    /* enum insn_privilege */
    uint8_t sensitivity;  /* set of enum sensitivity */
    uint8_t feature;      /* enum feature */
    uint32_t tested;      /* flags read */
    uint32_t written;     /* flags written with a defined value */
    uint32_t undefined;   /* flags left undefined (our rule: see flags.h) */
    bool ends_block;      /* control transfer, or anything after which decoding can't go on in line */
    bool lockable;        /* LOCK is legal with a memory destination */
};

struct decoder;

/* Build the lookup from the table. A clash of two rows aborts. NULL if out of memory. */
struct decoder *decoder_create(void);
void decoder_destroy(struct decoder *d);

enum decode_result {
    DECODE_OK,
    DECODE_UD,        /* not an instruction in this mode: #UD; in->len is how far it was read */
    DECODE_TRUNCATED, /* more than `avail` bytes are needed: fetch more (the next page) and call again */
    DECODE_TOO_LONG,  /* over 15 bytes: #GP(0) */
};

/*
 * Tell which CPUID features the guest's CPU has. Only rows marked A_FALL change: bytes that mean another, older
 * instruction without the feature (TZCNT reads as BSF, LZCNT as BSR, PREFETCHW as NOP). All other rows decode in any case and
 * the caller raises #UD by insn_desc.feature. A new decoder has every feature.
 */
void decoder_set_features(struct decoder *d, const bool has[FEATURE_COUNT]);

/*
 * Decode one instruction.
 *   bytes, avail  what is readable, at least 1 byte; at most 15 are looked at
 *   in            out: filled on DECODE_OK; op and len valid on DECODE_UD
 * LOCK on a row or form that does not allow it is DECODE_UD (SDM Vol. 2A, "LOCK").
 */
enum decode_result decoder_decode(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes,
                                  size_t avail, struct insn *in);

/* The table: rows 0..insn_row_count()-1; NULL: there is none. */
extern const struct insn_desc insn_rows[INSN_ROWS];
static inline const struct insn_desc *insn_row(unsigned row)
{
    return row < INSN_ROWS ? &insn_rows[row] : NULL;
}
unsigned insn_row_count(void);
const char *op_name(unsigned op);

/* Flags that condition 0..15 of Jcc, SETcc, CMOVcc reads. SDM Vol. 1, "EFLAGS Condition Codes". */
uint32_t cc_flags_tested(unsigned cc);

/* insn_desc.tested narrowed to this instruction: its condition, its constant shift count, its REP prefix. */
uint32_t insn_flags_tested(const struct insn *in);
const char *feature_name(unsigned feature);
