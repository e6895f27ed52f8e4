/* SPDX-License-Identifier: MIT */
/* -virt POLICY[,KEY=VALUE...]: who does what of sensitive instructions. */
#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "frontends/options.h"
#include "frontends/values.h"

#define VIRT_HINT                                                                                                       \
    "bt, pv or classic; pv takes time-step=NS, time-reads=N, revoke=FEATURE[+FEATURE]@NS: -virt pv,time-step=1000; "      \
    "classic takes ring=1|3, faults=reflect|emulate: -virt classic,ring=3"

static bool virt_policy(struct trapline_virt *v, const char *word)
{
    static const char *const policies[] = {
        [TRAPLINE_POLICY_BT] = "bt", [TRAPLINE_POLICY_PV] = "pv", [TRAPLINE_POLICY_CLASSIC] = "classic"};
    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
        if (strcmp(word, policies[i]) == 0) {
            *v = (struct trapline_virt){.policy = (enum trapline_policy)i};
            return true;
        }
    }
    return false;
}

/* FEATURE[+FEATURE]@NS */
static bool virt_revocation(struct trapline_virt *v, const char *text)
{
    const char *at = strchr(text, '@');
    v->revoke = 0;
    while (at && text < at) {
        size_t n = strcspn(text, "+@");
        unsigned i = 0;
        for (; trapline_pv_feature(i); i++)
            if (strlen(trapline_pv_feature(i)) == n && strncmp(trapline_pv_feature(i), text, n) == 0)
                break;
        if (!trapline_pv_feature(i))
            return false;
        v->revoke |= 1u << i;
        text += n + (text[n] == '+');
    }
    return at && v->revoke && parse_number(at + 1, &v->revoke_at);
}

static bool classic_key(struct trapline_virt *v, const struct piece *p)
{
    bool is_one = strcmp(p->value, "1") == 0, is_emulate = strcmp(p->value, "emulate") == 0;
    if (strcmp(p->key, "ring") == 0 && (is_one || strcmp(p->value, "3") == 0)) {
        v->ring = is_one ? 1 : 3;
        return true;
    }
    if (strcmp(p->key, "faults") == 0 && (is_emulate || strcmp(p->value, "reflect") == 0)) {
        v->emulates_faults = is_emulate;
        return true;
    }
    return false;
}

/* KEY=VALUE of the policy. */
static bool virt_key(struct trapline_virt *v, const struct piece *p)
{
    if (v->policy == TRAPLINE_POLICY_CLASSIC)
        return classic_key(v, p);
    if (v->policy != TRAPLINE_POLICY_PV)
        return false;
    if (strcmp(p->key, "time-step") == 0)
        return parse_number(p->value, &v->time_step) && v->time_step <= TRAPLINE_TIME_STEP_MAX;
    if (strcmp(p->key, "time-reads") == 0)
        return parse_number(p->value, &v->time_reads) && v->time_reads <= UINT32_MAX;
    return strcmp(p->key, "revoke") == 0 && virt_revocation(v, p->value);
}

/* POLICY[,KEY=VALUE]... */
int option_virt(struct options *o, const char *argument, struct err *err)
{
    const char *rest = argument;
    struct piece p;
    bool is_known = false;
    for (bool is_first = true; next_piece(&rest, &p); is_first = false) {
        is_known = is_first ? !p.has_value && virt_policy(&o->config.virt, p.key) : p.has_value && virt_key(&o->config.virt, &p);
        if (!is_known)
            break;
    }
    return is_known ? 0 : bad_value(err, argument, VIRT_HINT);
}
