/* SPDX-License-Identifier: MIT */
/* The debug registers: every length and kind of breakpoint, what hides one, what RF does, DR6. SDM
 * Vol. 3B, "Debug Registers", "Debug Exceptions". Single steps are in step.c. */
#include "roms/lib/launch.h"

enum { EXECUTE = 0, WRITE = 1, IO = 2, ACCESS = 3, PORT = 0x80 };
enum { B0 = 1, B1 = 2, B2 = 4, B3 = 8, BD = 1 << 13, BS = 1 << 14, BT = 1 << 15, TRAPS = 0xE00F };

struct hit {
    reg_t ip;    /* saved RIP */
    reg_t dr6;   /* DR6 in the handler */
    reg_t flags; /* saved RFLAGS */
    reg_t cx;    /* RCX */
};
static volatile struct hit hits[32];
static volatile unsigned hit_count;
static uint8_t buffer[64] __attribute__((aligned(64)));

static void note(struct frame *f)
{
    if (hit_count < COUNT(hits)) {
        volatile struct hit *h = &hits[hit_count];
        h->ip = f->ip;
        h->dr6 = read_dr6() & TRAPS;
        h->flags = f->flags;
        h->cx = f->cx;
    }
    hit_count++;
    write_dr6(0);
    f->flags |= FLAG_RF;
}

static void begin(void)
{
    hit_count = 0;
    write_dr6(0);
    trap_set(EXC_DB, note);
}

static void arm(unsigned n, reg_t at, unsigned kind, unsigned len)
{
    unsigned code = len == 8 ? 2 : len - 1;
    reg_t dr7 = read_dr7() | 1u << (2 * n) | kind << (16 + 4 * n) | code << (18 + 4 * n);
    switch (n) {
    case 0:
        write_dr0(at);
        break;
    case 1:
        write_dr1(at);
        break;
    case 2:
        write_dr2(at);
        break;
    default:
        write_dr3(at);
    }
    write_dr7(dr7);
}

static void disarm(void)
{
    write_dr7(0);
    trap_set(EXC_DB, NULL);
}

static void touch(uint8_t *at, unsigned size, bool is_write)
{
    reg_t v = 0;
    if (size == 1)
        is_write ? ({
            __asm__ volatile("movb %b0, (%1)" : : "q"(v), "r"(at) : "memory");
        })
                 : ({
                       __asm__ volatile("movb (%1), %b0" : "=q"(v) : "r"(at) : "memory");
                   });
    else if (size == 2)
        is_write ? ({
            __asm__ volatile("movw %w0, (%1)" : : "r"(v), "r"(at) : "memory");
        })
                 : ({
                       __asm__ volatile("movw (%1), %w0" : "=r"(v) : "r"(at) : "memory");
                   });
    else if (size == 4)
        is_write ? ({
            __asm__ volatile("movl %k0, (%1)" : : "r"(v), "r"(at) : "memory");
        })
                 : ({
                       __asm__ volatile("movl (%1), %k0" : "=r"(v) : "r"(at) : "memory");
                   });
#if defined(__x86_64__)
    else
        is_write ? ({
            __asm__ volatile("movq %0, (%1)" : : "r"(v), "r"(at) : "memory");
        })
                 : ({
                       __asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(at) : "memory");
                   });
#endif
}

/* Every access around a watched place: the number of wrong answers. */
static unsigned try_around(unsigned len, unsigned kind)
{
    unsigned wrong = 0;
    for (unsigned size = 1; size <= sizeof(reg_t); size *= 2)
        for (unsigned off = 16; off < 48; off++)
            for (unsigned is_write = 0; is_write < 2; is_write++) {
                bool overlaps = off < 32 + len && 32 < off + size;
                bool want = overlaps && (kind == ACCESS || is_write);
                hit_count = 0;
                touch(buffer + off, size, is_write);
                wrong += hit_count != want || (want && hits[0].dr6 != B2);
            }
    return wrong;
}

static void lengths(void)
{
    begin();
    for (unsigned len = 1; len <= (IS_64 ? 8 : 4); len *= 2)
        for (unsigned kind = WRITE; kind <= ACCESS; kind += 2) {
            write_dr7(0);
            arm(2, (reg_t)buffer + 32, kind, len);
            check_equal(kind == WRITE ? "write breakpoint, every overlap" : "access breakpoint", 0,
                        try_around(len, kind));
        }
    write_dr7(0);
    arm(2, (reg_t)buffer + 34, ACCESS, 4);
    check_equal("low bits of the address are ignored as LEN says", 0, try_around(4, ACCESS));
    write_dr7(0);
    arm(0, (reg_t)buffer + 32, WRITE, 4);
    arm(1, (reg_t)buffer + 35, ACCESS, 1);
    arm(3, (reg_t)buffer + 36, ACCESS, 4);
    hit_count = 0;
    touch(buffer + 34, 4, true);
    check("one access, three breakpoints: one trap", hit_count == 1);
    check_equal("with three bits in DR6", B0 | B1 | B3, hits[0].dr6);
    touch(buffer + 34, 4, false);
    check_equal("the same, reading", B1 | B3, hits[1].dr6);
    write_dr7(2 | WRITE << 16);
    hit_count = 0;
    touch(buffer + 32, 1, true);
    check_equal("the G bit enables as L does", 1, hit_count);
    write_dr7(WRITE << 16);
    touch(buffer + 32, 1, true);
    check_equal("neither: no breakpoint", 1, hit_count);
    disarm();
}

/* The last word of a place that may be a stack. */
static volatile reg_t watched_stack[256] __asm__("debug_stack");
#define watched (watched_stack[255])
#define WATCHED "debug_stack + " IF_64("2040", "1020")

/* One text that touches `watched` once, ends with STC. */
#define ONE_HIT(name, text, ...)                                                                   \
    do {                                                                                           \
        hit_count = 0;                                                                             \
        __asm__ volatile("clc\n\t" text "\n\tclc" : : __VA_ARGS__);                                \
        check(name, hit_count == 1 && hits[0].dr6 == B0);                                          \
    } while (0)

static void by_instruction(void)
{
    reg_t top = (reg_t)&watched + sizeof(reg_t);
    begin();
    arm(0, (reg_t)&watched, ACCESS, 4);
    ONE_HIT("PUSH",
            "mov %%" SP
            ", %%" IF_64("rbx", "ebx") "\n\tmov %0, %%" SP
                                       "\n\tpush $0\n\tmov %%" IF_64("rbx", "ebx") ", %%" SP,
            "r"(top)
            : "ebx", "memory", "cc");
    hit_count = 0;
    ONE_HIT("ADD to memory", "addl $1, " WATCHED, "r"(top) : "memory", "cc");
    ONE_HIT("CMPXCHG that fails", "mov $-1, %%eax\n\tcmpxchgl %%eax, " WATCHED, "r"(top)
            : "eax", "memory", "cc");
    ONE_HIT("XCHG", "xchgl %%eax, " WATCHED, "r"(top) : "eax", "memory", "cc");
    ONE_HIT("BT", "btl $3, " WATCHED, "r"(top) : "memory", "cc");
    ONE_HIT("FLD", "fninit\n\tflds " WATCHED "\n\tffree %%st(0)", "r"(top) : "memory", "cc");
    ONE_HIT("SGDT, an emulated store", "sgdt " WATCHED, "r"(top) : "memory", "cc");
    ONE_HIT("STR to memory", "str " WATCHED, "r"(top) : "memory", "cc");
    ONE_HIT("SMSW to memory", "smsw " WATCHED, "r"(top) : "memory", "cc");
    ONE_HIT("MOV from a segment register", "movw %%ds, " WATCHED, "r"(top) : "memory", "cc");
    watched = SEL_DS0;
    ONE_HIT("MOV to a segment register", "movw " WATCHED ", %%fs", "r"(top) : "memory", "cc");
    ONE_HIT("VERR", "verr " WATCHED, "r"(top) : "memory", "cc");
    disarm();
}

static void copy(uint8_t *to, reg_t n)
{
    const uint8_t *from = buffer;
    hit_count = 0;
    __asm__ volatile("rep movsb\n\tclc" : "+S"(from), "+D"(to), "+c"(n) : : "memory", "cc");
}

static void strings(void)
{
    static uint8_t to[16];
    begin();
    arm(1, (reg_t)to + 3, WRITE, 1);
    copy(to, 8);
    check("REP MOVSB: one trap", hit_count == 1 && hits[0].dr6 == B1);
    check_equal("after the iteration that hit", 4, hits[0].cx);
    check("at the instruction itself", *(const uint8_t *)hits[0].ip == 0xF3);
    check("with RF set: iterations remain", hits[0].flags & FLAG_RF);
    copy(to, 4);
    check("hit by the last iteration: behind it",
          hit_count == 1 && *(const uint8_t *)hits[0].ip == 0xF8);
    check("with RF clear", !(hits[0].flags & FLAG_RF));
    disarm();
}

/* The breakpoint is on the first operand, the second one faults: the instruction did not happen. */
static void lost_with_a_fault(void)
{
    begin();
    arm(0, (reg_t)&watched, ACCESS, 4);
#if defined(__x86_64__)
    __asm__ volatile(TRY "movsb" END_TRY : : "S"(&watched), "D"((reg_t)1 << 47) : "memory");
#else
    __asm__ volatile("push %%es\n\tmov %0, %%es\n\t" TRY "movsb" END_TRY "pop %%es"
                     :
                     : "r"(0), "S"(&watched), "D"(buffer)
                     : "memory");
#endif
    check_fault("MOVSB whose store faults", EXC_GP, 0);
    check_equal("its load is no breakpoint", 0, hit_count);
    disarm();
}

static void io(void)
{
    static const uint8_t bytes[3] = {1, 2, 3};
    write_cr4(read_cr4() | CR4_DE);
    begin();
    arm(0, PORT, IO, 1);
    __asm__ volatile("outb %%al, %0\n\tclc" : : "i"(PORT), "a"(0) : "cc");
    check("OUT: a trap behind it", hit_count == 1 && *(const uint8_t *)hits[0].ip == 0xF8);
    check_equal("B0", B0, hits[0].dr6);
    __asm__ volatile("inb %0, %%al\n\tclc" : : "i"(PORT) : "eax", "cc");
    check_equal("IN", 2, hit_count);
    out8(PORT + 1, 0);
    check_equal("not the next port", 2, hit_count);
    out16(PORT - 1, 0);
    check_equal("a word that overlaps it", 3, hit_count);
    hit_count = 0;
    __asm__ volatile("mov $3, %%ecx\n\trep outsb\n\tclc"
                     :
                     : "d"(PORT), "S"(bytes)
                     : "ecx", "memory", "cc");
    check("REP OUTSB: after each iteration",
          hit_count == 3 && *(const uint8_t *)hits[2].ip == 0xF8);
    touch((uint8_t *)(reg_t)PORT, 1, false);
    check_equal("memory at the same address is none", 3, hit_count);
    disarm();
    write_cr4(read_cr4() & ~(reg_t)CR4_DE);
}

static void execution(void)
{
    extern const uint8_t debug_here[], debug_rep[], debug_after_ss[];
    static uint8_t to[8];
    begin();
    arm(3, (reg_t)debug_here, EXECUTE, 1);
    __asm__ volatile("stc\ndebug_here:\tcmc" : : : "cc");
    check("before the instruction, once", hit_count == 1 && hits[0].ip == (reg_t)debug_here);
    check("RF is pushed as 0", !(hits[0].flags & FLAG_RF));
    check("the instruction before it was done", hits[0].flags & FLAG_CF);
    disarm();
    begin();
    arm(3, (reg_t)debug_rep, EXECUTE, 1);
    __asm__ volatile("mov $5, %%ecx\ndebug_rep:\trep stosb"
                     :
                     : "D"(to), "a"(1)
                     : "ecx", "memory", "cc");
    check_equal("on REP STOSB: once, not per iteration", 1, hit_count);
    check_equal("before the first", 5, hits[0].cx & 0xFF);
    disarm();
    begin();
    arm(3, (reg_t)debug_after_ss, EXECUTE, 1);
    __asm__ volatile("mov %0, %%ss\ndebug_after_ss:\tcmc" : : "r"(SEL_DS0) : "cc");
    check_equal("not on the instruction behind MOV SS", 0, hit_count);
    disarm();
}

/* A data breakpoint hit by MOV SS waits for the instruction behind it. */
static void held_by_mov_ss(void)
{
    static uint32_t selector = SEL_DS0;
    begin();
    arm(0, (reg_t)&selector, ACCESS, 2);
    __asm__ volatile("mov %0, %%ss\n\tclc\n\tstc" : : "m"(selector) : "memory", "cc");
    check("a trap of MOV SS comes one later",
          hit_count == 1 && *(const uint8_t *)hits[0].ip == 0xF9);
    check_equal("with its bit", B0, hits[0].dr6);
    disarm();
}

static reg_t user_int3(reg_t v)
{
    __asm__ volatile(TRY "int3" END_TRY : : : "memory");
    return v;
}

static reg_t user_int1(reg_t v)
{
    __asm__ volatile(TRY ".byte 0xF1\n\tclc" END_TRY : : : "memory", "cc");
    return v;
}

static reg_t user_mov_dr(reg_t v)
{
    __asm__ volatile(TRY "mov %%dr7, %0" END_TRY : "=r"(v) : : "memory");
    return v;
}

static volatile bool got_gp;

/* Not a look at DR6, which the default handler takes: general detect is on. */
static void note_gp(struct frame *f)
{
    got_gp = true;
    f->ip = caught.resume;
    caught.resume = 0;
}

static void software(void)
{
    write_dr6(0);
    ring3(user_int1, 0);
    check_fault("INT1 at CPL 3 does not ask the gate's DPL", EXC_DB, 0);
    check_equal("and sets no bit of DR6", 0, caught.dr6 & TRAPS);
    ring3(user_int3, 0);
    check_fault("INT3 does", EXC_GP, EXC_BP * 8 + 2);
    idt_restore(EXC_BP, 0xEE);
    ring3(user_int3, 0);
    check_fault("INT3 with a gate for ring 3", EXC_BP, 0);
    idt_restore(EXC_BP, 0x8E);
    __asm__ volatile(TRY ".byte 0xCD, 1\n\tclc" END_TRY : : : "memory", "cc");
    check_fault("INT 1", EXC_DB, 0);
}

static void registers(void)
{
    reg_t v;
    write_dr6(0);
    check_equal("DR6 written with 0", 0xFFFF0FF0, read_dr6());
    write_dr6(0xFFFFFFFF);
    check_equal("DR6 written with ones", 0xFFFFEFFF, read_dr6());
    write_dr7(0xFFFFDC00u);
    check_equal("DR7: bits 15, 14, 12, 11 are 0, bit 10 is 1", 0xFFFF0400, read_dr7());
    write_dr7(0x300);
    check_equal("LE and GE are kept", 0x700, read_dr7());
    write_dr7(0);
    write_dr6(0);
    write_cr4(read_cr4() & ~(reg_t)CR4_DE);
    __asm__ volatile("mov %1, %%dr4\n\tmov %%dr6, %0" : "=r"(v) : "r"((reg_t)B3));
    check_equal("DR4 is DR6 while CR4.DE = 0", 0xFFFF0FF8, v);
    __asm__ volatile("mov %%dr5, %0" : "=r"(v));
    check_equal("DR5 is DR7", 0x400, v);
    write_cr4(read_cr4() | CR4_DE);
    __asm__ volatile(TRY "mov %%dr4, %0" END_TRY : "=r"(v) : : "memory");
    check_fault("DR4 with CR4.DE = 1", EXC_UD, 0);
    __asm__ volatile(TRY "mov %0, %%dr5" END_TRY : : "r"(v) : "memory");
    check_fault("DR5 with CR4.DE = 1", EXC_UD, 0);
    write_cr4(read_cr4() & ~(reg_t)CR4_DE);
#if defined(__x86_64__)
    __asm__ volatile(TRY "mov %0, %%dr6" END_TRY : : "r"((reg_t)1 << 32) : "memory");
    check_fault("an upper bit of DR6", EXC_GP, 0);
    __asm__ volatile(TRY "mov %0, %%dr7" END_TRY : : "r"((reg_t)1 << 32) : "memory");
    check_fault("an upper bit of DR7", EXC_GP, 0);
    __asm__ volatile(TRY "mov %0, %%dr0" END_TRY : : "r"(~(reg_t)0 >> 1) : "memory");
    check_no_fault("any value in DR0");
#endif
    write_dr6(B2);
    write_dr7(1u << 13);
    trap_set(EXC_GP, note_gp);
    ring3(user_mov_dr, 0);
    trap_set(EXC_GP, NULL);
    check("MOV DR at CPL 3: #GP before general detect", got_gp);
    __asm__ volatile(TRY "mov %0, %%dr0" END_TRY : : "r"((reg_t)0) : "memory");
    check_fault("general detect", EXC_DB, 0);
    check_equal("DR6 keeps what stood there", BD | B2, caught.dr6 & TRAPS);
    check("it is a fault, with RF", *(const uint8_t *)caught.ip == 0x0F && caught.flags & FLAG_RF);
    write_dr7(0);
    write_dr6(0);
}

int main(void)
{
    lengths();
    by_instruction();
    strings();
    lost_with_a_fault();
    io();
    execution();
    held_by_mov_ss();
    software();
    registers();
    return checks_result();
}
