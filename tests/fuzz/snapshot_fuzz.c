/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: hostile saved states. The base is a state of the board pc, two vCPUs, timer running;
 * bytes become edits of its stream (any element of any field, any byte, a cut), and the checksum is
 * made right again. What is refused changes nothing; what is taken can be hashed, run on, saved and
 * loaded again to the same hash.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "monitor/boards/pc.h"
#include "monitor/dispatcher.h"
#include "monitor/timeline/digest.h"
#include "monitor/timeline/parts.h"
#include "monitor/timeline/snapshot.h"
#include "monitor/timeline/timeline.h"
#include "tests/fuzz/fuzz.h"

#define BIOS_SIZE (64 * KiB)
#define TAIL 17u /* 'E' and the checksum */
#define MAX_TABLE 2048u

/* Where a field's elements stand in the stream. */
struct place {
    size_t at;      /* of element 0 */
    uint32_t count; /* elements */
    uint8_t size;   /* bytes of one */
};

struct bytes {
    uint8_t *p; /* owned */
    size_t n;   /* of p */
};

/* Made once: creating a board for every input would take nearly all the time. */
struct bench {
    struct machine *m;             /* owned */
    uint8_t bios[BIOS_SIZE];       /* its firmware */
    struct bytes base;             /* the stream without its tail */
    struct place place[MAX_TABLE]; /* of every field of every part */
    unsigned places;               /* of place[] */
    uint8_t hash[HASH_BYTES];      /* of the base */
};

/* F000:0000: timer interrupts at IRQ 0; count, read the PIT and the RTC, halt. */
static const uint8_t
    firmware[] =
        {
            0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, /* cli; xor ax, ax; mov ds,
                                                                           ss; mov sp */
            0x66, 0x31, 0xd2, 0x66, 0xb9, 0x1b, 0x00, 0x00, 0x00,       /* xor edx, edx; mov ecx,
                                                                           IA32_APIC_BASE */
            0x66, 0xb8, 0x00, 0x0d, 0xe0, 0xfe, 0x0f, 0x30,             /* x2APIC */
            0x66, 0xb9, 0x0f, 0x08, 0x00, 0x00, 0x66, 0xb8, 0xff, 0x01, 0x00, 0x00, 0x0f,
            0x30, /* SVR: on */
            0x66, 0xb9, 0x35, 0x08, 0x00, 0x00, 0x66, 0xb8, 0x00, 0x07, 0x00, 0x00, 0x0f,
            0x30,                                           /* LINT0: ExtINT */
            0xc7, 0x06, 0x20, 0x00, 0x00, 0x01,             /* mov word [20h], 100h */
            0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0,             /* mov word [22h], f000h */
            0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21, /* ICW1-4, OCW1 */
            0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21, 0xb0,
            0x34, 0xe6, 0x43, 0xb0, 0x00, 0xe6, 0x40, 0xb0, 0x01, 0xe6, 0x40, /* PIT: mode 2, 256 */
            0xfb,                                                             /* sti */
            0xff, 0x06, 0x00, 0x05, 0xe4, 0x40, /* inc word [500h]; in al, 40h */
            0xb0, 0x0c, 0xe6, 0x70, 0xe4, 0x71, /* RTC register C */
            0xf4, 0xeb, 0xf1,                   /* hlt; jmp */
};
static const uint8_t handler[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0xff, 0x06, 0x02, 0x05, 0x58, 0xcf};
static const uint8_t reset_vector[] = {0xea, 0x00, 0x00, 0x00, 0xf0};

static void create_machine(struct bench *b)
{
    const struct machine_config config = {.memory_size = 40 * MiB, .seed = 1, .ns_per_tick = 1};
    struct cpu_model model;
    struct err err;
    memcpy(b->bios, firmware, sizeof(firmware));
    memcpy(b->bios + 0x100, handler, sizeof(handler));
    memcpy(b->bios + 0xfff0, reset_vector, sizeof(reset_vector));
    CHECK(machine_create(&config, &b->m, &err) == 0);
    CHECK(cpu_model_parse("max", &model, &err) == 0);
    CHECK(vm_create(b->m, 2, &model, &err) == 0);
    const struct pc_config pc = {.memory = 4 * MiB,
                                 .model = &model,
                                 .bios = b->bios,
                                 .bios_size = BIOS_SIZE,
                                 .debug_exit_base = 0xf4,
                                 .debug_exit_size = 4,
                                 .has_testdev = true,
                                 .uarts = 2};
    CHECK(pc_create(b->m, &pc, &err) == 0);
    b->m->no_reboot = true;
}

/* The inside of the machine's saved state, without its tail. */
static struct bytes saved_stream(struct machine *m)
{
    char path[] = "/tmp/trapline-fuzz-XXXXXX";
    struct bytes s = {malloc(1 * MiB), 0};
    struct err err;
    int fd = mkstemp(path);
    CHECK(s.p && fd >= 0);
    close(fd);
    CHECK(timeline_save(m, path, &err) == 0);
    struct snapshot_reader *r = snapshot_open(path, &err);
    CHECK(r);
    while (s.n < 1 * MiB && snapshot_get_u8(r, &s.p[s.n]))
        s.n++;
    snapshot_close(r);
    unlink(path);
    CHECK(s.n > TAIL && s.n < 1 * MiB);
    s.n -= TAIL;
    return s;
}

/* Walk the sections of the base (snapshot.h). */
static void find_places(struct bench *b)
{
    size_t at = 0;
    while (b->base.p[at] == 'S') {
        at += 1 + 1 + b->base.p[at + 1] + 4;
        uint16_t fields = le16_load(b->base.p + at);
        at += 2;
        for (unsigned f = 0; f < fields; f++) {
            at += 1u + b->base.p[at];
            struct place p = {at + 5, le32_load(b->base.p + at + 1), b->base.p[at]};
            CHECK(b->places < MAX_TABLE);
            b->place[b->places++] = p;
            at = p.at + (size_t)p.count * p.size;
        }
    }
}

static int load(struct machine *m, struct bytes stream)
{
    uint8_t *p = malloc(stream.n + TAIL);
    struct err err = {{0}, {0}};
    CHECK(p);
    memcpy(p, stream.p, stream.n);
    p[stream.n] = 'E';
    digest_store(p + stream.n + 1, digest_bytes(p, stream.n + 1, 0));
    struct snapshot_reader *r = snapshot_open_stream(p, stream.n + TAIL);
    CHECK(r);
    int rc = timeline_load_from(m, r, "fuzz", &err);
    CHECK(rc == 0 || err.text[0]);
    snapshot_close(r);
    free(p);
    return rc;
}

static bool hash_is(struct machine *m, const uint8_t want[HASH_BYTES])
{
    uint8_t now[HASH_BYTES];
    CHECK(timeline_hash(m, now) == 0);
    return memcmp(now, want, HASH_BYTES) == 0;
}

static struct bench *bench_create(void)
{
    struct bench *b = calloc(1, sizeof(*b));
    CHECK(b);
    create_machine(b);
    b->m->stop_at = 5001;
    CHECK(machine_run(b->m) == STOP_POSITION);
    b->base = saved_stream(b->m);
    find_places(b);
    CHECK(b->places > 100);
    CHECK(timeline_hash(b->m, b->hash) == 0);
    CHECK(load(b->m, b->base) == 0 && hash_is(b->m, b->hash));
    return b;
}

/* ---- edits ---- */

/* Values that limits and masks trip over. */
static uint64_t hostile_value(uint8_t kind, uint16_t v)
{
    switch (kind % 6) {
    case 0:
        return v;
    case 1:
        return BIT(v & 63);
    case 2:
        return BIT(v & 63) - 1;
    case 3:
        return 0 - (uint64_t)v;
    case 4:
        return v * UINT64_C(0x0001000100010001);
    default:
        return v * UINT64_C(0x9e3779b97f4a7c15);
    }
}

/* One edit: 6 bytes of input. */
static void edit(const struct bench *b, struct bytes *s, const uint8_t *in)
{
    uint16_t where = le16_load(in), v = le16_load(in + 4);
    if ((in[2] & 0xf0) == 0xf0) { /* a byte anywhere, a cut */
        size_t at = (where * UINT64_C(65537) + v) % b->base.n;
        if (in[2] & 1)
            s->n = at < s->n ? at : s->n;
        else if (at < s->n)
            s->p[at] = in[3];
        return;
    }
    const struct place *p = &b->place[where % b->places];
    size_t at = p->at + (size_t)(in[2] % p->count) * p->size;
    if (at + p->size > s->n)
        return;
    uint64_t value = hostile_value(in[3], v);
    le_store(s->p + at, in[3] & 0x80 ? le_load(s->p + at, p->size) ^ value : value, p->size);
}

/* ---- what must hold ---- */

/* Some ticks or some idle time: a halt that only timers visit, which cannot end it, would last for
 * ever. */
static void run_for(struct machine *m, uint64_t ticks)
{
    static volatile int is_interrupted = 1; /* at every skip and turn */
    m->door.interrupted = &is_interrupted;
    m->stop_at = m->s.ticks + ticks;
    for (unsigned i = 0; i < 50 && machine_run(m) == STOP_USER; i++) {
    }
}

/* A state that was taken is a machine like any other. */
static void live(struct machine *m)
{
    uint8_t before[HASH_BYTES];
    CHECK(timeline_hash(m, before) == 0);
    struct bytes again = saved_stream(m);
    run_for(m, 3000);
    CHECK(load(m, again) == 0);
    CHECK(hash_is(m, before));
    free(again.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench *bench;
    if (!bench)
        bench = bench_create();
    struct bytes s = {malloc(bench->base.n), bench->base.n};
    CHECK(s.p);
    memcpy(s.p, bench->base.p, s.n);
    for (; size >= 6; data += 6, size -= 6)
        edit(bench, &s, data);
    if (load(bench->m, s) == 0)
        live(bench->m);
    else
        CHECK(hash_is(bench->m, bench->hash));
    free(s.p);
    CHECK(load(bench->m, bench->base) == 0 && hash_is(bench->m, bench->hash));
    return 0;
}
