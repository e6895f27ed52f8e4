/* SPDX-License-Identifier: MIT */
/*
 * What Dhrystone measured: statements of systems programs as they were counted in the
 * eighties.  Assignments, records behind pointers, small functions, strings of thirty
 * letters, enumerations, two-dimensional arrays.  A program of our own, not the old one.
 */
#include "work.h"

enum colour { RED, GREEN, BLUE, WHITE, BLACK };

struct record {
    struct record *next;        /* a list of two */
    enum colour colour;
    int number;
    char text[32];
    short table[8];
};

static int global_number;
static char global_letter;
static int lines[40], sheet[40][40];

static __attribute__((noinline)) int compare_texts(const char *a, const char *b)
{
    int i = 2;

    while (i < 3 && a[i] == b[i])
        i++;
    if (strcmp(a, b) > 0)
        return i + 7;
    global_number++;
    return i;
}

static __attribute__((noinline)) enum colour next_colour(enum colour c, int limit)
{
    switch (c) {
    case RED: return limit > 100 ? WHITE : GREEN;
    case GREEN: return limit & 1 ? BLUE : BLACK;
    case BLUE: return WHITE;
    case WHITE: return RED;
    default: return GREEN;
    }
}

static __attribute__((noinline)) void fill_tables(int *line, int (*grid)[40], int at, int value)
{
    int i = at + 5;

    line[i] = value;
    line[i + 1] = line[i];
    line[i + 30 - at] = i;
    for (int k = i; k <= i + 1; k++)
        grid[i][k] = i + value;
    grid[i][i - 1]++;
    grid[i + 20 - at][i] = line[i];
    global_number = 5;
}

static __attribute__((noinline)) void copy_record(struct record *from)
{
    struct record *to = from->next;

    *to = *from;
    to->next = from;
    to->number = from->number + 3;
    to->colour = next_colour(from->colour, to->number);
    if (to->colour == BLACK)
        from->number = global_number % 97;
    from->table[to->number & 7]++;
}

static __attribute__((noinline)) int letters(char a, char b)
{
    char c = a;

    if (c != b)
        return 0;
    global_letter = c;
    return 1;
}

static unsigned once(int r, struct record *a)
{
    char text[32];
    int x = 2, y = 3, z = 0;

    memcpy(text, "THE QUICK BROWN FOX, 2'ND TURN", 31);
    a->colour = (enum colour)(r % 5);
    unsigned sum = (unsigned)compare_texts(a->text, text);
    while (x < y) {
        z = 5 * x - y;
        z += x / (y + r % 3);
        x++;
    }
    fill_tables(lines, sheet, x, z + r);
    copy_record(a);
    for (char c = 'A'; c <= global_letter; c++)
        if (letters(c, 'C'))
            a->next->table[1] = (short)r;
    y = y * x;
    x = y / (z | 1);
    y = 7 * (y - z) - x;
    return sum + (unsigned)(x + y + a->next->number + lines[7] + sheet[8][8]);
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 4500000);
    static struct record a, b;
    unsigned sum = 0;

    a.next = &b;
    strcpy(a.text, "THE QUICK BROWN FOX, 1'ST TURN");
    global_letter = 'C';
    for (unsigned long r = 0; r < n; r++)
        sum = sum * 3 + once((int)(r & 0xffff), &a);
    printf("dhrystone: %lu %08x %d\n", n, sum, a.number + b.table[1]);
    return 0;
}
