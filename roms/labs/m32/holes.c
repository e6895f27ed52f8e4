/* SPDX-License-Identifier: MIT */
/*
 * The guest of `trapline lab holes`: a kernel that asks what it should know. For each sensitive instruction a line to the debug port,
 *
 *   INSTRUCTION|what is asked|answer on the bare machine|answer
 *
 * An exception in the place of an answer is #VECTOR(code). It comes without lib/boot.S, keeps the loader's SS and returns from no
 * handler: a kernel that is deprivileged by architecture alone dies of MOV SS and of IRET, which are two of its questions.
 */
#include "roms/lib/guest.h"

enum { CODE = 0x08, DATA = 0x10, FRESH = 0x18, LDT = 0x20, TSS = 0x28, GATE = 0x30, DEBUG_PORT = 0xE9 };
enum { VECTOR_INT = 0x40, VECTOR_IPI = 0x41, NO_FAULT = 0xff };
#define APIC ((volatile uint32_t *)0xFEE00000)

struct __attribute__((packed)) pseudo {
    uint16_t limit;
    uint32_t base;
};

static uint64_t gdt[7] __attribute__((aligned(8))) = {0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CF92000000FFFF};
static uint64_t idt[256] __attribute__((aligned(8)));
static uint64_t ldt[2] __attribute__((aligned(8)));
static uint32_t tss[26] __attribute__((aligned(128)));
static uint8_t stack[8192] __attribute__((aligned(16), used));
uint32_t saved_esp, fault_code;
uint8_t fault_vector;
static volatile uint32_t found;

/* Entry; attempt(f): call f, 1 if it ended in an exception or interrupt; their handlers; the target of a gate. */
extern char vectors[];
int attempt(void (*f)(void));
void gate_target(void);
void holes_main(void) __attribute__((noreturn, used));
__asm__(".globl holes_entry\n"
        "holes_entry: cli; cld; movl $stack + 8192, %esp; call holes_main\n"
        ".globl attempt\n"
        "attempt: pushl %ebp; pushl %ebx; pushl %esi; pushl %edi\n"
        "  movb $0xff, fault_vector; movl $0, fault_code\n"
        "  movl %esp, saved_esp\n"
        "  call *20(%esp)\n"
        "  xorl %eax, %eax; jmp 2f\n"
        "recover: movl saved_esp, %esp; movl $1, %eax\n"
        "2: movl $0x10, %ecx; movl %ecx, %ds; movl %ecx, %es; movl %ecx, %fs; movl %ecx, %gs; cld; cli\n"
        "  popl %edi; popl %esi; popl %ebx; popl %ebp; ret\n"
        "gate_target: movl $1, found; jmp recover\n"
        /* 16 bytes for each vector; 8, 10 to 14 and 17 have error codes. */
        "  .balign 16\n"
        "vectors: .set n, 0\n"
        ".rept 66\n"
        "  .balign 16\n"
        "  movb $n, %ss:fault_vector\n"
        "  .set n, n + 1\n"
        "  jmp 3f\n"
        ".endr\n"
        "3: cmpb $8, %ss:fault_vector; je 4f; cmpb $10, %ss:fault_vector; jb recover\n"
        "  cmpb $14, %ss:fault_vector; ja recover\n"
        "4: popl %ss:fault_code; jmp recover\n");

/* ---- text ---- */

static void put(char c)
{
    out8(DEBUG_PORT, (uint8_t)c);
}

static void put_text(const char *s)
{
    while (*s)
        put(*s++);
}

static void put_hex(uint32_t v)
{
    bool begun = false;
    for (int shift = 28; shift >= 0; shift -= 4) {
        begun |= v >> shift & 15 || shift == 0;
        if (begun)
            put("0123456789abcdef"[v >> shift & 15]);
    }
}

static void put_fault(void)
{
    static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9", "#TS", "#NP", "#SS", "#GP", "#PF"};
    put_text(fault_vector < COUNT(names) ? names[fault_vector] : "#?");
    put('(');
    put_hex(fault_code);
    put(')');
}

/* ---- the questions ---- */

static void ask_sgdt(void)
{
    struct pseudo p;
    __asm__ volatile("sgdt %0" : "=m"(p));
    found = p.base;
}

static void ask_sidt(void)
{
    struct pseudo p;
    __asm__ volatile("sidt %0" : "=m"(p));
    found = p.base;
}

static void ask_sldt(void)
{
    uint32_t v;
    __asm__ volatile("sldt %0" : "=r"(v));
    found = v & 0xffff;
}

static void ask_str(void)
{
    uint32_t v;
    __asm__ volatile("str %0" : "=r"(v));
    found = v & 0xffff;
}

static void ask_smsw(void)
{
    uint32_t v;
    __asm__ volatile("smsw %0" : "=r"(v));
    found = v & 0xffff;
}

static void ask_mov_cr(void)
{
    found = read_cr0() & 0xffff;
}

static void ask_pushf(void)
{
    uint32_t v;
    __asm__ volatile("cli; pushfl; popl %0" : "=r"(v));
    found = v & (FLAG_IF | FLAG_IOPL);
}

/* An interrupt for itself: it comes at once if IF is set. */
static void send_ipi(void)
{
    APIC[0x300 / 4] = 0x44000 | VECTOR_IPI;
}

#define WAIT "nop; nop; nop; nop"

static void ask_cli(void)
{
    __asm__ volatile("sti; nop; cli");
    send_ipi();
    __asm__ volatile(WAIT);
}

static void ask_sti(void)
{
    __asm__ volatile("cli");
    send_ipi();
    __asm__ volatile("sti; " WAIT);
}

static void ask_popf_set(void)
{
    __asm__ volatile("cli");
    send_ipi();
    __asm__ volatile("pushl $0x202; popfl; " WAIT ::: "cc");
}

static void ask_popf_clear(void)
{
    __asm__ volatile("sti; nop; pushl $2; popfl" ::: "cc");
    send_ipi();
    __asm__ volatile(WAIT);
}

static void ask_push_cs(void)
{
    uint32_t v = 0;
    __asm__ volatile("pushl $0; pushw %%cs; popw %w0; popl %%ecx" : "=r"(v) : "0"(0) : "ecx");
    found = v & 0xffff;
}

static void ask_mov_from_cs(void)
{
    uint32_t v;
    __asm__ volatile("movl %%cs, %0" : "=r"(v));
    found = v & 0xffff;
}

static void ask_mov_ss(void)
{
    __asm__ volatile("movl %0, %%ss" : : "r"(DATA));
    found = 1;
}

static void ask_pop_ss(void)
{
    __asm__ volatile("pushl %0; popl %%ss" : : "i"(DATA));
    found = 1;
}

/* Is the descriptor that was just loaded marked as accessed in the guest's table? */
static bool is_accessed(void)
{
    return ((volatile uint8_t *)gdt)[FRESH + 5] & 1;
}

static const struct __attribute__((packed)) {
    uint32_t offset;
    uint16_t selector;
} fresh_pointer = {0, FRESH}, stack_pointer = {0, DATA};

static void ask_mov_es(void)
{
    __asm__ volatile("movl %0, %%es" : : "r"(FRESH));
    found = is_accessed();
}

static void ask_pop_es(void)
{
    __asm__ volatile("pushl %0; popl %%es" : : "i"(FRESH));
    found = is_accessed();
}

static void ask_les(void)
{
    __asm__ volatile("les %0, %%ecx" : : "m"(fresh_pointer) : "ecx");
    found = is_accessed();
}

static void ask_lds(void)
{
    __asm__ volatile("lds %0, %%ecx" : : "m"(fresh_pointer) : "ecx");
    found = is_accessed();
}

static void ask_lfs(void)
{
    __asm__ volatile("lfs %0, %%ecx" : : "m"(fresh_pointer) : "ecx");
    found = is_accessed();
}

static void ask_lgs(void)
{
    __asm__ volatile("lgs %0, %%ecx" : : "m"(fresh_pointer) : "ecx");
    found = is_accessed();
}

static void ask_lss(void)
{
    __asm__ volatile("lss %0, %%ecx" : : "m"(stack_pointer) : "ecx");
    found = 1;
}

static void ask_lar(void)
{
    uint32_t v = 0;
    __asm__ volatile("lar %1, %0" : "=r"(v) : "r"(DATA), "0"(0) : "cc");
    found = v;
}

static void ask_lsl(void)
{
    uint32_t v = 0;
    __asm__ volatile("lsl %1, %0" : "=r"(v) : "r"(CODE), "0"(0) : "cc");
    found = v;
}

static void ask_verr(void)
{
    uint8_t ok;
    __asm__ volatile("verr %w1; setz %0" : "=q"(ok) : "r"(DATA | 1) : "cc");
    found = ok;
}

static void ask_verw(void)
{
    uint8_t ok;
    __asm__ volatile("verw %w1; setz %0" : "=q"(ok) : "r"(DATA | 1) : "cc");
    found = ok;
}

static void ask_call(void)
{
    uint32_t cs;
    __asm__ volatile("lcall %1, $1f; 1: popl %0; popl %0" : "=r"(cs) : "i"(CODE));
    found = cs & 0xffff;
}

static void ask_ret(void)
{
    __asm__ volatile("pushl %0; pushl $1f; lret; 1:" : : "i"(CODE));
    found = 1;
}

static void ask_jmp(void)
{
    __asm__ volatile("ljmp %0, $0" : : "i"(GATE));
}

static void ask_int(void)
{
    __asm__ volatile("int %0" : : "i"(VECTOR_INT));
}

static void ask_iret(void)
{
    __asm__ volatile("pushl $2; pushl %0; pushl $1f; iret; 1:" : : "i"(CODE) : "cc");
    found = 1;
}

static void ask_iret_flags(void)
{
    __asm__ volatile("cli");
    send_ipi();
    __asm__ volatile("pushl $0x202; pushl %%cs; pushl $1f; iret; 1: " WAIT ::: "cc");
}

struct question {
    const char *name; /* of the instruction, as the papers have it */
    const char *what; /* is asked */
    uint32_t bare;    /* the answer of a bare machine; of addresses: filled in */
    void (*ask)(void);
};

static struct question questions[] = {
    {"SGDT", "base of the GDT", 0, ask_sgdt},
    {"SIDT", "base of the IDT", 0, ask_sidt},
    {"SLDT", "selector of the LDT", LDT, ask_sldt},
    {"STR", "selector of the task", TSS, ask_str},
    {"SMSW", "CR0, low half", CR0_NE | CR0_ET | CR0_PE, ask_smsw},
    {"MOV_CR", "CR0, low half", CR0_NE | CR0_ET | CR0_PE, ask_mov_cr},
    {"PUSHF", "IF and IOPL after CLI", 0, ask_pushf},
    {"POPF", "IF set: interrupts that come", 1, ask_popf_set},
    {"POPF", "IF cleared: interrupts that come", 0, ask_popf_clear},
    {"STI", "interrupts that come", 1, ask_sti},
    {"CLI", "interrupts that come", 0, ask_cli},
    {"PUSH", "CS", CODE, ask_push_cs},
    {"MOV", "CS", CODE, ask_mov_from_cs},
    {"MOV", "to SS: done", 1, ask_mov_ss},
    {"MOV", "to ES: descriptor accessed", 1, ask_mov_es},
    {"POP", "SS: done", 1, ask_pop_ss},
    {"POP", "ES: descriptor accessed", 1, ask_pop_es},
    {"LES", "descriptor accessed", 1, ask_les},
    {"LDS", "descriptor accessed", 1, ask_lds},
    {"LFS", "descriptor accessed", 1, ask_lfs},
    {"LGS", "descriptor accessed", 1, ask_lgs},
    {"LSS", "done", 1, ask_lss},
    {"LAR", "rights of the kernel's data", 0x00CF9300, ask_lar},
    {"LSL", "limit of the kernel's code", 0xFFFFFFFF, ask_lsl},
    {"VERR", "kernel's data with RPL 1: readable", 0, ask_verr},
    {"VERW", "kernel's data with RPL 1: writable", 0, ask_verw},
    {"CALL", "CS that a far call pushes", CODE, ask_call},
    {"JMP", "through a call gate: arrived", 1, ask_jmp},
    {"RET", "far, to the kernel: done", 1, ask_ret},
    {"INT", "INT 40h: arrived", 1, ask_int},
    {"IRET", "to the kernel: done", 1, ask_iret},
    {"IRET", "IF set: interrupts that come", 1, ask_iret_flags},
};

static void ask(const struct question *q)
{
    gdt[FRESH / 8] &= ~(1ull << 40);
    found = 0;
    int ended = attempt(q->ask);
    APIC[0xB0 / 4] = 0;
    put_text(q->name);
    put('|');
    put_text(q->what);
    put('|');
    put_hex(q->bare);
    put('|');
    if (ended && fault_vector < 32)
        put_fault();
    else
        put_hex(ended && fault_vector >= VECTOR_INT ? 1 : found);
    put('\n');
    /* An interrupt that did not come is to be gone before the next question. */
    if (APIC[0x220 / 4] & 2)
        attempt(ask_sti);
    APIC[0xB0 / 4] = 0;
}

static void set_gate(unsigned vector)
{
    uint32_t to = (uint32_t)vectors + 16 * vector;
    idt[vector] = (uint64_t)(to & 0xffff0000) << 32 | 0x8E0000000000ull | (uint32_t)CODE << 16 | (to & 0xffff);
}

static void make_tables(void)
{
    uint32_t to = (uint32_t)gate_target;
    struct pseudo g = {sizeof(gdt) - 1, (uint32_t)gdt}, i = {sizeof(idt) - 1, (uint32_t)idt};
    gdt[LDT / 8] = 0x0000820000000000 | (uint64_t)((uint32_t)ldt & 0xffffff) << 16 | (sizeof(ldt) - 1);
    gdt[TSS / 8] = 0x0000890000000000 | (uint64_t)((uint32_t)tss & 0xffffff) << 16 | (sizeof(tss) - 1);
    gdt[GATE / 8] = (uint64_t)(to & 0xffff0000) << 32 | 0x8C0000000000ull | (uint32_t)CODE << 16 | (to & 0xffff);
    for (unsigned v = 0; v < 66; v++)
        set_gate(v);
    __asm__ volatile("lgdt %0; lidt %1; ljmp %2, $1f; 1: movl %3, %%ds; movl %3, %%es; lldt %w4; ltr %w5"
                     :
                     : "m"(g), "m"(i), "i"(CODE), "r"(DATA), "r"(LDT), "r"(TSS)
                     : "memory");
}

void holes_main(void)
{
    make_tables();
    write_cr0(CR0_NE | CR0_ET | CR0_PE);
    APIC[0xF0 / 4] = 0x1FF;
    questions[0].bare = (uint32_t)gdt;
    questions[1].bare = (uint32_t)idt;
    for (unsigned i = 0; i < COUNT(questions); i++)
        ask(&questions[i]);
    guest_exit(0);
}

int main(void)
{
    return 1; /* of lib/boot.S, which is not the entry here */
}
