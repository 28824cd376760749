/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* HTTP/1.1, GET only, one request of a connection. What clients of a PCCS ask for in API 3 and 4.
 */
#include "sgxemu/quoting/pccs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define HALF_DAY (86400 / 2)

struct exchange {
    struct pccs *pccs;
    int version;        /* 3, 4 */
    char *path, *query; /* behind /sgx/certification/vN/ */
    int status;
    const char *type;
    char *headers; /* further ones, malloc()ed */
    uint8_t *body; /* malloc()ed */
    size_t size;
};

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 410:
        return "Gone";
    case 461:
        return "The platform was not found in the cache";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

static void send_data(struct exchange *x, const char *type, const void *data, size_t size)
{
    x->body = malloc(size + 1);
    if (!x->body) {
        x->status = 500;
        return;
    }
    memcpy(x->body, data, size);
    x->size = size;
    x->type = type;
    x->status = 200;
}

/* NAME: PEM with what is not unreserved in URLs as %XX. */
static void add_chain(struct exchange *x, const char *name, const char *pem)
{
    const size_t old = x->headers ? strlen(x->headers) : 0;
    char *headers = realloc(x->headers, old + strlen(name) + 3 * strlen(pem) + 5);
    if (!headers) {
        x->status = 500;
        return;
    }
    x->headers = headers;
    char *to = headers + old + sprintf(headers + old, "%s: ", name);
    for (; *pem; pem++) {
        bool plain = (*pem >= '0' && *pem <= '9') || (*pem >= 'A' && *pem <= 'Z') ||
                     (*pem >= 'a' && *pem <= 'z') || strchr("-._~", *pem);
        to += sprintf(to, plain ? "%c" : "%%%02X", (uint8_t)*pem);
    }
    memcpy(to, "\r\n", 3);
}

static const char *document(const struct exchange *x, enum test_document d)
{
    return (const char *)x->pccs->documents.doc[d].data;
}

static void send_document(struct exchange *x, enum test_document d, const char *type)
{
    send_data(x, type, x->pccs->documents.doc[d].data, x->pccs->documents.doc[d].size);
}

/* The value of a parameter of the query; false: not there, or longer than that. */
static bool parameter(const struct exchange *x, const char *name, char *value, size_t cap)
{
    const char *at = x->query;
    size_t len = strlen(name);
    while (at && *at) {
        size_t n = strcspn(at, "&");
        if (n > len && !strncmp(at, name, len) && at[len] == '=' && n - len - 1 < cap) {
            memcpy(value, at + len + 1, n - len - 1);
            value[n - len - 1] = 0;
            return true;
        }
        at += n + (at[n] == '&');
    }
    return false;
}

static void to_hex(char *out, const uint8_t *data, size_t size)
{
    *out = 0;
    for (size_t i = 0; i < size; i++)
        sprintf(out + 2 * i, "%02x", data[i]);
}

static void send_hex(struct exchange *x, enum test_document d)
{
    size_t size = x->pccs->documents.doc[d].size;
    char *text = malloc(2 * size + 1);
    if (!text) {
        x->status = 500;
        return;
    }
    to_hex(text, x->pccs->documents.doc[d].data, size);
    send_data(x, "application/x-pem-file", text, 2 * size);
    free(text);
}

static void pckcrl(struct exchange *x)
{
    char ca[16] = "", encoding[8] = "pem";
    parameter(x, "encoding", encoding, sizeof(encoding));
    if (!parameter(x, "ca", ca, sizeof(ca)) ||
        (strcmp(ca, "platform") && strcmp(ca, "processor"))) {
        x->status = 400;
        return;
    }
    bool platform = !strcmp(ca, "platform");
    enum test_document crl = platform ? DOC_PLATFORM_CRL : DOC_PROCESSOR_CRL;
    if (!strcmp(encoding, "der"))
        send_document(x, crl, "application/pkix-crl");
    else
        send_hex(x, crl); /* as a PCCS of version 3 does; readers tell the forms apart */
    add_chain(x, "SGX-PCK-CRL-Issuer-Chain",
              document(x, platform ? DOC_PLATFORM_CA_CHAIN : DOC_PROCESSOR_CA_CHAIN));
}

static void tcb(struct exchange *x)
{
    char fmspc[16] = "", number[16] = "17", ours[13];
    to_hex(ours, x->pccs->platform->pck.fmspc, 6);
    parameter(x, "tcbEvaluationDataNumber", number, sizeof(number));
    if (!parameter(x, "fmspc", fmspc, sizeof(fmspc)) || strlen(fmspc) != 12 ||
        strspn(fmspc, "0123456789abcdefABCDEF") != 12) {
        x->status = 400;
    } else if (strcasecmp(fmspc, ours)) {
        x->status = 404;
    } else if (strcmp(number, "17")) {
        x->status = 410;
    } else {
        send_document(x, x->version == 3 ? DOC_TCB_INFO_V2 : DOC_TCB_INFO, "application/json");
        add_chain(x, x->version == 3 ? "SGX-TCB-Info-Issuer-Chain" : "TCB-Info-Issuer-Chain",
                  document(x, DOC_SIGNING_CHAIN));
    }
}

static void qe_identity(struct exchange *x)
{
    send_document(x, DOC_QE_IDENTITY, "application/json");
    add_chain(x, "SGX-Enclave-Identity-Issuer-Chain", document(x, DOC_SIGNING_CHAIN));
}

static void root_crl(struct exchange *x)
{
    send_hex(x, DOC_ROOT_CRL);
}

static void crl_by_uri(struct exchange *x)
{
    char uri[256];
    if (!parameter(x, "uri", uri, sizeof(uri)))
        x->status = 400;
    else if (strstr(uri, "test-platform.adyton.invalid"))
        send_document(x, DOC_ROOT_CRL, "application/pkix-crl");
}

static void pckcert(struct exchange *x)
{
    char qeid[33] = "", ours[33], text[64];
    const struct pki_platform *pck = &x->pccs->platform->pck;
    to_hex(ours, pck->instance_id, 16);
    if (!parameter(x, "qeid", qeid, sizeof(qeid))) {
        x->status = 400;
        return;
    }
    if (strcasecmp(qeid, ours)) {
        x->status = 461;
        return;
    }
    char *leaf = pki_pem(x->pccs->platform->certs[KEY_PCK], NULL, NULL);
    if (leaf)
        send_data(x, "application/x-pem-file", leaf, strlen(leaf));
    else
        x->status = 500;
    free(leaf);
    add_chain(x, "SGX-PCK-Certificate-Issuer-Chain", document(x, DOC_PLATFORM_CA_CHAIN));
    add_chain(x, "SGX-PCK-Certificate-CA-Type", "platform");
    to_hex(text, pck->fmspc, 6);
    add_chain(x, "SGX-FMSPC", text);
    to_hex(text, pck->cpu_svn, 16);
    sprintf(text + 32, "%02x%02x", pck->pce_svn & 255, pck->pce_svn >> 8);
    add_chain(x, "SGX-TCBm", text);
}

static void fmspcs(struct exchange *x)
{
    char text[64], fmspc[13];
    to_hex(fmspc, x->pccs->platform->pck.fmspc, 6);
    int n = snprintf(text, sizeof(text), "[{\"fmspc\":\"%s\",\"platform\":\"TEST\"}]", fmspc);
    send_data(x, "application/json", text, (size_t)n);
}

static const struct {
    const char *path;
    void (*answer)(struct exchange *x);
} paths[] = {
    {"pckcrl", pckcrl},      {"tcb", tcb},        {"qe/identity", qe_identity},
    {"rootcacrl", root_crl}, {"crl", crl_by_uri}, {"pckcert", pckcert},
    {"fmspcs", fmspcs},
};

static void route(struct exchange *x, char *target)
{
    static const char base[] = "/sgx/certification/v";
    x->status = 404;
    if (strncmp(target, base, sizeof(base) - 1))
        return;
    target += sizeof(base) - 1;
    if ((*target != '3' && *target != '4') || target[1] != '/')
        return;
    x->version = *target - '0';
    x->path = target + 2;
    x->query = strchr(x->path, '?');
    if (x->query)
        *x->query++ = 0;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        if (!strcmp(x->path, paths[i].path))
            paths[i].answer(x);
}

/* The request line; what the headers say does not matter. */
static void handle(struct exchange *x, char *line)
{
    char *save = NULL;
    for (const char *at = line; *at; at++)
        if (*at < ' ' || *at > '~') {
            x->status = 400;
            return;
        }
    const char *method = strtok_r(line, " ", &save);
    char *target = strtok_r(NULL, " ", &save), *version = strtok_r(NULL, " ", &save);
    if (!method || !target || !version || strtok_r(NULL, " ", &save))
        x->status = 400;
    else if (strcmp(version, "HTTP/1.1") && strcmp(version, "HTTP/1.0"))
        x->status = 505;
    else if (strcmp(method, "GET"))
        x->status = 405;
    else
        route(x, target);
}

static bool refresh(struct pccs *p)
{
    struct test_documents made;
    struct quoting_error e;
    int64_t now = time(NULL);
    if (p->made && now >= p->made && now - p->made < HALF_DAY)
        return true;
    if (test_documents_make(p->platform, now, &made, &e))
        return false;
    test_documents_free(&p->documents);
    p->documents = made;
    p->made = now;
    return true;
}

static void pack(const struct exchange *x, struct reply *reply)
{
    char *head = NULL, date[64] = "";
    const time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm))
        strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    const char *text = x->status == 200 ? "" : reason(x->status);
    size_t size = x->status == 200 ? x->size : strlen(text);
    int n = asprintf(&head,
                     "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
                     "Request-ID: test-platform-%llu\r\nConnection: close\r\n\r\n",
                     x->status, reason(x->status), date, x->status == 200 ? x->type : "text/plain",
                     size, x->status == 200 && x->headers ? x->headers : "",
                     (unsigned long long)x->pccs->number);
    if (n < 0)
        return;
    reply->data = malloc((size_t)n + size);
    reply->size = (size_t)n + size;
    reply->close = true;
    if (reply->data) {
        memcpy(reply->data, head, (size_t)n);
        memcpy(reply->data + n, x->status == 200 ? x->body : (const uint8_t *)text, size);
    }
    free(head);
}

static void answer(void *context, const uint8_t *request, size_t size, struct reply *reply)
{
    struct exchange x = {.pccs = context, .status = 500};
    const uint8_t *end = memchr(request, '\r', size);
    char *line = end ? strndup((const char *)request, (size_t)(end - request)) : NULL;
    x.pccs->number++;
    if (line && strlen(line) != (size_t)(end - request))
        x.status = 400; /* a NUL in it */
    else if (line && refresh(x.pccs))
        handle(&x, line);
    pack(&x, reply);
    free(line);
    free(x.headers);
    free(x.body);
}

static ssize_t length(const uint8_t *data, size_t size)
{
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    return end ? end - data + 4 : 0;
}

const struct service pccs_service = {
    .request_max = PCCS_REQUEST_MAX,
    .deadline_ms = 10000,
    .length = length,
    .answer = answer,
};
