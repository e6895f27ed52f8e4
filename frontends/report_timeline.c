/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "frontends/report.h"

enum { WIDTH = 900, LEFT = 70, HEIGHT = 150, EXITS_HEIGHT = 110, GAP = 34, FIRST_WIDTH = 64 };

/* Two bins become one. */
static void halve(struct timeline *t)
{
    for (unsigned i = 0; i < TIMELINE_BINS / 2; i++) {
        const struct timeline_bin *a = &t->bins[2 * i], *b = a + 1;
        t->bins[i] = (struct timeline_bin){a->kernel + b->kernel, a->user + b->user, a->idle + b->idle, a->exits + b->exits};
    }
    memset(&t->bins[TIMELINE_BINS / 2], 0, sizeof(t->bins) / 2);
    t->width *= 2;
}

enum kind { KERNEL, USER, IDLE };

/* Spread the time from t->last to `until` over the bins it lies in. */
static void fill(struct timeline *t, uint64_t until, enum kind kind)
{
    while (until - t->begin >= t->width * TIMELINE_BINS)
        halve(t);
    while (t->last < until) {
        uint64_t i = (t->last - t->begin) / t->width, edge = t->begin + (i + 1) * t->width;
        uint64_t stop = edge < until ? edge : until;
        struct timeline_bin *b = &t->bins[i];
        *(kind == KERNEL ? &b->kernel : kind == USER ? &b->user : &b->idle) += stop - t->last;
        t->last = stop;
    }
}

void timeline_add(struct timeline *t, uint64_t now, uint64_t idle, bool is_user, bool is_exit)
{
    if (t->width == 0) {
        t->begin = t->last = now - idle;
        t->width = FIRST_WIDTH;
    }
    if (now - idle > t->last)
        fill(t, now - idle, is_user ? USER : KERNEL);
    if (idle)
        fill(t, now, IDLE);
    if (now - t->begin >= t->width * TIMELINE_BINS)
        fill(t, now, KERNEL);
    t->bins[(now - t->begin) / t->width].exits += is_exit;
}

/* ---- the picture ---- */

static double scale_x(const struct timeline *t)
{
    return (double)WIDTH / (double)(t->last > t->begin ? t->last - t->begin : 1);
}

/* A bin's time of one kind, above what is below it; both in parts of the bin. */
static void print_area(FILE *out, const struct timeline *t, unsigned i, double below, double part, const char *class)
{
    if (part <= 0)
        return;
    double x = LEFT + (double)(i * t->width) * scale_x(t), w = (double)t->width * scale_x(t);
    fprintf(out, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>", class, x, 24 + HEIGHT * (1 - below - part),
            w + 0.3, HEIGHT * part);
}

static void print_bin(FILE *out, const struct timeline *t, unsigned i, uint64_t most_exits)
{
    const struct timeline_bin *b = &t->bins[i];
    double all = (double)(b->kernel + b->user + b->idle);
    if (all > 0) {
        double kernel = (double)b->kernel / all, user = (double)b->user / all, idle = (double)b->idle / all;
        fprintf(out, "<g><title>from %.3f ms: kernel %.0f%%, user %.0f%%, idle %.0f%%; %" PRIu64 " exits</title>",
                (double)(t->begin + i * t->width) / 1e6, 100 * kernel, 100 * user, 100 * idle, b->exits);
        print_area(out, t, i, 0, kernel, "kernel");
        print_area(out, t, i, kernel, user, "user");
        print_area(out, t, i, kernel + user, idle, "idle");
        double h = most_exits ? EXITS_HEIGHT * (double)b->exits / (double)most_exits : 0;
        fprintf(out, "<rect class=\"exits\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/></g>\n",
                LEFT + (double)(i * t->width) * scale_x(t), 24 + HEIGHT + GAP + EXITS_HEIGHT - h, (double)t->width * scale_x(t) + 0.3, h);
    }
}

static void print_axis(FILE *out, const struct timeline *t, unsigned y)
{
    for (unsigned i = 0; i <= 5; i++) {
        double ns = (double)t->begin + (double)(t->last - t->begin) * i / 5;
        double x = LEFT + WIDTH * i / 5.0;
        fprintf(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"24\" y2=\"%u\"/>", x, x, y);
        fprintf(out, "<text x=\"%.1f\" y=\"%u\" text-anchor=\"%s\">%.*f ms</text>\n", x, y + 18, i == 0 ? "start" : i == 5 ? "end" : "middle",
                ns < 1e9 ? 2 : 0, ns / 1e6);
    }
}

void timeline_print(FILE *out, const struct timeline *t)
{
    uint64_t most = 0;
    unsigned bottom = 24 + HEIGHT + GAP + EXITS_HEIGHT;
    for (unsigned i = 0; i < TIMELINE_BINS; i++)
        most = t->bins[i].exits > most ? t->bins[i].exits : most;
    fprintf(out, "<svg id=\"timeline\" role=\"img\" viewBox=\"0 0 %d %u\" width=\"100%%\"><title>virtual time</title>\n", LEFT + WIDTH + 10,
            bottom + 28);
    fputs("<style>#timeline .kernel{fill:#d9793b}#timeline .user{fill:#3b6ea5}#timeline .idle{fill:#e4e4e4}#timeline "
          ".exits{fill:#6a4c93}#timeline .axis{stroke:#bbb;stroke-width:.6}#timeline g:hover rect{opacity:.6}</style>\n",
          out);
    fprintf(out, "<rect class=\"kernel\" x=\"%d\" y=\"2\" width=\"14\" height=\"14\"/><text x=\"%d\" y=\"14\">kernel (CPL 0-2)</text>", LEFT, LEFT + 20);
    fprintf(out, "<rect class=\"user\" x=\"%d\" y=\"2\" width=\"14\" height=\"14\"/><text x=\"%d\" y=\"14\">user (CPL 3)</text>", LEFT + 170, LEFT + 190);
    fprintf(out, "<rect class=\"idle\" x=\"%d\" y=\"2\" width=\"14\" height=\"14\"/><text x=\"%d\" y=\"14\">halted</text>", LEFT + 320, LEFT + 340);
    fprintf(out, "<text x=\"0\" y=\"40\">time</text><text x=\"0\" y=\"%d\">exits</text><text x=\"0\" y=\"%d\">%" PRIu64 "</text>\n",
            24 + HEIGHT + GAP + 10, 24 + HEIGHT + GAP + 28, most);
    for (unsigned i = 0; t->width && i < TIMELINE_BINS; i++)
        print_bin(out, t, i, most);
    print_axis(out, t, bottom);
    fputs("</svg>\n", out);
}
