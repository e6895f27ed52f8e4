/* SPDX-License-Identifier: MIT */
/*
 * Our decoder against Capstone, on every opcode and ModRM under many prefixes and on random bytes:
 * both must agree on what is an instruction and on its length. Where Capstone 4 and the manual
 * differ, the manual wins and the difference is named, with its reason, in tests/oracle/capstone.c;
 * an unnamed difference fails.
 */
#include "tests/test.h"

#include <string.h>

#include "decoder/encoding.h"
#include "tests/oracle/capstone.h"

struct tally {
    struct decoder *decoder;                       /* owned */
    struct oracle *oracle;                         /* owned */
    unsigned long probes;                          /* made */
    unsigned long excused[ORACLE_DIFFERENCES_MAX]; /* differences by kind */
    unsigned long unknown;                         /* differences without one */
};

static void compare(struct tally *t, enum decode_mode mode, const uint8_t *bytes)
{
    int kind = oracle_compare(t->oracle, mode, bytes);
    t->probes++;
    if (kind >= 0)
        t->excused[kind]++;
    else if (kind == ORACLE_DIFFERS && t->unknown++ < 40)
        oracle_print(t->oracle, mode, bytes);
}

static void tally_init(struct tally *t)
{
    *t = (struct tally){.decoder = decoder_create()};
    assert_non_null(t->decoder);
    t->oracle = oracle_create(t->decoder);
    assert_non_null(t->oracle);
}

static void tally_check(struct tally *t)
{
    print_message("%lu probes\n", t->probes);
    for (unsigned i = 0; oracle_difference(i) != NULL; i++)
        print_message("  %-36s %lu\n", oracle_difference(i), t->excused[i]);
    oracle_destroy(t->oracle);
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

/* What the fuzz target found, to be told apart from agreement and from the unknown. */
TEST(capstone, names_the_differences_that_fuzzing_found)
{
    static const struct {
        enum decode_mode mode; /* of both */
        const char *bytes;     /* 15 of them */
        const char *why;       /* as oracle_difference says */
    } found[] = {
        {DECODE_32, "\xf0\xf2\x0f\xc4\xe9\0\0\0\0\0\0\0\0\0\0", "prefix that makes #UD ignored"},
        {DECODE_64, "\xf0\xf3\x66\x0f\x85\0\0\0\0\0\0\0\0\0\0", "prefix that makes #UD ignored"},
        {DECODE_64, "\xf2\xc4\x83\xc1\x02\x4f\0\0\0\0\0\0\0\0\0", "VEX.W ignored"},
        {DECODE_32, "\xc4\xc3\xbd\x09\xd1\0\0\0\0\0\0\0\0\0\0", "VEX.vvvv[3] ignored"},
        {DECODE_64, "EEEEEEEEEEE\x66\xe8\xf6\0", "over 15 bytes by such a difference"},
        {DECODE_64, "ggggggggggO\xc2\xcb\0@", "branches with REX.W"},
    };
    struct tally t;
    tally_init(&t);
    for (size_t i = 0; i < ARRAY_SIZE(found); i++) {
        int kind = oracle_compare(t.oracle, found[i].mode, (const uint8_t *)found[i].bytes);
        assert_true(kind >= 0);
        EXPECT_STR(found[i].why, oracle_difference((unsigned)kind));
    }
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
              RUN(capstone, agrees_on_every_opcode_under_vex)
                  RUN(capstone, names_the_differences_that_fuzzing_found)
                      RUN(capstone, agrees_on_random_bytes))
