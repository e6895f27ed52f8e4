/* SPDX-License-Identifier: MIT */
/* libtrapline's public face: making a machine. The rest is in trapline_run.c, _state.c and
 * _inside.c. */
#include "monitor/trapline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "devices/uart.h"
#include "monitor/boards/pc.h"
#include "monitor/scheduler.h"
#include "monitor/trace/tracer.h"
#include "monitor/trapline_priv.h"

#define DEFAULT_MEMORY (128 * MiB)
/* Machine memory beside the guest's RAM: firmware, and the rounding of every range to extents. */
#define SPARE_MEMORY (32 * MiB)

unsigned trapline_api(void)
{
    return TRAPLINE_API;
}

const char *trapline_version(void)
{
    return TRAPLINE_VERSION;
}

int trapline_fail(struct trapline_error *out, const struct err *err, int rc)
{
    if (out && rc < 0) {
        _Static_assert(sizeof(out->text) == sizeof(err->text), "one is a copy of the other");
        _Static_assert(sizeof(out->hint) == sizeof(err->hint), "one is a copy of the other");
        memcpy(out->text, err->text, sizeof(out->text));
        memcpy(out->hint, err->hint, sizeof(out->hint));
    }
    return rc;
}

struct monitor_vcpu *trapline_vcpu(const struct trapline_machine *t, unsigned i,
                                   struct trapline_error *error)
{
    struct vm *vm = t->m->vm;
    if (i < vm->vcpu_count)
        return &vm->vcpus[i];
    struct err err;
    err_set(&err, EINVAL, "there is no vCPU %u: the machine has %u", i, vm->vcpu_count);
    trapline_fail(error, &err, -EINVAL);
    return NULL;
}

/* ---- serial ports ---- */

static unsigned serial_room(void *opaque)
{
    return uart_can_receive(opaque);
}

static void serial_put(void *opaque, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        uart_receive(opaque, p[i]);
}

static int connect_serial(struct trapline_machine *t, unsigned n, struct err *err)
{
    const struct trapline_serial *s = &t->config.serial[n];
    struct uart *uart = pc_uart(t->m->vm, n);
    t->source[n] = -1;
    if (!uart || !s->is_present)
        return 0;
    const struct door_source source = {
        .fd = s->fd,
        .room = serial_room,
        .put = serial_put,
        .opaque = uart,
        .filter = s->filter,
        .filter_opaque = s->filter_opaque,
        .at_eof = s->fd < 0,
        .stays_open = s->stays_open,
    };
    t->source[n] = door_add(&t->m->door, &source);
    return t->source[n] < 0 ? err_set(err, ENOSPC, "too many sources of input") : 0;
}

int trapline_serial_connect(struct trapline_machine *t, unsigned n, int fd)
{
    if (n >= TRAPLINE_SERIALS || t->source[n] < 0)
        return -ENODEV;
    struct door_source *s = &t->m->door.sources[t->source[n]];
    s->fd = fd;
    s->at_eof = fd < 0;
    return 0;
}

/* Bytes that wake a sleeping run carry no meaning. */
static unsigned no_room(void *opaque)
{
    (void)opaque;
    return 0;
}

static size_t swallow(void *opaque, uint8_t *p, size_t n)
{
    (void)opaque;
    (void)p;
    (void)n;
    return 0;
}

static int connect_door(struct trapline_machine *t, struct err *err)
{
    const struct trapline_config *config = &t->config;
    struct host_input *door = &t->m->door;
    int rc = 0;
    door->is_interactive = config->is_interactive;
    door->interrupted = config->interrupted;
    door->flush = config->flush;
    door->flush_opaque = config->flush_opaque;
    for (unsigned n = 0; n < TRAPLINE_SERIALS; n++) {
        t->source[n] = -1;
        if (rc == 0 && t->m->vm->board)
            rc = connect_serial(t, n, err);
    }
    if (rc == 0 && config->wake_fd >= 0) {
        const struct door_source source = {
            .fd = config->wake_fd, .room = no_room, .filter = swallow, .is_wake = true};
        rc = door_add(door, &source) < 0 ? err_set(err, ENOSPC, "too many sources of input") : 0;
    }
    return rc;
}

/* ---- boards ---- */

static int create_pc(struct trapline_machine *t, struct err *err)
{
    const struct trapline_config *config = &t->config;
    struct pc_config pc = {
        .memory = config->memory,
        .model = &t->model,
        .rtc_base = config->rtc_base,
        .debug_exit_base = config->debug_exit_base,
        .debug_exit_size = config->debug_exit_size,
        .has_testdev = config->has_testdev,
        .debugcon = config->debugcon,
        .debugcon_opaque = config->debugcon_opaque,
    };
    int rc = trapline_read_files(t, &pc.boot, err);
    if (rc < 0)
        return rc;
    if (!t->kernel.data && !t->bios.data) {
        err_set(err, EINVAL, "there is nothing to run");
        err_hint(err, "give -kernel FILE or -bios FILE");
        return -EINVAL;
    }
    pc.boot.is_once = config->no_reboot;
    pc.bios = t->bios.data;
    pc.bios_size = t->bios.size;
    for (unsigned n = 0; n < TRAPLINE_SERIALS; n++) {
        if (!config->serial[n].is_present)
            continue;
        pc.serial_tx[n] = config->serial[n].put;
        pc.serial_opaque[n] = config->serial[n].put_opaque;
        pc.uarts = n + 1;
    }
    if (config->no_reboot)
        trapline_expect_recycling(t);
    rc = pc_create(t->m, &pc, err);
    if (rc == 0 && config->no_reboot)
        trapline_recycle_files(t);
    return rc;
}

static int create_board(struct trapline_machine *t, struct err *err)
{
    if (strcmp(t->config.board, "none") == 0)
        return 0;
    if (strcmp(t->config.board, "pc") == 0)
        return create_pc(t, err);
    err_set(err, EINVAL, "there is no machine '%s'", t->config.board);
    err_hint(err, "-machine takes: pc");
    return -EINVAL;
}

/* ---- machines ---- */

/* What the caller's version of the struct has; the defaults for the rest. */
static int read_config(struct trapline_config *full, const struct trapline_config *given,
                       struct err *err)
{
    const struct trapline_config defaults = TRAPLINE_CONFIG_INIT;
    *full = defaults;
    memcpy(full, given, given->size < sizeof(*full) ? given->size : sizeof(*full));
    full->size = sizeof(*full);
    if (full->memory == 0)
        full->memory = DEFAULT_MEMORY;
    if (full->virt.policy == TRAPLINE_POLICY_CLASSIC && full->paging.mmu == TRAPLINE_MMU_DIRECT)
        full->paging.mmu = TRAPLINE_MMU_SHADOW; /* it implies that */
    if (full->memory > UINT64_MAX - SPARE_MEMORY || full->ns_per_tick == 0 || !full->board)
        return err_set(err, EINVAL, "the configuration of the machine is not filled in");
    return 0;
}

/* ---- paging ---- */

#define DEFAULT_MMU_MEMORY (16 * MiB)
#define DEFAULT_UNSYNC 32

_Static_assert(TRAPLINE_MMU_MEMORY_MIN == MMU_FRAMES_MIN * PAGE_SIZE, "the public limit is the inside's");

static unsigned log2_of(uint64_t v)
{
    unsigned n = 0;
    while (v >> n > 1)
        n++;
    return n;
}

static struct mmu_vm_config mmu_config(const struct trapline_paging *p)
{
    static const enum mmu_kind kind[] = {MMU_DIRECT, MMU_SHADOW, MMU_NESTED};
    static const enum mmu_format format[] = {MMU_LEVEL4, MMU_PAE, MMU_LEGACY};
    unsigned shift = p->nested_page ? log2_of(p->nested_page) : 21;
    if (p->nested_format == TRAPLINE_NESTED_LEGACY && shift > PAGE_SHIFT)
        shift = 22; /* its large pages have 4 MiB */
    return (struct mmu_vm_config){
        .kind = kind[p->mmu],
        .frames.count = (unsigned)((p->memory ? p->memory : DEFAULT_MMU_MEMORY) / PAGE_SIZE),
        .unsync_writes = p->has_unsync ? (unsigned)p->unsync : DEFAULT_UNSYNC,
        .nested_format = format[p->nested_format],
        .nested_page_shift = shift,
        .is_untagged = p->is_untagged,
        .no_walk_caches = p->no_walk_caches,
        .is_pdpte_in_memory = p->is_pdpte_in_memory,
    };
}

/* PAE and legacy tables translate addresses of 32 bits, the legacy ones to addresses of 32 bits. */
static int check_reach(const struct trapline_machine *t, struct err *err)
{
    const struct trapline_paging *p = &t->config.paging;
    struct physmem_range r;
    bool is_narrow = p->mmu == TRAPLINE_MMU_NESTED && p->nested_format != TRAPLINE_NESTED_LONG;
    bool is_far = p->nested_format == TRAPLINE_NESTED_LEGACY && t->m->memory.size > 4 * GiB;
    for (unsigned i = 0; physmem_range(t->m->vm->pm, i, &r); i++)
        is_far |= r.gpa + r.size > 4 * GiB;
    if (!is_narrow || !is_far)
        return 0;
    err_set(err, EINVAL, "nested tables in this format do not reach memory above 4 GiB");
    err_hint(err, "-mmu nested,format=long, or less memory: -m 2G");
    return -EINVAL;
}

/* ---- policy ---- */

static struct policy_config policy_config(const struct trapline_virt *v)
{
    static const enum policy policy[] = {[TRAPLINE_POLICY_BT] = POLICY_BT,
                                         [TRAPLINE_POLICY_PV] = POLICY_PV,
                                         [TRAPLINE_POLICY_CLASSIC] = POLICY_CLASSIC};
    return (struct policy_config){.policy = policy[v->policy],
                                  .ring = v->ring ? (uint8_t)v->ring : 1,
                                  .emulates_faults = v->emulates_faults,
                                  .pv = {.time_step = v->time_step,
                                         .time_reads = v->time_reads,
                                         .revoke = v->revoke,
                                         .revoke_at = v->revoke_at}};
}

/* The monitor of classic has shadow tables: a guest that is kept down by rings is kept out by them. */
static int check_classic(const struct trapline_machine *t, struct err *err)
{
    const struct trapline_config *c = &t->config;
    if (c->virt.ring != 0 && c->virt.ring != 1 && c->virt.ring != 3) {
        err_set(err, EINVAL, "-virt classic cannot run the guest's ring 0 in ring %u", c->virt.ring);
        err_hint(err, "-virt classic,ring=1 or ring=3");
        return -EINVAL;
    }
    if (c->paging.mmu == TRAPLINE_MMU_NESTED) {
        err_set(err, EINVAL, "-virt classic has shadow page tables, not nested ones");
        err_hint(err, "leave -mmu nested out, or -virt bt");
        return -EINVAL;
    }
    return 0;
}

/* A guest finds hypercalls by CPUID; where it can't it must not be promised them. */
static int check_policy(const struct trapline_machine *t, struct err *err)
{
    if (t->config.virt.policy == TRAPLINE_POLICY_CLASSIC)
        return check_classic(t, err);
    if (t->config.virt.policy != TRAPLINE_POLICY_PV || cpu_model_has(&t->model, CPUID_1_ECX, 31))
        return 0;
    err_set(err, EINVAL, "-virt pv is no use to a guest on -cpu %s, whose CPUID does not tell of a hypervisor", t->model.name);
    err_hint(err, "-cpu %s,+hypervisor, or -virt bt", t->model.name);
    return -EINVAL;
}

/* ---- scheduling ---- */

#define DEFAULT_PAUSE_GAP 128 /* KVM's ple_gap and ple_window, in ticks for cycles */
#define DEFAULT_PAUSE_WINDOW 4096

_Static_assert(TRAPLINE_QUANTUM == SCHEDULER_QUANTUM && TRAPLINE_QUANTUM_MIN == SCHEDULER_QUANTUM_MIN &&
                   TRAPLINE_QUANTUM_MAX == SCHEDULER_QUANTUM_MAX,
               "the public limits are the inside's");

static uint8_t pause_exiting(enum trapline_pause pause)
{
    static const uint8_t inside[] = {PAUSE_EXITS, PAUSE_NEVER_EXITS, PAUSE_LOOP_EXITS};
    return inside[pause];
}

static int check_scheduling(const struct trapline_scheduling *s, struct err *err)
{
    if ((s->quantum == 0 || (s->quantum >= TRAPLINE_QUANTUM_MIN && s->quantum <= TRAPLINE_QUANTUM_MAX)) &&
        s->pause <= TRAPLINE_PAUSE_LOOP)
        return 0;
    err_set(err, EINVAL, "a turn cannot have %llu ticks", (unsigned long long)s->quantum);
    err_hint(err, "from 100 ticks on: quantum=20000");
    return -EINVAL;
}

static int create(struct trapline_machine *t, struct err *err)
{
    const struct trapline_config *config = &t->config;
    const struct jit_config jit = {.threshold = config->jit_threshold ? config->jit_threshold : JIT_THRESHOLD,
                                   .cache = config->jit_cache ? config->jit_cache : JIT_CACHE,
                                   .regions = config->jit_regions,
                                   .has_ring = config->jit_has_ring,
                                   .has_thread = config->jit_has_thread,
                                   .translated = config->translated,
                                   .opaque = config->translated_opaque};
    int rc = check_scheduling(&config->scheduling, err);
    if (rc < 0)
        return rc;
    if (config->engine == TRAPLINE_ENGINE_JIT && !jit_is_available()) {
        err_set(err, ENOTSUP, "there is no translator for this host");
        err_hint(err, "-engine auto takes the interpreter where there is none");
        return -ENOTSUP;
    }
    const struct mmu_vm_config mmu = mmu_config(&config->paging);
    uint64_t mmu_memory = mmu.kind == MMU_DIRECT ? 0 : (uint64_t)mmu.frames.count * PAGE_SIZE + ALLOCATOR_EXTENT;
    bool translates = config->engine != TRAPLINE_ENGINE_INTERP && jit_is_available();
    const struct machine_config mc = {
        .jit = translates ? &jit : NULL,
        .memory_size = config->memory + SPARE_MEMORY + mmu_memory,
        .seed = config->seed,
        .ns_per_tick = config->ns_per_tick,
        .tlb_entries = config->tlb_entries,
        .quantum = config->scheduling.quantum,
        .pause_exiting = pause_exiting(config->scheduling.pause),
        .pause_gap = config->scheduling.pause_gap ? config->scheduling.pause_gap : DEFAULT_PAUSE_GAP,
        .pause_window = config->scheduling.pause_window ? config->scheduling.pause_window : DEFAULT_PAUSE_WINDOW,
        .policy = policy_config(&config->virt),
        .mmu = mmu,
    };
    rc = cpu_model_parse(config->cpu ? config->cpu : TRAPLINE_DEFAULT_CPU, &t->model, err);
    if (rc == 0)
        rc = check_policy(t, err);
    if (rc == 0)
        rc = machine_create(&mc, &t->m, err);
    if (rc < 0)
        return rc;
    cpu_model_set_machine(&t->model, config->vcpus ? config->vcpus : 1, t->m->s.tsc_hz,
                          NS_PER_SECOND);
    t->m->max_ticks = config->max_ticks;
    t->m->no_reboot = config->no_reboot;
    t->m->wall_base = config->rtc_base;
    trapline_connect_trace(t);
    rc = vm_create(t->m, config->vcpus, &t->model, err);
    if (rc < 0)
        return rc;
    rc = create_board(t, err);
    if (rc == 0)
        rc = check_reach(t, err);
    if (rc == 0)
        scheduler_refresh(t->m);
    return rc == 0 ? connect_door(t, err) : rc;
}

int trapline_create(const struct trapline_config *config, struct trapline_machine **out,
                    struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct trapline_machine *t = calloc(1, sizeof(*t));
    int rc = t ? read_config(&t->config, config, &err) : err_set(&err, ENOMEM, "out of memory");
    if (rc == 0)
        rc = create(t, &err);
    if (rc < 0) {
        trapline_destroy(t);
        return trapline_fail(error, &err, rc);
    }
    t->config.cpu = t->config.append = t->config.initrd = NULL;
    t->config.kernel = t->config.bios = (struct trapline_file){0};
    *out = t;
    return 0;
}

void trapline_destroy(struct trapline_machine *t)
{
    if (!t)
        return;
    if (t->m)
        tracer_destroy(t->m->tracer);
    machine_destroy(t->m);
    trapline_free_files(t);
    free(t);
}

int trapline_check_cpu(const char *cpu, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct cpu_model model;
    return trapline_fail(error, &err, cpu_model_parse(cpu, &model, &err));
}
