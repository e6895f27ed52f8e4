/* SPDX-License-Identifier: MIT */
/*
 * Motorola MC146818A real-time clock and CMOS RAM at 70h-71h. The board gives it the date at power
 * on (never the host's clock), fills the firmware's bytes and connects IRQ 8. Owns 128 bytes and
 * the time chain, brought up to date when looked at; an event exists only while an enabled
 * interrupt is ahead.
 */
#pragma once

#include "devices/device.h"

enum {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_DAY_OF_WEEK = 0x06, /* Sunday is 1 */
    RTC_DATE_OF_MONTH = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_REG_A = 0x0a,
    RTC_REG_B = 0x0b,
    RTC_REG_C = 0x0c,
    RTC_REG_D = 0x0d,
    RTC_CENTURY = 0x32, /* as FADT.CENTURY says */
};

#define RTC_STATE(ONE, ARR, S)                                                                     \
    ONE(S, uint8_t, index, "address latch, written through port 70h; bit 7 masks NMI")             \
    ARR(S, uint8_t, ram, 128, "CMOS bytes 00h-7Fh; 00h-0Dh are registers")                         \
    ONE(S, vtime, next_update, "virtual ns of the next update; all ones: the divider is held")     \
    ONE(S, vtime, divider_start, "virtual ns at which the divider chain was started")              \
    ONE(S, uint64_t, periods_seen, "periods of the divider accounted in PF")                       \
    ONE(S, bool, irq_level, "IRQ as last driven")
STATE_STRUCT(rtc_state, RTC_STATE);

struct rtc {
    struct rtc_state s;        /* first: all the guest can observe */
    struct irq_line irq;       /* wiring: set by the board to IRQ 8 */
    struct event_queue *queue; /* wiring: borrowed */
    struct event alarm;        /* wiring: next moment at which an enabled flag can rise */
    struct trace *trace;       /* wiring: may be NULL */
    struct io_region ports;    /* 70h-71h */
};

extern const struct device_ops rtc_ops;

/* Power on at base_seconds (since 1970-01-01 00:00:00 UTC, kept up to the year 9999), 24-hour BCD.
 */
void rtc_init(struct rtc *rtc, struct event_queue *queue, uint64_t base_seconds,
              struct trace *trace);

/* The board's view of battery-backed bytes: no side effects. index is 0Eh-7Fh; others are ignored
 * and read 0. */
void rtc_cmos_set(struct rtc *rtc, uint8_t index, uint8_t v);
uint8_t rtc_cmos_get(const struct rtc *rtc, uint8_t index);

/* Bit 7 of port 70h: NMI is masked. */
bool rtc_masks_nmi(const struct rtc *rtc);
