/* SPDX-License-Identifier: MIT */
/*
 * x87: the host's own instruction, on the host's own registers (fp.h). They are the guest's one by
 * one, so that what names no memory is copied as it stands. Underflow and overflow of the stack,
 * known when translating, are the handlers' business, as are the transcendentals and partial
 * remainders, whose results differ from one processor to the next, BCD and environments.
 */
#include "cpu/jit/x86_64/jit_priv.h"

enum x87_kind {
    X87_NONE,
    X87_LOAD,    /* pushes a number of memory or a register */
    X87_CONST,   /* pushes */
    X87_STORE,   /* ST(0) to memory or a register */
    X87_PAIR,    /* ST(0) with ST(i) or memory */
    X87_UNARY,   /* ST(0) alone */
    X87_SCALE,   /* ST(0) and ST(1) */
    X87_EXTRACT, /* replaces ST(0) and pushes */
    X87_COMPARE, /* as X87_PAIR; the flags are its result */
    X87_MOVE_IF, /* as X87_PAIR; reads the flags */
    X87_CONTROL, /* neither FOP, FIP nor a register */
};

struct x87_shape {
    uint8_t kind; /* enum x87_kind */
    uint8_t pops; /* after it */
};

/* clang-format off */
static const struct x87_shape shapes[] = {
    [OP_FLD] = {X87_LOAD, 0},      [OP_FILD] = {X87_LOAD, 0},
    [OP_FLD1] = {X87_CONST, 0},    [OP_FLDZ] = {X87_CONST, 0},    [OP_FLDPI] = {X87_CONST, 0},
    [OP_FLDL2T] = {X87_CONST, 0},  [OP_FLDL2E] = {X87_CONST, 0},  [OP_FLDLG2] = {X87_CONST, 0},
    [OP_FLDLN2] = {X87_CONST, 0},
    [OP_FST] = {X87_STORE, 0},     [OP_FSTP] = {X87_STORE, 1},    [OP_FIST] = {X87_STORE, 0},
    [OP_FISTP] = {X87_STORE, 1},   [OP_FISTTP] = {X87_STORE, 1},
    [OP_FADD] = {X87_PAIR, 0},     [OP_FADDP] = {X87_PAIR, 1},    [OP_FIADD] = {X87_PAIR, 0},
    [OP_FMUL] = {X87_PAIR, 0},     [OP_FMULP] = {X87_PAIR, 1},    [OP_FIMUL] = {X87_PAIR, 0},
    [OP_FSUB] = {X87_PAIR, 0},     [OP_FSUBP] = {X87_PAIR, 1},    [OP_FISUB] = {X87_PAIR, 0},
    [OP_FSUBR] = {X87_PAIR, 0},    [OP_FSUBRP] = {X87_PAIR, 1},   [OP_FISUBR] = {X87_PAIR, 0},
    [OP_FDIV] = {X87_PAIR, 0},     [OP_FDIVP] = {X87_PAIR, 1},    [OP_FIDIV] = {X87_PAIR, 0},
    [OP_FDIVR] = {X87_PAIR, 0},    [OP_FDIVRP] = {X87_PAIR, 1},   [OP_FIDIVR] = {X87_PAIR, 0},
    [OP_FCOM] = {X87_PAIR, 0},     [OP_FCOMP] = {X87_PAIR, 1},    [OP_FCOMPP] = {X87_PAIR, 2},
    [OP_FICOM] = {X87_PAIR, 0},    [OP_FICOMP] = {X87_PAIR, 1},
    [OP_FUCOM] = {X87_PAIR, 0},    [OP_FUCOMP] = {X87_PAIR, 1},   [OP_FUCOMPP] = {X87_PAIR, 2},
    [OP_FXCH] = {X87_PAIR, 0},
    [OP_FCOMI] = {X87_COMPARE, 0}, [OP_FCOMIP] = {X87_COMPARE, 1},
    [OP_FUCOMI] = {X87_COMPARE, 0}, [OP_FUCOMIP] = {X87_COMPARE, 1},
    [OP_FCMOVB] = {X87_MOVE_IF, 0}, [OP_FCMOVNB] = {X87_MOVE_IF, 0},
    [OP_FCMOVE] = {X87_MOVE_IF, 0}, [OP_FCMOVNE] = {X87_MOVE_IF, 0},
    [OP_FCMOVBE] = {X87_MOVE_IF, 0}, [OP_FCMOVNBE] = {X87_MOVE_IF, 0},
    [OP_FCMOVU] = {X87_MOVE_IF, 0}, [OP_FCMOVNU] = {X87_MOVE_IF, 0},
    [OP_FCHS] = {X87_UNARY, 0},    [OP_FABS] = {X87_UNARY, 0},    [OP_FTST] = {X87_UNARY, 0},
    [OP_FXAM] = {X87_UNARY, 0},    [OP_FSQRT] = {X87_UNARY, 0},   [OP_FRNDINT] = {X87_UNARY, 0},
    [OP_FFREEP] = {X87_UNARY, 1},
    [OP_FSCALE] = {X87_SCALE, 0},  [OP_FXTRACT] = {X87_EXTRACT, 0},
    [OP_FWAIT] = {X87_CONTROL, 0}, [OP_FNSTSW] = {X87_CONTROL, 0}, [OP_FNSTCW] = {X87_CONTROL, 0},
    [OP_FLDCW] = {X87_CONTROL, 0}, [OP_FNCLEX] = {X87_CONTROL, 0},
};
/* clang-format on */

static const struct operand *memory_of(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operands[i].kind == OPND_MEM)
            return &in->operands[i];
    return NULL;
}

/* Registers from ST(0) on that it takes for granted. */
static unsigned depth_of(const struct insn *in, const struct x87_shape *x)
{
    switch ((enum x87_kind)x->kind) {
    case X87_CONST:
    case X87_CONTROL:
        return 0;
    case X87_LOAD:
        return in->has_mem ? 0 : (in->modrm & 7u) + 1;
    case X87_SCALE:
        return 2;
    case X87_UNARY:
    case X87_EXTRACT:
        return 1;
    default:
        return in->has_mem ? 1 : (in->modrm & 7u) + 1;
    }
}

static unsigned pushes_of(const struct x87_shape *x)
{
    return x->kind == X87_LOAD || x->kind == X87_CONST || x->kind == X87_EXTRACT;
}

/* ---- the pointers ---- */

/* FOP, FIP and the rest will be this instruction's. */
static void point(struct unit *u)
{
    const struct insn *in = u->in;
    u->fp.points = true;
    u->fp.fop = (uint16_t)((in->opcode & 7u) << 8 | in->modrm);
    u->fp.ip = u->offset + u->rec->off;
    if (!in->has_mem)
        return;
    u->fp.points_mem = true;
    u->fp.seg = in->seg & 7;
    emit_operand_offset(u);
    emit_store(&u->e, 8, T0, ARCH(fdp));
}

/* ---- control ---- */

static void lower_fnstcw(struct unit *u)
{
    struct host_mem m = probe_operand(u, 2, true);
    emit_rm(&u->e, X_0F | 0xb7, 4, T0, ARCH(fcw));
    emit_store(&u->e, 2, T0, m);
}

/* What unmasks an exception is the handler's; what follows asks where the unit is. */
static void lower_fldcw(struct unit *u)
{
    struct emit *e = &u->e;
    fp_settle(u);
    struct host_mem m = probe_operand(u, 2, false);
    emit_rm(e, X_0F | 0xb7, 4, T0, m);
    emit_alu_ri(e, ALU_AND, 4, T0, 0x1f3f);
    emit_alu_ri(e, ALU_OR, 4, T0, 0x40);
    emit_mov_rr(e, 4, T1, T0);
    emit_rr(e, 0xf7, 4, 2, T1); /* NOT */
    emit_rr(e, 0xf6, 1, 0, T1); /* TEST r8, masks */
    emit_8(e, 0x3f);
    late_handler(u, emit_jump(e, 5));
    emit_store(e, 2, T0, ARCH(fcw));
    emit_rm(e, 0xd9, 4, 5, ARCH(fcw)); /* FLDCW */
    emit_rm(e, 0xc6, 1, 0, ARCH(ignne));
    emit_8(e, 0);
    u->fp.x87 = false;
}

static void lower_fnstsw(struct unit *u)
{
    const struct insn *in = u->in;
    if (in->has_mem) {
        struct host_mem m = probe_operand(u, 2, true);
        emit_rm(&u->e, 0xdd, 4, 7, m);
        return;
    }
    flags_before_write(u, H_RAX);
    emit_8(&u->e, 0xdf); /* RAX is the guest's */
    emit_8(&u->e, 0xe0);
}

static bool lower_control(struct unit *u)
{
    if (u->in->op == OP_FNSTCW) {
        lower_fnstcw(u);
        return true;
    }
    if (!fp_need_x87(u))
        return false;
    switch (u->in->op) {
    case OP_FLDCW:
        lower_fldcw(u);
        break;
    case OP_FNSTSW:
        lower_fnstsw(u);
        break;
    case OP_FNCLEX:
        emit_8(&u->e, 0xdb);
        emit_8(&u->e, 0xe2);
        emit_rm(&u->e, 0xc6, 1, 0, ARCH(ignne));
        emit_8(&u->e, 0);
        break;
    default: /* FWAIT: nothing is pending */
        break;
    }
    return true;
}

/* ---- the rest ---- */

static void emit_same(struct unit *u)
{
    const struct insn *in = u->in;
    const struct operand *mem = memory_of(in);
    if (mem) {
        struct host_mem m = probe_operand(u, mem->size, mem->access & ACC_W);
        emit_rm(&u->e, in->opcode, 4, in->modrm >> 3 & 7, m);
        return;
    }
    if (in->op == OP_FFREEP) { /* as FSTP ST(0) */
        emit_8(&u->e, 0xdd);
        emit_8(&u->e, 0xd8);
        return;
    }
    emit_8(&u->e, in->opcode);
    emit_8(&u->e, in->modrm);
}

/* Is it one that the host may do as it stands? */
static bool is_suited(const struct unit *u, const struct x87_shape *x)
{
    const struct insn *in = u->in;
    if (in->map != 0 || x->kind == X87_NONE || !operand_is_native(u))
        return false;
    if (in->op == OP_FFREEP && (in->modrm & 7) != 0)
        return false;
    return in->op != OP_FISTTP || u->jit->host_has[FEAT_SSE3];
}

bool lower_x87(struct unit *u)
{
    const struct insn *in = u->in;
    struct fp_state *s = &u->fp;
    struct x87_shape x = {0};
    if (in->op < ARRAY_SIZE(shapes))
        x = shapes[in->op];
    if (!is_suited(u, &x))
        return false;
    if (x.kind == X87_CONTROL)
        return lower_control(u);
    unsigned pushes = pushes_of(&x);
    if (s->count < depth_of(in, &x) || s->count + pushes > 8 || !fp_need_x87(u))
        return false;
    if (x.kind == X87_MOVE_IF)
        flags_to_host(u);
    emit_same(u);
    point(u);
    s->top = (s->top + x.pops - pushes) & 7;
    s->count = (uint8_t)(s->count + pushes - x.pops);
    if (x.kind == X87_COMPARE)
        flags_produced(u, (struct recipe){0}, false);
    return true;
}
