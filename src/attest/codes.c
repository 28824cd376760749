/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Names and foreign numbers of the codes, statuses and dated items; errors. */
#include <stdarg.h>
#include <stdio.h>

#include "attest/attest_int.h"

#define ROW(name, word, qvl, dcap)                   \
    {                                                \
        ADYTON_ATTEST_##name, #name, word, qvl, dcap \
    }

/* In ascending order of the code. */
static const struct attest_code_info codes[] = {
    ROW(OK, "UpToDate", 0, 0x00),
    ROW(NO_MEMORY, "Error", 77, 0x03),
    ROW(INVALID_ARGUMENT, "Error", 77, 0x02),
    ROW(CRYPTO_LIBRARY, "Error", 77, 0x01),
    ROW(FILE, "Error", 77, 0x02),
    ROW(POLICY_SYNTAX, "Error", 77, 0x02),
    ROW(QUOTE_SIZE, "Error", 37, 0x1d),
    ROW(QUOTE_VERSION, "Error", 37, 0x1d),
    ROW(QUOTE_KEY_TYPE, "Error", 37, 0x0b),
    ROW(QUOTE_TEE_TYPE, "Error", 37, 0x1d),
    ROW(QUOTE_VENDOR, "Error", 37, 0x1d),
    ROW(QUOTE_BODY, "Error", 37, 0x1d),
    ROW(QUOTE_SIGNATURE_LENGTH, "Error", 37, 0x1d),
    ROW(QUOTE_CERTIFICATION, "Error", 52, 0x1c),
    ROW(QUOTE_CERTIFICATION_TYPE, "Error", 53, 0x1c),
    ROW(WRONG_TEE, "Error", 37, 0x1d),
    ROW(PCK_CHAIN_MISSING, "Error", 54, 0x10),
    ROW(PCK_CHAIN_FORMAT, "Error", 1, 0x21),
    ROW(PCK_ROOT_MISSING, "Error", 2, 0x22),
    ROW(PCK_CA_MISSING, "Error", 7, 0x22),
    ROW(PCK_LEAF_MISSING, "Error", 12, 0x22),
    ROW(PCK_ROOT_INVALID, "Error", 3, 0x22),
    ROW(PCK_CA_INVALID, "Error", 8, 0x22),
    ROW(PCK_LEAF_INVALID, "Error", 13, 0x22),
    ROW(PCK_EXTENSION, "Error", 14, 0x21),
    ROW(PCK_UNTRUSTED, "Error", 18, 0x65),
    ROW(PCK_CA_SIGNATURE, "Error", 10, 0x22),
    ROW(PCK_LEAF_SIGNATURE, "Error", 15, 0x22),
    ROW(PCK_CA_REVOKED, "Revoked", 11, 0x31),
    ROW(PCK_REVOKED, "Revoked", 16, 0x31),
    ROW(PCK_MISMATCH, "Error", 54, 0x22),
    ROW(ROOT_CRL_MISSING, "Error", 36, 0x1b),
    ROW(ROOT_CRL_FORMAT, "Error", 28, 0x38),
    ROW(ROOT_CRL_ISSUER, "Error", 29, 0x38),
    ROW(ROOT_CRL_SIGNATURE, "Error", 32, 0x38),
    ROW(PCK_CRL_MISSING, "Error", 36, 0x1b),
    ROW(PCK_CRL_FORMAT, "Error", 28, 0x38),
    ROW(PCK_CRL_ISSUER, "Error", 29, 0x38),
    ROW(PCK_CRL_SIGNATURE, "Error", 32, 0x38),
    ROW(PCK_CRL_CHAIN, "Error", 29, 0x38),
    ROW(NO_COLLATERAL, "NoCollateral", 36, 0x1b),
    ROW(TCB_INFO_MISSING, "Error", 36, 0x62),
    ROW(TCB_INFO_FORMAT, "Error", 19, 0x23),
    ROW(TCB_INFO_VERSION, "Error", 19, 0x23),
    ROW(TCB_INFO_SIGNATURE, "Error", 21, 0x23),
    ROW(TCB_INFO_CHAIN_MISSING, "Error", 22, 0x3a),
    ROW(TCB_INFO_CHAIN, "Error", 23, 0x3a),
    ROW(TCB_INFO_CHAIN_UNTRUSTED, "Error", 26, 0x3a),
    ROW(TCB_INFO_SIGNER_REVOKED, "Error", 27, 0x3a),
    ROW(TCB_INFO_TEE_MISMATCH, "TcbInfoMismatch", 44, 0x24),
    ROW(TCB_INFO_MISMATCH, "TcbInfoMismatch", 44, 0x24),
    ROW(QE_IDENTITY_MISSING, "Error", 36, 0x61),
    ROW(QE_IDENTITY_FORMAT, "Error", 62, 0x25),
    ROW(QE_IDENTITY_VERSION, "Error", 64, 0x25),
    ROW(QE_IDENTITY_SIGNATURE, "Error", 76, 0x25),
    ROW(QE_IDENTITY_CHAIN_MISSING, "Error", 22, 0x39),
    ROW(QE_IDENTITY_CHAIN, "Error", 23, 0x39),
    ROW(QE_IDENTITY_CHAIN_UNTRUSTED, "Error", 26, 0x39),
    ROW(QE_IDENTITY_SIGNER_REVOKED, "Error", 27, 0x39),
    ROW(QE_IDENTITY_KIND, "QeIdentityMismatch", 74, 0x26),
    ROW(QE_REPORT_SIGNATURE, "InvalidQeReportSignature", 55, 0x1f),
    ROW(QE_REPORT_DATA, "InvalidQeReportData", 56, 0x20),
    ROW(ATTESTATION_KEY, "InvalidQuoteSignature", 57, 0x68),
    ROW(QUOTE_SIGNATURE, "InvalidQuoteSignature", 57, 0x68),
    ROW(QE_MISCSELECT_MISMATCH, "QeIdentityMismatch", 74, 0x26),
    ROW(QE_ATTRIBUTES_MISMATCH, "QeIdentityMismatch", 74, 0x26),
    ROW(QE_MRSIGNER_MISMATCH, "QeIdentityMismatch", 74, 0x26),
    ROW(QE_PRODID_MISMATCH, "QeIdentityMismatch", 74, 0x26),
    ROW(QE_SVN_NOT_SUPPORTED, "QeSvnNotSupported", 86, 0x66),
    ROW(TDX_MODULE_UNKNOWN, "TdxModuleMismatch", 85, 0x60),
    ROW(TDX_MODULE_SIGNER_MISMATCH, "TdxModuleMismatch", 85, 0x60),
    ROW(TDX_MODULE_ATTRIBUTES_MISMATCH, "TdxModuleMismatch", 85, 0x60),
    ROW(TDX_MODULE_SVN_NOT_SUPPORTED, "TcbNotSupported", 49, 0x66),
    ROW(TCB_NOT_SUPPORTED, "TcbNotSupported", 49, 0x66),
    ROW(CERT_FORMAT, "Error", 37, 0x1d),
    ROW(CERT_NO_EVIDENCE, "Error", 37, 0x1d),
    ROW(CERT_EVIDENCE_FORMAT, "Error", 37, 0x1d),
    ROW(CERT_CLAIMS_FORMAT, "Error", 37, 0x1d),
    ROW(CERT_CLAIMS_MISMATCH, "Error", 37, 0x1d),
    ROW(CERT_KEY_MISMATCH, "Error", 37, 0x1d),
    ROW(FETCH_OFF, "NoCollateral", 36, 0x1b),
    ROW(FETCH_NETWORK, "NoCollateral", 36, 0x41),
    ROW(FETCH_STATUS, "NoCollateral", 36, 0x40),
    ROW(FETCH_NOT_FOUND, "NoCollateral", 36, 0x47),
    ROW(FETCH_RESPONSE, "NoCollateral", 36, 0x44),
    ROW(POLICY_STATUS, "Error", 77, 0x02),
    ROW(POLICY_EXPIRED, "Error", 77, 0x02),
    ROW(POLICY_ADVISORY, "Error", 77, 0x02),
    ROW(POLICY_TCB_DATE, "Error", 77, 0x02),
    ROW(POLICY_EVALUATION_NUMBER, "Error", 77, 0x02),
    ROW(POLICY_COLLATERAL_AGE, "Error", 77, 0x02),
    ROW(POLICY_TEE, "Error", 77, 0x02),
    ROW(POLICY_DEBUG, "Error", 77, 0x02),
    ROW(POLICY_ATTRIBUTES, "Error", 77, 0x02),
    ROW(POLICY_MEASUREMENT, "Error", 77, 0x02),
    ROW(POLICY_SVN, "Error", 77, 0x02),
    ROW(POLICY_REPORT_DATA, "Error", 77, 0x02),
    ROW(POLICY_PLATFORM, "Error", 77, 0x02),
    ROW(POLICY_ROOT, "Error", 77, 0x02),
    ROW(POLICY_TRAILING, "Error", 77, 0x02),
};

const struct attest_code_info *attest_code_info(int code)
{
    static const struct attest_code_info unknown = {-1, "UNKNOWN", "Error", 77, 0x01};
    for (size_t i = 0; i < COUNT(codes); i++)
        if (codes[i].code == code)
            return &codes[i];
    return &unknown;
}

const char *adyton_attest_code_name(int code)
{
    return attest_code_info(code)->name;
}

static const char *const status_names[] = {
    [ADYTON_TCB_UNKNOWN] = "Unknown",
    [ADYTON_TCB_UP_TO_DATE] = "UpToDate",
    [ADYTON_TCB_SW_HARDENING_NEEDED] = "SWHardeningNeeded",
    [ADYTON_TCB_CONFIGURATION_NEEDED] = "ConfigurationNeeded",
    [ADYTON_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = "ConfigurationAndSWHardeningNeeded",
    [ADYTON_TCB_OUT_OF_DATE] = "OutOfDate",
    [ADYTON_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = "OutOfDateConfigurationNeeded",
    [ADYTON_TCB_REVOKED] = "Revoked",
    [ADYTON_TCB_TD_RELAUNCH_ADVISED] = "TDRelaunchAdvised",
    [ADYTON_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED] = "TDRelaunchAdvisedConfigurationNeeded",
};

const char *adyton_tcb_status_name(int status)
{
    if (status < 0 || (size_t)status >= COUNT(status_names))
        status = ADYTON_TCB_UNKNOWN;
    return status_names[status];
}

int adyton_tcb_status_from_name(const char *name)
{
    for (size_t i = 1; i < COUNT(status_names); i++)
        if (!strcmp(name, status_names[i]))
            return (int)i;
    return ADYTON_TCB_UNKNOWN;
}

const char *adyton_dated_item_name(unsigned bit)
{
    static const char *const names[] = {"PCK chain",         "PCK CRL issuer chain", "root CRL",
                                        "PCK CRL",           "TCB info chain",       "TCB info",
                                        "QE identity chain", "QE identity"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (bit == 1u << i)
            return names[i];
    return "unknown item";
}

int attest_fail(struct adyton_attest_error *e, int code, const char *fmt, ...)
{
    va_list args;
    if (!e)
        return code;
    e->code = code;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    return code;
}

int attest_no_memory(struct adyton_attest_error *e)
{
    return attest_fail(e, ADYTON_ATTEST_NO_MEMORY, "there is no memory left");
}

unsigned adyton_attest_abi(void)
{
    return ADYTON_ATTEST_ABI;
}
