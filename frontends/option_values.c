/* SPDX-License-Identifier: MIT */
/* What each option does with its argument: one function per row of options.def. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "frontends/debug_items.h"
#include "frontends/options.h"
#include "frontends/values.h"

static int number(const char *text, uint64_t least, uint64_t *value, struct err *err)
{
    if (parse_number(text, value) && *value >= least)
        return 0;
    err_set(err, EINVAL, "cannot use '%s'", text);
    err_hint(err, "a number from %" PRIu64 " on", least);
    return -EINVAL;
}

/* ---- machine ---- */

static int check_accel(const char *name, struct err *err)
{
    if (strcmp(name, "tcg") == 0)
        return 0;
    return bad_value(err, name, "all runs in software here: -accel tcg, or leave it out");
}

int option_accel(struct options *o, const char *argument, struct err *err)
{
    struct piece p;
    (void)o;
    if (!next_piece(&argument, &p) || p.has_value)
        return bad_value(err, argument, "-accel tcg");
    int rc = check_accel(p.key, err);
    while (rc == 0 && next_piece(&argument, &p))
        if (!piece_is(&p, "thread", "single") && strcmp(p.key, "tb-size") != 0)
            rc = bad_value(err, p.key, "-accel tcg[,thread=single]");
    return rc;
}

int option_machine(struct options *o, const char *argument, struct err *err)
{
    struct piece p;
    bool is_first = true;
    while (next_piece(&argument, &p)) {
        const char *type = !p.has_value && is_first     ? p.key
                           : strcmp(p.key, "type") == 0 ? p.value
                                                        : NULL;
        is_first = false;
        if (type && strcmp(type, "pc") != 0)
            return bad_value(err, type, "the machine there is: pc");
        if (type || piece_is(&p, "usb", "off") || piece_is(&p, "vmport", "off") ||
            piece_is(&p, "hpet", "on"))
            continue;
        if (strcmp(p.key, "accel") != 0)
            return bad_value(err, p.key, "-machine pc[,accel=tcg]");
        int rc = check_accel(p.value, err);
        if (rc < 0)
            return rc;
    }
    o->config.board = "pc";
    return is_first ? bad_value(err, argument, "-machine pc[,accel=tcg]") : 0;
}

int option_cpu(struct options *o, const char *argument, struct err *err)
{
    struct trapline_error e;
    if (strcmp(argument, "help") == 0 || strcmp(argument, "?") == 0) {
        o->action = ACTION_CPU_HELP;
        return 0;
    }
    o->config.cpu = argument;
    if (trapline_check_cpu(argument, &e) == 0)
        return 0;
    err_set(err, EINVAL, "%s", e.text);
    err_hint(err, "%s", e.hint);
    return -EINVAL;
}

int option_memory(struct options *o, const char *argument, struct err *err)
{
    const char *size = strncmp(argument, "size=", 5) == 0 ? argument + 5 : argument;
    const uint64_t mib = UINT64_C(1) << 20;
    if (parse_size(size, mib, &o->config.memory) && o->config.memory >= 4 * mib &&
        o->config.memory % mib == 0)
        return 0;
    return bad_value(err, argument, "whole MiB, at least 4: -m 512, -m 512M, -m 2G");
}

static int debug_exit(struct options *o, const char *rest, struct err *err)
{
    uint64_t base = 0x501, size = 2;
    struct piece p;
    while (next_piece(&rest, &p)) {
        uint64_t *where = strcmp(p.key, "iobase") == 0   ? &base
                          : strcmp(p.key, "iosize") == 0 ? &size
                                                         : NULL;
        if (!where || !p.has_value || !parse_number(p.value, where))
            return bad_value(err, p.key, "isa-debug-exit,iobase=0xf4,iosize=0x04");
    }
    if (size < 1 || size > 4 || base > 0x10000 - size) {
        err_set(err, EINVAL, "isa-debug-exit cannot have %" PRIu64 " ports at %#" PRIx64, size,
                base);
        err_hint(err, "iosize is 1 to 4, and iobase a port");
        return -EINVAL;
    }
    o->config.debug_exit_base = (uint16_t)base;
    o->config.debug_exit_size = (uint16_t)size;
    return 0;
}

int option_device(struct options *o, const char *argument, struct err *err)
{
    const char *rest = argument;
    struct piece p;
    if (!next_piece(&rest, &p))
        return bad_value(err, argument, "isa-debug-exit or pc-testdev");
    const char *name = p.has_value && strcmp(p.key, "driver") == 0 ? p.value : p.key;
    if (strcmp(name, "isa-debug-exit") == 0)
        return debug_exit(o, rest, err);
    if (strcmp(name, "pc-testdev") != 0) {
        static const char *const names[] = {"isa-debug-exit", "pc-testdev"};
        err_set(err, EINVAL, "there is no device '%s'", name);
        err_hint(err, "did you mean %s? These can be added: isa-debug-exit, pc-testdev",
                 nearest_word(name, names, ARRAY_SIZE(names)));
        return -EINVAL;
    }
    o->config.has_testdev = true;
    return *rest ? bad_value(err, rest, "pc-testdev has no properties") : 0;
}

int option_rtc(struct options *o, const char *argument, struct err *err)
{
    static const char hint[] = "base=utc, base=2024-01-01T00:00:00 or base=SECONDS";
    const char *rest = argument;
    struct piece p;
    while (next_piece(&rest, &p)) {
        if (piece_is(&p, "clock", "vm"))
            continue;
        if (piece_is(&p, "base", "utc"))
            o->config.rtc_base = (uint64_t)time(NULL);
        else if (strcmp(p.key, "base") != 0 || !parse_date(p.value, &o->config.rtc_base))
            return bad_value(err, argument, hint);
    }
    return 0;
}

int option_seed(struct options *o, const char *argument, struct err *err)
{
    return number(argument, 0, &o->config.seed, err);
}

int option_icount(struct options *o, const char *argument, struct err *err)
{
    const char *rest = argument;
    struct piece p;
    while (next_piece(&rest, &p)) {
        uint64_t shift = 0;
        if (strcmp(p.key, "sleep") == 0 || piece_is(&p, "align", "off") ||
            piece_is(&p, "shift", "auto"))
            continue;
        const char *text = p.has_value ? p.value : p.key;
        if ((p.has_value && strcmp(p.key, "shift") != 0) || !parse_number(text, &shift) ||
            shift > 10)
            return bad_value(err, argument, "shift=N, N from 0 to 10");
        o->config.ns_per_tick = 1u << shift;
    }
    return 0;
}

int option_symbols(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->symbols_path = argument;
    return 0;
}

int option_top(struct options *o, const char *argument, struct err *err)
{
    uint64_t n;
    int rc = number(argument, 1, &n, err);
    if (rc == 0)
        o->top = n < UINT32_MAX ? (unsigned)n : UINT32_MAX;
    return rc;
}

static bool regions_part(struct options *o, const struct piece *p)
{
    uint64_t v = 0;
    if (piece_is(p, "regions", "off"))
        o->config.jit_regions = 0;
    else if (piece_is(p, "regions", "on"))
        o->config.jit_regions = TRAPLINE_JIT_REGIONS;
    else if (strcmp(p->key, "regions") == 0 && p->has_value && parse_number(p->value, &v) && v >= 1 && v <= INT32_MAX)
        o->config.jit_regions = (uint32_t)v;
    else
        return false;
    return true;
}

static int engine_part(struct options *o, const struct piece *p, const char *argument, struct err *err)
{
    uint64_t v = 0;
    if (strcmp(p->key, "threshold") == 0 && p->has_value && parse_number(p->value, &v) && v >= 1 && v <= INT32_MAX) {
        o->config.jit_threshold = (uint32_t)v;
        return 0;
    }
    if (strcmp(p->key, "cache") == 0 && p->has_value && parse_size(p->value, 1, &v) && v >= TRAPLINE_JIT_CACHE_MIN &&
        v <= TRAPLINE_JIT_CACHE_MAX) {
        o->config.jit_cache = v;
        return 0;
    }
    if (strcmp(p->key, "perf") == 0 && p->has_value && (strcmp(p->value, "on") == 0 || strcmp(p->value, "off") == 0)) {
        o->has_perf_map = p->value[1] == 'n';
        return 0;
    }
    if (piece_is(p, "thread", "on") || piece_is(p, "thread", "off")) {
        o->config.jit_has_thread = p->value[1] == 'n';
        return 0;
    }
    if (piece_is(p, "gdb", "on") || piece_is(p, "gdb", "off")) {
        o->has_gdb_jit = p->value[1] == 'n';
        return 0;
    }
    if (piece_is(p, "returns", "ring") || piece_is(p, "returns", "table")) {
        o->config.jit_has_ring = p->value[0] == 'r';
        return 0;
    }
    if (regions_part(o, p))
        return 0;
    return bad_value(err, argument, "interp, jit or auto; then threshold=N, cache=SIZE (256K to 1G), regions=on|off|N, returns=ring|table, thread=on|off, perf=on|off, gdb=on|off: -engine jit,threshold=1,cache=16M");
}

int option_engine(struct options *o, const char *argument, struct err *err)
{
    static const char *const names[] = {"auto", "interp", "jit"};
    const char *rest = argument;
    struct piece p;
    int rc = 0;
    while (rc == 0 && next_piece(&rest, &p)) {
        bool known = false;
        for (unsigned i = 0; i < 3 && !p.has_value; i++) {
            if (strcmp(p.key, names[i]) == 0) {
                o->config.engine = (enum trapline_engine)i;
                known = true;
            }
        }
        if (!known)
            rc = engine_part(o, &p, argument, err);
    }
    return rc;
}

int option_name(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->name = argument;
    return 0;
}

int option_nodefaults(struct options *o, const char *argument, struct err *err)
{
    (void)argument;
    (void)err;
    o->nodefaults = true;
    return 0;
}

int option_nothing(struct options *o, const char *argument, struct err *err)
{
    (void)o;
    (void)argument;
    (void)err;
    return 0;
}

int option_nothing_none(struct options *o, const char *argument, struct err *err)
{
    (void)o;
    if (strcmp(argument, "none") == 0)
        return 0;
    err_set(err, EINVAL, "cannot use '%s'", argument);
    err_hint(err, "the serial port is the guest's console: -nographic, and `none` for the others");
    return -EINVAL;
}

int option_no_reboot(struct options *o, const char *argument, struct err *err)
{
    (void)argument;
    (void)err;
    o->config.no_reboot = true;
    return 0;
}

/* ---- guest ---- */

int option_kernel(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->config.kernel.path = argument;
    return 0;
}

int option_initrd(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->config.initrd = argument;
    return 0;
}

int option_append(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->config.append = argument;
    return 0;
}

int option_bios(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->config.bios.path = argument;
    return 0;
}

int option_own_decompressor(struct options *o, const char *argument, struct err *err)
{
    (void)argument;
    (void)err;
    o->config.own_decompressor = true;
    return 0;
}

/* ---- terminal and ports ---- */

int option_nographic(struct options *o, const char *argument, struct err *err)
{
    (void)argument;
    (void)err;
    o->nographic = true;
    return 0;
}

static int bad_channel(struct err *err, const char *argument)
{
    return bad_value(err, argument,
                     "stdio, mon:stdio, null, none, file:F or unix:PATH,server[,nowait]; debugcon "
                     "only stdio, null, file:F");
}

/* unix:PATH,server[,nowait]: we are the server. */
static int unix_channel(struct channel *c, const char *text, struct err *err)
{
    size_t length = strcspn(text, ",");
    bool is_server = false;
    struct piece p;
    if (length == 0 || length >= UNIX_PATH_LENGTH) {
        err_set(err, EINVAL, "a socket's path has 1 to %d characters", UNIX_PATH_LENGTH - 1);
        err_hint(err, "-serial unix:PATH,server");
        return -EINVAL;
    }
    memcpy(c->path, text, length);
    c->path[length] = '\0';
    c->kind = CHANNEL_UNIX;
    c->waits = true;
    text += length + (text[length] == ',');
    while (next_piece(&text, &p)) {
        if (strcmp(p.key, "server") == 0 && strcmp(p.value, "off") != 0)
            is_server = true;
        else if ((!p.has_value && strcmp(p.key, "nowait") == 0) || piece_is(&p, "wait", "off"))
            c->waits = false;
        else if (!piece_is(&p, "wait", "on"))
            return bad_channel(err, p.key);
    }
    return is_server ? 0 : bad_value(err, c->path, "we are the server: unix:PATH,server[,nowait]");
}

static int parse_channel(struct channel *c, const char *text, struct err *err)
{
    static const struct {
        const char *text;
        struct channel channel;
    } simple[] = {
        {"none", {.kind = CHANNEL_NONE}},
        {"null", {.kind = CHANNEL_NULL}},
        {"stdio", {.kind = CHANNEL_STDIO}},
        {"mon:stdio", {.kind = CHANNEL_STDIO, .has_keys = true}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(simple); i++) {
        if (strcmp(text, simple[i].text) == 0) {
            *c = simple[i].channel;
            return 0;
        }
    }
    if (strncmp(text, "unix:", 5) == 0)
        return unix_channel(c, text + 5, err);
    if (strncmp(text, "file:", 5) != 0 || text[5] == '\0' || strlen(text + 5) >= PATH_LENGTH)
        return bad_channel(err, text);
    c->kind = CHANNEL_FILE;
    memcpy(c->path, text + 5, strlen(text + 5) + 1);
    return 0;
}

int option_serial(struct options *o, const char *argument, struct err *err)
{
    if (o->serials == TRAPLINE_SERIALS) {
        err_set(err, EINVAL, "given more than %d times", TRAPLINE_SERIALS);
        err_hint(err, "a PC has COM1 to COM4");
        return -EINVAL;
    }
    return parse_channel(&o->serial[o->serials++], argument, err);
}

int option_debugcon(struct options *o, const char *argument, struct err *err)
{
    int rc = parse_channel(&o->debugcon, argument, err);
    if (rc == 0 && (o->debugcon.kind == CHANNEL_UNIX || o->debugcon.has_keys))
        rc = bad_channel(err, argument);
    return rc;
}

/* ---- seeing inside ---- */

static int add_trace(struct options *o, const char *pattern, struct err *err)
{
    if (o->trace_count == MAX_TRACES)
        return err_set(err, EINVAL, "more than %d patterns", MAX_TRACES);
    o->traces[o->trace_count++] = pattern;
    return 0;
}

static int debug_item(struct options *o, const char *name, struct err *err)
{
    const struct debug_item *item = debug_item_find(name);
    if (!item) {
        err_set(err, EINVAL, "there is no item '%s'", name);
        debug_items_list(err->hint, sizeof(err->hint));
        return -EINVAL;
    }
    if (strcmp(item->name, "jit") == 0)
        o->shows_jit = true;
    if (strcmp(item->name, "turns") == 0)
        o->shows_turns = true;
    if (strcmp(item->name, "paging") == 0)
        o->shows_paging = true;
    if (strcmp(item->name, "hypercalls") == 0)
        o->shows_hypercalls = true;
    if (strcmp(item->name, "places") == 0)
        o->shows_places = true;
    else if (strcmp(item->name, "rows") == 0)
        o->shows_rows = true;
    else if (!item->patterns[0])
        o->shows_exits = true;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < DEBUG_PATTERNS && item->patterns[i]; i++)
        rc = add_trace(o, item->patterns[i], err);
    return rc;
}

int option_debug(struct options *o, const char *argument, struct err *err)
{
    const char *rest = argument;
    struct piece p;
    int rc = 0;
    if (strcmp(argument, "help") == 0 || strcmp(argument, "?") == 0) {
        o->action = ACTION_DEBUG_HELP;
        return 0;
    }
    while (rc == 0 && next_piece(&rest, &p))
        rc = debug_item(o, p.key, err);
    return rc;
}

int option_log_file(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->log_path = argument;
    return 0;
}

int option_trace(struct options *o, const char *argument, struct err *err)
{
    const char *pattern = strncmp(argument, "enable=", 7) == 0 ? argument + 7 : argument;
    if (strcmp(pattern, "help") == 0) {
        o->action = ACTION_TRACE_HELP;
        return 0;
    }
    return add_trace(o, pattern, err);
}

int option_print_config(struct options *o, const char *argument, struct err *err)
{
    (void)argument;
    (void)err;
    o->action = ACTION_PRINT_CONFIG;
    return 0;
}

/* ---- positions ---- */

int option_max_ticks(struct options *o, const char *argument, struct err *err)
{
    return number(argument, 1, &o->config.max_ticks, err);
}

int option_hash_every(struct options *o, const char *argument, struct err *err)
{
    return number(argument, 1, &o->hash_every, err);
}

int option_hash_file(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->hash_path = argument;
    return 0;
}

int option_save(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->save_path = argument;
    return 0;
}

int option_save_at(struct options *o, const char *argument, struct err *err)
{
    return number(argument, 1, &o->save_at, err);
}

int option_load(struct options *o, const char *argument, struct err *err)
{
    (void)err;
    o->load_path = argument;
    return 0;
}

int option_drop_caches(struct options *o, const char *argument, struct err *err)
{
    return number(argument, 1, &o->config.drop_caches, err);
}

int option_verify(struct options *o, const char *argument, struct err *err)
{
    (void)argument;
    (void)err;
    o->verifies = true;
    return 0;
}

/* ---- other ---- */

int option_version(struct options *o, const char *argument, struct err *err)
{
    (void)argument;
    (void)err;
    o->action = ACTION_VERSION;
    return 0;
}

int option_help(struct options *o, const char *argument, struct err *err)
{
    (void)argument;
    (void)err;
    o->action = ACTION_HELP;
    return 0;
}
