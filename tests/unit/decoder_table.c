/* SPDX-License-Identifier: MIT */
/* The instruction table and the decoder's promises about it: every row is reached, features fall
 * back, lengths are exact. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/encoding.h"

/* The VEX prefix of a row, three bytes long; vvvv 1111b, or 1110b where it names an operand. */
static size_t vex_bytes(const struct form *f, uint8_t *bytes)
{
    const struct encoding *e = &f->encoding;
    unsigned pp = e->prefix - SEL_NP, vvvv = 15;
    for (unsigned i = 1; i < ARRAY_SIZE(f->operands) && f->operands[i] != 0; i++) {
        unsigned method = operand_letters[f->operands[i] & 0xff].method;
        if (method == M_H || method == M_B)
            vvvv = 14;
    }
    bytes[0] = 0xc4;
    bytes[1] = (uint8_t)(0xe0 | e->map);
    bytes[2] = (uint8_t)((e->w == 2 ? 0x80u : 0) | vvvv << 3 | (e->l == 2 ? 4u : 0) | pp);
    return 3;
}

static bool has_vsib(const struct form *f)
{
    return f->encoding.vex && f->operands[2] != 0 &&
           operand_letters[f->operands[2] & 0xff].method == M_VSIB;
}

/* Bytes that select a row, with ModRM.mod as given; returns how many, zeros follow. */
static size_t row_bytes(const struct form *f, unsigned mod, unsigned opcode, uint8_t *bytes)
{
    static const uint8_t prefixes[] = {[SEL_66] = 0x66, [SEL_F3] = 0xf3, [SEL_F2] = 0xf2};
    const struct encoding *e = &f->encoding;
    size_t n = 0;
    memset(bytes, 0, INSN_MAX_LEN);
    if (e->vex) {
        n = vex_bytes(f, bytes);
        bytes[n++] = (uint8_t)opcode;
        bytes[n++] = (uint8_t)(mod << 6 | (e->reg ? e->reg - 1u : 0) << 3 | (has_vsib(f) ? 4 : 0));
        bytes[n] = has_vsib(f) ? 0x10 : 0; /* index 2: neither the destination 0 nor the mask 1 */
        return n;
    }
    if (e->prefix >= SEL_66)
        bytes[n++] = prefixes[e->prefix];
    if (e->w == 2)
        bytes[n++] = 0x48;
    if (e->map != MAP_ONE)
        bytes[n++] = 0x0f;
    if (e->map == MAP_0F38 || e->map == MAP_0F3A)
        bytes[n++] = e->map == MAP_0F38 ? 0x38 : 0x3a;
    bytes[n++] = (uint8_t)opcode;
    bytes[n++] = (uint8_t)(mod << 6 | (e->reg ? e->reg - 1u : 0) << 3 | (e->rm ? e->rm - 1u : 0));
    return n;
}

/* Some form of the row decodes to it, in `mode`; *in is that form. */
static bool row_reached(const struct decoder *d, unsigned row, enum decode_mode mode,
                        struct insn *in, uint8_t *bytes)
{
    const struct form *f = insn_form(row);
    for (unsigned opcode = f->encoding.opcode; opcode <= f->encoding.opcode + f->encoding.span + 0u;
         opcode++) {
        for (unsigned mod = 0; mod <= 3; mod += 3) {
            row_bytes(f, mod, opcode, bytes);
            if (decoder_decode(d, mode, bytes, INSN_MAX_LEN, in) == DECODE_OK && in->row == row) {
                EXPECT_EQ(insn_row(row)->op, in->op);
                EXPECT_STR(insn_row(row)->name, op_name(in->op));
                return true;
            }
        }
    }
    return false;
}

TEST(table, every_row_is_reached_in_the_modes_it_claims)
{
    struct decoder *d = decoder_create();
    uint8_t bytes[INSN_MAX_LEN];
    struct insn in;
    for (unsigned row = 0; row < insn_row_count(); row++) {
        const struct form *f = insn_form(row);
        bool in_64 = !(f->attributes & A_I64);
        bool in_32 = !(f->attributes & A_O64) && (f->encoding.vex || f->encoding.w != 2);
        if (row_reached(d, row, DECODE_64, &in, bytes) != in_64 ||
            row_reached(d, row, DECODE_32, &in, bytes) != in_32)
            fail_msg("row %u, %s %s", row, insn_row(row)->name, insn_row(row)->encoding);
    }
    decoder_destroy(d);
}

TEST(table, lock_is_legal_exactly_on_lockable_memory_forms)
{
    struct decoder *d = decoder_create();
    uint8_t bytes[INSN_MAX_LEN], locked[INSN_MAX_LEN];
    struct insn in;
    for (unsigned row = 0; row < insn_row_count(); row++) {
        if (!row_reached(d, row, DECODE_64, &in, bytes))
            continue;
        bool legal = insn_row(row)->lockable && in.has_mem;
        locked[0] = 0xf0;
        memcpy(locked + 1, bytes, sizeof locked - 1);
        if ((decoder_decode(d, DECODE_64, locked, sizeof locked, &in) == DECODE_OK) != legal)
            fail_msg("row %u, %s %s", row, insn_row(row)->name, insn_row(row)->encoding);
    }
    decoder_destroy(d);
}

TEST(table, no_flag_is_both_defined_and_undefined)
{
    for (unsigned row = 0; row < insn_row_count(); row++) {
        const struct insn_desc *desc = insn_row(row);
        if ((desc->written & desc->undefined) != 0)
            fail_msg("row %u, %s %s", row, desc->name, desc->encoding);
        assert_non_null(desc->manual);
        assert_true(desc->op > OP_INVALID && desc->op < OP_COUNT && desc->feature < FEATURE_COUNT);
    }
    EXPECT(insn_row(insn_row_count()) == NULL);
    EXPECT_STR("(none)", op_name(OP_COUNT));
    EXPECT_STR("TSC", feature_name(FEAT_TSC));
}

static unsigned decoded_op(const struct decoder *d, const char *bytes, size_t n)
{
    struct insn in;
    EXPECT_EQ(DECODE_OK, decoder_decode(d, DECODE_64, (const uint8_t *)bytes, n, &in));
    EXPECT_EQ(n, in.len);
    return in.op;
}

TEST(features, older_meaning_without_them)
{
    bool has[FEATURE_COUNT];
    struct decoder *d = decoder_create();
    memset(has, true, sizeof has);
    EXPECT_EQ(OP_TZCNT, decoded_op(d, "\xf3\x0f\xbc\xc1", 4));
    has[FEAT_BMI1] = has[FEAT_3DNOWPREFETCH] = false;
    decoder_set_features(d, has);
    EXPECT_EQ(OP_BSF, decoded_op(d, "\xf3\x0f\xbc\xc1", 4));
    EXPECT_EQ(OP_LZCNT, decoded_op(d, "\xf3\x0f\xbd\xc1", 4));
    EXPECT_EQ(OP_NOP, decoded_op(d, "\x0f\x0d\x08", 3));
    EXPECT_EQ(OP_PREFETCHT0, decoded_op(d, "\x0f\x18\x08", 3));
    memset(has, false, sizeof has);
    decoder_set_features(d, has);
    EXPECT_EQ(OP_BSR, decoded_op(d, "\xf3\x0f\xbd\xc1", 4));
    EXPECT_EQ(OP_NOP, decoded_op(d, "\x0f\x18\x08", 3));
    EXPECT_EQ(OP_POPCNT, decoded_op(d, "\xf3\x0f\xb8\xc1", 4));
    decoder_destroy(d);
}

static uint32_t tested(const struct decoder *d, const char *bytes, size_t n)
{
    struct insn in;
    EXPECT_EQ(DECODE_OK, decoder_decode(d, DECODE_64, (const uint8_t *)bytes, n, &in));
    return insn_flags_tested(&in);
}

TEST(flags, tested_narrows_to_the_instruction)
{
    struct decoder *d = decoder_create();
    EXPECT_EQ(F_ZF, tested(d, "\x75\x00", 2));
    EXPECT_EQ(F_CF, tested(d, "\x0f\x92\xc0", 3));
    EXPECT_EQ(F_ZF | F_SF | F_OF, tested(d, "\x0f\x4f\xc0", 3));
    EXPECT_EQ(F_OSZAPC, tested(d, "\xd3\xe0", 2));
    EXPECT_EQ(F_OSZAPC, tested(d, "\xc1\xe0\x20", 3));
    EXPECT_EQ(0, tested(d, "\x48\xc1\xe0\x20", 4));
    EXPECT_EQ(0, tested(d, "\xc1\xe0\x03", 3));
    EXPECT_EQ(F_CF, tested(d, "\xc1\xd0\x03", 3));
    EXPECT_EQ(F_OF | F_CF, tested(d, "\xd3\xc0", 2));
    EXPECT_EQ(0, tested(d, "\xd1\xc0", 2));
    EXPECT_EQ(F_DF, tested(d, "\xa6", 1));
    EXPECT_EQ(F_OSZAPC | F_DF, tested(d, "\xf3\xa6", 2));
    EXPECT_EQ(0, tested(d, "\x0f\xa4\xc1\x04", 4));
    decoder_destroy(d);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* In a block of exactly n bytes, so that a sanitizer sees one byte too many. */
static enum decode_result decode_exactly(const struct decoder *d, enum decode_mode mode,
                                         const uint8_t *bytes, size_t n, struct insn *in)
{
    uint8_t *copy = malloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    enum decode_result result = decoder_decode(d, mode, copy, n, in);
    free(copy);
    return result;
}

TEST(length, needs_exactly_its_bytes)
{
    static const uint8_t frequent[] = {0x66, 0xf2, 0xf3, 0x0f, 0x0f, 0x48, 0x67, 0x2e};
    struct decoder *d = decoder_create();
    uint64_t seed = UINT64_C(0x6465636f646572);
    for (unsigned i = 0; i < 60000; i++) {
        uint8_t bytes[INSN_MAX_LEN];
        struct insn whole, part;
        enum decode_mode mode = (enum decode_mode)(i % 3);
        for (unsigned k = 0; k < INSN_MAX_LEN; k++)
            bytes[k] = (uint8_t)(next_random(&seed) >> 24);
        for (unsigned k = 0; k < (i & 7); k++)
            bytes[k] = frequent[next_random(&seed) >> 16 & 7];
        enum decode_result result = decoder_decode(d, mode, bytes, INSN_MAX_LEN, &whole);
        size_t len = result == DECODE_TOO_LONG ? INSN_MAX_LEN : whole.len;
        assert_true(len >= 1 && len <= INSN_MAX_LEN);
        assert_true(result != DECODE_TRUNCATED && whole.operand_count <= 4);
        for (size_t n = 1; n < len; n++)
            EXPECT_EQ(DECODE_TRUNCATED, decode_exactly(d, mode, bytes, n, &part));
        EXPECT_EQ(result, decode_exactly(d, mode, bytes, len, &part));
        if (result != DECODE_TOO_LONG)
            assert_memory_equal(&whole, &part, sizeof whole);
    }
    decoder_destroy(d);
}

TEST_MAIN(RUN(table, every_row_is_reached_in_the_modes_it_claims)
              RUN(table, lock_is_legal_exactly_on_lockable_memory_forms)
                  RUN(table, no_flag_is_both_defined_and_undefined)
                      RUN(features, older_meaning_without_them)
                          RUN(flags, tested_narrows_to_the_instruction)
                              RUN(length, needs_exactly_its_bytes))
