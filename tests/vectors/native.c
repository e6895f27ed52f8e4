/* SPDX-License-Identifier: MIT */
/*
 * sigreturn as the loader of a whole CPU state. Signal handlers have no argument of ours, so this
 * file has mutable file-scope state; it is a host tool, not part of the library.
 */
#include "tests/vectors/native.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/endian.h"

/* clang-format off */
/* Indices of gregset_t: <sys/ucontext.h> has them, but its names are the decoder's. */
enum {
    G_R8, G_R9, G_R10, G_R11, G_R12, G_R13, G_R14, G_R15, G_RDI, G_RSI, G_RBP, G_RBX, G_RDX, G_RAX, G_RCX, G_RSP,
    G_RIP, G_EFL, G_CSGSFS, G_ERR, G_TRAPNO, G_OLDMASK, G_CR2,
};

/* clang-format on */
enum {
    FX_ST = 32,
    FX_XMM = 160,
    FX_SW = 464, /* Linux: which components the frame holds */
    FX_HEADER = 512,
    FX_YMM = 576, /* the AVX component in the standard format; SDM Vol. 1, "XSAVE Area" */
    FRAME_MAX = 16384,
    REP_MAX = 4000,
};
enum { XSTATE_X87 = 1, XSTATE_SSE = 2, XSTATE_AVX = 4 };

static struct {
    uint8_t *mem;              /* writable alias of VECTOR_MEM */
    uint8_t *code;             /* writable alias of VECTOR_CODE */
    struct vector *v;          /* being run */
    bool is_rep;               /* step while RIP stays */
    unsigned steps;            /* taken */
    volatile bool running;     /* the instruction is, not the recorder */
    bool ok;                   /* after is filled */
    bool has_avx;              /* this CPU and its system keep YMM registers */
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

static const int greg_of[16] = {G_RAX, G_RCX, G_RDX, G_RBX, G_RSP, G_RBP, G_RSI, G_RDI,
                                G_R8,  G_R9,  G_R10, G_R11, G_R12, G_R13, G_R14, G_R15};

static void store_floating_point(uint8_t *fx, const struct vector_state *t)
{
    le16_store(fx, t->fcw);
    le16_store(fx + 2, t->fsw);
    memset(fx + 4, 0, 20);
    fx[4] = t->ftw;
    le32_store(fx + 24, t->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = vector_st(t, i);
        memset(fx + FX_ST + 16 * i, 0, 16);
        le64_store(fx + FX_ST + 16 * i, t->fp_mant[r]);
        le16_store(fx + FX_ST + 16 * i + 8, t->fp_se[r]);
    }
    for (unsigned i = 0; i < 16; i++) {
        le64_store(fx + FX_XMM + 16 * i, t->xmm[i][0]);
        le64_store(fx + FX_XMM + 16 * i + 8, t->xmm[i][1]);
    }
    memset(fx + FX_HEADER, 0, 64);
    fx[FX_HEADER] = XSTATE_X87 | XSTATE_SSE; /* XSTATE_BV; the rest is in its initial state */
    if (!native.has_avx)
        return;
    fx[FX_HEADER] |= XSTATE_AVX;
    for (unsigned i = 0; i < 16; i++) {
        le64_store(fx + FX_YMM + 16 * i, t->ymm_high[i][0]);
        le64_store(fx + FX_YMM + 16 * i + 8, t->ymm_high[i][1]);
    }
}

static void load_floating_point(const uint8_t *fx, struct vector_state *t)
{
    t->fcw = le16_load(fx);
    t->fsw = le16_load(fx + 2);
    t->ftw = fx[4];
    t->mxcsr = le32_load(fx + 24);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = vector_st(t, i);
        t->fp_mant[r] = le64_load(fx + FX_ST + 16 * i);
        t->fp_se[r] = le16_load(fx + FX_ST + 16 * i + 8);
    }
    for (unsigned i = 0; i < 16; i++) {
        t->xmm[i][0] = le64_load(fx + FX_XMM + 16 * i);
        t->xmm[i][1] = le64_load(fx + FX_XMM + 16 * i + 8);
    }
    for (unsigned i = 0; i < 16 && native.has_avx; i++) {
        t->ymm_high[i][0] = le64_load(fx + FX_YMM + 16 * i);
        t->ymm_high[i][1] = le64_load(fx + FX_YMM + 16 * i + 8);
    }
}

/* A frame without a component's bit leaves the component in its initial state, not in the frame. */
static void init_missing(uint8_t *fx)
{
    if (!(fx[FX_HEADER] & XSTATE_X87)) {
        memset(fx, 0, 24);
        le16_store(fx, 0x37f);
        memset(fx + FX_ST, 0, 128);
    }
    if (!(fx[FX_HEADER] & XSTATE_SSE))
        memset(fx + FX_XMM, 0, 256);
    if (native.has_avx && !(fx[FX_HEADER] & XSTATE_AVX))
        memset(fx + FX_YMM, 0, 256);
}

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
    g[G_RIP] = VECTOR_INSN;
    g[G_EFL] = (greg_t)(t->rflags | F_TF);
    g[G_CSGSFS] = (greg_t)(UINT64_C(0x2b) << 48 | (v->mode == DECODE_64 ? 0x33 : 0x23));
    store_floating_point(fx, t);
    native.running = true;
    write_bases(v->mode == DECODE_64 ? t->seg_base[0] : native.fs_base,
                v->mode == DECODE_64 ? t->seg_base[1] : native.gs_base);
}

static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void save_after(ucontext_t *uc, uint64_t fs, uint64_t gs)
{
    const greg_t *g = uc->uc_mcontext.gregs;
    struct vector_state *t = &native.v->after;
    uint8_t *fx = (uint8_t *)uc->uc_mcontext.fpregs;
    memset(t, 0, sizeof(*t));
    for (unsigned i = 0; i < 16; i++)
        t->gpr[i] = (uint64_t)g[greg_of[i]];
    t->rip = (uint64_t)g[G_RIP];
    t->rflags = ((uint64_t)g[G_EFL] & (F_OSZAPC | F_DF | F_AC)) | 0x202;
    if (native.v->mode == DECODE_64) {
        t->seg_base[0] = fs;
        t->seg_base[1] = gs;
    }
    init_missing(fx);
    load_floating_point(fx, t);
    memcpy(t->mem, native.mem, VECTOR_MEM_SIZE);
    unsigned vector = (unsigned)g[G_TRAPNO];
    t->fault = vector == 1 ? VECTOR_NO_FAULT : (uint8_t)vector;
    if (vector != 1 && has_error_code(vector))
        t->fault_code = (uint64_t)g[G_ERR];
    if (vector == 14)
        t->fault_address = (uint64_t)g[G_CR2];
    native.ok = true;
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
    (void)info;
    if (!native.running)
        _exit(100 + signal_number);
    write_bases(native.fs_base, native.gs_base);
    if (native.is_rep && g[G_TRAPNO] == 1 && g[G_RIP] == VECTOR_INSN && ++native.steps < REP_MAX) {
        write_bases(fs, gs);
        return;
    }
    native.running = false;
    save_after(uc, fs, gs);
    memcpy(g, native.gregs, sizeof(native.gregs));
    memcpy(uc->uc_mcontext.fpregs, native.frame, native.frame_size);
    uc->uc_flags |= 6; /* UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS */
}

static bool map_pages(void)
{
    int fd = (int)syscall(SYS_memfd_create, "vector", 0);
    size_t total = VECTOR_MEM_SIZE + 4096;
    if (fd < 0 || ftruncate(fd, (off_t)total) != 0)
        return false;
    uint8_t *alias = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int flags = MAP_SHARED | MAP_FIXED_NOREPLACE |
                      MAP_POPULATE; /* else a write to the first page finds it absent */
    void *ro = mmap((void *)VECTOR_MEM, 4096, PROT_READ, flags, fd, 0);
    void *rw = mmap((void *)VECTOR_DATA, 8192, PROT_READ | PROT_WRITE, flags, fd, 4096);
    void *code = mmap((void *)VECTOR_CODE, 4096, PROT_READ | PROT_EXEC, flags, fd, VECTOR_MEM_SIZE);
    native.mem = alias;
    native.code = alias + VECTOR_MEM_SIZE;
    close(fd);
    return alias != MAP_FAILED && ro == (void *)VECTOR_MEM && rw == (void *)VECTOR_DATA &&
           code == (void *)VECTOR_CODE;
}

bool native_init(void)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    stack_t stack = {
        .ss_sp = mmap(NULL, 262144, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        .ss_size = 262144};
    struct sigaction action = {.sa_sigaction = land, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (!map_pages()) {
        perror(
            "cannot map the pages at 3000h to 9fffh (run as root, or set vm.mmap_min_addr to 0)");
        return false;
    }
    native.has_avx = __builtin_cpu_supports("avx");
    sigfillset(&action.sa_mask);
    if (sigaltstack(&stack, NULL) != 0)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &action, NULL);
    action.sa_sigaction = launch;
    sigaction(SIGUSR1, &action, NULL);
    /* 32-bit code needs a data segment; 64-bit processes start with null ones. */
    __asm__ volatile("movl $0x2b, %%eax\n\tmovl %%eax, %%ds\n\tmovl %%eax, %%es" : : : "eax");
    return true;
}

bool native_run(struct vector *v, bool is_rep)
{
    native.v = v;
    native.is_rep = is_rep;
    native.steps = 0;
    native.ok = false;
    if (!native.has_avx)
        memset(v->before.ymm_high, 0, sizeof v->before.ymm_high);
    memcpy(native.mem, v->before.mem, VECTOR_MEM_SIZE);
    memset(native.code, 0xcc, 4096);
    memcpy(native.code + (VECTOR_INSN - VECTOR_CODE), v->bytes, v->len);
    raise(SIGUSR1);
    return native.ok && native.steps < REP_MAX;
}
