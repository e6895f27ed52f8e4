/* SPDX-License-Identifier: MIT */
/* Bytes of an instruction, from its row of insn.def. */
#include <string.h>

#include "base/endian.h"
#include "decoder/encoding.h"
#include "monitor/classify/seed.h"

struct shape {
    bool has_modrm;     /* a ModRM byte follows the opcode */
    bool register_only; /* ModRM.mod is 3 */
    bool memory_only;   /* ModRM.mod is not 3 */
    bool has_vsib;      /* an index vector: SIB */
    bool uses_vvvv;     /* VEX.vvvv names a register */
};

struct writer {
    uint8_t *bytes;   /* borrowed: INSN_MAX_LEN and some more */
    unsigned n;       /* written */
    uint64_t *random; /* borrowed */
};

static unsigned pick(struct writer *o, unsigned n)
{
    return (unsigned)(seed_random(o->random) >> 33) % n;
}

static void put(struct writer *o, unsigned byte)
{
    o->bytes[o->n++] = (uint8_t)byte;
}

static void shape_operand(struct shape *s, unsigned method)
{
    switch (method) {
    case M_VSIB:
        s->has_vsib = true;
        /* fall through */
    case M_M:
        s->memory_only = true;
        /* fall through */
    case M_E:
    case M_Q:
    case M_W:
    case M_G:
    case M_SREG:
    case M_P:
    case M_V:
    case M_CR:
    case M_DR:
        s->has_modrm = true;
        break;
    case M_R:
    case M_N:
    case M_U:
    case M_STI:
        s->register_only = s->has_modrm = true;
        break;
    case M_H:
    case M_B:
        s->uses_vvvv = true;
        break;
    default:
        break;
    }
}

static struct shape shape_of(const struct form *f)
{
    const struct encoding *e = &f->encoding;
    struct shape s = {.has_modrm = e->reg != 0 || e->rm != 0 || e->mod != MOD_ANY};
    for (unsigned i = 1; i < ARRAY_SIZE(f->operands) && f->operands[i] != 0; i++)
        shape_operand(&s, operand_letters[f->operands[i] & 0xff].method);
    s.register_only |= e->mod == MOD_IS_REG || e->rm != 0;
    return s;
}

static void put_prefixes(struct writer *o, const struct encoding *e, bool is_64)
{
    unsigned prefix = e->prefix;
    if (e->vex)
        return;
    bool may_66 = prefix == SEL_ANY || prefix == SEL_NFX;
    if (prefix == SEL_66 || (may_66 && pick(o, 4) == 0))
        put(o, 0x66);
    if (prefix == SEL_F3 || prefix == SEL_F2)
        put(o, prefix == SEL_F3 ? 0xf3 : 0xf2);
    if (is_64 && (e->w == 2 || (e->w == 0 && pick(o, 3) == 0)))
        put(o, 0x48);
}

static void put_vex(struct writer *o, const struct encoding *e, const struct shape *s)
{
    unsigned vvvv = s->uses_vvvv ? 8 | pick(o, 8) : 15;
    unsigned w = e->w ? e->w - 1u : pick(o, 2), l = e->l ? e->l - 1u : pick(o, 2);
    put(o, 0xc4);
    put(o, 7u << 5 | e->map);
    put(o, w << 7 | vvvv << 3 | l << 2 | (unsigned)(e->prefix - SEL_NP));
}

static void put_opcode(struct writer *o, const struct encoding *e)
{
    bool is_escaped = e->map != MAP_ONE && !e->vex;
    if (is_escaped)
        put(o, 0x0f);
    if (is_escaped && e->map != MAP_0F)
        put(o, e->map == MAP_0F38 ? 0x38 : 0x3a);
    put(o, e->opcode + pick(o, e->span + 1u));
}

/* Memory is at a displacement alone; with SIB in 64-bit mode, where the other form is RIP's. */
static void put_modrm(struct writer *o, const struct encoding *e, const struct shape *s,
                      enum decode_mode mode, uint32_t address)
{
    bool is_memory = !s->register_only && (s->memory_only || pick(o, 2));
    unsigned reg = e->reg ? e->reg - 1u : pick(o, 8), rm = e->rm ? e->rm - 1u : pick(o, 8);
    bool has_sib = s->has_vsib || mode == DECODE_64;
    if (!is_memory) {
        put(o, 3u << 6 | reg << 3 | rm);
        return;
    }
    rm = mode == DECODE_16 ? 6 : has_sib ? 4 : 5;
    put(o, reg << 3 | rm);
    if (mode != DECODE_16 && has_sib)
        put(o, (s->has_vsib ? pick(o, 8) : 4u) << 3 | 5);
    le32_store(o->bytes + o->n, address);
    o->n += mode == DECODE_16 ? 2 : 4;
}

/* Immediates: noise, nothing, something small, or a far pointer. */
static void put_tail(struct writer *o, enum decode_mode mode, uint32_t address)
{
    uint8_t *tail = o->bytes + o->n;
    unsigned kind = pick(o, 5), offset = mode == DECODE_16 ? 2 : 4;
    for (unsigned i = 0; i < 12; i++)
        tail[i] = (uint8_t)(kind == 0 ? pick(o, 256) : 0);
    if (kind == 1)
        tail[0] = (uint8_t)pick(o, 64);
    if (kind == 2)
        le32_store(tail, address);
    if (kind == 3) {
        le32_store(tail, WORLD_TARGET);
        offset = pick(o, 4) ? offset : 6 - offset;
        le16_store(tail + offset, seed_selector(o->random));
    }
}

bool seed_bytes(const struct world *w, unsigned row, uint32_t address, uint64_t *random,
                uint8_t bytes[INSN_MAX_LEN], struct insn *in)
{
    uint8_t buffer[INSN_MAX_LEN + 16];
    const struct form *f = insn_form(row);
    struct shape s = shape_of(f);
    struct writer o = {.bytes = buffer, .random = random};
    enum decode_mode mode = class_mode_code(w->mode);
    put_prefixes(&o, &f->encoding, mode == DECODE_64);
    if (f->encoding.vex)
        put_vex(&o, &f->encoding, &s);
    put_opcode(&o, &f->encoding);
    if (s.has_modrm)
        put_modrm(&o, &f->encoding, &s, mode, address);
    put_tail(&o, mode, address);
    memcpy(bytes, buffer, INSN_MAX_LEN);
    return decoder_decode(w->decoder, mode, bytes, INSN_MAX_LEN, in) == DECODE_OK &&
           in->row == row && (!in->is_moffs || in->imm == address);
}
