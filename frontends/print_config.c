/* SPDX-License-Identifier: MIT */
/* --print-config: the machine that the options describe. */
#include <inttypes.h>

#include "frontends/run.h"

static void print_channel(const char *name, const struct channel *c, FILE *out)
{
    switch (c->kind) {
    case CHANNEL_NULL:
        fprintf(out, "%s null\n", name);
        break;
    case CHANNEL_STDIO:
        fprintf(out, "%s %s\n", name, c->has_keys ? "mon:stdio" : "stdio");
        break;
    case CHANNEL_FILE:
        fprintf(out, "%s file:%s\n", name, c->path);
        break;
    case CHANNEL_UNIX:
        fprintf(out, "%s unix:%s,server%s\n", name, c->path, c->waits ? "" : ",nowait");
        break;
    default:
        fprintf(out, "%s none\n", name);
        break;
    }
}

static void print_text(const char *name, const char *value, FILE *out)
{
    if (value)
        fprintf(out, "%s %s\n", name, value);
}

static void print_number(const char *name, uint64_t value, FILE *out)
{
    fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void print_guest(const struct trapline_config *c, FILE *out)
{
    print_text("kernel", c->kernel.path, out);
    print_text("initrd", c->initrd, out);
    print_text("append", c->append, out);
    print_text("bios", c->bios.path, out);
    fprintf(out, "own-decompressor %s\n", c->own_decompressor ? "on" : "off");
}

static void print_scheduling(const struct trapline_scheduling *s, FILE *out)
{
    static const char *const pauses[] = {"always", "never", "loop"};
    print_number("quantum", s->quantum ? s->quantum : TRAPLINE_QUANTUM, out);
    print_text("pause", pauses[s->pause], out);
    if (s->pause_window)
        print_number("pause-window", s->pause_window, out);
    if (s->pause_gap)
        print_number("pause-gap", s->pause_gap, out);
}

void print_config(const struct options *o, FILE *out)
{
    static const char *const mmu_names[] = {"direct", "shadow", "nested"};
    static const char *const virt_names[] = {
        [TRAPLINE_POLICY_BT] = "bt", [TRAPLINE_POLICY_PV] = "pv", [TRAPLINE_POLICY_CLASSIC] = "classic"};
    const struct trapline_config *c = &o->config;
    print_text("name", o->name, out);
    print_text("machine", c->board, out);
    print_text("cpu", c->cpu ? c->cpu : TRAPLINE_DEFAULT_CPU, out);
    print_number("smp", c->vcpus, out);
    fprintf(out, "memory %" PRIu64 "M\n", c->memory >> 20);
    bool is_classic = c->virt.policy == TRAPLINE_POLICY_CLASSIC;
    print_text("virt", virt_names[c->virt.policy], out);
    if (is_classic)
        fprintf(out, "virt-ring %u\nvirt-faults %s\n", c->virt.ring ? c->virt.ring : 1, c->virt.emulates_faults ? "emulate" : "reflect");
    if (c->virt.time_step)
        print_number("time-step", c->virt.time_step, out);
    if (c->virt.time_reads)
        print_number("time-reads", c->virt.time_reads, out);
    for (unsigned i = 0; trapline_pv_feature(i); i++)
        if (c->virt.revoke >> i & 1)
            fprintf(out, "revoke %s@%" PRIu64 "\n", trapline_pv_feature(i), c->virt.revoke_at);
    print_scheduling(&c->scheduling, out);
    print_text("mmu", mmu_names[is_classic && c->paging.mmu == TRAPLINE_MMU_DIRECT ? TRAPLINE_MMU_SHADOW : c->paging.mmu], out);
    print_number("rtc", c->rtc_base, out);
    print_number("seed", c->seed, out);
    print_number("ns-per-tick", c->ns_per_tick, out);
    fprintf(out, "reboot %s\n", c->no_reboot ? "ends" : "restarts");
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "com%u", i + 1);
        print_channel(name, &o->serial[i], out);
    }
    print_channel("debugcon", &o->debugcon, out);
    if (c->debug_exit_size)
        fprintf(out, "isa-debug-exit iobase=%#x iosize=%u\n", c->debug_exit_base,
                c->debug_exit_size);
    if (c->has_testdev)
        fprintf(out, "pc-testdev\n");
    print_guest(c, out);
    if (c->max_ticks != UINT64_MAX)
        print_number("max-ticks", c->max_ticks, out);
    if (c->drop_caches)
        print_number("drop-caches", c->drop_caches, out);
    if (o->hash_every)
        print_number("hash-every", o->hash_every, out);
    print_text("load", o->load_path, out);
    print_text("save", o->save_path, out);
}
