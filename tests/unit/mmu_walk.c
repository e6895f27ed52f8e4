/* SPDX-License-Identifier: MIT */
/* The page walk: each format and page size, rights, reserved bits, error codes, A and D (SDM Vol.
 * 3A, "Paging"). */
#include "tests/unit/mmu_bench.h"

#define R ACCESS_READ
#define W ACCESS_WRITE
#define X ACCESS_FETCH
#define OK UINT32_MAX

static struct mmu_ctx long_ctx(void)
{
    return bench_long_ctx();
}

/* The error code of an access, or OK. */
static uint32_t try(struct bench *b, struct privilege as, laddr la, enum access access)
{
    paddr pa;
    b->fault = (struct fault){0};
    if (mmu_translate(&b->mmu[0], as, la, access, &pa, &b->fault))
        return OK;
    EXPECT_EQ(EXC_PF, b->fault.vector);
    EXPECT(b->fault.has_error_code);
    EXPECT_EQ(la, b->fault.cr2);
    return b->fault.error_code;
}

static paddr pa_of(struct bench *b, laddr la)
{
    paddr pa = 0;
    EXPECT(mmu_translate(&b->mmu[0], SUPERVISOR, la, R, &pa, &b->fault));
    return pa;
}

TEST(walk, paging_off_is_the_identity)
{
    struct bench b;
    bench_open(&b);
    EXPECT_EQ(0x12345, pa_of(&b, 0x12345));
    EXPECT_EQ(OK, try(&b, USER, UINT32_MAX, W));
    bench_close(&b);
}

TEST(walk, four_level_pages_of_4k_2m_and_1g)
{
    struct bench b;
    struct mmu_ctx c = long_ctx();
    bench_open(&b);
    bench_long_tables(&b);
    poke64(&b, 0x4008, 0x5007);
    poke64(&b, 0x3008, 0x600087);           /* 2 MiB */
    poke64(&b, 0x2008, BIT(30) * 3 | 0x87); /* 1 GiB */
    poke64(&b, 0x1000 + 511 * 8, 0x2007);   /* upper half */
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(0x5123, pa_of(&b, 0x1123));
    EXPECT_EQ(0x6abcde, pa_of(&b, 0x2abcde));
    EXPECT_EQ(0xc2345678, pa_of(&b, 0x42345678));
    EXPECT_EQ(0x5123, pa_of(&b, UINT64_C(0xffffff8000001123)));
    EXPECT_EQ(0, try(&b, SUPERVISOR, 0x2000, R));
    EXPECT_EQ(PF_US | PF_WR, try(&b, USER, BIT(39), W));
    paddr pa;
    EXPECT(!mmu_translate(&b.mmu[0], USER, BIT(47), R, &pa, &b.fault));
    EXPECT_EQ(EXC_GP, b.fault.vector);
    bench_close(&b);
}

TEST(walk, pae_pages_of_4k_and_2m_through_the_pdpte_registers)
{
    struct bench b;
    struct mmu_ctx c = {.guest.format = MMU_PAE, .nxe = true, .wp = true, .maxphyaddr = 36};
    bench_open(&b);
    poke64(&b, 0x20, 0x3001);
    poke64(&b, 0x38, 0x4001);
    EXPECT(mmu_load_pdptes(b.pm, 0x20, 36, c.guest.pdpte));
    poke64(&b, 0x3000, 0x5007);
    poke64(&b, 0x5010, BIT(35) | 0x7);
    poke64(&b, 0x4008, 0x400087);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(BIT(35) | 0x10, pa_of(&b, 0x2010));
    EXPECT_EQ(0x512345, pa_of(&b, 0xc0312345));
    EXPECT_EQ(0, try(&b, SUPERVISOR, 0x40000000, R));
    poke64(&b, 0x20, 0x9001); /* the registers were loaded with CR3 */
    EXPECT_EQ(BIT(35) | 0x10, pa_of(&b, 0x2010));
    poke64(&b, 0x5010, BIT(36) | 0x7);
    EXPECT_EQ(PF_P | PF_RSVD, try(&b, SUPERVISOR, 0x2010, R));
    poke64(&b, 0x5010, BIT(62) | 0x7);
    EXPECT_EQ(PF_P | PF_RSVD, try(&b, SUPERVISOR, 0x2010, R));
    poke64(&b, 0x5010, BIT(63) | 0x7);
    EXPECT_EQ(OK, try(&b, SUPERVISOR, 0x2010, R));
    EXPECT_EQ(PF_P | PF_ID, try(&b, SUPERVISOR, 0x2010, X));
    bench_close(&b);
}

TEST(walk, pdptes_with_reserved_bits_are_refused_and_nothing_is_loaded)
{
    struct bench b;
    uint64_t out[4] = {7, 7, 7, 7};
    bench_open(&b);
    poke64(&b, 0x8, 0x1003); /* bit 1 of a present one */
    EXPECT(!mmu_load_pdptes(b.pm, 0, 36, out));
    EXPECT_EQ(7, out[0]);
    poke64(&b, 0x8, 0x1002); /* not present: anything goes */
    EXPECT(mmu_load_pdptes(b.pm, 0, 36, out));
    EXPECT_EQ(0x1002, out[1]);
    poke64(&b, 0x8, BIT(36) | 1);
    EXPECT(!mmu_load_pdptes(b.pm, 0, 36, out));
    EXPECT(mmu_load_pdptes(b.pm, 0, 37, out));
    EXPECT(!mmu_load_pdptes(b.pm, 0xf0000000, 36, out)); /* not RAM */
    bench_close(&b);
}

TEST(walk, legacy_pages_of_4k_and_4m_with_pse36)
{
    struct bench b;
    struct mmu_ctx c = {
        .guest = {.format = MMU_LEGACY, .root = 0x1000}, .pse = true, .maxphyaddr = 36};
    bench_open(&b);
    poke32(&b, 0x1000, 0x2007);
    poke32(&b, 0x2004, 0x3007);
    poke32(&b, 0x1004, 0x00412087); /* 4 MiB at 9:00400000h: bits 16:13 are 1001b */
    poke32(&b, 0x1ffc, 0x00800087);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(0x3456, pa_of(&b, 0x1456));
    EXPECT_EQ(UINT64_C(0x900523456), pa_of(&b, 0x523456));
    EXPECT_EQ(0xbfffff, pa_of(&b, 0xffffffff));
    poke32(&b, 0x1004, 0x00420087); /* bit 17: reserved with a width of 36 */
    EXPECT_EQ(PF_P | PF_RSVD | PF_US, try(&b, USER, 0x400000, R));
    poke32(&b, 0x1004, 0x00600087); /* bit 21 */
    EXPECT_EQ(PF_P | PF_RSVD | PF_US, try(&b, USER, 0x400000, R));
    c.pse = false; /* PS is ignored: a page table at 600000h */
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(PF_US, try(&b, USER, 0x400000, R));
    poke32(&b, 0x600000, 0x9007);
    EXPECT_EQ(0x9001, pa_of(&b, 0x400001));
    bench_close(&b);
}

struct rights_row {
    uint64_t pde, pte;          /* flags, on top of P */
    bool wp, smep, smap;        /* control bits */
    uint32_t s[3], sa[3], u[3]; /* error codes for R, W, X as supervisor, with AC, as user */
};

#define F_R PF_P
#define F_W (PF_P | PF_WR)
#define F_X (PF_P | PF_ID)
#define U_R (F_R | PF_US)
#define U_W (F_W | PF_US)
#define U_X (F_X | PF_US)

static const struct rights_row rights[] = {
    {6, 6, true, false, false, {OK, OK, OK}, {OK, OK, OK}, {OK, OK, OK}},
    {6, 4, true, false, false, {OK, F_W, OK}, {OK, F_W, OK}, {OK, U_W, OK}},
    {4, 6, true, false, false, {OK, F_W, OK}, {OK, F_W, OK}, {OK, U_W, OK}},
    {4, 6, false, false, false, {OK, OK, OK}, {OK, OK, OK}, {OK, U_W, OK}},
    {6, 2, true, false, false, {OK, OK, OK}, {OK, OK, OK}, {U_R, U_W, U_X}},
    {2, 6, true, true, true, {OK, OK, OK}, {OK, OK, OK}, {U_R, U_W, U_X}},
    {6, 6, true, true, false, {OK, OK, F_X}, {OK, OK, F_X}, {OK, OK, OK}},
    {6, 6, true, true, true, {F_R, F_W, F_X}, {OK, OK, F_X}, {OK, OK, OK}},
    {6, 4, false, false, true, {F_R, F_W, OK}, {OK, OK, OK}, {OK, U_W, OK}},
    {6, 4, true, false, true, {F_R, F_W, OK}, {OK, F_W, OK}, {OK, U_W, OK}},
    {6, 6 | BIT(63), true, false, false, {OK, OK, F_X}, {OK, OK, F_X}, {OK, OK, U_X}},
    {6 | BIT(63), 6, true, false, false, {OK, OK, F_X}, {OK, OK, F_X}, {OK, OK, U_X}},
};

TEST(walk, rights_follow_us_rw_xd_wp_smep_smap_and_ac)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rights); i++) {
        const struct rights_row *r = &rights[i];
        struct bench b;
        struct mmu_ctx c = long_ctx();
        bench_open(&b);
        bench_long_tables(&b);
        poke64(&b, 0x3000, 0x4001 | r->pde);
        poke64(&b, 0x4000, 0x5001 | r->pte);
        c.wp = r->wp, c.smep = r->smep, c.smap = r->smap;
        mmu_set_context(&b.mmu[0], &c);
        for (unsigned k = 0; k < 3; k++) {
            EXPECT_EQ(r->s[k], try(&b, SUPERVISOR, 8, (enum access)k));
            EXPECT_EQ(r->sa[k], try(&b, SUPERVISOR_AC, 8, (enum access)k));
            EXPECT_EQ(r->u[k], try(&b, USER, 8, (enum access)k));
        }
        bench_close(&b);
    }
}

/* Key 5: AD is bit 10 of PKRU, WD bit 11. */
struct key_row {
    uint64_t pte;  /* US and RW of the leaf; the levels above allow all */
    uint32_t pkru; /* PKRU */
    bool wp;       /* CR0.WP */
    uint32_t s[2]; /* supervisor: read, write */
    uint32_t u[2]; /* user */
};

/* clang-format off */
#define PK (PF_P | PF_PK)
static const struct key_row key_rows[] = {
    {6, 0,         true,  {OK, OK},                            {OK, OK}},
    {6, 0x55,      true,  {OK, OK},                            {OK, OK}}, /* other keys */
    {6, BIT(10),   true,  {PK, PK | PF_WR},                    {PK | PF_US, PK | PF_US | PF_WR}},
    {6, BIT(11),   true,  {OK, PK | PF_WR},                    {OK, PK | PF_US | PF_WR}},
    {6, BIT(11),   false, {OK, OK},                            {OK, PK | PF_US | PF_WR}},
    {4, BIT(11),   true,  {OK, PK | PF_WR},                    {OK, PK | PF_US | PF_WR}}, /* read-only as well */
    {4, 0,         true,  {OK, PF_P | PF_WR},                  {OK, PF_P | PF_US | PF_WR}},
    {2, 3u << 10,  true,  {OK, OK},                            {PF_P | PF_US, PF_P | PF_US | PF_WR}}, /* no user page */
};
/* clang-format on */

TEST(walk, protection_keys_forbid_data_of_user_pages)
{
    for (unsigned i = 0; i < ARRAY_SIZE(key_rows); i++) {
        const struct key_row *r = &key_rows[i];
        struct bench b;
        struct mmu_ctx c = long_ctx();
        bench_open(&b);
        bench_long_tables(&b);
        poke64(&b, 0x4000, 0x5001 | r->pte | UINT64_C(5) << 59);
        c.wp = r->wp, c.pke = true;
        mmu_set_context(&b.mmu[0], &c);
        mmu_set_pkru(&b.mmu[0], r->pkru);
        for (unsigned k = 0; k < 2; k++) {
            EXPECT_EQ(r->s[k], try(&b, SUPERVISOR, 8, (enum access)k));
            EXPECT_EQ(r->u[k], try(&b, USER, 8, (enum access)k));
        }
        EXPECT_EQ(r->pte & 4 ? OK : PF_P | PF_US | PF_ID, try(&b, USER, 8, X));
        c.pke = false;
        mmu_set_context(&b.mmu[0], &c);
        EXPECT_EQ(r->pte & 4 ? OK : PF_P | PF_US, try(&b, USER, 8, R));
        bench_close(&b);
    }
}

TEST(walk, the_fetch_bit_of_the_error_code_needs_nxe_or_smep)
{
    struct bench b;
    struct mmu_ctx c = long_ctx();
    bench_open(&b);
    bench_long_tables(&b);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(PF_ID, try(&b, SUPERVISOR, 0, X));
    c.nxe = false;
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(0, try(&b, SUPERVISOR, 0, X));
    c.smep = true;
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(PF_ID, try(&b, SUPERVISOR, 0, X));
    c = (struct mmu_ctx){
        .guest = {.format = MMU_LEGACY, .root = 0x6000}, .nxe = true, .maxphyaddr = 36};
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(PF_US, try(&b, USER, 0, X)); /* NXE means nothing to 32-bit paging */
    bench_close(&b);
}

static uint32_t with_entry(struct bench *b, paddr pa, uint64_t e, laddr la)
{
    uint64_t old = peek64(b, pa);
    poke64(b, pa, e);
    uint32_t code = try(b, SUPERVISOR, la, R);
    poke64(b, pa, old);
    return code;
}

TEST(walk, reserved_bits_fault_at_every_level)
{
    struct bench b;
    struct mmu_ctx c = long_ctx();
    const uint32_t rsvd = PF_P | PF_RSVD;
    bench_open(&b);
    bench_long_tables(&b);
    poke64(&b, 0x4000, 0x5007);
    mmu_set_context(&b.mmu[0], &c);
    for (paddr t = 0x1000; t <= 0x4000; t += 0x1000) {
        EXPECT_EQ(rsvd, with_entry(&b, t, BIT(40) | (t + 0x1007), 0));
        EXPECT_EQ(rsvd, with_entry(&b, t, BIT(51) | (t + 0x1007), 0));
        EXPECT_EQ(OK, with_entry(&b, t, BIT(52) | BIT(62) | (t + 0x1007), 0));
        EXPECT_EQ(0, with_entry(&b, t, BIT(51) | 0x6, 0)); /* not present: never reserved */
    }
    EXPECT_EQ(rsvd, with_entry(&b, 0x1000, 0x2087, 0)); /* PS in a PML4E */
    EXPECT_EQ(rsvd, with_entry(&b, 0x2000, BIT(30) | BIT(13) | 0x87, 0));
    EXPECT_EQ(OK, with_entry(&b, 0x2000, BIT(30) | BIT(12) | 0x87, 0)); /* PAT */
    EXPECT_EQ(rsvd, with_entry(&b, 0x3000, BIT(21) | BIT(20) | 0x87, 0));
    EXPECT_EQ(OK, with_entry(&b, 0x3000, BIT(21) | BIT(12) | 0x87, 0));
    c.nxe = false, c.pge1g = false;
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(rsvd, with_entry(&b, 0x4000, BIT(63) | 0x5007, 0));
    EXPECT_EQ(rsvd, with_entry(&b, 0x2000, BIT(30) | 0x87, 0));
    EXPECT_EQ(OK, try(&b, SUPERVISOR, 0, R));
    bench_close(&b);
}

TEST(walk, accessed_is_set_in_every_level_and_dirty_only_by_a_write_in_the_leaf)
{
    struct bench b;
    struct mmu_ctx c = long_ctx();
    bench_open(&b);
    bench_long_tables(&b);
    poke64(&b, 0x4000, 0x5007);
    poke64(&b, 0x4008, 0x6005);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(U_W, try(&b, USER, 0x1000, W));
    EXPECT_EQ(0x2007, peek64(&b, 0x1000)); /* a faulting walk writes nothing */
    EXPECT_EQ(OK, try(&b, USER, 0, R));
    EXPECT_EQ(0x2027, peek64(&b, 0x1000));
    EXPECT_EQ(0x3027, peek64(&b, 0x2000));
    EXPECT_EQ(0x4027, peek64(&b, 0x3000));
    EXPECT_EQ(0x5027, peek64(&b, 0x4000));
    EXPECT_EQ(OK, try(&b, USER, 0, W));
    EXPECT_EQ(0x4027, peek64(&b, 0x3000));
    EXPECT_EQ(0x5067, peek64(&b, 0x4000));
    paddr pa;
    EXPECT(mmu_peek(&b.mmu[0], 0x1001, &pa) && pa == 0x6001);
    EXPECT_EQ(0x6005, peek64(&b, 0x4008));
    EXPECT(!mmu_peek(&b.mmu[0], 0x3000, &pa));
    bench_close(&b);
}

TEST(walk, tables_outside_ram_read_as_ones)
{
    struct bench b;
    struct mmu_ctx c = long_ctx();
    bench_open(&b);
    c.guest.root = BIT(39);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(PF_P | PF_RSVD, try(&b, SUPERVISOR, 0, R));
    c = (struct mmu_ctx){.guest = {.format = MMU_LEGACY, .root = 0xf0000000}, .maxphyaddr = 36};
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(0xfffff123, pa_of(&b, 0x123));
    uint32_t v;
    EXPECT(mmu_read(&b.mmu[0], 0x124, UINT32_MAX, &v, 4, &b.fault));
    EXPECT_EQ(4, b.bus_sizes[0]);
    EXPECT(b.mmu[0].view.read[0].tag & VTLB_INVALID); /* nothing cached from such a walk */
    bench_close(&b);
}

TEST(walk, a_table_may_point_at_itself)
{
    struct bench b;
    struct mmu_ctx c = long_ctx();
    uint8_t v[8];
    bench_open(&b);
    bench_long_tables(&b);
    poke64(&b, 0x1000 + 510 * 8, 0x1007);
    mmu_set_context(&b.mmu[0], &c);
    laddr self = UINT64_C(0xffffff7fbfdfe000); /* 510, 510, 510, 510 */
    EXPECT(mmu_read(&b.mmu[0], self, UINT64_MAX, v, 8, &b.fault));
    EXPECT_EQ(0x2007, le64_load(v));
    EXPECT_EQ(0x1027, peek64(&b, 0x1000 + 510 * 8));
    le64_store(v, 0x1007); /* remove D and A of the mapping through the mapping itself */
    EXPECT(mmu_write(&b.mmu[0], self + 510 * 8, UINT64_MAX, v, 8, &b.fault));
    EXPECT_EQ(0x1007, peek64(&b, 0x1000 + 510 * 8));
    le64_store(v, 0);
    EXPECT(mmu_write(&b.mmu[0], self + 510 * 8, UINT64_MAX, v, 8, &b.fault));
    EXPECT(!mmu_read(&b.mmu[0], self, UINT64_MAX, v, 8, &b.fault));
    bench_close(&b);
}

TEST(walk, a_closed_a20_gate_clears_bit_20_of_tables_and_translations)
{
    struct bench b;
    struct mmu_ctx c = long_ctx();
    bench_open(&b);
    EXPECT_EQ(0x112345, pa_of(&b, 0x112345));
    mmu_vm_set_a20(b.mv, false);
    EXPECT_EQ(0x12345, pa_of(&b, 0x112345)); /* not what was cached */
    EXPECT_EQ(0xffefffff, pa_of(&b, UINT32_MAX));
    bench_long_tables(&b);
    poke64(&b, 0x3008, 0x600087);
    poke64(&b, 0x4008, 0x105007);
    poke64(&b, 0x1000, 0x102007); /* the PDPT by its alias */
    c.guest.root += BIT(20);
    mmu_set_context(&b.mmu[0], &c);
    EXPECT_EQ(0x5123, pa_of(&b, 0x1123));
    EXPECT_EQ(0x6abcde, pa_of(&b, 0x3abcde));
    EXPECT_EQ(0x102027, peek64(&b, 0x1000)); /* A was set where the walk read */
    mmu_vm_set_a20(b.mv, true);
    paddr pa;
    EXPECT(!mmu_translate(&b.mmu[0], SUPERVISOR, 0x1123, R, &pa, &b.fault)); /* zeros */
    bench_close(&b);
}

TEST_MAIN(
    RUN(walk, paging_off_is_the_identity) RUN(walk, four_level_pages_of_4k_2m_and_1g) RUN(
        walk, pae_pages_of_4k_and_2m_through_the_pdpte_registers)
        RUN(walk, pdptes_with_reserved_bits_are_refused_and_nothing_is_loaded) RUN(
            walk,
            legacy_pages_of_4k_and_4m_with_pse36) RUN(walk,
                                                      rights_follow_us_rw_xd_wp_smep_smap_and_ac)
            RUN(walk, protection_keys_forbid_data_of_user_pages)
                RUN(walk, the_fetch_bit_of_the_error_code_needs_nxe_or_smep)
                    RUN(walk, reserved_bits_fault_at_every_level)
                        RUN(walk,
                            accessed_is_set_in_every_level_and_dirty_only_by_a_write_in_the_leaf)
                            RUN(walk, tables_outside_ram_read_as_ones)
                                RUN(walk, a_table_may_point_at_itself)
                                    RUN(walk,
                                        a_closed_a20_gate_clears_bit_20_of_tables_and_translations))
