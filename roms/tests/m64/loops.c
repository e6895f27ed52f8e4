/* SPDX-License-Identifier: MIT */
/* Loops of one block, in whose Nth round something happens: an access faults, or is in another
 * page, a store changes the loop, a mapping changes, the stack comes to its next page; and what
 * flags, registers and memory are then. Each begins at a label, so that it is a block by itself. */
#include "roms/lib/spaces.h"

enum { ROUNDS = 40, PAGES = 4, STATUS = 0x8D5 }; /* OF SF ZF AF PF CF */
static uint64_t data[PAGES][GUEST_PAGE / 8] __attribute__((aligned(4096)));
static uint8_t code[2 * GUEST_PAGE] __attribute__((aligned(4096)));
static uint64_t table[256];
static const uint8_t order[PAGES] = {2, 0, 3, 1}; /* neighbours are not neighbours */

/* As simple as can be: what is compared with. */
static uint64_t number(unsigned i)
{
    return ((uint64_t)i * i + 7) * UINT64_C(0x9E3779B97F4A7C15);
}

static void fill(void)
{
    for (unsigned p = 0; p < PAGES; p++)
        for (unsigned i = 0; i < GUEST_PAGE / 8; i++)
            data[order[p]][i] = number(p * GUEST_PAGE / 8 + i);
    for (unsigned i = 0; i < COUNT(table); i++)
        table[i] = number(1000 + i);
}

static void map_all(unsigned pages)
{
    for (unsigned p = 0; p < PAGES; p++)
        map_page(FROM + p * GUEST_PAGE, p < pages ? data[order[p]] : NULL);
}

/* RFLAGS of a sum and a difference, by code that is no loop. */
static uint64_t flags_of_add(uint64_t a, uint64_t b)
{
    uint64_t f;
    __asm__ volatile("add %2, %1\n\tpushf\n\tpop %0" : "=r"(f), "+r"(a) : "r"(b) : "cc");
    return f & STATUS;
}

static uint64_t flags_of_sub(uint64_t a, uint64_t b)
{
    uint64_t f;
    __asm__ volatile("sub %2, %1\n\tpushf\n\tpop %0" : "=r"(f), "+r"(a) : "r"(b) : "cc");
    return f & STATUS;
}

/* ---- faults ---- */

/* Its flags are made before anybody looks at those of the round before. */
static void faults_behind_a_sum(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t a = 0, sum = 0, want = 0, at = FROM + GUEST_PAGE - 8 * n, left = 1000;
        const uint64_t step = UINT64_C(0x2FFFFFFFFFFFFFFF) * n;
        register uint64_t r13 __asm__("r13") = 0;
        __asm__ volatile(TRY "1: add %[step], %[a]\n\t"
                             "mov (%%rsi), %%rbx\n\t"
                             "lea 8(%%rsi), %%rsi\n\t"
                             "lea (%%r13,%%rbx), %%r13\n\t"
                             "sub $1, %%rcx\n\t"
                             "jnz 1b" END_TRY
                         : [a] "+r"(a), "+r"(r13), "+S"(at), "+c"(left)
                         : [step] "r"(step)
                         : "rbx", "memory", "cc");
        sum = r13;
        for (unsigned i = 0; i < n; i++)
            want += number(GUEST_PAGE / 8 - n + i);
        is_right = is_right && caught.vector == EXC_PF && caught.cr2 == FROM + GUEST_PAGE &&
                   at == FROM + GUEST_PAGE && left == 1000 - n && sum == want &&
                   a == step * (n + 1) && (caught.flags & STATUS) == flags_of_add(step * n, step);
    }
    check("a load faults behind the loop's first producer of flags", is_right);
}

/* The flags are those of the round before. */
static void faults_first(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t at = FROM + GUEST_PAGE - 8 * n, left = 7 * n;
        register uint64_t r14 __asm__("r14") = 0;
        register uint64_t r15 __asm__("r15") = 3 * n;
        __asm__ volatile(TRY "1: add (%%rsi), %%r14\n\t"
                             "lea 8(%%rsi), %%rsi\n\t"
                             "lea -3(%%rcx), %%rcx\n\t"
                             "cmp %%r15, %%rcx\n\t"
                             "jne 1b" END_TRY
                         : "+r"(r14), "+S"(at), "+c"(left)
                         : "r"(r15)
                         : "memory", "cc");
        uint64_t sum = r14, want = 0;
        bool ends = 4 * n % 3 == 0 && 4 * n / 3 <= n;
        for (unsigned i = 0; i < n; i++)
            want += number(GUEST_PAGE / 8 - n + i);
        is_right = is_right && !ends && caught.vector == EXC_PF && at == FROM + GUEST_PAGE &&
                   left == 4 * n && sum == want &&
                   (caught.flags & STATUS) == flags_of_sub(4 * n, 3 * n);
    }
    check("the loop's first instruction faults", is_right);
}

/* INC and DEC leave a CF that the next round adds. */
static void carries(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t at = FROM + GUEST_PAGE - 8 * n, left = n, flags, want = 0, carry = 1;
        register uint64_t r15 __asm__("r15") = 0;
        __asm__ volatile("stc\n"
                         "1: adc (%%rsi), %%r15\n\t"
                         "lea 8(%%rsi), %%rsi\n\t"
                         "dec %%rcx\n\t"
                         "jnz 1b\n\t"
                         "pushf\n\tpop %[flags]"
                         : "+r"(r15), "+S"(at), "+c"(left), [flags] "=r"(flags)
                         :
                         : "memory", "cc");
        uint64_t sum = r15;
        for (unsigned i = 0; i < n; i++) {
            uint64_t v = number(GUEST_PAGE / 8 - n + i), more = want + v;
            bool over = more < want;
            want = more + carry;
            carry = over || want < more;
        }
        is_right = is_right && sum == want && (flags & 1) == carry && (flags & 0xC0) == 0x40;
    }
    check("CF goes from round to round", is_right);
}

/* ---- pages ---- */

static void crosses(void)
{
    bool is_right = true;
    static uint8_t bytes[PAGES * GUEST_PAGE];
    for (unsigned p = 0; p < PAGES; p++)
        memcpy(bytes + p * GUEST_PAGE, data[order[p]], GUEST_PAGE);
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t from = GUEST_PAGE - 8 * n + n % 8, at = FROM + from, end = at + 2 * GUEST_PAGE;
        uint64_t want = 0, flags;
        end -= (end - at) % 8;
        uint64_t left = (end - at) / 8, rounds = left;
        register uint64_t r13 __asm__("r13") = 0;
        __asm__ volatile("1: mov (%%rsi), %%rbx\n\t"
                         "xor 1(%%rsi), %%rbx\n\t"
                         "add $8, %%rsi\n\t"
                         "rol $5, %%r13\n\t"
                         "add %%rbx, %%r13\n\t"
                         "cmp %[end], %%rsi\n\t"
                         "jb 1b\n\t"
                         "pushf\n\tpop %[flags]"
                         : "+r"(r13), "+S"(at), [flags] "=&r"(flags)
                         : [end] "r"(end)
                         : "rbx", "memory", "cc");
        uint64_t sum = r13;
        for (unsigned i = 0; i < rounds; i++) {
            uint64_t a, b;
            memcpy(&a, bytes + from + 8 * i, 8);
            memcpy(&b, bytes + from + 8 * i + 1, 8);
            want = (want << 5 | want >> 59) + (a ^ b);
        }
        is_right =
            is_right && sum == want && at == end && (flags & STATUS) == flags_of_sub(end, end);
    }
    check("loads cross pages", is_right);
}

/* By a counter that goes down to below zero, to pages whose frames lie elsewhere. */
static void fills(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t base = FROM + 2 * GUEST_PAGE - 8 * n + 4, i = 0, value = n;
        __asm__ volatile("1: add $3, %[value]\n\t"
                         "mov %[value], (%[base],%[i],8)\n\t"
                         "mov %k[value], -12(%[base],%[i],4)\n\t"
                         "inc %[i]\n\t"
                         "cmp $100, %[i]\n\t"
                         "jne 1b"
                         : [value] "+r"(value), [i] "+r"(i)
                         : [base] "r"(base)
                         : "memory", "cc");
        for (unsigned k = 51; k < 100; k++)
            is_right = is_right && *(volatile uint64_t *)(base + 8 * k) == n + 3 * (k + 1);
        is_right = is_right && value == n + 300;
    }
    fill();
    check("stores by an index cross pages", is_right);
}

/* Downwards, and by an index from the stack pointer, in steps that no page is a multiple of. */
static void goes_down(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t at = FROM + 2 * GUEST_PAGE + 8 * n, left = 900, want = 0;
        const uint64_t *first = data[order[2]], *second = data[order[1]];
        register uint64_t r13 __asm__("r13") = 0;
        register int64_t r14 __asm__("r14") = 0;
        __asm__ volatile("mov %%rsp, %%rbx\n\t"
                         "mov %[at], %%rsp\n"
                         "1: sub $1, %[left]\n\t"
                         "mov -8(%%rsp,%%r14,8), %%rax\n\t"
                         "add -16(%%rsp,%%r14,8), %%rax\n\t"
                         "xor %%rax, %%r13\n\t"
                         "lea -3(%%r14), %%r14\n\t"
                         "mov 8(%%rsp,%%r14,8), %%rax\n\t"
                         "add %%rax, %%r13\n\t"
                         "cmp $-600, %%r14\n\t"
                         "jg 1b\n\t"
                         "mov %%rbx, %%rsp"
                         : "+r"(r13), "+r"(r14), [left] "+r"(left)
                         : [at] "r"(at)
                         : "rax", "rbx", "memory", "cc");
        uint64_t sum = r13;
        for (int k = (int)n; k > (int)n - 600; k -= 3) {
            uint64_t a = k - 1 >= 0 ? first[k - 1] : second[512 + k - 1];
            uint64_t b = k - 2 >= 0 ? first[k - 2] : second[512 + k - 2];
            if (k - 1 < -512)
                a = data[order[0]][1024 + k - 1];
            if (k - 2 < -512)
                b = data[order[0]][1024 + k - 2];
            want = (want ^ (a + b)) + b;
        }
        is_right = is_right && sum == want && left == 700;
    }
    check("loads go down", is_right);
}

/* Beside words in order, one of a page that is another one in each round: what is known of pages
 * goes. */
static void evicts(void)
{
    bool is_right = true;
    static uint64_t many[64][GUEST_PAGE / 8] __attribute__((aligned(4096)));
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t at = FROM + GUEST_PAGE / 2 + 8 * n, far = FROM + 0x100000, left = 700, want = n;
        uint64_t sum = n, step = 0x1000 * (n % 3 + 1);
        for (unsigned i = 0; i < 256; i++)
            map_page(far + i * GUEST_PAGE, many[i % 64]);
        for (unsigned i = 0; i < 64; i++)
            many[i][n] = number(i);
        __asm__ volatile("xor %%ecx, %%ecx\n"
                         "1: add (%[at]), %[sum]\n\t"
                         "xor 8(%[at]), %[sum]\n\t"
                         "add (%[far],%%rcx), %[sum]\n\t"
                         "mov %[sum], -8(%[at])\n\t"
                         "add %[step], %%rcx\n\t"
                         "and $0xFFFFF, %%ecx\n\t"
                         "add $8, %[at]\n\t"
                         "sub $1, %[left]\n\t"
                         "jnz 1b"
                         : [sum] "+r"(sum), [at] "+r"(at), [left] "+r"(left)
                         : [far] "r"(far + 8 * n), [step] "r"(step)
                         : "rcx", "memory", "cc");
        unsigned first = GUEST_PAGE / 16 + n;
        for (unsigned i = 0, c = 0; i < 700; i++, c = (c + n % 3 + 1) & 255) {
            want = (want + number(first + i)) ^ number(first + i + 1);
            want += number(c % 64);
            is_right = is_right && *(volatile uint64_t *)(FROM + 8 * (first + i - 1)) == want;
        }
        is_right = is_right && sum == want;
        fill();
    }
    check("words in order, and other pages", is_right);
}

/* The stack is in the data's pages. */
static void pushes(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t top = FROM + 3 * GUEST_PAGE - 8 * n, value = 5, low, sum = 0;
        __asm__ volatile("mov %%rsp, %%rbx\n\t"
                         "mov %[top], %%rsp\n"
                         "1: push %[value]\n\t"
                         "add $7, %[value]\n\t"
                         "add (%%rsp), %[sum]\n\t"
                         "cmp $3512, %[value]\n\t"
                         "jb 1b\n\t"
                         "mov %%rsp, %[low]\n\t"
                         "mov %%rbx, %%rsp"
                         : [value] "+r"(value), [low] "=&r"(low), [sum] "+r"(sum)
                         : [top] "r"(top)
                         : "rbx", "memory", "cc");
        is_right = is_right && low == top - 8 * 501 && sum == 5 * 501 + 7 * 501 * 250;
        for (unsigned k = 0; k < 501; k++)
            is_right = is_right && *(volatile uint64_t *)(top - 8 * (k + 1)) == 5 + 7 * k;
    }
    fill();
    check("pushes cross pages", is_right);
}

/* A table's base stays, the byte that is looked up does not; the loop is left by a fault. */
static void looks_up(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t at = FROM + GUEST_PAGE - n, crc = n, want = n, left = 500;
        const uint8_t *bytes = (const uint8_t *)data[order[0]] + GUEST_PAGE - n;
        __asm__ volatile(TRY "1: movzbl (%%rsi), %%ebx\n\t"
                             "add $1, %%rsi\n\t"
                             "xor %k[crc], %%ebx\n\t"
                             "shr $8, %[crc]\n\t"
                             "movzbl %%bl, %%ebx\n\t"
                             "xor (%[table],%%rbx,8), %[crc]\n\t"
                             "sub $1, %%rcx\n\t"
                             "jnz 1b" END_TRY
                         : "+S"(at), [crc] "+r"(crc), "+c"(left)
                         : [table] "r"(table)
                         : "rbx", "memory", "cc");
        for (unsigned i = 0; i < n; i++)
            want = want >> 8 ^ table[(want ^ bytes[i]) & 255];
        is_right = is_right && caught.vector == EXC_PF && crc == want && left == 500 - n &&
                   (caught.flags & STATUS) == flags_of_sub(left + 1, 1);
    }
    check("a table is looked up until a load faults", is_right);
}

/* ---- what changes on the way ---- */

/* The page that the base leads to is another one in each round. */
static void remaps(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        volatile uint64_t *entry = &entries[0][FROM % BIG_PAGE >> 12];
        uint64_t this = (reg_t)data[0] | 7, next = (reg_t)data[1] | 7, want = 0, left = n;
        map_page(FROM, data[0]);
        register uint64_t r14 __asm__("r14") = 0;
        __asm__ volatile("1: add (%%rsi), %%r14\n\t"
                         "xor 8(%%rsi), %%r14\n\t"
                         "xor %[this], %[next]\n\t"
                         "xor %[next], %[this]\n\t"
                         "xor %[this], %[next]\n\t"
                         "mov %[this], (%%rdi)\n\t"
                         "invlpg (%%rsi)\n\t"
                         "add 16(%%rsi), %%r14\n\t"
                         "sub $1, %%rcx\n\t"
                         "jnz 1b"
                         : "+r"(r14), [this] "+r"(this), [next] "+r"(next), "+c"(left)
                         : "S"(FROM), "D"(entry)
                         : "memory", "cc");
        uint64_t sum = r14;
        for (unsigned i = 0; i < n; i++) {
            want = (want + data[i & 1][0]) ^ data[i & 1][1];
            want += data[~i & 1][2];
        }
        is_right = is_right && sum == want;
    }
    map_all(1);
    check("a mapping changes in each round", is_right);
}

/* Either loop: add eax, 1; a load by a fixed base, twice; the store, 64 bytes on in each round; and
 * the same with the store in front of what it changes. */
static const uint8_t behind[] = {0x83, 0xC0, 0x01,       /* 1: add eax, 1 */
                                 0x48, 0x03, 0x1E,       /* add rbx, [rsi] */
                                 0x48, 0x03, 0x5E, 0x08, /* add rbx, [rsi + 8] */
                                 0x88, 0x17,             /* mov [rdi], dl */
                                 0x48, 0x83, 0xC7, 0x40, /* add rdi, 64 */
                                 0x83, 0xE9, 0x01,       /* sub ecx, 1 */
                                 0x75, 0xEB, 0xC3};      /* jnz 1b; ret */
static const uint8_t before[] = {0x88, 0x17,             /* 1: mov [rdi], dl */
                                 0x83, 0xC0, 0x01,       /* add eax, 1 */
                                 0x48, 0x03, 0x1E,       /* add rbx, [rsi] */
                                 0x48, 0x03, 0x5E, 0x08, /* add rbx, [rsi + 8] */
                                 0x48, 0x83, 0xC7, 0x40, /* add rdi, 64 */
                                 0x83, 0xE9, 0x01,       /* sub ecx, 1 */
                                 0x75, 0xEB, 0xC3};      /* jnz 1b; ret */

/* The store of round n hits the constant that the loop adds. */
static bool rewrites(const uint8_t *loop, unsigned size, unsigned at, bool at_once)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint8_t *start = code + GUEST_PAGE + 64 * (n % 9), *byte = start + at;
        uint64_t sum = 0, count = 0, left = n + 1, to = (reg_t)byte - 64 * (n - 1);
        memcpy(start, loop, size);
        cpuid(0, 0);
        for (unsigned again = 0; again < 3; again++) { /* it is hot by then */
            uint64_t rounds = 20, away = (reg_t)code;
            __asm__ volatile("call *%[start]"
                             : "+a"(sum), "+b"(count), "+c"(rounds), "+D"(away)
                             : "d"(9), "S"(table), [start] "r"(start)
                             : "memory", "cc");
        }
        is_right = is_right && sum == 60 && count == 60 * (table[0] + table[1]);
        sum = count = 0;
        __asm__ volatile("call *%[start]"
                         : "+a"(sum), "+b"(count), "+c"(left), "+D"(to)
                         : "d"(9), "S"(table), [start] "r"(start)
                         : "memory", "cc");
        is_right = is_right && sum == (at_once ? n - 1 + 9 + 9 : n + 9) && *byte == 9 &&
                   count == (n + 1) * (table[0] + table[1]);
    }
    return is_right;
}

/* ---- edges ---- */

/* Several lead back, one of them an unconditional one; flags are looked at where it ends. */
static void has_many_edges(void)
{
    bool is_right = true;
    for (unsigned n = 1; n < ROUNDS; n++) {
        uint64_t at = FROM - 1, odd = 0, small = 0, flags, a = 0;
        const uint8_t *bytes = (const uint8_t *)data[order[0]];
        uint64_t end = FROM + 13 * n;
        __asm__ volatile("1: add $1, %%rsi\n\t"
                         "mov %[end], %%rax\n\t"
                         "sub %%rsi, %%rax\n\t"
                         "jbe 2f\n\t"
                         "movzbl (%%rsi), %%eax\n\t"
                         "add $1, %[odd]\n\t"
                         "test $1, %%al\n\t"
                         "jnz 1b\n\t"
                         "add $1, %[small]\n\t"
                         "cmp $0x80, %%al\n\t"
                         "jb 1b\n\t"
                         "lea -1(%[small]), %[small]\n\t"
                         "jmp 1b\n"
                         "2: pushf\n\tpop %[flags]"
                         : "+S"(at), [odd] "+r"(odd), [small] "+r"(small), [flags] "=&r"(flags),
                           "=&a"(a)
                         : [end] "r"(end)
                         : "memory", "cc");
        uint64_t want = 0;
        for (unsigned i = 0; i < 13 * n; i++)
            want += !(bytes[i] & 1) && bytes[i] < 0x80;
        is_right = is_right && at == end && odd == 13 * n && small == want && a == 0 &&
                   (flags & STATUS) == flags_of_sub(end, end);
    }
    check("a loop with several edges", is_right);
}

/* Long enough to be interrupted, wherever that is asked for: registers in memory, a product. */
static void runs_long(void)
{
    uint64_t left = 3000, flags, want = 1;
    register uint64_t r13 __asm__("r13") = 1;
    register uint64_t r14 __asm__("r14") = 0;
    register uint64_t r15 __asm__("r15") = 0;
    __asm__ volatile("1: add $5, %%r14\n\t"
                     "imul %%r14, %%r13\n\t"
                     "add %%r13, %%r15\n\t"
                     "adc $0, %%r13\n\t"
                     "sub $1, %%rcx\n\t"
                     "jnz 1b\n\t"
                     "pushf\n\tpop %[flags]"
                     : "+r"(r13), "+r"(r14), "+r"(r15), "+c"(left), [flags] "=r"(flags)
                     :
                     : "memory", "cc");
    uint64_t product = r13, factor = r14, sum = r15, all = 0;
    for (unsigned i = 1; i <= 3000; i++) {
        want *= 5 * i;
        all += want;
        want += all < want;
    }
    check_equal("a long loop: the product", want, product);
    check_equal("the sum", all, sum);
    check_equal("the factor", 15000, factor);
    check_equal("the flags", flags_of_sub(1, 1), flags & STATUS);
}

int main(void)
{
    spaces_make();
    fill();
    map_all(1);
    faults_behind_a_sum();
    faults_first();
    carries();
    looks_up();
    remaps();
    map_all(PAGES);
    crosses();
    fills();
    goes_down();
    evicts();
    pushes();
    has_many_edges();
    check("a store changes the loop in round N", rewrites(behind, sizeof(behind), 2, false));
    check("a store changes the next instruction in round N",
          rewrites(before, sizeof(before), 4, true));
    runs_long();
    return checks_result();
}
