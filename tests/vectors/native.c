/* SPDX-License-Identifier: MIT */
/*
 * Signal handlers have no argument of ours, so this file has mutable file-scope state; it is a host
 * tool, not part of the library. While a test instruction's FS base is in force no code here may
 * use thread-local storage: no stack protector, no errno.
 */
#include "tests/vectors/native.h"

#include <asm/ldt.h>
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/endian.h"
#include "cpu/state.h"
#include "tests/vectors/native_code.h"
#include "tests/vectors/segments.h"

/* clang-format off */
/* Indices of gregset_t: <sys/ucontext.h> has them, but its names are the decoder's. */
enum {
    G_R8, G_R9, G_R10, G_R11, G_R12, G_R13, G_R14, G_R15, G_RDI, G_RSI, G_RBP, G_RBX, G_RDX, G_RAX, G_RCX, G_RSP,
    G_RIP, G_EFL, G_CSGSFS, G_ERR, G_TRAPNO, G_OLDMASK, G_CR2,
};
/* clang-format on */

enum {
    FX_MXCSR = 24,
    FX_ST = 32,
    FX_XMM = 160,
    FX_SW = 464, /* Linux: which components the frame holds */
    FX_HEADER = 512,
    FX_YMM = 576, /* the AVX component in the standard format; SDM Vol. 1, "XSAVE Area" */
    FRAME_MAX = 16384,
    REP_MAX = 4000,
    PAGES = 0x36a90000, /* native_code and native_data: any address below 4 GiB that nobody likes */
    SIGNAL_STACK = 262144,
};
enum { XSTATE_X87 = 1, XSTATE_SSE = 2, XSTATE_AVX = 4 };
enum { USER_CS = 0x33, USER_CS32 = 0x23, USER_DS = 0x2b };
/* uc_flags of Linux: SS is in the frame, and is to be loaded as it is. */
enum { UC_SS = 2, UC_STRICT_SS = 4 };

static struct {
    struct native_host host;   /* what there is */
    uint8_t *mem;              /* writable alias of VECTOR_MEM */
    uint8_t *code;             /* writable alias of VECTOR_CODE */
    struct native_data *data;  /* at PAGES + 4096 */
    struct vector *v;          /* being run */
    bool is_rep;               /* step while RIP stays */
    bool is_direct;            /* no trap flag: what ends the instruction is a jump or a fault */
    unsigned steps;            /* taken */
    volatile bool running;     /* the instruction is, not the recorder */
    bool ok;                   /* after is filled */
    uint64_t fs_base, gs_base; /* the recorder's own */
    gregset_t gregs;           /* the recorder's own */
    uint32_t frame_size;       /* of its floating-point frame */
    uint8_t frame[FRAME_MAX];  /* the recorder's own */
} native;

static uint64_t read_base(bool gs)
{
    uint64_t v;
    if (gs)
        __asm__ volatile("rdgsbase %0" : "=r"(v));
    else
        __asm__ volatile("rdfsbase %0" : "=r"(v));
    return v;
}

static void write_bases(uint64_t fs, uint64_t gs)
{
    __asm__ volatile("wrfsbase %0\n\twrgsbase %1" : : "r"(fs), "r"(gs) : "memory");
}

/* ---- segment registers that sigreturn leaves alone: ES, DS, FS, GS ---- */

static void read_selectors(uint16_t sel[6])
{
    __asm__ volatile("mov %%es, %0\n\tmov %%ds, %1\n\tmov %%fs, %2\n\tmov %%gs, %3"
                     : "=m"(sel[0]), "=m"(sel[3]), "=m"(sel[4]), "=m"(sel[5]));
}

static void write_selectors(const uint16_t sel[6])
{
    __asm__ volatile("mov %0, %%es\n\tmov %1, %%ds\n\tmov %2, %%fs\n\tmov %3, %%gs"
                     :
                     : "m"(sel[0]), "m"(sel[3]), "m"(sel[4]), "m"(sel[5])
                     : "memory");
}

static void restore_segments(void)
{
    static const uint16_t own[6] = {USER_DS, 0, 0, USER_DS, 0, 0};
    write_selectors(own);
    write_bases(native.fs_base, native.gs_base);
}

/* ---- images ---- */

static const int greg_of[16] = {G_RAX, G_RCX, G_RDX, G_RBX, G_RSP, G_RBP, G_RSI, G_RDI,
                                G_R8,  G_R9,  G_R10, G_R11, G_R12, G_R13, G_R14, G_R15};

static void store_floating_point(uint8_t *fx, const struct vector_state *t)
{
    le16_store(fx, t->fcw);
    le16_store(fx + 2, t->fsw);
    le16_store(fx + 4, t->ftw);
    le16_store(fx + 6, t->fop);
    le64_store(fx + 8, t->fip);
    le64_store(fx + 16, t->fdp);
    le32_store(fx + FX_MXCSR, t->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = vector_st(t, i);
        memset(fx + FX_ST + 16 * i, 0, 16);
        le64_store(fx + FX_ST + 16 * i, t->fp_mant[r]);
        le16_store(fx + FX_ST + 16 * i + 8, t->fp_se[r]);
    }
    memcpy(fx + FX_XMM, t->xmm, sizeof t->xmm);
    memset(fx + FX_HEADER, 0, 64);
    fx[FX_HEADER] = XSTATE_X87 | XSTATE_SSE; /* XSTATE_BV; the rest is in its initial state */
    if (!native.host.has_avx)
        return;
    fx[FX_HEADER] |= XSTATE_AVX;
    memcpy(fx + FX_YMM, t->ymm_high, sizeof t->ymm_high);
}

static void load_floating_point(const uint8_t *fx, struct vector_state *t)
{
    t->fcw = le16_load(fx);
    t->fsw = le16_load(fx + 2);
    t->ftw = fx[4];
    t->fop = le16_load(fx + 6);
    t->fip = le64_load(fx + 8);
    t->fdp = le64_load(fx + 16);
    t->mxcsr = le32_load(fx + FX_MXCSR);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = vector_st(t, i);
        t->fp_mant[r] = le64_load(fx + FX_ST + 16 * i);
        t->fp_se[r] = le16_load(fx + FX_ST + 16 * i + 8);
    }
    memcpy(t->xmm, fx + FX_XMM, sizeof t->xmm);
    if (native.host.has_avx)
        memcpy(t->ymm_high, fx + FX_YMM, sizeof t->ymm_high);
}

/* An image without a component's bit leaves the component in its initial state, not in the image.
 */
static void init_missing(uint8_t *fx)
{
    if (!(fx[FX_HEADER] & XSTATE_X87)) {
        memset(fx, 0, 24);
        le16_store(fx, 0x37f);
        memset(fx + FX_ST, 0, 128);
    }
    if (!(fx[FX_HEADER] & XSTATE_SSE))
        memset(fx + FX_XMM, 0, 256);
    if (native.host.has_avx && !(fx[FX_HEADER] & XSTATE_AVX))
        memset(fx + FX_YMM, 0, 256);
}

/* ---- by sigreturn ---- */

static void launch(int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    uint8_t *fx = (uint8_t *)uc->uc_mcontext.fpregs;
    const struct vector *v = native.v;
    const struct vector_state *t = &v->before;
    (void)signal_number, (void)info;
    native.fs_base = read_base(false);
    native.gs_base = read_base(true);
    native.frame_size = le32_load(fx + FX_SW + 4);
    if (native.frame_size > FRAME_MAX)
        _exit(3);
    memcpy(native.gregs, g, sizeof(native.gregs));
    memcpy(native.frame, fx, native.frame_size);
    for (unsigned i = 0; i < 16; i++)
        g[greg_of[i]] = (greg_t)t->gpr[i];
    g[G_RIP] = (greg_t)t->rip;
    g[G_EFL] = (greg_t)(t->rflags | F_TF);
    g[G_CSGSFS] = (greg_t)((uint64_t)t->sel[SEG_SS] << 48 | t->sel[SEG_CS]);
    store_floating_point(fx, t);
    uc->uc_flags |= UC_SS | UC_STRICT_SS;
    native.running = true;
    if (v->mode != DECODE_64)
        write_selectors(t->sel);
    if (!v->segmented)
        write_bases(v->mode == DECODE_64 ? t->seg_base[0] : native.fs_base,
                    v->mode == DECODE_64 ? t->seg_base[1] : native.gs_base);
}

static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* The instruction is complete: what stopped us is that there is nothing behind it. */
static bool is_behind(const struct vector *v, unsigned vector, uint64_t rip)
{
    uint64_t mask = v->mode == DECODE_16 ? 0xffff : UINT64_MAX;
    return (vector == 13 || vector == 14) && native_is_at_end(v) &&
           (rip == v->before.rip + v->len || rip == ((v->before.rip + v->len) & mask));
}

static void finish(struct vector_state *t, uint8_t *fx)
{
    /* Linux returns to a 16-bit stack by a detour that leaves its own bits in the upper half. */
    if (native.v->mode != DECODE_64)
        t->gpr[REG_RSP] = (uint32_t)t->gpr[REG_RSP];
    init_missing(fx);
    load_floating_point(fx, t);
    memcpy(t->mem, native.mem, VECTOR_MEM_SIZE);
    native.ok = true;
}

static void save_after(ucontext_t *uc, const uint16_t *sel, uint64_t fs, uint64_t gs)
{
    const greg_t *g = uc->uc_mcontext.gregs;
    struct vector_state *t = &native.v->after;
    unsigned vector = (unsigned)g[G_TRAPNO];
    memset(t, 0, offsetof(struct vector_state, mem));
    for (unsigned i = 0; i < 16; i++)
        t->gpr[i] = (uint64_t)g[greg_of[i]];
    t->rip = (uint64_t)g[G_RIP];
    t->rflags = ((uint64_t)g[G_EFL] & (F_OSZAPC | F_DF | F_AC)) | 0x202;
    memcpy(t->sel, native.v->before.sel, sizeof t->sel);
    if (native.v->mode == DECODE_64) {
        t->seg_base[0] = fs;
        t->seg_base[1] = gs;
    } else {
        memcpy(t->sel, sel, sizeof t->sel);
        t->sel[SEG_CS] = (uint16_t)g[G_CSGSFS];
        t->sel[SEG_SS] = (uint16_t)((uint64_t)g[G_CSGSFS] >> 48);
    }
    t->fault = VECTOR_NO_FAULT;
    t->fault_code = t->fault_address = 0;
    if (vector != 1 && !is_behind(native.v, vector, t->rip)) {
        t->fault = (uint8_t)vector;
        t->fault_code = has_error_code(vector) ? (uint64_t)g[G_ERR] : 0;
        t->fault_address = vector == 14 ? (uint64_t)g[G_CR2] : 0;
    }
    /* Linux sets P for all that is its own (arch/x86/mm/fault.c); for us nothing is there. */
    if (t->fault == 14 && t->fault_address >> 63)
        t->fault_code &= ~UINT64_C(1);
    finish(t, (uint8_t *)uc->uc_mcontext.fpregs);
}

static void return_direct(ucontext_t *uc)
{
    greg_t *g = uc->uc_mcontext.gregs;
    uint8_t *fx = (uint8_t *)uc->uc_mcontext.fpregs;
    g[G_RIP] = PAGES + (native_code_abort - native_code_begin);
    g[G_RSP] = (greg_t)native.data->host_rsp;
    g[G_EFL] = 0x202;
    g[G_CSGSFS] = (greg_t)((uint64_t)USER_DS << 48 | USER_CS);
    memset(fx + FX_HEADER, 0, 64);
    le32_store(fx + FX_MXCSR, 0x1f80);
    uc->uc_flags |= UC_SS | UC_STRICT_SS;
}

static void land(int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    __asm__ volatile("pushfq\n\tandl $0xfffbffff, (%%rsp)\n\tpopfq"
                     :
                     :
                     : "memory", "cc"); /* AC off for our own code */
    uint64_t fs = read_base(false), gs = read_base(true);
    uint16_t sel[6] = {0};
    (void)info;
    read_selectors(sel);
    if (!native.running) { /* a fault of our own */
        signal(signal_number, SIG_DFL);
        return;
    }
    restore_segments();
    if (!native.is_direct && native.is_rep && g[G_TRAPNO] == 1 &&
        (uint64_t)g[G_RIP] == native.v->before.rip && ++native.steps < REP_MAX) {
        write_selectors(sel);
        if (!native.v->segmented)
            write_bases(fs, gs);
        return;
    }
    native.running = false;
    save_after(uc, sel, fs, gs);
    if (native.is_direct) {
        return_direct(uc);
        return;
    }
    memcpy(g, native.gregs, sizeof(native.gregs));
    memcpy(uc->uc_mcontext.fpregs, native.frame, native.frame_size);
    uc->uc_flags |= UC_SS | UC_STRICT_SS;
}

/* ---- set up ---- */

static bool map_view(int fd, uint64_t at, size_t size, int prot, off_t offset)
{
    const int flags = MAP_SHARED | MAP_FIXED_NOREPLACE |
                      MAP_POPULATE; /* else a write to the first page finds it absent */
    return mmap((void *)at, size, prot, flags, fd, offset) == (void *)at;
}

static bool map_vector(int fd, uint64_t base)
{
    const size_t data = VECTOR_DATA_END - VECTOR_DATA;
    bool ok = true;
    for (uint64_t view = base; view <= base + VECTOR_ALIAS; view += VECTOR_ALIAS) {
        ok = ok && map_view(fd, view + VECTOR_MEM, 4096, PROT_READ, 0);
        ok = ok && map_view(fd, view + VECTOR_DATA, data, PROT_READ | PROT_WRITE, 4096);
    }
    return ok && map_view(fd, base + VECTOR_CODE, 4096, PROT_READ | PROT_EXEC, VECTOR_MEM_SIZE);
}

static bool map_pages(void)
{
    const int rw = PROT_READ | PROT_WRITE;
    int fd = (int)syscall(SYS_memfd_create, "vector", 0);
    size_t total = VECTOR_MEM_SIZE + 4096;
    if (fd < 0 || ftruncate(fd, (off_t)total) != 0)
        return false;
    uint8_t *alias = mmap(NULL, total, rw, MAP_SHARED, fd, 0);
    native.mem = alias;
    native.code = alias + VECTOR_MEM_SIZE;
    bool ok = alias != MAP_FAILED;
    if (ok && !map_vector(fd, 0)) {
        native.host.base = 0x100000;
        ok = map_vector(fd, native.host.base);
    }
    close(fd);
    void *own =
        mmap((void *)PAGES, 8192, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (!ok || own != (void *)PAGES)
        return false;
    memset(native.code, 0xcc, 4096);
    memcpy(own, native_code_begin, (size_t)(native_code_end - native_code_begin));
    native.data = (struct native_data *)(PAGES + 4096);
    return mprotect(own, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool set_descriptors(void)
{
    for (unsigned n = 0; n < VECTOR_LDT_COUNT; n++) {
        const struct vector_segment *s = &vector_segments[n];
        bool is_code = s->attr & ATTR_CODE;
        struct user_desc d = {
            .entry_number = n,
            .base_addr = s->base + native.host.base,
            .limit = s->limit,
            .seg_32bit = (s->attr & ATTR_DB) != 0,
            .contents = is_code               ? 2
                        : (s->attr & ATTR_DC) ? 1
                                              : 0,
            .read_exec_only = !(s->attr & ATTR_RW),
            .limit_in_pages = (s->attr & ATTR_G) != 0,
            .seg_not_present = !(s->attr & ATTR_P),
        };
        if (syscall(SYS_modify_ldt, 0x11, &d, sizeof d) != 0)
            return false;
    }
    return true;
}

/* XSAVE, and the system saves by it. Not every compiler's __builtin_cpu_supports knows it. */
static bool has_xsave(void)
{
    unsigned a, b, c = 0, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE);
}

bool native_init(struct native_host *host, const char **why)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    stack_t stack = {.ss_sp = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                     .ss_size = SIGNAL_STACK};
    struct sigaction action = {.sa_sigaction = land, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    *why = "the processor or its system has no FSGSBASE or no XSAVE";
    if (!(getauxval(AT_HWCAP2) & 2) || !has_xsave())
        return false;
    native.host.has_avx = __builtin_cpu_supports("avx");
    *why = "cannot map the test's pages, neither at 3000h nor at 103000h";
    if (!map_pages())
        return false;
    native.host.has_segments = set_descriptors();
    sigfillset(&action.sa_mask);
    *why = "no signal stack";
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) != 0)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &action, NULL);
    action.sa_sigaction = launch;
    sigaction(SIGUSR1, &action, NULL);
    native.fs_base = read_base(false);
    native.gs_base = read_base(true);
    restore_segments(); /* 32-bit code needs a data segment; 64-bit processes start with null ones
                         */
    *host = native.host;
    return true;
}

/* ---- running ---- */

static uint64_t linear_rip(const struct vector *v)
{
    uint64_t base = v->mode == DECODE_64 ? 0 : vector_segment_base(v, SEG_CS);
    uint64_t rip = v->before.rip + base;
    return v->mode == DECODE_64 ? rip : (uint32_t)rip;
}

/* Where in the code page the instruction is. */
static unsigned code_offset(const struct vector *v)
{
    return (unsigned)(linear_rip(v) - VECTOR_CODE - v->base);
}

bool native_is_at_end(const struct vector *v)
{
    return code_offset(v) + v->len >= 4096;
}

unsigned native_size(const struct vector *v)
{
    unsigned room = 4096 - code_offset(v);
    return room < v->len ? room : v->len;
}

static void prepare(struct vector *v)
{
    native.v = v;
    native.ok = false;
    native.steps = 0;
    if (!native.host.has_avx)
        memset(v->before.ymm_high, 0, sizeof v->before.ymm_high);
    memcpy(native.mem, v->before.mem, VECTOR_MEM_SIZE);
}

bool native_run(struct vector *v, bool is_rep)
{
    unsigned at = code_offset(v), size = native_size(v);
    prepare(v);
    native.is_rep = is_rep;
    native.is_direct = false;
    memcpy(native.code + at, v->bytes, size);
    raise(SIGUSR1);
    memset(native.code + at, 0xcc, size);
    return native.ok && native.steps < REP_MAX;
}

/* Behind the instruction: a jump to native_code_land. How many bytes. */
static unsigned put_way_back(const struct vector *v, uint8_t *at)
{
    uint64_t land_at = PAGES + (uint64_t)(native_code_land - native_code_begin);
    unsigned n = 0;
    if (v->mode == DECODE_64) {
        at[0] = 0xe9; /* JMP rel32 */
        le32_store(at + 1, (uint32_t)(land_at - (v->before.rip + v->len + 5)));
        return 5;
    }
    if (v->mode == DECODE_16)
        at[n++] = 0x66;
    at[n++] = 0xea; /* JMP ptr16:32 */
    le32_store(at + n, (uint32_t)land_at);
    le16_store(at + n + 4, USER_CS);
    return n + 6;
}

static void collect(struct vector *v)
{
    const struct native_data *d = native.data;
    struct vector_state *t = &v->after;
    memset(t, 0, offsetof(struct vector_state, mem));
    memcpy(t->gpr, d->gpr_out, sizeof t->gpr);
    t->rip = v->before.rip + v->len;
    t->rflags = (d->flags_out & (F_OSZAPC | F_DF | F_AC)) | 0x202;
    memcpy(t->sel, v->before.sel, sizeof t->sel);
    if (v->mode == DECODE_64) {
        t->seg_base[0] = d->fs_out;
        t->seg_base[1] = d->gs_out;
    } else {
        memcpy(t->sel, d->sel_out, sizeof t->sel);
        t->sel[SEG_CS] = v->before.sel[SEG_CS];
    }
    t->fault = VECTOR_NO_FAULT;
    t->fault_code = t->fault_address = 0;
    finish(t, native.data->image_out);
}

static void load_data(const struct vector *v)
{
    struct native_data *d = native.data;
    const struct vector_state *t = &v->before;
    memcpy(d->gpr_in, t->gpr, sizeof t->gpr);
    d->flags_in = t->rflags;
    d->target = t->rip;
    d->far_offset = (uint32_t)t->rip;
    d->far_sel = t->sel[SEG_CS];
    memcpy(d->sel_in, t->sel, sizeof t->sel);
    d->fs_in = t->seg_base[0];
    d->gs_in = t->seg_base[1];
    d->host_fs = native.fs_base;
    d->host_gs = native.gs_base;
    d->kind = v->mode == DECODE_64 ? NATIVE_64 : v->segmented ? NATIVE_SEGMENTED : NATIVE_FLAT_32;
    d->components = XSTATE_X87 | XSTATE_SSE | (native.host.has_avx ? XSTATE_AVX : 0u);
    d->mxcsr_init = 0x1f80;
    store_floating_point(d->image_in, t);
}

bool native_run_direct(struct vector *v, unsigned size)
{
    uint8_t *code = native.code + code_offset(v);
    unsigned used = size;
    prepare(v);
    native.is_direct = true;
    memcpy(code, v->bytes, size);
    if (!native_is_at_end(v))
        used += put_way_back(v, code + size);
    load_data(v);
    native.running = true;
    ((void (*)(void))(uintptr_t)(PAGES + (native_code_enter - native_code_begin)))();
    if (native.running) {
        native.running = false;
        collect(v);
    }
    memset(code, 0xcc, used);
    return native.ok;
}

bool native_is_taken(const struct vector *v, uint64_t address)
{
    unsigned char there;
    uint64_t page = address & PAGE_MASK, at = page - v->base;
    if (v->mode != DECODE_64)
        at = (uint32_t)at;
    bool is_ours = (at >= VECTOR_MEM && at < VECTOR_DATA_END) || at == VECTOR_CODE ||
                   (at >= VECTOR_MEM + VECTOR_ALIAS && at < VECTOR_DATA_END + VECTOR_ALIAS);
    return !is_ours && mincore((void *)page, 4096, &there) == 0;
}
