/* SPDX-License-Identifier: MIT */
/*
 * The kinds of kernel that nbench has, in a program of our own: bit fields, a block
 * cipher, Huffman codes, assignment of tasks, Fourier coefficients, a neural net, and LU
 * decomposition.
 */
#include "work.h"
#include <math.h>

static uint64_t result;

static void note(uint64_t x)
{
    result = (result ^ x) * 0x9e3779b97f4a7c15u;
}

/* ---- runs of bits in a map ---- */

static void bit_fields(unsigned rounds)
{
    static uint32_t map[4096];
    uint32_t s = 17;

    for (unsigned r = 0; r < rounds; r++) {
        uint32_t at = next_random(&s) % (4096 * 32 - 300), len = next_random(&s) % 300;
        for (uint32_t i = at; i < at + len; i++) {
            uint32_t bit = 1u << (i & 31);
            if (r % 3 == 0)
                map[i >> 5] |= bit;
            else if (r % 3 == 1)
                map[i >> 5] &= ~bit;
            else
                map[i >> 5] ^= bit;
        }
    }
    for (int i = 0; i < 4096; i++)
        note(map[i]);
}

/* ---- a cipher over the group modulo 65537 ---- */

static uint16_t product(uint16_t a, uint16_t b)
{
    if (!a)
        return (uint16_t)(1 - b);
    if (!b)
        return (uint16_t)(1 - a);
    uint32_t p = (uint32_t)a * b;
    uint16_t low = (uint16_t)p, high = (uint16_t)(p >> 16);
    return (uint16_t)(low - high + (low < high));
}

static void cipher(unsigned blocks)
{
    uint16_t key[48], x[4] = { 1, 2, 3, 4 };

    for (int i = 0; i < 48; i++)
        key[i] = (uint16_t)(i * 40503u + 77);
    for (unsigned n = 0; n < blocks; n++)
        for (const uint16_t *k = key; k < key + 48; k += 6) {
            uint16_t a = product(x[0], k[0]), b = (uint16_t)(x[1] + k[1]), c = (uint16_t)(x[2] + k[2]),
                     d = product(x[3], k[3]), e = product(a ^ c, k[4]), f = product((uint16_t)(e + (b ^ d)), k[5]);
            x[0] = a ^ f;
            x[1] = c ^ f;
            x[2] = (uint16_t)(b ^ (e + f));
            x[3] = (uint16_t)(d ^ (e + f));
        }
    note((uint64_t)x[0] << 48 | (uint64_t)x[1] << 32 | (uint64_t)x[2] << 16 | x[3]);
}

/* ---- Huffman codes ---- */

struct huffman {
    uint32_t weight[511];
    int16_t parent[511], child[511][2];     /* -1: none */
    int root;
};

static int lightest(const struct huffman *h, int n)
{
    int best = -1;

    for (int i = 0; i < n; i++)
        if (h->parent[i] < 0 && h->weight[i] && (best < 0 || h->weight[i] < h->weight[best]))
            best = i;
    return best;
}

static void plant(struct huffman *h, const uint8_t *text, size_t len)
{
    int n = 256;

    memset(h->weight, 0, sizeof h->weight);
    memset(h->parent, -1, sizeof h->parent);
    memset(h->child, -1, sizeof h->child);
    for (size_t i = 0; i < len; i++)
        h->weight[text[i]]++;
    for (;; n++) {
        int a = lightest(h, n);
        h->root = a;
        h->parent[a] = (int16_t)n;
        int b = lightest(h, n);
        if (b < 0)
            break;
        h->parent[b] = (int16_t)n;
        h->child[n][0] = (int16_t)a;
        h->child[n][1] = (int16_t)b;
        h->weight[n] = h->weight[a] + h->weight[b];
    }
    h->parent[h->root] = -1;
}

static void huffman(unsigned rounds)
{
    static uint8_t text[4000], bits[16000];
    static struct huffman h;
    uint32_t s = 3;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)("eetaoinshrdlucmf"[next_random(&s) & 15] + (next_random(&s) & 7 ? 0 : s & 63));
    for (unsigned r = 0; r < rounds; r++) {
        size_t n = 0, bad = 0;
        text[r % sizeof text]++;
        plant(&h, text, sizeof text);
        for (size_t i = 0; i < sizeof text; i++) {
            uint8_t path[64];
            int depth = 0;
            for (int at = text[i]; at != h.root; at = h.parent[at])
                path[depth++] = h.child[h.parent[at]][1] == at;
            for (; depth > 0 && n < sizeof bits * 8; n++) {
                uint8_t bit = (uint8_t)(1 << (n & 7));
                bits[n >> 3] = path[--depth] ? bits[n >> 3] | bit : bits[n >> 3] & (uint8_t)~bit;
            }
        }
        size_t at = 0;
        for (size_t i = 0; i < sizeof text; i++) {
            int node = h.root;
            for (; h.child[node][0] >= 0; at++)
                node = h.child[node][bits[at >> 3] >> (at & 7) & 1];
            bad += node != text[i];
        }
        note(n * 1000 + bad);
    }
}

/* ---- assignment: each task to another worker, at the least cost (auction) ---- */

enum { TASKS = 48 };

static void assignment(unsigned rounds)
{
    static int cost[TASKS][TASKS], price[TASKS], owner[TASKS], task_of[TASKS];
    uint32_t s = 23;

    for (unsigned r = 0; r < rounds; r++) {
        for (int i = 0; i < TASKS * TASKS; i++)
            cost[i / TASKS][i % TASKS] = (int)(next_random(&s) % 500);
        memset(price, 0, sizeof price);
        memset(owner, -1, sizeof owner);
        memset(task_of, -1, sizeof task_of);
        for (int left = TASKS; left > 0;)
            for (int i = 0; i < TASKS; i++) {
                int best = 0, best_value = -1000000, second = -1000000;
                if (task_of[i] >= 0)
                    continue;
                for (int k = 0; k < TASKS; k++) {
                    int value = -cost[i][k] - price[k];
                    if (value > best_value) {
                        second = best_value;
                        best_value = value;
                        best = k;
                    } else if (value > second) {
                        second = value;
                    }
                }
                price[best] += best_value - second + 3;
                if (owner[best] >= 0)
                    task_of[owner[best]] = -1;
                else
                    left--;
                owner[best] = i;
                task_of[i] = best;
            }
        int total = 0;
        for (int i = 0; i < TASKS; i++)
            total += cost[i][task_of[i]];
        note((uint64_t)total);
    }
}

/* ---- floating point: rounded before it is noted, so that the last bits do not matter ---- */

static void note_real(double x)
{
    note((uint64_t)llround(x * 1e6));
}

static void fourier(unsigned terms)
{
    double sum = 0;

    for (unsigned n = 1; n <= terms; n++) {
        double a = 0;
        for (int i = 0; i < 60; i++) {
            double x = (i + 0.5) / 30;
            a += pow(x + 1, x) * cos(3.14159265358979 * n * x) / 60;
        }
        sum += fabs(a);
    }
    note_real(sum);
}

static void neural(unsigned rounds)
{
    static double in[35], hidden[8], out[8], w1[8][35], w2[8][8];
    uint32_t s = 99;
    double error = 0;

    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 35; k++)
            w1[i][k] = next_random(&s) % 1000 / 1000.0 - 0.5;
        for (int k = 0; k < 8; k++)
            w2[i][k] = next_random(&s) % 1000 / 1000.0 - 0.5;
    }
    for (unsigned r = 0; r < rounds; r++) {
        double d2[8];
        for (int k = 0; k < 35; k++)
            in[k] = (r * 7 + (unsigned)k * 5) % 11 < 5;
        for (int i = 0; i < 8; i++) {
            double x = 0;
            for (int k = 0; k < 35; k++)
                x += w1[i][k] * in[k];
            hidden[i] = 1 / (1 + exp(-x));
        }
        error = 0;
        for (int i = 0; i < 8; i++) {
            double x = 0, want = r >> i & 1;
            for (int k = 0; k < 8; k++)
                x += w2[i][k] * hidden[k];
            out[i] = 1 / (1 + exp(-x));
            d2[i] = (want - out[i]) * out[i] * (1 - out[i]);
            error += fabs(want - out[i]);
        }
        for (int i = 0; i < 8; i++) {
            double back = 0;
            for (int k = 0; k < 8; k++) {
                back += d2[k] * w2[k][i];
                w2[k][i] += 0.2 * d2[k] * hidden[i];
            }
            back *= hidden[i] * (1 - hidden[i]);
            for (int k = 0; k < 35; k++)
                w1[i][k] += 0.2 * back * in[k];
        }
    }
    note_real(error);
}

enum { ORDER = 60 };

static void lu(unsigned rounds)
{
    static double m[ORDER][ORDER];
    uint32_t s = 1;

    for (unsigned r = 0; r < rounds; r++) {
        double det = 0;
        for (int i = 0; i < ORDER * ORDER; i++)
            m[i / ORDER][i % ORDER] = next_random(&s) % 2001 / 1000.0 - 1;
        for (int i = 0; i < ORDER; i++)
            m[i][i] += ORDER;
        for (int c = 0; c < ORDER; c++) {
            for (int i = c + 1; i < ORDER; i++) {
                double f = m[i][c] / m[c][c];
                for (int k = c + 1; k < ORDER; k++)
                    m[i][k] -= f * m[c][k];
            }
            det += log(m[c][c]);
        }
        note_real(det);
    }
}

int main(int argc, char **argv)
{
    unsigned n = (unsigned)amount(argc, argv, 40);

    bit_fields(n * 2500);
    cipher(n * 4000);
    huffman(n * 2);
    assignment(n * 4);
    fourier(n * 12);
    neural(n * 250);
    lu(n * 4);
    printf("nbench: %u %016llx\n", n, (unsigned long long)result);
    return 0;
}
