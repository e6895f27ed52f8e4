/* SPDX-License-Identifier: MIT */
/*
 * 16-bit code, copied to 7000h and run there as segment 700h, in real mode or in virtual-8086 mode.
 * Results go to the words behind real_results, which the copy has at the same offset.
 */
        .set    BASE, 0x7000
        .set    SEG, 0x700

        .text
        .globl  real_call, v86_call
/* void real_call(uint32_t offset): to real mode, call the near function, and back. */
real_call:
        push    %ebx
        push    %ebp
        push    %esi
        push    %edi
        pushf
        mov     24(%esp), %ebx
        sidt    real_idtr
        mov     %esp, real_esp
        lidt    real_ivt
        mov     real_data_sel, %eax     /* limit FFFFh, base irrelevant: reloaded in real mode */
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %gs
        mov     $0x10, %eax             /* FS keeps its 4 GiB limit in real mode */
        mov     %eax, %fs
        ljmp    *%cs:real_enter_far     /* DS is 16-bit by now */
real_back:
        .code32
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        xor     %eax, %eax
        mov     %eax, %fs
        mov     %eax, %gs
        mov     real_esp, %esp
        lidt    real_idtr
        popf
        pop     %edi
        pop     %esi
        pop     %ebp
        pop     %ebx
        ret

/* reg_t v86_call(uint32_t offset, uint32_t flags): by IRET with VM = 1; back through ring3_back. */
v86_call:
        push    %ebx
        push    %ebp
        push    %esi
        push    %edi
        pushf
        mov     24(%esp), %eax
        mov     28(%esp), %edx
        or      $0x20002, %edx          /* VM */
        mov     %esp, ring3_stack
        push    %edx
        push    %eax
        mov     %esp, %ecx
        add     $8, %ecx
        push    %ecx
        call    tss_set_stack
        add     $4, %esp
        pop     %eax
        pop     %edx
        mov     $SEG, %ecx
        push    %ecx                    /* GS FS DS ES */
        push    %ecx
        push    %ecx
        push    %ecx
        push    %ecx                    /* SS SP */
        push    $0x0F00
        push    %edx
        push    %ecx                    /* CS IP */
        push    %eax
        iret

        .section .data
        .balign 4
        .globl  real_data_sel, real_enter_far
real_data_sel:
        .long   0
real_enter_far:
        .long   real_enter - real_code
        .long   0
real_idtr:
        .skip   8
real_ivt:
        .word   0x3FF
        .long   0
real_esp:
        .long   0

        .code16
        .globl  real_code, real_code_end, real_results, real_handler_int, real_handler_fault
        .globl  real_test_int, real_test_divide, real_test_segments, real_test_widths, real_test_stack
        .globl  real_test_unreal, real_test_limit, v86_test_flags, v86_test_int, v86_hlt, v86_pushf, v86_cli
        .globl  real_test_unreal_load, real_test_ip_wrap, real_test_ip_end, real_test_sp_wrap
        .globl  v86_in, v86_lgdt, v86_arpl, v86_fault_int, v86_segments, real_test_irq
        .balign 16
real_code:
real_enter:                             /* in 16-bit protected mode; EBX: the function */
        mov     %cr0, %eax
        and     $~1, %al
        mov     %eax, %cr0
        ljmp    $SEG, $1f - real_code
1:      mov     $SEG, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     %ax, %gs                /* FS is left: base 0, limit 4 GiB */
        mov     $0x0F00, %sp
        call    *%bx
        cli
        cld
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $0x08, $real_back

/* Handlers of the IVT. */
real_handler_int:                       /* INT 60h: AX := flags in the handler; the pushed frame too */
        push    %bp
        mov     %sp, %bp
        pushf
        pop     real_results - real_code + 0
        mov     2(%bp), %ax
        mov     %ax, real_results - real_code + 2
        mov     4(%bp), %ax
        mov     %ax, real_results - real_code + 4
        mov     6(%bp), %ax
        mov     %ax, real_results - real_code + 6
        pop     %bp
        iret
real_handler_fault:                     /* note IP; go on at the address in SI */
        push    %bp
        mov     %sp, %bp
        mov     2(%bp), %ax
        mov     %ax, real_results - real_code + 8
        mov     %si, 2(%bp)
        pop     %bp
        iret

real_test_int:
        stc
        sti
        int     $0x60
        setc    real_results - real_code + 10
        pushf
        pop     real_results - real_code + 12
        cli
        movw    $real_after_int - real_code, real_results - real_code + 14
        ret
        .set    real_after_int, real_test_int + 4
real_test_divide:
        mov     $1f - real_code, %si
        xor     %dx, %dx
        xor     %cx, %cx
        mov     $1, %ax
2:      div     %cx
        movw    $0xBAD, real_results - real_code + 8
1:      movw    $2b - real_code, real_results - real_code + 14
        ret
real_test_segments:                     /* the same byte by three segments; FFFF:0010 is 100000h */
        mov     $0x1234, %ax
        mov     %ax, %es
        movb    $0x5A, %es:0x10
        mov     $0x1235, %ax
        mov     %ax, %es
        mov     %es:0, %al
        mov     %al, real_results - real_code + 0
        mov     $0x1135, %ax
        mov     %ax, %es
        mov     %es:0x1000, %al
        mov     %al, real_results - real_code + 1
        mov     $0xFFFF, %ax
        mov     %ax, %es
        mov     %es:0x10, %eax
        mov     %eax, real_results - real_code + 4
        ret
real_test_widths:
        mov     $0x12345678, %eax       /* 66h */
        mov     %eax, real_results - real_code + 0
        mov     $real_results - real_code + 4, %ebx
        movl    $0x9ABCDEF0, (%ebx)     /* 66h 67h */
        mov     $0xFFFF, %ax
        inc     %ax
        pushf
        pop     real_results - real_code + 8
        mov     $0x10000, %eax
        mov     %ax, real_results - real_code + 10
        ret
real_test_stack:
        mov     %sp, %cx
        pushl   $0x11223344
        push    %sp
        pop     %ax                     /* PUSH SP stores the old value, since the 286 */
        mov     %ax, real_results - real_code + 0
        mov     %sp, real_results - real_code + 2
        popl    real_results - real_code + 4
        enter   $8, $0
        leave
        sub     %sp, %cx
        mov     %cx, real_results - real_code + 8
        lcall   $SEG, $1f - real_code
        mov     %sp, real_results - real_code + 12
        ret
1:      movw    $0x77, real_results - real_code + 10
        lret
real_test_unreal:                       /* FS still has the limit it got in protected mode */
        mov     $0x100000, %ebx
        mov     %fs:(%ebx), %eax
        mov     %eax, real_results - real_code + 0
        ret
real_test_limit:
        mov     $1f - real_code, %si
        movw    $0, real_results - real_code + 8
        mov     $0xFFFF, %bx
2:      mov     (%bx), %ax              /* a word that ends above FFFFh: vector 13 */
        movw    $0xBAD, real_results - real_code + 8
1:      movw    $2b - real_code, real_results - real_code + 14
        mov     real_results - real_code + 8, %ax
        mov     %ax, real_results - real_code + 12
        mov     $3f - real_code, %si
        mov     $0x10000, %ebx
        movw    $0, real_results - real_code + 10
        mov     (%ebx), %al
        movw    $0xBAD, real_results - real_code + 10
3:      ret
real_test_unreal_load:                  /* a load in real mode changes the base alone */
        mov     $0x2000, %ax
        mov     %ax, %fs
        mov     $0xE0000, %ebx
        mov     %fs:(%ebx), %eax
        mov     %eax, real_results - real_code + 0
        ret
real_test_ip_wrap:                      /* JMP at FFFDh, whose target is 10000h + this label's */
        movw    $0, real_results - real_code + 0
        mov     $0xFFFD, %ax
        jmp     *%ax
        .globl  real_wrapped
real_wrapped:
        movw    $0x77, real_results - real_code + 0
        ret
real_test_ip_end:                       /* a NOP at FFFFh, then nothing more */
        movw    $0xBAD, real_results - real_code + 8
        mov     $1f - real_code, %si
        mov     $0xFFFF, %ax
        jmp     *%ax
1:      ret
real_test_sp_wrap:
        mov     $1f - real_code, %si
        mov     %sp, %dx
        xor     %sp, %sp
        push    %ax                     /* at FFFEh */
        mov     %sp, real_results - real_code + 0
        movw    $0xBAD, real_results - real_code + 8
        mov     $2, %sp
2:      pushl   %eax                    /* FFFEh to 10001h: vector 12 */
        movw    $0xBAD, real_results - real_code + 8
1:      movw    $2b - real_code, real_results - real_code + 14
        mov     %dx, %sp
        ret
real_test_irq:                          /* one timer interrupt through the IVT */
        movw    $0, real_results - real_code + 0
1:      sti
        hlt
        cli
        cmpw    $0, real_results - real_code + 0
        je      1b
        ret
        .globl  real_handler_irq
real_handler_irq:
        push    %ax
        incw    real_results - real_code + 0
        mov     $0x20, %al
        out     %al, $0x20
        pop     %ax
        iret

v86_test_flags:                         /* IOPL 3: all of these run */
        cli
        pushf
        pop     %ax
        mov     %ax, real_results - real_code + 0
        sti
        pushf
        pop     %ax
        mov     %ax, real_results - real_code + 2
        pushw   $0x0002
        popf
        pushf
        pop     %ax
        mov     %ax, real_results - real_code + 4
        push    $0x0002                 /* IRET with IOPL bits 0: IOPL stays */
        push    %cs
        push    $1f - real_code
        iret
1:      pushf
        pop     %ax
        mov     %ax, real_results - real_code + 6
        int     $0x30
v86_segments:
        mov     $0x1234, %ax
        mov     %ax, %es
        movb    $0xA5, %es:0x20
        mov     $0x1236, %ax
        mov     %ax, %es
        mov     %es:0, %al
        mov     %al, real_results - real_code + 0
        int     $0x30
v86_test_int:
        mov     $0x1111, %ax
        mov     %ax, %es
        mov     $0x2222, %ax
        mov     %ax, %fs
        int     $0x61
        mov     %es, %ax
        mov     %ax, real_results - real_code + 0
        mov     %fs, %ax
        mov     %ax, real_results - real_code + 2
        int     $0x30
v86_hlt:
        hlt
        int     $0x30
v86_pushf:
        pushf
        int     $0x30
v86_cli:
        cli
        int     $0x30
v86_in:
        in      $0x80, %al
        int     $0x30
v86_lgdt:
        lgdt    real_results - real_code
        int     $0x30
v86_arpl:
        .byte   0x63, 0xC0
        int     $0x30
v86_fault_int:
        int     $0x61
        int     $0x30
        .balign 4
real_results:
        .skip   64
real_code_end:
        .section .note.GNU-stack, "", @progbits
