/* SPDX-License-Identifier: MIT */
/* The probes: one instruction each, tried at CPL 3, and the table in Popek and Goldberg's terms. */
#include "roms/demo/demo.h"

/* One instruction in ring 3, and what the theory says of it. */
struct probe {
    const char *name;        /* as the manual spells it */
    const char *privileged;  /* does it trap in ring 3? */
    const char *sensitive;   /* does it touch or show the machine's state? */
    const char *ran;         /* what it means that it did not trap */
    reg_t (*attempt)(reg_t); /* the instruction, in TRY */
    unsigned vector;         /* out: NO_EXCEPTION or what it raised */
    unsigned error;          /* out: its error code */
    reg_t value;             /* out: what it returned */
};

static reg_t try_mov_cr0(reg_t v)
{
    __asm__ volatile(TRY "mov %%cr0, %0" END_TRY : "+r"(v) : : "memory");
    return v;
}

static reg_t try_smsw(reg_t v)
{
    __asm__ volatile(TRY "smsw %k0" END_TRY : "+r"(v) : : "memory");
    return v;
}

static reg_t try_sgdt(reg_t v)
{
    struct table_register t = {0, v};
    __asm__ volatile(TRY "sgdt %0" END_TRY : "+m"(t) : : "memory");
    return t.base;
}

static reg_t try_sidt(reg_t v)
{
    struct table_register t = {0, v};
    __asm__ volatile(TRY "sidt %0" END_TRY : "+m"(t) : : "memory");
    return t.base;
}

static reg_t try_popf(reg_t v)
{
    __asm__ volatile(TRY "push $0x202\n\tpopf\n\tpushf\n\tpop %0" END_TRY
                     : "+r"(v)
                     :
                     : "memory", "cc");
    return v;
}

static reg_t try_cli(reg_t v)
{
    __asm__ volatile(TRY "cli" END_TRY : : : "memory");
    return v;
}

static reg_t try_hlt(reg_t v)
{
    __asm__ volatile(TRY "hlt" END_TRY : : : "memory");
    return v;
}

static reg_t try_in(reg_t v)
{
    __asm__ volatile(TRY "mov $0x70, %%edx\n\tin %%dx, %%al" END_TRY : : : "rax", "rdx", "memory");
    return v;
}

static reg_t try_cpuid(reg_t v)
{
    __asm__ volatile(TRY "xor %%eax, %%eax\n\tcpuid" END_TRY
                     : "=a"(v)
                     :
                     : "rbx", "rcx", "rdx", "memory");
    return v;
}

static reg_t try_rdtsc(reg_t v)
{
    __asm__ volatile(TRY "rdtsc" END_TRY : "=a"(v) : : "rdx", "memory");
    return v;
}

static reg_t try_add(reg_t v)
{
    __asm__ volatile(TRY "add $1, %0" END_TRY : "+r"(v) : : "memory", "cc");
    return v;
}

static struct probe probes[] = {
    {"MOV r, CR0", "yes", "yes", "", try_mov_cr0, 0, 0, 0},
    {"CLI", "by IOPL", "yes", "", try_cli, 0, 0, 0},
    {"HLT", "yes", "yes", "", try_hlt, 0, 0, 0},
    {"IN, OUT", "by IOPL", "yes", "", try_in, 0, 0, 0},
    {"SMSW", "NO", "YES", "showed the true CR0", try_smsw, 0, 0, 0},
    {"SGDT", "NO", "YES", "showed where the true GDT is", try_sgdt, 0, 0, 0},
    {"SIDT", "NO", "YES", "showed where the true IDT is", try_sidt, 0, 0, 0},
    {"POPF", "NO", "YES", "IF stayed 0, and nobody was told", try_popf, 0, 0, 0},
    {"CPUID", "NO", "YES", "showed the CPU model", try_cpuid, 0, 0, 0},
    {"RDTSC", "by TSD", "yes", "showed the true time", try_rdtsc, 0, 0, 0},
    {"ADD", "no", "no", "innocuous: runs by itself", try_add, 0, 0, 0},
};
enum { MOV_CR0, CLI, HLT_, IN_, SMSW, SGDT, SIDT, POPF };

static void probe_all(void)
{
    for (unsigned i = 0; i < COUNT(probes); i++) {
        probes[i].value = ring3(probes[i].attempt, 0);
        probes[i].vector = (unsigned)caught.vector;
        probes[i].error = (unsigned)caught.error;
    }
}

static const char *vector_name(unsigned vector)
{
    return vector == EXC_GP ? "#GP" : vector == EXC_UD ? "#UD" : "an exception";
}

static void print_outcome(const struct probe *p)
{
    if (p->vector != NO_EXCEPTION)
        print("trapped: %s(%x)\n", vector_name(p->vector), p->error);
    else
        print("%s\n", p->ran);
}

void show_ring_3(void)
{
    reg_t cr0 = read_cr0();
    probe_all();
    heading("A register read by two instructions");
    print("   Ring 0 reads CR0 by MOV: %llx. In ring 3 the same MOV %s.\n", (unsigned long long)cr0,
          probes[MOV_CR0].vector == EXC_GP ? "raises #GP(0)" : "does not trap");
    print("   But SMSW, from the 286, in ring 3 %s %llx: the same bits, no trap.\n",
          probes[SMSW].vector == NO_EXCEPTION ? "returns" : "traps; without UMIP it would return",
          (unsigned long long)probes[SMSW].value & 0xFFFFFFFF);
    print("   SGDT and SIDT in ring 3 tell the kernel's tables: GDT at %llx, IDT at %llx.\n",
          (unsigned long long)probes[SGDT].value, (unsigned long long)probes[SIDT].value);
}

void show_popf(void)
{
    heading("Interrupts off, said in two ways");
    print("   CLI in ring 3 %s: a monitor below the kernel could act on it.\n",
          probes[CLI].vector == EXC_GP ? "raises #GP(0)" : "does not trap");
    print("   POPF in ring 3 with IF = 1 on the stack does not trap; afterwards IF is %u.\n"
          "   It is dropped in silence. A kernel moved to ring 3 would never know.\n",
          (unsigned)(probes[POPF].value >> 9 & 1));
}

void print_table(void)
{
    heading("The table");
    print("   %-12s %-11s %-10s %s\n", "instruction", "privileged", "sensitive", "in ring 3 it");
    for (unsigned i = 0; i < COUNT(probes); i++) {
        const struct probe *p = &probes[i];
        print("   %-12s %-11s %-10s ", p->name, p->privileged, p->sensitive);
        print_outcome(p);
    }
    print("\n   Popek and Goldberg: trapping is enough for a monitor if every sensitive\n"
          "   instruction is privileged. The rows with NO and YES are why x86 was not so, and\n"
          "   why this monitor gives each sensitive instruction a handler, trap or no trap.\n");
}
