/* SPDX-License-Identifier: MIT */
#include "frontends/flame.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/html.h"
#include "frontends/trace_format.h"

enum { WIDTH = 1200, ROW = 19, MARGIN = 8, HEAD = 34, LETTER = 7, LEVELS = 128 };

/* A tree with the sums of its branches. */
struct picture {
    FILE *out;
    const struct stacks *s;
    uint64_t *total; /* by node */
    const char *unit;
    unsigned levels; /* drawn */
    double scale;    /* of a unit of weight */
};

/* Children stand behind their parents. NULL: no memory. */
static uint64_t *sum_up(const struct stacks *s)
{
    unsigned count = 0;
    while (stacks_node(s, count))
        count++;
    uint64_t *total = calloc(count, sizeof(*total));
    for (unsigned i = count; total && i-- > 0;) {
        const struct stack_node *n = stacks_node(s, i);
        total[i] += n->self;
        if (i > 0)
            total[n->parent] += total[i];
    }
    return total;
}

static bool is_drawn(const struct picture *p, unsigned node)
{
    return (double)p->total[node] * p->scale >= 0.4;
}

static unsigned depth_of(const struct picture *p, unsigned node)
{
    unsigned depth = 0;
    for (; node; node = stacks_node(p->s, node)->parent)
        depth++;
    return depth;
}

static unsigned count_levels(const struct picture *p)
{
    unsigned levels = 1;
    for (unsigned i = 0; stacks_node(p->s, i); i++) {
        unsigned depth = is_drawn(p, i) ? depth_of(p, i) + 1 : 0;
        levels = depth > levels ? depth : levels;
    }
    return levels < LEVELS ? levels : LEVELS;
}

/* Warm colours for the kernel, cool ones for programs; neighbours differ. */
static const char *colour(const char *name, bool is_user)
{
    static const char *const warm[] = {"#f4b183", "#f6c08f", "#f2a56f", "#f8cfa6"};
    static const char *const cool[] = {"#9dc3e6", "#aed0ec", "#8db8e0", "#c0dbf1"};
    unsigned h = 0;
    for (; *name; name++)
        h = h * 31 + (unsigned char)*name;
    return (is_user ? cool : warm)[h % 4];
}

static void draw_box(const struct picture *p, unsigned node, unsigned depth, double x, bool is_user)
{
    char name[160], label[160];
    double width = (double)p->total[node] * p->scale;
    unsigned y = HEAD + (p->levels - 1 - depth) * ROW;
    stacks_name(p->s, node, name, sizeof(name));
    fprintf(p->out, "<g><title>");
    html_text(p->out, name);
    fprintf(p->out, ": %" PRIu64 " %s, %.2f%%</title><rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>",
            p->total[node], p->unit, 100.0 * (double)p->total[node] / (double)p->total[0], x, y, width, ROW - 1, colour(name, is_user));
    unsigned letters = width > 2 * LETTER ? (unsigned)((width - 6) / LETTER) : 0;
    if (letters >= 2 && letters < sizeof(label)) {
        snprintf(label, letters + 1, "%s", name);
        if (strlen(name) > letters)
            memcpy(label + letters - 2, "..", 3);
        fprintf(p->out, "<text x=\"%.1f\" y=\"%u\">", x + 3, y + 14);
        html_text(p->out, label);
        fputs("</text>", p->out);
    } else if (letters >= sizeof(label)) {
        fprintf(p->out, "<text x=\"%.1f\" y=\"%u\">", x + 3, y + 14);
        html_text(p->out, name);
        fputs("</text>", p->out);
    }
    fputs("</g>\n", p->out);
}

/* A node and what it called, from x on. Its depth is bounded by `levels`. */
static void draw(const struct picture *p, unsigned node, unsigned depth, double x, bool is_user)
{
    char name[16];
    if (!is_drawn(p, node) || depth >= p->levels)
        return;
    if (depth == 1) {
        stacks_name(p->s, node, name, sizeof(name));
        is_user = strcmp(name, "user") == 0;
    }
    draw_box(p, node, depth, x, is_user);
    for (unsigned c = stacks_node(p->s, node)->child; c; c = stacks_node(p->s, c)->sibling) {
        draw(p, c, depth + 1, x, is_user);
        x += (double)p->total[c] * p->scale;
    }
}

void flame_print(FILE *out, const struct stacks *s, const char *unit, bool is_document)
{
    struct picture p = {.out = out, .s = s, .total = sum_up(s), .unit = unit};
    if (!p.total)
        return;
    p.scale = p.total[0] ? WIDTH / (double)p.total[0] : 0;
    p.levels = count_levels(&p);
    unsigned height = HEAD + p.levels * ROW + MARGIN;
    if (is_document)
        fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
    fprintf(out, "<svg id=\"flame\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"-%d 0 %d %u\" width=\"100%%\">\n", MARGIN,
            WIDTH + 2 * MARGIN, height);
    fputs("<style>#flame text{font:12px 'DejaVu Sans Mono',Consolas,monospace;fill:#222}#flame .head{font:bold 15px 'DejaVu "
          "Sans',Verdana,sans-serif}#flame g:hover rect{stroke:#222}</style>\n",
          out);
    fprintf(out, "<rect x=\"-%d\" y=\"0\" width=\"%d\" height=\"%u\" fill=\"#fff\"/>\n", MARGIN, WIDTH + 2 * MARGIN, height);
    fprintf(out, "<text class=\"head\" x=\"0\" y=\"20\">%" PRIu64 " %s; a function stands on its caller</text>\n", p.total[0], unit);
    draw(&p, 0, 0, 0, false);
    fputs("</svg>\n", out);
    free(p.total);
}

/* ---- folded ---- */

static void print_frame(FILE *out, const struct stacks *s, unsigned node)
{
    char name[160];
    stacks_name(s, node, name, sizeof(name));
    for (const char *c = name; *c; c++)
        fputc(*c == ';' ? ':' : (unsigned char)*c <= ' ' ? '_' : *c, out);
}

void flame_print_folded(FILE *out, const struct stacks *s)
{
    const struct stack_node *n;
    for (unsigned i = 1; (n = stacks_node(s, i)); i++) {
        unsigned path[LEVELS], depth = 0;
        if (!n->self)
            continue;
        for (unsigned at = i; at && depth < LEVELS; at = stacks_node(s, at)->parent)
            path[depth++] = at;
        while (depth-- > 0) {
            print_frame(out, s, path[depth]);
            if (depth)
                fputc(';', out);
        }
        fprintf(out, " %" PRIu64 "\n", n->self);
    }
}

/* ---- the formats ---- */

struct state {
    struct stacks *stacks;
};

static void begin(struct trace_output *o)
{
    struct state *st = o->state;
    st->stacks = stacks_create(o->context->symbols, o->context->options->weight);
    o->is_full = !st->stacks;
}

static void step(struct trace_output *o, const struct trapline_step *s, bool is_shown)
{
    struct state *st = o->state;
    if (st->stacks)
        stacks_step(st->stacks, s, is_shown);
}

static void end_svg(struct trace_output *o)
{
    struct state *st = o->state;
    if (st->stacks)
        flame_print(o->out, st->stacks, o->context->options->weight == WEIGHT_EXITS ? "exits" : "instructions", true);
}

static void end_folded(struct trace_output *o)
{
    struct state *st = o->state;
    if (st->stacks)
        flame_print_folded(o->out, st->stacks);
}

static void dispose(struct trace_output *o)
{
    stacks_destroy(((struct state *)o->state)->stacks);
}

const struct trace_format trace_folded = {
    .name = "folded",
    .suffix = ".folded",
    .level = TRAPLINE_LEVEL_BLOCKS,
    .needs_calls = true,
    .state_size = sizeof(struct state),
    .begin = begin,
    .step = step,
    .end = end_folded,
    .dispose = dispose,
};

const struct trace_format trace_svg = {
    .name = "svg",
    .suffix = ".svg",
    .level = TRAPLINE_LEVEL_BLOCKS,
    .needs_calls = true,
    .state_size = sizeof(struct state),
    .begin = begin,
    .step = step,
    .end = end_svg,
    .dispose = dispose,
};
