/* SPDX-License-Identifier: MIT */
/* Expansion of a vector's seed, and its text. */
#include "tests/vectors/vector.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "tests/vectors/segments.h"

static const char *const gpr_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static const char *const selector_names[6] = {"ses", "scs", "sss", "sds", "sfs", "sgs"};

uint64_t vector_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool vector_repeats(const struct insn *in)
{
    bool is_string = false;
    for (unsigned i = 0; i < in->operand_count; i++)
        is_string |= in->operands[i].kind == OPND_STR_SRC || in->operands[i].kind == OPND_STR_DST;
    return (is_string && (in->prefixes & (PFX_REP | PFX_REPNE))) || in->vsib;
}

/* ---- values: special ones about half of the time ---- */

uint64_t vector_random_integer(uint64_t *s)
{
    static const uint64_t specials[] = {0,
                                        1,
                                        UINT64_MAX,
                                        UINT64_C(0x8000000000000000),
                                        UINT64_C(0x7fffffffffffffff),
                                        UINT64_C(0x80000000),
                                        UINT64_C(0x7fffffff),
                                        UINT64_C(0xffffffff),
                                        UINT64_C(0x8080808080808080),
                                        UINT64_C(0x7fff7fff7fff7fff),
                                        UINT64_C(0x8000800080008000),
                                        UINT64_C(0x7f7f7f7f7f7f7f7f),
                                        UINT64_C(0x8000000080000000),
                                        UINT64_C(0x00ff00ff00ff00ff),
                                        2,
                                        UINT64_C(0xfffffffffffffffe)};
    uint64_t kind = vector_random(s), r = vector_random(s);
    switch (kind & 7) {
    case 0:
    case 1:
        return specials[r & 15];
    case 2:
        return r & 0xff;
    case 3:
        return 0 - (r & 0xff);
    default:
        return r;
    }
}

static uint32_t random_single(uint64_t *s)
{
    static const uint32_t specials[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                        0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffa00000,
                                        0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000,
                                        0xcf000000, 0x5f000000, 0xdf000000, 0x3f000000, 0x40490fdb,
                                        0x4effffff, 0x7fffffff, 0x00400000, 0xbf000000};
    uint64_t kind = vector_random(s), r = vector_random(s);
    uint32_t mantissa = (uint32_t)r & 0x807fffff;
    switch (kind & 7) {
    case 0:
    case 1:
        return specials[r % ARRAY_SIZE(specials)];
    case 2:
        return (uint32_t)r;
    case 3:
        return (mantissa & 0xffff0000) | (uint32_t)(127 + (kind >> 8) % 24) << 23;
    default:
        return mantissa | (uint32_t)(127 - 12 + (kind >> 8) % 24) << 23;
    }
}

static uint64_t random_double(uint64_t *s)
{
    static const uint64_t specials[] = {
        0,
        UINT64_C(0x8000000000000000),
        UINT64_C(0x3ff0000000000000),
        UINT64_C(0xbff0000000000000),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000),
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0xfff8000000000000),
        UINT64_C(0x7ff0000000000001),
        UINT64_C(0xfff4000000000000),
        1,
        UINT64_C(0x800fffffffffffff),
        UINT64_C(0x0010000000000000),
        UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x41e0000000000000),
        UINT64_C(0xc1e0000000200000),
        UINT64_C(0x43e0000000000000),
        UINT64_C(0xc3e0000000000000),
        UINT64_C(0x3fe0000000000000),
        UINT64_C(0x47efffffe0000000),
        UINT64_C(0x36a0000000000000),
        UINT64_C(0x380fffffc0000000),
        UINT64_C(0x0008000000000000),
        UINT64_C(0xbfe0000000000000),
    };
    uint64_t kind = vector_random(s), r = vector_random(s);
    uint64_t mantissa = r & UINT64_C(0x800fffffffffffff);
    switch (kind & 7) {
    case 0:
    case 1:
        return specials[r % ARRAY_SIZE(specials)];
    case 2:
        return r;
    case 3:
        return (mantissa & UINT64_C(0xffffffff00000000)) | (1023 + (kind >> 8) % 66) << 52;
    default:
        return mantissa | (1023 - 16 + (kind >> 8) % 32) << 52;
    }
}

/* Significand; sign and exponent in *se. */
static uint64_t random_extended(uint64_t *s, uint16_t *se)
{
    static const struct {
        uint64_t mant;
        uint16_t se;
    } specials[] = {
        {0, 0},
        {0, 0x8000},
        {BIT(63), 0x3fff},
        {BIT(63), 0xbfff},
        {BIT(63), 0x7fff},
        {BIT(63), 0xffff},
        {UINT64_C(0xc000000000000000), 0x7fff},
        {UINT64_C(0xc000000000000000), 0xffff},
        {UINT64_C(0x8000000000000001), 0x7fff},
        {UINT64_C(0xa000000000000000), 0xffff},
        {1, 0},
        {UINT64_C(0x7fffffffffffffff), 0x8000},
        {BIT(63), 1},
        {UINT64_MAX, 0x7ffe},
        {BIT(63), 0x403e},
        {UINT64_C(0x4000000000000000), 0x3fff}, /* unnormal */
        {0, 0x7fff},                            /* pseudo-infinity */
        {BIT(63), 0},                           /* pseudo-denormal */
        {UINT64_C(0xc90fdaa22168c235), 0x4000}, /* pi */
        {BIT(63), 0x3ffe},
    };
    uint64_t kind = vector_random(s), r = vector_random(s);
    uint64_t at = (kind >> 8) % ARRAY_SIZE(specials);
    uint16_t sign = (uint16_t)(kind >> 16 & 0x8000);
    switch (kind & 7) {
    case 0:
    case 1:
        *se = specials[at].se;
        return specials[at].mant;
    case 2:
        *se = (uint16_t)(kind >> 40);
        return r | BIT(63);
    case 3:
        *se = (uint16_t)(sign | (0x3fff + (kind >> 8) % 66));
        return (r & UINT64_C(0xffffffff00000000)) | BIT(63);
    default:
        *se = (uint16_t)(sign | (0x3fff - 12 + (kind >> 8) % 24));
        return r | BIT(63);
    }
}

static uint64_t random_bcd(uint64_t *s)
{
    uint64_t kind = vector_random(s), r = vector_random(s), v = 0;
    if ((kind & 7) == 0)
        return r;
    for (unsigned i = 0; i < 64; i += 4)
        v |= (r >> i & 15) % 10 << i;
    return (kind & 7) == 1 ? v & 0xffff : v;
}

/* 16 bytes of the profile's values. */
void vector_random_slot(uint64_t *s, char profile, uint64_t slot[2])
{
    for (unsigned i = 0; i < 2; i++) {
        switch (profile) {
        case PROFILE_SINGLE:
            slot[i] = random_single(s);
            slot[i] |= (uint64_t)random_single(s) << 32;
            break;
        case PROFILE_DOUBLE:
            slot[i] = random_double(s);
            break;
        case PROFILE_BCD:
            slot[i] = random_bcd(s);
            break;
        default:
            slot[i] = vector_random_integer(s);
            break;
        }
    }
    if (profile == PROFILE_EXTENDED) {
        uint16_t se;
        slot[0] = random_extended(s, &se);
        slot[1] = se;
    }
}

/* ---- the state before ---- */

/* Control, status and tags. */
void vector_random_x87(struct vector_state *t, uint64_t *s)
{
    uint64_t r = vector_random(s);
    t->fcw = 0x37f;
    if ((r & 7) >= 4)
        t->fcw = (uint16_t)(0x7f | (r >> 8 & 0xf00));
    if ((r & 7) == 7)
        t->fcw = (uint16_t)((t->fcw & ~0x3fu) | (r >> 16 & 0x3f));
    t->fsw = (uint16_t)(r >> 24 & 0x7f00);
    if ((r >> 3 & 3) == 0)
        t->fsw |= (uint16_t)(r >> 40 & 0x7f);
    if (t->fsw & ~t->fcw & 0x3f)
        t->fsw |= 0x8080;
    unsigned tags = (unsigned)(r >> 48 & 7);
    t->ftw = tags < 5 ? 0xff : tags < 6 ? (uint8_t)(r >> 52) : 0;
}

uint32_t vector_random_mxcsr(uint64_t *s)
{
    uint64_t r = vector_random(s);
    uint32_t m = 0x1f80;
    if (r & 1)
        m |= (uint32_t)(r >> 8 & 0x6000);
    if ((r >> 1 & 7) == 0)
        m |= 0x8000;
    if ((r >> 4 & 7) == 0)
        m |= 0x40;
    if ((r >> 7 & 3) == 0)
        m |= (uint32_t)(r >> 32 & 0x3f);
    if ((r >> 32 & 7) == 0)
        m &= ~(uint32_t)(r >> 40 & 0x1f80);
    return m;
}

void vector_random_general(struct vector *v, uint64_t *s)
{
    struct vector_state *t = &v->before;
    for (unsigned i = 0; i < 16; i++) {
        t->gpr[i] = vector_random_integer(s);
        if (v->mode != DECODE_64)
            t->gpr[i] = i < 8 ? (uint32_t)t->gpr[i] : 0;
    }
    uint64_t r = vector_random(s);
    t->rflags = 0x202 | (r & F_OSZAPC) | ((r >> 32 & 7) == 0 ? (unsigned)F_DF : 0) |
                ((r >> 35 & 15) == 0 ? (unsigned)F_AC : 0);
    for (unsigned i = 0; i < 2; i++)
        t->seg_base[i] = v->mode == DECODE_64 ? vector_random(s) & 0xfff0 : 0;
}

void vector_expand(struct vector *v)
{
    struct vector_state *t = &v->before;
    uint64_t s = (uint64_t)v->seed << 8 | (unsigned char)v->profile;
    memset(t, 0, sizeof(*t));
    t->fault = VECTOR_NO_FAULT;
    vector_segments_init(v);
    vector_random_general(v, &s);
    vector_random_x87(t, &s);
    for (unsigned i = 0; i < 8; i++)
        t->fp_mant[i] = random_extended(&s, &t->fp_se[i]);
    t->mxcsr = vector_random_mxcsr(&s);
    for (unsigned i = 0; i < (v->mode == DECODE_64 ? 16u : 8u); i++)
        vector_random_slot(&s, v->profile, t->xmm[i]);
    for (unsigned i = 0; i < VECTOR_MEM_SIZE; i += 16) {
        uint64_t slot[2];
        vector_random_slot(&s, v->profile, slot);
        le64_store(t->mem + i, slot[0]);
        le64_store(t->mem + i + 8, slot[1]);
    }
    for (unsigned i = 0; i < (v->mode == DECODE_64 ? 16u : 8u); i++)
        vector_random_slot(&s, v->profile, t->ymm_high[i]);
}

/* ---- text ---- */

static void write_memory(FILE *f, uint32_t base, const uint8_t *from, const uint8_t *to)
{
    for (unsigned i = 0; i < VECTOR_MEM_SIZE; i++) {
        unsigned end = i, same = 0;
        if (from[i] == to[i])
            continue;
        for (unsigned k = i; k < VECTOR_MEM_SIZE && same < 4; k++) {
            same = from[k] == to[k] ? same + 1 : 0;
            end = same ? end : k + 1;
        }
        fprintf(f, " m%x=", base + VECTOR_MEM + i);
        for (; i < end; i++)
            fprintf(f, "%02x", to[i]);
    }
}

/* x87 but its pointers, and SIMD. */
static void write_floating_point(FILE *f, const struct vector_state *from,
                                 const struct vector_state *to)
{
    if (from->fcw != to->fcw)
        fprintf(f, " fcw=%x", to->fcw);
    if (from->fsw != to->fsw)
        fprintf(f, " fsw=%x", to->fsw);
    if (from->ftw != to->ftw)
        fprintf(f, " ftw=%x", to->ftw);
    for (unsigned i = 0; i < 8; i++)
        if (from->fp_mant[i] != to->fp_mant[i] || from->fp_se[i] != to->fp_se[i])
            fprintf(f, " p%u=%04x%016" PRIx64, i, to->fp_se[i], to->fp_mant[i]);
    if (from->mxcsr != to->mxcsr)
        fprintf(f, " mxcsr=%x", to->mxcsr);
    for (unsigned i = 0; i < 16; i++)
        if (memcmp(from->xmm[i], to->xmm[i], 16) != 0)
            fprintf(f, " x%u=%016" PRIx64 "%016" PRIx64, i, to->xmm[i][1], to->xmm[i][0]);
    for (unsigned i = 0; i < 16; i++)
        if (memcmp(from->ymm_high[i], to->ymm_high[i], 16) != 0)
            fprintf(f, " y%u=%016" PRIx64 "%016" PRIx64, i, to->ymm_high[i][1], to->ymm_high[i][0]);
}

/* Fields of *to that differ from *from, as tokens with a space before each. rip is written when it
 * differs from `rip`. */
static void write_difference(FILE *f, uint32_t base, const struct vector_state *from,
                             const struct vector_state *to, uint64_t rip)
{
    for (unsigned i = 0; i < 16; i++)
        if (from->gpr[i] != to->gpr[i])
            fprintf(f, " %s=%" PRIx64, gpr_names[i], to->gpr[i]);
    if (to->rip != rip)
        fprintf(f, " rip=%" PRIx64, to->rip);
    if (from->rflags != to->rflags)
        fprintf(f, " fl=%" PRIx64, to->rflags);
    for (unsigned i = 0; i < 2; i++)
        if (from->seg_base[i] != to->seg_base[i])
            fprintf(f, " %cs=%" PRIx64, "fg"[i], to -> seg_base[i]);
    for (unsigned i = 0; i < 6; i++)
        if (from->sel[i] != to->sel[i])
            fprintf(f, " %s=%x", selector_names[i], to->sel[i]);
    if (from->fop != to->fop)
        fprintf(f, " fop=%x", to->fop);
    if (from->fip != to->fip)
        fprintf(f, " fip=%" PRIx64, to->fip);
    if (from->fdp != to->fdp)
        fprintf(f, " fdp=%" PRIx64, to->fdp);
    write_floating_point(f, from, to);
    write_memory(f, base, from->mem, to->mem);
    if (to->fault != VECTOR_NO_FAULT)
        fprintf(f, " !%u/%" PRIx64 "/%" PRIx64, to->fault, to->fault_code, to->fault_address);
}

void vector_write(FILE *f, const struct vector *v, const struct vector_state *plain)
{
    bool faults = v->after.fault != VECTOR_NO_FAULT;
    fprintf(f, "%s%s %c %x ",
            v->mode == DECODE_64   ? "64"
            : v->mode == DECODE_32 ? "32"
                                   : "16",
            v->mode == DECODE_32 && v->segmented ? "s" : "", v->profile, v->seed);
    for (unsigned i = 0; i < v->len; i++)
        fprintf(f, "%02x", v->bytes[i]);
    if (v->base != 0)
        fprintf(f, " base=%x", v->base);
    write_difference(f, v->base, plain, &v->before, plain->rip);
    fprintf(f, " :");
    write_difference(f, v->base, &v->before, &v->after, v->before.rip + (faults ? 0u : v->len));
    fprintf(f, "\n");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hex to at most max bytes; how many, or 0 if it is none. */
static size_t parse_bytes(const char *hex, uint8_t *out, size_t max)
{
    size_t n = strlen(hex);
    if (n % 2 != 0 || n / 2 > max)
        return 0;
    for (size_t i = 0; i < n / 2; i++) {
        int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return 0;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return n / 2;
}

/* "NNxx..": register number, then a value of size bytes, most significant first. */
static bool parse_wide(struct vector_state *t, const char *name, const char *value)
{
    uint8_t b[16];
    unsigned long i = strtoul(name + 1, NULL, 10);
    size_t n = parse_bytes(value, b, sizeof b);
    if ((name[0] == 'x' || name[0] == 'y') && i < 16 && n == 16) {
        uint64_t *half = name[0] == 'x' ? t->xmm[i] : t->ymm_high[i];
        half[1] = be64_load(b);
        half[0] = be64_load(b + 8);
        return true;
    }
    if (name[0] == 'p' && i < 8 && n == 10) {
        t->fp_se[i] = (uint16_t)(b[0] << 8 | b[1]);
        t->fp_mant[i] = be64_load(b + 2);
        return true;
    }
    return false;
}

static bool parse_memory(struct vector_state *t, const char *address, uint32_t base,
                         const char *value)
{
    unsigned long at = strtoul(address, NULL, 16) - base;
    if (at < VECTOR_MEM || at >= VECTOR_DATA_END)
        return false;
    return parse_bytes(value, t->mem + (at - VECTOR_MEM), VECTOR_DATA_END - at) != 0;
}

static bool parse_field(struct vector_state *t, uint32_t base, const char *name, const char *value)
{
    uint64_t v = strtoull(value, NULL, 16);
    for (unsigned i = 0; i < 6; i++) {
        if (strcmp(name, selector_names[i]) == 0) {
            t->sel[i] = (uint16_t)v;
            return true;
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        if (strcmp(name, gpr_names[i]) == 0) {
            t->gpr[i] = v;
            return true;
        }
    }
    if (strcmp(name, "rip") == 0)
        t->rip = v;
    else if (strcmp(name, "fl") == 0)
        t->rflags = v;
    else if (strcmp(name, "fs") == 0 || strcmp(name, "gs") == 0)
        t->seg_base[name[0] == 'g'] = v;
    else if (strcmp(name, "fcw") == 0)
        t->fcw = (uint16_t)v;
    else if (strcmp(name, "fsw") == 0)
        t->fsw = (uint16_t)v;
    else if (strcmp(name, "ftw") == 0)
        t->ftw = (uint8_t)v;
    else if (strcmp(name, "mxcsr") == 0)
        t->mxcsr = (uint32_t)v;
    else if (strcmp(name, "fop") == 0)
        t->fop = (uint16_t)v;
    else if (strcmp(name, "fip") == 0)
        t->fip = v;
    else if (strcmp(name, "fdp") == 0)
        t->fdp = v;
    else if (name[0] == 'm')
        return parse_memory(t, name + 1, base, value);
    else
        return parse_wide(t, name, value);
    return true;
}

static bool parse_token(struct vector *v, struct vector_state *t, char *token)
{
    if (token[0] == '!') {
        char *end = NULL;
        t->fault = (uint8_t)strtoul(token + 1, &end, 10);
        t->fault_code = *end == '/' ? strtoull(end + 1, &end, 16) : 0;
        t->fault_address = *end == '/' ? strtoull(end + 1, &end, 16) : 0;
        return *end == 0;
    }
    char *equals = strchr(token, '=');
    if (equals == NULL)
        return false;
    *equals = 0;
    if (strcmp(token, "base") != 0)
        return parse_field(t, v->base, token, equals + 1);
    v->base = (uint32_t)strtoul(equals + 1, NULL, 16);
    vector_segments_init(v);
    return true;
}

static bool has_fault(const char *line)
{
    return strchr(line, '!') != NULL;
}

bool vector_parse(char *line, struct vector *v, const char **why)
{
    char *save = NULL;
    bool faults = has_fault(line);
    char *mode = strtok_r(line, " \n", &save), *profile = strtok_r(NULL, " \n", &save);
    char *seed = strtok_r(NULL, " \n", &save), *bytes = strtok_r(NULL, " \n", &save);
    *why = "too few words";
    if (bytes == NULL)
        return false;
    v->mode = mode[0] == '6' ? DECODE_64 : mode[0] == '3' ? DECODE_32 : DECODE_16;
    v->segmented = v->mode == DECODE_16 || strcmp(mode, "32s") == 0;
    v->base = 0;
    v->profile = profile[0];
    v->seed = (uint32_t)strtoul(seed, NULL, 16);
    v->len = (uint8_t)parse_bytes(bytes, v->bytes, sizeof v->bytes);
    *why = "no instruction bytes";
    if (v->len == 0)
        return false;
    vector_expand(v);
    struct vector_state *t = &v->before;
    *why = "bad field";
    for (char *token = strtok_r(NULL, " \n", &save); token != NULL;
         token = strtok_r(NULL, " \n", &save)) {
        if (strcmp(token, ":") == 0) {
            v->after = v->before;
            v->after.rip += faults ? 0 : v->len;
            t = &v->after;
        } else if (!parse_token(v, t, token)) {
            return false;
        }
    }
    *why = "no result";
    return t == &v->after;
}
