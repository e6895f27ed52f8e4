/* SPDX-License-Identifier: MIT */
/*
 * The guest of `trapline lab locks`: processors that take one spin lock again and again. The command line has two words: the lock
 * (tas, ticket) and how to wait for it (pause, yield, halt); a third word, `alone`, has the first processor do all the work. Marks on
 * the debug port: A when the work begins, and behind it the address of `view`; `.` when it is done, and behind it the numbers of struct
 * counts; 32 bits each, low byte first.
 */
#include "roms/labs/command_line.h"
#include "roms/lib/chips.h"
#include "roms/lib/guest.h"
#include "roms/lib/smp.h"

enum { DEBUG_PORT = 0xE9, CPUS = 8, CRITICAL = 500, OUTSIDE = 500 }; /* the last two in turns of a loop of two instructions */
enum { KVM_FEATURES = 0x40000001, PV_UNHALT = 1 << 7, SCHED_YIELD = 1 << 13 };
enum { HC_KICK_CPU = 5, HC_SCHED_YIELD = 11 };

static struct counts {
    uint32_t acquired;  /* times the lock was taken */
    uint32_t contended; /* ... after somebody else was found to have it */
    uint32_t preempted; /* times it was held for longer than it takes: the holder did not run */
    uint32_t waits;     /* HLTs and hypercalls of those who wait */
} counts;

static uint32_t total;                       /* times to take it */
static bool is_ticket, yields, halts, is_alone;
static volatile struct view {                /* for the monitor to look at */
    uint32_t holder;                         /* 1 + who has the lock; 0: nobody */
    uint32_t waits[CPUS];                    /* not 0: it wants the lock and does not have it */
} view;
static volatile uint32_t lock;               /* tas: 1 + its holder, 0: free */
static volatile uint32_t next_ticket, serving;
static volatile uint32_t owner_of[CPUS];     /* ticket modulo CPUS: who took it */
static volatile uint32_t waiting[CPUS];      /* halt: 1 + the ticket it waits for, or 1; 0: it does not */
static volatile uint32_t ready, go;
static uint64_t usual;                       /* time for which the lock is held, if nothing happens */

static void hypercall(reg_t number, reg_t a, reg_t b)
{
    reg_t result = number;
    __asm__ volatile("vmcall" : "+a"(result) : "b"(a), "c"(b), "d"(0), "S"(0) : "memory");
}

static void work(uint32_t loops)
{
    __asm__ volatile("1: dec %0; jnz 1b" : "+r"(loops) : : "cc");
}

/* ---- waiting ---- */

/* The lock is `ticket`'s (or, tas, free): whoever was told so and sleeps wakes. */
static void wake(uint32_t ticket)
{
    for (uint32_t i = 0; i < CPUS; i++) {
        if (waiting[i] != ticket + 1)
            continue;
        waiting[i] = 0;
        hypercall(HC_KICK_CPU, 0, i);
    }
}

static bool is_mine(uint32_t ticket)
{
    return is_ticket ? serving == ticket : lock == 0;
}

static void wait(uint32_t me, uint32_t ticket)
{
    if (halts) {
        waiting[me] = ticket + 1;
        if (!is_mine(ticket)) {
            counts.waits++;
            __asm__ volatile("hlt" : : : "memory"); /* IF = 0: a kick ends it, one that came before too */
        }
        waiting[me] = 0;
    } else if (yields) {
        uint32_t holder = is_ticket ? owner_of[serving % CPUS] : lock - 1;
        if (is_mine(ticket))
            return;
        counts.waits++;
        hypercall(HC_SCHED_YIELD, holder, 0);
    } else {
        pause();
    }
}

/* ---- the locks ---- */

static bool take_tas(uint32_t me)
{
    uint32_t nobody = 0;
    return lock == 0 && __atomic_compare_exchange_n(&lock, &nobody, me + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void acquire(uint32_t me)
{
    bool is_contended = false;
    uint32_t ticket = 0;
    if (is_ticket) {
        ticket = __atomic_fetch_add(&next_ticket, 1, __ATOMIC_SEQ_CST);
        owner_of[ticket % CPUS] = me;
    }
    while (is_ticket ? serving != ticket : !take_tas(me)) {
        view.waits[me] = is_contended = true;
        wait(me, ticket);
    }
    if (is_contended) {
        counts.contended++;
        view.waits[me] = 0;
    }
    view.holder = me + 1;
}

static void release(void)
{
    uint32_t next = 0;
    view.holder = 0;
    if (is_ticket)
        next = ++serving;
    else
        __atomic_store_n(&lock, 0, __ATOMIC_SEQ_CST);
    if (halts)
        wake(next);
}

/* ---- work ---- */

static void put(uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        out8(DEBUG_PORT, (uint8_t)(v >> 8 * i));
}

static void finish(void)
{
    out8(DEBUG_PORT, '.');
    put(counts.acquired);
    put(counts.contended);
    put(counts.preempted);
    put(counts.waits);
    guest_exit(0);
}

/* Work outside of a length that depends on the turn only, so that it is the same work whoever does it. */
static uint32_t outside(uint32_t turn)
{
    uint32_t v = turn * 2654435761u;
    v = (v ^ v >> 15) * 2246822519u;
    return 1 + (v ^ v >> 13) % (2 * OUTSIDE);
}

/* The lock is taken, held and released; how long it was held. *turn: how often it had been before. */
static __attribute__((noinline)) uint64_t take_turn(uint32_t me, uint32_t *turn)
{
    acquire(me);
    uint64_t begin = read_tsc();
    *turn = counts.acquired;
    if (*turn == total)
        finish();
    counts.acquired++;
    work(CRITICAL);
    uint64_t end = read_tsc();
    release();
    return end - begin;
}

static void worker(void *opaque)
{
    uint32_t me = (uint32_t)(reg_t)opaque;
    cli();
    __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
    while (!go)
        pause();
    for (;;) {
        uint32_t turn;
        counts.preempted += take_turn(me, &turn) > usual;
        work(outside(turn));
    }
}

static bool is_offered(void)
{
    uint32_t wanted = (yields ? SCHED_YIELD : 0) | (halts ? PV_UNHALT : 0);
    return !wanted || (cpuid(KVM_FEATURES, 0).a & wanted) == wanted;
}

int main(void)
{
    is_ticket = command_line_has("ticket");
    yields = command_line_has("yield");
    halts = command_line_has("halt");
    is_alone = command_line_has("alone");
    total = is_ticket ? 1000 : 10000;
    if (!is_offered())
        return 2;
    unsigned others = is_alone ? 0 : smp_start();
    for (unsigned i = 1; i <= others; i++)
        smp_run(i, worker, (void *)(reg_t)smp_apic_id(i));
    while (ready < others)
        pause();
    uint32_t turn;
    usual = take_turn(0, &turn);
    counts.acquired = 0;
    out8(DEBUG_PORT, 'A');
    put((uint32_t)(reg_t)&view);
    go = 1;
    worker((void *)0);
    return 0;
}
