/* SPDX-License-Identifier: MIT */
#include "roms/lib/launch.h"

struct frame landed;

static void note_and_land(struct frame *f)
{
    landed = *f;
    land();
}

void launch_expect(unsigned vector)
{
    trap_set(vector, note_and_land);
}

void launch_and_catch(void (*fn)(reg_t), reg_t arg)
{
    static const uint8_t vectors[] = {EXC_DE, EXC_DB, EXC_BP, EXC_OF,      EXC_BR, EXC_UD,
                                      EXC_NM, EXC_DF, EXC_TS, EXC_NP,      EXC_SS, EXC_GP,
                                      EXC_PF, EXC_AC, EXC_MF, RING3_VECTOR};
    for (unsigned i = 0; i < COUNT(vectors); i++)
        launch_expect(vectors[i]);
    idt_restore(RING3_VECTOR, 0xEE);
    memset(&landed, 0, sizeof(landed));
    landed.vector = NO_EXCEPTION;
    launch(fn, arg);
    for (unsigned i = 0; i < COUNT(vectors); i++)
        trap_set(vectors[i], NULL);
    ring3_gate_restore();
}

bool check_landed(const char *name, unsigned vector, unsigned error)
{
    bool is_as_expected = check(name, landed.vector == vector && landed.error == error);
    if (!is_as_expected)
        print("     want vector %u error %x, got vector %u error %x at %x:%llx cr2 %llx\n", vector,
              error, (unsigned)landed.vector, (unsigned)landed.error, (unsigned)landed.cs,
              (unsigned long long)landed.ip, (unsigned long long)read_cr2());
    return is_as_expected;
}
