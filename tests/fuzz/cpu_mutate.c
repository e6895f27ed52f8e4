/* SPDX-License-Identifier: MIT */
/*
 * Mutations for cpu_fuzz: instructions made from the rows of insn.def stand beside what libFuzzer
 * does to bytes by itself. Random bytes seldom are a VEX instruction, and hardly ever two in a row.
 * An input stays plain bytes; nothing here is needed to run one.
 */
#include <string.h>

#include "tests/fuzz/cpu_guest.h"
#include "tests/vectors/generate.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static struct generator generator; /* its decoder is made once: it is read-only */

static unsigned pick(unsigned n)
{
    return (unsigned)(vector_random(&generator.seed) >> 20) % n;
}

/* A branch that stays in sight, a selector or address that means something. */
static void tame(struct vector *v, const struct insn *in)
{
    unsigned last = in->operand_count ? in->operands[0].kind : (unsigned)OPND_NONE;
    unsigned size = in->opcode >= 0x80 || in->opsize == 2 ? 2 : 4;
    if (last == OPND_REL && v->len >= 5 && pick(8))
        memset(v->bytes + v->len - size, pick(2) ? 0 : 0xff, size),
            v->bytes[v->len - 4] = (uint8_t)pick(256);
    if (last == OPND_FAR && pick(8)) {
        v->bytes[v->len - 1] = 0;
        v->bytes[v->len - 2] = (uint8_t)pick(256);
    }
}

/* An instruction of any row that the mode has; its length, 0: none was found. */
static unsigned make_instruction(enum decode_mode mode, uint8_t bytes[INSN_MAX_LEN])
{
    static struct vector v;
    struct insn in;
    v.mode = mode;
    v.segmented = mode != DECODE_64;
    for (unsigned tries = 0; tries < 16; tries++) {
        if (!generate_bytes(&generator, pick(INSN_ROWS), &v, &in))
            continue;
        tame(&v, &in);
        memcpy(bytes, v.bytes, v.len);
        return v.len;
    }
    return 0;
}

/* Where some instruction of the code begins. */
static size_t some_boundary(enum decode_mode mode, const uint8_t *code, size_t size)
{
    size_t at = 0;
    struct insn in;
    for (unsigned n = pick(40); n > 0 && at < size; n--) {
        bool is_one =
            decoder_decode(generator.decoder, mode, code + at, size - at, &in) == DECODE_OK;
        at += is_one ? in.len : 1;
    }
    return at < size ? at : size;
}

/* Put one in, or over what is there. */
static size_t put_instruction(uint8_t *data, size_t size, size_t max_size)
{
    struct guest_input in;
    guest_input(&in, data, size);
    enum decode_mode mode = guest_decode_mode(guest_mode(&in));
    uint8_t bytes[INSN_MAX_LEN];
    unsigned len = make_instruction(mode, bytes);
    size_t at = GUEST_HEADER + some_boundary(mode, data + GUEST_HEADER, size - GUEST_HEADER);
    if (pick(2) && size + len <= max_size) {
        memmove(data + at + len, data + at, size - at);
        size += len;
    }
    if (at + len > max_size)
        return size;
    memcpy(data + at, bytes, len);
    return at + len > size ? at + len : size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (!generator.decoder)
        generator.decoder = decoder_create();
    generator.seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    generator.is_wild = true;
    unsigned what = pick(8);
    if (what < 3 || size < GUEST_HEADER || max_size <= GUEST_HEADER + INSN_MAX_LEN)
        return LLVMFuzzerMutate(data, size, max_size);
    if (what == 3) /* the state only */
        return LLVMFuzzerMutate(data, GUEST_HEADER, GUEST_HEADER) == GUEST_HEADER ? size
                                                                                  : GUEST_HEADER;
    for (unsigned n = 1 + pick(4); n > 0; n--)
        size = put_instruction(data, size, max_size);
    return size;
}
