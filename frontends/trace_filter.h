/* SPDX-License-Identifier: MIT */
/* Which steps of a trace are shown: -address, -symbol, -mode, -reason, -vcpu. All that are given must agree. */
#pragma once

#include "frontends/symbols.h"
#include "frontends/trace_options.h"

/* Names of -address to their addresses. -EINVAL and err: there are no symbols, or none of that name. */
int trace_filter_resolve(struct trace_options *o, const struct symbols *symbols, struct err *err);

bool trace_filter_shows(const struct trace_options *o, const struct symbols *symbols, const struct trapline_step *s);
