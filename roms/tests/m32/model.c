/* SPDX-License-Identifier: MIT */
/*
 * A CPU model is what it says: CPUID as the part named on the command line ("model=NAME"), every
 * instruction, control bit and MSR there exactly if CPUID shows its feature, or if the part has it
 * without telling. Intel SDM Vol. 2A, "CPUID"; Vol. 4.
 */
#include "roms/lib/traps.h"

enum reg { EDX1, ECX1, EBX7, ECX7, EDX81, ECX81, P5, P6, CORE };

/* What the part has that CPUID does not tell: by its family. */
struct part {
    const char *name;   /* of the model */
    uint32_t signature; /* leaf 1, EAX */
    uint32_t edx, ecx;  /* leaf 1, without OSXSAVE, and ECX without HYPERVISOR */
    uint32_t max_leaf;  /* leaf 0 */
    bool is_p5, is_p6, is_core;
};

static const struct part parts[] = {
    {"486", 0x483, 0x00000003, 0, 1, false, false, false},
    {"pentium", 0x543, 0x008003bf, 0, 1, true, false, false},
    {"pentium2", 0x652, 0x0183fbff, 0, 2, true, true, false},
    {"pentium3", 0x673, 0x0383fbff, 0, 2, true, true, false},
    {"core2duo", 0x6fb, 0x078bfbff, 0x00002201, 10, true, true, true},
    {"x86-64-v2", 0x106a3, 0x078bfbff, 0x00b82201, 11, true, true, true},
    {"x86-64-v3", 0x306c3, 0x078bfbff, 0x35fa3201, 13, true, true, true},
};

static const struct part *part;

static struct cpuid leaf_if(uint32_t leaf, uint32_t base)
{
    struct cpuid none = {0, 0, 0, 0}, top = cpuid(base, 0);
    return top.a >= leaf && top.a < base + 0x10000 ? cpuid(leaf, 0) : none;
}

static bool shows(enum reg reg, unsigned bit)
{
    uint32_t v = 0;
    switch (reg) {
    case EDX1:
        v = cpuid(1, 0).d;
        break;
    case ECX1:
        v = cpuid(1, 0).c;
        break;
    case EBX7:
        v = leaf_if(7, 0).b;
        break;
    case ECX7:
        v = leaf_if(7, 0).c;
        break;
    case EDX81:
        v = leaf_if(0x80000001, 0x80000000).d;
        break;
    case ECX81:
        v = leaf_if(0x80000001, 0x80000000).c;
        break;
    case P5:
        return part->is_p5;
    case P6:
        return part->is_p6;
    case CORE:
        return part->is_core;
    }
    return v >> bit & 1;
}

static void identity(const char *name)
{
    struct cpuid one = cpuid(1, 0);
    for (unsigned i = 0; i < COUNT(parts); i++)
        if (strlen(name) == strlen(parts[i].name) && !memcmp(name, parts[i].name, strlen(name)))
            part = &parts[i];
    if (!check("a model that this guest knows", part != NULL))
        guest_exit(1);
    check_equal("the highest leaf", part->max_leaf, cpuid(0, 0).a);
    check_equal("the signature", part->signature, one.a);
    check_equal("features in EDX", part->edx, one.d & ~(1u << 28));
    check_equal("features in ECX", part->ecx, one.c & ~(1u << 27 | 1u << 31));
    check("extended leaves exactly with long mode",
          (cpuid(0x80000000, 0).a >= 0x80000001) == part->is_core);
}

/* An instruction without consequences; what announces it. */
static const struct {
    const char *name;
    uint8_t code[12];
    uint8_t len;
    uint8_t reg, bit;
} instructions[] = {
    {"BSWAP", {0x0f, 0xc8}, 2, EDX1, 0}, /* every 486 */
    {"RDTSC", {0x0f, 0x31}, 2, EDX1, 4},
    {"CMPXCHG8B", {0x0f, 0xc7, 0x0d, 0, 0, 0, 0}, 7, EDX1, 8},
    {"CMOVO", {0x0f, 0x40, 0xc0}, 3, EDX1, 15},
    {"FCMOVB", {0xda, 0xc0}, 2, EDX1, 15},
    {"FCOMI", {0xdb, 0xf0}, 2, EDX1, 15},
    {"EMMS", {0x0f, 0x77}, 2, EDX1, 23},
    {"PADDB mm", {0x0f, 0xfc, 0xc0}, 3, EDX1, 23},
    {"PSHUFW mm", {0x0f, 0x70, 0xc0, 0}, 4, EDX1, 25},
    {"SFENCE", {0x0f, 0xae, 0xf8}, 3, EDX1, 25},
    {"ADDPS", {0x0f, 0x58, 0xc0}, 3, EDX1, 25},
    {"ADDPD", {0x66, 0x0f, 0x58, 0xc0}, 4, EDX1, 26},
    {"PADDQ mm", {0x0f, 0xd4, 0xc0}, 3, EDX1, 26},
    {"LFENCE", {0x0f, 0xae, 0xe8}, 3, EDX1, 26},
    {"MFENCE", {0x0f, 0xae, 0xf0}, 3, EDX1, 26},
    {"HADDPS", {0xf2, 0x0f, 0x7c, 0xc0}, 4, ECX1, 0},
    {"PABSB xmm", {0x66, 0x0f, 0x38, 0x1c, 0xc0}, 5, ECX1, 9},
    {"PMAXSB", {0x66, 0x0f, 0x38, 0x3c, 0xc0}, 5, ECX1, 19},
    {"CRC32", {0xf2, 0x0f, 0x38, 0xf0, 0xc0}, 5, ECX1, 20},
    {"PCMPGTQ", {0x66, 0x0f, 0x38, 0x37, 0xc0}, 5, ECX1, 20},
    {"POPCNT", {0xf3, 0x0f, 0xb8, 0xc0}, 4, ECX1, 23},
    {"MOVBE", {0x0f, 0x38, 0xf0, 0x05, 0, 0, 0, 0}, 8, ECX1, 22},
    {"AESENC", {0x66, 0x0f, 0x38, 0xdc, 0xc0}, 5, ECX1, 25},
    {"RDRAND", {0x0f, 0xc7, 0xf0}, 3, ECX1, 30},
    {"VZEROUPPER", {0xc5, 0xf8, 0x77}, 3, ECX1, 28},
    {"VADDPS ymm", {0xc5, 0xfc, 0x58, 0xc0}, 4, ECX1, 28},
    {"VPADDB ymm", {0xc5, 0xfd, 0xfc, 0xc0}, 4, EBX7, 5},
    {"VFMADD132PS", {0xc4, 0xe2, 0x7d, 0x98, 0xc0}, 5, ECX1, 12},
    {"VCVTPH2PS", {0xc4, 0xe2, 0x79, 0x13, 0xc0}, 5, ECX1, 29},
    {"ANDN", {0xc4, 0xe2, 0x78, 0xf2, 0xc0}, 5, EBX7, 3},
    {"BZHI", {0xc4, 0xe2, 0x78, 0xf5, 0xc0}, 5, EBX7, 8},
    {"ADCX", {0x66, 0x0f, 0x38, 0xf6, 0xc0}, 5, EBX7, 19},
    {"SHA1NEXTE", {0x0f, 0x38, 0xc8, 0xc0}, 4, EBX7, 29},
    {"GF2P8MULB", {0x66, 0x0f, 0x38, 0xcf, 0xc0}, 5, ECX7, 8},
    {"CLAC", {0x0f, 0x01, 0xca}, 3, EBX7, 20},
    {"RDTSCP", {0x0f, 0x01, 0xf9}, 3, EDX81, 27},
    {"NOP r/m", {0x0f, 0x1f, 0xc0}, 3, P6, 0},
    {"RDPMC", {0x0f, 0x33}, 2, P5, 0},
};

/* Run fn, an instruction and RET. */
static void try_code(const void *fn)
{
    __asm__ volatile("mov %%esp, %%edi\n\t" TRY "call *%0" END_TRY "mov %%edi, %%esp"
                     :
                     : "S"(fn)
                     : "eax", "ebx", "ecx", "edx", "edi", "memory", "cc");
}

static void agrees(const char *name, bool is_shown)
{
    bool is_ud = caught.vector == EXC_UD;
    if (!check(name, is_shown == !is_ud))
        print("     CPUID shows it: %u, exception %x\n", is_shown, (unsigned)caught.vector);
}

static void run_instructions(void)
{
    static uint8_t code[32];
    static uint8_t memory[16] __attribute__((aligned(16)));
    for (unsigned i = 0; i < COUNT(instructions); i++) {
        unsigned n = instructions[i].len;
        uint32_t address = (uint32_t)(uintptr_t)memory;
        memset(code, 0xc3, sizeof(code)); /* RET */
        memcpy(code, instructions[i].code, n);
        if (n > 6) /* disp32 of the one in the 32-bit address space */
            memcpy(code + n - 4, &address, 4);
        try_code(code);
        agrees(instructions[i].name, shows((enum reg)instructions[i].reg, instructions[i].bit));
        if (instructions[i].reg == EDX1 && instructions[i].bit == 23 &&
            caught.vector == NO_EXCEPTION)
            __asm__ volatile("emms");
    }
    __asm__ volatile("fninit");
}

/* TZCNT and LZCNT mean something else without their feature, which is no #UD. */
static void counts(void)
{
    uint32_t t = 0x10, l = 0x10;
    __asm__ volatile(".byte 0xf3, 0x0f, 0xbd, 0xc0" : "+a"(l) : : "cc");
    check_equal("F3 0F BD: LZCNT or BSR", shows(ECX81, 5) ? 27 : 4, l);
    __asm__ volatile("xor %%ebx, %%ebx\n\t.byte 0xf3, 0x0f, 0xbc, 0xc3" : "+a"(t) : : "ebx", "cc");
    check_equal("F3 0F BC of zero: TZCNT, or BSF which leaves DEST", shows(EBX7, 3) ? 32 : 0x10, t);
}

static const struct {
    const char *name;
    uint32_t bit; /* of CR4 */
    uint8_t reg, feature;
} cr4_bits[] = {
    {"CR4.VME", 1u << 0, EDX1, 1},
    {"CR4.TSD", 1u << 2, EDX1, 4},
    {"CR4.DE", 1u << 3, EDX1, 2},
    {"CR4.PSE", 1u << 4, EDX1, 3},
    {"CR4.MCE", 1u << 6, EDX1, 7},
    {"CR4.PGE", 1u << 7, EDX1, 13},
    {"CR4.PCE", 1u << 8, P5, 0},
    {"CR4.OSFXSR", 1u << 9, EDX1, 24},
    {"CR4.OSXMMEXCPT", 1u << 10, EDX1, 25},
    {"CR4.UMIP", 1u << 11, ECX7, 2},
    {"CR4.FSGSBASE", 1u << 16, EBX7, 0},
    {"CR4.OSXSAVE", 1u << 18, ECX1, 26},
    {"CR4.PKE", 1u << 22, ECX7, 3},
};

static void control_bits(void)
{
    for (unsigned i = 0; i < COUNT(cr4_bits); i++) {
        reg_t old = read_cr4();
        __asm__ volatile(TRY "mov %0, %%cr4" END_TRY : : "r"(old | cr4_bits[i].bit) : "memory");
        bool is_set = caught.vector == NO_EXCEPTION;
        if (is_set)
            write_cr4(old);
        else if (caught.vector != EXC_GP)
            check_equal("#GP, not another exception", EXC_GP, caught.vector);
        check(cr4_bits[i].name, is_set == shows((enum reg)cr4_bits[i].reg, cr4_bits[i].feature));
    }
}

static const struct {
    const char *name;
    uint32_t number;
    uint8_t reg, feature;
} msrs[] = {
    {"IA32_TIME_STAMP_COUNTER", 0x10, EDX1, 4},
    {"IA32_APIC_BASE", 0x1b, P6, 0},
    {"IA32_MTRRCAP", 0xfe, EDX1, 12},
    {"IA32_SYSENTER_CS", 0x174, EDX1, 11},
    {"IA32_MCG_CAP", 0x179, EDX1, 14},
    {"IA32_MISC_ENABLE", 0x1a0, CORE, 0},
    {"IA32_DEBUGCTL", 0x1d9, P6, 0},
    {"IA32_PAT", 0x277, EDX1, 16},
    {"IA32_TSC_DEADLINE", 0x6e0, ECX1, 24},
    {"IA32_TSC_ADJUST", 0x3b, EBX7, 1},
    {"IA32_EFER", 0xc0000080, EDX81, 29},
    {"IA32_LSTAR", 0xc0000082, EDX81, 29},
    {"IA32_KERNEL_GS_BASE", 0xc0000102, EDX81, 29},
    {"IA32_TSC_AUX", 0xc0000103, EDX81, 27},
    {"IA32_SPEC_CTRL", 0x48, EBX7, 31}, /* none of these parts */
};

static void model_specific(void)
{
    if (!shows(EDX1, 5)) {
        __asm__ volatile(TRY "rdmsr" END_TRY : : "c"(0x10) : "eax", "edx", "memory");
        check_fault("RDMSR is not there", EXC_UD, 0);
        __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(0x10), "a"(0), "d"(0) : "memory");
        check_fault("nor is WRMSR", EXC_UD, 0);
        return;
    }
    for (unsigned i = 0; i < COUNT(msrs); i++) {
        __asm__ volatile(TRY "rdmsr" END_TRY : : "c"(msrs[i].number) : "eax", "edx", "memory");
        bool is_there = caught.vector == NO_EXCEPTION;
        if (!is_there && caught.vector != EXC_GP)
            check_equal("#GP, not another exception", EXC_GP, caught.vector);
        check(msrs[i].name, is_there == shows((enum reg)msrs[i].reg, msrs[i].feature));
    }
    if (shows(EDX81, 29))
        return;
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(MSR_EFER), "a"(EFER_LME), "d"(0) : "memory");
    check_fault("no way to long mode", EXC_GP, 0);
}

static void flag_bits(void)
{
    const reg_t bits = FLAG_AC | FLAG_ID;
    reg_t old = read_flags();
    write_flags(old | bits);
    check_equal("AC and ID can be set", bits, read_flags() & bits);
    write_flags(old & ~bits);
    check_equal("and cleared", 0, read_flags() & bits);
}

/* "model=NAME" of the Multiboot command line. */
static const char *model_name(void)
{
    static char name[32];
    const uint32_t *info = (const uint32_t *)(uintptr_t)boot_info;
    const char *line = (const char *)(uintptr_t)info[4];
    for (; info[0] & 4 && *line; line++)
        if (!memcmp(line, "model=", 6))
            break;
    if (!(info[0] & 4) || !*line)
        return "";
    line += 6;
    for (unsigned i = 0; i + 1 < sizeof(name) && line[i] > ' '; i++)
        name[i] = line[i];
    return name;
}

int main(void)
{
    const char *name = model_name();
    if (!*name) {
        skip("CPU models", "no model=NAME on the command line");
        check("nothing", true);
        return checks_result();
    }
    identity(name);
    write_cr0((read_cr0() | CR0_MP | CR0_NE) & ~(reg_t)(CR0_EM | CR0_TS));
    control_bits();
    if (shows(EDX1, 24))
        write_cr4(read_cr4() | CR4_OSFXSR | (shows(EDX1, 25) ? CR4_OSXMMEXCPT : 0));
    if (part->is_p5)
        write_cr4(read_cr4() | 1u << 8); /* PCE */
    if (shows(ECX1, 26)) {
        write_cr4(read_cr4() | CR4_OSXSAVE);
        __asm__ volatile("xsetbv" : : "c"(0), "a"(shows(ECX1, 28) ? 7 : 3), "d"(0));
    }
    run_instructions();
    counts();
    model_specific();
    flag_bits();
    return checks_result();
}
