/* SPDX-License-Identifier: MIT */
/*
 * Records the instruction vectors on the CPU it runs on: for every innocuous row of insn.def a few
 * instructions, run natively.
 *
 *     record [-n COUNT] [-s SEED] DIRECTORY
 *     record -r <OLD >NEW
 *
 * The first writes general.vec, x87.vec, simd.vec and avx.vec there; the second runs the vectors of
 * OLD again, results ignored, for vectors made by hand and for other CPUs. COUNT is of vectors in
 * 64-bit code per row; half as many are made in 32-bit code, as many for rows that exist only
 * there. See docs/testing.md.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/vectors/allowed.h"
#include "tests/vectors/generate.h"
#include "tests/vectors/native.h"

enum { FILE_GENERAL, FILE_X87, FILE_SIMD, FILE_AVX, FILE_COUNT, TRIES = 600 };

struct recorder {
    struct generator generator; /* of instructions */
    FILE *out[FILE_COUNT];      /* owned */
    unsigned total;             /* vectors written */
    unsigned missing;           /* rows without any */
};

static unsigned file_of(unsigned row)
{
    const struct insn_desc *d = insn_row(row);
    bool is_bmi = d->feature == FEAT_BMI1 || d->feature == FEAT_BMI2;
    if (insn_form(row)->encoding.vex && !is_bmi)
        return FILE_AVX;
    switch (d->feature) {
    case FEAT_FPU:
        return FILE_X87;
    case FEAT_MMX:
    case FEAT_SSE:
    case FEAT_SSE2:
    case FEAT_SSE3:
    case FEAT_SSSE3:
    case FEAT_SSE41:
    case FEAT_SSE42:
    case FEAT_SSE4A:
    case FEAT_AES:
    case FEAT_PCLMUL:
    case FEAT_SHA:
    case FEAT_GFNI:
        return d->name[0] == 'F' ? FILE_X87 : FILE_SIMD;
    default:
        return d->name[0] == 'F' ? FILE_X87 : FILE_GENERAL;
    }
}

static bool is_worth_keeping(const struct vector *v, const struct insn *in, bool want_fault)
{
    const struct vector_state *t = &v->after;
    if (allowed_differs_by_vendor(v, in))
        return false;
    bool means_ud = in->op == OP_UD0 || in->op == OP_UD1 || in->op == OP_UD2;
    if (t->fault == VECTOR_NO_FAULT)
        return true;
    if (t->fault == 6)
        return means_ud; /* this CPU lacks the instruction */
    if (t->fault == 14 && (t->fault_address >> 47 != 0 || (t->fault_code & ~UINT64_C(0x17)) != 0))
        return false; /* Linux hides what it has above */
    return want_fault;
}

/* How many of `want` could be made. At most a quarter are faults, unless the row gives nothing
 * else. */
static unsigned record_mode(struct recorder *r, unsigned row, enum decode_mode mode, unsigned want,
                            FILE *f)
{
    static struct vector v;
    static struct vector_state expanded;
    unsigned made = 0, faults = 0;
    for (unsigned i = 0; i < TRIES && made < want; i++) {
        struct insn in;
        v.mode = mode;
        if (!generate_vector(&r->generator, row, &v, &expanded, &in))
            continue;
        if (!native_run(&v, vector_repeats(&in)))
            continue;
        if (!is_worth_keeping(&v, &in, faults < want / 4 + 1 || i > TRIES / 2))
            continue;
        if (v.after.fault != VECTOR_NO_FAULT)
            faults++;
        vector_write(f, &v, &expanded);
        made++;
    }
    return made;
}

static unsigned wanted(unsigned row, unsigned count)
{
    const struct form *f = insn_form(row);
    const char *operands = insn_row(row)->operands;
    if (f->encoding.span == 15)
        return count * 3;
    if (file_of(row) == FILE_X87)
        return count * 2;
    if ((file_of(row) == FILE_SIMD || file_of(row) == FILE_AVX) && strstr(operands, "r_Ib"))
        return count * 2;
    return count;
}

static void record_row(struct recorder *r, unsigned row, unsigned count)
{
    const struct insn_desc *d = insn_row(row);
    const struct form *form = insn_form(row);
    unsigned made = 0, want = wanted(row, count);
    FILE *f = r->out[file_of(row)];
    bool in_64 = !(form->attributes & A_I64);
    bool in_32 = !(form->attributes & A_O64) && (form->encoding.vex || form->encoding.w != 2);
    if (d->sensitivity != SENS_NONE)
        return;
    fprintf(f, "# %s %s %s\n", d->name, d->encoding, d->operands);
    if (in_64)
        made += record_mode(r, row, DECODE_64, want, f);
    if (in_32)
        made += record_mode(r, row, DECODE_32, in_64 ? (want + 2) / 3 : want, f);
    r->total += made;
    if (made == 0) {
        fprintf(stderr, "no vectors: %s %s %s\n", d->name, d->encoding, d->operands);
        r->missing++;
    }
}

static bool open_files(struct recorder *r, const char *directory, unsigned count, uint64_t seed)
{
    static const char *const names[FILE_COUNT] = {"general", "x87", "simd", "avx"};
    char path[4096];
    for (unsigned i = 0; i < FILE_COUNT; i++) {
        snprintf(path, sizeof path, "%s/%s.vec", directory, names[i]);
        r->out[i] = fopen(path, "w");
        if (r->out[i] == NULL) {
            perror(path);
            return false;
        }
        fprintf(r->out[i],
                "# Made by tests/vectors/record -n %u -s %" PRIu64
                "; the format is in docs/testing.md.\n",
                count, seed);
    }
    return true;
}

/* Vectors of standard input, run here. */
static int record_again(const struct decoder *d)
{
    static struct vector v, plain;
    static char line[VECTOR_LINE_MAX], copy[VECTOR_LINE_MAX];
    while (fgets(line, sizeof line, stdin) != NULL) {
        struct insn in;
        const char *why;
        char *result = strstr(line, " :");
        snprintf(copy, sizeof copy,
                 "%.*s :", (int)(result ? result - line : (long)strcspn(line, "\n")), line);
        if (line[0] == '#' || line[0] == '\n') {
            fputs(line, stdout);
            continue;
        }
        if (!vector_parse(copy, &v, &why) ||
            decoder_decode(d, v.mode, v.bytes, v.len, &in) != DECODE_OK) {
            fprintf(stderr, "not a vector: %s", line);
            return 1;
        }
        plain.mode = v.mode;
        plain.segmented = v.segmented;
        plain.base = v.base;
        plain.profile = v.profile;
        plain.seed = v.seed;
        vector_expand(&plain);
        if (!native_run(&v, vector_repeats(&in)))
            return 1;
        vector_write(stdout, &v, &plain.before);
    }
    return 0;
}

int main(int argc, char **argv)
{
    bool again = false;
    struct recorder r = {.generator = {.seed = 0}};
    unsigned count = 6;
    uint64_t seed = 1;
    for (int c; (c = getopt(argc, argv, "n:s:r")) != -1;) {
        if (c == 'n')
            count = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'r')
            again = true;
        else
            return 2;
    }
    if (optind >= argc && !again) {
        fprintf(stderr, "usage: record [-n COUNT] [-s SEED] DIRECTORY | record -r <OLD >NEW\n");
        return 2;
    }
    struct decoder *d = decoder_create();
    struct native_host host;
    const char *why = "out of memory";
    if (d == NULL || !native_init(&host, &why) || host.base != 0) {
        fprintf(stderr, "%s (run as root, or set vm.mmap_min_addr to 0)\n", why);
        return 1;
    }
    if (again)
        return record_again(d);
    if (!open_files(&r, argv[optind], count, seed))
        return 1;
    r.generator.decoder = d;
    for (unsigned row = 0; row < insn_row_count(); row++) {
        r.generator.seed = seed * 1000003 + row;
        record_row(&r, row, count);
    }
    for (unsigned i = 0; i < FILE_COUNT; i++)
        fclose(r.out[i]);
    decoder_destroy(d);
    printf("%u vectors, %u rows without\n", r.total, r.missing);
    return 0;
}
