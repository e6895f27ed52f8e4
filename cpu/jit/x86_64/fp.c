/* SPDX-License-Identifier: MIT */
/* The guest's floating-point units in the host's, while translating. */
#include "cpu/jit/x86_64/fp.h"

#include "cpu/jit/x86_64/jit_priv.h"

enum { FSW_TOP_SHIFT = 11 };

unsigned fp_drops(uint64_t pa)
{
    return (unsigned)(pa ^ pa >> 12) % FP_DROPS;
}

uint8_t fp_signature(const struct fp_state *s)
{
    return (uint8_t)(0x80u | (unsigned)s->count << 3 | s->top);
}

/* Bit i: physical register i is one of the count from TOP on. */
static unsigned tags_of(unsigned top, unsigned count)
{
    unsigned ones = (1u << count) - 1;
    return (ones << top | ones << top >> 8) & 0xff;
}

uint32_t fp_want(const struct fp_state *s)
{
    uint32_t fsw = (uint32_t)s->top << FSW_TOP_SHIFT;
    return fsw << 16 | tags_of(s->top, s->count) << 8 | fp_signature(s);
}

void fp_start(struct unit *u)
{
    const struct jit_source *from = u->from;
    unsigned count = (unsigned)__builtin_popcount(from->ftw);
    unsigned top = from->fsw >> FSW_TOP_SHIFT & 7;
    u->fp = (struct fp_state){
        .never = from->drops >= FP_DROPS_MAX,
        .is_known = tags_of(top, count) == from->ftw,
        .top = (uint8_t)top,
        .count = (uint8_t)count,
    };
}

bool fp_need_mxcsr(struct unit *u)
{
    if (u->fp.never)
        return false;
    if (u->fp.mxcsr)
        return true;
    flags_clobber(u);
    emit_alu_mi(&u->e, ALU_CMP, 1, RUN(jit_fp), 0);
    late_bring(u, emit_jump(&u->e, 4), FP_WANT_MXCSR);
    u->fp.mxcsr = true;
    return true;
}

bool fp_need_x87(struct unit *u)
{
    struct fp_state *s = &u->fp;
    if (s->never || !s->is_known)
        return false;
    if (s->x87)
        return true;
    flags_clobber(u);
    emit_alu_mi(&u->e, ALU_CMP, 1, RUN(jit_x87), (int8_t)fp_signature(s));
    late_bring(u, emit_jump(&u->e, 5), fp_want(s));
    s->x87 = true;
    s->stored = fp_signature(s);
    return true;
}

static void store_signature(struct unit *u, uint8_t signature)
{
    emit_rm(&u->e, 0xc6, 1, 0, RUN(jit_x87));
    emit_8(&u->e, signature);
}

/* A selector to where the pointers keep it. */
static void copy_selector(struct unit *u, unsigned seg, struct host_mem to)
{
    struct host_mem from = ARCH(seg_sel);
    from.disp += (int32_t)(seg * sizeof(uint16_t));
    emit_rm(&u->e, X_0F | 0xb7, 4, T1, from); /* MOVZX */
    emit_store(&u->e, 2, T1, to);
}

void fp_settle(struct unit *u)
{
    struct emit *e = &u->e;
    struct fp_state *s = &u->fp;
    if (s->x87 && s->stored != fp_signature(s)) {
        s->stored = fp_signature(s);
        store_signature(u, s->stored);
    }
    if (s->points) {
        emit_load(e, 8, T1, RUN(jit_page));
        emit_lea(e, 8, T1, (struct host_mem){T1, H_NONE, 0, (int32_t)s->ip});
        emit_store(e, 8, T1, ARCH(fip));
        emit_rm(e, 0xc7, 2, 0, ARCH(fop));
        emit_number(e, s->fop, 2);
        copy_selector(u, SEG_CS, ARCH(fcs));
    }
    if (s->points_mem)
        copy_selector(u, s->seg, ARCH(fds));
    s->points = s->points_mem = false;
    fp_zero_upper(u);
}

void fp_zero_upper(struct unit *u)
{
    if (u->fp.upper) {
        emit_8(&u->e, 0xc5); /* VZEROUPPER */
        emit_8(&u->e, 0xf8);
        emit_8(&u->e, 0x77);
    }
    u->fp.upper = false;
    u->fp.ymm = 0;
}

/* What is expected of the stack after an instruction that its handler has done. */
static void expect_effect(struct fp_state *s, const struct insn *in)
{
    int pushes = 0;
    switch (in->op) {
    case OP_FPTAN:
    case OP_FSINCOS:
    case OP_FXTRACT:
    case OP_FBLD:
        pushes = 1;
        break;
    case OP_FPATAN:
    case OP_FYL2X:
    case OP_FYL2XP1:
    case OP_FBSTP:
        pushes = -1;
        break;
    case OP_FNINIT:
    case OP_FNSAVE:
        s->top = s->count = 0;
        s->is_known = true;
        return;
    case OP_EMMS:
        s->count = 0;
        return;
    case OP_FSIN:
    case OP_FCOS:
    case OP_F2XM1:
    case OP_FPREM:
    case OP_FPREM1:
    case OP_FNSTENV:
    case OP_FNSTCW:
        return;
    default:
        s->is_known &= in->map != 0 || (in->opcode & 0xf8) != 0xd8;
        s->is_known &= in->op != OP_FXRSTOR && in->op != OP_XRSTOR;
        return;
    }
    s->top = (s->top - pushes) & 7;
    s->count = (uint8_t)(s->count + pushes);
    s->is_known &= s->count <= 8;
}

void fp_after_handler(struct unit *u)
{
    const struct insn *in = u->in;
    u->fp.mxcsr = u->fp.x87 = false;
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_MMX) {
            u->fp.top = 0;
            u->fp.count = 8;
            u->fp.is_known = true;
        }
    expect_effect(&u->fp, in);
}

static void jump_if_brought(struct unit *u, uintptr_t site)
{
    emit_label brought = emit_jump(&u->e, 4);
    if (u->lent)
        loans_out(u);
    emit_mov_ri(&u->e, T0, site);
    emit_mov_ri(&u->e, T1, 1); /* behind it */
    emit_jump_to(&u->e, EMIT_ALWAYS, u->jit->drop);
    emit_bind(&u->e, brought);
}

void fp_bring_again(struct unit *u, const struct fp_state *s, uintptr_t site)
{
    if (s->mxcsr) {
        emit_call_to(&u->e, u->jit->bring_mxcsr);
        jump_if_brought(u, site);
    }
    if (s->x87) {
        emit_mov_ri(&u->e, T0, fp_want(s));
        emit_call_to(&u->e, u->jit->bring_x87);
        jump_if_brought(u, site);
        if (s->stored != fp_signature(s))
            store_signature(u, s->stored);
    }
}
