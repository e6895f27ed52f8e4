/* SPDX-License-Identifier: MIT */
/* Forms that decoders get wrong, each with the line of SDM Vol. 2 it comes from in its group's
 * name. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/decoder_text.h"

struct vector {
    const char *bytes; /* hex */
    const char *want;  /* as text_insn prints it */
};

/* Decode exactly these bytes; an instruction must use all of them. */
static void check(enum decode_mode mode, const struct vector *v)
{
    struct decoder *d = decoder_create();
    uint8_t bytes[20];
    size_t n = 0;
    struct insn in;
    char *end = NULL;
    assert_non_null(d);
    for (const char *p = v->bytes; *p != 0; p = end) {
        bytes[n++] = (uint8_t)strtoul(p, &end, 16);
        assert_true(end != p && n < sizeof bytes);
    }
    enum decode_result result = decoder_decode(d, mode, bytes, n, &in);
    struct text got = text_insn(result, &in);
    if (strcmp(got.s, v->want) != 0)
        print_error("bytes %s, mode %u\n", v->bytes, 16u << mode);
    EXPECT_STR(v->want, got.s);
    if (result == DECODE_OK)
        EXPECT_EQ(n, in.len);
    decoder_destroy(d);
}

#define CHECK(mode, ...)                                                                           \
    do {                                                                                           \
        const struct vector vectors[] = {__VA_ARGS__};                                             \
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)                                           \
            check(mode, &vectors[i]);                                                              \
    } while (0)

TEST(addressing, forms_of_64_bit_mode)
{
    CHECK(DECODE_64, {"48 8b 44 8a 10", "MOV w:ax.8 r:[ds:dx+cx*4+10].8"},
          {"8b 05 f0 ff ff ff", "MOV w:ax.4 r:[ds:ip-10].4"},
          {"67 8b 05 10 00 00 00", "MOV w:ax.4 r:[ds:ip+10].4"},
          {"8b 04 25 f0 ff ff ff", "MOV w:ax.4 r:[ds:-10].4"},
          {"8b 04 24", "MOV w:ax.4 r:[ss:sp].4"}, {"8b 45 00", "MOV w:ax.4 r:[ss:bp].4"},
          {"41 8b 04 24", "MOV w:ax.4 r:[ds:r12].4"}, {"41 8b 45 00", "MOV w:ax.4 r:[ds:r13].4"},
          {"41 8b 05 04 00 00 00", "MOV w:ax.4 r:[ds:ip+4].4"},
          {"42 8b 04 20", "MOV w:ax.4 r:[ds:ax+r12*1].4"}, {"8b 04 e0", "MOV w:ax.4 r:[ds:ax].4"},
          {"8b 04 6d 01 00 00 00", "MOV w:ax.4 r:[ds:bp*2+1].4"},
          {"41 8b 04 6d 01 00 00 00", "MOV w:ax.4 r:[ds:bp*2+1].4"},
          {"44 8b 3c 05 00 00 00 80", "MOV w:r15.4 r:[ds:ax*1-80000000].4"});
}

TEST(addressing, forms_of_16_and_32_bits)
{
    CHECK(DECODE_16, {"8b 02", "MOV w:ax.2 r:[ss:bp+si*1].2"},
          {"8b 46 fe", "MOV w:ax.2 r:[ss:bp-2].2"}, {"8b 06 34 92", "MOV w:ax.2 r:[ds:-6dcc].2"},
          {"8b 87 34 12", "MOV w:ax.2 r:[ds:bx+1234].2"}, {"2e 8b 46 00", "MOV w:ax.2 r:[cs:bp].2"},
          {"66 67 8b 04 24", "MOV w:ax.4 r:[ss:sp].4"},
          {"67 8b 05 78 56 34 12", "MOV w:ax.2 r:[ds:12345678].2"},
          {"a1 34 92", "MOV w:ax.2 r:[ds:9234].2"});
    CHECK(DECODE_32, {"8b 05 78 56 34 12", "MOV w:ax.4 r:[ds:12345678].4"},
          {"67 8b 02", "MOV w:ax.4 r:[ss:bp+si*1].4"},
          {"66 a1 78 56 34 12", "MOV w:ax.2 r:[ds:12345678].2"},
          {"67 a0 34 12", "MOV w:ax.1 r:[ds:1234].1"}, {"48", "DEC rw:ax.4"},
          {"26 36 8b 00", "MOV w:ax.4 r:[ss:ax].4"});
}

TEST(prefixes, rex_counts_only_right_before_the_opcode)
{
    CHECK(DECODE_64, {"48 66 89 c8", "MOV w:ax.2 r:cx.2"}, {"66 48 89 c8", "MOV w:ax.8 r:cx.8"},
          {"48 40 89 c8", "MOV w:ax.4 r:cx.4"}, {"88 e0", "MOV w:ax.1 r:ah.1"},
          {"40 88 e0", "MOV w:ax.1 r:sp.1"}, {"44 88 c4", "MOV w:sp.1 r:r8.1"},
          {"b7 01", "MOV w:bh.1 r:#1.1"}, {"41 b7 ff", "MOV w:r15.1 r:#-1.1"},
          {"4c 0f 6f c8", "MOVQ w:mm1.8 r:mm0.8"}, {"45 0f 28 c8", "MOVAPS w:xmm9.16 r:xmm8.16"},
          {"44 8e c8", "UD"}, {"44 8e d8", "MOV_SREG w:ds.2 r:ax.2"});
}

TEST(prefixes, segment_overrides)
{
    CHECK(DECODE_64, {"2e 64 3e 8b 00", "MOV w:ax.4 r:[fs:ax].4"},
          {"65 64 8b 00", "MOV w:ax.4 r:[fs:ax].4"}, {"2e 8b 00", "MOV w:ax.4 r:[ds:ax].4"},
          {"36 8b 00", "MOV w:ax.4 r:[ds:ax].4"}, {"65 8b 04 24", "MOV w:ax.4 r:[gs:sp].4"},
          {"65 a4", "MOVS w:es:[di].1 r:gs:[si].1"});
    CHECK(DECODE_32, {"64 26 ad", "LODS w:ax.4 r:es:[si].4"}, {"2e ab", "STOS w:es:[di].4 r:ax.4"});
}

TEST(prefixes, mandatory_prefixes_select)
{
    CHECK(DECODE_64, {"0f 10 c1", "MOVUPS w:xmm0.16 r:xmm1.16"},
          {"66 0f 10 c1", "MOVUPD w:xmm0.16 r:xmm1.16"},
          {"f3 0f 10 00", "MOVSS w:xmm0.4 r:[ds:ax].4"},
          {"66 f2 0f 10 00", "MOVSD_XMM w:xmm0.8 r:[ds:ax].8"},
          {"f2 f3 0f 10 00", "MOVSS w:xmm0.4 r:[ds:ax].4"}, {"f3 0f b8 c1", "POPCNT w:ax.4 r:cx.4"},
          {"66 f3 0f b8 c1", "POPCNT w:ax.2 r:cx.2"}, {"f3 48 0f b8 c1", "POPCNT w:ax.8 r:cx.8"},
          {"0f b8 c1", "UD"}, {"f2 0f 38 f0 c1", "CRC32 rw:ax.4 r:cx.1"},
          {"66 f2 0f 38 f1 c1", "CRC32 rw:ax.4 r:cx.2"},
          {"f2 48 0f 38 f1 c1", "CRC32 rw:ax.8 r:cx.8"},
          {"66 0f 38 f0 00", "MOVBE w:ax.2 r:[ds:ax].2"}, {"f3 0f 54 c1", "UD"},
          {"66 0f 6e c0", "MOVD w:xmm0.16 r:ax.4"}, {"66 48 0f 6e c0", "MOVQ w:xmm0.16 r:ax.8"},
          {"66 48 0f 7e c0", "MOVQ w:ax.8 r:xmm0.8"}, {"66 0f d6 00", "MOVQ w:[ds:ax].8 r:xmm0.8"},
          {"66 0f d6 c8", "MOVQ w:xmm0.16 r:xmm1.8"});
}

TEST(prefixes, nop_and_its_relatives)
{
    CHECK(DECODE_64, {"90", "NOP"}, {"f3 90", "PAUSE"}, {"41 90", "XCHG rw:r8.4 rw:ax.4"},
          {"f3 41 90", "XCHG rw:r8.4 rw:ax.4"}, {"48 90", "NOP"}, {"66 90", "NOP"},
          {"f3 0f 1e fa", "NOP a:dx.4"}, {"f3 48 0f 1e c8", "NOP a:ax.8"},
          {"66 2e 0f 1f 84 00 00 00 00 00", "NOP a:[ds:ax+ax*1].2"},
          {"0f 18 08", "PREFETCHT0 a:[ds:ax].1"}, {"0f 18 20", "NOP a:[ds:ax].4"},
          {"0f 0d 08", "PREFETCHW a:[ds:ax].1"}, {"0f 0d c8", "NOP a:ax.4"});
}

TEST(prefixes, lock_only_with_a_memory_destination)
{
    CHECK(DECODE_64, {"f0 0f b1 0a", "CMPXCHG rw:[ds:dx].4 r:cx.4"}, {"f0 01 c8", "UD"},
          {"f0 01 08", "ADD rw:[ds:ax].4 r:cx.4"}, {"f0 03 08", "UD"}, {"f0 89 08", "UD"},
          {"f0 39 08", "UD"}, {"f0 0f a3 08", "UD"}, {"f0 0f ba 28 03", "BTS rw:[ds:ax].4 r:#3.1"},
          {"f0 0f ba 20 03", "UD"}, {"f0 87 08", "XCHG rw:[ds:ax].4 rw:cx.4"}, {"f0 90", "UD"},
          {"f0 48 0f c7 0e", "CMPXCHG16B rw:[ds:si].16"}, {"f0 f7 18", "NEG rw:[ds:ax].4"},
          {"f0 f7 20", "UD"});
}

TEST(sizes, defaults_of_64_bit_mode)
{
    CHECK(DECODE_64, {"50", "PUSH r:ax.8"}, {"66 50", "PUSH r:ax.2"}, {"41 50", "PUSH r:r8.8"},
          {"6a ff", "PUSH r:#-1.8"}, {"68 00 00 00 80", "PUSH r:#-80000000.8"},
          {"66 68 00 80", "PUSH r:#-8000.2"}, {"ff 30", "PUSH r:[ds:ax].8"},
          {"8f 00", "POP w:[ds:ax].8"}, {"9c", "PUSHF r:flags.8"}, {"66 9d", "POPF w:flags.2"},
          {"66 e8 11 22 33 44", "CALL_NEAR r:rel 44332211.4"}, {"66 74 fe", "JCC r:rel -2.1"},
          {"ff 10", "CALL_NEAR_IND r:[ds:ax].8"}, {"66 ff e0", "JMP_NEAR_IND r:ax.8"},
          {"ff 18", "CALL_FAR_IND r:[ds:ax].6"}, {"48 ff 28", "JMP_FAR_IND r:[ds:ax].10"},
          {"c8 10 00 05", "ENTER r:#10.2 r:#5.1"}, {"0f 01 10", "LGDT r:[ds:ax].10"},
          {"48 63 c8", "MOVSXD w:cx.8 r:ax.4"}, {"63 c8", "MOVSXD w:cx.4 r:ax.4"},
          {"66 63 08", "MOVSXD w:cx.2 r:[ds:ax].2"});
    CHECK(DECODE_32, {"66 e8 11 22", "CALL_NEAR r:rel 2211.2"}, {"0f 01 10", "LGDT r:[ds:ax].6"},
          {"63 c8", "ARPL rw:ax.2 r:cx.2"}, {"50", "PUSH r:ax.4"});
    CHECK(DECODE_16, {"66 0f 01 10", "LGDT r:[ds:bx+si*1].6"}, {"66 cb", "RET_FAR"});
}

TEST(sizes, immediates_are_extended)
{
    CHECK(DECODE_64, {"48 b8 f0 de bc 9a 78 56 34 12", "MOV w:ax.8 r:#123456789abcdef0.8"},
          {"b8 ff ff ff ff", "MOV w:ax.4 r:#-1.4"},
          {"48 c7 c0 00 00 00 80", "MOV w:ax.8 r:#-80000000.8"},
          {"48 83 c0 ff", "ADD rw:ax.8 r:#-1.8"}, {"04 80", "ADD rw:ax.1 r:#-80.1"},
          {"48 05 00 00 00 80", "ADD rw:ax.8 r:#-80000000.8"}, {"c1 e0 ff", "SHL rw:ax.4 r:#ff.1"},
          {"d1 f0", "SHL rw:ax.4 r:1.1"}, {"d3 f8", "SAR rw:ax.4 r:cx.1"}, {"cd 80", "INT r:#80.1"},
          {"c2 ff ff", "RET_NEAR r:#ffff.2"}, {"6b c0 fe", "IMUL w:ax.4 r:ax.4 r:#-2.4"},
          {"66 69 c0 00 80", "IMUL w:ax.2 r:ax.2 r:#-8000.2"},
          {"48 a1 88 77 66 55 44 33 22 91", "MOV w:ax.8 r:[ds:9122334455667788].8"},
          {"67 a3 44 33 22 91", "MOV w:[ds:91223344].4 r:ax.4"},
          {"f7 c8 ff ff ff ff", "TEST r:ax.4 r:#-1.4"});
}

TEST(rows, control_debug_and_segment_registers)
{
    CHECK(DECODE_64, {"0f 20 c0", "MOV_CR w:ax.8 r:cr0.8"}, {"0f 20 00", "MOV_CR w:ax.8 r:cr0.8"},
          {"0f 20 04", "MOV_CR w:sp.8 r:cr0.8"}, {"45 0f 22 c1", "MOV_CR w:cr8.8 r:r9.8"},
          {"0f 20 c8", "UD"}, {"0f 22 e8", "UD"}, {"44 0f 20 d8", "UD"},
          {"0f 23 f8", "MOV_DR w:dr7.8 r:ax.8"}, {"44 0f 21 c0", "UD"}, {"8e c8", "UD"},
          {"8e f0", "UD"}, {"8c c8", "MOV_SREG w:ax.4 r:cs.2"},
          {"48 8c d8", "MOV_SREG w:ax.8 r:ds.2"}, {"8c 28", "MOV_SREG w:[ds:ax].2 r:gs.2"},
          {"06", "UD"}, {"0f a0", "PUSH_SREG r:fs.2"});
    CHECK(DECODE_32, {"66 0f 22 d8", "MOV_CR w:cr3.4 r:ax.4"}, {"07", "POP_SREG w:es.2"},
          {"0f b2 20", "LSS w:sp.4 r:[ds:ax].6"});
}

TEST(rows, what_64_bit_mode_took_away)
{
    CHECK(DECODE_64, {"27", "UD"}, {"60", "UD"}, {"82 c0 01", "UD"}, {"9a 00 00 00 00 00 00", "UD"},
          {"ce", "UD"}, {"d4 0a", "UD"}, {"d6", "UD"}, {"62 00", "UD"},
          {"62 f1 7c 48 58 c1", "UD"});
    CHECK(DECODE_32, {"27", "DAA"}, {"60", "PUSHA"}, {"82 c0 ff", "ADD rw:ax.1 r:#-1.1"},
          {"9a 44 33 22 11 66 55", "CALL_FAR r:5566:11223344.6"}, {"ce", "INTO"},
          {"d4 0a", "AAM r:#a.1"}, {"d6", "SALC"}, {"62 00", "BOUND r:ax.4 r:[ds:ax].8"},
          {"c5 00", "LDS w:ax.4 r:[ds:ax].6"}, {"c4 06", "LES w:ax.4 r:[ds:si].6"}, {"62 f1", "UD"},
          {"0f 05", "SYSCALL"}, {"0f 01 f8", "UD"}, {"f3 0f ae c0", "UD"});
}

TEST(rows, groups_choose_by_mod_and_rm)
{
    CHECK(DECODE_64, {"0f 01 d0", "XGETBV"}, {"0f 01 f8", "SWAPGS"}, {"0f 01 f9", "RDTSCP"},
          {"0f 01 38", "INVLPG a:[ds:ax].1"}, {"0f 01 c1", "VMCALL"}, {"0f 01 ca", "CLAC"},
          {"0f 01 c0", "UD"}, {"0f 01 e0", "SMSW w:ax.4"}, {"0f 01 20", "SMSW w:[ds:ax].2"},
          {"0f 00 c8", "STR w:ax.4"}, {"0f ae e8", "LFENCE"}, {"0f ae ef", "LFENCE"},
          {"0f ae 28", "XRSTOR r:[ds:ax].0"}, {"0f ae 38", "CLFLUSH a:[ds:ax].1"},
          {"66 0f ae 38", "CLFLUSHOPT a:[ds:ax].1"}, {"f3 48 0f ae d0", "WRFSBASE r:ax.8"},
          {"0f c7 0e", "CMPXCHG8B rw:[ds:si].8"}, {"48 0f c7 0e", "CMPXCHG16B rw:[ds:si].16"},
          {"66 0f c7 f0", "RDRAND w:ax.2"}, {"f3 0f c7 f8", "RDPID w:ax.8"}, {"0f c7 c8", "UD"},
          {"8d c0", "UD"}, {"fe d0", "UD"}, {"ff f8", "UD"}, {"ff d8", "UD"}, {"8f c8", "UD"},
          {"0f 0b", "UD2"}, {"0f b9 c0", "UD1 a:ax.4 a:ax.4"}, {"0f ff c0", "UD0 a:ax.4 a:ax.4"});
}

TEST(rows, x87_and_its_aliases)
{
    CHECK(DECODE_32, {"d8 c1", "FADD rw:st0.10 r:st1.10"}, {"dc c1", "FADD rw:st1.10 r:st0.10"},
          {"dc e1", "FSUBR rw:st1.10 r:st0.10"}, {"dc e9", "FSUB rw:st1.10 r:st0.10"},
          {"de e1", "FSUBRP rw:st1.10 r:st0.10"}, {"de d9", "FCOMPP"}, {"de d8", "UD"},
          {"db 28", "FLD r:[ds:ax].10"}, {"df e0", "FNSTSW w:ax.2"},
          {"dd 38", "FNSTSW w:[ds:ax].2"}, {"d9 d0", "FNOP"}, {"d9 d1", "UD"},
          {"d9 d9", "FSTPNCE w:st1.10"}, {"df c1", "FFREEP w:st1.10"},
          {"dc d1", "FCOM r:st0.10 r:st1.10"}, {"db f1", "FCOMI r:st0.10 r:st1.10"},
          {"da c1", "FCMOVB rw:st0.10 r:st1.10"}, {"db e3", "FNINIT"}, {"9b", "FWAIT"},
          {"dd 20", "FRSTOR r:[ds:ax].0"}, {"d9 ef", "UD"});
}

TEST(rows, strings_and_ports)
{
    CHECK(DECODE_64, {"f3 48 a5", "MOVS w:es:[di].8 r:ds:[si].8"},
          {"a6", "CMPS r:ds:[si].1 r:es:[di].1"}, {"66 af", "SCAS r:ax.2 r:es:[di].2"},
          {"48 6d", "INS w:es:[di].4 r:port dx.2"}, {"6e", "OUTS r:port dx.2 r:ds:[si].1"},
          {"e4 ff", "IN w:ax.1 r:#ff.1"}, {"48 ed", "IN w:ax.4 r:port dx.2"},
          {"66 ef", "OUT r:port dx.2 r:ax.2"}, {"d7", "XLAT"});
}

TEST(vex, fields_name_registers_and_lengths)
{
    CHECK(DECODE_64, {"c5 f8 77", "VZEROUPPER"}, {"c5 fc 77", "VZEROALL"},
          {"c5 e8 58 cb", "VADDPS w:xmm1.16 r:xmm2.16 r:xmm3.16"},
          {"c5 ec 58 0b", "VADDPS w:xmm1.32 r:xmm2.32 r:[ds:bx].32"},
          {"c4 41 2d 58 cb", "VADDPD w:xmm9.32 r:xmm10.32 r:xmm11.32"},
          {"c4 01 2d 58 0c 9b", "VADDPD w:xmm9.32 r:xmm10.32 r:[ds:r11+r11*4].32"},
          {"c5 ab 58 0d 10 00 00 00", "VADDSD w:xmm1.8 r:xmm10.8 r:[ds:ip+10].8"},
          {"c4 e3 71 4a c2 f0", "VBLENDVPS w:xmm0.16 r:xmm1.16 r:xmm2.16 r:xmm15.16"},
          {"c4 e3 75 4c c2 3f", "VPBLENDVB w:xmm0.32 r:xmm1.32 r:xmm2.32 r:xmm3.32"},
          {"c5 f9 6e c0", "VMOVD w:xmm0.16 r:ax.4"}, {"c4 e1 f9 6e c0", "VMOVQ w:xmm0.16 r:ax.8"},
          {"c5 f1 71 d2 05", "VPSRLW w:xmm1.16 r:xmm2.16 r:#5.1"},
          {"c4 e2 7d 25 c1", "VPMOVSXDQ w:xmm0.32 r:xmm1.16"},
          {"c4 e2 7d 22 00", "VPMOVSXBQ w:xmm0.32 r:[ds:ax].4"},
          {"64 67 c5 f8 10 00", "VMOVUPS w:xmm0.16 r:[fs:ax].16"},
          {"c4 e1 fa 2a c9", "VCVTSI2SS w:xmm1.4 r:xmm0.4 r:cx.8"},
          {"c4 c2 60 f2 c1", "ANDN w:ax.4 r:bx.4 r:r9.4"},
          {"c4 62 b3 f6 c1", "MULX w:r8.8 w:r9.8 r:cx.8"}, {"c4 e2 f0 f3 c0", "UD"},
          {"c4 e2 f0 f3 cb", "BLSR w:cx.8 r:bx.8"});
}

TEST(vex, other_prefixes_reserved_maps_and_unused_vvvv_are_ud)
{
    CHECK(DECODE_64, {"66 c5 f8 77", "UD"}, {"f2 c5 f8 77", "UD"}, {"f3 c5 f8 77", "UD"},
          {"f0 c5 f8 77", "UD"}, {"48 c5 f8 77", "UD"}, {"48 2e c5 f8 77", "VZEROUPPER"},
          {"c4 e0 78 77", "UD"}, {"c4 e1 78 77", "VZEROUPPER"}, {"c4 e4 78 77", "UD"},
          {"c4 ff 78 77", "UD"}, {"c5 f0 77", "UD"}, {"c5 78 77", "VZEROUPPER"},
          {"c5 f0 10 00", "UD"}, {"c5 f1 d7 c0", "UD"}, {"c5 f9 d7 00", "UD"},
          {"c4 e3 7d 00 c1 00", "UD"}, {"c4 e3 fd 00 c1 00", "VPERMQ w:xmm0.32 r:xmm1.32 r:#0.1"},
          {"c4 e2 f9 18 00", "UD"}, {"c4 e2 79 18 00", "VBROADCASTSS w:xmm0.16 r:[ds:ax].4"},
          {"c4 e2 79 19 00", "UD"}, {"c4 e2 7d 19 00", "VBROADCASTSD w:xmm0.32 r:[ds:ax].8"},
          {"c5 fd 6e c0", "UD"}, {"c5 fe 58 c1", "VADDSS w:xmm0.4 r:xmm0.4 r:xmm1.4"},
          {"c4 e2 7c f2 c0", "UD"}, {"c4", "TRUNCATED"}, {"c4 e2", "TRUNCATED"},
          {"c5 f8", "TRUNCATED"}, {"c5 f8 58", "TRUNCATED"});
}

TEST(vex, outside_64_bit_mode_high_register_bits_are_ignored)
{
    CHECK(DECODE_32, {"c5 f8 77", "VZEROUPPER"}, {"c4 c1 78 77", "VZEROUPPER"},
          {"c4 c1 68 58 cb", "VADDPS w:xmm1.16 r:xmm2.16 r:xmm3.16"},
          {"c4 e1 28 58 cb", "VADDPS w:xmm1.16 r:xmm2.16 r:xmm3.16"}, {"c4 e1 38 77", "UD"},
          {"c5 b8 77 00 00 00", "LDS w:di.4 r:[ds:ax+77].6"},
          {"c4 e3 71 4a c2 f0", "VBLENDVPS w:xmm0.16 r:xmm1.16 r:xmm2.16 r:xmm7.16"},
          {"c4 e1 f9 6e c0", "VMOVD w:xmm0.16 r:ax.4"}, {"c4 e3 f9 16 c0 01", "UD"},
          {"c4 e3 79 16 c0 01", "VPEXTRD w:ax.4 r:xmm0.16 r:#1.1"},
          {"c4 c2 a0 f2 c1", "ANDN w:ax.4 r:bx.4 r:cx.4"});
    CHECK(DECODE_16, {"c5 f8 58 00", "VADDPS w:xmm0.16 r:xmm0.16 r:[ds:bx+si*1].16"},
          {"c4 e2 78 f2 c1", "ANDN w:ax.4 r:ax.4 r:cx.4"}, {"c5 00", "LDS w:ax.2 r:[ds:bx+si*1].4"},
          {"c4", "TRUNCATED"});
}

TEST(vex, gathers_have_a_vector_of_indices_and_three_registers)
{
    CHECK(DECODE_64, {"c4 e2 69 90 04 08", "VPGATHERDD rw:xmm0.16 r:[ds:ax+xmm1*1].4 rw:xmm2.16"},
          {"c4 e2 6d 90 04 48", "VPGATHERDD rw:xmm0.32 r:[ds:ax+ymm1*2].4 rw:xmm2.32"},
          {"c4 e2 ed 90 04 a0", "VPGATHERDQ rw:xmm0.32 r:[ds:ax+xmm4*4].8 rw:xmm2.32"},
          {"c4 a2 6d 93 04 e5 10 00 00 00", "VGATHERQPS rw:xmm0.16 r:[ds:ymm12*8+10].4 rw:xmm2.16"},
          {"c4 e2 ed 93 04 08", "VGATHERQPD rw:xmm0.32 r:[ds:ax+ymm1*1].8 rw:xmm2.32"},
          {"c4 e2 79 90 04 08", "UD"}, {"c4 e2 71 90 04 08", "UD"}, {"c4 e2 69 90 0c 08", "UD"},
          {"c4 e2 69 90 00", "UD"}, {"c4 e2 69 90 05 00 00 00 00", "UD"}, {"c4 e2 69 90 c1", "UD"});
    CHECK(DECODE_32, {"c4 e2 69 90 04 08", "VPGATHERDD rw:xmm0.16 r:[ds:ax+xmm1*1].4 rw:xmm2.16"},
          {"67 c4 e2 69 90 04", "UD"});
}

TEST(length, fifteen_bytes_and_no_more)
{
    CHECK(DECODE_64, {"66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", "NOP"},
          {"66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", "TOO_LONG"},
          {"2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e b8 01 00 00 00", "TOO_LONG"},
          {"66 66 66 66 66 66 66 66 66 66 66 66 66 66", "TRUNCATED"}, {"0f", "TRUNCATED"},
          {"8b 05 00 00 00", "TRUNCATED"}, {"48", "TRUNCATED"}, {"0f 38", "TRUNCATED"},
          {"f0 89 05 00 00", "TRUNCATED"});
}

TEST_MAIN(RUN(addressing, forms_of_64_bit_mode) RUN(addressing, forms_of_16_and_32_bits) RUN(
    prefixes, rex_counts_only_right_before_the_opcode) RUN(prefixes, segment_overrides)
              RUN(prefixes, mandatory_prefixes_select) RUN(prefixes, nop_and_its_relatives) RUN(
                  prefixes, lock_only_with_a_memory_destination) RUN(sizes, defaults_of_64_bit_mode)
                  RUN(sizes, immediates_are_extended) RUN(rows, control_debug_and_segment_registers)
                      RUN(rows, what_64_bit_mode_took_away) RUN(rows, groups_choose_by_mod_and_rm)
                          RUN(rows, x87_and_its_aliases) RUN(rows, strings_and_ports)
                              RUN(vex, fields_name_registers_and_lengths)
                                  RUN(vex, other_prefixes_reserved_maps_and_unused_vvvv_are_ud)
                                      RUN(vex, outside_64_bit_mode_high_register_bits_are_ignored)
                                          RUN(vex,
                                              gathers_have_a_vector_of_indices_and_three_registers)
                                              RUN(length, fifteen_bytes_and_no_more))
