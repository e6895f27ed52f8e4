/* SPDX-License-Identifier: MIT */
/* PUSH PUSH .. and POP POP .. RET: one look into the virtual TLB for all of them. None moves rSP.
 */
#include "cpu/interp/branch.h"
#include "cpu/interp/fuse.h"
#include "cpu/interp/stack.h"

#define LONGEST 7 /* of a run; of pops with RET behind them, pops */

ALWAYS_INLINE int push_run(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                           unsigned width, unsigned n)
{
    unsigned size = width / 8;
    uint64_t sp = sp_wrap(vcpu, stack, vcpu->arch.gpr[REG_RSP] - n * size);
    struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.write, sp, n * size);
    if (unlikely(!at.ok))
        FUSE_OWN(vcpu, rec);
    for (unsigned i = 0; i < n; i++)
        host_store(at.host + (n - 1 - i) * size, size, reg_get(vcpu, rec[i].src));
    sp_set(vcpu, stack, sp);
    CHAIN_TO(vcpu, rec + n);
}

ALWAYS_INLINE void load_registers(struct vcpu *vcpu, const struct rec *rec, const uint8_t *from,
                                  unsigned width, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        reg_write(vcpu, width, rec[i].dst, host_load(from + i * (width / 8), width / 8));
}

ALWAYS_INLINE int pop_run(struct vcpu *vcpu, const struct rec *rec, enum stack_shape stack,
                          unsigned width, unsigned n)
{
    uint64_t sp = sp_get(vcpu, stack);
    struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, sp, n * width / 8);
    if (unlikely(!at.ok))
        FUSE_OWN(vcpu, rec);
    load_registers(vcpu, rec, at.host, width, n);
    sp_set(vcpu, stack, sp + n * width / 8);
    CHAIN_TO(vcpu, rec + n);
}

/* n pops and a return, 64-bit. */
ALWAYS_INLINE int pop_return(struct vcpu *vcpu, const struct rec *rec, unsigned n)
{
    uint64_t sp = sp_get(vcpu, STACK_FAST_64);
    struct hit at = vtlb_hit(vcpu, vcpu->run.mmu.view.read, sp, (n + 1) * 8);
    if (unlikely(!at.ok))
        FUSE_OWN(vcpu, rec);
    uint64_t target = host_load(at.host + n * 8, 8);
    if (unlikely(!is_canonical(target)))
        FUSE_OWN(vcpu, rec);
    load_registers(vcpu, rec, at.host, 64, n);
    sp_set(vcpu, STACK_FAST_64, sp + (n + 1) * 8);
    return exec_goto(vcpu, rec + n, target);
}

/* clang-format off */
#define RUNS(N)                                                                            \
    EXEC(push64_##N) { return push_run(vcpu, rec, STACK_FAST_64, 64, N); }                 \
    EXEC(push32_##N) { return push_run(vcpu, rec, STACK_FAST_32, 32, N); }                 \
    EXEC(pop64_##N) { return pop_run(vcpu, rec, STACK_FAST_64, 64, N); }                   \
    EXEC(pop32_##N) { return pop_run(vcpu, rec, STACK_FAST_32, 32, N); }
#define RETURNS(N) EXEC(pop_ret_##N) { return pop_return(vcpu, rec, N); }

RUNS(2) RUNS(3) RUNS(4) RUNS(5) RUNS(6) RUNS(7)
RETURNS(1) RETURNS(2) RETURNS(3) RETURNS(4) RETURNS(5) RETURNS(6) RETURNS(7)

#define ROW(name) {NULL, NULL, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7}
/* By number of records. */
static exec_fn *const push32[] = ROW(exec_push32), *const push64[] = ROW(exec_push64),
                *const pop32[] = ROW(exec_pop32), *const pop64[] = ROW(exec_pop64);
/* By number of pops. */
static exec_fn *const pop_ret[] = {NULL, exec_pop_ret_1, exec_pop_ret_2, exec_pop_ret_3, exec_pop_ret_4, exec_pop_ret_5,
                                   exec_pop_ret_6, exec_pop_ret_7};
/* clang-format on */
static_assert(ARRAY_SIZE(push64) == LONGEST + 1 && ARRAY_SIZE(pop_ret) == LONGEST + 1,
              "a handler for every length");

exec_fn *fuse_stack(const struct fuse_key *keys, unsigned left)
{
    unsigned row = keys[0].row, n = 1;
    if (row != FUSE_PUSH && row != FUSE_POP)
        return NULL;
    while (n < left && n < LONGEST && keys[n].row == row)
        n++;
    if (row == FUSE_PUSH)
        return keys[0].width == WIDTH_64 ? push64[n] : push32[n];
    if (keys[0].width == WIDTH_32)
        return pop32[n];
    return n < left && keys[n].row == FUSE_RET ? pop_ret[n] : pop64[n];
}
