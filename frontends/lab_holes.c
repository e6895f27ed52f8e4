/* SPDX-License-Identifier: MIT */
/* The lab `holes`: what a guest sees when its kernel is deprivileged by architecture alone, beside what the classifier predicts. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "frontends/lab.h"
#include "frontends/lab_guest.h"
#include "frontends/run.h"

enum { QUESTIONS = 48, LINE = 128 };

/* What the guest says, a line for each question: INSTRUCTION|asked|bare|answer. */
struct answers {
    char line[QUESTIONS][LINE]; /* cut at the bars */
    const char *part[QUESTIONS][4];
    unsigned count;  /* of lines */
    unsigned length; /* of the line under way */
    bool is_bad;     /* it was no such line */
};

static const struct monitor {
    const char *name;
    struct trapline_virt virt;
} monitors[] = {
    {"bt", {.policy = TRAPLINE_POLICY_BT}},
    {"ring 1", {.policy = TRAPLINE_POLICY_CLASSIC, .ring = 1}},
    {"ring 3", {.policy = TRAPLINE_POLICY_CLASSIC, .ring = 3}},
};

enum { BT, RING_1, RING_3, MONITORS };
static_assert(MONITORS == ARRAY_SIZE(monitors), "one of each");

static void end_line(struct answers *a)
{
    char *p = a->line[a->count];
    p[a->length] = 0;
    for (unsigned i = 0; i < 4; i++) {
        a->part[a->count][i] = p;
        char *bar = i < 3 ? strchr(p, '|') : NULL;
        a->is_bad |= i < 3 && !bar;
        if (!bar)
            break;
        *bar = 0;
        p = bar + 1;
    }
    a->count++;
    a->length = 0;
}

static void on_byte(void *opaque, uint8_t byte)
{
    struct answers *a = opaque;
    if (a->is_bad)
        return;
    if (a->count == QUESTIONS || a->length == LINE - 1)
        a->is_bad = true;
    else if (byte == '\n')
        end_line(a);
    else
        a->line[a->count][a->length++] = (char)byte;
}

static int ask(const struct monitor *monitor, struct answers *a)
{
    struct trapline_config config = lab_guest_config(lab_holes32, lab_holes32_size, on_byte, a);
    struct trapline_machine *m;
    config.virt = monitor->virt;
    memset(a, 0, sizeof(*a));
    int status = lab_guest_run(&config, &m);
    return status == 0 && a->is_bad ? report_error("the guest of the lab failed", "it said what is no answer") : status;
}

/* ---- theory ---- */

/* Is a form of this name sensitive and unprivileged on a Pentium? */
static bool is_predicted(const struct trapline_classification *c, const char *name)
{
    struct trapline_class_form f = TRAPLINE_CLASS_FORM_INIT;
    for (unsigned i = 0; trapline_class_form(c, i, &f); i++)
        if (strcmp(f.name, name) == 0 && (f.classes & TRAPLINE_CLASS_BREAKS_1))
            return true;
    return false;
}

static int classify(struct trapline_classification **c)
{
    struct trapline_classify_config config = TRAPLINE_CLASSIFY_CONFIG_INIT;
    struct trapline_error e;
    config.cpu = "pentium";
    config.mode = "prot32";
    return trapline_classify(&config, c, &e) < 0 ? report_error(e.text, e.hint) : 0;
}

/* ---- report ---- */

enum { NAME, ASKED, BARE, ANSWER, COLUMNS = 8 };

static const char theory[] =
    "Theorem 1: a monitor that runs the guest in user mode and emulates what traps is possible if every sensitive instruction is "
    "privileged. The column `theory` is the classifier's, which knows nothing of this guest: `hole` is an instruction that is sensitive and "
    "completes in user mode (trapline classify --cpu pentium --mode prot32). `bare` is what the guest itself has set. Under bt the monitor sees every sensitive "
    "instruction, privileged or not, so the answers are the bare machine's. In ring 1 or 3 the instruction runs on the real machine, "
    "by the tables of the monitor. Reads show what is the host's: tables, CR0, IF, the ring in CS. Writes are lost: POPF and IRET do not set IF, no trap tells of it, and interrupts "
    "do not come, or come where the guest had forbidden them. Descriptors are marked as accessed in the monitor's table, not in the "
    "guest's. What wants ring 0 gets #GP, and since it is not privileged the exception is the guest's, who knows of no reason for it. "
    "CLI, STI and MOV CR trap, and are right.";

static bool is_hole(struct answers a[MONITORS], unsigned i)
{
    return strcmp(a[RING_1].part[i][ANSWER], a[RING_1].part[i][BARE]) != 0 ||
           strcmp(a[RING_3].part[i][ANSWER], a[RING_3].part[i][BARE]) != 0;
}

/* Cells of the table, row by row. How many answers are not as predicted, those under bt included. */
static unsigned fill(struct answers a[MONITORS], const struct trapline_classification *c, const char **cells)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < a[BT].count; i++) {
        bool predicted = is_predicted(c, a[BT].part[i][NAME]), found = is_hole(a, i);
        bool same_under_bt = strcmp(a[BT].part[i][ANSWER], a[BT].part[i][BARE]) == 0;
        const char *const row[COLUMNS] = {
            a[BT].part[i][NAME],       a[BT].part[i][ASKED],      a[BT].part[i][BARE],         a[BT].part[i][ANSWER],
            a[RING_1].part[i][ANSWER], a[RING_3].part[i][ANSWER], predicted ? "hole" : "none", found ? "hole" : "none"};
        memcpy(cells + (size_t)i * COLUMNS, row, sizeof(row));
        wrong += predicted != found || !same_under_bt;
    }
    return wrong;
}

static int run_holes(const struct lab_costs *costs, struct lab_report *r)
{
    static const char *const heads[COLUMNS] = {"instruction", "what the guest asks", "bare", "bt", "ring 1", "ring 3", "theory", "found"};
    struct trapline_classification *c = NULL;
    struct answers a[MONITORS];
    const char *cells[QUESTIONS * COLUMNS];
    char title[160];
    (void)costs;
    int status = lab_guests_check();
    if (status == 0)
        status = classify(&c);
    for (unsigned i = 0; i < MONITORS && status == 0; i++)
        status = ask(&monitors[i], &a[i]);
    for (unsigned i = 1; i < MONITORS && status == 0; i++)
        if (a[i].count != a[BT].count)
            status = report_error("the guest of the lab failed", "it did not ask the same everywhere");
    if (status == 0) {
        unsigned wrong = fill(a, c, cells);
        snprintf(title, sizeof(title), "A. A kernel in another ring: %u questions, %u not as theory predicts", a[BT].count, wrong);
        lab_add_table(r, &(struct lab_table){title, heads, COLUMNS, cells, a[BT].count, theory});
    }
    trapline_classification_destroy(c);
    return status;
}

const struct lab lab_holes = {
    .name = "holes",
    .question = "which instructions go wrong when a kernel runs in ring 1 or 3 and only traps are emulated?",
    .run = run_holes,
};
