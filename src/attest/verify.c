/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Verification, in this order, up to the first failure: PCK chain, revocation lists, TCB info and
 * QE identity with their chains, then the quote itself: what the collateral is about, TDX module,
 * QE report, QE identity, quote signature, TCB levels. Expiry never fails; it is noted.
 */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "attest/collateral.h"
#include "attest/fetch.h"
#include "attest/verdict.h"

/* One verification in the making. */
struct work {
    struct session s;
    struct verdict *v;
    const struct adyton_quote_info *quote;
    const adyton_collateral *collateral;
    const struct chain *pck_chain;
    const struct crl *root_crl, *pck_crl;
    const struct tcb_info *tcb;
    const struct identity *identity;
    const struct tdx_module *module; /* with levels of its own, or NULL */
};

static struct adyton_bytes item(const struct work *w, int which)
{
    return adyton_collateral_get(w->collateral, which);
}

/* Type 4: the certificate as PEM or DER. */
static int leaf_to_der(struct work *w, uint8_t **data, size_t *size)
{
    const char *text = (const char *)w->quote->certification_data.data;
    size_t left = w->quote->certification_data.size;
    if (*text == DER_SEQUENCE) {
        *data = malloc(left);
        if (!*data)
            return attest_no_memory(w->s.error);
        memcpy(*data, text, left);
        *size = left;
        return 0;
    }
    int found = pem_next(&text, &left, PEM_CERTIFICATES, data, size);
    if (found == -2)
        return attest_no_memory(w->s.error);
    if (found != 1)
        return attest_fail(w->s.error, ADYTON_ATTEST_PCK_CHAIN_FORMAT,
                           "the PCK certificate in the quote is neither PEM nor DER");
    return 0;
}

int verify_pck_chain(struct session *s, const struct adyton_quote_info *quote,
                     const adyton_collateral *collateral, const struct chain **chain,
                     struct pck *pck)
{
    struct work w = {.s = *s, .quote = quote, .collateral = collateral};
    struct adyton_bytes pem = item(&w, ADYTON_COLLATERAL_PCK_CHAIN);
    uint8_t *leaf = NULL;
    size_t leaf_size = 0;
    int err = 0;
    unsigned type = quote->certification_type;
    if (type == 5) {
        pem = quote->certification_data;
    } else if (type == 4) {
        if (!pem.size)
            pem = item(&w, ADYTON_COLLATERAL_PCK_CRL_ISSUER_CHAIN);
        err = leaf_to_der(&w, &leaf, &leaf_size);
    }
    if (!err && !pem.size)
        err = attest_fail(s->error, ADYTON_ATTEST_PCK_CHAIN_MISSING,
                          "the quote has certification data of type %u and no certificate chain; "
                          "pass the platform's PCK certificate chain beside it (pck_chain.pem)",
                          type);
    if (!err)
        err = chain_load(s, CHAIN_PCK, pem, (der){leaf, leaf_size}, chain);
    free(leaf);
    if (!err && !pck_from_cert((*chain)->certs[2], (*chain)->certs[1], pck))
        err = attest_fail(s->error, ADYTON_ATTEST_PCK_EXTENSION,
                          "the SGX extension of the PCK certificate is missing or malformed");
    if (!err && type == 1 && memcmp(quote->certification_data.data, pck->ppid, 16))
        err = attest_fail(s->error, ADYTON_ATTEST_PCK_MISMATCH,
                          "the PCK certificate beside the quote is of another platform");
    return err;
}

static void chain_dated(struct work *w, unsigned bit, const struct chain *chain)
{
    verdict_dated(w->v, bit, chain->not_before, chain->not_after);
}

static int check_pck_chain(struct work *w)
{
    struct pck pck;
    int err = verify_pck_chain(&w->s, w->quote, w->collateral, &w->pck_chain, &pck);
    if (err)
        return err;
    w->v->shown.trusted_root = w->s.verifier->root_kind;
    verdict_pck(w->v, &pck);
    chain_dated(w, ADYTON_DATED_PCK_CHAIN, w->pck_chain);
    return 0;
}

static int check_root_crl(struct work *w)
{
    struct adyton_bytes data = item(w, ADYTON_COLLATERAL_ROOT_CRL);
    int err = crl_load(&w->s, true, data, w->pck_chain->certs[0], &w->root_crl);
    if (err)
        return err;
    verdict_dated(w->v, ADYTON_DATED_ROOT_CRL, w->root_crl->x.this_update,
                  w->root_crl->x.next_update);
    if (x509_crl_lists(&w->root_crl->x, w->pck_chain->certs[1]->x.serial))
        return attest_fail(w->s.error, ADYTON_ATTEST_PCK_CA_REVOKED, "the root CA has revoked '%s'",
                           w->pck_chain->certs[1]->name);
    return 0;
}

/* By the CA of the chain that came with the list, if one did, else by that of the PCK chain. */
static int check_pck_crl(struct work *w)
{
    struct adyton_bytes pem = item(w, ADYTON_COLLATERAL_PCK_CRL_ISSUER_CHAIN);
    const struct cert *leaf = w->pck_chain->certs[2], *issuer = w->pck_chain->certs[1];
    const struct chain *chain = NULL;
    int err = 0;
    if (pem.size)
        err = chain_load(&w->s, CHAIN_PCK_CRL, pem, (der){NULL, 0}, &chain);
    if (!err && chain) {
        issuer = chain->certs[1];
        chain_dated(w, ADYTON_DATED_PCK_CRL_CHAIN, chain);
        if (w->root_crl && x509_crl_lists(&w->root_crl->x, issuer->x.serial))
            err =
                attest_fail(w->s.error, ADYTON_ATTEST_PCK_CRL_CHAIN,
                            "the root CA has revoked '%s', which issued the PCK CRL", issuer->name);
    }
    if (!err)
        err = crl_load(&w->s, false, item(w, ADYTON_COLLATERAL_PCK_CRL), issuer, &w->pck_crl);
    if (err)
        return err;
    if (!same_bytes(w->pck_crl->x.issuer, leaf->x.issuer))
        return attest_fail(
            w->s.error, ADYTON_ATTEST_PCK_CRL_ISSUER,
            "the PCK CRL is that of '%s', but the PCK certificate was issued by '%s'", issuer->name,
            w->pck_chain->certs[1]->name);
    verdict_dated(w->v, ADYTON_DATED_PCK_CRL, w->pck_crl->x.this_update, w->pck_crl->x.next_update);
    if (x509_crl_lists(&w->pck_crl->x, leaf->x.serial))
        return attest_fail(w->s.error, ADYTON_ATTEST_PCK_REVOKED,
                           "the platform's PCK certificate was revoked: its keys are compromised");
    return 0;
}

/* All of it must be there once anything about TCBs is; nothing that is missing counts as good. */
static int check_complete(struct work *w)
{
    static const struct {
        int item, code;
        const char *what, *file;
    } needed[] = {
        {ADYTON_COLLATERAL_ROOT_CRL, ADYTON_ATTEST_ROOT_CRL_MISSING, "root CA's CRL",
         "root_ca_crl.der"},
        {ADYTON_COLLATERAL_PCK_CRL, ADYTON_ATTEST_PCK_CRL_MISSING, "PCK CRL", "pck_crl.der"},
        {ADYTON_COLLATERAL_TCB_INFO, ADYTON_ATTEST_TCB_INFO_MISSING, "TCB info", "tcb_info.json"},
        {ADYTON_COLLATERAL_TCB_INFO_CHAIN, ADYTON_ATTEST_TCB_INFO_CHAIN_MISSING,
         "signing chain of the TCB info", "tcb_signing_chain.pem"},
        {ADYTON_COLLATERAL_QE_IDENTITY, ADYTON_ATTEST_QE_IDENTITY_MISSING, "QE identity",
         "qe_identity.json"},
        {ADYTON_COLLATERAL_QE_IDENTITY_CHAIN, ADYTON_ATTEST_QE_IDENTITY_CHAIN_MISSING,
         "signing chain of the QE identity", "tcb_signing_chain.pem"},
    };
    for (unsigned i = 0; i < COUNT(needed); i++)
        if (!item(w, needed[i].item).size)
            return attest_fail(w->s.error, needed[i].code,
                               "the collateral lacks the %s (%s in a directory)", needed[i].what,
                               needed[i].file);
    return 0;
}

static int check_signer(struct work *w, const struct chain *chain, int code, const char *what)
{
    if (!x509_crl_lists(&w->root_crl->x, chain->certs[1]->x.serial))
        return 0;
    return attest_fail(w->s.error, code, "the root CA has revoked the signer of the %s", what);
}

static int load_tcb_info(struct work *w)
{
    const struct chain *chain;
    int err = chain_load(&w->s, CHAIN_TCB_INFO, item(w, ADYTON_COLLATERAL_TCB_INFO_CHAIN),
                         (der){NULL, 0}, &chain);
    if (err)
        return err;
    chain_dated(w, ADYTON_DATED_TCB_INFO_CHAIN, chain);
    err = check_signer(w, chain, ADYTON_ATTEST_TCB_INFO_SIGNER_REVOKED, "TCB info");
    if (!err)
        err = tcb_info_load(&w->s, item(w, ADYTON_COLLATERAL_TCB_INFO), chain, &w->tcb);
    if (err)
        return err;
    verdict_dated(w->v, ADYTON_DATED_TCB_INFO, w->tcb->issued, w->tcb->next_update);
    w->v->shown.evaluation_number = w->tcb->evaluation_number;
    return 0;
}

static int load_identity(struct work *w)
{
    const struct chain *chain;
    int err = chain_load(&w->s, CHAIN_QE_IDENTITY, item(w, ADYTON_COLLATERAL_QE_IDENTITY_CHAIN),
                         (der){NULL, 0}, &chain);
    if (err)
        return err;
    chain_dated(w, ADYTON_DATED_QE_IDENTITY_CHAIN, chain);
    err = check_signer(w, chain, ADYTON_ATTEST_QE_IDENTITY_SIGNER_REVOKED, "QE identity");
    if (!err)
        err = identity_load(&w->s, item(w, ADYTON_COLLATERAL_QE_IDENTITY), chain, &w->identity);
    if (err)
        return err;
    verdict_dated(w->v, ADYTON_DATED_QE_IDENTITY, w->identity->issued, w->identity->next_update);
    if (w->identity->evaluation_number < w->v->shown.evaluation_number)
        w->v->shown.evaluation_number = w->identity->evaluation_number;
    return 0;
}

/* TCB info of the right platform and kind. */
static int check_tcb_info(struct work *w)
{
    const struct pck *pck = &w->v->pck;
    if (w->tcb->tdx != (w->quote->tee == ADYTON_TEE_TDX))
        return attest_fail(w->s.error, ADYTON_ATTEST_TCB_INFO_TEE_MISMATCH,
                           "the TCB info (version %u) is about %s, the quote is %s",
                           w->tcb->version, w->tcb->tdx ? "TDX" : "SGX",
                           w->tcb->tdx ? "SGX" : "TDX");
    if (memcmp(w->tcb->fmspc, pck->fmspc, 6) || memcmp(w->tcb->pce_id, pck->pce_id, 2))
        return attest_fail(w->s.error, ADYTON_ATTEST_TCB_INFO_MISMATCH,
                           "the TCB info is about platforms with FMSPC %02x%02x%02x%02x%02x%02x, "
                           "this one has %02x%02x%02x%02x%02x%02x, or its PCE id differs",
                           w->tcb->fmspc[0], w->tcb->fmspc[1], w->tcb->fmspc[2], w->tcb->fmspc[3],
                           w->tcb->fmspc[4], w->tcb->fmspc[5], pck->fmspc[0], pck->fmspc[1],
                           pck->fmspc[2], pck->fmspc[3], pck->fmspc[4], pck->fmspc[5]);
    return 0;
}

/* SEAM attributes must be zero, whatever mask the identity states. */
static int check_tdx_module(struct work *w)
{
    const struct adyton_quote_info *q = w->quote;
    const struct tdx_module *module = &w->tcb->module;
    if (q->tee != ADYTON_TEE_TDX)
        return 0;
    if (q->tee_tcb_svn[1]) {
        module = w->module = tcb_module(w->tcb, q->tee_tcb_svn);
        if (!module)
            return attest_fail(w->s.error, ADYTON_ATTEST_TDX_MODULE_UNKNOWN,
                               "the TCB info knows no TDX module of major version %u",
                               q->tee_tcb_svn[1]);
    }
    if (memcmp(q->mrsigner_seam, module->mrsigner, 48))
        return attest_fail(w->s.error, ADYTON_ATTEST_TDX_MODULE_SIGNER_MISMATCH,
                           "the TDX module was signed by another than the TCB info states");
    if (!all_zero(q->seam_attributes, 8) || memcmp(q->seam_attributes, module->attributes, 8))
        return attest_fail(w->s.error, ADYTON_ATTEST_TDX_MODULE_ATTRIBUTES_MISMATCH,
                           "the attributes of the TDX module are not zero, or not those that the "
                           "TCB info states");
    return 0;
}

static int check_qe_report(struct work *w)
{
    const struct adyton_quote_info *q = w->quote;
    EVP_PKEY *key = w->pck_chain->certs[2]->key;
    uint8_t digest[32];
    unsigned len = 0;
    if (!p256_verify(key, q->qe_report, REPORT_SIZE, q->qe_report_signature))
        return attest_fail(w->s.error, ADYTON_ATTEST_QE_REPORT_SIGNATURE,
                           "the platform's PCK key did not sign the report of the quoting enclave");
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(ctx, q->attestation_key, 64) &&
              EVP_DigestUpdate(ctx, q->qe_auth_data.data, q->qe_auth_data.size) &&
              EVP_DigestFinal_ex(ctx, digest, &len);
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return attest_fail(w->s.error, ADYTON_ATTEST_CRYPTO_LIBRARY, "SHA-256 failed");
    if (CRYPTO_memcmp(digest, q->qe_report + REPORT_DATA, sizeof(digest)))
        return attest_fail(w->s.error, ADYTON_ATTEST_QE_REPORT_DATA,
                           "the quoting enclave's report is not about the attestation key and "
                           "authentication data in the quote");
    return 0;
}

static bool masked_equal(const uint8_t *value, const uint8_t *mask, const uint8_t *expected,
                         size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((value[i] & mask[i]) != expected[i])
            return false;
    return true;
}

static int check_identity(struct work *w)
{
    const struct identity *id = w->identity;
    const uint8_t *report = w->quote->qe_report;
    const char *wanted = w->quote->tee == ADYTON_TEE_TDX ? "TD_QE" : "QE";
    if (strcmp(id->id, wanted))
        return attest_fail(w->s.error, ADYTON_ATTEST_QE_IDENTITY_KIND,
                           "the QE identity is one of '%s', the quote needs that of '%s'", id->id,
                           wanted);
    if (!masked_equal(report + REPORT_MISCSELECT, id->miscselect_mask, id->miscselect, 4))
        return attest_fail(w->s.error, ADYTON_ATTEST_QE_MISCSELECT_MISMATCH,
                           "the quoting enclave's MISCSELECT is not that of its identity");
    if (!masked_equal(report + REPORT_ATTRIBUTES, id->attributes_mask, id->attributes, 16))
        return attest_fail(
            w->s.error, ADYTON_ATTEST_QE_ATTRIBUTES_MISMATCH,
            "the quoting enclave's attributes are not those of its identity%s",
            report[REPORT_ATTRIBUTES] & ADYTON_SGX_FLAG_DEBUG ? ": it can be debugged" : "");
    if (memcmp(report + REPORT_MRSIGNER, id->mrsigner, 32))
        return attest_fail(w->s.error, ADYTON_ATTEST_QE_MRSIGNER_MISMATCH,
                           "the quoting enclave was signed by another than its identity states");
    if (load16(report + REPORT_PROD_ID) != id->prod_id)
        return attest_fail(w->s.error, ADYTON_ATTEST_QE_PRODID_MISMATCH,
                           "the quoting enclave's product id is not that of its identity");
    return 0;
}

static int check_quote_signature(struct work *w)
{
    const struct adyton_quote_info *q = w->quote;
    EVP_PKEY *key;
    int made = p256_key(w->s.verifier, q->attestation_key, &key);
    if (made == KEY_FAILED)
        return attest_fail(w->s.error, ADYTON_ATTEST_CRYPTO_LIBRARY,
                           "OpenSSL could not make a public key");
    if (made)
        return attest_fail(w->s.error, ADYTON_ATTEST_ATTESTATION_KEY,
                           "the attestation key in the quote is not a point of P-256");
    bool ok = p256_verify(key, q->signed_part.data, q->signed_part.size, q->signature);
    EVP_PKEY_free(key);
    if (!ok)
        return attest_fail(w->s.error, ADYTON_ATTEST_QUOTE_SIGNATURE,
                           "the attestation key did not sign this quote: its content was altered");
    return 0;
}

/* The status of platform and module with this TEE_TCB_SVN (NULL: SGX); UNKNOWN without a level.
 * With `levels` the levels found are left there. */
static int evaluate(struct work *w, const uint8_t *svn, const struct tdx_module *module,
                    const struct level *levels[2])
{
    levels[0] = tcb_platform_level(w->tcb, &w->v->pck, svn);
    levels[1] = module ? tcb_svn_level(&module->levels, svn[0]) : NULL;
    if (!levels[0] || (module && !levels[1]))
        return ADYTON_TCB_UNKNOWN;
    return tcb_converge(levels[0]->status, w->v->shown.qe_status,
                        levels[1] ? levels[1]->status : ADYTON_TCB_UNKNOWN);
}

/* The TCB as it is now, of a TD that was started under an earlier one. */
static void evaluate_current(struct work *w)
{
    const uint8_t *svn = w->quote->tee_tcb_svn2;
    const struct level *levels[2];
    const struct tdx_module *module = NULL;
    if (!svn)
        return;
    if (svn[1])
        module = tcb_module(w->tcb, svn);
    if (svn[1] && !module)
        return;
    w->v->shown.current_status = evaluate(w, svn, module, levels);
    w->v->shown.status = tcb_relaunch(w->v->shown.status, w->v->shown.current_status);
}

static int check_tcb(struct work *w)
{
    adyton_verdict *shown = &w->v->shown;
    const struct level *levels[2];
    const struct level *qe =
        tcb_svn_level(&w->identity->levels, load16(w->quote->qe_report + REPORT_ISV_SVN));
    if (!qe)
        return attest_fail(w->s.error, ADYTON_ATTEST_QE_SVN_NOT_SUPPORTED,
                           "the quoting enclave's SVN %u is below all that its identity lists",
                           load16(w->quote->qe_report + REPORT_ISV_SVN));
    shown->qe_status = qe->status;
    int status = evaluate(w, w->quote->tee_tcb_svn, w->module, levels);
    if (!levels[0])
        return attest_fail(w->s.error, ADYTON_ATTEST_TCB_NOT_SUPPORTED,
                           "the platform's TCB is below all levels that the TCB info lists");
    shown->platform_status = levels[0]->status;
    if (w->module && !levels[1])
        return attest_fail(w->s.error, ADYTON_ATTEST_TDX_MODULE_SVN_NOT_SUPPORTED,
                           "the SVN %u of TDX module %s is below all that the TCB info lists",
                           w->quote->tee_tcb_svn[0], w->module->id);
    if (levels[1])
        shown->module_status = levels[1]->status;
    if (!verdict_level(w->v, levels[0]) || !verdict_level(w->v, qe) ||
        (levels[1] && !verdict_level(w->v, levels[1])))
        return attest_no_memory(w->s.error);
    shown->status = status;
    evaluate_current(w);
    return 0;
}

/* Revocation lists as far as they are there. */
static int check_revocation(struct work *w)
{
    int err = 0;
    if (item(w, ADYTON_COLLATERAL_ROOT_CRL).size)
        err = check_root_crl(w);
    if (!err && item(w, ADYTON_COLLATERAL_PCK_CRL).size)
        err = check_pck_crl(w);
    return err;
}

static int check_quote(struct work *w)
{
    int err = check_qe_report(w);
    if (!err && w->identity)
        err = check_identity(w);
    if (!err)
        err = check_quote_signature(w);
    return err;
}

static int run(struct work *w)
{
    bool judged =
        item(w, ADYTON_COLLATERAL_TCB_INFO).size || item(w, ADYTON_COLLATERAL_QE_IDENTITY).size;
    int err = check_pck_chain(w);
    if (!err && judged)
        err = check_complete(w);
    if (!err)
        err = check_revocation(w);
    if (!err && judged)
        err = load_tcb_info(w);
    if (!err && judged)
        err = load_identity(w);
    if (!err && judged)
        err = check_tcb_info(w);
    if (!err && judged)
        err = check_tdx_module(w);
    if (!err)
        err = check_quote(w);
    if (!err && judged)
        err = check_tcb(w);
    if (!err && !judged)
        err = attest_fail(w->s.error, ADYTON_ATTEST_NO_COLLATERAL,
                          "the quote's signatures are good, but there is no TCB info and QE "
                          "identity to judge the platform with");
    return err;
}

static int check_tee(struct work *w, int tee)
{
    static const char *const names[] = {"", "SGX", "TDX"};
    if (tee < ADYTON_TEE_ANY || tee > ADYTON_TEE_TDX)
        return attest_fail(w->s.error, ADYTON_ATTEST_INVALID_ARGUMENT, "%d is no kind of TEE", tee);
    if (tee != ADYTON_TEE_ANY && tee != w->quote->tee)
        return attest_fail(w->s.error, ADYTON_ATTEST_WRONG_TEE,
                           "this is a quote of %s, where one of %s is wanted", names[w->quote->tee],
                           names[tee]);
    return 0;
}

static void forget(struct verdict *v)
{
    struct verdict fresh = {.quote = v->quote};
    for (size_t i = 0; i < v->shown.advisory_count; i++)
        free(v->advisories[i]);
    free(v->advisories);
    verdict_init(&fresh, v->shown.at);
    *v = fresh;
    v->shown.quote = &v->quote->info;
}

/* With fetched collateral; once more without what was kept on disk, if that turns out to be no
 * good. */
static int run_fetching(struct work *w, const adyton_quote *quote)
{
    adyton_collateral *fetched = NULL;
    bool kept = false;
    int err = 0;
    for (int round = 0; round < 2; round++) {
        fetched = NULL;
        err = fetch_collateral(w->s.verifier, quote, w->v->shown.at, round, &fetched, &kept,
                               w->s.error);
        w->collateral = fetched;
        if (!err)
            err = run(w);
        session_end(&w->s);
        adyton_collateral_free(fetched);
        w->collateral = NULL;
        bool documents =
            err == ADYTON_ATTEST_FETCH_RESPONSE ||
            (err >= ADYTON_ATTEST_ROOT_CRL_MISSING && err < ADYTON_ATTEST_QE_REPORT_SIGNATURE);
        if (!documents || !kept || round)
            break;
        forget(w->v);
        w->module = NULL;
    }
    return err;
}

int adyton_attest_verify(adyton_attest *verifier, const adyton_quote *quote,
                         const adyton_collateral *collateral, int64_t at, int tee,
                         adyton_verdict **verdict)
{
    static const adyton_collateral nothing;
    if (!verdict)
        return ADYTON_ATTEST_INVALID_ARGUMENT;
    *verdict = NULL;
    if (!verifier || !quote)
        return ADYTON_ATTEST_INVALID_ARGUMENT;
    struct verdict *v = verdict_new(quote, at);
    if (!v)
        return ADYTON_ATTEST_NO_MEMORY;
    struct work w = {.s = {.verifier = verifier, .error = &v->error},
                     .v = v,
                     .quote = &v->quote->info,
                     .collateral = collateral ? collateral : &nothing};
    int err = check_tee(&w, tee);
    if (!err && !collateral && verifier->fetcher)
        err = run_fetching(&w, quote);
    else if (!err)
        err = run(&w);
    session_end(&w.s);
    verdict_finish(v, err);
    *verdict = &v->shown;
    return err;
}
