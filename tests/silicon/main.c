/* SPDX-License-Identifier: MIT */
/* Options, workers, the report. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpu/jit/jit.h"
#include "tests/silicon/silicon.h"

enum { HUNG = 30 }; /* seconds at one case */

static const char help[] =
    "usage: silicon [OPTION...]\n"
    "Run instructions on this CPU and on trapline's and compare all that a program can see.\n"
    "\n"
    "  --cases N     so many cases in each mode (1000000)\n"
    "  --mode M      64, 32, 16 or all (all)\n"
    "  --seed S      of the cases (1)\n"
    "  --first N     number of the first case (0)\n"
    "  --op NAME     only the rows of insn.def with this mnemonic\n"
    "  --engine E    interp, or jit: each case is translated and run as such (interp)\n"
    "  --jobs N      worker processes (one per processor)\n"
    "  --print       print every case as a line for tests/vectors/*.vec\n"
    "  --help        print this and exit\n"
    "\n"
    "A difference is printed as a vector, reduced to what it needs, with its command line. Exit "
    "status: 0\n"
    "no unexplained difference, 1 some, 2 bad usage, 77 there is no oracle (not an x86-64 Linux "
    "host).\n";

static bool parse_mode(const char *text, unsigned *modes)
{
    static const char *const names[] = {"16", "32", "64"};
    if (strcmp(text, "all") == 0) {
        *modes = 7;
        return true;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *modes = 1u << i;
            return true;
        }
    }
    return false;
}

static bool parse_engine(const char *text, bool *translates)
{
    *translates = strcmp(text, "jit") == 0;
    return *translates || strcmp(text, "interp") == 0;
}

/* 0: go on; else exit status + 1. */
static int parse_options(int argc, char **argv, struct options *o)
{
    enum { CASES = 256, MODE, SEED, FIRST, OP, ENGINE, JOBS, PRINT, HELP };
    static const struct option names[] = {{"cases", required_argument, NULL, CASES},
                                          {"mode", required_argument, NULL, MODE},
                                          {"seed", required_argument, NULL, SEED},
                                          {"first", required_argument, NULL, FIRST},
                                          {"op", required_argument, NULL, OP},
                                          {"engine", required_argument, NULL, ENGINE},
                                          {"jobs", required_argument, NULL, JOBS},
                                          {"print", no_argument, NULL, PRINT},
                                          {"help", no_argument, NULL, HELP},
                                          {NULL, 0, NULL, 0}};
    bool ok = true;
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        uint64_t n = optarg ? strtoull(optarg, NULL, 0) : 0;
        if (c == CASES)
            o->cases = n;
        else if (c == MODE)
            ok &= parse_mode(optarg, &o->modes);
        else if (c == SEED)
            o->seed = n;
        else if (c == FIRST)
            o->first = n;
        else if (c == OP)
            o->op = optarg;
        else if (c == ENGINE)
            ok &= parse_engine(optarg, &o->translates);
        else if (c == JOBS)
            o->jobs = (unsigned)n;
        else if (c == PRINT)
            o->print = true;
        else if (c == HELP)
            return fputs(help, stdout), 1;
        else
            ok = false;
    }
    if (ok && optind == argc && o->jobs > 0 && o->jobs <= SILICON_JOBS_MAX && o->cases > 0)
        return 0;
    return fputs(help, stderr), 3;
}

static void add(struct worker *sum, const struct worker *w)
{
    sum->cases += w->cases;
    sum->translated += w->translated;
    sum->faults += w->faults;
    sum->direct += w->direct;
    sum->ungenerated += w->ungenerated;
    sum->taken += w->taken;
    sum->unstable += w->unstable;
    sum->differ += w->differ;
    sum->lengths += w->lengths;
    sum->disagree += w->disagree;
    for (unsigned i = 0; i < SILICON_ROWS_MAX; i++) {
        sum->per_row[i] += w->per_row[i];
        sum->differ_row[i] += w->differ_row[i];
    }
    for (unsigned i = 0; i < SILICON_ALLOWED_MAX; i++)
        sum->absorbed[i] += w->absorbed[i];
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void report(const struct worker *s, const struct row_set *set, double seconds)
{
    unsigned least = 0, never = 0;
    for (unsigned i = 0; i < set->count; i++) {
        never += s->per_row[set->rows[i]] == 0;
        if (s->per_row[set->rows[i]] < s->per_row[set->rows[least]])
            least = i;
    }
    const struct insn_desc *d = insn_row(set->rows[least]);
    printf("%" PRIu64
           " cases in %.1f s, %.0f per second; %.1f %% fault; %.1f %% run without a signal\n",
           s->cases, seconds, (double)s->cases / seconds, percent(s->faults, s->cases),
           percent(s->direct, s->cases));
    printf("%u rows, at least %u cases each (%s %s %s), %u rows without; %" PRIu64
           " instructions could not be made, %" PRIu64 " met the test's own memory, %" PRIu64
           " differed once only\n",
           set->count, s->per_row[set->rows[least]], d->name, d->encoding, d->operands, never,
           s->ungenerated, s->taken, s->unstable);
    if (s->translated != 0)
        printf("%" PRIu64 " blocks translated\n", s->translated);
    printf("length: Capstone was asked %" PRIu64 " times and disagreed with silicon %" PRIu64
           " times\n",
           s->lengths, s->disagree);
    for (unsigned i = 0; i < allowed_row_count(); i++) {
        struct allowed_row r = allowed_row(i);
        if (s->absorbed[i] != 0)
            printf("  %9u absorbed by %-12s %-26s %-5s %s\n", s->absorbed[i], r.op, r.fields,
                   r.vendor, r.source);
    }
    for (unsigned i = 0; i < set->count; i++) {
        d = insn_row(set->rows[i]);
        if (s->differ_row[set->rows[i]] != 0)
            printf("  %9u of %u differ: %s %s %s\n", s->differ_row[set->rows[i]],
                   s->per_row[set->rows[i]], d->name, d->encoding, d->operands);
    }
    printf("%" PRIu64 " unexplained differences\n", s->differ);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Wait for a worker; one that stays at a case for HUNG seconds is ended. Its wait status. */
static int wait_for(const struct worker *w, pid_t pid)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    uint64_t seen = UINT64_MAX;
    double since = now();
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        uint64_t current = *(const volatile uint64_t *)&w->current;
        nanosleep(&nap, NULL);
        if (current != seen) {
            seen = current;
            since = now();
        } else if (now() - since > HUNG) {
            kill(pid, SIGKILL);
        }
    }
    return status;
}

/* A worker that dies has found something: say at which case. */
static bool reap(struct shared *shared, const pid_t *pids, unsigned jobs)
{
    bool ok = true;
    for (unsigned i = 0; i < jobs; i++) {
        int status = wait_for(&shared->workers[i], pids[i]);
        if (status == 0)
            continue;
        printf("worker %u died (status %x) at case %" PRIu64 "\n", i, (unsigned)status,
               shared->workers[i].current);
        ok = false;
    }
    return ok;
}

/* A process of its own for what native_init maps. False: shared->why. */
static bool start_worker(struct shared *shared)
{
    const char *why = "";
    bool ok = native_init(&shared->host, &why);
    snprintf(shared->why, sizeof shared->why, "%s", why);
    return ok;
}

static bool has_oracle(struct shared *shared)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(start_worker(shared) ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void clear(struct shared *shared, uint64_t first)
{
    memset(shared->workers, 0, sizeof shared->workers);
    atomic_store(&shared->next, first / CHUNK);
}

static bool run_mode(const struct options *o, enum decode_mode mode, struct shared *shared)
{
    static struct row_set set;
    static struct worker sum;
    static const char *const names[] = {"16", "32", "64"};
    pid_t pids[SILICON_JOBS_MAX];
    double start = now();
    printf("%s-bit code, seed %" PRIu64 ", ", names[mode], o->seed);
    rows_select(&set, mode, o, mode != DECODE_64 && shared->host.has_segments);
    if (set.count == 0)
        return true;
    clear(shared, o->first);
    for (unsigned i = 0; i < o->jobs; i++) {
        fflush(stdout);
        pids[i] = fork();
        if (pids[i] == 0) {
            if (!start_worker(shared))
                _exit(EXIT_SKIPPED);
            run_worker(o, mode, &set, shared, i);
            _exit(0);
        }
    }
    bool ok = reap(shared, pids, o->jobs);
    memset(&sum, 0, sizeof sum);
    for (unsigned i = 0; i < o->jobs; i++)
        add(&sum, &shared->workers[i]);
    report(&sum, &set, now() - start);
    return ok && sum.differ == 0;
}

int main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = {.seed = 1,
                        .cases = 1000000,
                        .modes = 7,
                        .jobs = processors > SILICON_JOBS_MAX ? SILICON_JOBS_MAX
                                : processors > 0              ? (unsigned)processors
                                                              : 1};
    char name[64];
    bool ok = true;
    int rc = parse_options(argc, argv, &o);
    if (rc != 0)
        return rc - 1;
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    if (!has_oracle(shared)) {
        printf("no oracle: %s\n", shared->why);
        return EXIT_SKIPPED;
    }
    host_vendor(name, sizeof name);
    printf("host: %s%s\n", name, shared->host.has_avx ? "" : ", no AVX");
    if (o.translates && !jit_is_available()) {
        printf("no translator in this build\n");
        return EXIT_SKIPPED;
    }
    if (shared->host.base != 0)
        printf("addresses below 64 KiB are not ours to map (vm.mmap_min_addr): 16-bit addresses in "
               "flat code only fault\n");
    for (int mode = DECODE_64; mode >= DECODE_16; mode--) {
        if (!(o.modes >> mode & 1))
            continue;
        if (!player_translates((enum decode_mode)mode) && o.translates)
            printf("%s-bit code is not translated\n", mode == DECODE_16 ? "16" : "32");
        else if (mode == DECODE_16 && !shared->host.has_segments)
            printf("16-bit code skipped: the system has no modify_ldt\n");
        else
            ok &= run_mode(&o, (enum decode_mode)mode, shared);
    }
    return ok ? 0 : 1;
}
