/* SPDX-License-Identifier: MIT */
/* Sensitive instructions that no other guest has a reason to execute, so that each row of the
 * instruction table has run somewhere (tests/vectors/rows.c): LDS and relatives, INS and OUTS of
 * words, RDTSCP, RDPID, VMMCALL, INVD, WBINVD. SDM Vol. 2, each under its name. */
#include "roms/lib/chips.h"

enum { SCRATCH = 0xE0, MSR_TSC_AUX = 0xC0000103, HYPERVISOR = 0x40000000 };

struct far_pointer {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed));

/* ---- far pointers ---- */

#define LOAD_FAR(insn, seg, far, offset, selector)                                                 \
    __asm__ volatile(insn " %2, %0\n\tmov %%" seg ", %1"                                           \
                     : "=&r"(offset), "=&r"(selector)                                              \
                     : "m"(far))

static void far_pointers(void)
{
    struct far_pointer far = {0x12345678, SEL_DS0};
    uint32_t offset, selector;
    LOAD_FAR("lss", "ss", far, offset, selector);
    check("LSS: offset and selector", offset == 0x12345678 && (uint16_t)selector == SEL_DS0);
    far.selector = SEL_DS3;
    offset = 1;
    __asm__ volatile(TRY "lss %1, %0" END_TRY : "+r"(offset) : "m"(far) : "memory");
    check_fault("LSS of a segment that is no stack of this CPL", EXC_GP, SEL_DS3 & ~3u);
    check_equal("leaves the register", 1, offset);
    LOAD_FAR("lgs", "gs", far, offset, selector);
    check("LGS: offset and selector", offset == 0x12345678 && (uint16_t)selector == SEL_DS3);
    __asm__ volatile("mov %0, %%gs" : : "r"(0));
}

#if defined(__i386__)
static void far_pointers_of_old(void)
{
    static struct far_pointer far = {0x9ABCDEF0, SEL_DS3}; /* not on the stack, which moves */
    uint32_t offset, es, ds;
    __asm__ volatile("les %2, %0\n\tmov %%es, %1\n\tpush %%ds\n\tpop %%es"
                     : "=&r"(offset), "=&r"(es)
                     : "m"(far));
    check("LES: offset and selector", offset == 0x9ABCDEF0 && (uint16_t)es == SEL_DS3);
    __asm__ volatile("push %%ds\n\tlds %2, %0\n\tmov %%ds, %1\n\tpop %%ds"
                     : "=&r"(offset), "=&r"(ds)
                     : "m"(far));
    check("LDS: offset and selector", offset == 0x9ABCDEF0 && (uint16_t)ds == SEL_DS3);
    far.selector = SEL_TSS;
    __asm__ volatile(TRY "lds %1, %0" END_TRY : "=r"(offset) : "m"(far) : "memory");
    check_fault("LDS of a TSS", EXC_GP, SEL_TSS);
}
#endif

/* ---- string I/O ---- */

static void string_out(const char *text, const void *from, unsigned count, unsigned size)
{
    reg_t si = (reg_t)from, cx = count;
    if (size == 2)
        __asm__ volatile("rep outsw" : "+S"(si), "+c"(cx) : "d"(SCRATCH) : "memory");
    else
        __asm__ volatile("rep outsl" : "+S"(si), "+c"(cx) : "d"(SCRATCH) : "memory");
    check(text, cx == 0 && si == (reg_t)from + count * size);
}

static void string_in(const char *text, void *to, unsigned count, unsigned size)
{
    reg_t di = (reg_t)to, cx = count;
    if (size == 2)
        __asm__ volatile("rep insw" : "+D"(di), "+c"(cx) : "d"(SCRATCH) : "memory");
    else
        __asm__ volatile("rep insl" : "+D"(di), "+c"(cx) : "d"(SCRATCH) : "memory");
    check(text, cx == 0 && di == (reg_t)to + count * size);
}

static void string_io(void)
{
    static const uint32_t longs[3] = {0x11112222, 0x33334444, 0xCAFE8086};
    static const uint16_t words[3] = {1, 2, 0x1234};
    uint32_t got[4] = {0};
    reg_t di = (reg_t)&got[3];
    if (!testdev_is_present()) {
        skip("INS, OUTS", "run with -device pc-testdev");
        return;
    }
    string_out("REP OUTSD counts and moves", longs, 3, 4);
    check_equal("the last doubleword arrived last", longs[2], in32(SCRATCH));
    string_in("REP INSD counts and moves", got, 2, 4);
    check("doublewords came in", got[0] == longs[2] && got[1] == longs[2] && got[2] == 0);
    string_out("REP OUTSW counts and moves", words, 3, 2);
    check_equal("the last word arrived last", 0xCAFE1234, in32(SCRATCH));
    string_in("REP INSW counts and moves", got, 1, 2);
    check_equal("one word came in", 0xCAFE1234, got[0]);
    __asm__ volatile("std\n\tinsw\n\tcld" : "+D"(di) : "d"(SCRATCH) : "memory");
    check("INSW goes down with DF = 1", di == (reg_t)&got[3] - 2 && got[3] == 0x1234);
}

static reg_t ring3_io(reg_t arg)
{
    (void)arg;
    __asm__ volatile(TRY "outsw" END_TRY : : "d"(SCRATCH), "S"(user_stack) : "memory");
    return 0;
}

/* ---- clocks ---- */

static uint64_t tscp(uint32_t *aux)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(*aux));
    return (uint64_t)hi << 32 | lo;
}

static reg_t ring3_tscp(reg_t arg)
{
    __asm__ volatile(TRY "rdtscp" END_TRY : : : "eax", "edx", "ecx", "memory");
    return arg;
}

static void clocks(void)
{
    uint32_t aux;
    reg_t pid = (reg_t)-1;
    uint64_t before = read_tsc(), now;
    write_msr(MSR_TSC_AUX, 0x89ABCDEF);
    now = tscp(&aux);
    check("RDTSCP: the TSC", now > before && read_tsc() > now);
    check_equal("RDTSCP: IA32_TSC_AUX", 0x89ABCDEF, aux);
    __asm__ volatile("rdpid %0" : "+r"(pid));
    check_equal("RDPID: IA32_TSC_AUX, zero-extended", 0x89ABCDEF, pid);
    ring3(ring3_tscp, 0);
    check_no_fault("RDTSCP at CPL 3");
    write_cr4(read_cr4() | CR4_TSD);
    ring3(ring3_tscp, 0);
    check_fault("and with CR4.TSD", EXC_GP, 0);
    write_cr4(read_cr4() & ~(reg_t)CR4_TSD);
}

/* ---- the rest ---- */

static reg_t vmmcall(reg_t number)
{
    reg_t result = number;
    __asm__ volatile("vmmcall" : "+a"(result) : : "memory");
    return result;
}

static void hypercalls(void)
{
    struct cpuid leaf = cpuid(HYPERVISOR, 0);
    if (leaf.b != 0x4B4D564B) { /* "KVMK" */
        skip("VMMCALL", "no KVM leaf in CPUID");
        return;
    }
    check_equal("VMMCALL of an unknown hypercall: -ENOSYS", (reg_t)-1000, vmmcall(9999));
    check_equal("from CPL 3: -EPERM", (reg_t)-1, ring3(vmmcall, 9999));
}

static reg_t ring3_invd(reg_t arg)
{
    __asm__ volatile(TRY "invd" END_TRY : : : "memory");
    return arg;
}

static reg_t ring3_wbinvd(reg_t arg)
{
    __asm__ volatile(TRY "wbinvd" END_TRY : : : "memory");
    return arg;
}

static void caches(void)
{
    static volatile uint32_t word;
    word = 0x55AA55AA;
    __asm__ volatile("wbinvd" : : : "memory");
    check_equal("WBINVD keeps memory", 0x55AA55AA, word);
    __asm__ volatile("invd" : : : "memory");
    check_equal("INVD keeps what was written back", 0x55AA55AA, word);
    ring3(ring3_wbinvd, 0);
    check_fault("WBINVD at CPL 3", EXC_GP, 0);
    ring3(ring3_invd, 0);
    check_fault("INVD at CPL 3", EXC_GP, 0);
}

int main(void)
{
    far_pointers();
#if defined(__i386__)
    far_pointers_of_old();
#endif
    string_io();
    ring3(ring3_io, 0);
    check_fault("OUTSW at CPL 3 without IOPL", EXC_GP, 0);
    clocks();
    hypercalls();
    caches();
    return checks_result();
}
