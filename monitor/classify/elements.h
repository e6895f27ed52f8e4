/* SPDX-License-Identifier: MIT */
/*
 * The elements of the machine's resource state (elements.def): what the classifier varies, holds
 * and looks at. Const tables, and sets of elements. Used by monitor/classify only.
 */
#pragma once

#include "cpu/state.h"
#include "decoder/insn.h"

enum element {
#define ELEMENT(id, ...) ELEMENT_##id,
#define PLACE(...)
#include "monitor/classify/elements.def"
#undef ELEMENT
#undef PLACE
    ELEMENT_COUNT,
    ELEMENT_USER = ELEMENT_COUNT, /* the program's own */
    ELEMENT_UNSEEN,               /* not compared */
};

/* What dependence on an element makes an instruction. */
enum element_kind { KIND_NONE, KIND_MODE, KIND_LOCATION, KIND_TIME };

/* The fields of struct cpu, in their order: indices of cpu_fields. */
enum cpu_field {
#define FIELD_ONE(S, type, name, doc) FIELD_##name,
#define FIELD_ARR(S, type, name, n, doc) FIELD_##name,
    CPU_STATE(FIELD_ONE, FIELD_ARR, cpu)
#undef FIELD_ONE
#undef FIELD_ARR
        FIELD_COUNT
};

/* Bytes of an element of each. */
enum cpu_field_width {
#define FIELD_ONE(S, type, name, doc) WIDTH_##name = sizeof(type),
#define FIELD_ARR(S, type, name, n, doc) WIDTH_##name = sizeof(type),
    CPU_STATE(FIELD_ONE, FIELD_ARR, cpu)
#undef FIELD_ONE
#undef FIELD_ARR
};

struct world;

/* One of vary (by a function) and mask (bits of a field); neither: held. */
struct element_desc {
    const char *id;   /* "UMIP": of the table, for witnesses */
    const char *name; /* "CR4.UMIP" */
    const char *doc;  /* for people */
    uint8_t kind;     /* enum element_kind */
    bool is_bit;      /* a control bit that may decide whether an instruction traps */
    /* Bring the element of the world and of cpu, its state before the run, to its other value, or
     * back: called twice, it has done nothing. */
    void (*vary)(struct world *w, struct cpu *cpu);
    uint8_t field; /* enum cpu_field */
    uint8_t first; /* element of the field */
    uint8_t count; /* elements; 0: no field */
    uint64_t mask; /* bits that are turned round */
};

struct place {
    uint8_t element; /* enum element */
    uint8_t field;   /* enum cpu_field */
    uint8_t first;   /* element of the field */
    uint8_t count;   /* elements */
    uint16_t offset; /* of its bytes in struct cpu */
    uint16_t size;   /* how many there are */
    uint64_t mask;   /* bits of each element */
};

extern const struct element_desc elements[ELEMENT_COUNT];
extern const struct place places[];
extern const unsigned place_count;

/* Is it varied at all? */
bool element_is_held(unsigned element);

/* Value i of a place: its own bits, in their positions. */
uint64_t place_value(const struct place *p, const struct cpu *cpu, unsigned i);

/* "seg_sel[3]" into text; returns it. */
const char *place_name(const struct place *p, unsigned i, char *text, size_t size);

/* ---- sets ---- */

struct element_set {
    uint64_t words[(ELEMENT_COUNT + 63) / 64]; /* bit e of the whole */
};

static inline bool set_has(const struct element_set *s, unsigned e)
{
    return s->words[e / 64] >> (e % 64) & 1;
}

static inline void set_add(struct element_set *s, unsigned e)
{
    s->words[e / 64] |= BIT(e % 64);
}

bool set_is_empty(const struct element_set *s);
bool set_has_kind(const struct element_set *s, enum element_kind kind);
