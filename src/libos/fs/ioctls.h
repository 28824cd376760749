/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

/*
 * May this ioctl(2) be done on a host object that was opened with `flags`? 0 or an errno. Devices
 * that a mount shows or that were inherited take all; `closed`: this is one of the built-in /dev.
 */
int ioctl_admit(int host_fd, uint32_t flags, bool closed, unsigned cmd);
