/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "base/compiler.h"
#include "frontends/html.h"
#include "frontends/report.h"

enum { BOX = 196, STEP = 226, TOP = 96, LINE = 22, TABLE = 132 };

/* Bits of an entry that say something about access (SDM Vol. 3A, "4-Level Paging", the formats of entries). */
static void flags_of(uint64_t e, char *text, size_t size)
{
    static const struct {
        unsigned bit;
        const char *name;
    } bits[] = {{0, "P"}, {1, "RW"}, {2, "US"}, {5, "A"}, {6, "D"}, {7, "PS"}, {8, "G"}, {63, "XD"}};
    size_t used = 0;
    text[0] = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bits) && used < size; i++) {
        if (!(e >> bits[i].bit & 1))
            continue;
        int n = snprintf(text + used, size - used, "%s%s", used ? " " : "", bits[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
}

static void text_at(FILE *out, unsigned x, unsigned y, const char *class, const char *text)
{
    fprintf(out, "<text class=\"%s\" x=\"%u\" y=\"%u\">", class, x, y);
    html_text(out, text);
    fputs("</text>\n", out);
}

static void arrow(FILE *out, unsigned from, unsigned y)
{
    fprintf(out, "<path class=\"arrow\" d=\"M%u %u h%u m-7 -5 l7 5 l-7 5\"/>\n", from, y, STEP - BOX);
}

/* The piece of the address that is this level's index, above its table. */
static void print_bits(FILE *out, unsigned x, unsigned high, unsigned low, uint64_t value)
{
    char text[64];
    fprintf(out, "<rect class=\"bits\" x=\"%u\" y=\"34\" width=\"%d\" height=\"40\"/>", x, BOX);
    snprintf(text, sizeof(text), "bits %u:%u", high, low);
    text_at(out, x + 8, 50, "small", text);
    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    text_at(out, x + 8, 68, "code", text);
    fprintf(out, "<path class=\"arrow\" d=\"M%d %d v18\"/>\n", (int)x + BOX / 2, TOP - 22);
}

static void print_level(FILE *out, const struct trapline_walk *w, unsigned i, unsigned x)
{
    char text[96], flags[48];
    uint64_t e = w->level[i].entry;
    print_bits(out, x, w->level[i].bits[0], w->level[i].bits[1], w->level[i].index);
    fprintf(out, "<rect class=\"table\" x=\"%u\" y=\"%d\" width=\"%d\" height=\"%d\"/>", x, TOP, BOX, TABLE);
    if (w->level[i].table)
        snprintf(text, sizeof(text), "table at 0x%" PRIx64, w->level[i].table);
    else
        snprintf(text, sizeof(text), "PDPTE registers");
    text_at(out, x + 8, TOP + 18, "small", text);
    fprintf(out, "<rect class=\"entry%s\" x=\"%u\" y=\"%d\" width=\"%d\" height=\"%d\"/>", e & 1 ? "" : " absent", x, TOP + 2 * LINE - 12, BOX,
            3 * LINE);
    snprintf(text, sizeof(text), "%s %u", w->level[i].name, w->level[i].index);
    text_at(out, x + 8, TOP + 2 * LINE + 6, "head", text);
    snprintf(text, sizeof(text), "0x%" PRIx64, e);
    text_at(out, x + 8, TOP + 3 * LINE + 4, "code", text);
    flags_of(e, flags, sizeof(flags));
    text_at(out, x + 8, TOP + 4 * LINE + 2, "small", e & 1 ? flags : "not present: #PF");
}

static void print_page(FILE *out, const struct trapline_walk *w, unsigned x)
{
    char text[96];
    unsigned shift = 0;
    while (w->page_size >> shift > 1)
        shift++;
    print_bits(out, x, shift ? shift - 1 : 0, 0, w->address & (w->page_size - 1));
    fprintf(out, "<rect class=\"page\" x=\"%u\" y=\"%d\" width=\"%d\" height=\"%d\"/>", x, TOP, BOX, TABLE);
    snprintf(text, sizeof(text), "page of %" PRIu64 " KiB", w->page_size >> 10);
    text_at(out, x + 8, TOP + 18, "head", text);
    text_at(out, x + 8, TOP + 3 * LINE - 10, "small", "physical address");
    snprintf(text, sizeof(text), "0x%" PRIx64, w->physical);
    text_at(out, x + 8, TOP + 4 * LINE - 10, "code", text);
}

void report_walk(FILE *out, const char *what, const struct trapline_walk *w)
{
    char text[160];
    unsigned boxes = w->levels + w->is_mapped, x = 0;
    snprintf(text, sizeof(text), "%s: linear address 0x%" PRIx64 ", %s paging, CR3 0x%" PRIx64, what, w->address, w->format, w->cr3);
    fprintf(out, "<svg class=\"walk\" role=\"img\" viewBox=\"0 0 %d %d\" width=\"100%%\">\n", 5 * STEP - (STEP - BOX) + 4, TOP + TABLE + 8);
    text_at(out, 0, 20, "head", text);
    for (unsigned i = 0; i < w->levels; i++, x += STEP) {
        print_level(out, w, i, x + 2);
        if (i + 1 < boxes)
            arrow(out, x + 2 + BOX, TOP + 3 * LINE);
    }
    if (w->is_mapped)
        print_page(out, w, x + 2);
    fputs("</svg>\n", out);
}
