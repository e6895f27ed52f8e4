/* SPDX-License-Identifier: MIT */
/* Direct transfers from one page to the next, while what is mapped there changes: JMP, Jcc, CALL,
 * and running over the end of the page. Each change is followed by what SDM Vol. 3A, "Operations
 * that Invalidate TLBs and Paging-Structure Caches" asks for. */
#include "roms/lib/spaces.h"

#define ELSEWHERE ((reg_t)0x40010000)
enum { OF_JMP = 0x100, OF_CALL = 0x200, OF_JCC = 0x300, OF_STORE = 0x400, OF_END = GUEST_PAGE - 2 };
enum { FRAMES = 7, TIMES = 100 };

/* Each test has a page of its own to begin in: what is remembered of one is no help to another. */
enum test { REMAPPED, TWO_ADDRESSES, TWO_SPACES, ITSELF, ABSENT, REWRITTEN, SYSTEM, TESTS };
static uint8_t from[TESTS][GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t to[FRAMES][GUEST_PAGE] __attribute__((aligned(4096)));

static void put(uint8_t *at, const char *text, unsigned len)
{
    memcpy(at, text, len);
}

static void put_rel32(uint8_t *page, unsigned at, unsigned target)
{
    uint32_t rel = GUEST_PAGE + target - (at + 4);
    memcpy(page + at, &rel, 4);
}

/* To the same offset in the next page. */
static void put_from(uint8_t *page)
{
    put(page + OF_JMP, "\xE9", 1);
    put_rel32(page, OF_JMP + 1, OF_JMP);
    put(page + OF_CALL, "\xE8....\xFF\xC0\xC3", 8); /* call; inc eax; ret */
    put_rel32(page, OF_CALL + 1, OF_CALL);
    put(page + OF_JCC, "\x39\xC0\x0F\x84....\xC3", 9); /* cmp eax, eax; je */
    put_rel32(page, OF_JCC + 4, OF_JCC);
    put(page + OF_STORE, "\x89\x11\x0F\x01\x3F\xE9", 6); /* mov [ecx], edx; invlpg [edi]; jmp */
    put_rel32(page, OF_STORE + 6, OF_STORE);
    put(page + OF_END, "\x90\x90", 2);
}

/* The next page says in EAX which it is. */
static void put_to(uint8_t *page, unsigned i)
{
    for (unsigned at = 0; at <= OF_STORE; at += 0x100) {
        page[at] = 0xB8; /* mov eax, number; ret */
        put(page + at + 2, "\0\0\0\xC3", 4);
        page[at + 1] = (uint8_t)(i * 16 + at / 0x100);
    }
}

static void put_code(void)
{
    for (unsigned i = 0; i < TESTS; i++)
        put_from(from[i]);
    for (unsigned i = 0; i < FRAMES; i++)
        put_to(to[i], i);
}

static uint32_t call(reg_t la)
{
    return ((uint32_t(*)(void))la)();
}

/* Do all four lead to frame i? */
static bool all_lead_to(reg_t page, unsigned i)
{
    return call(page + OF_JMP) == i * 16 + 1 && call(page + OF_CALL) == i * 16 + 3 &&
           call(page + OF_JCC) == i * 16 + 3 && call(page + OF_END) == i * 16;
}

static void remapped(void)
{
    bool is_right = true;
    map_page(FROM, from[REMAPPED]);
    map_page(FROM + GUEST_PAGE, to[0]);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && all_lead_to(FROM, 0);
    check("to the next page", is_right);
    for (unsigned n = 0; n < TIMES; n++) {
        map_page(FROM + GUEST_PAGE, to[n % 2]);
        is_right = is_right && all_lead_to(FROM, n % 2);
    }
    check("to one of two frames, after INVLPG", is_right);
    for (unsigned n = 0; n < 2 * TIMES; n++) {
        map_in(0, FROM + GUEST_PAGE, to[n % FRAMES]);
        write_cr3(space[0]);
        is_right = is_right && all_lead_to(FROM, n % FRAMES) && all_lead_to(FROM, n % FRAMES);
    }
    check("to one of seven, after a load of CR3", is_right);
}

/* The same page, entered by two linear addresses; the next one differs. */
static void at_two_addresses(void)
{
    bool is_right = true;
    map_page(FROM, from[TWO_ADDRESSES]);
    map_page(FROM + GUEST_PAGE, to[0]);
    map_page(ELSEWHERE, from[TWO_ADDRESSES]);
    map_page(ELSEWHERE + GUEST_PAGE, to[1]);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && all_lead_to(FROM, 0) && all_lead_to(ELSEWHERE, 1);
    check("code at two linear addresses with different neighbours", is_right);
    map_page(ELSEWHERE + GUEST_PAGE, to[0]);
    for (unsigned n = 0; n < TIMES; n++)
        is_right = is_right && all_lead_to(FROM, 0) && all_lead_to(ELSEWHERE, 0);
    check("with the same one", is_right);
}

/* No flush but the load of CR3, which keeps what is global: nothing here. */
static void in_two_spaces(void)
{
    bool is_right = true;
    map_page(FROM, from[TWO_SPACES]);
    map_in(1, FROM, from[TWO_SPACES]);
    map_in(1, FROM + GUEST_PAGE, to[2]);
    map_page(FROM + GUEST_PAGE, to[3]);
    for (unsigned n = 0; n < TIMES; n++) {
        write_cr3(space[1]);
        is_right = is_right && all_lead_to(FROM, 2);
        write_cr3(space[0]);
        is_right = is_right && all_lead_to(FROM, 3) && all_lead_to(FROM, 3);
    }
    check("two address spaces with different neighbours", is_right);
    for (unsigned n = 0; n < TIMES; n++) {
        map_in(1, FROM + GUEST_PAGE, to[n % 2]); /* of the space that is not current */
        is_right = is_right && all_lead_to(FROM, 3);
        write_cr3(space[1]);
        is_right = is_right && all_lead_to(FROM, n % 2);
        write_cr3(space[0]);
    }
    check("the other one's neighbour changes", is_right);
}

/* The block that changes the mapping goes there itself. */
static void by_the_block_itself(void)
{
    bool is_right = true;
    reg_t at = (reg_t)&entries[0][(FROM + GUEST_PAGE) % BIG_PAGE >> 12];
    map_page(FROM, from[ITSELF]);
    for (unsigned n = 0; n < TIMES; n++) {
        unsigned i = n / 3 % FRAMES;
        uint32_t v;
        __asm__ volatile("call *%1"
                         : "=a"(v)
                         : "r"(FROM + OF_STORE), "c"(at), "d"((reg_t)to[i] | 7),
                           "D"(FROM + GUEST_PAGE)
                         : "memory", "cc");
        is_right = is_right && v == i * 16 + OF_STORE / 0x100;
    }
    check("a block that maps its target", is_right);
}

static void fault(const char *name, unsigned of, unsigned target)
{
    __asm__ volatile("mov %%" SP ", %%" IF_64("rbx", "ebx") "\n\t" TRY "call *%0" END_TRY
                                                            "mov %%" IF_64("rbx", "ebx") ", %%" SP
                     :
                     : "r"(FROM + of)
                     : "eax", IF_64("rbx", "ebx"), "memory", "cc");
    check(name, caught.vector == EXC_PF && !(caught.error & PF_P));
    check_equal("CR2 is the target", FROM + GUEST_PAGE + target, caught.cr2);
    check_equal("RIP too", FROM + GUEST_PAGE + target, caught.ip);
}

static void not_present(void)
{
    map_page(FROM, from[ABSENT]);
    map_page(FROM + GUEST_PAGE, to[0]);
    for (unsigned n = 0; n < 3; n++) {
        check("present", all_lead_to(FROM, 0));
        map_page(FROM + GUEST_PAGE, NULL);
        fault("JMP to a page that is not present: #PF", OF_JMP, OF_JMP);
        fault("CALL", OF_CALL, OF_CALL);
        fault("Jcc", OF_JCC, OF_JCC);
        fault("over the end", OF_END, 0);
        map_page(FROM + GUEST_PAGE, to[0]);
    }
}

/* The frame stays, and its code changes. */
static void rewritten(void)
{
    bool is_right = true;
    map_page(FROM, from[REWRITTEN]);
    for (unsigned n = 0; n < TIMES; n++) {
        *(volatile uint8_t *)(FROM + GUEST_PAGE + OF_JMP + 1) = (uint8_t)n;
        cpuid(0, 0);
        is_right = is_right && call(FROM + OF_JMP) == n;
    }
    check("the target's code changes", is_right);
}

#if defined(__x86_64__)

/*
 * What systems do: the last entry of every PML4 table leads to the same tables, whose pages are global, and nothing runs
 * at CPL 0 elsewhere meanwhile. The functions below run there: all memory is mapped there once more.
 */
#define TOP UINT64_C(0xFFFFFF8000000000)
#define TOP_MEMORY UINT64_C(0xFFFFFFFFC0000000)
#define TOP_FROM (TOP + 0x40000000)
#define TOP_ENTRY 511
#define PT_ALL (PT_P | PT_W | PT_U | PT_A | PT_D)

static volatile uint64_t *top_root[2];    /* PML4 tables */
static volatile uint64_t *top_entries[2]; /* the page tables of TOP_FROM, of either system */
static uint64_t top_system[2];            /* what the last entry is */

static void top_make(void)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t *pointers = page_alloc(), *directory = page_alloc();
        top_entries[i] = page_alloc();
        top_root[i] = copy_of(page_entry(0, 4));
        pointers[TOP_FROM >> 30 & 511] = (reg_t)directory | PT_ALL;
        pointers[TOP_MEMORY >> 30 & 511] = *page_entry(0, 3);
        directory[TOP_FROM >> 21 & 511] = (reg_t)top_entries[i] | PT_ALL;
        top_entries[i][0] = (reg_t)from[SYSTEM] | PT_ALL;
        top_system[i] = (reg_t)pointers | PT_ALL;
    }
}

/* Both spaces anew: of system a and b. */
static void top_spaces(unsigned a, unsigned b)
{
    top_root[0][TOP_ENTRY] = top_system[a];
    top_root[1][TOP_ENTRY] = top_system[b];
    write_cr3((reg_t)top_root[1]);
    write_cr3((reg_t)top_root[0]);
}

static void top_map(unsigned system, unsigned i, uint64_t flags)
{
    top_entries[system][1] = (reg_t)to[i] | PT_ALL | flags;
}

static bool all_lead_there(unsigned i)
{
    bool is_right = true;
    for (unsigned n = 0; n < 3; n++)
        is_right = is_right && all_lead_to(TOP_FROM, i);
    return is_right;
}

static bool top_same(void)
{
    bool is_right = true;
    for (unsigned n = 0; n < TIMES; n++) {
        write_cr3((reg_t)top_root[n % 2]);
        is_right = is_right && all_lead_there(0);
    }
    return is_right;
}

/* INVLPG takes a global page from all address spaces. */
static bool top_remapped(void)
{
    bool is_right = true;
    for (unsigned n = 0; n < 2 * TIMES; n++) {
        top_map(0, n % FRAMES, PT_G);
        invlpg((void *)(TOP_FROM + GUEST_PAGE));
        is_right = is_right && (n % 3 || all_lead_there(n % FRAMES));
        write_cr3((reg_t)top_root[n % 2]);
        is_right = is_right && all_lead_there(n % FRAMES);
    }
    return is_right;
}

/* So does a change of CR4.PGE. */
static bool top_flushed(void)
{
    bool is_right = true;
    for (unsigned n = 0; n < TIMES; n++) {
        top_map(0, n % FRAMES, PT_G);
        write_cr4(read_cr4() ^ CR4_PGE);
        is_right = is_right && (n % 3 || all_lead_there(n % FRAMES));
        write_cr3((reg_t)top_root[n % 2]);
        is_right = is_right && all_lead_there(n % FRAMES);
    }
    return is_right;
}

/* Two systems with different neighbours; what is not global goes with the load of CR3. */
static bool top_different(void)
{
    bool is_right = true;
    for (unsigned n = 0; n < 2 * TIMES; n++) {
        write_cr3((reg_t)top_root[n % 2]);
        is_right = is_right && all_lead_there(3 + n % 2);
    }
    return is_right;
}

/* The other space gets, and loses, the system of this one. */
static bool top_exchanged(void)
{
    bool is_right = true;
    for (unsigned n = 0; n < 2 * TIMES; n++) {
        top_root[n % 2][TOP_ENTRY] = top_system[n / 2 % 2];
        write_cr3((reg_t)top_root[n % 2]);
        is_right = is_right && all_lead_there(3 + n / 2 % 2);
    }
    return is_right;
}

/* Function f, at its address in the system's part, in spaces of system 0 and b. */
static void there(const char *name, bool (*f)(void), unsigned b)
{
    top_spaces(0, b);
    check(name, ((bool (*)(void))((reg_t)f + TOP_MEMORY))());
    write_cr3(space[0]);
}

static void in_the_system(void)
{
    top_make();
    write_cr4(read_cr4() | CR4_PGE);
    top_map(0, 0, 0);
    there("one system's part in two spaces", top_same, 0);
    there("a global page, after INVLPG", top_remapped, 0);
    there("a global page, after MOV to CR4", top_flushed, 0);
    write_cr4(read_cr4() | CR4_PGE);
    top_map(0, 3, 0);
    top_map(1, 4, 0);
    write_cr4(read_cr4() & ~CR4_PGE);
    there("two systems in two spaces", top_different, 1);
    there("a space with one system and the other", top_exchanged, 0);
}

#else
static void in_the_system(void)
{
}
#endif

int main(void)
{
    put_code();
    spaces_make();
    remapped();
    at_two_addresses();
    in_two_spaces();
    by_the_block_itself();
    not_present();
    in_the_system();
    rewritten();
    return checks_result();
}
