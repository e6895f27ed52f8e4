/* SPDX-License-Identifier: MIT */
/*
 * void sweep_run(uint32_t n): starts the LAPIC timer with n and runs a text of all sorts of
 * instructions. sweep_at has, for each tick from the start on, where an interrupt that is due then
 * is taken; 0: not there, at the next.
 */
        .macro AT where
        .pushsection .rodata.sweep, "a"
        .long   \where
        .popsection
        .endm
/* One tick; interrupts may come behind it. */
        .macro T insn:vararg
        \insn
1:      AT      1b
        .endm
/* One tick; they may not. */
        .macro S insn:vararg
        \insn
        AT      0
        .endm
#ifdef __x86_64__
#define AX %rax
#define BX %rbx
#define DI %rdi
#define SP %rsp
#define N %edi
#else
#define AX %eax
#define BX %ebx
#define DI %edi
#define SP %esp
#define N 12(%esp)
#endif

        .section .rodata.sweep, "a"
        .balign 4
        .globl  sweep_at, sweep_at_end
sweep_at:

        .text
        .globl  sweep_run
sweep_run:
        push    BX
        push    DI
        mov     N, %eax
        mov     $0xFEE00000, %ebx
        sti
        nop
        T       movl %eax, 0x380(BX)
        T       nop
        T       add $1, %eax
        T       .byte 0x0F, 0x1F, 0x44, 0x00, 0x00
        T       push AX
        T       pop AX
        T       mov 0x380(BX), %ecx             /* a device's register */
        T       xor %eax, %eax
        T       cpuid
        T       mov $0xFEE00000, %ebx
        T       rdtsc
        T       in $0x80, %al
        T       out %al, $0x80
        jmp     2f
        nop
2:      AT      2b
        T       test %eax, %eax
        T       cmp %eax, %eax
        jne     3f
        AT      3f
3:      T       mov $3, %ecx
        /* A loop of three rounds: each tick has its place. */
4:      dec     %ecx
5:      jnz     4b
6:      AT      5b
        AT      4b
        AT      5b
        AT      4b
        AT      5b
        AT      6b
        T       lea sweep_bytes, DI
        T       mov $5, %ecx
        /* Iterations of a repeated instruction are boundaries of its own. */
7:      rep     stosb
8:      AT      7b
        AT      7b
        AT      7b
        AT      7b
        AT      8b
        T       mov $0, %ecx
        T       rep stosb
        /* Behind MOV SS there is none, nor between POP SS and the next. */
        T       mov %ss, %ecx
        S       mov %ecx, %ss
        T       nop
        T       nop
        S       cli
        S       nop
        S       sti
        T       nop
        S       cli
        S       pushf
        S       orl $0x200, (SP)
        T       popf
        call    9f
        .byte   0x0F, 0x0B
9:      AT      9b
        T       add $4, SP
#ifdef __x86_64__
        T       add $4, SP
#endif
        T       lock incl sweep_bytes
        T       xchg %eax, sweep_bytes
        T       mov %cr0, AX
        T       mov AX, %cr0                    /* ends everything an engine may have joined */
        T       sldt %ax
        T       nop
        AT      0
        cli
        pop     DI
        pop     BX
        ret
        .pushsection .rodata.sweep, "a"
sweep_at_end:
        .popsection

        .bss
        .balign 8
        .globl  sweep_bytes
sweep_bytes:
        .skip   16
        .section .note.GNU-stack, "", @progbits
