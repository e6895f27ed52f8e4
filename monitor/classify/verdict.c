/* SPDX-License-Identifier: MIT */
#include "monitor/classify/verdict.h"

static bool depends(const struct evidence *e, unsigned level, enum element_kind kind)
{
    return set_has_kind(&e->reads[level], kind);
}

/* Sensitive in states of one level. */
static bool is_sensitive_at(const struct evidence *e, unsigned level)
{
    return !set_is_empty(&e->writes[level]) || depends(e, level, KIND_MODE) ||
           depends(e, level, KIND_LOCATION) || depends(e, level, KIND_NONE);
}

static unsigned sensitivity(const struct evidence *e)
{
    unsigned c = 0;
    for (unsigned level = 0; level < LEVELS; level++) {
        if (!set_is_empty(&e->writes[level]))
            c |= CLASS_CONTROL;
        if (depends(e, level, KIND_MODE))
            c |= CLASS_MODE;
        if (depends(e, level, KIND_LOCATION))
            c |= CLASS_LOCATION;
        if (depends(e, level, KIND_TIME))
            c |= CLASS_TIME;
    }
    if (e->by_mode)
        c |= CLASS_MODE | CLASS_BY_CPL;
    return c;
}

struct element_set verdict_conditions(const struct evidence *e)
{
    struct element_set set = {{0}};
    for (unsigned i = 0; i < ELEMENT_COUNT; i++)
        if (elements[i].is_bit && (set_has(&e->traps, i) || set_has(&e->allows, i)))
            set_add(&set, i);
    return set;
}

unsigned verdict_classes(const struct evidence *e)
{
    struct element_set conditions = verdict_conditions(e);
    unsigned c = sensitivity(e);
    if (e->is_absent)
        return CLASS_ABSENT;
    if (e->is_closed)
        return CLASS_CLOSED;
    if (e->completed[AT_3] == 0)
        c |= CLASS_PRIVILEGED;
    if (!set_is_empty(&conditions))
        c |= CLASS_CONDITIONAL;
    if (is_sensitive_at(e, AT_3))
        c |= CLASS_USER;
    if ((c & CLASS_SENSITIVE) && e->completed[AT_3] > 0)
        c |= CLASS_BREAKS_1;
    if ((c & CLASS_USER) && e->completed[AT_3] > 0)
        c |= CLASS_BREAKS_3;
    return c;
}

unsigned verdict_sensitivity(unsigned classes)
{
    return (classes & CLASS_CONTROL ? SENS_CONTROL : 0u) | (classes & CLASS_MODE ? SENS_MODE : 0u) |
           (classes & CLASS_LOCATION ? SENS_LOCATION : 0u) |
           (classes & CLASS_TIME ? SENS_TIME : 0u);
}

/* ---- published counts ---- */

static const struct published table[] = {
#define ROBIN PUBLISHED_ROBIN
#define VMWARE PUBLISHED_VMWARE
#define PUBLISHED(op_, name_, entry_, section_, sets_)                                             \
    {.op = OP_##op_, .sets = (sets_), .name = (name_), .entry = (entry_), .section = (section_)},
#include "monitor/classify/published.def"
#undef PUBLISHED
#undef ROBIN
#undef VMWARE
};

const struct published *published_find(unsigned op)
{
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].op == op)
            return &table[i];
    return NULL;
}
