/* SPDX-License-Identifier: MIT */
/*
 * Our decoder against Capstone, on every opcode and ModRM under many prefixes and on random bytes:
 * both must agree on what is an instruction and on its length. Where Capstone 4 and the manual
 * differ, the manual wins and the difference is named in `known` with its reason; an unnamed
 * difference fails.
 */
#include "tests/test.h"

#include <string.h>

#include <capstone/capstone.h>

#include "decoder/encoding.h"

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

/* What we would say without the prefix bytes in `drop`. */
static enum decode_result without(const struct probe *p, const char *drop, struct insn *in)
{
    uint8_t bytes[INSN_MAX_LEN] = {0};
    size_t n = 0;
    for (unsigned i = 0; i < INSN_MAX_LEN; i++)
        if (i >= p->opcode_at || strchr(drop, (char)p->bytes[i]) == NULL)
            bytes[n++] = p->bytes[i];
    return decoder_decode(p->decoder, p->mode, bytes, sizeof bytes, in);
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

/* Capstone ignores a 66, F2 or F3 that the manual marks NP ("use ... will cause #UD"). */
static bool np_prefix(const struct probe *p)
{
    struct insn in;
    return p->result == DECODE_UD && p->theirs && p->in.map != MAP_ONE &&
           (without(p, "\xf2\xf3", &in) == DECODE_OK ||
            without(p, "\x66\xf2\xf3", &in) == DECODE_OK);
}

/* Capstone lets LOCK stand before anything. */
static bool lock_anywhere(const struct probe *p)
{
    struct insn in;
    enum decode_result r = without(p, "\xf0", &in);
    return p->result == DECODE_UD && p->theirs && has_prefix(p, 0xf0) && r == DECODE_OK &&
           in.len <= p->their_len;
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
    return p->result == DECODE_OK && p->theirs && (p->in.prefixes & PFX_REX_W) &&
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

/* Capstone lets 66, F2, F3, LOCK and REX stand before VEX. */
static bool prefix_before_vex(const struct probe *p)
{
    return p->result == DECODE_UD && p->theirs && p->in.has_vex && p->opcode_at > 0 &&
           ((p->in.prefixes & (PFX_OPSIZE | PFX_REP | PFX_REPNE | PFX_LOCK | PFX_REX)) != 0);
}

/* Capstone takes VEX.W for 0 where it must be 0; with 0 the bytes are this instruction for us too.
 */
static bool vex_w_ignored(const struct probe *p)
{
    uint8_t bytes[INSN_MAX_LEN];
    struct insn in;
    if (p->result != DECODE_UD || !p->theirs || p->bytes[p->opcode_at] != 0xc4)
        return false;
    memcpy(bytes, p->bytes, sizeof bytes);
    bytes[p->opcode_at + 2] &= 0x7f;
    return decoder_decode(p->decoder, p->mode, bytes, sizeof bytes, &in) == DECODE_OK &&
           in.len == p->their_len;
}

/* Gathers whose registers are not three different ones. */
static bool gather_into_itself(const struct probe *p)
{
    return p->result == DECODE_UD && p->theirs && p->in.vsib != 0 && p->in.len == p->their_len;
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
    {"NP ignored", np_prefix},
    {"LOCK anywhere", lock_anywhere},
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
    {"prefix before VEX", prefix_before_vex},
    {"VEX.W ignored", vex_w_ignored},
    {"gather into its own registers", gather_into_itself},
    {"newer than Capstone 4", newer},
};

struct tally {
    csh handle[3];                            /* by decode_mode */
    cs_insn *scratch;                         /* Capstone's answer */
    struct decoder *decoder;                  /* ours */
    unsigned long probes;                     /* made */
    unsigned long excused[ARRAY_SIZE(known)]; /* differences by kind */
    unsigned long unknown;                    /* differences without one */
};

static void judge(struct tally *t, const struct probe *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i].applies(p)) {
            t->excused[i]++;
            return;
        }
    }
    if (t->unknown++ < 40) {
        print_error("mode %u:", 16u << p->mode);
        for (unsigned i = 0; i < INSN_MAX_LEN; i++)
            print_error(" %02x", p->bytes[i]);
        print_error("\n  ours %d %s length %u, Capstone %s length %u\n", p->result,
                    op_name(p->in.op), p->in.len, p->theirs ? p->mnemonic : "none", p->their_len);
    }
}

static void compare(struct tally *t, enum decode_mode mode, const uint8_t *bytes)
{
    struct probe p = {.decoder = t->decoder, .mode = mode, .bytes = bytes, .mnemonic = ""};
    const uint8_t *code = bytes;
    size_t left = INSN_MAX_LEN;
    uint64_t address = 0;
    p.result = decoder_decode(t->decoder, mode, bytes, INSN_MAX_LEN, &p.in);
    p.theirs = cs_disasm_iter(t->handle[mode], &code, &left, &address, t->scratch);
    t->probes++;
    if (p.theirs) {
        p.their_len = t->scratch->size;
        p.mnemonic = t->scratch->mnemonic;
    }
    if (p.theirs == (p.result == DECODE_OK) && (!p.theirs || p.their_len == p.in.len))
        return;
    while (p.opcode_at < INSN_MAX_LEN && is_prefix(bytes[p.opcode_at], mode))
        p.opcode_at++;
    judge(t, &p);
}

static void tally_init(struct tally *t)
{
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    *t = (struct tally){.decoder = decoder_create()};
    assert_non_null(t->decoder);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(CS_ERR_OK, cs_open(CS_ARCH_X86, modes[i], &t->handle[i]));
    t->scratch = cs_malloc(t->handle[0]);
    assert_non_null(t->scratch);
}

static void tally_check(struct tally *t)
{
    print_message("%lu probes\n", t->probes);
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        print_message("  %-36s %lu\n", known[i].why, t->excused[i]);
    cs_free(t->scratch, 1);
    for (unsigned i = 0; i < 3; i++)
        cs_close(&t->handle[i]);
    decoder_destroy(t->decoder);
    EXPECT_EQ(0, t->unknown);
}

/* prefix bytes, escape bytes, opcode, ModRM, then a tail that is a valid SIB, displacement and
 * immediate. */
static void probe_opcode(struct tally *t, enum decode_mode mode, const char *prefixes, unsigned map,
                         unsigned opcode)
{
    static const char *const escapes[MAP_COUNT] = {"", "\x0f", "\x0f\x38", "\x0f\x3a"};
    for (unsigned modrm = 0; modrm < 256; modrm++) {
        uint8_t bytes[INSN_MAX_LEN] = {0};
        size_t n = strlen(prefixes), e = strlen(escapes[map]);
        memcpy(bytes, prefixes, n);
        memcpy(bytes + n, escapes[map], e);
        n += e;
        bytes[n++] = (uint8_t)opcode;
        bytes[n++] = (uint8_t)modrm;
        for (uint8_t fill = 0x25; n < INSN_MAX_LEN; fill = (uint8_t)(fill + 0x11))
            bytes[n++] = fill;
        compare(t, mode, bytes);
    }
}

TEST(capstone, agrees_on_every_opcode_and_modrm)
{
    static const char *const prefixes[] = {"",
                                           "\x66",
                                           "\xf3",
                                           "\xf2",
                                           "\x67",
                                           "\xf0",
                                           "\x64",
                                           /* 64-bit mode only from here */ "\x48",
                                           "\x45",
                                           "\x66\x48",
                                           "\xf3\x48"};
    struct tally t;
    tally_init(&t);
    for (enum decode_mode mode = DECODE_16; mode <= DECODE_64; mode++)
        for (size_t i = 0; i < (mode == DECODE_64 ? ARRAY_SIZE(prefixes) : 7); i++)
            for (unsigned map = 0; map < MAP_COUNT; map++)
                for (unsigned opcode = 0; opcode < 256; opcode++)
                    probe_opcode(&t, mode, prefixes[i], map, opcode);
    tally_check(&t);
}

/* Opcodes under VEX: what the bits of its last byte and the unused registers change, with ModRM and
 * a tail. */
static void probe_vex(struct tally *t, enum decode_mode mode, unsigned map, unsigned last)
{
    for (unsigned opcode = 0; opcode < 256; opcode++)
        probe_opcode(t, mode, (const char[]){'\xc4', (char)(0xe0 | map), (char)last, 0}, MAP_ONE,
                     opcode);
}

TEST(capstone, agrees_on_every_opcode_under_vex)
{
    struct tally t;
    tally_init(&t);
    for (enum decode_mode mode = DECODE_32; mode <= DECODE_64; mode++)
        for (unsigned map = 1; map <= 3; map++)
            for (unsigned wlpp = 0; wlpp < 16; wlpp++)
                for (unsigned vvvv = 13; vvvv <= 15; vvvv += 2)
                    probe_vex(&t, mode, map, (wlpp & 8) << 4 | vvvv << 3 | (wlpp & 7));
    tally_check(&t);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

TEST(capstone, agrees_on_random_bytes)
{
    static const uint8_t frequent[] = {0x66, 0xf2, 0xf3, 0x0f, 0x0f, 0x48, 0x67, 0x2e};
    uint64_t seed = UINT64_C(0x7261706c696e65);
    struct tally t;
    tally_init(&t);
    for (unsigned i = 0; i < 1000000; i++) {
        uint8_t bytes[INSN_MAX_LEN];
        for (unsigned k = 0; k < INSN_MAX_LEN; k++)
            bytes[k] = (uint8_t)(next_random(&seed) >> 24);
        for (unsigned k = 0; k < (i & 3); k++)
            bytes[k] = frequent[next_random(&seed) >> 16 & 7];
        compare(&t, (enum decode_mode)(i % 3), bytes);
    }
    tally_check(&t);
}

TEST_MAIN(RUN(capstone, agrees_on_every_opcode_and_modrm)
              RUN(capstone, agrees_on_every_opcode_under_vex) RUN(capstone, agrees_on_random_bytes))
