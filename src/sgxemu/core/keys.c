/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * EGETKEY and EREPORT. The processor's derivation function is not public; here it is AES-CMAC under
 * the platform's fuse key over the record of key dependencies, which has the property that matters:
 * equal dependencies give equal keys, on this platform only.
 */
#include "sgxemu/core/internal.h"
#include "sgxemu/core/fuses.h"
#include "sgxemu/core/keys.h"
#include "crypto/crypto.h"

/* Every input of the manual's table; PADDING is the same constant for every signed enclave and so
 * is left out. */
struct dependencies {
    uint16_t key_name;
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint16_t config_svn;
    uint16_t key_policy;
    uint16_t zero;
    uint32_t miscselect;
    uint32_t miscmask;
    uint8_t isv_family_id[16];
    uint8_t isv_ext_prod_id[16];
    uint8_t owner_epoch[16];
    struct sgx_attributes attributes;
    struct sgx_attributes attribute_mask;
    uint8_t mrenclave[32];
    uint8_t mrsigner[32];
    uint8_t key_id[32];
    uint8_t seal_fuses_used;
    uint8_t zero2[15];
    uint8_t cpu_svn[16];
    uint8_t config_id[64];
} __attribute__((packed));

static void derive(const struct sgx_platform *p, const struct dependencies *d, uint8_t key[16])
{
    aes128_cmac(p->seal_fuses, d, sizeof(*d), key);
}

bool sgx_cpusvn_beyond(const struct sgx_platform *p, const uint8_t cpu_svn[16])
{
    for (int i = 0; i < 16; i++) {
        if (cpu_svn[i] > p->cpu_svn[i])
            return true;
    }
    return false;
}

void sgx_einittoken_mac(const struct sgx_platform *p, const struct sgx_einittoken *t,
                        uint8_t mac[16])
{
    uint8_t key[16];
    struct dependencies d = {
        .key_name = SGX_KEY_EINITTOKEN,
        .isv_prod_id = t->isv_prod_id_le,
        .isv_svn = t->isv_svn_le,
        .attributes = t->masked_attributes_le,
        .miscselect = t->masked_miscselect_le,
        .seal_fuses_used = 1,
    };
    copy(d.owner_epoch, p->owner_epoch, 16);
    copy(d.mrsigner, p->launch_key_hash, 32);
    copy(d.key_id, t->key_id, 32);
    copy(d.cpu_svn, t->cpu_svn_le, 16);
    derive(p, &d, key);
    aes128_cmac(key, t, SGX_EINITTOKEN_MAC_SIZE, mac);
    crypto_wipe(key, sizeof(key));
}

void sgx_report_key(const struct sgx_platform *p, const struct sgx_targetinfo *target,
                    const uint8_t key_id[32], uint8_t key[16])
{
    struct dependencies d = {
        .key_name = SGX_KEY_REPORT,
        .attributes = target->attributes,
        .miscselect = target->miscselect,
        .config_svn = target->config_svn,
        .seal_fuses_used = 1,
    };
    copy(d.owner_epoch, p->owner_epoch, 16);
    copy(d.mrenclave, target->mrenclave, 32);
    copy(d.key_id, key_id, 32);
    copy(d.cpu_svn, p->cpu_svn, 16);
    copy(d.config_id, target->config_id, 64);
    derive(p, &d, key);
}

struct sgx_fault leaf_ereport(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page in, data, out;
    struct sgx_targetinfo target;
    struct sgx_report report = {0};
    struct secs_state *state;
    uint8_t key[16];
    struct sgx_fault f;
    if (regs->rbx & 511 || regs->rcx & 127 || regs->rdx & 511)
        return gp();
    if ((f = enclave_operand(cpu, regs->rbx, 512, ACCESS_R, &in)).vector ||
        (f = enclave_operand(cpu, regs->rcx, 128, ACCESS_R, &data)).vector ||
        (f = enclave_operand(cpu, regs->rdx, 512, ACCESS_W, &out)).vector)
        return f;
    const struct sgx_secs *secs = sgx_secs_of(cpu, cpu->secs, &state);
    copy(&target, in.data + (regs->rbx & PAGE_MASK), sizeof(target));
    copy(report.cpu_svn, cpu->platform->cpu_svn, 16);
    copy(report.isv_ext_prod_id, state->isv_ext_prod_id, 16);
    copy(report.isv_family_id, state->isv_family_id, 16);
    copy(report.mrenclave, secs->mrenclave, 32);
    copy(report.mrsigner, secs->mrsigner, 32);
    copy(report.config_id, secs->config_id, 64);
    copy(report.report_data, data.data + (regs->rcx & PAGE_MASK), 64);
    copy(report.key_id, cpu->platform->report_key_id, 32);
    report.miscselect = secs->miscselect;
    report.cet_attributes = secs->cet_attributes;
    report.attributes = secs->attributes;
    report.isv_prod_id = secs->isv_prod_id;
    report.isv_svn = secs->isv_svn;
    report.config_svn = secs->config_svn;
    sgx_report_key(cpu->platform, &target, report.key_id, key);
    aes128_cmac(key, &report, SGX_REPORT_BODY_SIZE, report.mac);
    crypto_wipe(key, sizeof(key));
    copy(out.data + (regs->rdx & PAGE_MASK), &report, sizeof(report));
    return ok();
}

/* The permission and the version checks of one key; SGX_SUCCESS when it may be derived. */
static enum sgx_error may_derive(const struct sgx_cpu *cpu, const struct sgx_secs *secs,
                                 const struct sgx_keyrequest *r)
{
    static const uint64_t needed[] = {
        [SGX_KEY_EINITTOKEN] = SGX_FLAG_EINITTOKEN_KEY,
        [SGX_KEY_PROVISION] = SGX_FLAG_PROVISIONKEY,
        [SGX_KEY_PROVISION_SEAL] = SGX_FLAG_PROVISIONKEY,
        [SGX_KEY_REPORT] = 0,
        [SGX_KEY_SEAL] = 0,
    };
    if (r->key_name >= sizeof(needed) / sizeof(needed[0]))
        return SGX_INVALID_KEYNAME;
    if ((secs->attributes.flags & needed[r->key_name]) != needed[r->key_name])
        return SGX_INVALID_ATTRIBUTE;
    if (r->key_name == SGX_KEY_REPORT)
        return SGX_SUCCESS;
    if (sgx_cpusvn_beyond(cpu->platform, r->cpu_svn))
        return SGX_INVALID_CPUSVN;
    if (r->isv_svn > secs->isv_svn)
        return SGX_INVALID_ISVSVN;
    bool config = r->key_name == SGX_KEY_SEAL || r->key_name == SGX_KEY_PROVISION_SEAL;
    if (config && r->config_svn > secs->config_svn)
        return SGX_INVALID_ISVSVN;
    return SGX_SUCCESS;
}

/* What SEAL and PROVISION_SEAL take from the enclave as the policy says. */
static void apply_policy(struct dependencies *d, const struct sgx_keyrequest *r,
                         const struct sgx_secs *secs, const struct secs_state *state)
{
    d->key_policy = r->key_policy;
    if (r->key_policy & SGX_KEYPOLICY_NOISVPRODID)
        d->isv_prod_id = 0;
    if (r->key_policy & SGX_KEYPOLICY_ISVFAMILYID)
        copy(d->isv_family_id, state->isv_family_id, 16);
    if (r->key_policy & SGX_KEYPOLICY_ISVEXTPRODID)
        copy(d->isv_ext_prod_id, state->isv_ext_prod_id, 16);
    if (r->key_policy & SGX_KEYPOLICY_CONFIGID) {
        copy(d->config_id, secs->config_id, 64);
        d->config_svn = r->config_svn;
    }
}

static void derive_requested(const struct sgx_cpu *cpu, const struct sgx_secs *secs,
                             const struct secs_state *state, const struct sgx_keyrequest *r,
                             uint8_t key[16])
{
    const struct sgx_platform *p = cpu->platform;
    struct dependencies d = {
        .key_name = r->key_name,
        .isv_prod_id = secs->isv_prod_id,
        .isv_svn = r->isv_svn,
        .miscselect = r->miscmask & secs->miscselect,
    };
    d.attributes.flags =
        (r->attribute_mask.flags | SGX_FLAG_INIT | SGX_FLAG_DEBUG) & secs->attributes.flags;
    d.attributes.xfrm = r->attribute_mask.xfrm & secs->attributes.xfrm;
    copy(d.cpu_svn, r->cpu_svn, 16);
    if (r->key_name != SGX_KEY_PROVISION) {
        d.seal_fuses_used = 1;
    }
    if (r->key_name == SGX_KEY_EINITTOKEN || r->key_name == SGX_KEY_SEAL) {
        copy(d.owner_epoch, p->owner_epoch, 16);
        copy(d.key_id, r->key_id, 32);
    }
    if (r->key_name != SGX_KEY_EINITTOKEN) {
        d.attribute_mask = r->attribute_mask;
        d.miscmask = ~r->miscmask;
    }
    if (r->key_name != SGX_KEY_SEAL || r->key_policy & SGX_KEYPOLICY_MRSIGNER)
        copy(d.mrsigner, secs->mrsigner, 32);
    if (r->key_name == SGX_KEY_SEAL && r->key_policy & SGX_KEYPOLICY_MRENCLAVE)
        copy(d.mrenclave, secs->mrenclave, 32);
    if (r->key_name == SGX_KEY_SEAL || r->key_name == SGX_KEY_PROVISION_SEAL)
        apply_policy(&d, r, secs, state);
    derive(p, &d, key);
}

struct sgx_fault leaf_egetkey(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page in, out;
    struct sgx_keyrequest r;
    struct secs_state *state;
    uint8_t key[16];
    struct sgx_fault f;
    if ((f = enclave_operand(cpu, regs->rbx, 512, ACCESS_R, &in)).vector ||
        (f = enclave_operand(cpu, regs->rcx, 16, ACCESS_W, &out)).vector)
        return f;
    copy(&r, in.data + (regs->rbx & PAGE_MASK), sizeof(r));
    const struct sgx_secs *secs = sgx_secs_of(cpu, cpu->secs, &state);
    if (r.reserved1 || !all_zero(r.reserved2, sizeof(r.reserved2)) || r.key_policy & ~0x3fU)
        return gp();
    if (!(secs->attributes.flags & SGX_FLAG_KSS) && (r.key_policy & 0x3cU || r.config_svn))
        return gp();
    enum sgx_error code = may_derive(cpu, secs, &r);
    if (code)
        return finish(regs, code);
    if (r.key_name == SGX_KEY_REPORT) {
        struct sgx_targetinfo self = {
            .attributes = secs->attributes,
            .config_svn = secs->config_svn,
            .miscselect = secs->miscselect,
        };
        copy(self.mrenclave, secs->mrenclave, 32);
        copy(self.config_id, secs->config_id, 64);
        sgx_report_key(cpu->platform, &self, r.key_id, key);
    } else {
        derive_requested(cpu, secs, state, &r, key);
    }
    copy(out.data + (regs->rcx & PAGE_MASK), key, sizeof(key));
    crypto_wipe(key, sizeof(key));
    return finish(regs, SGX_SUCCESS);
}
