/* SPDX-License-Identifier: MIT */
#include "monitor/classify/elements.h"

#include <stddef.h>
#include <stdio.h>

#include "monitor/classify/world.h"

/* Field 0 of a row without one: count is 0. */
/* clang-format off */
#define VARY_XOR(field_, first_, count_, mask_) .field = FIELD_##field_, .first = (first_), .count = (count_), .mask = (mask_)
#define VARY_CALL(function) .vary = vary_##function
#define VARY_HELD .vary = NULL
/* clang-format on */

const struct element_desc elements[ELEMENT_COUNT] = {
#define ELEMENT(id_, name_, kind_, bit_, how_, doc_)                                               \
    [ELEMENT_##id_] = {                                                                            \
        .id = #id_, .name = (name_), .doc = (doc_), .kind = KIND_##kind_, .is_bit = (bit_), how_},
#define PLACE(...)
#include "monitor/classify/elements.def"
#undef ELEMENT
#undef PLACE
};

const struct place places[] = {
#define ELEMENT(...)
#define PLACE(id, field_, first_, count_, mask_)                                                   \
    {.element = ELEMENT_##id,                                                                      \
     .field = FIELD_##field_,                                                                      \
     .first = (first_),                                                                            \
     .count = (count_),                                                                            \
     .offset = offsetof(struct cpu, field_) + (first_)*WIDTH_##field_,                             \
     .size = (count_)*WIDTH_##field_,                                                              \
     .mask = (mask_)},
#include "monitor/classify/elements.def"
#undef ELEMENT
#undef PLACE
};
const unsigned place_count = ARRAY_SIZE(places);

bool element_is_held(unsigned element)
{
    return !elements[element].vary && elements[element].count == 0;
}

uint64_t place_value(const struct place *p, const struct cpu *cpu, unsigned i)
{
    return field_get(&cpu_fields[p->field], cpu, p->first + i) & p->mask;
}

const char *place_name(const struct place *p, unsigned i, char *text, size_t size)
{
    const struct field *f = &cpu_fields[p->field];
    if (f->count == 1)
        snprintf(text, size, "%s", f->name);
    else
        snprintf(text, size, "%s[%u]", f->name, p->first + i);
    return text;
}

bool set_is_empty(const struct element_set *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->words); i++)
        if (s->words[i])
            return false;
    return true;
}

bool set_has_kind(const struct element_set *s, enum element_kind kind)
{
    for (unsigned e = 0; e < ELEMENT_COUNT; e++)
        if (set_has(s, e) && elements[e].kind == kind)
            return true;
    return false;
}
