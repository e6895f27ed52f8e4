/* SPDX-License-Identifier: MIT */
/* A witness for people: the instruction, both states, what came of each, and in what they differ.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "monitor/classify/witness.h"
#include "monitor/disasm.h"

enum { MEMORY_LINES = 12 };

struct half {
    struct cpu before;  /* the state */
    struct outcome out; /* of it */
};

static void print_registers(FILE *out, const struct cpu *cpu, bool is_64)
{
    static const char names[16][4] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                      "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
    unsigned n = is_64 ? 16 : 8;
    for (unsigned r = 0; r < n; r++)
        fprintf(out, "%s%-3s %*" PRIx64 "%s", r % 4 ? "  " : "  ", names[r] + (is_64 ? 0 : 0),
                is_64 ? 16 : 8, cpu->gpr[r], r % 4 == 3 ? "\n" : "");
    fprintf(out,
            "  RFLAGS %06" PRIx64 "  CR0 %08" PRIx64 "  CR3 %06" PRIx64 "  CR4 %06" PRIx64 "\n",
            cpu->rflags, cpu->cr0, cpu->cr3, cpu->cr4);
}

/* Where the states differ before the instruction. */
static void print_difference(FILE *out, const struct cpu *a, const struct cpu *b)
{
    char name[48];
    for (unsigned i = 0; i < place_count; i++) {
        for (unsigned n = 0; n < places[i].count; n++) {
            uint64_t x = place_value(&places[i], a, n), y = place_value(&places[i], b, n);
            if (x != y)
                fprintf(out, "    %-16s %" PRIx64 " | %" PRIx64 "\n",
                        place_name(&places[i], n, name, sizeof(name)), x, y);
        }
    }
}

static void print_fault(FILE *out, const struct fault *f)
{
    static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
                                        "#NM", "#DF", "9",   "#TS", "#NP", "#SS", "#GP",
                                        "#PF", "15",  "#MF", "#AC", "#MC", "#XM"};
    fprintf(out, "  traps: %s", f->vector < ARRAY_SIZE(names) ? names[f->vector] : "?");
    if (f->has_error_code)
        fprintf(out, "(%" PRIx32 ")", (uint32_t)f->error_code);
    fputc('\n', out);
}

static void print_changes(FILE *out, const struct half *h)
{
    char name[48];
    for (unsigned i = 0; i < place_count; i++) {
        if (places[i].element == ELEMENT_UNSEEN)
            continue;
        for (unsigned n = 0; n < places[i].count; n++) {
            uint64_t was = place_value(&places[i], &h->before, n),
                     is = place_value(&places[i], &h->out.cpu, n);
            if (was != is)
                fprintf(out, "    %-16s %" PRIx64 " -> %" PRIx64 "\n",
                        place_name(&places[i], n, name, sizeof(name)), was, is);
        }
    }
    for (unsigned i = 0; i < h->out.count && i < MEMORY_LINES; i++)
        fprintf(out, "    memory %-9x -> %02x\n", h->out.changes[i].at, h->out.changes[i].is);
    if (h->out.count > MEMORY_LINES)
        fprintf(out, "    and %u bytes of memory more\n", h->out.count - MEMORY_LINES);
    if (h->out.req.ports)
        fprintf(out, "    %" PRIu32 " accesses to ports\n", h->out.req.ports);
}

static void print_half(FILE *out, const char *title, const struct half *h)
{
    fprintf(out, "%s, CPL %u:\n", title, h->before.cpl);
    if (h->out.has_fault)
        print_fault(out, &h->out.fault);
    else
        print_changes(out, h);
}

static void print_verdict(FILE *out, const struct witness *w, const struct half *a,
                          const struct half *b)
{
    char where[128] = "";
    if (a->out.has_fault != b->out.has_fault)
        fprintf(out, "One traps, the other does not.\n");
    else if (a->out.has_fault)
        fprintf(out, "Both trap.\n");
    else if (outcomes_differ(&a->before, &a->out, &b->before, &b->out, w->element, where,
                             sizeof(where)))
        fprintf(out, "They differ without a trap: %s\n", where);
    else
        fprintf(out, "They do the same.\n");
}

static void print_head(FILE *out, const struct witness *w, const struct seeded *s)
{
    const struct insn_desc *d = insn_row(w->row);
    fprintf(out, "%s %s %s, %s on %s\n", d->name, d->encoding, d->operands,
            class_mode_name(w->mode), w->cpu);
    disasm_print(out, s->in.bytes, s->in.len, s->cpu.rip, class_mode_code(w->mode), 1);
    fprintf(out, "\nThe state, at CPL 0:\n");
    print_registers(out, &s->cpu, w->mode == CLASS_LONG64);
}

static void print_pair(FILE *out, struct world *world, const struct witness *w,
                       const struct seeded *s)
{
    static const char *const titles[] = {"as it is", "with the other value"};
    bool by_level = w->element == ELEMENT_CPL;
    struct half a, b;
    experiment_step(world, s, by_level ? AT_0 : w->level, ELEMENT_COUNT, &a.before, &a.out);
    if (w->element == ELEMENT_COUNT) {
        fputc('\n', out);
        print_half(out, "It runs", &a);
        return;
    }
    if (!experiment_step(world, s, by_level ? AT_3 : w->level,
                         by_level ? ELEMENT_COUNT : w->element, &b.before, &b.out))
        return;
    fprintf(out, "\nTwo states that differ in %s alone (%s):\n", elements[w->element].name,
            elements[w->element].doc);
    print_difference(out, &a.before, &b.before);
    print_half(out, titles[0], &a);
    print_half(out, titles[1], &b);
    fputc('\n', out);
    print_verdict(out, w, &a, &b);
}

int witness_print(const struct witness *w, FILE *out, struct err *err)
{
    struct seeded s;
    struct world *world = world_create(&w->model, w->mode);
    if (!world)
        return err_set(err, EINVAL, "%s has no mode %s", w->cpu, class_mode_name(w->mode));
    bool found = seed_state(world, w->row, w->state, w->cr4_set, &s);
    if (found) {
        print_head(out, w, &s);
        print_pair(out, world, w, &s);
    }
    world_destroy(world);
    return found ? 0 : err_set(err, EINVAL, "there is no state %u of that form", w->state);
}
