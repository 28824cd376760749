/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What stands in a quote, as text and as JSON: one list of fields for both. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "cli/attest_commands.h"

struct printer {
    FILE *out;
    bool json, msb, first;
    int indent;
};

static void field_name(struct printer *p, const char *name)
{
    if (p->json)
        fprintf(p->out, "%s%*s\"%s\": ", p->first ? "" : ",\n", p->indent, "", name);
    else
        fprintf(p->out, "%-26s: ", name);
    p->first = false;
}

static void field_bytes(struct printer *p, const char *name, const uint8_t *data, size_t len)
{
    if (!data)
        return;
    field_name(p, name);
    if (p->json)
        fputc('"', p->out);
    for (size_t i = 0; i < len; i++)
        fprintf(p->out, "%02x", data[p->msb ? len - 1 - i : i]);
    fputs(p->json ? "\"" : "\n", p->out);
}

static void field_number(struct printer *p, const char *name, uint64_t value)
{
    field_name(p, name);
    fprintf(p->out, p->json ? "%" PRIu64 : "%" PRIu64 "\n", value);
}

/* 64-bit masks are no numbers to JSON readers; they are shown as the bytes in memory. */
static void field_mask(struct printer *p, const char *name, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    field_bytes(p, name, bytes, 8);
}

static void field_flag(struct printer *p, const char *name, bool value)
{
    field_name(p, name);
    fprintf(p->out, p->json ? "%s" : "%s\n", value ? "true" : "false");
}

static void field_text(struct printer *p, const char *name, const char *value)
{
    field_name(p, name);
    fprintf(p->out, p->json ? "\"%s\"" : "%s\n", value);
}

/* The names of the first quotes, where a version 3 header has other contents at their place. */
static void print_header_v3(struct printer *p, const struct adyton_quote_info *info)
{
    const uint8_t *header = info->signed_part.data;
    field_number(p, "version", info->version);
    field_number(p, "sign_type", info->key_type);
    field_bytes(p, "epid_group_id", header + 4, 4);
    field_number(p, "qe_svn", info->qe_svn);
    field_number(p, "pce_svn", info->pce_svn);
    field_bytes(p, "xeid", header + 12, 4);
    field_bytes(p, "basename", header + 16, 32);
}

static void print_header(struct printer *p, const struct adyton_quote_info *info)
{
    if (info->version == 3 && !p->json) {
        print_header_v3(p, info);
        return;
    }
    field_number(p, "version", info->version);
    field_text(p, "tee", info->tee == ADYTON_TEE_TDX ? "TDX" : "SGX");
    field_number(p, "sign_type", info->key_type);
    field_number(p, "body_type", info->body_type);
    field_number(p, "qe_svn", info->qe_svn);
    field_number(p, "pce_svn", info->pce_svn);
    field_bytes(p, "qe_vendor_id", info->vendor_id, 16);
    field_bytes(p, "user_data", info->user_data, 20);
}

static void print_sgx(struct printer *p, const struct adyton_quote_info *info)
{
    field_bytes(p, "cpu_svn", info->cpu_svn, 16);
    field_number(p, "misc_select", info->misc_select);
    field_bytes(p, "isv_ext_prod_id", info->isv_ext_prod_id, 16);
    field_mask(p, "attributes.flags", info->attribute_flags);
    field_mask(p, "attributes.xfrm", info->attribute_xfrm);
    if (p->json)
        field_flag(p, "debug", info->attribute_flags & ADYTON_SGX_FLAG_DEBUG);
    field_bytes(p, p->json ? "mrenclave" : "mr_enclave", info->mrenclave, 32);
    field_bytes(p, p->json ? "mrsigner" : "mr_signer", info->mrsigner, 32);
    field_bytes(p, "config_id", info->config_id, 64);
    field_number(p, "isv_prod_id", info->isv_prod_id);
    field_number(p, "isv_svn", info->isv_svn);
    field_number(p, "config_svn", info->config_svn);
    field_bytes(p, "isv_family_id", info->isv_family_id, 16);
}

static void print_tdx(struct printer *p, const struct adyton_quote_info *info)
{
    static const char *const rtmr[] = {"rtmr0", "rtmr1", "rtmr2", "rtmr3"};
    field_bytes(p, "tee_tcb_svn", info->tee_tcb_svn, 16);
    field_bytes(p, "mrseam", info->mrseam, 48);
    field_bytes(p, "mrsignerseam", info->mrsigner_seam, 48);
    field_bytes(p, "seam_attributes", info->seam_attributes, 8);
    field_bytes(p, "td_attributes", info->td_attributes, 8);
    if (p->json)
        field_flag(p, "debug", info->td_attributes[0] & 1);
    field_bytes(p, "xfam", info->xfam, 8);
    field_bytes(p, "mrtd", info->mrtd, 48);
    field_bytes(p, "mrconfigid", info->mrconfigid, 48);
    field_bytes(p, "mrowner", info->mrowner, 48);
    field_bytes(p, "mrownerconfig", info->mrownerconfig, 48);
    for (int i = 0; i < 4; i++)
        field_bytes(p, rtmr[i], info->rtmr[i], 48);
    field_bytes(p, "tee_tcb_svn2", info->tee_tcb_svn2, 16);
    field_bytes(p, "mrservicetd", info->mrservicetd, 48);
}

static void print_fields(struct printer *p, const struct adyton_quote_info *info)
{
    const uint8_t *signature = info->signed_part.data + info->signed_part.size + 4;
    size_t size = info->size - info->signed_part.size - 4;
    print_header(p, info);
    if (info->tee == ADYTON_TEE_TDX)
        print_tdx(p, info);
    else
        print_sgx(p, info);
    field_bytes(p, "report_data", info->report_data, 64);
    if (p->json) {
        field_number(p, "certification_type", info->certification_type);
        field_number(p, "trailing_bytes", info->trailing);
    }
    field_number(p, "signature_size", size);
    if (!p->json)
        field_bytes(p, "signature", signature, size);
}

void quote_print_text(FILE *out, const struct adyton_quote_info *info, int msb)
{
    struct printer p = {.out = out, .msb = msb};
    print_fields(&p, info);
}

void quote_print_json(FILE *out, const struct adyton_quote_info *info, int indent)
{
    struct printer p = {.out = out, .json = true, .first = true, .indent = indent};
    print_fields(&p, info);
}
