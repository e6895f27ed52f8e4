/* SPDX-License-Identifier: MIT */
/* What the translator did: `-d jit`. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "monitor/trapline_priv.h"

enum { SHOWN = 24 };

/* Handler calls of one op and one kind. */
struct row {
    uint64_t calls;     /* so many */
    uint16_t op;        /* enum op */
    bool is_slow_path;  /* of an instruction that is lowered */
};

static int most_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->calls != y->calls)
        return x->calls < y->calls ? 1 : -1;
    return x->op != y->op ? (x->op > y->op ? 1 : -1) : x->is_slow_path - y->is_slow_path;
}

int trapline_count_exits(struct trapline_machine *t, const char *instruction, struct trapline_exit_count *out)
{
    struct vm *vm = t->m->vm;
    struct jit_calls *calls = calloc(OP_COUNT, sizeof(*calls));
    *out = (struct trapline_exit_count){0};
    if (!calls)
        return -ENOMEM;
    block_cache_fold_all(vm->blocks);
    if (t->m->jit)
        jit_count_calls(t->m->jit, calls);
    for (unsigned row = 0; row < INSN_ROWS; row++)
        if (strcmp(insn_row(row)->name, instruction) == 0)
            out->executed += vm->exits.by_row[row];
    for (unsigned op = 0; op < OP_COUNT; op++)
        if (strcmp(op_name(op), instruction) == 0)
            out->called += calls[op].always + calls[op].rarely;
    if (strcmp(instruction, "MMIO") == 0)
        out->executed = vm->exits.mmio_reads + vm->exits.mmio_writes;
    free(calls);
    return 0;
}

static double per_thousand(uint64_t n, uint64_t ticks)
{
    return ticks ? 1000.0 * (double)n / (double)ticks : 0;
}

static void print_calls(const struct jit *jit, uint64_t ticks, FILE *out)
{
    static const char *const why[] = {"no lowering", "slow path"};
    struct jit_calls *calls = calloc(OP_COUNT, sizeof(*calls));
    struct row *rows = calloc((size_t)OP_COUNT * 2, sizeof(*rows));
    uint64_t total = 0;
    if (calls && rows) {
        jit_count_calls(jit, calls);
        for (unsigned op = 0; op < OP_COUNT; op++) {
            rows[2 * op] = (struct row){calls[op].always, (uint16_t)op, false};
            rows[2 * op + 1] = (struct row){calls[op].rarely, (uint16_t)op, true};
            total += calls[op].always + calls[op].rarely;
        }
        qsort(rows, (size_t)OP_COUNT * 2, sizeof(*rows), most_first);
        fprintf(out, "handler calls: %" PRIu64 ", %.3f per thousand instructions\n", total, per_thousand(total, ticks));
        for (unsigned i = 0; i < SHOWN && rows[i].calls > 0; i++)
            fprintf(out, "  %-16s %12" PRIu64 " %9.3f  %s\n", op_name(rows[i].op), rows[i].calls,
                    per_thousand(rows[i].calls, ticks), why[rows[i].is_slow_path]);
    }
    free(rows);
    free(calls);
}

static void print_code(const struct jit_stats *s, const struct block_stats *b, FILE *out)
{
    fprintf(out, "blocks: %" PRIu64 " decoded, %" PRIu64 " dropped, %" PRIu64 " live; %" PRIu64 " times one went on after it was written\n",
            b->built, b->dropped, b->live, b->picked_up);
    fprintf(out, "translated: %" PRIu64 " blocks, %" PRIu64 " instructions, %.1f %% of them without a handler\n", s->translated,
            s->insns, s->insns ? 100.0 * (double)s->lowered / (double)s->insns : 0);
    fprintf(out, "code cache: %" PRIu64 " of %" PRIu64 " KiB in use, evicted %" PRIu64 " times\n", s->code_bytes >> 10,
            s->cache_bytes >> 10, s->flushes);
    fprintf(out, "regions: %" PRIu64 " of %" PRIu64 " hot blocks, of %" PRIu64 " parts, %" PRIu64 " instructions, %" PRIu64 " loops; %" PRIu64 " killed; the guest was in them %" PRIu64 " of %" PRIu64 " times\n",
            s->regions, s->ways, s->parts, s->region_insns, s->loops, s->killed, s->looks_in_regions, s->looks);
    fprintf(out, "exits: %" PRIu64 " linked, %" PRIu64 " taken without a link, %" PRIu64 " computed ones looked up\n", s->links,
            s->unlinked, s->indirect);
}

static void print_mmu(const struct vm *vm, uint64_t ticks, FILE *out)
{
    struct mmu_counters sum = {0};
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct mmu_counters *c = mmu_counters(&vm->vcpus[i].vcpu->run.mmu);
        sum.fills_read += c->fills_read + c->fills_write + c->fills_fetch;
        sum.walks += c->walks;
        sum.space_switches += c->space_switches;
        sum.space_evictions += c->space_evictions;
    }
    uint64_t fills = sum.fills_read, traced = mmu_vm_counters(vm->mmu)->traced_writes;
    fprintf(out, "TLB misses: %" PRIu64 " filled (%.3f per thousand instructions), %" PRIu64 " walks; %" PRIu64
                 " traced writes; %" PRIu64 " address space switches, %" PRIu64 " evictions\n", fills,
            per_thousand(fills, ticks), sum.walks, traced, sum.space_switches, sum.space_evictions);
}

void trapline_print_jit(struct trapline_machine *t, FILE *out)
{
    const struct machine *m = t->m;
    struct block_stats blocks = block_cache_stats(m->vm->blocks);
    if (!m->jit) {
        fprintf(out, "translator: off\n");
        print_mmu(m->vm, m->s.ticks, out);
        return;
    }
    struct jit_stats s = jit_stats(m->jit);
    print_code(&s, &blocks, out);
    print_mmu(m->vm, m->s.ticks, out);
    print_calls(m->jit, m->s.ticks, out);
}
