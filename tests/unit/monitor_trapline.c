/* SPDX-License-Identifier: MIT */
/* The public header, as a program outside the tree uses it. */
#include "monitor/trapline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/test.h"

#define CODE 0x1000u
#define RAM (1u << 20)

static struct trapline_error error;

static struct trapline_machine *bare_with(const struct trapline_config *config)
{
    struct trapline_machine *m = NULL;
    EXPECT_EQ(0, trapline_create(config, &m, &error));
    EXPECT_EQ(0, trapline_map(m, 0, RAM, false, &error));
    return m;
}

static struct trapline_config bare_config(void)
{
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    config.board = "none";
    config.memory = 8 << 20;
    return config;
}

static struct trapline_machine *bare(void)
{
    const struct trapline_config config = bare_config();
    return bare_with(&config);
}

static void set(struct trapline_machine *m, const char *name, unsigned index, uint64_t value)
{
    EXPECT_EQ(0, trapline_set(m, 0, name, index, value, &error));
}

static uint64_t get(const struct trapline_machine *m, const char *name, unsigned index)
{
    uint64_t value = 0;
    EXPECT_EQ(0, trapline_get(m, 0, name, index, &value, &error));
    return value;
}

/* Real mode, code at 0:1000h, stack at 0:8000h. */
static void load_real(struct trapline_machine *m, const void *code, size_t size)
{
    EXPECT_EQ(0, trapline_write(m, CODE, code, size, &error));
    EXPECT_EQ(0, trapline_set_segment(m, 0, 1, 0, 0, 0xffff, 0x9b, &error));
    set(m, "rip", 0, CODE);
    set(m, "rsp", 0, 0x8000);
}

/* 32-bit protected mode, flat. */
static void load_flat(struct trapline_machine *m, const void *code, size_t size)
{
    load_real(m, code, size);
    for (unsigned seg = 0; seg < 6; seg++)
        EXPECT_EQ(0, trapline_set_segment(m, 0, seg, seg == 1 ? 8 : 16, 0, UINT32_MAX,
                                          seg == 1 ? 0xc09b : 0xc093, &error));
    set(m, "cr0", 0, 0x11);
}

static struct trapline_stop step(struct trapline_machine *m, uint64_t n)
{
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    EXPECT_EQ(0, trapline_step(m, 0, n, &stop, &error));
    return stop;
}

static enum trapline_reason run(struct trapline_machine *m, uint64_t until)
{
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    trapline_run(m, until, &stop);
    return stop.reason;
}

/* ---- creation ---- */

TEST(create, an_older_and_shorter_config_gets_the_defaults)
{
    struct trapline_config config = bare_config();
    struct trapline_machine *m;
    config.size = offsetof(struct trapline_config, seed);
    config.seed = 99;
    config.ns_per_tick = 0;
    m = bare_with(&config);
    trapline_destroy(m);
    EXPECT_EQ(TRAPLINE_API, trapline_api());
    trapline_destroy(NULL);
}

TEST(create, what_is_wrong_is_said)
{
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_machine *m = NULL;
    EXPECT_EQ(-EINVAL, trapline_create(&config, &m, &error));
    EXPECT_STR("there is nothing to run", error.text);
    config.board = "toaster";
    EXPECT_EQ(-EINVAL, trapline_create(&config, &m, &error));
    EXPECT(strstr(error.text, "toaster") != NULL);
    config = bare_config();
    config.vcpus = 65;
    EXPECT_EQ(-EINVAL, trapline_create(&config, &m, NULL));
    config = bare_config();
    config.cpu = "abacus";
    EXPECT_EQ(-EINVAL, trapline_create(&config, &m, &error));
    EXPECT(strstr(error.text, "abacus") != NULL);
    EXPECT_EQ(-EINVAL, trapline_check_cpu("max,+warp", &error));
    EXPECT_EQ(0, trapline_check_cpu(TRAPLINE_DEFAULT_CPU, &error));
    EXPECT(m == NULL);
}

TEST(create, a_kernel_in_memory_that_is_none_is_refused)
{
    static const char text[4096] = "this is not a kernel";
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_machine *m;
    config.kernel = (struct trapline_file){.path = "letter", .data = text, .size = sizeof(text)};
    EXPECT_EQ(-EINVAL, trapline_create(&config, &m, &error));
    EXPECT(strstr(error.text, "letter") != NULL);
}

/* ---- stepping ---- */

TEST(step, runs_n_instructions_and_counts_them)
{
    static const uint8_t code[] = {0x40, 0x40, 0x40, 0xeb, 0xfb}; /* inc ax x 3; jmp */
    struct trapline_machine *m = bare();
    load_real(m, code, sizeof(code));
    EXPECT_EQ(TRAPLINE_STOP_POSITION, step(m, 2).reason);
    EXPECT_EQ(2, get(m, "rax", 0));
    EXPECT_EQ(CODE + 2, get(m, "rip", 0));
    EXPECT_EQ(2, trapline_ticks(m));
    EXPECT_EQ(2, trapline_vtime_ns(m));
    EXPECT_EQ(TRAPLINE_STOP_POSITION, step(m, 400).reason);
    EXPECT_EQ(402, get(m, "ticks", 0));
    EXPECT_EQ(302, get(m, "gpr", 0));
    trapline_destroy(m);
}

TEST(step, exceptions_are_reported_and_not_delivered)
{
    static const uint8_t code[] = {0x8b, 0x05, 0x45, 0x23, 0x01, 0xff, 0x0f, 0x0b};
    struct trapline_machine *m = bare();
    load_flat(m, code, sizeof(code));
    set(m, "cr3", 0, 0x10000); /* nothing is present but the first 4 MiB */
    static const uint8_t pde[4] = {0x83, 0, 0, 0};
    EXPECT_EQ(0, trapline_write(m, 0x10000, pde, 4, &error));
    set(m, "cr4", 0, 0x10);
    set(m, "cr0", 0, 0x80000011);
    struct trapline_stop stop = step(m, 1);
    EXPECT_EQ(TRAPLINE_STOP_EXCEPTION, stop.reason);
    EXPECT_EQ(14, stop.vector);
    EXPECT(stop.has_error_code);
    EXPECT_EQ(0, stop.error_code);
    EXPECT_EQ(0xff012345, stop.address);
    EXPECT_EQ(CODE, get(m, "rip", 0));
    EXPECT_EQ(0, get(m, "cr2", 0));
    set(m, "rip", 0, CODE + 6);
    EXPECT_EQ(6, step(m, 5).vector);
    EXPECT_EQ(0, trapline_ticks(m));
    trapline_destroy(m);
}

TEST(step, stops_at_hlt_and_stays_there)
{
    static const uint8_t code[] = {0x90, 0xf4, 0x90};
    struct trapline_machine *m = bare();
    load_real(m, code, sizeof(code));
    EXPECT_EQ(TRAPLINE_STOP_HALT, step(m, 10).reason);
    EXPECT_EQ(2, trapline_ticks(m));
    EXPECT_EQ(TRAPLINE_STOP_HALT, step(m, 10).reason);
    EXPECT_EQ(2, trapline_ticks(m));
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    EXPECT_EQ(-EINVAL, trapline_step(m, 1, 1, &stop, &error));
    trapline_destroy(m);
}

TEST(step, rep_takes_a_tick_per_iteration)
{
    static const uint8_t code[] = {0xf3, 0xaa, 0x90}; /* rep stosb; nop */
    struct trapline_machine *m = bare();
    uint8_t got[4];
    load_real(m, code, sizeof(code));
    set(m, "rcx", 0, 3);
    set(m, "rdi", 0, 0x2000);
    set(m, "rax", 0, 0x5a);
    EXPECT_EQ(TRAPLINE_STOP_POSITION, step(m, 2).reason);
    EXPECT_EQ(1, get(m, "rcx", 0));
    EXPECT_EQ(CODE, get(m, "rip", 0));
    EXPECT_EQ(0, trapline_read(m, 0x2000, got, 4, &error));
    assert_memory_equal(got, "\x5a\x5a\0\0", 4);
    trapline_destroy(m);
}

/* ---- running, injecting ---- */

TEST(run, ends_at_the_position_to_the_tick)
{
    static const uint8_t code[] = {0x40, 0xeb, 0xfd};
    struct trapline_machine *m = bare();
    load_real(m, code, sizeof(code));
    for (uint64_t at = 1; at < 100000; at = at * 3 + 1) {
        EXPECT_EQ(TRAPLINE_STOP_POSITION, run(m, at));
        EXPECT_EQ(at, trapline_ticks(m));
        EXPECT_EQ(((at + 1) / 2) & 0xffff, get(m, "rax", 0));
    }
    EXPECT_EQ(TRAPLINE_STOP_POSITION, run(m, 5));
    trapline_destroy(m);
}

TEST(run, ends_of_a_bare_machine)
{
    static const uint8_t halt[] = {0xfa, 0xf4}, crash[] = {0x0f, 0x0b};
    struct trapline_machine *m = bare();
    load_real(m, halt, sizeof(halt));
    EXPECT_EQ(TRAPLINE_STOP_DEAD_HALT, run(m, UINT64_MAX));
    trapline_destroy(m);
    m = bare();
    load_flat(m, crash, sizeof(crash));
    set(m, "idtr_limit", 0, 0);
    EXPECT_EQ(TRAPLINE_STOP_TRIPLE_FAULT, run(m, UINT64_MAX));
    trapline_destroy(m);
    struct trapline_config config = bare_config();
    config.max_ticks = 77;
    m = bare_with(&config);
    static const uint8_t spin[] = {0xeb, 0xfe};
    load_real(m, spin, sizeof(spin));
    EXPECT_EQ(TRAPLINE_STOP_TICK_LIMIT, run(m, UINT64_MAX));
    EXPECT_EQ(77, trapline_ticks(m));
    trapline_destroy(m);
}

TEST(run, an_interrupt_request_ends_it)
{
    static const uint8_t spin[] = {0xeb, 0xfe};
    static const volatile int interrupted = 1;
    struct trapline_config config = bare_config();
    config.interrupted = &interrupted;
    struct trapline_machine *m = bare_with(&config);
    load_real(m, spin, sizeof(spin));
    EXPECT_EQ(TRAPLINE_STOP_INTERRUPTED, run(m, UINT64_MAX));
    trapline_destroy(m);
}

TEST(inject, an_interrupt_goes_through_the_vector_table)
{
    static const uint8_t code[] = {0x90, 0x90}, handler[] = {0xcf};
    static const uint8_t vector[4] = {0x00, 0x30, 0x00, 0x00};
    struct trapline_machine *m = bare();
    load_real(m, code, sizeof(code));
    set(m, "idtr_limit", 0, 0x3ff);
    EXPECT_EQ(0, trapline_write(m, 0x20 * 4, vector, 4, &error));
    EXPECT_EQ(0, trapline_write(m, 0x3000, handler, 1, &error));
    EXPECT_EQ(0, trapline_inject(m, 0, TRAPLINE_INJECT_INTERRUPT, 0x20, 0, &error));
    EXPECT_EQ(0x3000, get(m, "rip", 0));
    EXPECT_EQ(0x7ffa, get(m, "rsp", 0));
    EXPECT_EQ(1, trapline_ticks(m));
    EXPECT_EQ(TRAPLINE_STOP_POSITION, step(m, 2).reason);
    EXPECT_EQ(CODE + 1, get(m, "rip", 0));
    EXPECT_EQ(-EINVAL, trapline_inject(m, 0, TRAPLINE_INJECT_EXCEPTION, 32, 0, &error));
    EXPECT_EQ(-EINVAL, trapline_inject(m, 3, TRAPLINE_INJECT_NMI, 2, 0, &error));
    set(m, "idtr_limit", 0, 0);
    EXPECT_EQ(-EIO, trapline_inject(m, 0, TRAPLINE_INJECT_EXCEPTION, 13, 0, &error));
    trapline_destroy(m);
}

/* ---- registers and memory ---- */

TEST(registers, every_field_reads_and_writes_back)
{
    struct trapline_machine *m = bare();
    struct trapline_field f = TRAPLINE_FIELD_INIT;
    unsigned fields = 0;
    for (; trapline_cpu_field(fields, &f); fields++) {
        EXPECT(f.name && f.doc && f.count > 0 && f.width > 0);
        for (unsigned i = 0; i < f.count; i++)
            set(m, f.name, i, get(m, f.name, i));
    }
    EXPECT(fields > 60);
    trapline_destroy(m);
}

TEST(registers, names_of_single_ones)
{
    struct trapline_machine *m = bare();
    uint64_t v;
    set(m, "r15", 0, 15);
    set(m, "rsi", 0, 6);
    set(m, "fs", 0, 0x33);
    set(m, "xmm3", 1, 7);
    set(m, "dr7", 0, 0x400);
    EXPECT_EQ(15, get(m, "gpr", 15));
    EXPECT_EQ(6, get(m, "gpr", 6));
    EXPECT_EQ(0x33, get(m, "seg_sel", 4));
    EXPECT_EQ(7, get(m, "ymm", 13));
    EXPECT_EQ(0x400, get(m, "dr", 7));
    static const char *const wrong[] = {"",    "r16", "r7",     "r08", "xmm16",
                                        "eax", "cr9", "gpr[3]", "ymmx"};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        EXPECT_EQ(-ENOENT, trapline_get(m, 0, wrong[i], 0, &v, &error));
    EXPECT_EQ(-ERANGE, trapline_get(m, 0, "gpr", 16, &v, &error));
    EXPECT_EQ(-ERANGE, trapline_get(m, 0, "rax", 1, &v, &error));
    EXPECT_EQ(-EINVAL, trapline_get(m, 1, "rax", 0, &v, &error));
    trapline_destroy(m);
}

TEST(registers, what_no_processor_holds_is_refused)
{
    struct trapline_machine *m = bare();
    static const struct {
        const char *name;
        uint64_t value;
    } wrong[] = {{"cpl", 4},
                 {"activity", 4},
                 {"int_shadow", 3},
                 {"rflags", UINT64_C(1) << 32},
                 {"xcr0", 0},
                 {"fcw", 65536},
                 {"nmi_blocked", 2},
                 {"cs", 65536},
                 {"cr0", UINT64_C(1) << 40},
                 {"init_pending", 1},
                 {"fop", 0x800}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        EXPECT_EQ(-ERANGE, trapline_set(m, 0, wrong[i].name, 0, wrong[i].value, &error));
    EXPECT_EQ(-EINVAL, trapline_set_segment(m, 0, 8, 0, 0, 0, 0, &error));
    set(m, "rflags", 0, 0);
    EXPECT_EQ(2, get(m, "rflags", 0));
    EXPECT_EQ(0, trapline_cpu_reset(m, 0, &error));
    EXPECT_EQ(0xfff0, get(m, "rip", 0));
    trapline_destroy(m);
}

TEST(memory, is_copied_whole_or_not_at_all)
{
    struct trapline_machine *m = bare();
    uint8_t in[8] = "abcdefg", out[8] = {0};
    EXPECT_EQ(0, trapline_map(m, 0xffff0000, 0x10000, true, &error));
    EXPECT_EQ(0, trapline_write(m, 0xffff0000, in, 8, &error));
    EXPECT_EQ(0, trapline_read(m, 0xffff0000, out, 8, &error));
    assert_memory_equal(in, out, 8);
    EXPECT_EQ(-EFAULT, trapline_read(m, RAM - 4, out, 8, &error));
    assert_memory_equal(in, out, 8);
    EXPECT_EQ(-EFAULT, trapline_write(m, RAM - 4, in, 8, &error));
    EXPECT_EQ(0, trapline_read(m, RAM - 4, out, 4, &error));
    assert_memory_equal("\0\0\0\0", out, 4);
    EXPECT_EQ(-EEXIST, trapline_map(m, 0, 4096, false, &error));
    EXPECT_EQ(-EINVAL, trapline_map(m, 5, 4096, false, &error));
    EXPECT_EQ(-EINVAL, trapline_map(m, 0, 0, false, &error));
    EXPECT_EQ(-EINVAL, trapline_map(m, UINT64_MAX - 4095, 4096, false, &error));
    EXPECT_EQ(-ENOMEM, trapline_map(m, RAM, UINT64_C(1) << 36, false, &error));
    uint64_t address, length;
    bool is_rom;
    EXPECT(trapline_memory_range(m, 1, &address, &length, &is_rom));
    EXPECT(address == 0xffff0000 && length == 0x10000 && is_rom);
    EXPECT(!trapline_memory_range(m, 2, &address, &length, &is_rom));
    trapline_destroy(m);
}

TEST(memory, linear_addresses_follow_the_page_tables)
{
    static const uint8_t nop = 0x90;
    /* 40000000h to 40003FFFh, a table at 11000h: pages 5000h, 3000h, nothing, 4000h */
    static const uint8_t pde[4] = {0x03, 0x10, 0x01, 0x00};
    static const uint8_t ptes[16] = {0x03, 0x50, 0, 0, 0x03, 0x30, 0, 0,
                                     0,    0,    0, 0, 0x03, 0x40, 0, 0};
    struct trapline_machine *m = bare();
    char out[9] = {0};
    load_flat(m, &nop, 1);
    EXPECT_EQ(0, trapline_write(m, 0x10000 + 0x100 * 4, pde, 4, &error));
    EXPECT_EQ(0, trapline_write(m, 0x11000, ptes, 16, &error));
    set(m, "cr3", 0, 0x10000);
    set(m, "cr0", 0, 0x80000011);
    EXPECT_EQ(0, trapline_write_linear(m, 0, 0x40000ffc, "12345678", 8, &error));
    EXPECT_EQ(0, trapline_read(m, 0x5ffc, out, 4, &error));
    EXPECT_EQ(0, trapline_read(m, 0x3000, out + 4, 4, &error));
    EXPECT_STR("12345678", out);
    memset(out, 0, sizeof(out));
    EXPECT_EQ(0, trapline_read_linear(m, 0, 0x40000ffc, out, 8, &error));
    EXPECT_STR("12345678", out);
    EXPECT_EQ(-EFAULT, trapline_write_linear(m, 0, 0x40001ffc, "12345678", 8, &error));
    EXPECT_EQ(0, trapline_read(m, 0x3ffc, out, 4, &error));
    assert_memory_equal("\0\0\0\0", out, 4);
    trapline_destroy(m);
}

TEST(memory, written_code_is_the_code_that_runs)
{
    static const uint8_t one[] = {0xb0, 0x01, 0xeb, 0xfc}, two[] = {0xb0, 0x02};
    struct trapline_machine *m = bare();
    load_real(m, one, sizeof(one));
    EXPECT_EQ(TRAPLINE_STOP_POSITION, run(m, 10));
    EXPECT_EQ(1, get(m, "rax", 0));
    EXPECT_EQ(0, trapline_write(m, CODE, two, sizeof(two), &error));
    EXPECT_EQ(TRAPLINE_STOP_POSITION, run(m, 20));
    EXPECT_EQ(2, get(m, "rax", 0));
    trapline_destroy(m);
}

/* ---- positions ---- */

/* inc ax; mov [bx], ax; add bx, 2; or bh, 20h; and bh, 3fh; jmp */
static const uint8_t work[] = {0x40, 0x89, 0x07, 0x83, 0xc3, 0x02, 0x80,
                               0xcf, 0x20, 0x80, 0xe7, 0x3f, 0xeb, 0xf2};

static struct trapline_machine *worker(void)
{
    struct trapline_machine *m = bare();
    load_real(m, work, sizeof(work));
    return m;
}

static void expect_same(struct trapline_machine *a, struct trapline_machine *b)
{
    uint8_t ha[TRAPLINE_HASH_BYTES], hb[TRAPLINE_HASH_BYTES];
    EXPECT_EQ(0, trapline_hash(a, ha, &error));
    EXPECT_EQ(0, trapline_hash(b, hb, &error));
    assert_memory_equal(ha, hb, sizeof(ha));
}

TEST(positions, two_machines_in_one_process_never_meet)
{
    struct trapline_machine *a = worker(), *b = worker(), *alone = worker();
    EXPECT_EQ(TRAPLINE_STOP_POSITION, run(alone, 30000));
    for (uint64_t at = 1000; at <= 30000; at += 1000) {
        run(a, at);
        run(b, at);
        trapline_drop_caches(a);
    }
    expect_same(a, alone);
    expect_same(b, alone);
    set(a, "rbp", 0, 1);
    trapline_destroy(a);
    expect_same(b, alone);
    trapline_destroy(b);
    trapline_destroy(alone);
}

TEST(positions, saved_here_and_loaded_there_goes_on_the_same)
{
    char path[] = "/tmp/trapline-test-XXXXXX";
    int fd = mkstemp(path);
    struct trapline_machine *a = worker(), *b = bare();
    uint8_t la[TRAPLINE_HASH_BYTES] = {0}, lb[TRAPLINE_HASH_BYTES] = {0};
    EXPECT(fd >= 0);
    run(a, 12345);
    EXPECT_EQ(0, trapline_save(a, path, &error));
    EXPECT_EQ(0, trapline_load(b, path, &error));
    EXPECT_EQ(12345, trapline_ticks(b));
    expect_same(a, b);
    for (uint64_t at = 13000; at < 20000; at += 999) {
        run(a, at);
        run(b, at);
        EXPECT_EQ(0, trapline_hash_chain(a, la, &error));
        EXPECT_EQ(0, trapline_hash_chain(b, lb, &error));
    }
    assert_memory_equal(la, lb, sizeof(la));
    EXPECT_EQ(0, truncate(path, 100));
    EXPECT(trapline_load(b, path, &error) < 0);
    EXPECT(strstr(error.text, path) != NULL);
    expect_same(a, b);
    close(fd);
    unlink(path);
    trapline_destroy(a);
    trapline_destroy(b);
}

/* ---- seeing inside ---- */

TEST(inside, parts_and_their_fields)
{
    struct trapline_machine *m = worker();
    struct trapline_part part = TRAPLINE_PART_INIT;
    struct trapline_field f = TRAPLINE_FIELD_INIT;
    uint64_t v;
    EXPECT(trapline_part(m, 0, &part));
    EXPECT_STR("machine", part.name);
    EXPECT(trapline_part_field(m, 0, 0, &f));
    EXPECT_STR("ticks", f.name);
    run(m, 500);
    EXPECT(trapline_part_get(m, 0, 0, 0, &v));
    EXPECT_EQ(500, v);
    EXPECT(trapline_part(m, 2, &part));
    EXPECT_STR("cpu0", part.name);
    EXPECT(!trapline_part_get(m, 2, 0, 16, &v));
    EXPECT(!trapline_part(m, 99, &part));
    EXPECT(!trapline_part_field(m, 0, 999, &f));
    trapline_destroy(m);
}

struct traced {
    unsigned count;  /* events so far */
    char last[64];   /* name of the last */
    uint64_t vector; /* its first argument */
};

static void note_event(void *opaque, const struct trapline_event *e)
{
    struct traced *t = opaque;
    t->count++;
    strncpy(t->last, e->name, sizeof(t->last) - 1);
    t->vector = e->args[0];
    EXPECT(e->text[0] && e->size == sizeof(*e));
}

TEST(inside, trace_points_that_are_on_are_heard)
{
    static const uint8_t code[] = {0x0f, 0x0b};
    struct traced traced = {0};
    struct trapline_config config = bare_config();
    config.trace = note_event;
    config.trace_opaque = &traced;
    struct trapline_machine *m = bare_with(&config);
    load_real(m, code, sizeof(code));
    set(m, "idtr_limit", 0, 0x3ff);
    EXPECT_EQ(0, trapline_trace(m, "no such point", true));
    EXPECT_EQ(1, trapline_trace(m, "event_deliver", true));
    run(m, 1);
    EXPECT_EQ(1, traced.count);
    EXPECT_STR("event_deliver", traced.last);
    EXPECT_EQ(6, traced.vector);
    const char *name, *doc;
    EXPECT(trapline_trace_point(0, &name, &doc) && name[0] && doc[0]);
    EXPECT(!trapline_trace_point(9999, &name, &doc));
    trapline_destroy(m);
}

TEST(inside, the_instruction_table_says_what_is_sensitive)
{
    struct trapline_insn row = TRAPLINE_INSN_INIT;
    bool has_popf = false, has_add = false;
    for (unsigned i = 0; trapline_insn_row(i, &row); i++) {
        EXPECT(row.name && row.encoding && row.operands && row.manual && row.feature &&
               row.privilege);
        if (strcmp(row.name, "POPF") == 0)
            has_popf = row.sensitivity & TRAPLINE_SENSITIVE_CONTROL;
        if (strcmp(row.name, "ADD") == 0)
            has_add = row.sensitivity == 0 && row.privilege[0] == '\0';
    }
    EXPECT(has_popf);
    EXPECT(has_add);
}

TEST(inside, exit_statuses_are_the_documented_ones)
{
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    stop.reason = TRAPLINE_STOP_DEBUG_EXIT;
    stop.code = 5;
    EXPECT_EQ(11, trapline_exit_status(&stop));
    stop.code = 0xffffffff;
    EXPECT_EQ(255, trapline_exit_status(&stop));
    for (int r = 0; r <= TRAPLINE_STOP_HALT; r++) {
        stop.reason = (enum trapline_reason)r;
        EXPECT(trapline_reason_text(stop.reason)[0]);
        EXPECT(r == TRAPLINE_STOP_DEBUG_EXIT || trapline_exit_status(&stop) % 2 == 0);
    }
}

TEST_MAIN(
    RUN(create, an_older_and_shorter_config_gets_the_defaults) RUN(
        create, what_is_wrong_is_said) RUN(create, a_kernel_in_memory_that_is_none_is_refused)
        RUN(step, runs_n_instructions_and_counts_them) RUN(
            step, exceptions_are_reported_and_not_delivered) RUN(step, stops_at_hlt_and_stays_there)
            RUN(step, rep_takes_a_tick_per_iteration) RUN(run, ends_at_the_position_to_the_tick)
                RUN(run, ends_of_a_bare_machine) RUN(run, an_interrupt_request_ends_it)
                    RUN(inject, an_interrupt_goes_through_the_vector_table) RUN(
                        registers, every_field_reads_and_writes_back) RUN(registers,
                                                                          names_of_single_ones)
                        RUN(registers,
                            what_no_processor_holds_is_refused) RUN(memory,
                                                                    is_copied_whole_or_not_at_all)
                            RUN(memory, linear_addresses_follow_the_page_tables)
                                RUN(memory, written_code_is_the_code_that_runs)
                                    RUN(positions, two_machines_in_one_process_never_meet)
                                        RUN(positions, saved_here_and_loaded_there_goes_on_the_same)
                                            RUN(inside, parts_and_their_fields)
                                                RUN(inside, trace_points_that_are_on_are_heard) RUN(
                                                    inside,
                                                    the_instruction_table_says_what_is_sensitive)
                                                    RUN(inside,
                                                        exit_statuses_are_the_documented_ones))
