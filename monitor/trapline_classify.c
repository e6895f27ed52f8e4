/* SPDX-License-Identifier: MIT */
/* The classifier, as programs outside see it. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/classify/verdict.h"
#include "monitor/classify/witness.h"
#include "monitor/policy.h"
#include "monitor/trapline_priv.h"

enum { STATES_FEW = 24, STATES_MANY = 48, STATES_UNDER = 192 };

struct trapline_classification {
    struct witness base;    /* mode, CPU and variants of all its witnesses */
    struct under *under;    /* owned; one for each row, or NULL */
    struct evidence rows[]; /* one for each of insn.def */
};

static int configure(const struct trapline_classify_config *config, struct witness *w,
                     struct err *err)
{
    const char *cpu = config->cpu ? config->cpu : "pentium";
    memset(w, 0, sizeof(*w));
    if (strlen(cpu) >= sizeof(w->cpu) || strchr(cpu, '/'))
        return err_set(err, EINVAL, "that is no name of a CPU");
    snprintf(w->cpu, sizeof(w->cpu), "%s", cpu);
    int rc = cpu_model_parse(cpu, &w->model, err);
    if (rc == 0)
        rc = witness_mode(config->mode ? config->mode : "prot32", &w->mode, err);
    if (rc == 0)
        rc = witness_variants(config->variants, &w->cr4_set, err);
    if (rc == 0 && (w->cr4_set & ~cpu_model_cr4(&w->model)))
        rc = err_set(err, EINVAL, "%.40s has not all of the variants '%.40s'", cpu,
                     config->variants);
    return rc;
}

/* "classic,ring=3" and the like; its slots are those of every vCPU (monitor/policy.c). */
static bool parse_policy(const char *text, enum class_mode mode, struct policy_config *p)
{
    static const struct {
        const char *text;
        struct policy_config policy;
    } known[] = {
        {"bt", {.policy = POLICY_BT}},
        {"classic", {.policy = POLICY_CLASSIC, .ring = 1}},
        {"classic,ring=1", {.policy = POLICY_CLASSIC, .ring = 1}},
        {"classic,ring=3", {.policy = POLICY_CLASSIC, .ring = 3}},
        {"classic,faults=emulate", {.policy = POLICY_CLASSIC, .ring = 1, .emulates_faults = true}},
        {"classic,ring=1,faults=emulate", {.policy = POLICY_CLASSIC, .ring = 1, .emulates_faults = true}},
        {"classic,ring=3,faults=emulate", {.policy = POLICY_CLASSIC, .ring = 3, .emulates_faults = true}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(text, known[i].text) == 0 && (mode != CLASS_LONG64 || known[i].policy.policy != POLICY_CLASSIC)) {
            *p = known[i].policy;
            return true;
        }
    }
    return false;
}

static int check_policy(const char *text, enum class_mode mode, struct policy_config *policy, struct err *err)
{
    *policy = (struct policy_config){.policy = POLICY_BT};
    if (!text || parse_policy(text, mode, policy))
        return 0;
    err_set(err, EINVAL, "there is no policy '%.40s' to run under in %s", text, class_mode_name(mode));
    err_hint(err, mode == CLASS_LONG64 ? "bt: classic has no long mode" : "bt or classic[,ring=1|3][,faults=emulate]");
    return -EINVAL;
}

static int run_under(struct trapline_classification *c, const struct experiment *x, const struct policy_config *policy,
                     struct err *err)
{
    struct world *vmm = world_create(&c->base.model, c->base.mode);
    c->under = calloc(insn_row_count(), sizeof(c->under[0]));
    if (!vmm || !c->under) {
        world_destroy(vmm);
        return err_set(err, ENOMEM, "out of memory");
    }
    world_set_policy(vmm, policy);
    world_translate(vmm);
    for (unsigned row = 0; row < insn_row_count(); row++)
        if (!c->rows[row].is_absent)
            experiment_under(x, vmm, row, verdict_classes(&c->rows[row]) ? STATES_UNDER : STATES_FEW, &c->under[row]);
    world_destroy(vmm);
    return 0;
}

static int run_rows(struct trapline_classification *c, unsigned states, const struct policy_config *policy,
                    struct err *err)
{
    struct world *world = world_create(&c->base.model, c->base.mode);
    if (!world)
        return err_set(err, EINVAL, "%s has no mode %s", c->base.cpu,
                       class_mode_name(c->base.mode));
    const struct experiment x = {.world = world,
                                 .cr4_set = c->base.cr4_set,
                                 .states_few = STATES_FEW,
                                 .states_many = states ? states : STATES_MANY};
    for (unsigned row = 0; row < insn_row_count(); row++)
        experiment_run(&x, row, &c->rows[row]);
    int rc = policy ? run_under(c, &x, policy, err) : 0;
    world_destroy(world);
    return rc;
}

int trapline_classify(const struct trapline_classify_config *config,
                      struct trapline_classification **out, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct trapline_classification *c =
        calloc(1, sizeof(*c) + insn_row_count() * sizeof(c->rows[0]));
    if (!c)
        return trapline_fail(error, &err, err_set(&err, ENOMEM, "out of memory"));
    bool knows_policy = config->size > offsetof(struct trapline_classify_config, policy);
    const char *text = knows_policy ? config->policy : NULL;
    struct policy_config policy;
    int rc = configure(config, &c->base, &err);
    if (rc == 0)
        rc = check_policy(text, c->base.mode, &policy, &err);
    if (rc == 0)
        rc = run_rows(c, config->states < 1000 ? config->states : 1000, text ? &policy : NULL, &err);
    if (rc < 0) {
        trapline_classification_destroy(c);
        return trapline_fail(error, &err, rc);
    }
    *out = c;
    return 0;
}

void trapline_classification_destroy(struct trapline_classification *c)
{
    if (!c)
        return;
    free(c->under);
    free(c);
}

bool trapline_class_under(const struct trapline_classification *c, unsigned i,
                          struct trapline_class_under *under)
{
    if (!c->under || i >= insn_row_count())
        return false;
    const struct under *u = &c->under[i];
    struct trapline_class_under out = {.size = under->size,
                                       .runs = u->runs,
                                       .reached = u->reached,
                                       .differ = u->differ,
                                       .where = u->where};
    memcpy(under, &out, under->size < sizeof(out) ? under->size : sizeof(out));
    return true;
}

/* ---- what was found ---- */

#define SAME(name) ((int)TRAPLINE_##name == (int)name)
_Static_assert(SAME(CLASS_PRIVILEGED) && SAME(CLASS_CONDITIONAL) && SAME(CLASS_CONTROL) &&
                   SAME(CLASS_MODE) && SAME(CLASS_LOCATION) && SAME(CLASS_TIME) &&
                   SAME(CLASS_USER) && SAME(CLASS_CLOSED) && SAME(CLASS_BREAKS_1) &&
                   SAME(CLASS_BREAKS_3) && SAME(CLASS_BY_CPL) && SAME(CLASS_ABSENT),
               "the public sets are the inside's");

bool trapline_class_form(const struct trapline_classification *c, unsigned i,
                         struct trapline_class_form *form)
{
    if (i >= insn_row_count())
        return false;
    const struct insn_desc *d = insn_row(i);
    const struct evidence *e = &c->rows[i];
    const struct published *p = published_find(d->op);
    unsigned classes = verdict_classes(e);
    struct trapline_class_form out = {
        .size = form->size,
        .row = i,
        .classes = classes,
        .declared = d->sensitivity,
        .measured = verdict_sensitivity(classes),
        .states = e->states,
        .completed = {e->completed[AT_0], e->completed[AT_3]},
        .mnemonic = d->name,
        .encoding = d->encoding,
        .operands = d->operands,
        .name = p ? p->name : d->name,
        .entry = p ? p->entry : d->name,
        .section = p ? p->section : "",
        .published = p ? p->sets : 0,
    };
    memcpy(form, &out, form->size < sizeof(out) ? form->size : sizeof(out));
    return true;
}

bool trapline_class_element(unsigned i, struct trapline_class_element *element)
{
    static const char *const kinds[] = {"", "mode", "location", "time"};
    if (i >= ELEMENT_COUNT)
        return false;
    const struct element_desc *e = &elements[i];
    struct trapline_class_element out = {.size = element->size,
                                         .name = e->name,
                                         .kind = kinds[e->kind],
                                         .doc = e->doc,
                                         .is_varied = !element_is_held(i),
                                         .is_bit = e->is_bit};
    memcpy(element, &out, element->size < sizeof(out) ? element->size : sizeof(out));
    return true;
}

const char *trapline_class_variant(unsigned i)
{
    uint64_t bit;
    return witness_variant(i, &bit);
}

/* ---- witnesses ---- */

static void name_witness(const struct trapline_classification *c, unsigned row, unsigned state,
                         unsigned level, unsigned element, char *text)
{
    struct witness w = c->base;
    w.row = row;
    w.state = state;
    w.level = level;
    w.element = element;
    if (text)
        witness_format(&w, text, TRAPLINE_WITNESS_SIZE);
}

/* The set of a relation, and which state showed each member. */
static const struct element_set *relation_of(const struct evidence *e,
                                             enum trapline_relation relation, unsigned level,
                                             const uint16_t **state)
{
    *state = e->traps_state;
    switch (relation) {
    case TRAPLINE_READS:
        *state = e->reads_state[level];
        return &e->reads[level];
    case TRAPLINE_WRITES:
        *state = e->writes_state[level];
        return &e->writes[level];
    case TRAPLINE_TRAPS:
        return &e->traps;
    case TRAPLINE_ALLOWS:
        return &e->allows;
    case TRAPLINE_OPENS:
        return &e->opens;
    }
    return NULL;
}

bool trapline_class_relation(const struct trapline_classification *c, unsigned i,
                             enum trapline_relation relation, unsigned level, unsigned element,
                             char witness[TRAPLINE_WITNESS_SIZE])
{
    const uint16_t *state;
    if (i >= insn_row_count() || element >= ELEMENT_COUNT || relation > TRAPLINE_OPENS)
        return false;
    unsigned at = level ? AT_3 : AT_0;
    const struct element_set *set = relation_of(&c->rows[i], relation, at, &state);
    if (!set || !set_has(set, element))
        return false;
    bool is_state = relation == TRAPLINE_WRITES;
    name_witness(c, i, state[element], relation > TRAPLINE_WRITES ? AT_3 : at,
                 is_state ? ELEMENT_COUNT : element, witness);
    return true;
}

/* Best shown: by CPL, then by what is read at CPL 3, then by what is changed there. */
bool trapline_class_witness(const struct trapline_classification *c, unsigned i,
                            char witness[TRAPLINE_WITNESS_SIZE])
{
    static const enum trapline_relation order[] = {TRAPLINE_READS, TRAPLINE_WRITES};
    if (i >= insn_row_count())
        return false;
    const struct evidence *e = &c->rows[i];
    if (e->by_mode || (e->completed[AT_0] && !e->completed[AT_3])) {
        name_witness(c, i, e->by_mode ? e->mode_state : e->privileged_state, AT_0, ELEMENT_CPL,
                     witness);
        return true;
    }
    for (unsigned level = LEVELS; level-- > 0;)
        for (unsigned r = 0; r < ARRAY_SIZE(order); r++)
            for (unsigned n = 0; n < ELEMENT_COUNT; n++)
                if (trapline_class_relation(c, i, order[r], level == AT_3 ? 3 : 0, n, witness))
                    return true;
    return false;
}

int trapline_print_witness(const char *witness, FILE *out, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct witness w;
    int rc = witness_parse(witness, &w, &err);
    if (rc == 0)
        rc = witness_print(&w, out, &err);
    return trapline_fail(error, &err, rc);
}
