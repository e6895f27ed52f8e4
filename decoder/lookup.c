/* SPDX-License-Identifier: MIT */
/* Builds the index of lookup.h from the table. Rows are entered from the least to the most
 * selective, so that a row with more selectors takes its bytes from one with fewer; two rows with
 * equally many for the same bytes are a clash. */
#include "decoder/lookup.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What selects a row: encoding plus what its operands imply. */
struct selector {
    struct encoding e; /* mod filled in from the operands */
    unsigned weight;   /* number of selectors */
};

#define WEIGHT_MAX 7

static bool method_uses_modrm(unsigned method)
{
    switch (method) {
    case M_E:
    case M_G:
    case M_R:
    case M_M:
    case M_SREG:
    case M_CR:
    case M_DR:
    case M_STI:
    case M_P:
    case M_N:
    case M_Q:
    case M_V:
    case M_U:
    case M_W:
    case M_VSIB:
        return true;
    default:
        return false;
    }
}

static const struct operand_letters *spec_letters(uint16_t spec)
{
    return &operand_letters[spec & 0xff];
}

static bool row_has_modrm(const struct form *f)
{
    if (f->encoding.reg != 0 || f->encoding.rm != 0 || f->encoding.mod != MOD_ANY)
        return true;
    for (unsigned i = 1; i < ARRAY_SIZE(f->operands) && f->operands[i] != 0; i++)
        if (method_uses_modrm(spec_letters(f->operands[i])->method))
            return true;
    return false;
}

/* M operands mean mod != 3; R, N, U and STi mean mod 3, unless the row ignores mod. */
static uint8_t row_mod(const struct form *f)
{
    if (f->attributes & A_MOD3)
        return MOD_ANY;
    for (unsigned i = 1; i < ARRAY_SIZE(f->operands) && f->operands[i] != 0; i++) {
        switch (spec_letters(f->operands[i])->method) {
        case M_M:
        case M_VSIB:
            return MOD_IS_MEM;
        case M_R:
        case M_N:
        case M_U:
        case M_STI:
            return MOD_IS_REG;
        default:
            break;
        }
    }
    return f->encoding.mod;
}

static struct selector row_selector(const struct form *f)
{
    struct selector s = {.e = f->encoding};
    s.e.mod = row_mod(f);
    const bool selectors[WEIGHT_MAX] = {
        s.e.prefix != SEL_ANY, s.e.prefix > SEL_NFX, s.e.reg != 0, s.e.rm != 0, s.e.w != 0,
        s.e.rexb0 != 0,        s.e.l != 0,
    };
    for (unsigned i = 0; i < WEIGHT_MAX; i++)
        s.weight += selectors[i];
    return s;
}

static bool prefix_matches(unsigned selector, unsigned pp)
{
    switch (selector) {
    case SEL_ANY:
        return true;
    case SEL_NFX:
        return pp == PP_NONE || pp == PP_66;
    case SEL_NP:
        return pp == PP_NONE;
    case SEL_66:
        return pp == PP_66;
    case SEL_F3:
        return pp == PP_F3;
    default:
        return pp == PP_F2;
    }
}

static bool mode_matches(const struct form *f, bool is_64)
{
    return !(f->attributes & (is_64 ? A_I64 : A_O64));
}

static bool variant_matches(const struct form *f, unsigned variant)
{
    if (f->encoding.vex || !mode_matches(f, variant != VARIANT_LEGACY))
        return false;
    return f->encoding.w == 0 || (f->encoding.w == 2) == (variant == VARIANT_64_W1);
}

static bool vex_variant_matches(const struct form *f, unsigned variant)
{
    const struct encoding *e = &f->encoding;
    if (!e->vex || !mode_matches(f, variant & VEX_64))
        return false;
    return (e->w == 0 || (e->w == 2) == ((variant & VEX_W) != 0)) &&
           (e->l == 0 || (e->l == 2) == ((variant & VEX_L) != 0));
}

/* Put a row into a slot, which must be free or hold a less selective row. */
static void slot_put(uint16_t *slot, unsigned row)
{
    if (*slot & SLOT_TABLE || (*slot != 0 && row_selector(insn_form(*slot - 1u)).weight >=
                                                 row_selector(insn_form(row)).weight)) {
        fprintf(stderr, "insn.def: row %u (%s) clashes\n", row, insn_row(row)->name);
        abort();
    }
    *slot = (uint16_t)(row + 1);
}

/* The group under a cell, made from the row that was there if there is none. */
static uint16_t *slot_group(struct decoder *d, uint16_t *slot)
{
    if (!(*slot & SLOT_TABLE)) {
        assert(d->group_count < GROUPS_MAX);
        uint16_t *group = d->groups[d->group_count];
        for (unsigned i = 0; i < 16; i++)
            group[i] = *slot;
        *slot = (uint16_t)(SLOT_TABLE | d->group_count++);
    }
    return d->groups[*slot & ~SLOT_TABLE];
}

static uint16_t *slot_rm_table(struct decoder *d, uint16_t *slot)
{
    if (!(*slot & SLOT_TABLE)) {
        assert(d->rm_table_count < RM_TABLES_MAX);
        uint16_t *table = d->rm_tables[d->rm_table_count];
        for (unsigned i = 0; i < 8; i++)
            table[i] = *slot;
        *slot = (uint16_t)(SLOT_TABLE | d->rm_table_count++);
    }
    return d->rm_tables[*slot & ~SLOT_TABLE];
}

static void cell_put(struct decoder *d, uint16_t *cell, const struct encoding *e, unsigned row)
{
    if (e->reg == 0 && e->mod == MOD_ANY) {
        slot_put(cell, row);
        return;
    }
    uint16_t *group = slot_group(d, cell);
    for (unsigned i = 0; i < 16; i++) {
        bool is_reg = i >= 8;
        if ((e->reg != 0 && (i & 7) != e->reg - 1u) || (e->mod == MOD_IS_REG && !is_reg) ||
            (e->mod == MOD_IS_MEM && is_reg))
            continue;
        if (e->rm != 0)
            slot_put(&slot_rm_table(d, &group[i])[e->rm - 1], row);
        else
            slot_put(&group[i], row);
    }
}

/* A row into the cells of one variant and map. */
static void enter_cells(struct decoder *d, uint16_t cells[PP_COUNT][256], const struct encoding *e,
                        unsigned row)
{
    for (unsigned pp = 0; pp < PP_COUNT; pp++) {
        if (!prefix_matches(e->prefix, pp))
            continue;
        for (unsigned i = 0; i <= e->span; i++)
            cell_put(d, &cells[pp][e->opcode + i], e, row);
    }
}

static void enter_row(struct decoder *d, unsigned row)
{
    const struct form *f = insn_form(row);
    struct encoding e = row_selector(f).e;
    for (unsigned v = 0; v < VARIANT_COUNT; v++)
        if (variant_matches(f, v))
            enter_cells(d, d->cells[v][e.map], &e, row);
    for (unsigned v = 0; v < VEX_VARIANT_COUNT; v++)
        if (vex_variant_matches(f, v))
            enter_cells(d, d->vex_cells[v][e.map - MAP_0F], &e, row);
    if (e.map == MAP_ONE && e.opcode == 0x90 && e.rexb0 == 0)
        d->xchg_r8 = (uint16_t)(row + 1);
}

void decoder_set_features(struct decoder *d, const bool has[FEATURE_COUNT])
{
    memset(d->cells, 0, sizeof d->cells);
    memset(d->vex_cells, 0, sizeof d->vex_cells);
    d->group_count = 0;
    d->rm_table_count = 0;
    for (unsigned weight = 0; weight <= WEIGHT_MAX; weight++) {
        for (unsigned row = 0; row < d->row_count; row++) {
            const struct form *f = insn_form(row);
            if (row_selector(f).weight != weight)
                continue;
            if ((f->attributes & A_FALL) && !has[insn_row(row)->feature])
                continue;
            enter_row(d, row);
        }
    }
}

static uint8_t size_bytes(unsigned rule, unsigned opsize, unsigned vex_l)
{
    uint8_t z = opsize == 2 ? 2 : 4;
    switch (rule) {
    case SIZE_B:
        return 1;
    case SIZE_W:
        return 2;
    case SIZE_D:
        return 4;
    case SIZE_Q:
        return 8;
    case SIZE_T:
        return 10;
    case SIZE_X:
        return 16;
    case SIZE_V:
        return (uint8_t)opsize;
    case SIZE_Z:
        return z;
    case SIZE_Y:
        return opsize == 8 ? 8 : 4;
    case SIZE_P:
        return (uint8_t)(opsize + 2);
    case SIZE_S:
        return opsize == 8 ? 10 : 6;
    case SIZE_A:
        return (uint8_t)(2 * z);
    case SIZE_L:
        return vex_l ? 32 : 16;
    case SIZE_QQ:
        return 32;
    default:
        return 0;
    }
}

static void plan_init(struct plan *p, unsigned row)
{
    const struct form *f = insn_form(row);
    *p = (struct plan){.op = insn_row(row)->op,
                       .attributes = f->attributes,
                       .has_modrm = row_has_modrm(f),
                       .has_memory = row_has_modrm(f) && !(f->attributes & A_MOD3)};
    for (unsigned i = 1; i < ARRAY_SIZE(f->operands) && f->operands[i] != 0; i++) {
        const struct operand_letters *l = spec_letters(f->operands[i]);
        struct plan_operand *o = &p->operands[p->operand_count++];
        o->method = l->method;
        o->number = l->number;
        o->access = (uint8_t)(f->operands[i] >> 8);
        p->uses_vvvv |= l->method == M_H || l->method == M_B;
        if (l->method == M_VSIB)
            p->vsib = p->operand_count;
        for (unsigned opsize = 2; opsize <= 8; opsize *= 2) {
            for (unsigned vex_l = 0; vex_l <= (opsize > 2); vex_l++) {
                unsigned k = size_index(opsize, vex_l);
                o->size[k] = size_bytes(l->reg_size, opsize, vex_l);
                o->mem_size[k] = size_bytes(l->mem_size, opsize, vex_l);
            }
        }
    }
}

struct decoder *decoder_create(void)
{
    bool every[FEATURE_COUNT];
    unsigned rows = insn_row_count();
    struct decoder *d = calloc(1, sizeof *d + rows * sizeof d->plans[0]);
    if (d == NULL)
        return NULL;
    d->row_count = rows;
    for (unsigned row = 0; row < rows; row++)
        plan_init(&d->plans[row], row);
    memset(every, true, sizeof every);
    decoder_set_features(d, every);
    return d;
}

void decoder_destroy(struct decoder *d)
{
    free(d);
}
