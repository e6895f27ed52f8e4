/* SPDX-License-Identifier: MIT */
/*
 * The performance-monitoring registers as rows of cpu/msr.def see them: each answers false for
 * #GP(0) and then has changed nothing. Included by msr.c. What they mean is in cpu/pmu.h.
 */
#pragma once

#include "cpu/vcpu.h"

bool read_pmu_general(struct vcpu *vcpu, uint32_t msr, uint64_t *v); /* IA32_PMCx, IA32_A_PMCx */
bool write_pmu_general(struct vcpu *vcpu, uint32_t msr, uint64_t v); /* IA32_PMCx */
bool write_pmu_general_full(struct vcpu *vcpu, uint32_t msr, uint64_t v); /* IA32_A_PMCx */
bool read_pmu_fixed(struct vcpu *vcpu, uint32_t msr, uint64_t *v);        /* IA32_FIXED_CTRx */
bool write_pmu_fixed(struct vcpu *vcpu, uint32_t msr, uint64_t v);        /* the same */
bool read_pmu_eventsel(struct vcpu *vcpu, uint32_t msr, uint64_t *v);     /* IA32_PERFEVTSELx */
bool write_pmu_eventsel(struct vcpu *vcpu, uint32_t msr, uint64_t v);     /* the same */
bool read_pmu_fixed_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t *v);   /* IA32_FIXED_CTR_CTRL */
bool write_pmu_fixed_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t v);   /* the same */
bool read_pmu_global_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t *v); /* IA32_PERF_GLOBAL_CTRL */
bool write_pmu_global_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t v); /* the same */
bool read_pmu_status(struct vcpu *vcpu, uint32_t msr, uint64_t *v);      /* ..._GLOBAL_STATUS */
bool read_pmu_ovf_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t *v);    /* ..._GLOBAL_OVF_CTRL */
bool write_pmu_ovf_ctrl(struct vcpu *vcpu, uint32_t msr, uint64_t v);    /* the same */
bool read_pmu_capabilities(struct vcpu *vcpu, uint32_t msr,
                           uint64_t *v); /* IA32_PERF_CAPABILITIES */
