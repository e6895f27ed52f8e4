/* SPDX-License-Identifier: MIT */
/* Any bytes, any mode: the decoder ends, reads no further than the bytes it says it needs and never
 * beyond 15, its answer is in range, and Capstone says the same or differs for a reason that
 * tests/oracle/capstone.c names. The first byte chooses the mode; the rest is decoded instruction
 * after instruction, as a block builder would. */
#include "decoder/insn.h"

#include <stdlib.h>
#include <string.h>

#include "tests/oracle/capstone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_insn(const struct insn *in)
{
    require(in->op != OP_INVALID && in->op < OP_COUNT);
    require(insn_row(in->row) != NULL && insn_row(in->row)->op == in->op);
    require(in->operand_count <= 4);
    require(in->base <= REG_RIP && in->index <= REG_NONE && in->scale <= 3 && in->seg <= SEG_GS);
    require(in->vex_v < 16 && in->vex_l <= 1 && (in->has_vex || in->vsib == 0));
    require((insn_flags_tested(in) & ~insn_row(in->row)->tested) == 0);
    for (unsigned i = 0; i < in->operand_count; i++)
        require(in->operands[i].kind != OPND_NONE && in->operands[i].reg < 16);
}

/* In a block of exactly n bytes, so that the sanitizer sees one byte too many. */
static enum decode_result decode_exactly(const struct decoder *d, enum decode_mode mode,
                                         const uint8_t *bytes, size_t n, struct insn *in)
{
    uint8_t *copy = malloc(n);
    require(copy != NULL);
    memcpy(copy, bytes, n);
    enum decode_result result = decoder_decode(d, mode, copy, n, in);
    free(copy);
    return result;
}

/* The instruction needs exactly the bytes that are its own: with them the answer is the same, with
 * one less it is that more are wanted. */
static void check_length(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes,
                         enum decode_result result, const struct insn *in)
{
    struct insn part;
    size_t len = result == DECODE_TOO_LONG ? INSN_MAX_LEN : in->len;
    require(len >= 1 && len <= INSN_MAX_LEN);
    require(decode_exactly(d, mode, bytes, len, &part) == result);
    require(result == DECODE_TOO_LONG || memcmp(in, &part, sizeof part) == 0);
    if (len > 1)
        require(decode_exactly(d, mode, bytes, len - 1, &part) == DECODE_TRUNCATED);
}

/* Zeros follow the input: Capstone is asked about 15 bytes. */
static void check_capstone(struct oracle *o, enum decode_mode mode, const uint8_t *bytes, size_t n)
{
    uint8_t padded[INSN_MAX_LEN] = {0};
    memcpy(padded, bytes, n < sizeof padded ? n : sizeof padded);
    if (oracle_compare(o, mode, padded) == ORACLE_DIFFERS) {
        oracle_print(o, mode, padded);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoder *d; /* read-only once made; making one per input would be all the work */
    static struct oracle *o;  /* the same */
    struct insn in;
    if (d == NULL) {
        d = decoder_create();
        o = oracle_create(d);
    }
    if (size == 0)
        return 0;
    enum decode_mode mode = (enum decode_mode)(data[0] % 3);
    for (size_t at = 1; at < size;) {
        enum decode_result result = decode_exactly(d, mode, data + at, size - at, &in);
        check_capstone(o, mode, data + at, size - at);
        if (result == DECODE_TRUNCATED) {
            require(size - at < INSN_MAX_LEN);
            break;
        }
        check_length(d, mode, data + at, result, &in);
        if (result == DECODE_OK)
            check_insn(&in);
        at += result == DECODE_TOO_LONG ? 1 : in.len;
    }
    return 0;
}
