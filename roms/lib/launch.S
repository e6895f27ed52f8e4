/* SPDX-License-Identifier: MIT */
/* void launch(void (*fn)(reg_t), reg_t arg), void land(void): see launch.h. */
        .text
        .globl  launch, land
#ifdef __x86_64__
launch:
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
        lea     -2048(%rsp), %rdi
        and     $-16, %rdi
        call    tss_set_stack
        pop     %rdi                    /* the argument */
        pop     %rax
        call    *%rax
land:
        mov     $0x10, %ecx
        mov     %ecx, %ds
        mov     %ecx, %es
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
launch:
        push    %ebx
        push    %ebp
        push    %esi
        push    %edi
        pushf
        mov     %esp, ring3_stack
        lea     -2048(%esp), %eax
        push    %eax
        call    tss_set_stack
        add     $4, %esp
        mov     28(%esp), %edx          /* the argument */
        mov     24(%esp), %eax
        push    %edx
        call    *%eax
land:
        mov     $0x10, %edx
        mov     %edx, %ds
        mov     %edx, %es
        mov     %edx, %ss
        mov     ring3_stack, %esp
        xor     %edx, %edx
        mov     %edx, %fs
        mov     %edx, %gs
        popf
        pop     %edi
        pop     %esi
        pop     %ebp
        pop     %ebx
        ret
#endif
        .section .note.GNU-stack, "", @progbits
