/* SPDX-License-Identifier: MIT */
/* Model-specific registers: every bit of each is toggled by itself, and #GP comes for the reserved
 * ones only. Machine-check banks, MTRRs and PAT. SDM Vol. 4; Vol. 3A, "Memory Type Range
 * Registers"; Vol. 3B, "Machine-Check Architecture". */
#include "roms/lib/chips.h"

#define HIGH_40 UINT64_C(0xFFFFFF0000000000) /* beyond the physical address width */
#define HIGH_32 UINT64_C(0xFFFFFFFF00000000)
#define NOT_CANONICAL UINT64_C(0xFFFF800000000000) /* one of these bits alone */
#define TYPES UINT64_C(0xFAFAFAFAFAFAFAFA)         /* from UC: WC and WT only are one bit away */
#define ALL UINT64_MAX
#define CR4_MCE 0x40u

static const struct row {
    const char *name;  /* the manual's */
    uint32_t msr;      /* number */
    bool from_zero;    /* toggled from 0, else from what it reads as */
    uint64_t reserved; /* bits whose toggling is #GP(0) */
} rows[] = {
    {"IA32_TSC", 0x10, false, 0},
    {"IA32_PLATFORM_ID", 0x17, false, ALL},
    {"IA32_TSC_ADJUST", 0x3B, false, 0},
    {"IA32_SPEC_CTRL", 0x48, false, ~UINT64_C(0x407)},
    {"PLATFORM_INFO", 0xCE, false, ALL},
    {"IA32_MTRRCAP", 0xFE, false, ALL},
    {"IA32_ARCH_CAPABILITIES", 0x10A, false, ALL},
    {"IA32_SYSENTER_CS", 0x174, true, HIGH_32},
    {"IA32_SYSENTER_ESP", 0x175, true, NOT_CANONICAL},
    {"IA32_SYSENTER_EIP", 0x176, true, NOT_CANONICAL},
    {"IA32_MCG_CAP", 0x179, false, ALL},
    {"IA32_MCG_STATUS", 0x17A, true, ~UINT64_C(7)},
    {"IA32_MCG_CTL", 0x17B, true, ALL},
    {"IA32_MISC_ENABLE", 0x1A0, false,
     ~(UINT64_C(0xC51889) | UINT64_C(1) << 34 | UINT64_C(1) << 38)},
    {"IA32_DEBUGCTL", 0x1D9, true, ~UINT64_C(0x1803)},
    {"IA32_MTRR_PHYSBASE0", 0x200, true, HIGH_40 | 0xFFA},
    {"IA32_MTRR_PHYSMASK0", 0x201, true, HIGH_40 | 0x7FF},
    {"IA32_MTRR_PHYSBASE7", 0x20E, true, HIGH_40 | 0xFFA},
    {"IA32_MTRR_PHYSMASK7", 0x20F, true, HIGH_40 | 0x7FF},
    {"IA32_MTRR_FIX64K_00000", 0x250, true, TYPES},
    {"IA32_MTRR_FIX16K_A0000", 0x259, true, TYPES},
    {"IA32_MTRR_FIX4K_F8000", 0x26F, true, TYPES},
    {"IA32_PAT", 0x277, true, TYPES},
    {"IA32_MTRR_DEF_TYPE", 0x2FF, true, ~UINT64_C(0xC05)},
    {"IA32_MC0_CTL", 0x400, false, 0},
    {"IA32_MC0_STATUS", 0x401, false, ALL},
    {"IA32_MC0_ADDR", 0x402, false, ALL},
    {"IA32_MC9_MISC", 0x427, false, ALL},
    {"IA32_EFER", 0xC0000080, false,
     ~UINT64_C(0xD01) | (IS_64 ? 1 << 8 : 0)}, /* LME stays while paging is on; LMA is ignored */
    {"IA32_STAR", 0xC0000081, true, 0},
    {"IA32_LSTAR", 0xC0000082, true, NOT_CANONICAL},
    {"IA32_CSTAR", 0xC0000083, true, NOT_CANONICAL},
    {"IA32_FMASK", 0xC0000084, true, HIGH_32},
    {"IA32_KERNEL_GS_BASE", 0xC0000102, true, NOT_CANONICAL},
    {"IA32_TSC_AUX", 0xC0000103, true, HIGH_32},
};

static bool refuses(uint32_t msr, uint64_t v)
{
    __asm__ volatile(TRY "wrmsr" END_TRY
                     :
                     : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
                     : "memory");
    return caught.vector == EXC_GP && caught.error == 0;
}

static bool is_unreadable(uint32_t msr)
{
    __asm__ volatile(TRY "rdmsr" END_TRY : : "c"(msr) : "eax", "edx", "memory");
    return caught.vector == EXC_GP;
}

static void sweep(const struct row *r)
{
    uint64_t before, start, faults = 0;
    bool is_kept = true, is_free = r->msr == MSR_TSC || r->msr == 0x3B;
    if (is_unreadable(r->msr)) {
        check(r->name, false);
        return;
    }
    before = read_msr(r->msr);
    start = r->from_zero ? 0 : before;
    for (unsigned i = 0; i < 64; i++) {
        uint64_t v = start ^ UINT64_C(1) << i;
        uint64_t old = read_msr(r->msr);
        if (refuses(r->msr, v)) {
            faults |= UINT64_C(1) << i;
            is_kept = is_kept && (is_free || read_msr(r->msr) == old);
        } else {
            write_msr(r->msr, is_free ? old : before);
        }
    }
    check_equal(r->name, r->reserved, faults);
    if (!is_kept)
        check("a refused write changes nothing", false);
}

static void apic_base(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE), faults = 0;
    for (unsigned i = 0; i < 64; i++)
        if ((i < 8 || i == 9 || i >= 40) && refuses(MSR_APIC_BASE, base ^ UINT64_C(1) << i))
            faults |= UINT64_C(1) << i;
    check_equal("IA32_APIC_BASE", HIGH_40 | 0x2FF, faults);
    check("EXTD without EN", refuses(MSR_APIC_BASE, (base & ~UINT64_C(0x800)) | 0x400));
}

static void absent(void)
{
    static const uint32_t none[] = {0x02,       0x1F,       0x45,       0x185,      0x210,
                                    0x251,      0x270,      0x30C,      0x428,      0x600,
                                    0x7FF,      0x900,      0x1000,     0x40000000, 0xC0000085,
                                    0xC0000104, 0xC0010000, 0xC0011029, 0xFFFFFFFF};
    bool is_right = true;
    for (unsigned i = 0; i < COUNT(none); i++)
        if (!is_unreadable(none[i]) || !refuses(none[i], 0)) {
            print("     %x\n", none[i]);
            is_right = false;
        }
    check("registers that do not exist", is_right);
    check("IA32_PRED_CMD is write-only",
          is_unreadable(0x49) && !refuses(0x49, 1) && refuses(0x49, 2));
    check("so is IA32_BIOS_UPDT_TRIG", is_unreadable(0x79) && !refuses(0x79, 0));
}

static void machine_check(void)
{
    uint64_t cap = read_msr(0x179);
    unsigned banks = cap & 0xFF;
    bool is_quiet = true, is_right = true;
    check_equal("10 banks and IA32_MCG_CTL", 0x10A, cap);
    for (unsigned i = 0; i < banks; i++) {
        is_quiet = is_quiet && read_msr(0x401 + 4 * i) == 0;
        is_right = is_right && !refuses(0x400 + 4 * i, 0x1234) && read_msr(0x400 + 4 * i) == 0x1234;
        is_right = is_right && !refuses(0x401 + 4 * i, 0) && !refuses(0x402 + 4 * i, 0) &&
                   !refuses(0x403 + 4 * i, 0);
        write_msr(0x400 + 4 * i, ALL);
    }
    check("no bank has anything to tell", is_quiet);
    check("each takes its CTL, and 0 in the others", is_right);
    check("IA32_MCG_CTL takes all ones", !refuses(0x17B, ALL) && read_msr(0x17B) == ALL);
    check("and all zeros", !refuses(0x17B, 0) && read_msr(0x17B) == 0);
    check("no bank beyond", is_unreadable(0x400 + 4 * banks));
    write_cr4(read_cr4() | CR4_MCE);
    check("CR4.MCE can be set", read_cr4() & CR4_MCE);
    write_cr4(read_cr4() & ~(reg_t)CR4_MCE);
}

static void memory_types(void)
{
    static const uint8_t good[] = {0, 1, 4, 5, 6};
    uint64_t pat = read_msr(MSR_PAT), fixed = read_msr(0x250), type = read_msr(0x2FF);
    bool is_right = true;
    for (unsigned v = 0; v < 256; v++) {
        bool is_mtrr = false;
        for (unsigned i = 0; i < COUNT(good); i++)
            is_mtrr = is_mtrr || good[i] == v;
        is_right = is_right && refuses(MSR_PAT, (uint64_t)v << 56) == !(is_mtrr || v == 7);
        is_right = is_right && refuses(0x250, (uint64_t)v << 24) == !is_mtrr;
        is_right = is_right && refuses(0x2FF, v) == !is_mtrr;
        is_right = is_right && refuses(0x200, v) == !is_mtrr;
    }
    check("memory types: UC WC WT WP WB, and UC- in PAT", is_right);
    write_msr(MSR_PAT, UINT64_C(0x0001040506070006));
    check_equal("PAT reads back", UINT64_C(0x0001040506070006), read_msr(MSR_PAT));
    write_msr(MSR_PAT, pat);
    write_msr(0x200, 0);
    write_msr(0x202, 0xABCDE00006);
    write_msr(0x203, 0xFFFFE00800);
    check("variable ranges read back",
          read_msr(0x202) == 0xABCDE00006 && read_msr(0x203) == 0xFFFFE00800);
    write_msr(0x202, 0);
    write_msr(0x203, 0);
    write_msr(0x250, fixed);
    write_msr(0x2FF, type);
    check_equal("8 variable ranges, fixed ones, write-combining", 0x508, read_msr(0xFE));
}

static reg_t read_at_3(reg_t msr)
{
    __asm__ volatile(TRY "rdmsr" END_TRY : : "c"(msr) : "eax", "edx", "memory");
    return 0;
}

static reg_t write_at_3(reg_t msr)
{
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(msr), "a"(0), "d"(0) : "memory");
    return 0;
}

int main(void)
{
    pic_off();
    lapic_enable();
    for (unsigned i = 0; i < COUNT(rows); i++)
        sweep(&rows[i]);
    apic_base();
    absent();
    machine_check();
    memory_types();
    ring3(read_at_3, MSR_TSC);
    check_fault("RDMSR at CPL 3", EXC_GP, 0);
    ring3(write_at_3, MSR_TSC);
    check_fault("WRMSR at CPL 3", EXC_GP, 0);
    return checks_result();
}
