/* SPDX-License-Identifier: MIT */
#include "monitor/policy.h"

#include "monitor/emulate/classic.h"
#include "monitor/emulate/emulate.h"

static const struct sens_ops bt_slots[OP_COUNT] = {
#define EMULATOR(op, function, reason) [OP_##op] = {.exec = emulate_##function},
#define LOWERED(op, function, reason)  [OP_##op] = {.exec = emulate_##function, .lower = lower_##function},
#include "monitor/emulate/emulators.def"
#undef EMULATOR
};

/* What traps in ring R as under bt; the rest on the real machine. */
static const struct sens_ops classic_slots[OP_COUNT] = {
#define EMULATOR(op, function, reason) [OP_##op] = {.exec = emulate_##function},
#define CLASSIC(op, function, reason)  [OP_##op] = {.exec = classic_##function},
#include "monitor/emulate/emulators.def"
#undef EMULATOR
};

static const uint8_t op_reasons[OP_COUNT] = {
#define EMULATOR(op, function, reason) [OP_##op] = REASON_##reason,
#include "monitor/emulate/emulators.def"
#undef EMULATOR
};

static const char *const reason_names[EXIT_REASON_COUNT] = {
#define X(name, number, text) [number] = text,
    EXIT_REASONS(X)
#undef X
};

/* OWNER_MONITOR throughout; NULL: not built yet. */
static const struct policy_table bt_table = {.name = "bt"}, classic_table = {.name = "classic"}, pv_table = {.name = "pv"};
static const struct policy_table *const tables[POLICY_COUNT] = {
    [POLICY_BT] = &bt_table, [POLICY_CLASSIC] = &classic_table, [POLICY_PV] = &pv_table};
static const struct sens_ops *const slots[POLICY_COUNT] = {
    [POLICY_BT] = bt_slots, [POLICY_CLASSIC] = classic_slots, [POLICY_PV] = bt_slots};

const char *exit_reason_name(unsigned reason)
{
    return reason < EXIT_REASON_COUNT ? reason_names[reason] : NULL;
}

enum exit_reason policy_exit_reason(unsigned op, const struct insn *in)
{
    (void)in; /* control blocks will look at operands (CR number, port) */
    return op < OP_COUNT ? (enum exit_reason)op_reasons[op] : REASON_EXCEPTION_NMI;
}

const char *policy_class(unsigned row)
{
    const struct insn_desc *d = insn_row(row);
    if (!bt_slots[d->op].exec) /* whatever has an emulator is sensitive */
        return "innocuous";
    switch (d->privilege) {
    case PRIV_NONE:
    case PRIV_PE:
    case PRIV_GATE:
    case PRIV_VM86:    /* in virtual-8086 mode only */
    case PRIV_FSGS:    /* these two: #UD at any CPL, */
    case PRIV_OSXSAVE: /* or none */
        return "sensitive, unprivileged";
    case PRIV_CPL0:
    case PRIV_CPL0_PE:
    case PRIV_IOPL:
    case PRIV_IO:
        return "privileged";
    default: /* by UMIP, TSD, PCE */
        return "conditionally privileged";
    }
}

const struct sens_ops *policy_slots(enum policy policy)
{
    return policy < POLICY_COUNT ? slots[policy] : NULL;
}

const char *policy_name(enum policy policy)
{
    static const char *const names[POLICY_COUNT] = {"bt", "classic", "hvm", "pv"};
    return policy < POLICY_COUNT ? names[policy] : NULL;
}

void policy_stack_init(struct policy_stack *stack, enum policy policy)
{
    assert(policy < POLICY_COUNT && tables[policy]);
    *stack = (struct policy_stack){.table = {tables[policy]}, .depth = 1};
}

enum exit_owner policy_owner(const struct policy_stack *stack, enum exit_reason reason)
{
    for (unsigned i = stack->depth; i-- > 0;)
        if (stack->table[i]->owner[reason] != OWNER_MONITOR)
            return (enum exit_owner)stack->table[i]->owner[reason];
    return OWNER_MONITOR;
}
