/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Platform `closed`: the machinery of `direct`, and the rules of an enclave. Nothing of the library
 * OS's or the application's memory is the host's to read or write (host/arena.h), the addresses are
 * one range whose use is the library OS's (platform/memory.h), and content is copied in. For tests
 * and debugging: it protects nothing.
 */
#pragma once
#include "platform/direct/machine.h"

/* What src/libos would ask of the host without a typed function: counted, and -ENOSYS. */
long closed_refuse(long nr, long a, long b, long c, long d, long e, long f);
#define host_syscall          closed_refuse
#define host_syscall_blocking closed_refuse

#define PLATFORM_HOST_TRUSTED 0
#define PLATFORM_ARENA        1
