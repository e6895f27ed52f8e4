/* SPDX-License-Identifier: MIT */
/* Code that is changed through another linear address of its page, while it runs, and by every kind
 * of instruction that writes; code that crosses into a page that goes away. SDM Vol. 3A,
 * "Self-Modifying Code" and "Handling Self- and Cross-Modifying Code": a serializing instruction or
 * a branch stands between where the manual asks for one. Changes by the same linear address are in
 * smc.c. */
#include "roms/lib/traps.h"

#define CODE ((reg_t)0x40000000)
#define ALIAS ((reg_t)0x40010000)
enum { RET = 0xC3, NOP = 0x90 };

static uint8_t room[3][GUEST_PAGE] __attribute__((aligned(4096)));

#if defined(__x86_64__)
#include "roms/lib/paging.h"

static void map_page(reg_t la, reg_t pa)
{
    page_map(la, pa, pa ? PT_P | PT_W | PT_U : 0);
    invlpg((void *)la);
}

static void paging_on(void)
{
}
#else
static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));

static void map_page(reg_t la, reg_t pa)
{
    table[la >> 12 & 1023] = pa ? pa | 7 : 0;
    invlpg((void *)la);
}

static void paging_on(void)
{
    for (uint32_t i = 0; i < 1024; i++)
        directory[i] = i << 22 | 0x87;
    directory[CODE >> 22] = (uint32_t)table | 7;
    write_cr4(read_cr4() | CR4_PSE);
    write_cr3((reg_t)directory);
    write_cr0(read_cr0() | CR0_PG);
}
#endif

static void serialize(void)
{
    cpuid(0, 0);
}

static uint32_t call(reg_t la)
{
    return ((uint32_t(*)(void))la)();
}

/* MOV EAX, v; RET */
static void put_mov(reg_t la, uint32_t v)
{
    volatile uint8_t *at = (volatile uint8_t *)la;
    at[0] = 0xB8;
    for (unsigned i = 0; i < 4; i++)
        at[1 + i] = (uint8_t)(v >> 8 * i);
    at[5] = RET;
}

static void through_an_alias(void)
{
    bool is_right = true;
    for (uint32_t i = 0; i < 300; i++) {
        put_mov(ALIAS + 64, i);
        serialize();
        is_right = is_right && call(CODE + 64) == i;
    }
    check("a function rewritten through another address of its page", is_right);
    for (uint32_t i = 0; i < 300; i++) {
        *(volatile uint8_t *)(ALIAS + 65) = (uint8_t)i;
        is_right = is_right && call(CODE + 64) % 256 == (uint8_t)i;
    }
    check("one byte, and a call", is_right);
    check_equal("both addresses run the same code", call(ALIAS + 64), call(CODE + 64));
}

/* The running block writes its own page by the alias: the bytes behind, then those ahead. */
static void while_it_runs(void)
{
    static const uint8_t text[] = {
        0x31, 0xC0,                   /* xor eax, eax */
        0xB9, 0x03, 0x00, 0x00, 0x00, /* mov ecx, 3 */
        0x83, 0xC0, 0x01,             /* 7: add eax, 1 */
        0xFE, 0x02,                   /* inc byte [edx]: the 1 */
        0x0F, 0x1F, 0x00,             /* nop */
        0xEB, 0x00,                   /* jmp: what follows is fetched anew */
        0xFF, 0xC9,                   /* dec ecx */
        0x75, 0xF2,                   /* jnz 7 */
        RET,
    };
    uint32_t v;
    memcpy((void *)CODE, text, sizeof(text));
    serialize();
    __asm__ volatile("call *%1" : "=a"(v) : "r"(CODE), "d"(ALIAS + 9) : "ecx", "memory", "cc");
    check_equal("a loop that edits itself by the alias: 1 + 2 + 3", 6, v);
    memcpy((void *)CODE, text, sizeof(text));
    serialize();
    __asm__ volatile("call *%1" : "=a"(v) : "r"(CODE), "d"(CODE + 9) : "ecx", "memory", "cc");
    check_equal("and by its own address", 6, v);
}

/* Every way to write: `text` changes the first byte at EDI from NOP to RET; EAX counts what runs.
 */
static bool changed_by(const uint8_t *text, unsigned len)
{
    volatile uint8_t *code = (volatile uint8_t *)CODE;
    uint32_t v = 0;
    bool is_right;
    for (unsigned i = 0; i < 96; i++)
        code[i] = NOP;
    code[64] = NOP;
    code[72] = 0x40; /* INC EAX in 32-bit code */
#if defined(__x86_64__)
    code[72] = 0xFF;
    code[73] = 0xC0;
#endif
    code[80] = RET;
    serialize();
    v = call(CODE + 60);
    memcpy((void *)(reg_t)code, text, len); /* runs into the NOPs up to 64 */
    serialize();
    __asm__ volatile("call *%1"
                     : "+a"(v)
                     : "r"(CODE), "D"(CODE + 64), "d"(RET), "c"(1)
                     : "memory", "cc");
    is_right = code[64] == RET && v == 0x1234;
    return is_right;
}

static void kinds_of_stores(void)
{
    /* MOV EAX, 1234h first; the store; the rest is NOPs up to the target. */
    static const struct {
        const char *name;
        uint8_t len;
        uint8_t text[16];
    } stores[] = {
        {"MOV", 7, {0xB8, 0x34, 0x12, 0, 0, 0x88, 0x17}},
        {"XCHG", 7, {0xB8, 0x34, 0x12, 0, 0, 0x86, 0x17}},
        {"ADD", 8, {0xB8, 0x34, 0x12, 0, 0, 0x80, 0x07, 0x33}},
        {"STOSB", 11, {0xB8, 0xC3, 0, 0, 0, 0xAA, 0xB8, 0x34, 0x12, 0, 0}},
        {"REP STOSB", 12, {0xB8, 0xC3, 0, 0, 0, 0xF3, 0xAA, 0xB8, 0x34, 0x12, 0, 0}},
        {"MOV of an immediate", 8, {0xB8, 0x34, 0x12, 0, 0, 0xC6, 0x07, 0xC3}},
        {"BTS", 13, {0xB8, 0x34, 0x12, 0, 0, 0x80, 0x07, 0x32, 0x0F, 0xBA, 0x2F, 0, NOP}},
        {"LOCK XOR", 9, {0xB8, 0x34, 0x12, 0, 0, 0xF0, 0x80, 0x37, 0x53}},
        {"LOCK XADD", 11, {0xB8, 0x34, 0x12, 0, 0, 0xB2, 0x33, 0xF0, 0x0F, 0xC0, 0x17}},
        {"NEG", 12, {0xB8, 0x34, 0x12, 0, 0, 0xC6, 0x07, 0x3D, 0xF6, 0x1F, NOP, NOP}},
    };
    for (unsigned i = 0; i < COUNT(stores); i++)
        check(stores[i].name, changed_by(stores[i].text, stores[i].len));
}

/* A push that lands on code ahead. */
static void by_a_push(void)
{
    volatile uint8_t *code = (volatile uint8_t *)CODE;
    uint32_t v;
    for (unsigned i = 0; i < 128; i++)
        code[i] = NOP;
    code[0] = 0x52; /* push edx: onto CODE + 64 */
    code[1] = 0x89; /* mov esp, ebp / mov rsp, rbp */
    code[2] = 0xEC;
#if defined(__x86_64__)
    code[1] = 0x48;
    code[2] = 0x89;
    code[3] = 0xEC;
#endif
    code[80] = RET;
    serialize();
    __asm__ volatile(
        "push %%" IF_64("rbp", "ebp") "\n\tmov $77f, %%eax\n\tpush %%" IF_64(
            "rax", "eax") "\n\tmov %%" SP
                          ", %%" IF_64("rbp", "ebp") "\n\tmov %1, %%" SP
                                                     "\n\tjmp *%2\n77:\tpop %%" IF_64("rbp", "ebp")
        : "=&a"(v)
        : "r"(CODE + 64 + sizeof(reg_t)), "r"(CODE), "d"((reg_t)(0x90909090C32A00B8 & ~(reg_t)0))
        : "memory", "cc");
    check_equal("PUSH of MOV EAX over what comes: it runs", 0xC32A00u, v & 0xFFFFFF);
}

/* ---- two pages ---- */

static void crossing(void)
{
    uint32_t v;
    map_page(CODE + GUEST_PAGE, (reg_t)room[1]);
    put_mov(CODE + GUEST_PAGE - 2, 0x11223344);
    check_equal("an instruction across pages", 0x11223344, call(CODE + GUEST_PAGE - 2));
    memcpy(room[2], room[1], GUEST_PAGE);
    room[2][2] = 0x99;
    map_page(CODE + GUEST_PAGE, (reg_t)room[2]);
    check_equal("its second page mapped to another", 0x99223344, call(CODE + GUEST_PAGE - 2));
    map_page(ALIAS, (reg_t)room[2]);
    *(volatile uint8_t *)(ALIAS + 2) = 0x98;
    serialize();
    check_equal("and edited by an alias", 0x98223344, call(CODE + GUEST_PAGE - 2));
    map_page(ALIAS, (reg_t)room[0]);
    map_page(CODE + GUEST_PAGE, 0);
    __asm__ volatile("mov %%" SP ", %%" IF_64("rbx", "ebx") "\n\t" TRY "call *%1" END_TRY
                                                            "mov %%" IF_64("rbx", "ebx") ", %%" SP
                     : "=a"(v)
                     : "r"(CODE + GUEST_PAGE - 2)
                     : IF_64("rbx", "ebx"), "memory");
    check("its second page not present: #PF",
          caught.vector == EXC_PF && (caught.error & ~(reg_t)PF_I) == 0);
    check_equal("CR2 is the second page", CODE + GUEST_PAGE, caught.cr2);
    check_equal("RIP is the instruction", CODE + GUEST_PAGE - 2, caught.ip);
    ((volatile uint8_t *)CODE)[GUEST_PAGE - 1] = NOP;
    __asm__ volatile("mov %%" SP ", %%" IF_64("rbx", "ebx") "\n\t" TRY "call *%1" END_TRY
                                                            "mov %%" IF_64("rbx", "ebx") ", %%" SP
                     : "=a"(v)
                     : "r"(CODE + GUEST_PAGE - 1)
                     : IF_64("rbx", "ebx"), "memory");
    check_equal("an instruction that ends with the page: the next one faults", CODE + GUEST_PAGE,
                caught.ip);
}

/* The page under running code is replaced by the code itself. */
static void remapped_under_itself(void)
{
    map_page(CODE, (reg_t)room[0]);
    put_mov(CODE + 32, 0xAAAA);
    memcpy(room[1], room[0], GUEST_PAGE);
    put_mov((reg_t)room[1] + 32, 0xBBBB);
    check_equal("before", 0xAAAA, call(CODE + 32));
    map_page(CODE, (reg_t)room[1]);
    check_equal("its page replaced: the other code runs", 0xBBBB, call(CODE + 32));
    map_page(CODE, (reg_t)room[0]);
    check_equal("and back", 0xAAAA, call(CODE + 32));
}

int main(void)
{
    paging_on();
    map_page(CODE, (reg_t)room[0]);
    map_page(ALIAS, (reg_t)room[0]);
    through_an_alias();
    while_it_runs();
    kinds_of_stores();
    by_a_push();
    crossing();
    remapped_under_itself();
    return checks_result();
}
