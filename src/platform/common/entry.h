/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For assembly: offsets into struct thread (libos/thread.h) and struct regs (libos/entry/regs.h).
 */
#pragma once

#define T_KSTACK_TOP  16
#define T_USER_RIP    24
#define T_WORK        32
#define T_FRAME       40
#define T_USER_GS     48
#define T_ODD         56
#define T_IRET_RAX    64
#define T_IRET_RIP    72
#define T_IRET_RFLAGS 88
#define T_IRET_RSP    96
#define T_ENTRY_RSP   112

#define R_RBP    32
#define R_R10    56
#define R_R9     64
#define R_R8     72
#define R_RAX    80
#define R_RDX    96
#define R_RSI    104
#define R_RDI    112
#define R_RIP    128
#define R_RFLAGS 136
#define R_RSP    144
/* What sahf cannot restore, and C does not want set: TF DF NT RF AC ID. */
#define FLAGS_ODD   0x254500
#define FLAGS_CLEAN 0x2
#define ODD_GS      1 /* thread.odd */
