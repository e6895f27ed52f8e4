/* SPDX-License-Identifier: MIT */
/* The classifier: Popek and Goldberg by experiment (docs/classify.md). Part of monitor/trapline.h, which includes it. */
#pragma once

#include "monitor/trapline.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trapline_classify_config {
    size_t size;          /* sizeof(struct trapline_classify_config) */
    const char *cpu;      /* as -cpu spells it; NULL: pentium */
    const char *mode;     /* "prot16", "prot32", "long64"; NULL: prot32 */
    const char *variants; /* control bits set in all states: "umip,tsd"; NULL: none */
    unsigned states;      /* of each form that shows something; 0: enough */
    const char *policy;   /* also run every form under this monitor: "bt", "classic,ring=3"; NULL: no */
};

#define TRAPLINE_CLASSIFY_CONFIG_INIT                                                              \
    {                                                                                              \
        .size = sizeof(struct trapline_classify_config)                                            \
    }

struct trapline_classification;

/* What an instruction form is: a set. */
enum {
    TRAPLINE_CLASS_PRIVILEGED = 1,    /* completes at CPL 0, never at CPL 3 */
    TRAPLINE_CLASS_CONDITIONAL = 2,   /* a control bit decides that */
    TRAPLINE_CLASS_CONTROL = 4,       /* changes the resource state */
    TRAPLINE_CLASS_MODE = 8,          /* behaves by CPL or another part of the mode */
    TRAPLINE_CLASS_LOCATION = 16,     /* behaves by where things are */
    TRAPLINE_CLASS_TIME = 32,         /* behaves by a clock, a counter or entropy */
    TRAPLINE_CLASS_USER = 64,         /* control or behaviour sensitive at CPL 3 */
    TRAPLINE_CLASS_CLOSED = 128,      /* completed in no state that was tried */
    TRAPLINE_CLASS_BREAKS_1 = 256,    /* against Theorem 1: sensitive, completes at CPL 3 */
    TRAPLINE_CLASS_BREAKS_3 = 512,    /* against Theorem 3: user sensitive, completes at CPL 3 */
    TRAPLINE_CLASS_BY_CPL = 1024,     /* CPL alone makes a difference */
    TRAPLINE_CLASS_ABSENT = 2048,     /* not an instruction of this CPU */
};

enum { TRAPLINE_PUBLISHED_ROBIN = 1, TRAPLINE_PUBLISHED_VMWARE = 2 };

struct trapline_class_form {
    size_t size;             /* sizeof(struct trapline_class_form) */
    unsigned row;            /* of the instruction table */
    unsigned classes;        /* TRAPLINE_CLASS_* */
    unsigned declared;       /* TRAPLINE_SENSITIVE_* of the table, not read before */
    unsigned measured;       /* the same, found */
    unsigned states;         /* tried */
    unsigned completed[2];   /* of them, completed at CPL 0 and at CPL 3 */
    const char *mnemonic;    /* "MOV_SREG" */
    const char *encoding;    /* "OP(0x8c)" */
    const char *operands;    /* "(w_RvMw, r_Sw)" */
    const char *name;        /* in the papers: "MOV" */
    const char *entry;       /* what Robin and Irvine are taken to count it under; or name */
    const char *section;     /* "3C": the requirement of theirs that it breaks; or "" */
    unsigned published;      /* TRAPLINE_PUBLISHED_* */
};

#define TRAPLINE_CLASS_FORM_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(struct trapline_class_form)                                                 \
    }

/* An element of the resource state. */
struct trapline_class_element {
    size_t size;      /* sizeof(struct trapline_class_element) */
    const char *name; /* "CR4.UMIP" */
    const char *kind; /* "mode", "location", "time" or "" */
    const char *doc;  /* what it is */
    bool is_varied;   /* it is held otherwise */
    bool is_bit;      /* it may decide whether an instruction traps */
};

#define TRAPLINE_CLASS_ELEMENT_INIT                                                                \
    {                                                                                              \
        .size = sizeof(struct trapline_class_element)                                              \
    }

/* How a form and an element are related; level: the CPL, 0 or 3. */
enum trapline_relation {
    TRAPLINE_READS,  /* the result depends on it */
    TRAPLINE_WRITES, /* it is left changed */
    TRAPLINE_TRAPS,  /* its other value makes the form privileged */
    TRAPLINE_ALLOWS, /* its other value lets CPL 3 in */
    TRAPLINE_OPENS,  /* without its other value the form is #UD or #GP at any level */
};

#define TRAPLINE_WITNESS_SIZE 160

/* Run the experiment. -EINVAL: no such CPU, mode or variant; -ENOMEM. */
int trapline_classify(const struct trapline_classify_config *config,
                      struct trapline_classification **out, struct trapline_error *error);
void trapline_classification_destroy(struct trapline_classification *c); /* NULL is fine */

/* The rows of the instruction table, and the elements: false past the last. */
bool trapline_class_form(const struct trapline_classification *c, unsigned i,
                         struct trapline_class_form *form);
bool trapline_class_element(unsigned i, struct trapline_class_element *element);

/* The control bits that a variant may set, NULL past the last: "umip". */
const char *trapline_class_variant(unsigned i);

/* Are form i and the element so related? witness: NULL, or a state that shows it, by its ID. */
bool trapline_class_relation(const struct trapline_classification *c, unsigned i,
                             enum trapline_relation relation, unsigned level, unsigned element,
                             char witness[TRAPLINE_WITNESS_SIZE]);

/* The witness of what form i is: of its violation if there is one. False: there is none. */
bool trapline_class_witness(const struct trapline_classification *c, unsigned i,
                            char witness[TRAPLINE_WITNESS_SIZE]);

/* How a form does under config.policy. */
struct trapline_class_under {
    size_t size;       /* sizeof(struct trapline_class_under) */
    unsigned runs;     /* bare and under the monitor, from the same state at the same virtual CPL */
    unsigned reached;  /* of them, entered the monitor */
    unsigned differ;   /* of them, with another result for the guest */
    const char *where; /* in what the first of these differed, or "" */
};

#define TRAPLINE_CLASS_UNDER_INIT                                                                  \
    {                                                                                              \
        .size = sizeof(struct trapline_class_under)                                                \
    }

/* False: past the last form, or there was no policy. */
bool trapline_class_under(const struct trapline_classification *c, unsigned i,
                          struct trapline_class_under *under);

/* Run the two states of a witness again and print them, the instruction and what came of it.
 * -EINVAL: no such witness. */
int trapline_print_witness(const char *witness, FILE *out, struct trapline_error *error);

#ifdef __cplusplus
}
#endif
