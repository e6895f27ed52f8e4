/* SPDX-License-Identifier: MIT */
/*
 * Plays vector files and checks that every innocuous row of insn.def has vectors.
 *
 *     play [-a] [-v] [-j | -J] [-o ROWS] FILE...
 *
 * A vector that only faults does not count: it says little of what the instruction means.
 * -a shows every difference (first 40 else), -v also how many vectors each row has, -j translates
 * what is 64-bit (player.h) with all flags wanted, -J with none, -o writes the rows that were
 * executed (rows.c reads that). Exit status 1: something differs, or a row has no vector.
 */
#include "tests/vectors/player.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct totals {
    struct player *player; /* owned */
    unsigned *per_row;     /* owned: vectors of each row */
    unsigned *complete;    /* owned: of them, those without a fault */
    unsigned *bad_rows;    /* owned: of them, the ones that differ */
    unsigned vectors;      /* played */
    unsigned differ;       /* of them */
    unsigned malformed;    /* lines */
    unsigned show;         /* differences still to print */
};

static void disassemble(const struct vector *v, char *text, size_t size)
{
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    csh handle;
    cs_insn *insn = NULL;
    snprintf(text, size, "?");
    if (cs_open(CS_ARCH_X86, modes[v->mode], &handle) != CS_ERR_OK)
        return;
    size_t n = cs_disasm(handle, v->bytes, v->len, VECTOR_INSN, 1, &insn);
    if (n > 0) {
        snprintf(text, size, "%s %s", insn[0].mnemonic, insn[0].op_str);
        cs_free(insn, n);
    }
    cs_close(&handle);
}

static void show_difference(struct totals *t, const char *where, unsigned line,
                            const struct vector *v, const struct insn *in, const char *text)
{
    const struct insn_desc *d = insn_row(in->row);
    char asm_text[256];
    if (t->show == 0)
        return;
    t->show--;
    disassemble(v, asm_text, sizeof asm_text);
    printf("%s:%u: %s %s %s, %u bits: %s\n%s", where, line, d->name, d->encoding, d->operands,
           16u << v->mode, asm_text, text);
}

/* The engine has not got the feature: the row must raise #UD and change nothing. */
static void expect_ud(struct vector *v)
{
    v->after = v->before;
    v->after.fault = 6;
}

static void play_vector(struct totals *t, const char *where, unsigned line, struct vector *v)
{
    static struct vector_state got;
    struct insn in;
    char text[4096] = "";
    if (!player_decode(t->player, v, &in)) {
        printf("%s:%u: these bytes are no instruction\n", where, line);
        t->malformed++;
        return;
    }
    bool has_feature = allowed_unimplemented(insn_row(in.row)->feature) == NULL;
    t->vectors++;
    t->per_row[in.row]++;
    t->complete[in.row] += v->after.fault == VECTOR_NO_FAULT;
    if (!has_feature)
        expect_ud(v);
    player_run(t->player, v, &in, has_feature, &got);
    if (player_compare(v, &in, &got, VENDOR_AMD, NULL, text, sizeof text))
        return;
    t->differ++;
    t->bad_rows[in.row]++;
    show_difference(t, where, line, v, &in, text);
}

static bool play_file(struct totals *t, const char *path)
{
    static char line[VECTOR_LINE_MAX];
    static struct vector v;
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        perror(path);
        return false;
    }
    for (unsigned number = 1; fgets(line, sizeof line, f) != NULL; number++) {
        const char *why;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (vector_parse(line, &v, &why)) {
            play_vector(t, base, number, &v);
        } else {
            printf("%s:%u: %s\n", base, number, why);
            t->malformed++;
        }
    }
    fclose(f);
    return true;
}

static unsigned rows_without(const struct totals *t)
{
    unsigned missing = 0;
    for (unsigned row = 0; row < insn_row_count(); row++) {
        const struct insn_desc *d = insn_row(row);
        if (d->sensitivity != SENS_NONE || t->complete[row] != 0)
            continue;
        const char *reason = allowed_to_only_fault(row);
        printf("%s %s %s has no vector%s%s\n", d->name, d->encoding, d->operands,
               reason ? " without a fault: " : "", reason ? reason : "");
        missing += reason == NULL || t->per_row[row] == 0;
    }
    return missing;
}

static void show_rows(const struct totals *t, bool all)
{
    for (unsigned row = 0; row < insn_row_count(); row++) {
        const struct insn_desc *d = insn_row(row);
        if (t->bad_rows[row] != 0 || (all && t->per_row[row] != 0))
            printf("%3u of %3u differ: %s %s %s\n", t->bad_rows[row], t->per_row[row], d->name,
                   d->encoding, d->operands);
    }
}

/* As `-d rows` has it. */
static bool write_rows(const struct totals *t, const char *path)
{
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        perror(path);
        return false;
    }
    for (unsigned row = 0; row < insn_row_count(); row++) {
        const struct insn_desc *d = insn_row(row);
        if (t->per_row[row] != 0)
            fprintf(f, "%u %u %u %s %s %s\n", row, t->complete[row],
                    t->per_row[row] - t->complete[row], d->name, d->encoding, d->operands);
    }
    return fclose(f) == 0;
}

int main(int argc, char **argv)
{
    struct totals t = {.show = 40};
    bool verbose = false;
    const char *rows = NULL;
    t.player = player_create();
    for (int c; (c = getopt(argc, argv, "avjJo:")) != -1;) {
        if (c == 'a')
            t.show = UINT32_MAX;
        else if (c == 'v')
            verbose = true;
        else if (c == 'j' || c == 'J')
            player_translate(t.player, c == 'j' ? PLAYER_FLAGS_LIVE : PLAYER_FLAGS_DEAD);
        else if (c == 'o')
            rows = optarg;
        else
            return 2;
    }
    bool ok = optind < argc;
    t.per_row = calloc(insn_row_count(), sizeof(*t.per_row));
    t.complete = calloc(insn_row_count(), sizeof(*t.complete));
    t.bad_rows = calloc(insn_row_count(), sizeof(*t.bad_rows));
    for (int i = optind; i < argc; i++)
        ok &= play_file(&t, argv[i]);
    show_rows(&t, verbose);
    unsigned missing = rows_without(&t);
    ok = (rows == NULL || write_rows(&t, rows)) && ok;
    printf("%u vectors, %u differ, %u malformed lines, %u rows without a vector\n", t.vectors,
           t.differ, t.malformed, missing);
    if (player_translated(t.player))
        printf("%" PRIu64 " blocks translated\n", player_translated(t.player));
    player_destroy(t.player);
    free(t.per_row);
    free(t.complete);
    free(t.bad_rows);
    return ok && t.differ == 0 && t.malformed == 0 && missing == 0 ? 0 : 1;
}
