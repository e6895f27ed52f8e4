/* SPDX-License-Identifier: MIT */
#include "tests/oracle/capstone.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <capstone/capstone.h>

#include "decoder/encoding.h"

struct oracle {
    csh handle[3];                 /* by decode_mode */
    cs_insn *scratch;              /* Capstone's answer */
    const struct decoder *decoder; /* borrowed: ours */
};

struct probe {
    const struct decoder *decoder; /* ours */
    enum decode_mode mode;         /* of both */
    const uint8_t *bytes;          /* 15 of them */
    enum decode_result result;     /* our answer */
    struct insn in;                /* our instruction */
    bool theirs;                   /* Capstone took it for an instruction */
    unsigned their_len;            /* and this is its length */
    const char *mnemonic;          /* and its name; "" if none */
    unsigned opcode_at;            /* offset of the first opcode byte */
};

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static bool is_prefix(uint8_t b, enum decode_mode mode)
{
    static const char legacy[] = "\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3";
    return (b != 0 && strchr(legacy, (char)b) != NULL) || (mode == DECODE_64 && (b & 0xf0) == 0x40);
}

static bool has_prefix(const struct probe *p, uint8_t byte)
{
    return memchr(p->bytes, byte, p->opcode_at) != NULL;
}

/* Rows we never have: EVEX, XOP, VMX, SVM, TSX, SGX, MPX, 3DNow!, VIA. */
static bool other_extension(const struct probe *p)
{
    static const char *const names[] = {
        "v",      "x",       "pf",       "pi2f",    "pswapd",  "pavgusb", "pmulhrw",
        "femms",  "encl",    "invept",   "invvpid", "invlpga", "stgi",    "clgi",
        "skinit", "montmul", "monitorx", "mwaitx",  "clzero",  "bnd",     "llwpcb",
        "slwpcb", "lwp",     "bl",       "t1mskc",  "tzmsk",   "bextr"};
    if (p->result == DECODE_OK || !p->theirs || p->in.has_vex)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (starts(p->mnemonic, names[i]))
            return true;
    uint8_t op = p->bytes[p->opcode_at];
    return op == 0x62 || op == 0x8f;
}

/* MOV to CS, and control and debug registers that do not exist. */
static bool no_such_register(const struct probe *p)
{
    uint8_t op = p->in.opcode;
    return p->result == DECODE_UD && p->theirs &&
           ((p->in.map == MAP_ONE && op == 0x8e) ||
            (p->in.map == MAP_0F && op >= 0x20 && op <= 0x23));
}

/* Near branches in 64-bit mode: Intel ignores 66, AMD (and Capstone) does not. */
static bool branch_with_66(const struct probe *p)
{
    return p->result == DECODE_OK && p->mode == DECODE_64 && has_prefix(p, 0x66) &&
           p->in.operand_count == 1 && p->in.operands[0].kind == OPND_REL;
}

/* UD0 and UD1 have a ModRM byte (SDM Vol. 2B, "UD"); Capstone gives them none. */
static bool ud_modrm(const struct probe *p)
{
    return p->result == DECODE_OK && (p->in.op == OP_UD0 || p->in.op == OP_UD1);
}

/* Capstone does not find rows with mandatory prefixes in 16-bit code, nor when another prefix
 * follows the mandatory one. */
static bool mandatory_prefix(const struct probe *p)
{
    return p->result == DECODE_OK && !p->theirs &&
           insn_form(p->in.row)->encoding.prefix >= SEL_66 &&
           (p->mode == DECODE_16 || p->opcode_at > 1);
}

/* On one-byte opcodes Capstone lets F2 and F3 undo a 66 (moffs, branches, immediates). */
static bool repeat_undoes_66(const struct probe *p)
{
    return p->result == DECODE_OK && p->in.map == MAP_ONE && has_prefix(p, 0x66) &&
           (has_prefix(p, 0xf2) || has_prefix(p, 0xf3));
}

/* Capstone gives near calls, jumps and returns with REX.W another displacement or immediate size.
 */
static bool branch_with_rex_w(const struct probe *p)
{
    return p->result == DECODE_OK && (p->in.prefixes & PFX_REX_W) &&
           (p->in.op == OP_RET_NEAR || p->in.op == OP_RET_FAR || p->in.op == OP_CALL_NEAR ||
            p->in.op == OP_JMP_NEAR || p->in.op == OP_ENTER);
}

/* SWAPGS is #UD outside 64-bit mode. */
static bool swapgs_elsewhere(const struct probe *p)
{
    return p->result == DECODE_UD && p->mode != DECODE_64 && starts(p->mnemonic, "swapgs");
}

/* SSE4A's immediate forms share 0F 78 with VMREAD, which is all that Capstone sees at times; and
 * EXTRQ has /0. */
static bool sse4a(const struct probe *p)
{
    return p->in.op == OP_EXTRQ || p->in.op == OP_INSERTQ ||
           (p->result == DECODE_UD && starts(p->mnemonic, "extrq"));
}

/* With 67 and REX.W Capstone finds the row of the mandatory prefix 66. */
static bool addrsize_taken_for_66(const struct probe *p)
{
    return p->result == DECODE_UD && p->theirs && has_prefix(p, 0x67) &&
           (p->in.prefixes & PFX_REX_W);
}

/* Hint NOPs, prefetch groups: reserved encodings are NOPs; fences ignore ModRM.rm (SDM Vol. 2,
 * opcode map). */
static bool reserved_nop(const struct probe *p)
{
    return p->result == DECODE_OK && !p->theirs &&
           (p->in.op == OP_NOP || p->in.op == OP_PREFETCH || p->in.op == OP_PREFETCHW ||
            p->in.op == OP_LFENCE || p->in.op == OP_MFENCE || p->in.op == OP_SFENCE);
}

/* Capstone refuses REX.R on a segment register; hardware ignores it. */
static bool rex_r_on_segment(const struct probe *p)
{
    return p->result == DECODE_OK && !p->theirs && p->in.op == OP_MOV_SREG && p->mode == DECODE_64;
}

/* Under VEX: AMD's FMA4 and VPERMIL2Px, the mask registers of AVX-512. */
static bool other_vex_extension(const struct probe *p)
{
    uint8_t op = p->in.opcode;
    if (p->result != DECODE_UD || !p->theirs || !p->in.has_vex)
        return false;
    bool is_amd = p->in.map == MAP_0F3A && (op == 0x48 || op == 0x49 || (op & 0xfc) == 0x5c ||
                                            (op & 0xf8) == 0x68 || (op & 0xf8) == 0x78);
    return is_amd || p->mnemonic[0] == 'k';
}

/* What Capstone overlooks: see the predicates below. Sets of these bits. */
enum {
    DROP_66 = 1 << 0,
    DROP_REP = 1 << 1,
    DROP_LOCK = 1 << 2,
    DROP_REX = 1 << 3,  /* before VEX */
    VEX_W0 = 1 << 4,    /* VEX.W taken for 0 */
    VEX_VVVV3 = 1 << 5, /* high bit of VEX.vvvv taken for 1 */
};

static bool is_dropped(uint8_t byte, unsigned set)
{
    return ((set & DROP_66) && byte == 0x66) || ((set & DROP_REP) && (byte & 0xfe) == 0xf2) ||
           ((set & DROP_LOCK) && byte == 0xf0) || ((set & DROP_REX) && (byte & 0xf0) == 0x40);
}

/* Only lengths differ, and for a reason that has to do with the operand size or the row alone. */
static bool length_differs_for_a_reason(const struct probe *p)
{
    return branch_with_66(p) || ud_modrm(p) || repeat_undoes_66(p) || branch_with_rex_w(p);
}

/* With `set` overlooked by us too, do we agree, but for a gather into itself and the lengths above?
 */
static bool agrees_if(const struct probe *p, unsigned set)
{
    uint8_t bytes[INSN_MAX_LEN] = {0};
    struct probe q = *p;
    unsigned n = 0;
    for (unsigned i = 0; i < INSN_MAX_LEN; i++)
        if (i >= p->opcode_at || !is_dropped(p->bytes[i], set))
            bytes[n++] = p->bytes[i];
    q.bytes = bytes;
    q.opcode_at -= INSN_MAX_LEN - n;
    q.their_len -= INSN_MAX_LEN - n;
    if (set & VEX_W0)
        bytes[q.opcode_at + 2] &= 0x7f;
    if (set & VEX_VVVV3)
        bytes[q.opcode_at + 2] |= 0x40;
    q.result = decoder_decode(q.decoder, q.mode, bytes, sizeof bytes, &q.in);
    if (q.result == DECODE_OK || q.in.vsib != 0)
        return q.in.len == q.their_len || length_differs_for_a_reason(&q);
    return false;
}

/* Some set of [from, to) is overlooked. */
static bool agrees_if_any(const struct probe *p, unsigned from, unsigned to)
{
    if (p->result != DECODE_UD || !p->theirs)
        return false;
    for (unsigned set = from; set < to; set++)
        if (agrees_if(p, set))
            return true;
    return false;
}

/*
 * Capstone ignores prefixes that make #UD: 66, F2 and F3 where the manual marks NP ("use ... will
 * cause #UD"), LOCK before anything, all of these and REX before VEX.
 */
static bool prefix_ignored(const struct probe *p)
{
    return agrees_if_any(p, 1, p->in.has_vex ? VEX_W0 : DROP_REX);
}

/* Capstone takes VEX.W for 0 where it must be 0. */
static bool vex_w_ignored(const struct probe *p)
{
    return p->bytes[p->opcode_at] == 0xc4 && p->in.has_vex && agrees_if_any(p, VEX_W0, VEX_VVVV3);
}

/* Outside 64-bit mode Capstone ignores the high bit of VEX.vvvv where all four must be 1. */
static bool vex_vvvv_ignored(const struct probe *p)
{
    return p->bytes[p->opcode_at] == 0xc4 && p->in.has_vex && p->mode != DECODE_64 &&
           agrees_if_any(p, VEX_VVVV3, 2 * VEX_VVVV3);
}

/* Gathers whose registers are not three different ones. */
static bool gather_into_itself(const struct probe *p)
{
    return p->in.vsib != 0 && agrees_if_any(p, 0, 1);
}

/* Over 15 bytes for us, not for Capstone, whose instruction is shorter for one of the reasons
 * above: it is so with fewer prefixes too. */
static bool too_long_by_difference(const struct probe *p)
{
    if (p->result != DECODE_TOO_LONG || !p->theirs)
        return false;
    for (unsigned from = 0; from < p->opcode_at; from++) {
        for (unsigned cut = 1; from + cut <= p->opcode_at; cut++) {
            uint8_t bytes[INSN_MAX_LEN] = {0};
            struct probe q = *p;
            memcpy(bytes, p->bytes, from);
            memcpy(bytes + from, p->bytes + from + cut, INSN_MAX_LEN - from - cut);
            q.bytes = bytes;
            q.opcode_at -= cut;
            q.their_len -= cut;
            q.result = decoder_decode(q.decoder, q.mode, bytes, sizeof bytes, &q.in);
            if (length_differs_for_a_reason(&q) || prefix_ignored(&q))
                return true;
        }
    }
    return false;
}

/* Newer than Capstone 4, or not in it: VBROADCASTI128. */
static bool newer(const struct probe *p)
{
    static const char *const names[] = {"SERIALIZE", "RDPID", "RDPKRU", "WRPKRU", "VBROADCASTI128"};
    if (p->result != DECODE_OK || p->theirs)
        return false;
    switch (insn_row(p->in.row)->feature) {
    case FEAT_GFNI:
    case FEAT_VAES:
    case FEAT_VPCLMULQDQ:
    case FEAT_AVX_VNNI:
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(op_name(p->in.op), names[i]) == 0)
            return true;
    return false;
}

static const struct {
    const char *why;                       /* the comment above the predicate, in short */
    bool (*applies)(const struct probe *); /* is this difference of that kind? */
} known[] = {
    {"extension not in the table", other_extension},
    {"gather into its own registers", gather_into_itself},
    {"prefix that makes #UD ignored", prefix_ignored},
    {"registers that do not exist", no_such_register},
    {"near branch with 66", branch_with_66},
    {"UD0, UD1 without ModRM", ud_modrm},
    {"mandatory prefix far or in 16 bits", mandatory_prefix},
    {"66 undone by F2, F3", repeat_undoes_66},
    {"branches with REX.W", branch_with_rex_w},
    {"SWAPGS outside 64-bit mode", swapgs_elsewhere},
    {"SSE4A against VMREAD, EXTRQ /0", sse4a},
    {"67 with REX.W taken for 66", addrsize_taken_for_66},
    {"reserved NOPs", reserved_nop},
    {"REX.R on a segment register", rex_r_on_segment},
    {"FMA4, AVX-512 under VEX", other_vex_extension},
    {"VEX.W ignored", vex_w_ignored},
    {"VEX.vvvv[3] ignored", vex_vvvv_ignored},
    {"over 15 bytes by such a difference", too_long_by_difference},
    {"newer than Capstone 4", newer},
};

const char *oracle_difference(unsigned i)
{
    return i < ARRAY_SIZE(known) ? known[i].why : NULL;
}

struct oracle *oracle_create(const struct decoder *d)
{
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    struct oracle *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->decoder = d;
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (cs_open(CS_ARCH_X86, modes[i], &o->handle[i]) != CS_ERR_OK)
            abort();
    o->scratch = cs_malloc(o->handle[0]);
    if (o->scratch == NULL)
        abort();
    return o;
}

void oracle_destroy(struct oracle *o)
{
    cs_free(o->scratch, 1);
    for (unsigned i = 0; i < 3; i++)
        cs_close(&o->handle[i]);
    free(o);
}

static struct probe make_probe(struct oracle *o, enum decode_mode mode, const uint8_t *bytes)
{
    struct probe p = {.decoder = o->decoder, .mode = mode, .bytes = bytes, .mnemonic = ""};
    const uint8_t *code = bytes;
    size_t left = INSN_MAX_LEN;
    uint64_t address = 0;
    p.result = decoder_decode(o->decoder, mode, bytes, INSN_MAX_LEN, &p.in);
    p.theirs = cs_disasm_iter(o->handle[mode], &code, &left, &address, o->scratch);
    if (p.theirs) {
        p.their_len = o->scratch->size;
        p.mnemonic = o->scratch->mnemonic;
    }
    while (p.opcode_at < INSN_MAX_LEN && is_prefix(bytes[p.opcode_at], mode))
        p.opcode_at++;
    return p;
}

int oracle_compare(struct oracle *o, enum decode_mode mode, const uint8_t bytes[INSN_MAX_LEN])
{
    struct probe p = make_probe(o, mode, bytes);
    if (p.theirs == (p.result == DECODE_OK) && (!p.theirs || p.their_len == p.in.len))
        return ORACLE_AGREES;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].applies(&p))
            return (int)i;
    return ORACLE_DIFFERS;
}

void oracle_print(struct oracle *o, enum decode_mode mode, const uint8_t bytes[INSN_MAX_LEN])
{
    struct probe p = make_probe(o, mode, bytes);
    fprintf(stderr, "mode %u:", 16u << mode);
    for (unsigned i = 0; i < INSN_MAX_LEN; i++)
        fprintf(stderr, " %02x", bytes[i]);
    fprintf(stderr, "\n  ours %d %s length %u, Capstone %s length %u\n", p.result, op_name(p.in.op),
            p.in.len, p.theirs ? p.mnemonic : "none", p.their_len);
}
