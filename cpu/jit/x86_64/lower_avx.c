/* SPDX-License-Identifier: MIT */
/*
 * AVX, AVX2, FMA, F16C and what else is VEX-encoded and has vector registers, but for gathers,
 * masked moves, estimates and dot products: the host's own instruction, if the host has it and
 * AVX2; floating point as in lower_sse.c. A 128-bit one works on the copies that lower_sse.c keeps,
 * and leaves zeros above in the host as in the guest. From the first 256-bit one on whole registers
 * are kept as copies (fp_state.ymm), until legacy SSE, C or another block, which VZEROUPPER spares
 * the mixture: lower halves stay.
 */
#include "cpu/jit/x86_64/jit_priv.h"
#include "cpu/jit/x86_64/vex.h"

enum vex_kind {
    VEX_NONE,
    VEX_INT,     /* neither reads nor writes MXCSR; memory need not be aligned */
    VEX_ALIGNED, /* a move of all bytes whose memory operand must be */
    VEX_LOOSE,   /* a move of all bytes */
    VEX_FLOAT,   /* as VEX_INT, but for MXCSR */
    VEX_SUM,     /* as VEX_FLOAT; DEST is a source, too */
    VEX_INT_SUM, /* as VEX_INT; the same */
    VEX_PART,    /* a move of a part of a register, to or from its lower half */
    VEX_EXTRACT, /* a part of a register to ModRM.rm */
    VEX_BLEND,   /* a fourth register is the mask */
};

/* clang-format off */
#define INT(op) [OP_##op] = VEX_INT,
#define ALIGNED(op) [OP_##op] = VEX_ALIGNED,
#define LOOSE(op) [OP_##op] = VEX_LOOSE,
#define FLOAT(op) [OP_##op] = VEX_FLOAT,
#define FLOATS(op) FLOAT(op##PS) FLOAT(op##PD) FLOAT(op##SS) FLOAT(op##SD)
#define SUM(op) [OP_##op] = VEX_SUM,
#define SUMS(op) SUM(op##PS) SUM(op##PD) SUM(op##SS) SUM(op##SD)
#define PAIRS(op) SUM(op##PS) SUM(op##PD)
#define PART(op) [OP_##op] = VEX_PART,
#define EXTRACT(op) [OP_##op] = VEX_EXTRACT,
#define BLEND(op) [OP_##op] = VEX_BLEND,
#define DOT(op) [OP_##op] = VEX_INT_SUM,
static const uint8_t kinds[] = {
    INT(VPABSB) INT(VPABSD) INT(VPABSW) INT(VPACKSSDW) INT(VPACKSSWB) INT(VPACKUSDW) INT(VPACKUSWB)
    INT(VPADDB) INT(VPADDD) INT(VPADDQ) INT(VPADDSB) INT(VPADDSW) INT(VPADDUSB) INT(VPADDUSW)
    INT(VPADDW) INT(VPALIGNR) INT(VPAND) INT(VPANDN) INT(VPAVGB) INT(VPAVGW) INT(VPBLENDD)
    INT(VPBLENDW) INT(VPBROADCASTB) INT(VPBROADCASTD) INT(VPBROADCASTQ) INT(VPBROADCASTW)
    INT(VPCMPEQB) INT(VPCMPEQD) INT(VPCMPEQQ) INT(VPCMPEQW) INT(VPCMPGTB) INT(VPCMPGTD)
    INT(VPCMPGTQ) INT(VPCMPGTW) INT(VPERM2I128) INT(VPERM2F128) INT(VPERMD) INT(VPERMQ) INT(VPHADDD)
    INT(VPHADDW) INT(VPHSUBD) INT(VPHSUBW) INT(VPMADDUBSW) INT(VPMADDWD) INT(VPMAXSB) INT(VPMAXSD)
    INT(VPMAXSW) INT(VPMAXUB) INT(VPMAXUD) INT(VPMAXUW) INT(VPMINSB) INT(VPMINSD) INT(VPMINSW)
    INT(VPMINUB) INT(VPMINUD) INT(VPMINUW) INT(VPMOVMSKB) INT(VPMOVSXBD) INT(VPMOVSXBQ)
    INT(VPMOVSXBW) INT(VPMOVSXDQ) INT(VPMOVSXWD) INT(VPMOVSXWQ) INT(VPMOVZXBD) INT(VPMOVZXBQ)
    INT(VPMOVZXBW) INT(VPMOVZXDQ) INT(VPMOVZXWD) INT(VPMOVZXWQ) INT(VPMULDQ) INT(VPMULHRSW)
    INT(VPMULHUW) INT(VPMULHW) INT(VPMULLD) INT(VPMULLW) INT(VPMULUDQ) INT(VPOR) INT(VPSADBW)
    INT(VPSHUFB) INT(VPSHUFD) INT(VPSHUFHW) INT(VPSHUFLW) INT(VPSIGNB) INT(VPSIGND) INT(VPSIGNW)
    INT(VPSLLD) INT(VPSLLDQ) INT(VPSLLQ) INT(VPSLLVD) INT(VPSLLVQ) INT(VPSLLW) INT(VPSRAD)
    INT(VPSRAVD) INT(VPSRAW) INT(VPSRLD) INT(VPSRLDQ) INT(VPSRLQ) INT(VPSRLVD) INT(VPSRLVQ)
    INT(VPSRLW) INT(VPSUBB) INT(VPSUBD) INT(VPSUBQ) INT(VPSUBSB) INT(VPSUBSW) INT(VPSUBUSB)
    INT(VPSUBUSW) INT(VPSUBW) INT(VPTEST) INT(VPUNPCKHBW) INT(VPUNPCKHDQ) INT(VPUNPCKHQDQ)
    INT(VPUNPCKHWD) INT(VPUNPCKLBW) INT(VPUNPCKLDQ) INT(VPUNPCKLQDQ) INT(VPUNPCKLWD) INT(VPXOR)
    INT(VANDNPD) INT(VANDNPS) INT(VANDPD) INT(VANDPS) INT(VORPD) INT(VORPS) INT(VXORPD) INT(VXORPS)
    INT(VSHUFPD) INT(VSHUFPS) INT(VUNPCKHPD) INT(VUNPCKHPS) INT(VUNPCKLPD) INT(VUNPCKLPS)
    INT(VINSERTI128) INT(VINSERTF128) INT(VMOVMSKPD) INT(VMOVMSKPS) INT(VBROADCASTSS)
    INT(VBROADCASTSD) INT(VBROADCASTI128) INT(VBROADCASTF128) INT(VPINSRB) INT(VPINSRW) INT(VPINSRD)
    INT(VPINSRQ) INT(VMOVDDUP) INT(VMOVSHDUP) INT(VMOVSLDUP)
    ALIGNED(VMOVAPS) ALIGNED(VMOVAPD) ALIGNED(VMOVDQA) ALIGNED(VMOVNTDQ) ALIGNED(VMOVNTPS)
    ALIGNED(VMOVNTPD) ALIGNED(VMOVNTDQA)
    LOOSE(VMOVUPS) LOOSE(VMOVUPD) LOOSE(VMOVDQU) LOOSE(VLDDQU)
    INT(VPERMILPS) INT(VPERMILPD) INT(VPERMPS) INT(VPERMPD) INT(VBLENDPS) INT(VBLENDPD)
    INT(VINSERTPS) INT(VTESTPS) INT(VTESTPD) INT(VPHMINPOSUW) INT(VMPSADBW) INT(VPHADDSW)
    INT(VPHSUBSW) INT(VAESENC) INT(VAESENCLAST) INT(VAESDEC) INT(VAESDECLAST) INT(VAESIMC)
    INT(VAESKEYGENASSIST) INT(VPCLMULQDQ) INT(VGF2P8MULB) INT(VGF2P8AFFINEQB)
    INT(VGF2P8AFFINEINVQB) INT(VCVTDQ2PD)
    FLOATS(VADD) FLOATS(VSUB) FLOATS(VMUL) FLOATS(VDIV) FLOATS(VMIN) FLOATS(VMAX) FLOATS(VSQRT)
    FLOATS(VCMP) FLOATS(VROUND) FLOAT(VADDSUBPS) FLOAT(VADDSUBPD) FLOAT(VHADDPS) FLOAT(VHADDPD)
    FLOAT(VHSUBPS) FLOAT(VHSUBPD) FLOAT(VCOMISS) FLOAT(VCOMISD) FLOAT(VUCOMISS) FLOAT(VUCOMISD)
    FLOAT(VCVTSI2SS) FLOAT(VCVTSI2SD) FLOAT(VCVTTSS2SI) FLOAT(VCVTTSD2SI) FLOAT(VCVTSS2SI)
    FLOAT(VCVTSD2SI) FLOAT(VCVTPS2PD) FLOAT(VCVTPD2PS) FLOAT(VCVTSS2SD) FLOAT(VCVTSD2SS)
    FLOAT(VCVTDQ2PS) FLOAT(VCVTPS2DQ) FLOAT(VCVTTPS2DQ) FLOAT(VCVTTPD2DQ) FLOAT(VCVTPD2DQ)
    FLOAT(VCVTPH2PS)
    SUMS(VFMADD132) SUMS(VFMADD213) SUMS(VFMADD231) SUMS(VFMSUB132) SUMS(VFMSUB213) SUMS(VFMSUB231)
    SUMS(VFNMADD132) SUMS(VFNMADD213) SUMS(VFNMADD231) SUMS(VFNMSUB132) SUMS(VFNMSUB213)
    SUMS(VFNMSUB231) PAIRS(VFMADDSUB132) PAIRS(VFMADDSUB213) PAIRS(VFMADDSUB231)
    PAIRS(VFMSUBADD132) PAIRS(VFMSUBADD213) PAIRS(VFMSUBADD231)
    DOT(VPDPBUSD) DOT(VPDPBUSDS) DOT(VPDPWSSD) DOT(VPDPWSSDS)
    PART(VMOVSS) PART(VMOVSD) PART(VMOVLPS) PART(VMOVLPD) PART(VMOVHPS) PART(VMOVHPD)
    PART(VMOVHLPS) PART(VMOVLHPS)
    EXTRACT(VEXTRACTF128) EXTRACT(VEXTRACTI128) EXTRACT(VPEXTRB) EXTRACT(VPEXTRW) EXTRACT(VPEXTRD)
    EXTRACT(VPEXTRQ) EXTRACT(VEXTRACTPS) EXTRACT(VCVTPS2PH)
    BLEND(VBLENDVPS) BLEND(VBLENDVPD) BLEND(VPBLENDVB)
};
/* clang-format on */

/* ---- registers ---- */

/* All 32 bytes of host register reg to guest register g. VEX.128 has made the upper half 0. */
static void ymm_changed(struct unit *u, unsigned g, bool is_256)
{
    struct vex store = MOVE_STORE;
    store.l = true;
    u->fp.upper |= is_256;
    emit_vex_rm(&u->e, store, xmm_own(g, X_DST), 0, mem_xmm(g));
    if (g >= XMM_PINNED)
        return;
    u->xmm |= (uint16_t)BIT(g);
    if (u->fp.upper)
        u->fp.ymm |= (uint16_t)BIT(g);
}

/* All 32 bytes of guest register g in a host register: its own, or scratch. */
static unsigned ymm_in(struct unit *u, unsigned g, unsigned scratch)
{
    struct vex load = MOVE_LOAD;
    unsigned reg = xmm_own(g, scratch);
    load.l = true;
    if (g >= XMM_PINNED || !(u->fp.ymm & BIT(g)))
        emit_vex_rm(&u->e, load, reg, 0, mem_xmm(g));
    u->fp.upper = true;
    if (g < XMM_PINNED) {
        u->xmm |= (uint16_t)BIT(g);
        u->fp.ymm |= (uint16_t)BIT(g);
    }
    return reg;
}

static unsigned source_in(struct unit *u, unsigned g, unsigned scratch, bool is_256)
{
    return is_256 ? ymm_in(u, g, scratch) : xmm_in(u, g, scratch);
}

/* ---- forms ---- */

/* The last source in ModRM.rm: memory (m), a general register or a vector one. */
static void emit_last(struct unit *u, struct vex x, unsigned reg, unsigned vvvv,
                      const struct operand *o, struct host_mem m)
{
    if (o->kind == OPND_MEM)
        emit_vex_rm(&u->e, x, reg, vvvv, m);
    else if (o->kind == OPND_GPR)
        emit_vex_rr(&u->e, x, reg, vvvv, gpr_in(u, o->reg, T0));
    else if (x.l && o->reg >= XMM_PINNED)
        emit_vex_rm(&u->e, x, reg, vvvv, mem_xmm(o->reg));
    else
        emit_vex_rr(&u->e, x, reg, vvvv, source_in(u, o->reg, X_SRC, x.l));
}

/* Its result is the flags. */
static bool only_tests(const struct insn *in)
{
    return insn_row(in->row)->written & F_OSZAPC;
}

/* DEST, [SRC1,] SRC2 [, imm8] with DEST in ModRM.reg, or flags (VPTEST). */
static bool lower_sources(struct unit *u, struct vex x, bool aligned)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands, *last = &o[in->operand_count - 1];
    bool has_imm = last->kind == OPND_IMM;
    bool has_src1 = &last[has_imm ? -1 : 0] == &o[2], tests = only_tests(in);
    last = &o[has_src1 ? 2 : 1];
    struct host_mem m = {0};
    if (last->kind == OPND_MEM)
        m = aligned ? probe_aligned(u, last->size, false) : probe_operand(u, last->size, false);
    unsigned src1 = has_src1 ? source_in(u, o[1].reg, X_DST, x.l) : 0;
    unsigned dst = tests ? source_in(u, o[0].reg, X_DST, x.l) : xmm_own(o[0].reg, X_DST);
    emit_last(u, x, dst, src1, last, m);
    if (has_imm)
        emit_8(&u->e, in->imm & 0xff);
    if (!tests) {
        ymm_changed(u, o[0].reg, x.l);
        return true;
    }
    flags_produced(u, (struct recipe){0}, false);
    return true;
}

/* DEST in VEX.vvvv, SRC in ModRM.rm, imm8. */
static bool lower_shift_imm(struct unit *u, struct vex x)
{
    const struct operand *o = u->in->operands;
    unsigned src = source_in(u, o[1].reg, X_DST, x.l);
    emit_vex_rr(&u->e, x, u->in->modrm >> 3 & 7, xmm_own(o[0].reg, X_DST), src);
    emit_8(&u->e, u->in->imm & 0xff);
    ymm_changed(u, o[0].reg, x.l);
    return true;
}

/* VPMOVMSKB, VMOVMSKPx, VPEXTRW, VCVTSD2SI: a general register in ModRM.reg. */
static bool lower_mask(struct unit *u, struct vex x)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    struct host_mem m = {0};
    unsigned g = o[0].reg;
    if (o[1].kind == OPND_MEM)
        m = probe_operand(u, o[1].size, false);
    flags_before_write(u, u->regs[g]);
    unsigned dst = u->regs[g] != H_NONE ? u->regs[g] : (unsigned)T0;
    if (o[1].kind == OPND_MEM)
        emit_vex_rm(&u->e, x, dst, 0, m);
    else
        emit_vex_rr(&u->e, x, dst, 0, source_in(u, o[1].reg, X_DST, x.l));
    if (in->operand_count == 3)
        emit_8(&u->e, in->imm & 0xff);
    if (u->regs[g] == H_NONE)
        emit_store(&u->e, 8, dst, mem_gpr(g));
    return true;
}

static bool lower_store(struct unit *u, bool aligned)
{
    const struct operand *o = u->in->operands;
    struct vex store = MOVE_STORE;
    store.l = o[0].size == 32;
    struct host_mem m =
        aligned ? probe_aligned(u, o[0].size, true) : probe_operand(u, o[0].size, true);
    emit_vex_rm(&u->e, store, source_in(u, o[1].reg, X_DST, store.l), 0, m);
    return true;
}

static bool lower_vmov(struct unit *u, bool aligned)
{
    struct vex load = MOVE_LOAD;
    load.l = u->in->vex_l;
    if (u->in->operands[0].kind == OPND_MEM)
        return lower_store(u, aligned);
    return lower_sources(u, load, aligned);
}

/* VMOVD, VMOVQ by the opcode that has the vector register in ModRM.reg. */
static bool lower_scalar_move(struct unit *u, struct vex x)
{
    const struct operand *o = u->in->operands;
    bool from_xmm = o[0].kind != OPND_XMM;
    if (!from_xmm && o[1].kind == OPND_XMM)
        x = (struct vex){.pp = 2, .map = 1, .opcode = 0x7e}; /* VMOVQ xmm, xmm */
    if (!from_xmm)
        return lower_sources(u, x, false);
    if (o[0].kind == OPND_MEM) {
        struct host_mem m = probe_operand(u, o[0].size, true);
        emit_vex_rm(&u->e, x, xmm_in(u, o[1].reg, X_SRC), 0, m);
        return true;
    }
    unsigned g = o[0].reg, src = xmm_in(u, o[1].reg, X_SRC);
    flags_before_write(u, u->regs[g]);
    unsigned dst = u->regs[g] != H_NONE ? u->regs[g] : (unsigned)T0;
    emit_vex_rr(&u->e, x, src, 0, dst);
    if (u->regs[g] == H_NONE)
        emit_store(&u->e, 8, dst, mem_gpr(g));
    return true;
}

/* FMA: DEST, which is a source, in ModRM.reg; SRC2 from memory where no host register is its own. */
static bool lower_sum(struct unit *u, struct vex x)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    struct host_mem m = {0};
    if (o[2].kind == OPND_MEM)
        m = probe_operand(u, o[2].size, false);
    unsigned src1 = source_in(u, o[1].reg, X_SRC, x.l);
    unsigned dst = source_in(u, o[0].reg, X_DST, x.l);
    if (o[2].kind == OPND_MEM)
        emit_vex_rm(e, x, dst, src1, m);
    else if (o[2].reg >= XMM_PINNED)
        emit_vex_rm(e, x, dst, src1, mem_xmm(o[2].reg));
    else
        emit_vex_rr(e, x, dst, src1, source_in(u, o[2].reg, X_SRC, x.l));
    ymm_changed(u, o[0].reg, x.l);
    return true;
}

/* VBLENDVPx, VPBLENDVB: the mask in imm8[7:4]. */
static bool lower_blend(struct unit *u, struct vex x)
{
    const struct operand *o = u->in->operands;
    struct emit *e = &u->e;
    struct vex load = MOVE_LOAD;
    struct host_mem m = {0};
    load.l = x.l;
    if (o[2].kind == OPND_MEM)
        m = probe_operand(u, o[2].size, false);
    else
        m = mem_xmm(o[2].reg);
    unsigned src1 = source_in(u, o[1].reg, X_DST, x.l);
    emit_vex_rm(e, load, X_SRC, 0, mem_xmm(o[3].reg));
    emit_vex_rm(e, x, xmm_own(o[0].reg, X_DST), src1, m);
    emit_8(e, X_SRC << 4);
    ymm_changed(u, o[0].reg, x.l);
    return true;
}

/* VMOVSS, VMOVHPS and the like. */
static bool lower_part(struct unit *u, struct vex x)
{
    const struct operand *o = u->in->operands;
    x.l = false; /* it counts for nothing */
    if (o[0].kind == OPND_MEM) {
        struct host_mem m = probe_operand(u, o[0].size, true);
        emit_vex_rm(&u->e, x, xmm_in(u, o[1].reg, X_SRC), 0, m);
        return true;
    }
    if (x.opcode == 0x11) /* the other direction: as 10 */
        x.opcode = 0x10;
    return lower_sources(u, x, false);
}

/* ModRM.reg, imm8 to ModRM.rm: memory, a vector register or a general one. */
static bool lower_extract(struct unit *u, struct vex x)
{
    const struct operand *o = u->in->operands;
    struct host_mem m = {0};
    unsigned dst = xmm_own(o[0].reg, X_DST);
    if (o[0].kind == OPND_MEM)
        m = probe_operand(u, o[0].size, true);
    unsigned src = source_in(u, o[1].reg, X_DST, x.l);
    if (o[0].kind == OPND_GPR) {
        flags_before_write(u, u->regs[o[0].reg]);
        dst = u->regs[o[0].reg] != H_NONE ? u->regs[o[0].reg] : (unsigned)T0;
    }
    if (o[0].kind == OPND_MEM)
        emit_vex_rm(&u->e, x, src, 0, m);
    else
        emit_vex_rr(&u->e, x, src, 0, dst);
    emit_8(&u->e, u->in->imm & 0xff);
    if (o[0].kind == OPND_XMM)
        ymm_changed(u, o[0].reg, x.l);
    if (o[0].kind == OPND_GPR && dst == T0)
        emit_store(&u->e, 8, dst, mem_gpr(o[0].reg));
    return true;
}

/* The upper halves of the registers that the mode has; the copies are of lower ones. */
static bool lower_vzeroupper(struct unit *u)
{
    fp_zero_upper(u);
    emit_rr(&u->e, X_0F | 0x57, 4, X_DST, X_DST); /* XORPS */
    for (unsigned g = 0; g < (u->is_32 ? 8u : 16u); g++) {
        struct host_mem high = mem_xmm(g);
        high.disp += 16;
        emit_rm(&u->e, X_STORE, 4, X_DST, high);
    }
    return true;
}

bool lower_avx(struct unit *u)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    if (!in->has_vex || !operand_is_native(u) || !vex_is_native(u) || in->vsib ||
        !u->jit->host_has[FEAT_AVX2] || !u->jit->host_has[insn_row(in->row)->feature])
        return false;
    unsigned kind = in->op < ARRAY_SIZE(kinds) ? kinds[in->op] : VEX_NONE;
    struct vex x = own_vex(in);
    if (in->op == OP_VZEROUPPER)
        return lower_vzeroupper(u);
    if (in->op == OP_VMOVD || in->op == OP_VMOVQ)
        return lower_scalar_move(u, x);
    bool is_float = kind == VEX_FLOAT || kind == VEX_SUM || in->op == OP_VCVTPS2PH;
    if (kind == VEX_NONE || (is_float && !fp_need_mxcsr(u)))
        return false;
    switch (kind) {
    case VEX_ALIGNED:
    case VEX_LOOSE:
        return lower_vmov(u, kind == VEX_ALIGNED);
    case VEX_SUM:
    case VEX_INT_SUM:
        return lower_sum(u, x);
    case VEX_PART:
        return lower_part(u, x);
    case VEX_EXTRACT:
        if (in->map == 3)
            return lower_extract(u, x);
        break;
    case VEX_BLEND:
        return lower_blend(u, x);
    default:
        break;
    }
    if (o[0].kind == OPND_GPR)
        return lower_mask(u, x);
    if (in->operand_count == 3 && o[2].kind == OPND_IMM && in->map == 1 && in->opcode >= 0x71 &&
        in->opcode <= 0x73)
        return lower_shift_imm(u, x);
    return lower_sources(u, x, false);
}
