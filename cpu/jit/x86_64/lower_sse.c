/* SPDX-License-Identifier: MIT */
/*
 * SSE to SSE4.2, AES and PCLMULQDQ: the host's own instruction with the same opcode. Guest XMM0-13
 * are copied into the host's registers of the same number when they are first read in a block and
 * written back at once when they change, so that memory is always right: C may be called, or the
 * block left, at any point; unit.xmm says which copies are good.
 *
 * Floating point runs with the guest's MXCSR in the host's while all its exceptions are masked
 * (fp.h); else the handlers do it.
 */
#include "cpu/jit/x86_64/jit_priv.h"
#include "cpu/jit/x86_64/vex.h"

struct host_mem mem_xmm(unsigned g)
{
    return mem_vcpu(offsetof(struct vcpu, arch.ymm) + 32 * g);
}

/* ---- registers ---- */

unsigned xmm_own(unsigned g, unsigned scratch)
{
    return g < XMM_PINNED ? g : scratch;
}

/* While upper halves are in use, no legacy SSE. */
static void load_lower(struct unit *u, unsigned reg, unsigned g, bool upper)
{
    if (upper)
        emit_vex_rm(&u->e, MOVE_LOAD, reg, 0, mem_xmm(g));
    else
        emit_rm(&u->e, X_LOAD, 4, reg, mem_xmm(g));
}

unsigned xmm_in(struct unit *u, unsigned g, unsigned scratch)
{
    unsigned reg = xmm_own(g, scratch);
    if (g >= XMM_PINNED || !(u->xmm & BIT(g)))
        load_lower(u, reg, g, u->fp.upper);
    if (g < XMM_PINNED)
        u->xmm |= (uint16_t)BIT(g);
    return reg;
}

/* It has changed, in the register that xmm_own says. */
static void xmm_changed(struct unit *u, unsigned g)
{
    emit_rm(&u->e, X_STORE, 4, xmm_own(g, X_DST), mem_xmm(g));
    if (g < XMM_PINNED)
        u->xmm |= (uint16_t)BIT(g);
}

void sse_reload(struct unit *u, uint16_t xmm, const struct fp_state *s)
{
    struct vex load = MOVE_LOAD;
    load.l = true;
    for (unsigned g = 0; g < XMM_PINNED; g++)
        if (s->ymm & BIT(g))
            emit_vex_rm(&u->e, load, g, 0, mem_xmm(g));
        else if (xmm & BIT(g))
            load_lower(u, g, g, s->upper);
}

/* ---- which ---- */

enum sse_kind {
    SSE_NONE,
    SSE_INT,   /* neither reads nor writes MXCSR */
    SSE_FLOAT, /* does, or may */
    SSE_MOVE,  /* as SSE_INT; its opcode has a direction */
    SSE_LOOSE, /* the same, and 16 bytes of memory need not be aligned */
};

/* clang-format off */
#define INT(op) [OP_##op] = SSE_INT,
#define MOVE(op) [OP_##op] = SSE_MOVE,
#define LOOSE(op) [OP_##op] = SSE_LOOSE,
#define FLOAT(op) [OP_##op] = SSE_FLOAT,
static const uint8_t kinds[] = {
    INT(PADDB) INT(PADDW) INT(PADDD) INT(PADDQ) INT(PSUBB) INT(PSUBW) INT(PSUBD) INT(PSUBQ)
    INT(PAND) INT(PANDN) INT(POR) INT(PXOR) INT(PCMPEQB) INT(PCMPEQW) INT(PCMPEQD) INT(PCMPEQQ)
    INT(PCMPGTB) INT(PCMPGTW) INT(PCMPGTD) INT(PCMPGTQ) INT(PMINUB) INT(PMINUW) INT(PMINUD)
    INT(PMINSB) INT(PMINSW) INT(PMINSD) INT(PMAXUB) INT(PMAXUW) INT(PMAXUD) INT(PMAXSB) INT(PMAXSW)
    INT(PMAXSD) INT(PMULLW) INT(PMULLD) INT(PMULUDQ) INT(PMULDQ) INT(PMULHW) INT(PMULHUW)
    INT(PMULHRSW) INT(PMADDWD) INT(PMADDUBSW) INT(ANDPS) INT(ANDPD) INT(ANDNPS) INT(ANDNPD)
    INT(ORPS) INT(ORPD) INT(XORPS) INT(XORPD) INT(PAVGB) INT(PAVGW) INT(PADDUSB) INT(PADDUSW)
    INT(PSUBUSB) INT(PSUBUSW) INT(PADDSB) INT(PADDSW) INT(PSUBSB) INT(PSUBSW) INT(PSIGNB)
    INT(PSIGNW) INT(PSIGND) INT(PABSB) INT(PABSW) INT(PABSD) INT(PSADBW) INT(PSLLW) INT(PSLLD)
    INT(PSLLQ) INT(PSRLW) INT(PSRLD) INT(PSRLQ) INT(PSRAW) INT(PSRAD) INT(PSLLDQ) INT(PSRLDQ)
    INT(PTEST) INT(PMOVMSKB) INT(MOVMSKPS) INT(MOVMSKPD) INT(MPSADBW) INT(PHMINPOSUW) INT(BLENDPS)
    INT(BLENDPD) INT(PBLENDW) INT(EXTRACTPS) INT(INSERTPS) INT(MOVDDUP) INT(MOVSHDUP) INT(MOVSLDUP)
    INT(PEXTRB) INT(PEXTRW) INT(PEXTRD) INT(PEXTRQ) INT(PINSRB) INT(PINSRW) INT(PINSRD) INT(PINSRQ)
    INT(PMOVSXBW) INT(PMOVSXBD) INT(PMOVSXBQ) INT(PMOVSXWD) INT(PMOVSXWQ) INT(PMOVSXDQ)
    INT(PMOVZXBW) INT(PMOVZXBD) INT(PMOVZXBQ) INT(PMOVZXWD) INT(PMOVZXWQ) INT(PMOVZXDQ) INT(PSHUFD)
    INT(PSHUFHW) INT(PSHUFLW) INT(PSHUFB) INT(SHUFPS) INT(SHUFPD) INT(PALIGNR) INT(PACKUSDW)
    INT(PACKSSDW) INT(PACKSSWB) INT(PACKUSWB) INT(PUNPCKHBW) INT(PUNPCKHWD) INT(PUNPCKHDQ)
    INT(PUNPCKHQDQ) INT(PUNPCKLBW) INT(PUNPCKLWD) INT(PUNPCKLDQ) INT(PUNPCKLQDQ) INT(UNPCKHPD)
    INT(UNPCKHPS) INT(UNPCKLPD) INT(UNPCKLPS) INT(PHADDD) INT(PHADDSW) INT(PHADDW) INT(PHSUBD)
    INT(PHSUBSW) INT(PHSUBW) INT(PBLENDVB) INT(BLENDVPS) INT(BLENDVPD) INT(CVTDQ2PD) INT(AESENC)
    INT(AESENCLAST) INT(AESDEC) INT(AESDECLAST) INT(AESIMC) INT(AESKEYGENASSIST) INT(PCLMULQDQ)
    INT(SHA1NEXTE) INT(SHA1MSG1) INT(SHA1MSG2) INT(SHA1RNDS4) INT(SHA256RNDS2) INT(SHA256MSG1)
    INT(SHA256MSG2) INT(GF2P8MULB) INT(GF2P8AFFINEQB) INT(GF2P8AFFINEINVQB)
    INT(PCMPESTRI) INT(PCMPESTRM) INT(PCMPISTRI) INT(PCMPISTRM)
    MOVE(MOVAPS) MOVE(MOVAPD) MOVE(MOVDQA) MOVE(MOVNTPS) MOVE(MOVNTPD) MOVE(MOVNTDQ) MOVE(MOVNTDQA)
    MOVE(MOVD) MOVE(MOVQ) MOVE(MOVSS) MOVE(MOVSD_XMM) MOVE(MOVLPS) MOVE(MOVLPD) MOVE(MOVHLPS)
    MOVE(MOVHPS) MOVE(MOVHPD) MOVE(MOVLHPS)
    LOOSE(MOVUPS) LOOSE(MOVUPD) LOOSE(MOVDQU) LOOSE(LDDQU)
    FLOAT(ADDPS) FLOAT(ADDPD) FLOAT(ADDSS) FLOAT(ADDSD) FLOAT(SUBPS) FLOAT(SUBPD) FLOAT(SUBSS)
    FLOAT(SUBSD) FLOAT(MULPS) FLOAT(MULPD) FLOAT(MULSS) FLOAT(MULSD) FLOAT(DIVPS) FLOAT(DIVPD)
    FLOAT(DIVSS) FLOAT(DIVSD) FLOAT(MINPS) FLOAT(MINPD) FLOAT(MINSS) FLOAT(MINSD) FLOAT(MAXPS)
    FLOAT(MAXPD) FLOAT(MAXSS) FLOAT(MAXSD) FLOAT(SQRTPS) FLOAT(SQRTPD) FLOAT(SQRTSS) FLOAT(SQRTSD)
    FLOAT(ADDSUBPS) FLOAT(ADDSUBPD) FLOAT(HADDPS) FLOAT(HADDPD) FLOAT(HSUBPS) FLOAT(HSUBPD)
    FLOAT(CMPPS) FLOAT(CMPPD) FLOAT(CMPSS) FLOAT(CMPSD_XMM) FLOAT(COMISS) FLOAT(COMISD)
    FLOAT(UCOMISS) FLOAT(UCOMISD) FLOAT(ROUNDPS) FLOAT(ROUNDPD) FLOAT(ROUNDSS) FLOAT(ROUNDSD)
    FLOAT(CVTDQ2PS) FLOAT(CVTPD2DQ) FLOAT(CVTPD2PS) FLOAT(CVTPS2DQ) FLOAT(CVTPS2PD) FLOAT(CVTSD2SI)
    FLOAT(CVTSD2SS) FLOAT(CVTSI2SD) FLOAT(CVTSI2SS) FLOAT(CVTSS2SD) FLOAT(CVTSS2SI) FLOAT(CVTTPD2DQ)
    FLOAT(CVTTPS2DQ) FLOAT(CVTTSD2SI) FLOAT(CVTTSS2SI)
};
/* clang-format on */

/* CVTSI2SD from 32 bits is exact. */
static enum sse_kind kind_of(const struct insn *in)
{
    unsigned kind = in->op < ARRAY_SIZE(kinds) ? kinds[in->op] : SSE_NONE;
    if (in->has_vex)
        return SSE_NONE;
    if (in->op == OP_CVTSI2SD && in->operands[1].size == 4)
        return SSE_INT;
    return (enum sse_kind)kind;
}

static bool has_mmx(const struct insn *in)
{
    return in->operands[0].kind == OPND_MMX || in->operands[1].kind == OPND_MMX;
}

bool sse_is_silent(const struct insn *in)
{
    enum sse_kind kind = kind_of(in);
    return kind != SSE_NONE && kind != SSE_FLOAT && !in->has_mem && !has_mmx(in);
}

/* ---- encoding ---- */

/* Map, mandatory prefix and opcode as emit_opcode takes them. The row knows which prefix counts. */
static unsigned host_opcode(const struct insn *in)
{
    static const unsigned maps[4] = {0, X_0F, X_0F38, X_0F3A};
    const char *encoding = insn_row(in->row)->encoding;
    unsigned op = maps[in->map] | in->opcode;
    if (strncmp(encoding, "OP_66", 5) == 0)
        op |= X_66;
    else if (strncmp(encoding, "OP_F2", 5) == 0)
        op |= X_F2;
    else if (strncmp(encoding, "OP_F3", 5) == 0)
        op |= X_F3;
    return op;
}

/* REX.W, where it matters and where it does not. */
static unsigned host_size(const struct insn *in)
{
    return in->prefixes & PFX_REX_W ? 8 : 4;
}

/* The immediate byte comes last, if there is one behind the operands. */
static void emit_imm8(struct unit *u)
{
    const struct insn *in = u->in;
    if (in->operand_count == 3)
        emit_8(&u->e, in->imm & 0xff);
}

/* ---- operands ---- */

static struct host_mem probe_sse(struct unit *u, unsigned size, bool write, bool loose)
{
    return size == 16 && !loose ? probe_aligned(u, size, write) : probe_operand(u, size, write);
}

/* A general register that is written, all 64 bits. */
static unsigned gpr_dest(struct unit *u, unsigned g)
{
    flags_before_write(u, u->regs[g]);
    return u->regs[g] != H_NONE ? u->regs[g] : (unsigned)T0;
}

static void gpr_changed(struct unit *u, unsigned g, unsigned reg)
{
    if (u->regs[g] == H_NONE)
        emit_store(&u->e, 8, reg, mem_gpr(g));
}

/* ---- forms ---- */

/* XMM, imm8: the register is in ModRM.rm, a digit in ModRM.reg. */
static bool lower_shift_imm(struct unit *u)
{
    unsigned g = u->in->operands[0].reg, reg = xmm_in(u, g, X_DST);
    emit_rr(&u->e, host_opcode(u->in), 4, u->in->modrm >> 3 & 7, reg);
    emit_8(&u->e, u->in->imm & 0xff);
    xmm_changed(u, g);
    return true;
}

/* XMM to memory or a general register in ModRM.rm: MOVD, MOVQ, PEXTRx, EXTRACTPS. */
static bool lower_extract(struct unit *u)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    unsigned op = host_opcode(in);
    if (o[0].kind == OPND_MEM) {
        struct host_mem m = probe_operand(u, o[0].size, true);
        emit_rm(&u->e, op, host_size(in), xmm_in(u, o[1].reg, X_SRC), m);
        emit_imm8(u);
        return true;
    }
    unsigned src = xmm_in(u, o[1].reg, X_SRC), dst = gpr_dest(u, o[0].reg);
    emit_rr(&u->e, op, host_size(in), src, dst);
    emit_imm8(u);
    gpr_changed(u, o[0].reg, dst);
    return true;
}

/* XMM or memory to a general register in ModRM.reg: MOVMSKPx, PMOVMSKB, PEXTRW, CVTSD2SI. */
static bool lower_to_gpr(struct unit *u)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    unsigned op = host_opcode(in), dst;
    if (o[1].kind == OPND_MEM) {
        struct host_mem m = probe_operand(u, o[1].size, false);
        dst = gpr_dest(u, o[0].reg);
        emit_rm(&u->e, op, host_size(in), dst, m);
    } else {
        unsigned src = xmm_in(u, o[1].reg, X_SRC);
        dst = gpr_dest(u, o[0].reg);
        emit_rr(&u->e, op, host_size(in), dst, src);
    }
    emit_imm8(u);
    gpr_changed(u, o[0].reg, dst);
    return true;
}

/* Does what was in DEST matter? */
static bool reads_dest(const struct insn *in)
{
    const struct operand *o = in->operands;
    if ((in->op == OP_MOVSS || in->op == OP_MOVSD_XMM) && o[1].kind == OPND_MEM)
        return false;
    return o[0].size < 16 || o[0].access != ACC_W;
}

static bool reads_xmm0(unsigned op)
{
    return op == OP_PBLENDVB || op == OP_BLENDVPS || op == OP_BLENDVPD || op == OP_SHA256RNDS2;
}

/* XMM from XMM, memory or a general register, which are in ModRM.rm; or compared with it. */
static bool lower_to_xmm(struct unit *u, unsigned op, bool loose)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    unsigned size = host_size(in), dst = xmm_own(o[0].reg, X_DST);
    struct host_mem m = {0};
    if (o[1].kind == OPND_MEM)
        m = probe_sse(u, o[1].size, false, loose);
    if (reads_dest(in))
        xmm_in(u, o[0].reg, X_DST);
    if (reads_xmm0(in->op))
        xmm_in(u, 0, 0);
    if (o[1].kind == OPND_MEM && o[1].size == 16 && op != X_LOAD) {
        emit_rm(&u->e, X_LOAD, 4, X_SRC, m);
        emit_rr(&u->e, op, size, dst, X_SRC);
    } else if (o[1].kind == OPND_MEM) {
        emit_rm(&u->e, op, size, dst, m);
    } else if (o[1].kind == OPND_GPR) {
        emit_rr(&u->e, op, size, dst, gpr_in(u, o[1].reg, T0));
    } else {
        emit_rr(&u->e, op, size, dst, xmm_in(u, o[1].reg, X_SRC));
    }
    emit_imm8(u);
    if (o[0].access & ACC_W)
        xmm_changed(u, o[0].reg);
    if (insn_row(in->row)->written & F_OSZAPC)
        flags_produced(u, (struct recipe){0}, false);
    return true;
}

/* PCMPxSTRx: RCX, RAX and RDX are the host's; XMM0 or RCX is written. Memory need not be aligned.
 */
static bool lower_string(struct unit *u)
{
    bool is_mask = u->in->op == OP_PCMPESTRM || u->in->op == OP_PCMPISTRM;
    if (!is_mask)
        flags_before_write(u, H_RCX);
    lower_to_xmm(u, host_opcode(u->in), true);
    if (is_mask)
        xmm_changed(u, 0);
    return true;
}

/* ---- moves ---- */

/* The opcode that moves SRC to ModRM.reg, registers or from memory. */
static unsigned load_opcode(const struct insn *in)
{
    switch (in->op) {
    case OP_MOVSS:
        return X_F3 | X_LOAD;
    case OP_MOVSD_XMM:
        return X_F2 | X_LOAD;
    case OP_MOVQ:
        return in->operands[1].kind == OPND_GPR ? X_66 | X_0F | 0x6e : X_F3 | X_0F | 0x7e;
    case OP_MOVD:
    case OP_MOVLPS:
    case OP_MOVLPD:
    case OP_MOVHLPS:
    case OP_MOVHPS:
    case OP_MOVHPD:
    case OP_MOVLHPS:
        return host_opcode(in);
    default:
        return X_LOAD;
    }
}

static bool lower_store(struct unit *u, bool loose)
{
    const struct operand *o = u->in->operands;
    unsigned size = o[0].size;
    struct host_mem m = probe_sse(u, size, true, loose);
    unsigned src = xmm_in(u, o[1].reg, X_SRC);
    emit_rm(&u->e, size == 16 ? X_STORE : host_opcode(u->in), host_size(u->in), src, m);
    return true;
}

static bool lower_sse_move(struct unit *u, bool loose)
{
    const struct operand *o = u->in->operands;
    if (o[0].kind == OPND_GPR)
        return lower_extract(u);
    if (o[0].kind == OPND_MEM)
        return lower_store(u, loose);
    return lower_to_xmm(u, load_opcode(u->in), loose);
}

/* ---- choosing ---- */

static bool is_extract(unsigned op, const struct insn *in)
{
    return op == OP_PEXTRB || op == OP_PEXTRD || op == OP_PEXTRQ || op == OP_EXTRACTPS ||
           (op == OP_PEXTRW && in->map == 3);
}

bool lower_sse(struct unit *u)
{
    const struct insn *in = u->in;
    const struct operand *o = in->operands;
    enum sse_kind kind = kind_of(in);
    if (kind == SSE_NONE || has_mmx(in) || !u->jit->host_has[insn_row(in->row)->feature] ||
        !operand_is_native(u))
        return false;
    fp_zero_upper(u);
    if (kind == SSE_MOVE || kind == SSE_LOOSE)
        return lower_sse_move(u, kind == SSE_LOOSE);
    if (kind == SSE_FLOAT && !fp_need_mxcsr(u))
        return false;
    if (o[1].kind == OPND_IMM)
        return lower_shift_imm(u);
    if (in->map == 3 && in->opcode >= 0x60 && in->opcode <= 0x63)
        return lower_string(u);
    if (is_extract(in->op, in))
        return lower_extract(u);
    if (o[0].kind == OPND_GPR)
        return lower_to_gpr(u);
    return lower_to_xmm(u, host_opcode(in), false);
}
