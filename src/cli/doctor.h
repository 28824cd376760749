/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton doctor: the checks of each mode. */
#pragma once
#include <limits.h>
#include <stdbool.h>

enum doctor_mode { MODE_DIRECT, MODE_SGXEMU, MODE_SGX, MODE_QUOTES, MODE_VERIFY, MODE_COUNT };

enum doctor_state {
    STATE_OK,
    STATE_NOTE,    /* works, with less or slower than it could */
    STATE_MISSING, /* the mode does not work */
};

struct doctor {
    const char *fuses, *platform, *pccs, *collateral; /* options, or NULL */
    enum doctor_mode mode;                            /* whose checks run */
    bool usable[MODE_COUNT];
    void *checks; /* json_t array of what was found */
};

/* One line: what was looked at, what was found; unless OK, what helps (else NULL). */
void doctor_say(struct doctor *d, enum doctor_state state, const char *item, const char *remedy,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

void doctor_direct(struct doctor *d);
void doctor_sgxemu(struct doctor *d);
void doctor_sgx(struct doctor *d);
void doctor_quotes(struct doctor *d);
void doctor_verify(struct doctor *d);
