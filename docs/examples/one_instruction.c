/* SPDX-License-Identifier: MIT */
/*
 * A small client of libtrapline: a bare vCPU in 32-bit protected mode executes one instruction, and
 * we look at what it did. This is how a test harness uses the library: set state, one instruction,
 * compare.
 *
 *   one_instruction [BYTES]     BYTES in hexadecimal; the default is 83 c0 01, add eax, 1
 *
 * Exit status: 0 the instruction completed, 1 it raised an exception or could not be run.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "monitor/trapline.h"

#define CODE 0x1000u

static int fail(const struct trapline_error *e)
{
    fprintf(stderr, "one_instruction: %s\n%s%s", e->text, e->hint, e->hint[0] ? "\n" : "");
    return 1;
}

static size_t parse_bytes(const char *text, uint8_t *bytes, size_t room)
{
    size_t n = 0;
    int used;
    while (n < room && sscanf(text, "%2" SCNx8 "%n", &bytes[n], &used) == 1) {
        text += used;
        n++;
    }
    return n;
}

/* Flat 4 GiB segments, as after a boot loader (SDM Vol. 3A, "Basic Flat Model"). */
static int enter_protected_mode(struct trapline_machine *m, struct trapline_error *e)
{
    enum { CS = 1, DATA = 0xc093, CODE_ATTR = 0xc09b };
    for (unsigned seg = 0; seg < 6; seg++)
        if (trapline_set_segment(m, 0, seg, seg == CS ? 8 : 16, 0, UINT32_MAX,
                                 seg == CS ? CODE_ATTR : DATA, e) < 0)
            return -1;
    return trapline_set(m, 0, "cr0", 0, 0x11, e);
}

static int prepare(struct trapline_machine *m, const uint8_t *code, size_t size,
                   struct trapline_error *e)
{
    if (trapline_map(m, 0, 1 << 20, false, e) < 0 || trapline_write(m, CODE, code, size, e) < 0 ||
        enter_protected_mode(m, e) < 0)
        return -1;
    if (trapline_set(m, 0, "rax", 0, 41, e) < 0 || trapline_set(m, 0, "rsp", 0, 0x8000, e) < 0)
        return -1;
    return trapline_set(m, 0, "rip", 0, CODE, e);
}

/* Every element of every field of the vCPU, into values[]; how many there are. */
static size_t snapshot(const struct trapline_machine *m, uint64_t *values, size_t room)
{
    struct trapline_field f = TRAPLINE_FIELD_INIT;
    size_t n = 0;
    for (unsigned i = 0; trapline_cpu_field(i, &f); i++)
        for (unsigned k = 0; k < f.count && n < room; k++)
            trapline_get(m, 0, f.name, k, &values[n++], NULL);
    return n;
}

static void print_changes(const struct trapline_machine *m, const uint64_t *before)
{
    struct trapline_field f = TRAPLINE_FIELD_INIT;
    size_t n = 0;
    for (unsigned i = 0; trapline_cpu_field(i, &f); i++) {
        for (unsigned k = 0; k < f.count; k++, n++) {
            uint64_t now = 0;
            trapline_get(m, 0, f.name, k, &now, NULL);
            if (now != before[n])
                printf("%s[%u]: %" PRIx64 " -> %" PRIx64 "\n", f.name, k, before[n], now);
        }
    }
}

int main(int argc, char *argv[])
{
    static uint64_t before[1024];
    uint8_t code[16];
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    struct trapline_error e;
    struct trapline_machine *m;
    size_t size = parse_bytes(argc > 1 ? argv[1] : "83c001", code, sizeof(code));
    config.board = "none";
    config.memory = 16 << 20;
    if (trapline_create(&config, &m, &e) < 0)
        return fail(&e);
    if (prepare(m, code, size, &e) < 0) {
        trapline_destroy(m);
        return fail(&e);
    }
    snapshot(m, before, sizeof(before) / sizeof(before[0]));
    trapline_step(m, 0, 1, &stop, NULL);
    print_changes(m, before);
    bool completed = stop.reason == TRAPLINE_STOP_POSITION;
    if (!completed)
        printf("%s: vector %u, error code %#x\n", trapline_reason_text(stop.reason), stop.vector,
               (unsigned)stop.error_code);
    trapline_destroy(m);
    return completed ? EXIT_SUCCESS : EXIT_FAILURE;
}
