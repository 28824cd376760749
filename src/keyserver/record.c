/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A decision as JSON: who asked, with what, and what was decided. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "attest/attest_int.h"
#include "attest/der.h"
#include "keyserver/conn.h"
#include "keyserver/log.h"

static void add_quote(json_t *o, const struct adyton_quote *quote)
{
    const struct adyton_quote_info *q = &quote->info;
    uint8_t digest[32];
    json_object_set_new(o, "mrenclave", ks_json_hex(q->mrenclave, 32));
    json_object_set_new(o, "mrsigner", ks_json_hex(q->mrsigner, 32));
    json_object_set_new(o, "isv_prod_id", json_integer(q->isv_prod_id));
    json_object_set_new(o, "isv_svn", json_integer(q->isv_svn));
    json_object_set_new(o, "debug", json_boolean(q->attribute_flags & ADYTON_SGX_FLAG_DEBUG));
    if (EVP_Digest(quote->bytes, quote->size, digest, NULL, EVP_sha256(), NULL))
        json_object_set_new(o, "quote_sha256", ks_json_hex(digest, 32));
}

static void add_verdict(json_t *o, const adyton_verdict *v)
{
    char text[24];
    json_object_set_new(o, "verdict", json_string(adyton_verdict_word(v)));
    json_object_set_new(o, "verified", json_boolean(!v->code));
    if (v->tcb_date) {
        time_to_iso(v->tcb_date, text);
        text[10] = 0;
        json_object_set_new(o, "tcb_date", json_string(text));
        json_object_set_new(o, "evaluation_number", json_integer(v->evaluation_number));
    }
    if (v->advisory_count) {
        json_t *list = json_array();
        for (size_t i = 0; i < v->advisory_count && i < 64; i++)
            json_array_append_new(list, ks_json_text(v->advisories[i]));
        json_object_set_new(o, "advisories", list);
    }
    json_object_set_new(o, "fmspc", ks_json_hex(v->fmspc, 6));
    json_object_set_new(o, "ppid", ks_json_hex(v->ppid, 16));
    json_object_set_new(o, "root",
                        v->trusted_root == ADYTON_ROOT_INTEL    ? json_string("Intel")
                        : v->trusted_root == ADYTON_ROOT_CUSTOM ? json_string("not Intel's")
                                                                : json_null());
}

json_t *ks_record(const struct ks_conn *c, const char *event)
{
    const struct ks_decision *d = &c->decision;
    char id[20], when[32];
    snprintf(id, sizeof(id), "%016llx", (unsigned long long)c->id);
    ks_time_text(when);
    json_t *o = json_pack("{s:s,s:s,s:s,s:o}", "event", event, "time", when, "id", id, "peer",
                          ks_json_text(c->peer));
    if (!o)
        return NULL;
    if (d->secret)
        json_object_set_new(o, "secret", ks_json_text(d->secret->name));
    json_object_set_new(o, "code", json_string(d->code ? d->code : "?"));
    if (d->reason[0])
        json_object_set_new(o, "reason", ks_json_text(d->reason));
    if (d->line)
        json_object_set_new(o, "policy_line", json_integer(d->line));
    if (c->config)
        json_object_set_new(o, "policy", json_string(c->config->policy->digest));
    if (c->quote)
        add_quote(o, c->quote);
    if (c->verdict)
        add_verdict(o, c->verdict);
    return o;
}
