/* SPDX-License-Identifier: MIT */
/*
 * One element of MOVS, STOS, LODS, SCAS (those that repeat are their handler's), CLD and STD. With
 * DF set the handler does them.
 */
#include "cpu/jit/x86_64/jit_priv.h"

/* String registers are wanted whole, segments with base 0: DS for rSI, ES for rDI. */
static bool is_plain(const struct unit *u)
{
    const struct insn *in = u->in;
    const uint32_t flat = MODE_FLAT_DS | MODE_FLAT_ES;
    if ((in->prefixes & (PFX_REP | PFX_REPNE)) || in->addrsize != u->word)
        return false;
    if (u->is_32)
        return (in->seg == SEG_DS || in->seg == SEG_ES) && (u->block->mode & flat) == flat;
    return in->seg != SEG_FS && in->seg != SEG_GS;
}

static void advance(struct unit *u, unsigned reg, unsigned size)
{
    flags_before_write(u, reg);
    emit_lea(&u->e, u->word, reg, (struct host_mem){(uint8_t)reg, H_NONE, 0, (int32_t)size});
}

static void check_direction(struct unit *u)
{
    flags_clobber(u);
    emit_rm(&u->e, 0xf7, 4, 0, ARCH(rflags)); /* TEST m, imm */
    emit_number(&u->e, F_DF, 4);
    late_handler(u, emit_jump(&u->e, 5));
}

static void lower_movs(struct unit *u, unsigned size)
{
    struct emit *e = &u->e;
    emit_load(e, size, T0, probe_stack(u, H_RSI, 0, size, false));
    emit_store(e, 8, T0, host_spare);
    struct host_mem to = probe_stack(u, H_RDI, 0, size, true);
    emit_load(e, 8, T0, host_spare);
    emit_store(e, size, T0, to);
    advance(u, H_RSI, size);
    advance(u, H_RDI, size);
}

static void lower_stos(struct unit *u, unsigned size)
{
    emit_store(&u->e, size, H_RAX, probe_stack(u, H_RDI, 0, size, true));
    advance(u, H_RDI, size);
}

static void lower_lods(struct unit *u, unsigned size)
{
    struct host_mem m = probe_stack(u, H_RSI, 0, size, false);
    flags_before_write(u, H_RAX);
    emit_load(&u->e, size, H_RAX, m);
    advance(u, H_RSI, size);
}

static void lower_scas(struct unit *u, unsigned size)
{
    emit_alu_rm(&u->e, ALU_CMP, size, H_RAX, probe_stack(u, H_RDI, 0, size, false));
    flags_produced(u, (struct recipe){0}, false);
    advance(u, H_RDI, size);
}

static void lower_direction(struct unit *u)
{
    flags_clobber(u);
    if (u->in->op == OP_CLD)
        emit_alu_mi(&u->e, ALU_AND, 4, ARCH(rflags), ~F_DF);
    else
        emit_alu_mi(&u->e, ALU_OR, 4, ARCH(rflags), F_DF);
}

static void (*string_lowering(unsigned op))(struct unit *, unsigned)
{
    switch (op) {
    case OP_MOVS:
        return lower_movs;
    case OP_STOS:
        return lower_stos;
    case OP_LODS:
        return lower_lods;
    case OP_SCAS:
        return lower_scas;
    default:
        return NULL;
    }
}

bool lower_element(struct unit *u)
{
    void (*lower)(struct unit *, unsigned) = string_lowering(u->in->op);
    if (u->in->op == OP_CLD || u->in->op == OP_STD) {
        lower_direction(u);
        return true;
    }
    if (!lower || !is_plain(u))
        return false;
    check_direction(u);
    lower(u, u->in->operands[0].size);
    return true;
}
