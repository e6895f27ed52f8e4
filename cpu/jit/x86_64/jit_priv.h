/* SPDX-License-Identifier: MIT */
/*
 * Inside the translator. Host registers while translated code runs:
 *
 *   RAX RCX RDX RBX RBP RSI RDI R8-R11   the guest's of the same name
 *   R12          the guest's RSP
 *   R13, R14     T0, T1: scratch, dead at every instruction boundary
 *   R15          the guest's R12
 *   RSP          struct vcpu *, below which is the stack of translated code (vcpu.h)
 *
 * The guest's R13-R15 are in the red zone, below. C is called on its own stack. Between blocks all pinned registers hold guest values and
 * the status flags stand in run.flag_image, or as run.flag_how says; the lazy flags of flags.h and arch.gpr of the pinned
 * ones are stale until translated code is left. RIP exists as run.jit_page, the RIP of the first
 * byte of the page that is executed, and constants.
 */
#pragma once

#include "cpu/block.h"
#include "cpu/chunk.h"
#include "cpu/exec.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/x86_64/emit.h"
#include "cpu/jit/x86_64/fp.h"
#include "cpu/jit/x86_64/late.h"
#include "cpu/jit/x86_64/memory.h"
#include "cpu/jit/x86_64/proof.h"
#include "cpu/jit/x86_64/state.h"
#include "cpu/select.h"

enum { T0 = H_R13, T1 = H_R14, VCPU = H_RSP };

/* In flag_how above enum flag_how: log2 of the size in bytes; flag_b is in bits 31:8 instead, which mean nothing otherwise. */
#define HOW_SIZE_SHIFT 4
#define HOW_IMM 0x40u
#define HOW_OVER 0x80u /* less CF and OF, which are in flag_o */
#define HOW_IMM_SHIFT 8

/* Where translated code calls C, or jumps to it: one per record that needs it. Read by the thunks,
 * so plain fields of 32 or 64 bits. */
struct jit_site {
    const struct rec *rec; /* of the block's own array */
    exec_fn *fn;           /* its handler */
    struct block *block;   /* it belongs to */
    uint64_t calls;        /* of the handler */
    uint32_t offset;       /* of the block in its page */
    uint16_t op;           /* enum op */
    bool is_lowered;       /* the handler is for rare cases */
    bool needs_flags;      /* it must find them, or leaves others */
};

/*
 * A direct transfer out of a block. To another page it is good only while that page's frame is the one that the link was made for.
 * The vCPU's tag of the exit (mmu_jumps.link) says so: the page that it comes from XOR the epoch in which the fetch array
 * was asked. Another tag asks again.
 */
struct jit_exit {
    union {
        int64_t target;  /* from the start of the page; elsewhere: another page */
        int64_t misses;  /* computed: that remain until C sees one */
    };
    uint32_t refund;     /* ticks of the block that do not run */
    union {
        uint32_t give_back; /* what the charge took, and the refund: for a budget that did not reach */
        uint32_t since;     /* computed: when it was linked, ticks */
    };
    const struct rec *rec; /* the branch, or the record that ends the block */
    struct block *block;   /* it belongs to */
    uint32_t offset;     /* of the block in its page */
    int32_t fn;          /* handler of rec, fn_to_32 */
    emit_label jump;     /* its last jump: to the next block's code, or to the stub right behind it */
    union {
        uint8_t *charge;  /* 8-bit constant: ticks taken from the budget; NULL: forgotten code's */
        uint8_t *compare; /* computed: the comparison; NULL: forgotten, or it only uses the table */
        uint8_t *stub;    /* return: where it leads while it is not linked; NULL: forgotten */
    };
    uint8_t *tag;        /* 32-bit displacement of its tag; NULL: same page */
    const uint8_t *hit;  /* behind the comparison of its tag */
    const uint8_t *miss; /* it leads to a frame that it is not made for */
    union {
        paddr frame; /* physical page that it is made for; BLOCK_DEAD: none yet */
        paddr pa;    /* same page, or computed: of the target */
    };
    uint32_t tag_at;     /* offset of the tag in struct vcpu */
    uint8_t frames;      /* how many it has been made for */
    bool is_computed : 1; /* a computed JMP or CALL with its last target (expect.c); miss: the way by the table */
    bool has_flags : 1;  /* direct, and flags are stored in front of its jump; behind the charge is a way past them */
    bool is_return : 1;  /* to behind a CALL, by the ring of returns (return.c); jump: not one, but that address; miss: the stub */
    bool is_edge : 1;    /* to the block's own start, with its loans, at `hit` (loop.c) */
    struct jit_block *to;  /* linked to, or NULL */
    union {
        struct jit_exit *prev; /* others linked to the same */
        struct block *guess;   /* not linked: what was there before, or NULL */
    };
    struct jit_exit *next; /* others linked to the same */
};

/* To another page? */
static inline bool exit_is_far(const struct jit_exit *x)
{
    return x->target < 0 || x->target >= (int64_t)PAGE_SIZE;
}

/* What a jit_exit begins with, for thunks that want no more: to the block's own start, for the run loop. It was not entered after all. */
struct jit_start {
    int64_t target;        /* from the start of the page */
    uint32_t refund;       /* none */
    uint32_t give_back;    /* ticks of the block */
    const struct rec *rec; /* none */
    struct block *block;
    uint32_t offset; /* of the block in its page */
};

static_assert(offsetof(struct jit_start, target) == offsetof(struct jit_exit, target) &&
                  offsetof(struct jit_start, refund) == offsetof(struct jit_exit, refund) &&
                  offsetof(struct jit_start, give_back) == offsetof(struct jit_exit, give_back) &&
                  offsetof(struct jit_start, rec) == offsetof(struct jit_exit, rec) &&
                  offsetof(struct jit_start, block) == offsetof(struct jit_exit, block) &&
                  offsetof(struct jit_start, offset) == offsetof(struct jit_exit, offset),
              "thunks take either");

/* A handler in 32 bits: its distance from exec_break. */
static inline int32_t fn_to_32(exec_fn *fn)
{
    return (int32_t)(intptr_t)((uintptr_t)fn - (uintptr_t)exec_break);
}

static inline exec_fn *fn_from_32(int32_t distance)
{
    return (exec_fn *)((uintptr_t)exec_break + (uintptr_t)(intptr_t)distance);
}

/* What is kept of a translated block: in table memory, like all that it points to. */
struct jit_block {
    const uint8_t *entry;    /* its code, after the charge */
    struct region *region;   /* it is a region's, or NULL (region.h) */
    struct membership *memberships; /* regions that it is a part of */
    struct way *way;         /* from here, where it was looked at; NULL: it was not (region.h) */
    const uint8_t *computed; /* where computed jumps enter, before the charge; read by a thunk */
    struct block *block;     /* it was made from */
    size_t size;             /* bytes of code, from entry; without late code */
    struct jit_exit *in;     /* exits of others that lead here */
    struct jit_block *prev;  /* all of them */
    struct jit_block *next;  /* the same */
    int32_t *fns;            /* the records' own handlers, fn_to_32 */
    struct jit_site *sites;  /* at most one per record, and one */
    struct jit_exit *exits;  /* the same */
    struct jit_start self;   /* to its own start */
    unsigned site_count;     /* of sites */
    unsigned exit_count;     /* of exits */
    unsigned exit_room;      /* how many of them before one is kept for each branch */
    unsigned insns;          /* guest instructions */
    unsigned lowered;        /* of them, those that need no handler */
    bool is_flag_blind; /* whoever enters need not have flags in memory: it overwrites them before anybody looks */
    bool tails; /* left by the handler of the last instruction, which may go on to the end record */
};

/* How a path goes on behind a part of it. */
enum part_end {
    PART_ENDS,    /* not at all: as the block does */
    PART_FALLS,   /* at the next instruction: behind a Jcc that is not taken, or where the block ends */
    PART_TAKEN,   /* the Jcc `last` is taken */
    PART_JUMPS,   /* by the direct JMP or CALL at its end */
    PART_RETURNS, /* by the RET at its end, to behind the CALL of an earlier part */
};

/* A block on a path, or the first records of one. */
struct jit_part {
    struct block *home;        /* for its address, and those of its records */
    const struct block *block; /* the same, or a copy of it with its records */
    const uint8_t *bytes;      /* of its instructions, in one piece */
    const struct site *sites;  /* block->sites, or a copy */
    int32_t page;              /* linear, from the first part's; a multiple of the page's size */
    uint8_t last;              /* its last record on the path */
    uint8_t end;               /* enum part_end */
};

#define REGION_PARTS 8
#define REGION_RECORDS 128 /* of all parts */

/* All that the translator sees of the guest and of a path through its blocks: one alone, or a region, which is code for the
 * first. */
struct jit_source {
    struct jit_part part[REGION_PARTS];
    unsigned part_count;
    bool loops;                    /* behind the last part, the first again */
    const struct decoder *decoder; /* of the guest's processor */
    uint16_t fsw;                  /* of its x87 unit at the moment */
    uint8_t ftw;                   /* the same */
    uint8_t drops;                 /* what jit.drops has for it */
    bool is_narrow;                /* the same of jit.narrow */
};

/* Which part of the stack is known to lie in the stack window (stack.c). */
struct stack_proof {
    unsigned proof;  /* its number; 0: nothing is known */
    unsigned proofs; /* made in this block */
    int32_t low;     /* from RSP at the proof: its first byte */
    int32_t high;    /* the same: behind its last one, at most VTLB_WINDOW_REACH bytes */
    int32_t delta;   /* RSP now - RSP at the proof */
};

/* PUSHes or POPs one behind the other, all proved: RSP changes with the last. */
struct stack_run {
    unsigned next; /* instruction that goes on with it, T1 being the window's addend; 0: none */
    int32_t moved; /* by so much RSP is to change */
};

/* In this block the guest register `guest` has the host register of `lender`, which is in memory
 * there (loan.c). */
struct loan {
    uint8_t guest;
    uint8_t lender;
    bool written; /* guest may be */
};

#define LATE_MAX 512

/* An instruction on the path. */
struct path_insn {
    const struct rec *rec; /* its record: of part->block */
    const struct jit_part *part;
    int32_t page;      /* part->page */
    uint16_t offset;   /* in its page */
    uint16_t charged;  /* where on the path the instructions end whose ticks have been taken when it runs */
    uint8_t way;       /* enum part_end: how the path goes on behind it */
    bool flags_needed; /* those that it leaves may be looked at */
    bool flags_shown;  /* somebody may look at any flag behind it */
};

/* What is carried from the first round of a loop into the second (loop.c). */
enum {
    CARRY_FLAGS = 1,  /* as a recipe */
    CARRY_STACK = 2,  /* the stack window */
    CARRY_PROOFS = 4, /* of bases */
    CARRY_UNITS = 8,  /* the floating-point units, and XMM registers */
    CARRY_STRIDES = 16, /* of operands that move by a constant */
    CARRY_ALL = 31,
};

/* What is known where the second round begins. */
struct loop_head {
    const uint8_t *code;
    struct flag_state flags;
    struct stack_proof stack;
    struct base_proofs proofs;
    struct fp_state fp;
    uint16_t xmm;
};

/* A path being translated. */
struct unit {
    struct jit *jit;
    const struct jit_source *from;
    struct emit e;
    struct emit other; /* for late code; or, while that is emitted, for what is not */
    bool is_late;      /* so it is */
    struct jit_block *out;
    unsigned count;              /* of path */
    unsigned i;                  /* instruction being translated: path[i] */
    const struct rec *rec;       /* its record, or that behind the last one of the path */
    const struct jit_part *part; /* that it is in */
    const struct block *block;   /* part->block */
    unsigned offset;             /* of the block in its page */
    unsigned word;   /* of addresses, the stack and transfers: 8 bytes, or 4 in 32-bit code */
    uint8_t regs[16]; /* host register of guest register g, or H_NONE: it is in memory */
    bool is_broken;  /* it is no path: no code */
    unsigned carry;  /* CARRY_ bits; 0: a loop has one round */
    unsigned lost;   /* of them, what the loop does not keep: no code */
    unsigned second; /* the loop's second round begins with this instruction; 0: there is none */
    bool is_loop;     /* that is a block of the first tier */
    struct stride stride[PROOFS]; /* by slot of what is kept */
    bool strides;        /* some are used */
    bool stride_counts;  /* and move */
    const uint8_t *start; /* behind what borrows registers */
    bool shows_entry; /* somebody may look at the flags of before the path */
    struct loop_head head;
    bool is_32;      /* 32-bit code: CS is flat */
    bool is_compat;  /* the same, with long mode active */
    bool has_stack;  /* PUSH and the like use RSP as it stands: 64-bit mode, or a flat 32-bit SS */
    struct insn *in; /* its instruction: &insn[i] */
    struct flag_state flags;
    struct stack_proof stack;
    struct stack_run run;
    struct base_proofs proofs;
    struct loan loan[4];
    unsigned loans; /* of loan */
    bool lent;      /* they hold here */
    bool is_again;         /* it is translated once more, in late code (translate_first_again) */
    bool is_quiet;         /* the instruction's lowering destroys no flags but in a probe */
    bool flags_needed;     /* path[i].flags_needed */
    bool flags_shown;      /* path[i].flags_shown */
    uint16_t xmm;          /* bit g: the host's XMM g is the guest's */
    struct fp_state fp;    /* where the guest's floating-point units are */
    unsigned late_count;   /* of late */
    unsigned late_first;   /* of this instruction */
    struct late late[LATE_MAX];
    struct path_insn path[REGION_RECORDS];
    struct insn insn[REGION_RECORDS]; /* the same, decoded */
};

/* The record of the part's home, which C runs by: of one of the part's block. */
static inline const struct rec *rec_home(const struct unit *u, const struct rec *rec)
{
    return &u->part->home->rec[rec - u->block->rec];
}

/* Where instruction i of the path is, from the start of the page that runs now. */
static inline int64_t path_offset(const struct unit *u, unsigned i)
{
    return (int64_t)u->path[i].page - u->path[u->i].page + u->path[i].offset;
}

/* Ticks that have been taken, and are not used when instruction i of the path is the next to run, and not by it. */
static inline int64_t refund_before(const struct unit *u, unsigned i)
{
    return (int64_t)u->path[u->i].charged - i;
}

/* Where translated code is, by physical address: one line of the host's to be asked. Computed jumps find code that another
 * address space, or another linear address, has made. */
struct jit_place {
    paddr pa;      /* BLOCK_DEAD: none */
    uint32_t mode; /* of the block */
    uint32_t to;   /* its entry for computed jumps, from the start of code memory */
};

#define JIT_PLACES (1u << 14)

#define JIT_SEEN 1024

/* A block on the way of a vCPU. */
struct step {
    paddr pa;
    int32_t page; /* linear, from the first one's; a multiple of the page's size */
};

/* The blocks that a vCPU entered, one behind the other. */
struct trail {
    const struct vcpu *vcpu;          /* NULL: none is followed */
    uint64_t rip;                     /* of the first */
    uint32_t mode;                    /* of all */
    unsigned count;                   /* of at */
    struct step at[REGION_PARTS + 1]; /* the first again: it is the last */
};

typedef int jit_enter_fn(struct vcpu *vcpu, const uint8_t *code);

struct jit {
    struct jit_config config;
    struct jit_worker *worker; /* owned: who translates; NULL: the guest's thread */
    struct code_memory memory;
    struct jit_stats stats;
    bool host_has[FEATURE_COUNT]; /* by enum feature; what the host cannot do goes to the handler */
    struct jit_place *places;     /* owned: JIT_PLACES, by jit_place_of; of living blocks in one page */
    struct jit_block *blocks;     /* all translated */
    struct jit_block *dead;       /* what they counted is to be added when nothing runs */
    struct chunks tables;         /* of blocks, but for exits */
    struct chunks exits;          /* of blocks */
    unsigned tags;                /* how many of mmu_jumps.link are taken, from JIT_NO_TAG on */
    struct jit_calls calls[OP_COUNT]; /* of blocks that were freed */
    unsigned sabotage;                /* blocks until the one that jit_sabotage spoils; 0: none */
    struct part_copy *copies;         /* owned: for a region that is being made, or NULL */
    struct trail trail;               /* being followed */
    jit_enter_fn *enter;              /* C to translated code */
    /* thunks that translated code jumps to or calls: thunk.c says what each takes */
    const uint8_t *call_plain;  /* call the site's handler; it leaves flags alone */
    const uint8_t *call_flags;  /* the same; it reads or writes them */
    const uint8_t *call_step;   /* the same, of a sensitive instruction: exec_sensitive_step */
    const uint8_t *tail;        /* leave by the site's handler */
    const uint8_t *link;        /* a direct exit that is not linked */
    const uint8_t *over;        /* a direct exit that the budget does not reach */
    const uint8_t *seam_over;   /* the same, of a seam */
    const uint8_t *out;         /* called: either of both, charged */
    const uint8_t *look;        /* called: one to another page, whose tag is not the present one */
    const uint8_t *call;        /* called: a CALL that is not linked: it has done nothing yet */
    const uint8_t *indirect;    /* a computed target */
    const uint8_t *expect;      /* called: a computed target that is not the expected one */
    const uint8_t *back;        /* called: a return that is not linked */
    const uint8_t *gone;        /* a computed jump to a block that died */
    const uint8_t *drop;        /* leave: the block was made for another state of the units */
    const uint8_t *open_window; /* called: the stack window to the page of T0 */
    const uint8_t *bring_mxcsr; /* called: the guest's MXCSR; ZF: it is there */
    const uint8_t *bring_x87;   /* called: the guest's x87 unit, as T0 says; ZF: it is there */
    const uint8_t *give_fp;     /* called: both back to C */
    const uint8_t *plain_flags; /* called: the flags to run.flag_image; all registers are kept */
    uint8_t drops[FP_DROPS];    /* by fp_drops: how often a block was dropped */
    bool narrow[FP_DROPS];      /* the same: for its wide proofs (proof.c), and gets none */
    uint8_t kills[FP_DROPS];    /* the same: how often a region was killed */
    uint32_t seen[JIT_SEEN];    /* where the guest was when it was looked for: physical addresses, the lower half */
    struct unit unit;           /* being translated */
};

/* The most code that a block can need; the same of its late code. */
#define JIT_BLOCK_ROOM (64 * KiB)

/* Of entries of linked exits: a line of the host's instruction cache. */
#define JIT_ENTRY_ALIGN 64

/* In mmu_jumps.link: always empty, for exits that are not linked yet. One that has been made for so many frames stays as it
 * is: each takes a tag. */
#define JIT_NO_TAG 0
#define JIT_EXIT_FRAMES 4

void jit_make_thunks(struct jit *jit, struct emit *e);
void jit_make_fp_thunks(struct jit *jit, struct emit *e);
void jit_make_plain_flags(struct jit *jit, struct emit *e);

/* host.c: the features of the host's processor that its system lets programs use. */
void host_features(bool has[FEATURE_COUNT]);

/* ---- flags.c ---- */

/* Bring them where they are wanted. T0 is used. */
void flags_to_memory(struct unit *u); /* as is cheapest: for C, or another block */
void flags_to_image(struct unit *u);  /* to run.flag_image, where our code changes them */
void flags_to_host(struct unit *u);  /* all of them in the host's flags */
void flags_to_carry(struct unit *u); /* CF, at least */

/* The host's flags are about to be destroyed by code of ours. */
void flags_clobber(struct unit *u);

/* The guest register in host register r is about to change. */
void flags_before_write(struct unit *u, unsigned host);

/* The instruction has set the host's flags: with a recipe or none. */
void flags_produced(struct unit *u, struct recipe r, bool is_logic);

/* For a condition 0..15: the host condition that holds now. */
unsigned flags_condition(struct unit *u, unsigned cc);

/* The instruction's flags to memory as flag_how says them, of parts (state.h). imm if b is H_NONE. The
 * host's flags do not change; T0 is used for guest registers in memory. */
void flags_store(struct unit *u, enum flag_how kind, unsigned size, unsigned a, unsigned b,
                 int32_t imm);
void flags_stored(struct unit *u); /* that was all of them: the host's are no use */

/* They are to be stored like that: somebody may look, but no instruction of the block that has not
 * got them from the host (reads: none at all). */
bool flags_store_is_best(const struct unit *u, bool reads);

void flags_over(struct unit *u);     /* it has written CF and OF to run.flag_o; the rest is in memory */
void flags_in_image(struct unit *u); /* code of ours has written run.flag_image */
void flags_unseen(struct unit *u);   /* nobody will look */

/* Will somebody look who does not get them from the host's flags as this instruction leaves them? */
bool flags_wanted(const struct unit *u);

/* Before anything of the instruction: it may change a guest register in memory. T0 is used. */
void flags_before_insn(struct unit *u);

/* CF before ADC or SBB, which is in the host's flags, to run.flag_c. */
void flags_keep_carry(struct unit *u);

/* Operands to run.flag_a or flag_b, for a recipe. */
void flags_keep_a(struct unit *u, unsigned reg);
void flags_keep_b(struct unit *u, unsigned reg);

void find_needed_flags(struct unit *u);

/* ---- parts.c ---- */

/* The list of instructions. False: the parts are no path. */
bool path_make(struct unit *u);

/* Instruction i begins a part that is not the first: where the budget does not reach, the path is left in front of it. */
static inline bool is_behind_seam(const struct unit *u, unsigned i)
{
    return i > 0 && u->path[i].rec == u->path[i].part->block->rec;
}

/* Between two parts: the ticks of the next one. */
void emit_seam(struct unit *u);

/* Where the path goes on behind its last instruction: from the start of the page. */
int64_t path_target(const struct unit *u);

/* ---- loop.c ---- */

/* Does a transfer to there, from the start of the page, lead to the block's own start? Then it is emitted, of a Jcc if the host's
 * condition holds. */
bool loop_has_edge(const struct unit *u, int64_t target);
void loop_edge(struct unit *u, unsigned cc, int64_t refund);

/* Does a second round of instructions 0 to `edge` gain anything? */
bool loop_is_worth_while(const struct unit *u, unsigned edge);

void loop_begin(struct unit *u); /* the second round */
void loop_end(struct unit *u);   /* to where it has begun */

/* ---- flags_recipe.c ---- */

/* The host's flags, as the recipe says. T0 is used. */
void recipe_cook(struct unit *u);

/* Its CF in the host's flags, or its ZF SF PF; the others are not. T0 is used. */
void recipe_carry(struct unit *u);
void recipe_result(struct unit *u);

/* Late code in which the handler does an instruction whose recipe has parts in memory: they are not
 * there then. Before the handler is called; after it, when flags are in the image. T0 is used. */
void recipe_before_handler(struct unit *u, const struct late *l);
void recipe_after_handler(struct unit *u, const struct late *l);

/* Does the record do what its instruction says? Not if it only raises (CR0.TS, a feature that is
 * not there), or goes to the monitor. */
bool record_is_plain(const struct rec *rec);

/* ---- operands ---- */

/* Small enough that sums of a few do not overflow. */
static inline bool is_near(int64_t disp)
{
    return disp > -INT32_MAX / 4 && disp < INT32_MAX / 4;
}

/* Host register of guest register g between blocks, or H_NONE: it is in memory. In a block:
 * unit.regs. */
extern const uint8_t pinned[16];

struct host_mem mem_gpr(unsigned g);     /* arch.gpr[g]; R13-R15 as long as translated code runs */
struct host_mem mem_vcpu(size_t offset); /* of struct vcpu */
#define RUN(field) mem_vcpu(offsetof(struct vcpu, run.field))
#define ARCH(field) mem_vcpu(offsetof(struct vcpu, arch.field))

/*
 * Below RSP is the red zone (SysV AMD64 ABI, "The Stack Frame"): signals leave 128 bytes alone. The first 40 are for what
 * thunks push. The others have what is wanted often, with displacements of 8 bits, for C does not come here:
 */
static const struct host_mem host_spare = {H_RSP, H_NONE, 0, -64};  /* for one instruction's own use, across a probe */
static const struct host_mem host_target = {H_RSP, H_NONE, 0, -72}; /* a target or value, within one instruction */
static const struct host_mem host_room_4 = {H_RSP, H_NONE, 0, -48}; /* constant: the last offset in a page that has room for 4 bytes */
static const struct host_mem host_room_8 = {H_RSP, H_NONE, 0, -56}; /* the same, 8 bytes */
enum { BELOW_PROOF = -104, BELOW_GPR = -128 }; /* proofs (proof.c), the guest's R13-R15 */

/* The guest register's value in a host register: its own, or scratch. Up to 8 bytes are valid. */
unsigned gpr_in(struct unit *u, unsigned g, unsigned scratch);

/*
 * 32-bit code. RSP has no upper half there (exec_jit_enter), other registers may: what 64-bit mode
 * left in them. Outside long mode no linear address has one, so an operand whose sum as a 64-bit
 * number leaves the first 4 GiB misses, and its handler does it right; those that are expected to,
 * and all in compatibility mode, are computed narrow. Segments that are not flat have to be whole
 * (run.seg_whole), or the handler does it.
 */

/* Probe the virtual TLB for the memory operand; host address in the result, T1 always used, T0 free
 * behind it. Misses go to the record's handler. Destroys the host's flags (which flags_clobber has
 * seen to). */
struct host_mem probe_operand(struct unit *u, unsigned size, bool write);
struct host_mem probe_aligned(struct unit *u, unsigned size, bool write); /* #GP if it is not */
/* As probe_operand; added to the address: 8 bytes at host_spare, modulo 4 GiB in 32-bit code. Asked for first: can that be? */
bool operand_takes_spare(const struct unit *u);
struct host_mem probe_operand_and_spare(struct unit *u, unsigned size, bool write);
struct host_mem probe_stack(struct unit *u, unsigned base, int32_t disp, unsigned size, bool write);

/* dst := src shifted right, with anything in the highest bits. The flags are lost, or not. */
void emit_shifted(const struct jit *jit, struct emit *e, unsigned dst, unsigned src,
                  unsigned count);

/* T0 := the address; T1 is used if there is a rest. */
void emit_address(struct unit *u, const struct address *a);

/* The host's operand, if T1 is to be added to the address; T1 changes. T0 is used in rare shapes. */
struct host_mem host_operand(struct unit *u, const struct address *a);

/* T1 := the entry in the array of the address; a jump if it is another page's, or the page ends in less than so many bytes. T0 is used. */
emit_label emit_look(struct unit *u, const struct address *a, unsigned size, bool write);

/* Late code: the whole probe. */
void probe_late(struct unit *u, const struct mem_access *x, const uint8_t *hit);

/* ---- loan.c ---- */

void loans_begin(struct unit *u);       /* choose, at the start of a block */
void loans_before_insn(struct unit *u); /* one that ends the block finds all as between blocks */
void loans_end(struct unit *u);
void loans_given(struct unit *u); /* as between blocks, without code for it */

/* Code that makes them hold, and that makes all as between blocks. */
void loans_in(struct unit *u);
void loans_taken(struct unit *u); /* they do hold */
void loans_out(struct unit *u);
void flags_follow_loans(struct unit *u); /* behind that: the parts of their recipe are elsewhere */

/* ---- change.c ---- */

/* Registers that the instruction's lowering may use beside its operands; RSP is not told. */
#define ALL_REGISTERS 0xffffu
unsigned hidden_registers(const struct insn *in);

/* The guest register, REG_RIP or REG_NONE changes by *delta; false: nobody knows. */
bool register_change(const struct unit *u, const struct insn *in, unsigned reg, int32_t *delta);

/* ---- stack.c ---- */

/* The access is of a shape for the stack window. Probe it by that. */
bool stack_reaches(const struct mem_access *x);
struct host_mem probe_window(struct unit *u, const struct mem_access *x);

/* What PUSH (disp is -word) or POP (0) accesses, and RSP's change by it: at once, or by the next one. */
struct host_mem run_access(struct unit *u, int32_t disp, bool write);
void run_move(struct unit *u, int32_t change);

/* RSP changes by *delta; false: nobody knows. What calls its handler is not asked. */
bool stack_change(const struct unit *u, const struct insn *in, int32_t *delta);

void stack_forget(struct unit *u);
void stack_after_insn(struct unit *u); /* RSP may have changed */

/* In 32-bit code, how far from ESP the window serves: it never is so near to an end of the first
 * 4 GiB that an address in it could be made by wrapping around. */
enum { STACK_NEAR_32 = 0x2000 };

/* Late code. */
void proof_again(struct unit *u, int32_t low, int32_t high, const uint8_t *hit);
void emit_open_window(struct unit *u, const struct mem_access *x, const uint8_t *hit);

void make_open_window(struct jit *jit, struct emit *e);

/* Does the instruction's memory operand, if it has one, have the address size of the mode and a
 * segment that lowerings know? */
bool operand_is_native(const struct unit *u);

/* Offset of the memory operand in its segment into T0. */
void emit_operand_offset(struct unit *u);

/* Does it read or write status flags, so that its handler must find them? */
bool handler_needs_flags(const struct insn *in);
void call_site(struct unit *u, struct jit_site *site, bool flags);

struct jit_site *site_of(struct unit *u);

/* ---- lowerings: true when done, false when the handler has to ---- */

bool lower_alu(struct unit *u);
bool lower_move(struct unit *u);
bool lower_stack(struct unit *u);
bool lower_shift(struct unit *u);
bool lower_sse(struct unit *u);
bool lower_bit(struct unit *u);
bool lower_avx(struct unit *u);
bool lower_x87(struct unit *u);
bool lower_bmi(struct unit *u);
bool lower_element(struct unit *u);
bool lower_sensitive(struct unit *u);
bool lower_branch(struct unit *u); /* it ended the block's code, if it ends the block */

/* ---- lower_bit.c ---- */

/* After the host's multiplication, its low half in a register: the flags to the image. */
void product_flags(struct unit *u, unsigned size, unsigned low);

/* ROL (digit 0) or ROR (1) of a register by a constant, all flags. */
bool lower_rotate(struct unit *u, unsigned digit, unsigned count);

/* ---- lower_sse.c ---- */

#define XMM_PINNED 14
enum { X_SRC = 14, X_DST = 15 }; /* scratch, and for guest XMM14, XMM15 */

#define X_LOAD (X_0F | 0x10)  /* MOVUPS xmm, xmm/m128 */
#define X_STORE (X_0F | 0x11) /* MOVUPS m128, xmm */

struct host_mem mem_xmm(unsigned g);                           /* arch.ymm of it, 32 bytes */
unsigned xmm_own(unsigned g, unsigned scratch);                /* host register for guest XMM g */
unsigned xmm_in(struct unit *u, unsigned g, unsigned scratch); /* the same, with its value */

/* Can nobody see the flags while it runs? For it neither faults nor calls C that asks. */
bool sse_is_silent(const struct insn *in);

/* The host's registers of the mask again, after C; whole where s says so. */
void sse_reload(struct unit *u, uint16_t xmm, const struct fp_state *s);

void emit_tail(struct unit *u);

/* The path's first instruction once more, which proves nothing, then the exit. */
void translate_first_again(struct unit *u, struct jit_exit *next);

/* ---- exit.c ---- */

/*
 * Where a block begins. A computed jump comes to `computed` with T0 := RIP XOR epoch and no charge
 * made; a linked exit to `entry`, charged, RIP's page in run.jit_page.
 */
void emit_entry(struct unit *u);

/* The block is no more: whoever remembers it as a target is sent to the run loop. */
void entry_kill(const struct jit *jit, const struct jit_block *t);

/* It has other code now. */
void entry_redirect(const struct jit *jit, const struct jit_block *t, const struct jit_block *to);

struct jit_exit *exit_make(struct unit *u, int64_t target, int64_t refund);

/* Call the thunk, which finds x where it would return to: a jit_exit, or what one begins with. */
void to_thunk(struct unit *u, const void *x, const uint8_t *thunk);

/* Has the page of that number of tag been looked up in this epoch, from this one? ZF: yes. T0 is used. */
void compare_tag(struct unit *u, uint32_t tag_at);
void exit_charge(struct unit *u, struct jit_exit *x); /* its ticks; SF: the budget does not reach */

/* Flags are in memory, or exit_stores_flags: then they are stored only where what it is linked to may look at them. Units are
 * settled. */
bool exit_stores_flags(const struct unit *u, const struct jit_exit *x);
void exit_code(struct unit *u, struct jit_exit *x);

/* Where an exit that stores flags goes past them, if it does: NOP [RAX + RAX + disp8] of 16 bits, as long as JNS rel32. */
static const uint8_t exit_no_skip[6] = {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00};
void exit_over(struct unit *u, struct jit_exit *x); /* the same, of a seam; the budget has been charged, and did not reach */
void emit_exit(struct unit *u, int64_t target, int64_t refund);
void emit_call_exit(struct unit *u, int64_t target);

/* T0 is canonical, or the handler does the instruction. T1 is used, and the host's flags. */
void check_canonical(struct unit *u);

/* reg := twice mmu_jump_index of the address in T0; and what stands there. */
void emit_jump_index(struct emit *e, unsigned reg);
struct host_mem jump_tag(unsigned index);
struct host_mem jump_to(unsigned index);

/*
 * A computed target is in T0, flags are in memory, units settled. T1 := its index among the
 * jumps; the label is for its absence. Then, on either way: jump to it; T0 as it was, and leave by
 * the thunk, if it is canonical.
 */
emit_near emit_lookup(struct unit *u);
void emit_jump_found(struct unit *u);
void emit_not_found(struct unit *u, emit_near miss);
void emit_indirect(struct unit *u);

/* ---- expect.c ---- */

/* A computed target is in T0, flags are in memory, units settled. */
void emit_expected_jump(struct unit *u);
void emit_expected_call(struct unit *u);

void expect_nothing(struct jit_exit *x); /* it is not linked any more */
int exec_jit_expect(struct vcpu *vcpu, const struct rec *rec, uint64_t target, struct jit_exit *x);

/* ---- return.c ---- */

/* Of CALL, with flags in memory: its return address is, or will be, at [RSP + disp]. T0 and T1 are
 * used. Nothing if there is no ring. */
void emit_ring_push(struct unit *u, int32_t disp);

/* Of RET, before RSP changes: is the address in T0 in the ring? T0 := that XOR epoch. The label is for no. Then jump there, T1
 * being as the lookup left it. */
emit_label emit_ring_lookup(struct unit *u);
void emit_ring_found(struct unit *u);

void return_set(const struct jit *jit, struct jit_exit *x, const uint8_t *target);
void return_kill(const struct jit *jit, struct jit_exit *x); /* its block is no more: its stub leads to the run loop */

void jit_link_return(struct vcpu *vcpu, uint64_t target, struct jit_exit *x); /* called by a thunk */

/* ---- lower_branch.c ---- */

void push_return_address(struct unit *u);

/* As make_indirect computes it. */
static inline struct jit_place *jit_place_of(const struct jit *jit, paddr pa)
{
    return &jit->places[(pa ^ pa >> PAGE_SHIFT) & (JIT_PLACES - 1)];
}

/* How and why a block is dropped. */
enum { DROP_BEHIND = 1, DROP_WIDE = 2 };

/* ---- jit.c ---- */

static inline struct block *block_of_first(const struct rec *rec)
{
    return container_of(rec, struct block, rec);
}

/* The handler of the first record of a block that has code. */
int exec_jit_enter(struct vcpu *vcpu, const struct rec *rec);

/* Its records get their own handlers back. */
void jit_restore_handlers(struct jit_block *t);

void jit_list(struct jit *jit, struct jit_block *t); /* it is one of jit.blocks */
void jit_bury_dead(struct jit *jit);                 /* nothing runs: what the dead counted is kept */
void jit_flush(struct jit *jit); /* all code goes, its blocks are counted again; none may be running */

/* Dead: not linked, entered no more. Code of it may still be running, so it goes on counting until
 * nothing does. True: region_detach. */
bool jit_retire(struct jit *jit, struct jit_block *t);

/* ---- hot.c ---- */

/* Its records are translated code's from now on. rip: of its first byte now, for a map of the code. */
void jit_install(struct jit *jit, struct block *b, uint64_t rip);

/* All code goes, for there is no room for more. Nothing runs. */
void jit_make_room(struct jit *jit);

/* The block's bytes: where they are, or together in `crossing`, INSN_MAX_LEN bytes. */
const uint8_t *jit_block_bytes(struct physmem *pm, const struct block *b, uint8_t *crossing);

/* From now on, and from nought. Its first record has its own handler. */
void jit_count_entries(struct block *b);

/* ---- link.c ---- */

void exit_attach(struct jit_exit *x, struct jit_block *to); /* x is one of those that lead there */
void exit_unlink(const struct jit *jit, struct jit_exit *x);
void exits_lead_to(const struct jit *jit, struct jit_block *from, struct jit_block *to); /* those that led to `from`, another */
bool place_has(const struct jit *jit, const struct block *b);
void place_set(const struct jit *jit, const struct block *b);    /* computed jumps find it */
void place_forget(const struct jit *jit, const struct block *b); /* computed jumps find it no more */

/*
 * Called by thunks, in C. jit_step: the sensitive instruction of the site. Translated code to go on with, JIT_STEP_NEXT: behind the
 * call; or NULL: leave with aside.jit_status, an exec_status. jit_entry_of: where C enters the code of a translated block, at
 * run.insn_base.
 */
#define JIT_STEP_NEXT ((const uint8_t *)(uintptr_t)1)
void jit_flags_from_memory(struct vcpu *vcpu);
void jit_flags_to_memory(struct vcpu *vcpu);
const uint8_t *jit_step(struct vcpu *vcpu, struct jit_site *site);
const uint8_t *jit_entry_of(struct vcpu *vcpu, const struct block *b);
int exec_jit_drop(struct vcpu *vcpu, const struct rec *rec, unsigned how);
int exec_jit_tail(struct vcpu *vcpu, const struct rec *rec, exec_fn *fn);
int exec_jit_link(struct vcpu *vcpu, const struct rec *rec, struct jit_exit *exit);
int exec_jit_call(struct vcpu *vcpu, const struct rec *rec, struct jit_exit *exit);
int exec_jit_indirect(struct vcpu *vcpu, const struct rec *rec, uint64_t target);

/* The path becomes code, which nobody runs yet. NULL: there is no room for it, or it has several parts that are no path (parts.c). */
struct jit_block *jit_translate(struct jit *jit, const struct jit_source *from);
