/* SPDX-License-Identifier: MIT */
/* What the tasks of task.c run. Data segments are flat in all of them but the 8086 one. */
        .text
        .globl  task_jump, task_call, task_int, task_ud, call_insn_end, jump_insn_end, ud_insn
        .globl  code_iret, code_jump_back, code_call_next, code_handler, code_probe, code_ring3
        .globl  code_16, code_v86, code_v86_end, task_bad

/* The main task's ways out; they return when it is resumed. */
task_jump:
        ljmp    *task_far
jump_insn_end:
        ret
task_call:
        lcall   *task_far
call_insn_end:
        ret
task_bad:                               /* faults unless the handler sends us behind it */
        movl    $1f, task_resume
        ljmp    *task_far
1:      movl    $0, task_resume
        ret
task_int:
        int     $0x70
        ret
task_ud:                                /* the handler makes EIP point behind it */
        push    %ebx
        mov     $0x5EED, %ebx
ud_insn:
        ud2
        mov     %ebx, task_ebx
        pop     %ebx
        ret

/* Count, note, and return through the link; the next call goes on behind. */
code_iret:
        incl    task_ran
        pushf
        pop     task_flags
        str     task_tr
        sldt    task_ldtr
        mov     %cr3, %eax
        mov     %eax, task_cr3
        mov     %dr7, %eax
        mov     %eax, task_dr7
        mov     %esp, task_esp
        iret
        jmp     code_iret

/* Count and go back by JMP. */
code_jump_back:
        incl    task_ran
        pushf
        pop     task_flags
        str     task_tr
        ljmp    *task_back
        jmp     code_jump_back

/* Call another task, then return. */
code_call_next:
        incl    task_outer_ran
        lcall   *task_next
        incl    task_outer_ran
        iret
        jmp     code_call_next

/* A handler task of exceptions with an error code: note it, then to the main task by JMP. */
code_handler:
        incl    task_ran
        pop     task_error
        mov     task_handler_tss, %eax
        mov     (%eax), %eax            /* link */
        mov     %eax, task_link
        mov     %esp, task_esp
        mov     task_resume, %eax
        test    %eax, %eax
        jz      1f
        mov     task_main_tss, %ecx
        mov     %eax, 32(%ecx)
1:      andb    $0xFD, gdt + 0x3D       /* our TSS is busy as long as the chain stands */
        ljmp    *task_back
        jmp     code_handler

/* A handler task without one: the interrupted task skips two bytes. */
        .globl  code_ud_handler
code_ud_handler:
        incl    task_ran
        mov     task_main_tss, %eax
        mov     32(%eax), %ecx
        mov     %ecx, task_eip
        mov     36(%eax), %ecx
        mov     %ecx, task_saved_flags
        addl    $2, 32(%eax)
        mov     %esp, task_esp
        iret
        jmp     code_ud_handler

/* A task that only shows its frame. */
code_probe:
        int     $0x30

/* At CPL 3: back through the link. */
code_ring3:
        incl    task_ran
        mov     %cs, task_cs
        iret
        jmp     code_ring3

/* A 16-bit task: offsets are relative to code_16, its code segment's base; DS is flat. */
        .code16
code_16:
        incl    (%bx)
        pushf
        pop     %ax
        mov     %ax, 4(%bx)
        mov     %sp, 8(%bx)
        iret
        jmp     code_16

/* An 8086 task, copied to segment 700h. */
code_v86:
        mov     %cs, %ax
        int     $0x31
code_v86_end:
        .code32

        .section .data
        .globl  task_far, task_back, task_next, task_ran, task_outer_ran, task_flags, task_tr, task_ldtr
        .globl  task_cr3, task_dr7, task_esp, task_error, task_link, task_handler_tss, task_main_tss
        .globl  task_eip, task_saved_flags, task_ebx, task_cs, task_resume, task_sp16
        .balign 4
task_far:       .long   0, 0
task_back:      .long   0, 0
task_next:      .long   0, 0
task_ran:       .long   0
task_flags:     .long   0
task_sp16:      .long   0
task_outer_ran: .long   0
task_tr:        .long   0
task_ldtr:      .long   0
task_cr3:       .long   0
task_dr7:       .long   0
task_esp:       .long   0
task_error:     .long   0
task_link:      .long   0
task_handler_tss: .long 0
task_main_tss:  .long   0
task_eip:       .long   0
task_saved_flags: .long 0
task_ebx:       .long   0
task_cs:        .long   0
task_resume:    .long   0
        .section .note.GNU-stack, "", @progbits
