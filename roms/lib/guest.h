/* SPDX-License-Identifier: MIT */
/*
 * What every guest in roms/ stands on: text on COM1, checks that are counted, and the way out. A
 * guest is one main(); it runs at CPL 0 with interrupts off, in 32-bit flat protected mode without
 * paging or in 64-bit mode with the first 4 GiB mapped one to one (2 MiB pages, writable, user).
 * There is one stack per CPU, no heap, and no C library; the variables of lib/ are those of a
 * machine nobody else uses.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "roms/lib/x86.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define IS_64 (sizeof(reg_t) == 8)

enum { GUEST_EXIT_PORT = 0xF4, GUEST_PAGE = 4096 };

/* The guest's own code, after the runtime is up; what it returns becomes the exit code. */
int main(void);

/* %s %c %d %u %x %p, with l, ll, z, width, '-' and '0'. To COM1, polled; a newline is sent as CR
 * LF. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_char(char c);
void print_flush(void); /* wait until the last character is on the line */

/* Count a check and say "ok NAME" or "FAIL NAME". The result is `is_true`. */
bool check(const char *name, bool is_true);
/* The same; a failure also prints both values. */
bool check_equal(const char *name, uint64_t want, uint64_t got);
/* A check that this machine cannot make: says so, counts nothing. */
void skip(const char *name, const char *reason);

/* 0 if every check so far held, else 1. A guest without any check has failed. */
int checks_result(void);

/* End the run: the code goes to port F4h, and the monitor exits with (code << 1) | 1. */
void guest_exit(int code) __attribute__((noreturn));

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

/* In lib/boot.S: calls main and exits with its result; never returns. */
void guest_start(void) __attribute__((noreturn));

/* Entry state as the loader left it: EAX (2BADB002h if Multiboot) and EBX (its information). */
extern uint32_t boot_magic, boot_info;
extern char image_loaded_end[]; /* first byte above what the file gives */
extern char image_end[];        /* first byte above its bss too */
