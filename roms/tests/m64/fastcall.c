/* SPDX-License-Identifier: MIT */
/* SYSCALL, SYSRET, SYSENTER, SYSEXIT: every MSR case, both ways into compatibility mode, flags, the
 * hidden parts of CS and SS, single steps. SDM Vol. 2B, each instruction. syscall.c is the plain
 * way there and back. */
#include "roms/lib/launch.h"

enum { SHOW = 0x31, PRIVATE = SEL_SPARE };
#define HOLE ((reg_t)1 << 47)

void go_sysretq(reg_t), go_sysretl(reg_t), go_sysexitq(reg_t), go_sysexitl(reg_t);
extern const uint8_t user_syscall[], user_sysenter[], user_show[], kernel_show[], sysret_insn[];
extern uint64_t fast_regs[3];
void go_to_user(reg_t image);

__asm__(".text\ngo_to_user:\n\tmov %rdi, %rsp\n\tiretq\n");

static reg_t image_room[256], *const image = image_room + 200;
static uint8_t user[GUEST_PAGE] __attribute__((aligned(4096)));
static uint8_t kernel[GUEST_PAGE] __attribute__((aligned(4096)));
#define USER_TOP ((reg_t)user + sizeof(user))
#define KERNEL_TOP ((reg_t)kernel + sizeof(kernel))

static unsigned steps;
static reg_t first_step;

static void show(struct frame *f)
{
    landed = *f;
    land();
}

static void note_step(struct frame *f)
{
    if (steps++ == 0)
        first_step = f->ip;
    f->flags &= ~(reg_t)FLAG_TF;
    write_dr6(0);
}

static void launched(void (*go)(reg_t))
{
    steps = 0;
    first_step = 0;
    idt_restore(SHOW, 0xEE);
    trap_set(SHOW, show);
    launch_and_catch(go, (reg_t)image);
    trap_set(SHOW, NULL);
}

/* Outer code at ring 3 with these flags. */
static void from(const uint8_t *code, uint16_t cs, reg_t flags)
{
    image[0] = (reg_t)code;
    image[1] = cs;
    image[2] = flags | 2;
    image[3] = USER_TOP;
    image[4] = SEL_DS3;
    launched(go_to_user);
}

static void set_star(uint16_t call, uint16_t ret)
{
    write_msr(MSR_STAR, (uint64_t)ret << 48 | (uint64_t)call << 32 | 0x12345678);
}

static void syscall_in(void)
{
    reg_t all = FLAG_CF | FLAG_ZF | FLAG_DF | FLAG_AC | FLAG_ID;
    set_star(SEL_CS0, SEL_CS3_32);
    write_msr(MSR_LSTAR, (reg_t)kernel_show);
    write_msr(MSR_FMASK, 0);
    from(user_syscall, SEL_CS3_64, all);
    check_landed("SYSCALL with FMASK 0", SHOW, 0);
    check_equal("  CS", SEL_CS0, landed.cs);
    check_equal("  SS", SEL_DS0, landed.ss);
    check_equal("  RSP is the caller's", USER_TOP, landed.sp);
    check_equal("  RCX", (reg_t)user_syscall + 2, landed.cx);
    check_equal("  R11", all | 2, landed.r11);
    check_equal("  flags stay", all | 2, landed.flags);
    write_msr(MSR_FMASK, 0xFFFFFFFF);
    from(user_syscall, SEL_CS3_64, all);
    check_equal("FMASK of ones: bit 1 stays", 2, landed.flags);
    check_equal("  R11 has them all", all | 2, landed.r11);
    set_star(SEL_CS0 | 3, SEL_CS3_32);
    from(user_syscall, SEL_CS3_64, 0);
    check_equal("STAR with an RPL: CS has none", SEL_CS0, landed.cs);
    check_equal("  SS is STAR + 8 as it stands", SEL_DS0 | 3, landed.ss);
    set_star(PRIVATE, SEL_CS3_32);
    gdt_set(PRIVATE, 0);
    gdt_set(PRIVATE + 8, 0);
    from(user_syscall, SEL_CS3_64, 0);
    check_landed("descriptors are not looked at", SHOW, 0);
    check("  CS and SS", landed.cs == PRIVATE && landed.ss == PRIVATE + 8);
    set_star(SEL_CS0, SEL_CS3_32);
    from(user_syscall, SEL_CS3_32, 0);
    check_landed("SYSCALL in compatibility mode", EXC_UD, 0);
    check_equal("  at it", (reg_t)user_syscall, landed.ip);
    write_msr(MSR_EFER, read_msr(MSR_EFER) & ~(uint64_t)EFER_SCE);
    from(user_syscall, SEL_CS3_64, 0);
    check_landed("SYSCALL with SCE 0", EXC_UD, 0);
    launched(go_sysretq);
    check_landed("SYSRET with SCE 0", EXC_UD, 0);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE);
}

static void stepped(void)
{
    write_dr6(0);
    write_msr(MSR_FMASK, 0);
    trap_set(EXC_DB, note_step);
    idt_restore(SHOW, 0xEE);
    trap_set(SHOW, show);
    steps = 0;
    image[0] = (reg_t)user_syscall;
    image[1] = SEL_CS3_64;
    image[2] = FLAG_TF | 2;
    image[3] = USER_TOP;
    image[4] = SEL_DS3;
    launch(go_to_user, (reg_t)image);
    check("SYSCALL with TF, which FMASK lets through: a step at LSTAR",
          steps == 1 && first_step == (reg_t)kernel_show);
    write_msr(MSR_FMASK, FLAG_TF);
    steps = 0;
    launch(go_to_user, (reg_t)image);
    check_equal("FMASK takes TF away: none", 0, steps);
    check("  R11 has TF", landed.r11 & FLAG_TF);
    fast_regs[0] = (reg_t)user_show + 2;
    fast_regs[1] = FLAG_TF | 2;
    steps = 0;
    launch_expect(EXC_BR);
    *(volatile uint8_t *)(reg_t)(user_show + 3) = 0x90;
    trap_set(EXC_DB, show);
    launch(go_sysretq, 0);
    check("SYSRET that sets TF: the step is after the next instruction",
          landed.vector == EXC_DB && landed.ip == (reg_t)user_show + 3);
    write_dr6(0);
    trap_set(EXC_DB, NULL);
    trap_set(EXC_BR, NULL);
    trap_set(SHOW, NULL);
}

static void sysret_out(void)
{
    fast_regs[0] = (reg_t)user_show;
    fast_regs[1] = 0xFFFFFFFF & ~(reg_t)(FLAG_TF | FLAG_IF | FLAG_VIP | FLAG_VIF | FLAG_NT);
    set_star(SEL_CS0, SEL_CS3_32 & ~3);
    launched(go_sysretq);
    check_landed("SYSRETQ", SHOW, 0);
    check_equal("  CS is STAR + 16 with RPL 3", SEL_CS3_64, landed.cs);
    check_equal("  SS is STAR + 8 with RPL 3", SEL_DS3, landed.ss);
    check_equal("  flags: not VM, RF, reserved",
                0x3C7FD7 & ~(FLAG_TF | FLAG_IF | FLAG_VIP | FLAG_VIF | FLAG_NT), landed.flags);
    fast_regs[1] = 2;
    fast_regs[0] = 0x1122334400000000 | (reg_t)user_show;
    launched(go_sysretl);
    check_landed("SYSRETL to compatibility mode", SHOW, 0);
    check_equal("  RIP is ECX", (reg_t)user_show + 2, landed.ip);
    check_equal("  CS is STAR", SEL_CS3_32, landed.cs);
    check_equal("  SS is STAR + 8", SEL_DS3, landed.ss);
    fast_regs[0] = HOLE;
    launched(go_sysretq);
    check_landed("SYSRETQ to a RIP that is not canonical", EXC_GP, 0);
    check("  at CPL 0, at it", landed.cs == SEL_CS0 && landed.ip == (reg_t)sysret_insn);
    fast_regs[0] = HOLE | (reg_t)user_show;
    launched(go_sysretl);
    check_landed("SYSRETL does not mind", SHOW, 0);
    set_star(SEL_CS0, PRIVATE);
    gdt_set(PRIVATE, 0);
    gdt_set(PRIVATE + 8, 0);
    gdt_set(PRIVATE + 16, 0);
    fast_regs[0] = (reg_t)user_show;
    launched(go_sysretq);
    check_landed("descriptors are not looked at", SHOW, 0);
    check("  CS and SS", landed.cs == ((PRIVATE + 16) | 3) && landed.ss == ((PRIVATE + 8) | 3));
    set_star(SEL_CS0, SEL_CS3_32);
}

static void sysenter_in(void)
{
    write_msr(MSR_SYSENTER_CS, SEL_CS0 | 3);
    write_msr(MSR_SYSENTER_EIP, (reg_t)kernel_show);
    write_msr(MSR_SYSENTER_ESP, KERNEL_TOP);
    from(user_sysenter, SEL_CS3_64, FLAG_IF | FLAG_CF | FLAG_AC);
    check_landed("SYSENTER", SHOW, 0);
    check("  CS without its RPL, SS + 8", landed.cs == SEL_CS0 && landed.ss == SEL_DS0);
    check_equal("  RSP from the MSR", KERNEL_TOP, landed.sp);
    check_equal("  IF is cleared, nothing else", 2 | FLAG_CF | FLAG_AC, landed.flags);
    from(user_sysenter, SEL_CS3_32, 0);
    check_landed("SYSENTER in compatibility mode leads to 64-bit mode", SHOW, 0);
    check("  CS", landed.cs == SEL_CS0 && landed.sp == KERNEL_TOP);
    write_msr(MSR_SYSENTER_CS, 0x10003);
    from(user_sysenter, SEL_CS3_64, 0);
    check_landed("bits 15:2 of IA32_SYSENTER_CS are 0", EXC_GP, 0);
    write_msr(MSR_SYSENTER_CS, SEL_CS0);
}

static void sysexit_out(void)
{
    fast_regs[0] = 0x1122334400000000 | USER_TOP;
    fast_regs[2] = 0x1122334400000000 | (reg_t)user_show;
    launched(go_sysexitl);
    check_landed("SYSEXIT to compatibility mode", SHOW, 0);
    check("  CS is MSR + 16, SS + 24", landed.cs == SEL_CS3_32 && landed.ss == SEL_DS3);
    check("  RIP is EDX, RSP is ECX", landed.ip == (reg_t)user_show + 2 && landed.sp == USER_TOP);
    fast_regs[0] = USER_TOP;
    fast_regs[2] = (reg_t)user_show;
    launched(go_sysexitq);
    check_landed("SYSEXIT with REX.W to 64-bit mode", SHOW, 0);
    check("  CS is MSR + 32, SS + 40", landed.cs == SEL_CS3_64 && landed.ss == SEL_DS3_B);
    fast_regs[0] = HOLE;
    launched(go_sysexitq);
    check_landed("RCX not canonical", EXC_GP, 0);
    fast_regs[0] = USER_TOP;
    fast_regs[2] = HOLE;
    launched(go_sysexitq);
    check_landed("RDX not canonical", EXC_GP, 0);
    check_equal("  at CPL 0", SEL_CS0, landed.cs);
    write_msr(MSR_SYSENTER_CS, 3);
    launched(go_sysexitq);
    check_landed("IA32_SYSENTER_CS is null", EXC_GP, 0);
}

/* What the MSRs refuse. */
static void msrs(void)
{
    static const struct {
        uint32_t msr;
        uint32_t high; /* of a value that is refused */
    } bad[] = {{MSR_LSTAR, 0x8000},          {MSR_CSTAR, 0x8000},   {MSR_SYSENTER_ESP, 0x8000},
               {MSR_SYSENTER_EIP, 0x8000},   {MSR_FS_BASE, 0x8000}, {MSR_GS_BASE, 0x8000},
               {MSR_KERNEL_GS_BASE, 0x8000}, {MSR_FMASK, 1},        {MSR_EFER, 1}};
    bool is_right = true;
    for (unsigned i = 0; i < COUNT(bad); i++) {
        __asm__ volatile(TRY "wrmsr" END_TRY
                         :
                         : "c"(bad[i].msr), "a"(0), "d"(bad[i].high)
                         : "memory");
        is_right = is_right && caught.vector == EXC_GP && caught.error == 0;
    }
    check("WRMSR of addresses not canonical and of reserved bits", is_right);
    write_msr(MSR_STAR, 0x0123456789ABCDEF);
    check_equal("STAR keeps 64 bits", 0x0123456789ABCDEF, read_msr(MSR_STAR));
}

int main(void)
{
    if (cpuid(0, 0).b != 0x756E6547) {
        skip("fast system calls as Intel has them", "the CPU is not Intel's");
        check("nothing to do", true);
        return checks_result();
    }
    syscall_in();
    stepped();
    sysret_out();
    sysenter_in();
    sysexit_out();
    msrs();
    return checks_result();
}
