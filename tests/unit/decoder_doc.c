/* SPDX-License-Identifier: MIT */
/*
 * docs/generated/instructions.md is what this program makes of the instruction table. As a test it
 * fails when the file is stale; `test_decoder_doc --write` writes it. INSTRUCTIONS_MD is the file's
 * path, given by the build.
 */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "decoder/encoding.h"

/* VEX.128.66.0F38.W0, as the manual writes it; what it calls LIG and WIG, or has rows for both of,
 * is left out. */
static void put_vex(FILE *out, const struct encoding *e)
{
    static const char *const prefixes[] = {
        [SEL_NP] = "NP", [SEL_66] = "66", [SEL_F3] = "F3", [SEL_F2] = "F2"};
    static const char *const maps[] = {[MAP_0F] = "0F", [MAP_0F38] = "0F38", [MAP_0F3A] = "0F3A"};
    static const char *const lengths[] = {"", ".128", ".256"};
    static const char *const w[] = {"", ".W0", ".W1"};
    fprintf(out, "VEX%s.%s.%s%s ", lengths[e->l], prefixes[e->prefix], maps[e->map], w[e->w]);
}

/* The manual's notation: 66 0F C7 /6, 50+r, 0F 01 D0, REX.W + 0F C7 /1. */
static void put_encoding(FILE *out, const struct form *f)
{
    static const char *const prefixes[] = {"", "NFx ", "NP ", "66 ", "F3 ", "F2 "};
    static const char *const maps[] = {"", "0F ", "0F 38 ", "0F 3A "};
    const struct encoding *e = &f->encoding;
    if (e->vex)
        put_vex(out, e);
    else
        fprintf(out, "%s%s%s", prefixes[e->prefix], e->w == 2 ? "REX.W + " : "", maps[e->map]);
    fprintf(out, "%02X", e->opcode);
    if (e->span != 0)
        fputs(e->span == 7 ? "+r" : "+cc", out);
    if (e->rm != 0)
        fprintf(out, " %02X", 0xc0u | (e->reg - 1u) << 3 | (e->rm - 1u));
    else if (e->reg != 0)
        fprintf(out, " /%u", e->reg - 1u);
    if (e->rm == 0 && e->mod == MOD_IS_REG)
        fputs(" (mod 3)", out);
}

static void put_operands(FILE *out, const struct form *f)
{
    static const char *const access[] = {"", "r ", "w ", "rw ", "a "};
    for (unsigned i = 1; i < ARRAY_SIZE(f->operands) && f->operands[i] != 0; i++)
        fprintf(out, "%s%s%s", i > 1 ? ", " : "", access[f->operands[i] >> 8],
                operand_letters[f->operands[i] & 0xff].name);
}

static void put_flags(FILE *out, uint32_t flags)
{
    static const struct {
        uint32_t flag;    /* F_* */
        const char *name; /* as in the manual */
    } names[] = {{F_OF, "OF"}, {F_SF, "SF"}, {F_ZF, "ZF"},   {F_AF, "AF"},
                 {F_PF, "PF"}, {F_CF, "CF"}, {F_DF, "DF"},   {F_IF, "IF"},
                 {F_AC, "AC"}, {F_VM, "VM"}, {F_VIF, "VIF"}, {F_RF, "RF"}};
    const char *space = "";
    if (flags == F_ALL) {
        fputs("all", out);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (flags & names[i].flag) {
            fprintf(out, "%s%s", space, names[i].name);
            space = " ";
        }
    }
}

static void put_sensitivity(FILE *out, unsigned set)
{
    static const char *const names[] = {"control", "mode", "location", "time"};
    const char *space = "";
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (set & (1u << i)) {
            fprintf(out, "%s%s", space, names[i]);
            space = ", ";
        }
    }
}

static void put_attributes(FILE *out, const struct form *f)
{
    static const char *const names[] = {"LOCK",       "ends block", "not 64",      "only 64",
                                        "default 64", "force 64",   "mod ignored", "falls back"};
    const char *space = "";
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (f->attributes & (1u << i)) {
            fprintf(out, "%s%s", space, names[i]);
            space = ", ";
        }
    }
}

static void put_row(FILE *out, unsigned row)
{
    static const char *const privileges[] = {"",
                                             "CPL 0",
                                             "IOPL",
                                             "I/O",
                                             "V86",
                                             "UMIP",
                                             "TSD",
                                             "PCE",
                                             "protected mode",
                                             "gate",
                                             "FSGSBASE",
                                             "OSXSAVE",
                                             "protected mode, CPL 0",
                                             "protected mode, UMIP"};
    const struct insn_desc *d = insn_row(row);
    const struct form *f = insn_form(row);
    fprintf(out, "| %s | ", d->name);
    put_encoding(out, f);
    fputs(" | ", out);
    put_operands(out, f);
    fputs(" | ", out);
    put_attributes(out, f);
    fputs(" | ", out);
    put_flags(out, d->tested);
    fputs(" | ", out);
    put_flags(out, d->written);
    fputs(" | ", out);
    put_flags(out, d->undefined);
    fprintf(out, " | %s | ",
            d->privilege < ARRAY_SIZE(privileges) ? privileges[d->privilege] : "?");
    put_sensitivity(out, d->sensitivity);
    fprintf(out, " | %s | %s |\n", feature_name(d->feature), d->manual);
}

/* The page, to be freed by the caller. */
static char *make_page(size_t *size)
{
    char *page = NULL;
    FILE *out = open_memstream(&page, size);
    if (out == NULL)
        return NULL;
    fprintf(out,
            "# Instructions\n\n"
            "Generated from `decoder/insn.def` by `test_decoder_doc --write`; do not edit. %u "
            "encoding forms of %u operations.\n"
            "The letters are those of the SDM, Vol. 2, \"Opcode Map\"; what each column means is "
            "said at the top of the table itself.\n\n"
            "| name | encoding | operands | attributes | tested | written | undefined | privilege "
            "| sensitivity | CPUID | manual |\n"
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
            insn_row_count(), OP_COUNT - 1u);
    for (unsigned row = 0; row < insn_row_count(); row++)
        put_row(out, row);
    fclose(out);
    return page;
}

TEST(doc, instructions_page_is_current)
{
    size_t size = 0;
    char *page = make_page(&size);
    char *found = page != NULL ? calloc(1, size + 2) : NULL;
    FILE *in = fopen(INSTRUCTIONS_MD, "rb");
    assert_non_null(found);
    if (in == NULL)
        fail_msg("%s is missing: run test_decoder_doc --write", INSTRUCTIONS_MD);
    size_t n = fread(found, 1, size + 1, in);
    fclose(in);
    if (n != size || memcmp(page, found, size) != 0)
        fail_msg("%s is stale: run test_decoder_doc --write", INSTRUCTIONS_MD);
    free(found);
    free(page);
}

static int write_page(void)
{
    size_t size = 0;
    char *page = make_page(&size);
    FILE *out = fopen(INSTRUCTIONS_MD, "wb");
    int failed = page == NULL || out == NULL || fwrite(page, 1, size, out) != size;
    if (out != NULL)
        failed |= fclose(out) != 0;
    free(page);
    return failed;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {RUN(doc, instructions_page_is_current)};
    if (argc == 2 && strcmp(argv[1], "--write") == 0)
        return write_page();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
