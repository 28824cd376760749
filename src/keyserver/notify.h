/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The service manager's notification protocol (sd_notify(3)). */
#pragma once

/* Sends "READY=1" and the like to $NOTIFY_SOCKET; nothing without one. */
void ks_notify(const char *state);
