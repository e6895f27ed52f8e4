/* SPDX-License-Identifier: MIT */
/* Indirect jumps and calls: objects with methods, a threaded interpreter, tables of functions. */
#include "work.h"

struct shape {
    uint32_t (*area)(const struct shape *self, uint32_t k);
    uint32_t w, h;
};

static uint32_t square(const struct shape *self, uint32_t k)
{
    return self->w * self->w + k;
}

static uint32_t oblong(const struct shape *self, uint32_t k)
{
    return self->w * self->h ^ k;
}

static uint32_t half(const struct shape *self, uint32_t k)
{
    return (self->w * self->h >> 1) + k;
}

static uint32_t frame(const struct shape *self, uint32_t k)
{
    return 2 * (self->w + self->h) - k;
}

static uint32_t areas(const struct shape *shapes, size_t n, uint32_t acc)
{
    for (size_t i = 0; i < n; i++)
        acc = shapes[i].area(&shapes[i], acc);
    return acc;
}

/* Each operation jumps to the next by itself. */
static uint32_t threaded(const unsigned char *code, uint32_t acc)
{
    static const void *const at[] = { &&add, &&mul, &&xor, &&shift, &&neg, &&swap, &&back, &&end };
    uint32_t other = 1;
    unsigned turns = 0;

#define GO goto *at[*code++]
    GO;
add:
    acc += other;
    GO;
mul:
    acc *= 2654435761u;
    GO;
xor:
    acc ^= other >> 3;
    GO;
shift:
    acc = acc << 7 | acc >> 25;
    GO;
neg:
    other = ~other;
    GO;
swap:
    other += acc;
    GO;
back:
    code -= turns++ < 40 ? *code : 0;
    code++;
    GO;
end:
    return acc ^ other;
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 3600);
    static uint32_t (*const methods[])(const struct shape *, uint32_t) = { square, oblong, half, frame };
    static struct shape shapes[4096];
    static unsigned char code[2001];
    uint32_t s = 31, acc = 0;

    for (size_t i = 0; i < 4096; i++) {
        uint32_t x = next_random(&s);
        shapes[i] = (struct shape){ methods[i & 512 ? x & 3 : i & 3], x >> 8 & 255, x >> 16 & 255 };
    }
    for (size_t i = 0; i + 1 < sizeof code; i++)
        code[i] = (unsigned char)(next_random(&s) % 6);
    for (size_t i = 300; i + 2 < sizeof code; i += 400) {
        code[i] = 6;
        code[i + 1] = 200;
    }
    code[sizeof code - 1] = 7;
    for (unsigned long r = 0; r < n; r++) {
        acc = areas(shapes, 4096, acc);
        acc = threaded(code, acc);
    }
    printf("indirect: %lu %08x\n", n, acc);
    return 0;
}
