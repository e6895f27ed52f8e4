/* SPDX-License-Identifier: MIT */
#include "frontends/monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/terminal.h"
#include "frontends/values.h"

#define LINE 512
#define QUADWORDS_MAX 512

/* One command while it is carried out. */
struct call {
    struct monitor *mon;        /* borrowed */
    struct trapline_machine *m; /* borrowed */
    const char *argument;       /* the rest of the line; "" */
    enum monitor_answer answer; /* when it returns true */
    uint64_t until;             /* of MONITOR_GO */
};

static bool complain(const char *text, const char *hint)
{
    printf("%s%s%s\n", text, hint[0] ? "; " : "", hint);
    return false;
}

static bool complain_error(const struct trapline_error *e)
{
    return complain(e->text, e->hint);
}

/* ---- running ---- */

static bool go_to(struct call *c, uint64_t until)
{
    c->answer = MONITOR_GO;
    c->until = until;
    return true;
}

static bool do_cont(struct call *c)
{
    return go_to(c, UINT64_MAX);
}

static bool do_step(struct call *c)
{
    uint64_t n = 1;
    if (c->argument[0] && (!parse_number(c->argument, &n) || n == 0))
        return complain("step takes a number of ticks", "step 1000");
    uint64_t now = trapline_ticks(c->m);
    return go_to(c, n < UINT64_MAX - now ? now + n : UINT64_MAX);
}

static bool do_until(struct call *c)
{
    uint64_t tick;
    if (!parse_number(c->argument, &tick) || tick <= trapline_ticks(c->m))
        return complain("until takes a position that is still to come",
                        "info status says where the machine is");
    return go_to(c, tick);
}

/* ---- breakpoints ---- */

/* A linear address, or the name of one. */
static bool parse_address(const struct call *c, uint64_t *address)
{
    const struct symbols *s = c->mon->symbols;
    uint64_t last;
    return parse_number(c->argument, address) || (s && symbols_range(s, c->argument, address, &last));
}

static void print_place(const struct monitor *mon, uint64_t address)
{
    uint64_t offset;
    const char *name = mon->symbols ? symbols_find(mon->symbols, address, &offset) : NULL;
    printf("%016" PRIx64, address);
    if (name)
        printf(offset ? " %s+%#" PRIx64 : " %s", name, offset);
}

static bool do_break(struct call *c)
{
    struct trapline_error e;
    uint64_t address;
    if (!parse_address(c, &address))
        return complain("break takes a linear address, or a name that -symbols FILE has", "break 0xffffffff81000000");
    return trapline_break(c->m, address, &e) < 0 && complain_error(&e);
}

static bool do_delete(struct call *c)
{
    struct trapline_error e;
    uint64_t address;
    if (c->argument[0]) {
        if (!parse_address(c, &address))
            return complain("delete takes the address or name of a breakpoint", "info breakpoints lists them");
        return trapline_unbreak(c->m, address, &e) < 0 && complain_error(&e);
    }
    while (trapline_breakpoint(c->m, 0, &address))
        (void)trapline_unbreak(c->m, address, &e);
    return false;
}

static void info_breakpoints(const struct call *c)
{
    uint64_t address;
    for (unsigned i = 0; trapline_breakpoint(c->m, i, &address); i++) {
        print_place(c->mon, address);
        fputc('\n', stdout);
    }
}

void monitor_stopped(struct monitor *mon, const struct trapline_stop *stop)
{
    mon->vcpu = stop->code;
    terminal_restore();
    printf("CPU#%u is at a breakpoint: ", stop->code);
    print_place(mon, stop->address);
    fputc('\n', stdout);
}

static bool do_quit(struct call *c)
{
    c->answer = MONITOR_QUIT;
    return true;
}

/* ---- looking ---- */

static uint64_t reg(const struct call *c, const char *name)
{
    struct trapline_error ignored;
    uint64_t v = 0;
    (void)trapline_get(c->m, c->mon->vcpu, name, 0, &v, &ignored);
    return v;
}

static void info_status(const struct call *c)
{
    printf("VM status: paused at tick %" PRIu64 ", virtual time %" PRIu64 ".%09" PRIu64 " s\n",
           trapline_ticks(c->m), trapline_vtime_ns(c->m) / 1000000000,
           trapline_vtime_ns(c->m) % 1000000000);
}

static void info_registers(const struct call *c)
{
    static const char *const names[] = {"rax", "rbx",    "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                                        "r8",  "r9",     "r10", "r11", "r12", "r13", "r14", "r15",
                                        "rip", "rflags", "cr0", "cr2", "cr3", "cr4", "efer"};
    static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    printf("CPU#%u\n", c->mon->vcpu);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        printf("%-6s %016" PRIx64 "%s", names[i], reg(c, names[i]),
               i % 4 == 3 || i + 1 == ARRAY_SIZE(names) ? "\n" : "  ");
    for (unsigned i = 0; i < ARRAY_SIZE(segments); i++)
        printf("%-4s %04" PRIx64 "%s", segments[i], reg(c, segments[i]),
               i + 1 == ARRAY_SIZE(segments) ? "\n" : "  ");
}

static void info_tables(const struct call *c)
{
    trapline_print_tables(c->m, c->mon->vcpu, stdout);
}

static void info_paging(const struct call *c)
{
    trapline_print_paging(c->m, stdout);
}

static void info_exits(const struct call *c)
{
    trapline_print_exits(c->m, stdout);
}

static void info_rows(const struct call *c)
{
    trapline_print_rows(c->m, stdout);
}

static void info_jit(const struct call *c)
{
    trapline_print_jit(c->m, stdout);
}

static void info_turns(const struct call *c)
{
    trapline_print_turns(c->m, stdout);
}

static void info_hypercalls(const struct call *c)
{
    trapline_print_hypercalls(c->m, stdout);
}

static const struct {
    const char *name;
    void (*print)(const struct call *c);
} topics[] = {{"registers", info_registers}, {"status", info_status}, {"breakpoints", info_breakpoints},
              {"shadow", info_tables},       {"nested", info_tables}, {"paging", info_paging},
              {"exits", info_exits},         {"rows", info_rows},     {"jit", info_jit},
              {"turns", info_turns},         {"hypercalls", info_hypercalls}};

static bool do_info(struct call *c)
{
    for (unsigned i = 0; i < ARRAY_SIZE(topics); i++) {
        if (strcmp(topics[i].name, c->argument) == 0) {
            topics[i].print(c);
            return false;
        }
    }
    return complain(
        "info takes one of: registers, status, breakpoints, shadow, nested, paging, exits, rows, jit, turns, hypercalls", "");
}

/* "ADDRESS [N]" */
static bool parse_range(const char *text, uint64_t *address, uint64_t *count)
{
    char first[LINE];
    const char *space = strchr(text, ' ');
    size_t n = space ? (size_t)(space - text) : strlen(text);
    memcpy(first, text, n);
    first[n] = 0;
    *count = 1;
    return parse_number(first, address) &&
           (!space ||
            (parse_number(space + 1 + strspn(space + 1, " "), count) && *count <= QUADWORDS_MAX));
}

static bool dump(struct call *c, bool is_physical)
{
    struct trapline_error e;
    uint64_t address, count;
    if (!parse_range(c->argument, &address, &count))
        return complain("x takes an address and how many quadwords, at most 512",
                        "x 0xffffffff81000000 8");
    for (uint64_t i = 0; i < count; i++, address += 8) {
        uint8_t b[8];
        int rc = is_physical ? trapline_read(c->m, address, b, 8, &e)
                             : trapline_read_linear(c->m, c->mon->vcpu, address, b, 8, &e);
        if (rc < 0)
            return complain_error(&e);
        printf("%016" PRIx64 ": 0x", address);
        for (unsigned k = 8; k-- > 0;)
            printf("%02x", b[k]);
        fputc('\n', stdout);
    }
    return false;
}

static bool do_x(struct call *c)
{
    return dump(c, false);
}

static bool do_xp(struct call *c)
{
    return dump(c, true);
}

static bool do_cpu(struct call *c)
{
    struct trapline_error e;
    uint64_t n, v;
    if (!parse_number(c->argument, &n) || n > UINT32_MAX)
        return complain("cpu takes an index from 0 on", "");
    if (trapline_get(c->m, (unsigned)n, "rip", 0, &v, &e) < 0)
        return complain_error(&e);
    c->mon->vcpu = (unsigned)n;
    return false;
}

static bool do_log(struct call *c)
{
    bool on = c->argument[0] != '-';
    if (!c->argument[0] || trapline_trace(c->m, c->argument + !on, on) == 0)
        return complain("no trace point has such a name", "trapline -trace help lists them");
    return false;
}

static bool do_revoke(struct call *c)
{
    unsigned i = 0;
    while (trapline_pv_feature(i) && strcmp(trapline_pv_feature(i), c->argument) != 0)
        i++;
    if (!trapline_pv_feature(i))
        return complain("revoke takes a feature of -virt pv",
                        "timer, eoi, time-page, time, multicall, write-msrs, sleep, yield, interrupts");
    trapline_revoke(c->m, 1u << i);
    return false;
}

static bool do_hash(struct call *c)
{
    uint8_t h[TRAPLINE_HASH_BYTES];
    struct trapline_error e;
    if (trapline_hash(c->m, h, &e) < 0)
        return complain_error(&e);
    for (unsigned i = 0; i < sizeof(h); i++)
        printf("%02x", h[i]);
    fputc('\n', stdout);
    return false;
}

static bool do_savevm(struct call *c)
{
    struct trapline_error e;
    if (!c->argument[0])
        return complain("savevm takes a file", "savevm state.tl");
    return trapline_save(c->m, c->argument, &e) < 0 && complain_error(&e);
}

/* ---- the table ---- */

static bool do_help(struct call *c);

static const struct {
    const char *name;
    const char *other;    /* NULL: none */
    const char *argument; /* NULL: none */
    const char *help;
    bool (*function)(struct call *c); /* true: the machine runs on, or the run ends */
} commands[] = {
#define COMMAND(name, other, argument, help) {#name, other, argument, help, do_##name},
#include "frontends/monitor_commands.def"
#undef COMMAND
};

static bool do_help(struct call *c)
{
    (void)c;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%s%s %s", commands[i].name, commands[i].other ? "|" : "",
                 commands[i].other ? commands[i].other : "",
                 commands[i].argument ? commands[i].argument : "");
        printf("%-20s %s\n", left, commands[i].help);
    }
    return false;
}

static bool is_called(unsigned i, const char *word, size_t n)
{
    const char *names[] = {commands[i].name, commands[i].other};
    for (unsigned k = 0; k < 2; k++)
        if (names[k] && strlen(names[k]) == n && memcmp(names[k], word, n) == 0)
            return true;
    return false;
}

bool monitor_command(struct monitor *mon, struct trapline_machine *m, const char *line,
                     enum monitor_answer *answer, uint64_t *until)
{
    line += strspn(line, " \t");
    size_t n = strcspn(line, " \t");
    struct call c = {.mon = mon, .m = m, .argument = line + n + strspn(line + n, " \t")};
    if (!n || line[0] == '#')
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!is_called(i, line, n))
            continue;
        bool ends = commands[i].function(&c);
        *answer = c.answer;
        *until = c.until;
        return ends;
    }
    return complain("unknown command", "help lists all");
}

/* ---- the prompt ---- */

/* A line without its end, of which nothing more is taken from standard input: what follows may be
 * the guest's. False: no more. */
static bool read_line(char line[LINE])
{
    size_t n = 0;
    for (;;) {
        char b;
        ssize_t got = read(STDIN_FILENO, &b, 1);
        if (got < 0 && errno == EINTR && !terminal_signal())
            continue;
        if (got <= 0 && n == 0)
            return false;
        if (got <= 0 || b == '\n')
            break;
        if (n + 1 < LINE && b)
            line[n++] = b;
    }
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\r'))
        n--;
    line[n] = 0;
    return true;
}

enum monitor_answer monitor_prompt(struct monitor *mon, struct trapline_machine *m, uint64_t *until)
{
    char line[LINE];
    enum monitor_answer answer = MONITOR_QUIT;
    bool is_person = isatty(STDIN_FILENO), goes_on = false;
    terminal_restore();
    while (!goes_on) {
        if (is_person)
            printf("(trapline) ");
        fflush(stdout);
        if (!read_line(line))
            break;
        goes_on = monitor_command(mon, m, line, &answer, until);
    }
    fflush(stdout);
    return goes_on ? answer : MONITOR_QUIT;
}
