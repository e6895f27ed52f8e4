/* SPDX-License-Identifier: MIT */
/*
 * What runs while address line 20 is held low: the guest's own image lies in an odd MiB, so this is
 * copied below 1 MiB, and it touches no stack, table or variable of the image while the gate is
 * closed. Position-independent.
 *
 *   uint32_t probe(uint32_t low, uint32_t high, uint32_t cr3)
 *
 * high = low + 1 MiB. cr3 (64-bit only) names tables in an even MiB, or by the alias one MiB higher,
 * which is used while the gate is closed. Returns bytes, low to high: read by low after a write of 5Ah by high; read by high after a write of A5h by low; what code
 * at low + 100h or high + 100h left in AL when called by high + 100h; the same with the gate open.
 */
        .section .text
        .globl  a20_probe, a20_probe_end

/* Controller command D1h, then the output port: A20 is bit 1, bit 0 is the (low active) reset. */
.macro gate value
1:      inb     $0x64, %al
        testb   $2, %al
        jnz     1b
        movb    $0xD1, %al
        outb    %al, $0x64
1:      inb     $0x64, %al
        testb   $2, %al
        jnz     1b
        movb    $\value, %al
        outb    %al, $0x60
.endm

#ifdef __x86_64__
#define LOW %rdi
#define HIGH %rsi
#define CODE %r8
#define BACK %r9
#define CR3 %rdx
#define OLD %r10
#define LOW_CR3 %r11
#else
#define LOW %edi
#define HIGH %esi
#define CODE %ebp
#define BACK %ebx
#endif

a20_probe:
#ifdef __x86_64__
        movl    %edi, %edi
        movl    %esi, %esi
        movl    %edx, %edx
        mov     CR3, LOW_CR3
        btr     $20, LOW_CR3
        mov     %cr3, OLD
        mov     LOW_CR3, %cr3
#else
        pushl   %ebp
        pushl   %ebx
        pushl   %esi
        pushl   %edi
        movl    20(%esp), LOW
        movl    24(%esp), HIGH
        call    2f                      /* EDX: where this runs */
2:      popl    %edx
        subl    $2b - a20_probe, %edx
#endif
        gate    0xCD
        xorl    %ecx, %ecx
#ifdef __x86_64__
        mov     CR3, %cr3
#endif
        movb    $0x5A, (HIGH)
        movb    (LOW), %cl
        movb    $0xA5, (LOW)
        movb    (HIGH), %ch
        lea     0x100(HIGH), CODE
#ifdef __x86_64__
        lea     1f(%rip), BACK
#else
        lea     1f - a20_probe(%edx), BACK
#endif
        jmp     *CODE
1:      shll    $8, %eax
        movzwl  %cx, %ecx
        shll    $8, %eax
        andl    $0xFF0000, %eax
        orl     %eax, %ecx
#ifdef __x86_64__
        mov     LOW_CR3, %cr3
#endif
        gate    0xDF
#ifdef __x86_64__
        mov     OLD, %cr3
#endif
#ifdef __x86_64__
        lea     1f(%rip), BACK
#else
        lea     1f - a20_probe(%edx), BACK
#endif
        jmp     *CODE
1:      shll    $24, %eax
        orl     %ecx, %eax
#ifndef __x86_64__
        popl    %edi
        popl    %esi
        popl    %ebx
        popl    %ebp
#endif
        ret
a20_probe_end:

/* Copied to low + 100h and high + 100h: says which of the two ran, and goes back. */
        .globl  a20_code_low, a20_code_high
a20_code_low:
        movb    $1, %al
        jmp     *BACK
        .balign 16
a20_code_high:
        movb    $2, %al
        jmp     *BACK
        .balign 16
        .section .note.GNU-stack, "", @progbits
