/* SPDX-License-Identifier: MIT */
#include "frontends/lab_guest.h"

#include "frontends/run.h"

enum { MEMORY = 32 << 20, TICKS_MAX = 500000000 };

struct trapline_config lab_guest_config(const unsigned char *image, size_t size,
                                        void (*debugcon)(void *opaque, uint8_t byte), void *opaque)
{
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    config.memory = MEMORY;
    config.kernel = (struct trapline_file){.path = "guest", .data = image, .size = size};
    config.max_ticks = TICKS_MAX;
    config.no_reboot = true;
    config.debug_exit_base = 0xf4;
    config.debug_exit_size = 4;
    config.debugcon = debugcon;
    config.debugcon_opaque = opaque;
    return config;
}

int lab_guests_check(void)
{
    if (lab_walks64_size != 0)
        return 0;
    return report_error("this trapline was built without the guests of the labs",
                        "build it where there is a gcc for x86");
}

int lab_guest_create(const struct trapline_config *config, struct trapline_machine **m)
{
    struct trapline_error e;
    return trapline_create(config, m, &e) < 0 ? report_error(e.text, e.hint) : 0;
}

int lab_guest_failed(const struct trapline_stop *stop, const char *hint)
{
    return report_error("the guest of the lab failed", hint[0] ? hint : trapline_reason_text(stop->reason));
}

int lab_guest_run(const struct trapline_config *config, struct trapline_machine **m)
{
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    int status = lab_guest_create(config, m);
    if (status)
        return status;
    trapline_run(*m, UINT64_MAX, &stop);
    trapline_destroy(*m);
    *m = NULL;
    return stop.reason == TRAPLINE_STOP_DEBUG_EXIT && stop.code == 0 ? 0 : lab_guest_failed(&stop, "");
}
