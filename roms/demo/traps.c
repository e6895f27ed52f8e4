/* SPDX-License-Identifier: MIT */
/* Gates, system calls, page faults, single steps, halting, CPUID and time. */
#include "roms/demo/demo.h"
#include "roms/lib/paging.h"

enum { GATE = 0x80, TIMER = PIC_BASE };

static volatile unsigned count;

static void on_gate(struct frame *f)
{
    count = (unsigned)f->cs & 3;
    f->ax = f->ax * 2;
}

static reg_t call_gate(reg_t v)
{
    __asm__ volatile("int $0x80" : "+a"(v) : : "memory");
    return v;
}

void show_gate(void)
{
    reg_t answer;
    heading("INT 80h: a door in the wall");
    trap_set(GATE, on_gate);
    idt_restore(GATE, 0xEE); /* DPL 3 */
    answer = ring3(call_gate, 21);
    print("   Ring 3 puts 21 in RAX and does INT 80h. The gate has DPL 3, so it may enter:\n"
          "   the CPU takes the stack from the TSS, CPL becomes 0, the handler sees that it\n"
          "   was called from ring %u, doubles RAX, and IRET goes back with %u.\n",
          count, (unsigned)answer);
    trap_set(GATE, NULL);
}

static reg_t do_syscall(reg_t v)
{
    __asm__ volatile("syscall" : "+a"(v) : : "rcx", "r11", "memory");
    return v;
}

static reg_t time_syscall(reg_t v)
{
    uint64_t start = read_tsc();
    for (unsigned i = 0; i < 100; i++)
        v = do_syscall(v);
    return (reg_t)(read_tsc() - start) / 100;
}

static reg_t time_gate(reg_t v)
{
    uint64_t start = read_tsc();
    for (unsigned i = 0; i < 100; i++)
        v = call_gate(v);
    return (reg_t)(read_tsc() - start) / 100;
}

void show_syscall(void)
{
    void syscall_entry(void);
    reg_t by_syscall, by_gate;
    heading("SYSCALL: the same without memory");
    write_msr(MSR_STAR, (uint64_t)SEL_CS3_32 << 48 | (uint64_t)SEL_CS0 << 32);
    write_msr(MSR_LSTAR, (reg_t)syscall_entry);
    write_msr(MSR_FMASK, FLAG_IF | FLAG_TF);
    by_syscall = ring3(do_syscall, 41);
    print("   No gate, no stack switch: RIP from an MSR, the old one in RCX. 41 became %u.\n",
          (unsigned)by_syscall);
    by_syscall = ring3(time_syscall, 0);
    trap_set(GATE, on_gate);
    by_gate = ring3(time_gate, 0);
    trap_set(GATE, NULL);
    print("   By the TSC, there and back: %u cycles; by INT 80h and IRET %u.\n",
          (unsigned)by_syscall, (unsigned)by_gate);
}

static void on_page_fault(struct frame *f)
{
    (void)f;
    count++;
    page_map(read_cr2() & ~(reg_t)0xFFF, (reg_t)page_alloc(), PT_P | PT_W | PT_U);
}

void show_page_fault(void)
{
    volatile uint32_t *nowhere = (volatile uint32_t *)0x4000001000;
    unsigned before = count = 0;
    heading("A page fault is a question");
    trap_set(EXC_PF, on_page_fault);
    *nowhere = 0xCAFE;
    before = count;
    *nowhere = *nowhere + 1;
    print("   I write to %llx, where nothing is mapped. #PF; CR2 holds the address;\n"
          "   my handler maps a page and returns, and the CPU runs the write again: %x.\n"
          "   %u fault for the first access, %u for the next two: demand paging.\n",
          (unsigned long long)(reg_t)nowhere, *nowhere, before, count - before);
    trap_set(EXC_PF, NULL);
}

static void on_step(struct frame *f)
{
    (void)f;
    count++;
}

void show_single_step(void)
{
    count = 0;
    heading("One instruction at a time");
    trap_set(EXC_DB, on_step);
    __asm__ volatile("pushf\n\torl $0x100, (%%rsp)\n\tpopf\n\t"
                     "nop\n\tmov $3, %%ecx\n1:\tdec %%ecx\n\tjnz 1b\n\t"
                     "pushf\n\tandl $~0x100, (%%rsp)\n\tpopf"
                     :
                     :
                     : "rcx", "memory", "cc");
    trap_set(EXC_DB, NULL);
    print("   With EFLAGS.TF set, #DB comes after each instruction: %u of them, which is\n"
          "   NOP, MOV, three rounds of DEC and JNZ, and the three that clear TF.\n",
          count);
}

static void on_timer(struct frame *f)
{
    (void)f;
    count++;
    pic_eoi(0);
}

void show_halt(void)
{
    uint32_t start, cycles;
    heading("Waiting for nothing");
    trap_set(TIMER, on_timer);
    pic_init();
    pit_start(2, 11932); /* 10 ms */
    pic_mask(0xFFFE);
    sti_hlt_cli(); /* the first period may be a short one */
    start = pm_timer();
    count = 0;
    for (unsigned i = 0; i < 5; i++)
        sti_hlt_cli();
    cycles = pm_timer() - start;
    pic_off();
    trap_set(TIMER, NULL);
    print("   The timer chip is set to 100 Hz, and I HLT five times: %u interrupts woke me\n"
          "   in %u ms of my time. A halted guest costs nothing: the monitor moves the\n"
          "   clock to the next event.\n",
          count, (cycles + 1790) / 3580);
}

static void print_name(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t words[3] = {a, b, c};
    for (unsigned i = 0; i < 12; i++) {
        char letter = (char)(words[i / 4] >> (i % 4 * 8));
        print_char(letter >= ' ' && letter <= '~' ? letter : '.');
    }
}

void show_cpuid(void)
{
    struct cpuid zero = cpuid(0, 0), one = cpuid(1, 0), hv = cpuid(0x40000000, 0);
    heading("Who am I?");
    print("   CPUID leaf 0 says \"");
    print_name(zero.b, zero.d, zero.c);
    print("\", leaf 1 family %u model %u stepping %u.\n", one.a >> 8 & 15,
          (one.a >> 4 & 15) | (one.a >> 12 & 0xF0), one.a & 15);
    if (!(one.c & 1u << 31)) {
        print("   No bit says that there is a monitor: it stays unseen.\n");
        return;
    }
    print("   Leaf 1 ECX bit 31 admits a monitor; leaf 40000000h names its interface: \"");
    print_name(hv.b, hv.c, hv.d);
    print("\".\n");
}

/* A loop of fixed length, in TSC cycles. */
static __attribute__((noinline)) uint32_t time_loop(void)
{
    uint64_t start = read_tsc();
    __asm__ volatile("mov $1000, %%ecx\n1:\tdec %%ecx\n\tjnz 1b" : : : "rcx", "cc");
    return (uint32_t)(read_tsc() - start);
}

void show_time(void)
{
    uint32_t a = time_loop(), b = time_loop();
    heading("What time is it?");
    print("   The same loop of 1000 rounds twice, timed by RDTSC: %u and %u cycles.\n", a, b);
    print(a == b ? "   Exactly equal: here time is counted in instructions, so every run of this\n"
                   "   guest is the same run, and can be replayed.\n"
                 : "   Not equal: this clock comes from outside the machine.\n");
}
