/* SPDX-License-Identifier: MIT */
/* COM1, counted checks, the way out, and the memory functions that a compiler may call. */
#include "roms/lib/guest.h"

#include "roms/lib/traps.h"

enum {
    COM1 = 0x3F8,
    COM_LCR = 3,
    COM_LSR = 5,
    LCR_DLAB = 0x80,
    LCR_8N1 = 3,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40
};

static unsigned passed, failed;

void print_char(char c)
{
    if (c == '\n')
        print_char('\r');
    while (!(in8(COM1 + COM_LSR) & LSR_THRE))
        pause();
    out8(COM1, (uint8_t)c);
}

void print_flush(void)
{
    while (!(in8(COM1 + COM_LSR) & LSR_TEMT))
        pause();
}

static void serial_init(void)
{
    out8(COM1 + 1, 0); /* no interrupts */
    out8(COM1 + COM_LCR, LCR_DLAB | LCR_8N1);
    out8(COM1, 1); /* 115200 baud */
    out8(COM1 + 1, 0);
    out8(COM1 + COM_LCR, LCR_8N1);
    out8(COM1 + 2, 1); /* FIFOs */
}

/* *v := *v / base; the remainder. DIV by halves: 32-bit code has no 64-bit division of its own. */
static unsigned divide(uint64_t *v, uint32_t base)
{
    uint32_t hi = (uint32_t)(*v >> 32), lo = (uint32_t)*v, q_hi = hi / base, rem = hi % base;
    __asm__("divl %4" : "=a"(lo), "=d"(rem) : "a"(lo), "d"(rem), "r"(base));
    *v = (uint64_t)q_hi << 32 | lo;
    return rem;
}

/* How one conversion is to look. */
struct spec {
    unsigned width; /* least number of characters */
    char pad;       /* ' ' or '0' */
    bool is_left;   /* pad on the right */
};

static void put_padded(const char *s, size_t n, const struct spec *spec)
{
    size_t pad = spec->width > n ? spec->width - n : 0;
    for (size_t i = 0; i < pad && !spec->is_left; i++)
        print_char(spec->pad);
    for (size_t i = 0; i < n; i++)
        print_char(s[i]);
    for (size_t i = 0; i < pad && spec->is_left; i++)
        print_char(' ');
}

static void put_number(uint64_t v, unsigned base, bool is_negative, const struct spec *spec)
{
    char text[24];
    size_t at = sizeof(text);
    do
        text[--at] = "0123456789abcdef"[divide(&v, base)];
    while (v);
    if (is_negative)
        text[--at] = '-';
    put_padded(text + at, sizeof(text) - at, spec);
}

static const char *parse_spec(const char *f, struct spec *spec)
{
    *spec = (struct spec){.pad = ' '};
    if (*f == '-') {
        spec->is_left = true;
        f++;
    }
    if (*f == '0')
        spec->pad = '0';
    while (*f >= '0' && *f <= '9')
        spec->width = spec->width * 10 + (unsigned)(*f++ - '0');
    return f;
}

/* One conversion; the arguments behind it move on. Where the format goes on. */
static const char *put_conversion(const char *f, va_list *args)
{
    struct spec spec;
    unsigned longs = 0;
    int64_t d;
    uint64_t u;
    const char *s;
    char c;
    f = parse_spec(f, &spec);
    for (; *f == 'l' || *f == 'z'; f++)
        longs++;
    switch (*f) {
    case 's':
        s = va_arg(*args, const char *);
        put_padded(s, strlen(s), &spec);
        break;
    case 'c':
        c = (char)va_arg(*args, int);
        put_padded(&c, 1, &spec);
        break;
    case 'd':
        d = longs > 1 ? va_arg(*args, long long) : longs ? va_arg(*args, long) : va_arg(*args, int);
        put_number(d < 0 ? 0 - (uint64_t)d : (uint64_t)d, 10, d < 0, &spec);
        break;
    case 'p':
        longs = 1;
        /* fall through */
    case 'u':
    case 'x':
        u = longs > 1 ? va_arg(*args, unsigned long long)
            : longs   ? va_arg(*args, unsigned long)
                      : va_arg(*args, unsigned);
        put_number(u, *f == 'u' ? 10 : 16, false, &spec);
        break;
    default:
        print_char(*f);
    }
    return f + 1;
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    while (*format)
        if (*format == '%')
            format = put_conversion(format + 1, &args);
        else
            print_char(*format++);
    va_end(args);
}

bool check(const char *name, bool is_true)
{
    if (is_true)
        passed++;
    else
        failed++;
    print("%s %s\n", is_true ? "ok  " : "FAIL", name);
    return is_true;
}

bool check_equal(const char *name, uint64_t want, uint64_t got)
{
    bool is_equal = check(name, want == got);
    if (!is_equal)
        print("     want %llx, got %llx\n", (unsigned long long)want, (unsigned long long)got);
    return is_equal;
}

void skip(const char *name, const char *reason)
{
    print("skip %s: %s\n", name, reason);
}

int checks_result(void)
{
    print("%u checks, %u failed\n", passed + failed, failed);
    return failed || !passed;
}

void guest_exit(int code)
{
    print_flush();
    out32(GUEST_EXIT_PORT, (uint32_t)code);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void guest_start(void)
{
    serial_init();
    traps_init();
    guest_exit(main());
}

void *memcpy(void *to, const void *from, size_t n)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    return start;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    if ((reg_t)d <= (reg_t)s)
        return memcpy(to, from, n);
    while (n--)
        d[n] = s[n];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;
    for (size_t i = 0; i < n; i++)
        if (p[i] != q[i])
            return p[i] < q[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}
