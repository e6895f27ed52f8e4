/* SPDX-License-Identifier: MIT */
/*
 * MC146818A Real-Time Clock Plus RAM. Section names are of Motorola's data sheet.
 *
 *   port   write                        read
 *   70h    NMI mask (bit 7), address    nothing
 *   71h    data                         data
 *
 *   00-09  seconds, its alarm, minutes, its alarm, hours, its alarm, day of week, date, month, year
 *   0A     UIP | DV2-0 | RS3-0          UIP is computed
 *   0B     SET PIE AIE UIE SQWE DM 24/12 DSE
 *   0C     IRQF PF AF UF, ro            a read clears it; IRQF is computed
 *   0D     VRT, ro
 *   32     century
 *
 * The registers hold the time as of the last update that somebody needed; sync() catches up. A set
 * of registers that is no date stands still until the guest writes one.
 */
#include "devices/rtc.h"

#include <errno.h>

#include "devices/chip_clock.h"

enum {
    A_UIP = 0x80,
    A_DV_RESET = 0x60, /* both bits: divider held in reset */
    A_RS = 0x0f,
    A_RESET = 0x26, /* 32768 Hz, 1024 Hz periodic rate */
    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_SQWE = 0x08,
    B_DM = 0x04, /* binary */
    B_24H = 0x02,
    C_IRQF = 0x80,
    C_PF = 0x40,
    C_AF = 0x20,
    C_UF = 0x10,
    D_VRT = 0x80,
    HOURS_PM = 0x80,
    ALARM_ANY = 0xc0, /* both bits: "don't care" */
    FIRST_RAM = 0x0e,
};

#define CRYSTAL_HZ UINT64_C(32768)
#define SECONDS_PER_DAY UINT64_C(86400)
/* UIP is high from 244 us before the 1984 us of an update cycle: "Update Cycle". */
#define UIP_NS UINT64_C(2228000)
/* "the first update cycle begins one-half second later" than the divider is released. */
#define FIRST_UPDATE_NS (NS_PER_SECOND / 2)

/* ---- calendar ---- */

struct date {
    uint64_t day; /* days since 0000-03-01 */
    uint32_t tod; /* second of the day */
};

/* Days from 0000-03-01 to a date of the proleptic Gregorian calendar; month 1-12, year 0-9999. */
static uint64_t days_of(uint64_t year, uint64_t month, uint64_t day)
{
    uint64_t m = (month + 9) % 12; /* March is 0, so the leap day is the year's last */
    uint64_t y =
        year + 400 - (month < 3); /* one cycle on, so that January of year 0 is not negative */
    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
}

static void date_of(uint64_t days, uint64_t *year, uint64_t *month, uint64_t *day)
{
    uint64_t era = days / 146097, d = days % 146097;
    uint64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    uint64_t in_year = d - (y * 365 + y / 4 - y / 100);
    uint64_t m = (in_year * 5 + 2) / 153;
    *day = in_year - (m * 153 + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = era * 400 + y + (*month < 3) - 400;
}

/* ---- register encodings: "Time, Calendar, and Alarm Locations" ---- */

static uint8_t encode(const struct rtc_state *s, uint64_t v)
{
    return (uint8_t)(s->ram[RTC_REG_B] & B_DM ? v : v / 10 << 4 | v % 10);
}

/* 255 if v is no BCD number. */
static unsigned decode(const struct rtc_state *s, uint8_t v)
{
    if (s->ram[RTC_REG_B] & B_DM)
        return v;
    return (v & 15) > 9 || v >> 4 > 9 ? 255u : (v >> 4) * 10u + (v & 15);
}

static uint8_t encode_hours(const struct rtc_state *s, unsigned h)
{
    if (s->ram[RTC_REG_B] & B_24H)
        return encode(s, h);
    return (uint8_t)(encode(s, h % 12 ? h % 12 : 12) | (h >= 12 ? HOURS_PM : 0));
}

static unsigned decode_hours(const struct rtc_state *s, uint8_t v)
{
    if (s->ram[RTC_REG_B] & B_24H)
        return decode(s, v);
    unsigned h = decode(s, v & 0x7f);
    if (h < 1 || h > 12)
        return 255;
    return h % 12 + (v & HOURS_PM ? 12 : 0);
}

/* False: the registers are no date. */
static bool read_date(const struct rtc_state *s, struct date *d)
{
    unsigned sec = decode(s, s->ram[RTC_SECONDS]), min = decode(s, s->ram[RTC_MINUTES]);
    unsigned hour = decode_hours(s, s->ram[RTC_HOURS]), day = decode(s, s->ram[RTC_DATE_OF_MONTH]);
    unsigned month = decode(s, s->ram[RTC_MONTH]), year = decode(s, s->ram[RTC_YEAR]);
    unsigned century = decode(s, s->ram[RTC_CENTURY]);
    if (sec > 59 || min > 59 || hour > 23 || day < 1 || month < 1 || month > 12 || year > 99 ||
        century > 99)
        return false;
    d->day = days_of(century * 100u + year, month, day);
    d->tod = hour * 3600 + min * 60 + sec;
    uint64_t y, m, dom;
    date_of(d->day, &y, &m, &dom);
    return m == month && dom == day; /* else the month has no such day */
}

static void write_date(struct rtc_state *s, const struct date *d)
{
    uint64_t year, month, day;
    date_of(d->day, &year, &month, &day);
    s->ram[RTC_SECONDS] = encode(s, d->tod % 60);
    s->ram[RTC_MINUTES] = encode(s, d->tod / 60 % 60);
    s->ram[RTC_HOURS] = encode_hours(s, d->tod / 3600);
    s->ram[RTC_DATE_OF_MONTH] = encode(s, day);
    s->ram[RTC_MONTH] = encode(s, month);
    s->ram[RTC_YEAR] = encode(s, year % 100);
    s->ram[RTC_CENTURY] = encode(s, year / 100 % 100);
}

/* ---- time ---- */

static bool alarm_matches(const struct rtc_state *s, uint64_t tod)
{
    const uint8_t *ram = s->ram;
    bool is_second =
        ram[RTC_SECONDS_ALARM] >= ALARM_ANY || ram[RTC_SECONDS_ALARM] == encode(s, tod % 60);
    bool is_minute =
        ram[RTC_MINUTES_ALARM] >= ALARM_ANY || ram[RTC_MINUTES_ALARM] == encode(s, tod / 60 % 60);
    bool is_hour = ram[RTC_HOURS_ALARM] >= ALARM_ANY ||
                   ram[RTC_HOURS_ALARM] == encode_hours(s, (unsigned)(tod / 3600));
    return is_second && is_minute && is_hour;
}

/* n updates happen: the date moves, alarms of the seconds passed are seen. */
static void advance(struct rtc_state *s, uint64_t n)
{
    struct date d;
    s->ram[RTC_REG_C] |= C_UF;
    if (!read_date(s, &d))
        return;
    uint64_t steps = n < SECONDS_PER_DAY ? n : SECONDS_PER_DAY; /* a day holds every time of day */
    for (uint64_t i = 1; i <= steps && !(s->ram[RTC_REG_C] & C_AF); i++)
        if (alarm_matches(s, (d.tod + i) % SECONDS_PER_DAY))
            s->ram[RTC_REG_C] |= C_AF;
    uint64_t days = (d.tod + n) / SECONDS_PER_DAY;
    d.tod = (uint32_t)((d.tod + n) % SECONDS_PER_DAY);
    d.day += days;
    s->ram[RTC_DAY_OF_WEEK] = encode(s, (decode(s, s->ram[RTC_DAY_OF_WEEK]) + 6u + days) % 7 + 1);
    write_date(s, &d);
}

/* Bits of the 32768 Hz chain below the periodic rate, or 0 for none: "Periodic Interrupt
 * Selection". */
static unsigned rate_shift(const struct rtc_state *s)
{
    unsigned rs = s->ram[RTC_REG_A] & A_RS;
    if (rs == 0)
        return 0;
    return rs < 3 ? rs + 6 : rs - 1;
}

static bool is_divider_held(const struct rtc_state *s)
{
    return (s->ram[RTC_REG_A] & A_DV_RESET) == A_DV_RESET;
}

static uint64_t periods_at(const struct rtc_state *s, vtime now)
{
    if (now <= s->divider_start || is_divider_held(s) || !rate_shift(s))
        return 0;
    return clock_cycles(CRYSTAL_HZ, now - s->divider_start) >> rate_shift(s);
}

static void sync(struct rtc *rtc, vtime now)
{
    struct rtc_state *s = &rtc->s;
    uint64_t periods = periods_at(s, now);
    if (periods != s->periods_seen)
        s->ram[RTC_REG_C] |= C_PF;
    s->periods_seen = periods;
    if (s->next_update > now)
        return;
    uint64_t n = (now - s->next_update) / NS_PER_SECOND + 1;
    s->next_update = add_sat_u64(s->next_update, n * NS_PER_SECOND);
    if (!(s->ram[RTC_REG_B] & B_SET))
        advance(s, n);
}

/* The next moment at which an enabled flag can rise. Flags that are up already need no event. */
static vtime next_interrupt(const struct rtc_state *s, vtime now)
{
    uint8_t missing = s->ram[RTC_REG_B] & ~s->ram[RTC_REG_C];
    vtime when = VTIME_NEVER;
    if (missing & (B_AIE | B_UIE) && !(s->ram[RTC_REG_B] & B_SET))
        when = s->next_update;
    if (missing & B_PIE && rate_shift(s) && !is_divider_held(s)) {
        uint64_t cycles = (periods_at(s, now) + 1) << rate_shift(s);
        vtime period = add_sat_u64(s->divider_start, clock_when(CRYSTAL_HZ, cycles));
        when = period < when ? period : when;
    }
    return when;
}

static bool is_interrupting(const struct rtc_state *s)
{
    return s->ram[RTC_REG_B] & s->ram[RTC_REG_C] &
           (B_PIE | B_AIE | B_UIE); /* the same bit positions */
}

static void update(struct rtc *rtc, vtime now)
{
    bool level = is_interrupting(&rtc->s);
    event_arm(&rtc->alarm, next_interrupt(&rtc->s, now));
    if (level == rtc->s.irq_level)
        return;
    rtc->s.irq_level = level;
    irq_set(&rtc->irq, level);
}

static void alarm(void *opaque, vtime now)
{
    struct rtc *rtc = opaque;
    sync(rtc, now);
    update(rtc, now);
}

/* ---- registers ---- */

static void write_a(struct rtc_state *s, uint8_t v, vtime now)
{
    bool was_held = is_divider_held(s);
    s->ram[RTC_REG_A] = v & (uint8_t)~A_UIP;
    if (is_divider_held(s)) {
        s->next_update = VTIME_NEVER;
    } else if (was_held) {
        s->divider_start = now;
        s->next_update = add_sat_u64(now, FIRST_UPDATE_NS);
    }
    s->periods_seen = periods_at(s, now);
}

static void write_data(struct rtc *rtc, uint8_t v)
{
    struct rtc_state *s = &rtc->s;
    vtime now = event_now(rtc->queue);
    uint8_t index = s->index & 0x7f;
    sync(rtc, now);
    switch (index) {
    case RTC_REG_A:
        write_a(s, v, now);
        break;
    case RTC_REG_B:
        s->ram[RTC_REG_B] = v & B_SET ? v & (uint8_t)~B_UIE : v; /* "SET ... clears UIE" */
        break;
    case RTC_REG_C:
    case RTC_REG_D:
        break;
    default:
        s->ram[index] = v;
        break;
    }
    update(rtc, now);
}

static uint8_t read_data(struct rtc *rtc)
{
    struct rtc_state *s = &rtc->s;
    vtime now = event_now(rtc->queue);
    uint8_t index = s->index & 0x7f, v;
    sync(rtc, now);
    switch (index) {
    case RTC_REG_A: {
        bool is_updating = !(s->ram[RTC_REG_B] & B_SET) && s->next_update - now <= UIP_NS;
        return (uint8_t)(s->ram[RTC_REG_A] | (is_updating ? A_UIP : 0));
    }
    case RTC_REG_C: /* reading clears every flag and releases IRQ */
        v = (uint8_t)(s->ram[RTC_REG_C] | (is_interrupting(s) ? C_IRQF : 0));
        s->ram[RTC_REG_C] = 0;
        update(rtc, now);
        return v;
    default:
        return s->ram[index];
    }
}

static uint64_t ports_read(void *opaque, uint64_t offset, UNUSED unsigned width)
{
    return offset & 1 ? read_data(opaque) : 0xff;
}

static void ports_write(void *opaque, uint64_t offset, UNUSED unsigned width, uint64_t v)
{
    struct rtc *rtc = opaque;
    if (offset & 1)
        write_data(rtc, (uint8_t)v);
    else
        rtc->s.index = (uint8_t)v;
}

bool rtc_masks_nmi(const struct rtc *rtc)
{
    return rtc->s.index & 0x80;
}

void rtc_cmos_set(struct rtc *rtc, uint8_t index, uint8_t v)
{
    if (index >= FIRST_RAM && index < sizeof(rtc->s.ram))
        rtc->s.ram[index] = v;
}

uint8_t rtc_cmos_get(const struct rtc *rtc, uint8_t index)
{
    return index >= FIRST_RAM && index < sizeof(rtc->s.ram) ? rtc->s.ram[index] : 0;
}

/* ---- life ---- */

/* "RESET": interrupts off; clock, calendar and RAM live on the battery. */
static void reset(void *opaque)
{
    struct rtc *rtc = opaque;
    vtime now = event_now(rtc->queue);
    sync(rtc, now);
    rtc->s.index = 0;
    rtc->s.ram[RTC_REG_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->s.ram[RTC_REG_C] = 0;
    update(rtc, now);
}

static int after_load(void *opaque, struct err *err)
{
    struct rtc *rtc = opaque;
    const struct rtc_state *s = &rtc->s;
    if (s->ram[RTC_REG_A] & A_UIP || s->ram[RTC_REG_C] & ~(C_PF | C_AF | C_UF) ||
        s->ram[RTC_REG_D] != D_VRT)
        return err_set(err, EINVAL, "real-time clock: impossible register value");
    if (is_divider_held(s) && s->next_update != VTIME_NEVER)
        return err_set(err, EINVAL, "real-time clock: updates are due while the divider is held");
    event_arm(&rtc->alarm, next_interrupt(s, event_now(rtc->queue)));
    return 0;
}

const struct device_ops rtc_ops = {
    .name = "rtc",
    .doc = "Motorola MC146818A clock and CMOS RAM",
    .size = sizeof(struct rtc),
    .fields = rtc_state_fields,
    .version = 1,
    .reset = reset,
    .after_load = after_load,
};

void rtc_init(struct rtc *rtc, struct event_queue *queue, uint64_t base_seconds,
              struct trace *trace)
{
    *rtc = (struct rtc){.queue = queue, .trace = trace};
    event_register(queue, &rtc->alarm, "rtc", 0, alarm, rtc);
    rtc->ports = (struct io_region){.name = "rtc",
                                    .base = 0x70,
                                    .size = 2,
                                    .widths = W8,
                                    .read = ports_read,
                                    .write = ports_write,
                                    .opaque = rtc,
                                    .enabled = true};
    struct rtc_state *s = &rtc->s;
    vtime now = event_now(queue);
    s->ram[RTC_REG_A] = A_RESET;
    s->ram[RTC_REG_B] = B_24H;
    s->ram[RTC_REG_D] = D_VRT;
    s->divider_start = now;
    s->next_update = add_sat_u64(now, NS_PER_SECOND);
    uint64_t days = base_seconds / SECONDS_PER_DAY;
    struct date d = {.day = days_of(1970, 1, 1) + days,
                     .tod = (uint32_t)(base_seconds % SECONDS_PER_DAY)};
    s->ram[RTC_DAY_OF_WEEK] = encode(s, (days + 4) % 7 + 1); /* 1970-01-01 was a Thursday */
    write_date(s, &d);
}
