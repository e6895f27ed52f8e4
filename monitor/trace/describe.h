/* SPDX-License-Identifier: MIT */
/*
 * What an instruction or event is, in the words of a trace: its bytes, its class, its flow, what it changed. Called by the
 * tracer; changes nothing.
 */
#pragma once

#include "monitor/machine.h"
#include "monitor/trapline.h"

/* Bytes at RIP, as many as can be read up to `most`, which is at most a page; no access is made that a guest could see. */
size_t describe_code(struct vcpu *vcpu, uint64_t rip, uint8_t *bytes, size_t most);

/* The instruction at the front of n bytes, for the vCPU's mode. False: none. */
bool describe_decode(const struct vcpu *vcpu, const uint8_t *bytes, size_t n, struct insn *in);

enum trapline_cpu_mode describe_mode(const struct cpu *cpu);
enum decode_mode describe_code_size(enum trapline_cpu_mode mode);

/* Kinds of transfer by op; NEXT for all others. */
enum trapline_flow describe_flow(unsigned op);

/* Name, class and flow of an instruction. It went on elsewhere if is_taken. */
void describe_insn(struct trapline_step *s, const struct insn *in, bool is_taken);

/* A port or MSR that it named, and the value: before is the state it began with, after what it left. */
void describe_value(struct trapline_step *s, const struct insn *in, const struct cpu *before, const struct cpu *after);

/* What differs: at most `most` of them into changes; how many. */
unsigned describe_changes(const struct cpu *before, const struct cpu *after, struct trapline_change *changes, unsigned most);
