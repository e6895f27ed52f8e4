/* SPDX-License-Identifier: MIT */
/* One stub per vector, the way into trap_dispatch() and back, and the way to ring 3 and back. */
        .set    HAS_ERROR, 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30

        .text
        .balign 16
        .globl  trap_stubs
trap_stubs:
        .set    vector, 0
        .rept   32
        .balign 16
        .if     !((HAS_ERROR >> vector) & 1)
        push    $0
        .endif
        push    $vector
        jmp     trap_common
        .set    vector, vector + 1
        .endr
        .rept   224
        .balign 16
        push    $0
        push    $vector
        jmp     trap_common
        .set    vector, vector + 1
        .endr
        .balign 16

#ifdef __x86_64__
trap_common:
        push    %rax
        push    %rcx
        push    %rdx
        push    %rbx
        push    %rbp
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        cld
        mov     %rsp, %rdi
        mov     %rsp, %rbx
        and     $-16, %rsp
        call    trap_dispatch
        mov     %rbx, %rsp
        .globl  trap_return
trap_return:
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rbp
        pop     %rbx
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        iretq

        .globl  load_segments
load_segments:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        pop     %rax
        push    $0x08
        push    %rax
        lretq

/* reg_t ring3(reg_t (*fn)(reg_t), reg_t arg) */
        .globl  ring3
ring3:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        pushf
        push    %rdi
        push    %rsi
        mov     %rsp, ring3_stack
        mov     %rsp, %rdi
        and     $-16, %rdi
        call    tss_set_stack
        pop     %rdi                    /* the argument */
        pop     %rax
        mov     $user_stack + 8192 - 16, %ecx
        movq    $ring3_done, -8(%rcx)
        push    $0x23
        lea     -8(%rcx), %rcx
        push    %rcx
        push    ring3_flags
        push    $0x2B
        push    %rax
        iretq
ring3_done:
        int     $0x30
        .globl  ring3_back
ring3_back:
        mov     $0x10, %ecx             /* the change of CPL left SS null */
        mov     %ecx, %ss
        mov     ring3_stack, %rsp
        add     $16, %rsp
        popf
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret
#else
trap_common:
        pusha
        push    %ds
        push    %es
        push    %fs
        push    %gs
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        cld
        push    %esp
        call    trap_dispatch
        add     $4, %esp
        .globl  trap_return
trap_return:
        pop     %gs
        pop     %fs
        pop     %es
        pop     %ds
        popa
        add     $8, %esp
        iret

        .globl  load_segments
load_segments:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        ljmp    $0x08, $1f
1:      ret

/* reg_t ring3(reg_t (*fn)(reg_t), reg_t arg) */
        .globl  ring3
ring3:
        push    %ebx
        push    %ebp
        push    %esi
        push    %edi
        pushf
        mov     %esp, ring3_stack
        push    %esp
        call    tss_set_stack
        add     $4, %esp
        mov     28(%esp), %edx          /* the argument */
        mov     24(%esp), %eax
        mov     $user_stack + 8192 - 8, %ecx
        mov     %edx, (%ecx)
        movl    $ring3_done, -4(%ecx)
        push    $0x23
        lea     -4(%ecx), %ecx
        push    %ecx
        push    ring3_flags
        push    $0x1B
        push    %eax
        mov     $0x23, %eax
        mov     %eax, %ds
        mov     %eax, %es
        iret
ring3_done:
        int     $0x30
        .globl  ring3_back
ring3_back:
        mov     $0x10, %edx
        mov     %edx, %ds
        mov     %edx, %es
        mov     ring3_stack, %esp
        popf
        pop     %edi
        pop     %esi
        pop     %ebp
        pop     %ebx
        ret
#endif
        .section .bss
        .balign 8
        .globl  ring3_stack
ring3_stack:
        .skip   8
        .section .note.GNU-stack, "", @progbits
