/* SPDX-License-Identifier: MIT */
/* Bytes of an instruction of a row; the state around it is generate_state.c's. */
#include "tests/vectors/generate.h"

#include <string.h>

#include "tests/vectors/generate_state.h"

struct shape {
    bool has_modrm;     /* a ModRM byte follows the opcode */
    bool register_only; /* ModRM.mod is 3 */
    bool memory_only;   /* ModRM.mod is not 3 */
    bool names_memory;  /* some memory operand is possible */
    bool is_string;     /* REP has a meaning */
    bool has_opsize;    /* 66 changes the operand size */
    bool has_vsib;      /* memory by a vector of indices: a SIB byte must follow */
    bool uses_vvvv;     /* VEX.vvvv names a register */
    bool is_branch;     /* near branch or MOVSXD: with 66 in 64-bit mode Intel and AMD differ */
};

static unsigned pick(struct generator *g, unsigned n)
{
    return (unsigned)(vector_random(&g->seed) >> 20) % n;
}

static bool chance(struct generator *g, unsigned percent)
{
    return pick(g, 100) < percent;
}

static void shape_operand(struct shape *s, uint16_t spec)
{
    const struct operand_letters *l = &operand_letters[spec & 0xff];
    switch (l->method) {
    case M_M:
        s->memory_only = true;
        /* fall through */
    case M_E:
    case M_Q:
    case M_W:
        s->names_memory = s->has_modrm = true;
        break;
    case M_R:
    case M_N:
    case M_U:
    case M_STI:
        s->register_only = true;
        /* fall through */
    case M_G:
    case M_SREG:
    case M_P:
    case M_V:
        s->has_modrm = true;
        break;
    case M_X:
    case M_Y:
        s->is_string = true;
        /* fall through */
    case M_O:
        s->names_memory = true;
        break;
    case M_J:
        s->is_branch = true;
        break;
    case M_VSIB:
        s->has_vsib = s->memory_only = s->names_memory = s->has_modrm = true;
        break;
    case M_H:
    case M_B:
        s->uses_vvvv = true;
        break;
    default:
        break;
    }
    unsigned r = l->reg_size, m = l->mem_size;
    s->has_opsize |= r == SIZE_V || m == SIZE_V || r == SIZE_Z || m == SIZE_Z || m == SIZE_A;
}

static struct shape shape_of(unsigned row)
{
    const struct form *f = insn_form(row);
    const struct encoding *e = &f->encoding;
    unsigned op = insn_row(row)->op;
    struct shape s = {.has_modrm = e->reg != 0 || e->rm != 0 || e->mod != MOD_ANY};
    for (unsigned i = 1; i < ARRAY_SIZE(f->operands) && f->operands[i] != 0; i++)
        shape_operand(&s, f->operands[i]);
    s.register_only |= e->mod == MOD_IS_REG || e->rm != 0;
    s.is_branch |= ((f->attributes & A_F64) && (f->attributes & A_END)) || op == OP_MOVSXD;
    s.has_opsize |= (f->attributes & A_D64) != 0 || op == OP_PUSHA || op == OP_POPA ||
                    op == OP_FLDENV || op == OP_FNSTENV || op == OP_FRSTOR || op == OP_FNSAVE ||
                    op == OP_CBW || op == OP_CWD;
    s.names_memory |=
        op == OP_XLAT || op == OP_MASKMOVQ || op == OP_MASKMOVDQU || op == OP_VMASKMOVDQU;
    return s;
}

static void put(struct vector *v, unsigned byte)
{
    v->bytes[v->len++] = (uint8_t)byte;
}

/* Prefixes that say nothing, or nothing new. FS and GS are null in flat 32-bit code. */
static void put_useless(struct generator *g, struct vector *v)
{
    static const uint8_t useless[] = {0x26, 0x2e, 0x36, 0x3e, 0x67, 0x66, 0xf2, 0xf3, 0x64, 0x65};
    bool has_fs = v->mode == DECODE_64 || v->segmented;
    for (unsigned n = 1 + pick(g, 3); n > 0; n--)
        put(v, useless[pick(g, has_fs ? 10 : 8)]);
    if (v->mode == DECODE_64 && chance(g, 30))
        put(v, 0x40 | pick(g, 16)); /* not before the opcode: ignored */
}

static void put_prefixes(struct generator *g, struct vector *v, const struct form *f,
                         const struct shape *s)
{
    static const uint8_t segments_64[] = {0x64, 0x65, 0x64, 0x65, 0x2e, 0x3e};
    static const uint8_t segments_32[] = {0x26, 0x2e, 0x36, 0x3e};
    static const uint8_t segments_ldt[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    bool is_64 = v->mode == DECODE_64;
    unsigned prefix = f->encoding.vex ? SEL_NP : f->encoding.prefix;
    if (g->is_wild && chance(g, 12))
        put_useless(g, v);
    if (s->names_memory && chance(g, 12))
        put(v, is_64          ? segments_64[pick(g, 6)]
               : v->segmented ? segments_ldt[pick(g, 6)]
                              : segments_32[pick(g, 4)]);
    if ((s->names_memory && chance(g, 7)) || (s->is_branch && chance(g, 5)))
        put(v, 0x67);
    bool may_66 = prefix == SEL_ANY || prefix == SEL_NFX ||
                  ((prefix == SEL_F3 || prefix == SEL_F2) && s->has_opsize);
    if (prefix == SEL_66 ||
        (may_66 && s->has_opsize && (!(s->is_branch && is_64) || (g->is_wild && chance(g, 20))) &&
         chance(g, 30)))
        put(v, 0x66);
    if ((f->attributes & A_LOCK) && chance(g, 15))
        put(v, 0xf0);
    if (prefix == SEL_F3 || prefix == SEL_F2)
        put(v, prefix == SEL_F3 ? 0xf3 : 0xf2);
    else if (s->is_string && chance(g, 60))
        put(v, chance(g, 50) ? 0xf3 : 0xf2);
}

static void put_rex(struct generator *g, struct vector *v, const struct encoding *e)
{
    unsigned rex = 0x40 | pick(g, 16);
    if (v->mode != DECODE_64)
        return;
    if (e->w == 1 || (e->w == 0 && chance(g, 30)))
        rex &= ~8u;
    if (e->rexb0)
        rex &= ~1u;
    if (e->w == 2)
        rex |= 8;
    if (e->w == 2 || chance(g, 65))
        put(v, rex);
}

/* C5 where it can say the same, half of the time. The inverted bits of outside 64-bit mode stay 1.
 */
static void put_vex(struct generator *g, struct vector *v, const struct encoding *e,
                    const struct shape *s)
{
    unsigned rxb = v->mode == DECODE_64 ? pick(g, 8) : 7;
    unsigned vvvv = s->uses_vvvv ? pick(g, 16) : 15;
    unsigned w = e->w ? e->w - 1u : pick(g, 2), l = e->l ? e->l - 1u : pick(g, 2);
    if (v->mode != DECODE_64)
        vvvv |= 8;
    unsigned low = vvvv << 3 | l << 2 | (unsigned)(e->prefix - SEL_NP);
    if ((rxb & 3) == 3 && e->map == MAP_0F && w == 0 && chance(g, 50)) {
        put(v, 0xc5);
        put(v, (rxb & 4) << 5 | low);
        return;
    }
    put(v, 0xc4);
    put(v, rxb << 5 | e->map);
    put(v, w << 7 | low);
}

static void put_opcode(struct generator *g, struct vector *v, const struct encoding *e)
{
    bool is_escaped = e->map != MAP_ONE && !e->vex;
    if (is_escaped)
        put(v, 0x0f);
    if (is_escaped && e->map != MAP_0F)
        put(v, e->map == MAP_0F38 ? 0x38 : 0x3a);
    put(v, e->opcode + pick(g, e->span + 1u));
}

static void put_modrm(struct generator *g, struct vector *v, const struct encoding *e,
                      const struct shape *s)
{
    unsigned mod = s->register_only ? 3 : s->memory_only || chance(g, 55) ? pick(g, 3) : 3;
    unsigned reg = e->reg ? e->reg - 1u : pick(g, 8), rm = e->rm ? e->rm - 1u : pick(g, 8);
    if (mod != 3 && !e->rm && (s->has_vsib || chance(g, 25)))
        rm = 4;
    put(v, mod << 6 | reg << 3 | rm);
}

/* SIB, displacement and immediates: whatever they are. */
static void put_tail(struct generator *g, struct vector *v)
{
    unsigned kind = pick(g, 6);
    for (unsigned i = v->len; i < INSN_MAX_LEN; i++) {
        unsigned r = pick(g, 256);
        v->bytes[i] = (uint8_t)(kind == 0 ? 0xff : kind == 1 ? 0 : r);
    }
    if (kind == 2)
        memset(v->bytes + v->len + 2, v->bytes[v->len + 1] & 0x80 ? 0xff : 0,
               INSN_MAX_LEN - v->len - 2u);
}

static char guess_profile(struct generator *g, unsigned row)
{
    const struct insn_desc *d = insn_row(row);
    const char *name = d->name;
    if (d->op == OP_FBLD)
        return PROFILE_BCD;
    if (d->feature == FEAT_FPU || name[0] == 'F') {
        if (strncmp(name, "FI", 2) == 0)
            return PROFILE_INTEGER;
        return strstr(d->operands, "Md")   ? PROFILE_SINGLE
               : strstr(d->operands, "Mq") ? PROFILE_DOUBLE
                                           : PROFILE_EXTENDED;
    }
    if (strncmp(name, "CVT", 3) == 0 || strncmp(name, "VCVT", 4) == 0)
        return "isd"[pick(g, 3)];
    if (chance(g, 10))
        return "isd"[pick(g, 3)];
    if (strstr(d->operands, "ps") || strstr(d->operands, "ss") || strstr(name, "PS"))
        return PROFILE_SINGLE;
    if (strstr(d->operands, "pd") || strstr(d->operands, "sd") || strstr(name, "PD"))
        return PROFILE_DOUBLE;
    return PROFILE_INTEGER;
}

static const char profiles[POOL_PROFILES] = {PROFILE_INTEGER, PROFILE_SINGLE, PROFILE_DOUBLE,
                                             PROFILE_EXTENDED, PROFILE_BCD};

void pool_fill(struct pool *pool, enum decode_mode mode, bool segmented, uint32_t base,
               uint64_t *seed)
{
    for (unsigned p = 0; p < POOL_PROFILES; p++) {
        for (unsigned i = 0; i < POOL_STATES; i++) {
            struct vector *v = &pool->states[p][i];
            v->mode = mode;
            v->segmented = segmented;
            v->base = base;
            v->profile = profiles[p];
            v->seed = (uint32_t)vector_random(seed);
            vector_expand(v);
        }
    }
}

/* A state of the pool, its registers drawn anew. */
static void vary(struct generator *g, struct vector *v)
{
    struct vector_state *t = &v->before;
    unsigned profile = 0;
    while (profile + 1 < POOL_PROFILES && profiles[profile] != v->profile)
        profile++;
    const struct vector *from = &g->pool->states[profile][pick(g, POOL_STATES)];
    v->seed = from->seed;
    *t = from->before;
    vector_random_general(v, &g->seed);
    vector_random_x87(t, &g->seed);
    t->mxcsr = vector_random_mxcsr(&g->seed);
    if (chance(g, 50)) {
        t->fop = (uint16_t)pick(g, 2048);
        t->fip = vector_random(&g->seed) >> 17;
        t->fdp = vector_random(&g->seed) >> 17;
    }
    if (chance(g, 50)) {
        for (unsigned i = 0; i < (v->mode == DECODE_64 ? 16u : 8u); i++) {
            vector_random_slot(&g->seed, v->profile, t->xmm[i]);
            vector_random_slot(&g->seed, v->profile, t->ymm_high[i]);
        }
    }
    for (unsigned i = 0; i < 8 && chance(g, 80); i++) {
        uint64_t slot[2];
        vector_random_slot(&g->seed, PROFILE_EXTENDED, slot);
        t->fp_mant[i] = slot[0];
        t->fp_se[i] = (uint16_t)slot[1];
    }
}

bool generate_bytes(struct generator *g, unsigned row, struct vector *v, struct insn *in)
{
    const struct form *f = insn_form(row);
    struct shape s = shape_of(row);
    v->len = 0;
    put_prefixes(g, v, f, &s);
    if (f->encoding.vex)
        put_vex(g, v, &f->encoding, &s);
    else
        put_rex(g, v, &f->encoding);
    put_opcode(g, v, &f->encoding);
    if (s.has_modrm)
        put_modrm(g, v, &f->encoding, &s);
    put_tail(g, v);
    if (decoder_decode(g->decoder, v->mode, v->bytes, INSN_MAX_LEN, in) != DECODE_OK ||
        in->row != row)
        return false;
    v->len = in->len;
    return true;
}

bool generate_vector(struct generator *g, unsigned row, struct vector *v,
                     struct vector_state *expanded, struct insn *in)
{
    v->profile = guess_profile(g, row);
    v->seed = g->pool ? 0 : (uint32_t)vector_random(&g->seed);
    if (!generate_bytes(g, row, v, in))
        return false;
    if (g->pool != NULL)
        vary(g, v);
    else
        vector_expand(v);
    if (expanded != NULL)
        *expanded = v->before;
    return generate_state(g, v, in);
}
