/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
/* A socket that listens on all addresses, or -1 with a line on stderr. */
int listen_on(const char *port);
