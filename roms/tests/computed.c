/* SPDX-License-Identifier: MIT */
/* Computed transfers that go where they went before, and then do not: JMP and CALL by a register or
 * memory, RET; other targets, other frames, other code, returns that no CALL made. Each change of a
 * mapping is followed by what SDM Vol. 3A, "Operations that Invalidate TLBs and Paging-Structure
 * Caches" asks for. */
#include "roms/lib/spaces.h"

#define TO ((reg_t)0x40008000)
#define ELSEWHERE ((reg_t)0x40010000)
#define NOT_CANONICAL ((reg_t)1 << (sizeof(reg_t) * 8 - 9))
enum {
    OF_JMP = 0x100,
    OF_CALL = 0x200,
    OF_JMP_MEM = 0x300,
    OF_CALL_MEM = 0x400,
    OF_RET = 0x500,
    OF_BACK = 0x600
};
enum { FRAMES = 7, TIMES = 300 };

/* Each test has a page of its own to begin in. */
enum test { TARGETS, REMAPPED, TWO_ADDRESSES, TWO_SPACES, ABSENT, REWRITTEN, RETURNS, TESTS };
static uint8_t from[TESTS][GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t to[FRAMES][GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t back[FRAMES][GUEST_PAGE] __attribute__((aligned(4096)));

static void put(uint8_t *at, const char *text, unsigned len)
{
    memcpy(at, text, len);
}

/* The target is in ECX, or where it points to. */
static void put_from(uint8_t *page)
{
    put(page + OF_JMP, "\xFF\xE1", 2);                      /* jmp ecx */
    put(page + OF_CALL, "\xFF\xD1\x83\xC0\x40\xC3", 6);     /* call ecx; add eax, 40h; ret */
    put(page + OF_JMP_MEM, "\xFF\x21", 2);                  /* jmp [ecx] */
    put(page + OF_CALL_MEM, "\xFF\x11\x83\xC0\x40\xC3", 6); /* call [ecx]; add eax, 40h; ret */
    put(page + OF_RET, "\x51\xC3", 2);                      /* push ecx; ret */
}

static void put_code(void)
{
    for (unsigned i = 0; i < TESTS; i++)
        put_from(from[i]);
    for (unsigned i = 0; i < FRAMES; i++) {
        for (unsigned at = 0; at < FRAMES; at++) {
            put(to[i] + at * 0x20, "\xB8\0\0\0\0\xC3", 6); /* mov eax, number; ret */
            to[i][at * 0x20 + 1] = (uint8_t)(i * 8 + at);
        }
        /* call ecx; mov eax, number; ret */
        put(back[i] + OF_BACK, "\xFF\xD1\xB8\0\0\0\0\xC3", 8);
        back[i][OF_BACK + 3] = (uint8_t)i;
    }
}

#if defined(__x86_64__)
#define OF_THE_CALLEE "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc"
#else
#define OF_THE_CALLEE "edx", "memory", "cc"
#endif

static uint32_t transfer(reg_t la, reg_t target)
{
    reg_t v, c = target;
    __asm__ volatile("call *%2" : "=a"(v), "+c"(c) : "r"(la) : OF_THE_CALLEE);
    return (uint32_t)v;
}

/* By each of the five to what says v. */
static bool all_say(reg_t page, reg_t target, uint32_t v)
{
    static volatile reg_t cell;
    cell = target;
    return transfer(page + OF_JMP, target) == v && transfer(page + OF_CALL, target) == v + 0x40 &&
           transfer(page + OF_JMP_MEM, (reg_t)&cell) == v &&
           transfer(page + OF_CALL_MEM, (reg_t)&cell) == v + 0x40 &&
           transfer(page + OF_RET, target) == v;
}

static void to_targets(void)
{
    bool is_right = true;
    map_page(FROM, from[TARGETS]);
    map_page(TO, to[0]);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && all_say(FROM, TO, 0);
    check("one target", is_right);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && all_say(FROM, TO + n % 16 / 15 * 0x20, n % 16 / 15);
    check("another one, seldom", is_right);
    for (unsigned n = 0; n < 4 * TIMES; n++)
        is_right = is_right && all_say(FROM, TO + n % FRAMES * 0x20, n % FRAMES);
    check("seven in turn", is_right);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && all_say(FROM, TO + 0x60, 3);
    check("one again", is_right);
}

static void remapped(void)
{
    bool is_right = true;
    map_page(FROM, from[REMAPPED]);
    for (unsigned n = 0; n < TIMES; n++) {
        unsigned i = n < TIMES / 2 ? n / 4 % 2 : n / 2 % FRAMES;
        map_page(TO, to[i]);
        is_right =
            is_right && all_say(FROM, TO + 0x20, i * 8 + 1) && all_say(FROM, TO + 0x20, i * 8 + 1);
    }
    check("other frames, after INVLPG", is_right);
    for (unsigned n = 0; n < TIMES; n++) {
        map_in(0, TO, to[n % FRAMES]);
        write_cr3(space[0]);
        is_right = is_right && all_say(FROM, TO + 0x20, n % FRAMES * 8 + 1);
    }
    check("other frames, after a load of CR3", is_right);
}

/* The same page, entered by two linear addresses: a CALL's return address is another one. */
static void at_two_addresses(void)
{
    bool is_right = true;
    map_page(FROM, from[TWO_ADDRESSES]);
    map_page(ELSEWHERE, from[TWO_ADDRESSES]);
    map_page(TO, to[4]);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && all_say(FROM, TO, 32) && all_say(ELSEWHERE, TO, 32);
    check("code at two linear addresses, one target", is_right);
    map_page(TO + GUEST_PAGE, to[4]);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && all_say(FROM, TO, 32) && all_say(ELSEWHERE, TO + GUEST_PAGE, 32);
    check("one frame, two linear targets", is_right);
}

static void in_two_spaces(void)
{
    bool is_right = true;
    map_page(FROM, from[TWO_SPACES]);
    map_in(1, FROM, from[TWO_SPACES]);
    map_in(1, TO, to[2]);
    map_page(TO, to[3]);
    for (unsigned n = 0; n < TIMES; n++) {
        write_cr3(space[1]);
        is_right = is_right && all_say(FROM, TO, 16);
        write_cr3(space[0]);
        is_right = is_right && all_say(FROM, TO, 24) && all_say(FROM, TO, 24);
    }
    check("two address spaces, two frames", is_right);
}

/* The frame stays; its code, or that in front of the transfer, changes. */
static void rewritten(void)
{
    bool is_right = true;
    map_page(FROM, from[REWRITTEN]);
    map_page(TO, to[5]);
    for (unsigned n = 0; n < TIMES; n++) {
        *(volatile uint8_t *)(TO + 1) = (uint8_t)(n / 4 % 64);
        cpuid(0, 0);
        is_right = is_right && all_say(FROM, TO, n / 4 % 64);
    }
    check("the target's code changes", is_right);
    for (unsigned n = 0; n < TIMES; n++) {
        *(volatile uint8_t *)(FROM + OF_CALL + 4) = (uint8_t)(n % 64);
        cpuid(0, 0);
        is_right = is_right && transfer(FROM + OF_CALL, TO + 0x20) == 41 + n % 64;
    }
    check("the code behind a CALL changes", is_right);
}

/* ---- faults ---- */

static volatile reg_t fault_sp, call_sp;

static void keep_sp(struct frame *f)
{
#if defined(__x86_64__)
    fault_sp = f->sp;
#endif
    caught.vector = f->vector;
    caught.error = f->error;
    caught.ip = f->ip;
    f->ip = caught.resume;
}

static void fault(unsigned of, reg_t target)
{
    __asm__ volatile("mov %%" SP ", %%" IF_64("rbx", "ebx") "\n\t"
                                                            "mov %%" SP ", %2\n\t" TRY
                                                            "call *%0" END_TRY
                                                            "mov %%" IF_64("rbx", "ebx") ", %%" SP
                     :
                     : "r"(FROM + of), "c"(target), "m"(call_sp)
                     : "eax", IF_64("rbx", "ebx"), "memory", "cc");
}

static void absent(const char *name, unsigned of)
{
    fault(of, TO + 0x40);
    check(name, caught.vector == EXC_PF && !(caught.error & PF_P));
    check_equal("CR2 is the target", TO + 0x40, caught.cr2);
    check_equal("RIP too", TO + 0x40, caught.ip);
}

static void not_canonical(const char *name, unsigned of)
{
    fault(of, NOT_CANONICAL);
    check(name, caught.vector == EXC_GP && caught.error == 0);
    check_equal("RIP is the transfer's", FROM + of, caught.ip);
    check_equal("nothing was pushed", call_sp - sizeof(reg_t), fault_sp);
}

static void faults(void)
{
    map_page(FROM, from[ABSENT]);
    for (unsigned n = 0; n < 3; n++) {
        bool is_right = true;
        map_page(TO, to[1]);
        for (unsigned i = 0; i < TIMES; i++)
            is_right = is_right && all_say(FROM, TO + 0x40, 10);
        check("present", is_right);
        map_page(TO, NULL);
        absent("JMP to a page that is not present: #PF", OF_JMP);
        absent("CALL", OF_CALL);
        absent("RET", OF_RET);
        if (!IS_64)
            continue;
        trap_handler old = trap_set(EXC_GP, keep_sp);
        not_canonical("JMP to what is not canonical: #GP", OF_JMP);
        not_canonical("CALL", OF_CALL);
        trap_set(EXC_GP, old);
    }
}

/* ---- returns ---- */

static unsigned next_frame;

static void remap_caller(void)
{
    map_page(FROM, back[next_frame]);
}

static void rewrite_caller(void)
{
    *(volatile uint8_t *)(FROM + OF_BACK + 3) = (uint8_t)next_frame;
    cpuid(0, 0);
}

static void changed_callers(void)
{
    bool is_right = true;
    map_page(FROM, back[0]);
    for (unsigned n = 0; n < TIMES; n++) {
        next_frame = n / 3 % FRAMES;
        is_right = is_right && transfer(FROM + OF_BACK, (reg_t)remap_caller) == next_frame;
    }
    check("the caller's page is another one when its callee returns", is_right);
    for (unsigned n = 0; n < TIMES; n++) {
        next_frame = n % 100;
        is_right = is_right && transfer(FROM + OF_BACK, (reg_t)rewrite_caller) == next_frame;
    }
    check("the code that is returned to was written by the callee", is_right);
}

static __attribute__((noinline)) unsigned sum_to(unsigned n)
{
    return n ? sum_to(n - 1) + n : 0;
}

static void gone_wrong(void)
{
    bool is_right = true;
    for (unsigned n = 0; n < TIMES; n++) {
        unsigned deep = n * 7 % 500;
        is_right = is_right && sum_to(deep) == deep * (deep + 1) / 2;
    }
    check("deep recursion", is_right);
    for (unsigned n = 0; n < TIMES; n++) {
        reg_t v;
        /* the first CALL's RET is left out every other time */
        __asm__ volatile("test $1, %1\n\t"
                         "call 2f\n\t"
                         "add $1, %0\n\t"
                         "jmp 3f\n"
                         "2:\tmov $0, %k0\n\t"
                         "call 4f\n\t"
                         "add $2, %0\n\t"
                         "ret\n"
                         "4:\tadd $4, %0\n\t"
                         "test $1, %1\n\t"
                         "jz 5f\n\t"
                         "lea %c2(%%" SP "), %%" SP "\n"
                         "5:\tret\n"
                         "3:"
                         : "=&r"(v)
                         : "r"((uint32_t)n), "i"(sizeof(reg_t))
                         : "memory", "cc");
        is_right = is_right && v == (n % 2 ? 5 : 7);
    }
    check("a RET to the caller's caller", is_right);
    map_page(FROM, from[RETURNS]);
    map_page(TO, to[6]);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && transfer(FROM + OF_RET, TO + n % FRAMES * 0x20) == 48 + n % FRAMES;
    check("a RET to what no CALL has left", is_right);
}

int main(void)
{
    put_code();
    spaces_make();
    to_targets();
    remapped();
    at_two_addresses();
    in_two_spaces();
    rewritten();
    faults();
    changed_callers();
    gone_wrong();
    return checks_result();
}
