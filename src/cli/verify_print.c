/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A verdict as text and as JSON. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "attest/der.h"
#include "cli/attest_commands.h"

/* Any bytes as a JSON string: what is not plain ASCII is escaped, byte by byte. */
static void json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void member(FILE *out, const char *name, const char *text)
{
    fprintf(out, ",\n    \"%s\": ", name);
    if (text)
        json_string(out, text);
    else
        fputs("null", out);
}

static const char *status_or_null(int status)
{
    return status ? adyton_tcb_status_name(status) : NULL;
}

static void json_items(FILE *out, const char *name, unsigned bits)
{
    bool first = true;
    fprintf(out, ",\n    \"%s\": [", name);
    for (unsigned bit = 1; bit <= ADYTON_DATED_QE_IDENTITY; bit <<= 1) {
        if (!(bits & bit))
            continue;
        fputs(first ? "" : ", ", out);
        json_string(out, adyton_dated_item_name(bit));
        first = false;
    }
    fputs("]", out);
}

static void json_hex_member(FILE *out, const char *name, const uint8_t *data, size_t len)
{
    char text[129];
    for (size_t i = 0; data && i < len; i++)
        sprintf(text + 2 * i, "%02x", data[i]);
    member(out, name, data ? text : NULL);
}

static void json_verdict(FILE *out, const adyton_verdict *v)
{
    /* Revocation lists from the future count as expired, as they do elsewhere. */
    const unsigned lists = ADYTON_DATED_ROOT_CRL | ADYTON_DATED_PCK_CRL;
    char text[24];
    member(out, "qe_status", status_or_null(v->qe_status));
    member(out, "platform_status", status_or_null(v->platform_status));
    member(out, "module_status", status_or_null(v->module_status));
    member(out, "current_status", status_or_null(v->current_status));
    time_to_iso(v->tcb_date, text);
    member(out, "tcb_date", v->tcb_date ? text : NULL);
    fprintf(out, ",\n    \"tcb_evaluation_data_number\": %" PRIu32, v->evaluation_number);
    fputs(",\n    \"advisories\": [", out);
    for (size_t i = 0; i < v->advisory_count; i++) {
        fputs(i ? ", " : "", out);
        json_string(out, v->advisories[i]);
    }
    fputs("]", out);
    fprintf(out, ",\n    \"collateral_expired\": %s",
            v->expired || v->not_yet_valid & lists ? "true" : "false");
    json_items(out, "expired_items", v->expired);
    json_items(out, "not_yet_valid_items", v->not_yet_valid);
    time_to_iso(v->earliest_expiration, text);
    member(out, "earliest_expiration", v->earliest_expiration ? text : NULL);
    time_to_iso(v->at, text);
    member(out, "verified_at", text);
    member(out, "trusted_root",
           v->trusted_root == ADYTON_ROOT_INTEL    ? "intel"
           : v->trusted_root == ADYTON_ROOT_CUSTOM ? "custom"
                                                   : NULL);
    json_hex_member(out, "fmspc", v->fmspc, 6);
    json_hex_member(out, "ppid", v->ppid, 16);
}

void verdict_print_json(FILE *out, const adyton_verdict *v,
                        const struct adyton_attest_error *refused)
{
    fprintf(out, "{\n    \"status\": \"%s\"", v ? adyton_verdict_word(v) : "Error");
    fprintf(out, ",\n    \"accepted\": %s", refused->code ? "false" : "true");
    member(out, "code", adyton_attest_code_name(refused->code));
    member(out, "error", refused->code ? refused->text : NULL);
    if (v) {
        json_verdict(out, v);
        fputs(",\n", out);
        quote_print_json(out, v->quote, 4);
    } else {
        fputs(",\n    \"qe_status\": null,\n    \"tcb_date\": null,\n    \"advisories\": [],\n"
              "    \"collateral_expired\": false,\n    \"expired_items\": []",
              out);
    }
    fputs("\n}\n", out);
}

static void text_items(FILE *out, const char *what, unsigned bits)
{
    bool first = true;
    for (unsigned bit = 1; bit <= ADYTON_DATED_QE_IDENTITY; bit <<= 1) {
        if (!(bits & bit))
            continue;
        fprintf(out, "%s%s", first ? what : ", ", adyton_dated_item_name(bit));
        first = false;
    }
    if (!first)
        fputc('\n', out);
}

static void text_bytes(FILE *out, const char *name, const uint8_t *data, size_t len)
{
    if (!data)
        return;
    fprintf(out, "%-20s", name);
    for (size_t i = 0; i < len; i++)
        fprintf(out, "%02x", data[i]);
    fputc('\n', out);
}

void verdict_print_text(FILE *out, const adyton_verdict *v)
{
    const struct adyton_quote_info *q = v->quote;
    char text[24];
    fprintf(out, "%-20s%s\n", "status", adyton_verdict_word(v));
    if (v->qe_status)
        fprintf(out, "%-20s%s\n", "qe status", adyton_tcb_status_name(v->qe_status));
    if (v->tcb_date) {
        time_to_iso(v->tcb_date, text);
        fprintf(out, "%-20s%.10s (evaluation %" PRIu32 ")\n", "tcb date", text,
                v->evaluation_number);
    }
    for (size_t i = 0; i < v->advisory_count; i++)
        fprintf(out, "%-20s%s\n", i ? "" : "advisories", v->advisories[i]);
    text_items(out, "expired             ", v->expired);
    text_items(out, "not valid yet       ", v->not_yet_valid);
    if (v->trusted_root)
        fprintf(out, "%-20s%s\n", "root of trust",
                v->trusted_root == ADYTON_ROOT_INTEL ? "Intel" : "not Intel's");
    text_bytes(out, "fmspc", v->fmspc, 6);
    text_bytes(out, "mrenclave", q->mrenclave, 32);
    text_bytes(out, "mrsigner", q->mrsigner, 32);
    text_bytes(out, "mrtd", q->mrtd, 48);
    if (q->tee == ADYTON_TEE_SGX)
        fprintf(out, "%-20s%u, svn %u%s\n", "product id", q->isv_prod_id, q->isv_svn,
                q->attribute_flags & ADYTON_SGX_FLAG_DEBUG ? ", DEBUG" : "");
    text_bytes(out, "report data", q->report_data, 64);
}
