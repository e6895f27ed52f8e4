/* SPDX-License-Identifier: MIT */
#include "frontends/lab.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "frontends/run.h"
#include "frontends/values.h"

static const struct lab *const all_labs[] = {&lab_walks};

static const struct lab *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all_labs); i++)
        if (strcmp(all_labs[i]->name, name) == 0)
            return all_labs[i];
    return NULL;
}

static void list(void)
{
    const struct lab_costs c = LAB_COSTS_INIT;
    printf("trapline lab NAME [-cost ref=N,exit=N]: an experiment, and what theory says of it\n\n");
    for (unsigned i = 0; i < ARRAY_SIZE(all_labs); i++)
        printf("  %-10s %s\n", all_labs[i]->name, all_labs[i]->question);
    printf(
        "\n-cost: cycles of a reference to a paging structure, and of an exit (default ref=%" PRIu64
        ",exit=%" PRIu64 ")\n",
        c.reference, c.exit);
}

static bool parse_costs(const char *text, struct lab_costs *costs)
{
    struct piece p;
    while (next_piece(&text, &p)) {
        uint64_t *cost = strcmp(p.key, "ref") == 0    ? &costs->reference
                         : strcmp(p.key, "exit") == 0 ? &costs->exit
                                                      : NULL;
        if (!cost || !p.has_value || !parse_number(p.value, cost) || *cost > UINT32_MAX)
            return false;
    }
    return true;
}

int verb_lab(int count, char *const words[])
{
    struct lab_costs costs = LAB_COSTS_INIT;
    const struct lab *lab = count > 0 ? find(words[0]) : NULL;
    char text[128];
    if (count == 0 || strcmp(words[0], "-help") == 0 || strcmp(words[0], "--help") == 0) {
        list();
        return 0;
    }
    if (!lab) {
        snprintf(text, sizeof(text), "there is no lab '%.64s'", words[0]);
        return report_error(text, "trapline lab lists all");
    }
    for (int i = 1; i < count; i++) {
        bool is_cost = strcmp(words[i] + strspn(words[i], "-"), "cost") == 0 && words[i][0] == '-';
        if (!is_cost || i + 1 == count || !parse_costs(words[++i], &costs)) {
            snprintf(text, sizeof(text), "lab %s: cannot use '%.64s'", lab->name, words[i]);
            return report_error(text, "-cost ref=N,exit=N");
        }
    }
    int status = lab->run(&costs);
    if (fflush(stdout) != 0 || ferror(stdout))
        return report_error("cannot write to standard output", "");
    return status;
}
