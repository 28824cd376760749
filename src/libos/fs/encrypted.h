/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Encrypted mounts: what the rest of the library OS must tell them. */
#pragma once

/* Writes everything that open encrypted files hold in memory, so that a forked copy starts from
 * what is on the host. The world is stopped. */
void encrypted_before_fork(void);
