/* SPDX-License-Identifier: MIT */
/* A difference between the two engines as text: state, instructions, code. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "monitor/disasm.h"
#include "monitor/timeline/parts.h"
#include "monitor/verify.h"

enum { SHOWN_PAGES = 4, SHOWN_BLOCKS = 4, SHOWN_HISTORY = 16, SHOWN_HOST_LINES = 400 };

/* ---- state ---- */

static void print_element(FILE *out, const struct part *part, const struct field *f, uint32_t i, const void *interp,
                          const void *jit)
{
    char name[64];
    uint64_t x = field_get(f, interp, i), y = field_get(f, jit, i);
    snprintf(name, sizeof name, f->count > 1 ? "%s.%s[%u]" : "%s.%s", part->name, f->name, i);
    fprintf(out, "  %-24s %16" PRIx64 "  %16" PRIx64 "%s\n", name, x, y, x == y ? "" : "  <--");
}

/* Of the vCPU that ran, what a person wants to see in any case. */
static bool is_always_shown(const struct field *f)
{
    return strcmp(f->name, "gpr") == 0 || strcmp(f->name, "rip") == 0 || strcmp(f->name, "rflags") == 0 ||
           strcmp(f->name, "ticks") == 0;
}

static void print_part(FILE *out, const struct part *a, const struct part *b, bool has_run)
{
    for (const struct field *f = a->fields; f->name; f++) {
        bool shown = has_run && is_always_shown(f);
        for (uint32_t i = 0; i < f->count; i++)
            if (shown || field_get(f, a->base, i) != field_get(f, b->base, i))
                print_element(out, a, f, i, a->base, b->base);
    }
}

static void print_state(struct verify *v, unsigned vcpu)
{
    struct machine *a = v->pair.interp->m, *b = v->pair.jit->m;
    fprintf(v->out, "\n  %-24s %16s  %16s\n", "state", "interpreter", "translator");
    for (unsigned i = 0; i < part_count(a); i++) {
        struct part x = part_get(a, i), y = part_get(b, i);
        print_part(v->out, &x, &y, i == 1 + 2 * vcpu);
    }
}

static void print_bytes(FILE *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(out, " %02x", p[i]);
}

/* The sixteen bytes around the first that differ. */
static void print_page(FILE *out, paddr gpa, const uint8_t *a, const uint8_t *b)
{
    size_t at = 0;
    while (a[at] == b[at])
        at++;
    at &= ~(size_t)15;
    fprintf(out, "  memory %" PRIx64 "  interpreter", gpa + at);
    print_bytes(out, a + at, 16);
    fprintf(out, "\n  %*s  translator ", (int)(7 + snprintf(NULL, 0, "%" PRIx64, gpa + at)), "");
    print_bytes(out, b + at, 16);
    fprintf(out, "  <--\n");
}

static void print_memory(struct verify *v)
{
    struct physmem *x = v->pair.interp->m->vm->pm, *y = v->pair.jit->m->vm->pm;
    struct physmem_range r;
    uint8_t a[PAGE_SIZE], b[PAGE_SIZE];
    uint64_t pages = 0;
    for (unsigned i = 0; physmem_range(x, i, &r); i++) {
        for (paddr gpa = r.gpa; gpa < r.gpa + r.size; gpa += PAGE_SIZE) {
            if (!physmem_read(x, gpa, a, sizeof a) || !physmem_read(y, gpa, b, sizeof b) ||
                memcmp(a, b, sizeof a) == 0)
                continue;
            if (pages++ < SHOWN_PAGES)
                print_page(v->out, gpa, a, b);
        }
    }
    if (pages > SHOWN_PAGES)
        fprintf(v->out, "  ... and %" PRIu64 " more pages of memory\n", pages - SHOWN_PAGES);
}

/* ---- code ---- */

static void print_insn(struct verify *v, const struct verify_insn *in)
{
    uint8_t code[INSN_MAX_LEN];
    size_t n = sizeof code;
    const struct cpu *cpu = &v->pair.interp->m->vm->vcpus[in->vcpu].vcpu->arch;
    uint64_t base = mode_code(in->mode) == DECODE_64 ? 0 : cpu->seg_base[SEG_CS];
    while (n > 0 && trapline_read_linear(v->pair.interp, in->vcpu, in->rip + base, code, n, NULL) < 0)
        n--;
    disasm_print(v->out, code, n, in->rip, mode_code(in->mode), 1);
}

static void print_history(struct verify *v)
{
    unsigned from = v->history_count > SHOWN_HISTORY ? v->history_count - SHOWN_HISTORY : 0;
    fprintf(v->out, "\nThe instructions before it, by the interpreter:\n");
    for (unsigned i = from; i < v->history_count; i++)
        print_insn(v, &v->history[i]);
}

/* A translated block whose first instruction is number i of the history, and that reaches its end. */
static struct block *translated_from(struct verify *v, unsigned i)
{
    const struct verify_insn *in = &v->history[i];
    struct vm *vm = v->pair.jit->m->vm;
    struct vcpu *vcpu = vm->vcpus[in->vcpu].vcpu;
    paddr pa;
    if (in->vcpu != v->history[v->history_count - 1].vcpu || !mmu_peek(&vcpu->run.mmu, in->rip, &pa))
        return NULL;
    struct block *b = block_lookup(block_cache_table(vm->blocks), pa, in->mode & ~(uint32_t)MODE_EXACT);
    const uint8_t *code;
    size_t size;
    if (!b || v->history_count - i > b->count || !jit_code(b, &code, &size))
        return NULL;
    for (unsigned k = i; k < v->history_count; k++)
        if (v->history[k].rip != in->rip + b->rec[k - i].off)
            return NULL;
    return b;
}

static void print_block(struct verify *v, const struct block *b, const struct verify_insn *first)
{
    const uint8_t *code;
    size_t size;
    uint8_t guest[BLOCK_MAX_BYTES];
    fprintf(v->out, "\nA block, %u instructions at physical address %" PRIx64 ":\n", b->count, b->pa);
    if (physmem_read(v->pair.jit->m->vm->pm, b->pa, guest, b->bytes))
        disasm_print(v->out, guest, b->bytes, first->rip, mode_code(b->mode), b->count);
    if (!jit_code(b, &code, &size))
        return;
    fprintf(v->out, "\nIts translation, %zu bytes (cpu/jit/x86_64/jit_priv.h says which register is which):\n", size);
    disasm_print(v->out, code, size, (uintptr_t)code, DECODE_64, SHOWN_HOST_LINES);
}

/* Each that ends there, the longest first: where code was entered is not recorded. */
static void print_code(struct verify *v)
{
    unsigned shown = 0;
    for (unsigned i = 0; i < v->history_count && shown < SHOWN_BLOCKS; i++) {
        struct block *b = translated_from(v, i);
        if (b) {
            print_block(v, b, &v->history[i]);
            shown++;
        }
    }
    if (!shown)
        fprintf(v->out,
                "\nNo translated block ends there now: it was dropped, or a handler or device is what differs.\n");
}

void verify_report(struct verify *v)
{
    const struct verify_pair *p = &v->pair;
    unsigned vcpu = v->history_count ? v->history[v->history_count - 1].vcpu : 0;
    fprintf(v->out, "trapline: interpreter and translator differ after tick %" PRIu64 " (they agree after tick %" PRIu64 ")\n",
            v->bad, v->good);
    if (p->stop[0].reason != p->stop[1].reason)
        fprintf(v->out, "The interpreter stopped because %s, the translator because %s.\n",
                trapline_reason_text(p->stop[0].reason), trapline_reason_text(p->stop[1].reason));
    print_state(v, vcpu);
    print_memory(v);
    print_history(v);
    print_code(v);
    fflush(v->out);
}
