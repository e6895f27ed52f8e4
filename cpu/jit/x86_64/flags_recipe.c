/* SPDX-License-Identifier: MIT */
/*
 * Recipes of status flags (state.h): made in the host's flags, as far as somebody asks; and what a
 * handler that does the instruction leaves of their parts.
 */
#include "cpu/jit/x86_64/jit_priv.h"

static struct host_mem part_mem(unsigned part, struct host_mem kept)
{
    return part == IN_MEMORY ? kept : mem_gpr(part - IN_GPR);
}

static bool is_reg(unsigned part)
{
    return part < IN_GPR;
}

/* dst := part a, all 8 bytes. */
static void load_a(struct unit *u, unsigned dst)
{
    unsigned a = u->flags.recipe.a;
    if (is_reg(a))
        emit_mov_rr(&u->e, 8, dst, a);
    else
        emit_load(&u->e, 8, dst, part_mem(a, RUN(flag_a)));
}

/* dst op= part b */
static void with_b(struct unit *u, enum host_alu op, unsigned size, unsigned dst)
{
    const struct recipe *r = &u->flags.recipe;
    if (r->b == H_NONE)
        emit_alu_ri(&u->e, op, size, dst, r->imm);
    else if (is_reg(r->b))
        emit_alu_rr(&u->e, op, size, dst, r->b);
    else
        emit_alu_rm(&u->e, op, size, dst, part_mem(r->b, RUN(flag_b)));
}

static void compare(struct unit *u)
{
    const struct recipe *r = &u->flags.recipe;
    struct host_mem a;
    if (is_reg(r->a)) {
        with_b(u, ALU_CMP, r->size, r->a);
        return;
    }
    a = part_mem(r->a, RUN(flag_a));
    if (r->b == H_NONE) {
        emit_alu_mi(&u->e, ALU_CMP, r->size, a, r->imm);
    } else if (is_reg(r->b)) {
        emit_alu_mr(&u->e, ALU_CMP, r->size, a, r->b);
    } else {
        load_a(u, T0);
        with_b(u, ALU_CMP, r->size, T0);
    }
}

/* ZF, SF and PF of part a; all flags of a logic result, with an AF of the host's own in a register.
 */
static void test_a(struct unit *u)
{
    const struct recipe *r = &u->flags.recipe;
    if (is_reg(r->a))
        emit_rr(&u->e, r->size == 1 ? 0x84 : 0x85, r->size, r->a, r->a);
    else
        emit_alu_mi(&u->e, ALU_CMP, r->size, part_mem(r->a, RUN(flag_a)), 0);
}

static void carry_before(struct unit *u)
{
    emit_alu_mi(&u->e, ALU_CMP, 1, RUN(flag_c), 1);
    emit_8(&u->e, 0xf5); /* CMC */
}

void recipe_cook(struct unit *u)
{
    const struct recipe *r = &u->flags.recipe;
    bool adds = r->op == HOW_ADD || r->op == HOW_ADC,
         carries = r->op == HOW_ADC || r->op == HOW_SBB;
    u->flags.host = true;
    u->flags.is_logic = r->op == HOW_LOGIC && is_reg(r->a);
    if (r->op == HOW_CMP) {
        compare(u);
        return;
    }
    if (r->op == HOW_LOGIC) {
        test_a(u);
        return;
    }
    assert(r->op == HOW_SUB || adds || carries);
    load_a(u, T0); /* the result less b was DEST; b added again */
    for (unsigned k = 0; k < 2; k++) {
        bool add = adds == (k == 1);
        if (carries)
            carry_before(u);
        with_b(u, carries ? (add ? ALU_ADC : ALU_SBB) : (add ? ALU_ADD : ALU_SUB), r->size, T0);
    }
}

/* A sum is less than what was added if it carried; a difference and what was subtracted add up to
 * more than fits if it borrowed. */
void recipe_carry(struct unit *u)
{
    const struct recipe *r = &u->flags.recipe;
    switch ((enum flag_how)r->op) {
    case HOW_CMP:
        recipe_cook(u);
        break;
    case HOW_ADD:
        compare(u);
        break;
    case HOW_LOGIC:
        emit_8(&u->e, 0xf8); /* CLC */
        break;
    case HOW_SUB:
        load_a(u, T0);
        with_b(u, ALU_ADD, r->size, T0);
        break;
    default:
        assert(r->op == HOW_ADC || r->op == HOW_SBB);
        load_a(u, T0);
        carry_before(u);
        with_b(u, r->op == HOW_ADC ? ALU_SBB : ALU_ADC, r->size, T0);
    }
}

void recipe_result(struct unit *u)
{
    if (u->flags.recipe.op == HOW_CMP)
        recipe_cook(u);
    else
        test_a(u);
}

/* ---- late code ---- */

/* Has the instruction of the late code made the flags that are expected where it goes on? */
static bool makes_recipe(const struct late *l)
{
    return l->after.recipe.op != HOW_IMAGE && l->after.by != l->flags.by;
}

/* What was added or subtracted is the difference of DEST after and before. */
void recipe_before_handler(struct unit *u, const struct late *l)
{
    const struct recipe *r = &l->after.recipe;
    if (!makes_recipe(l) || r->b != IN_MEMORY || r->op == HOW_CMP)
        return;
    u->flags.recipe = *r;
    load_a(u, T0);
    emit_store(&u->e, 8, T0, host_target);
    u->flags.recipe.op = HOW_IMAGE;
}

static void part_b_again(struct unit *u)
{
    const struct recipe *r = &u->flags.recipe;
    struct emit *e = &u->e;
    if (r->op == HOW_SUB) {
        emit_load(e, 8, T0, host_target);
        if (is_reg(r->a))
            emit_alu_rr(e, ALU_SUB, 8, T0, r->a);
        else
            emit_alu_rm(e, ALU_SUB, 8, T0, part_mem(r->a, RUN(flag_a)));
    } else {
        load_a(u, T0);
        emit_alu_rm(e, ALU_SUB, 8, T0, r->op == HOW_CMP ? RUN(flag_result) : host_target);
    }
    emit_store(e, 8, T0, RUN(flag_b));
}

void recipe_after_handler(struct unit *u, const struct late *l)
{
    struct emit *e = &u->e;
    struct flag_state flags = u->flags;
    if (!makes_recipe(l))
        return;
    u->flags.recipe = l->after.recipe;
    if (l->after.recipe.a == IN_MEMORY) {
        emit_load(e, 8, T0, RUN(flag_result));
        if (l->after.recipe.op == HOW_CMP)
            with_b(u, ALU_ADD, 8, T0);
        emit_store(e, 8, T0, RUN(flag_a));
    }
    if (l->after.recipe.b == IN_MEMORY)
        part_b_again(u);
    u->flags = flags;
}
