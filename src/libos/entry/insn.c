/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/entry/insn.h"

enum { M = 1, I8 = 2, I16 = 4, IZ = 8, BAD = 16, IV = 32, MOFF = 64 };

/* What follows a one-byte opcode: M a ModRM byte, I8/I16/IZ an immediate (IZ: 2 or 4 bytes by
 * operand size), IV the full-width immediate of mov r64, MOFF an 8-byte address. */
static uint8_t one_byte(uint8_t op)
{
    if (op < 0x40) { /* eight arithmetic groups of the same shape */
        static const uint8_t row[8] = {M, M, M, M, I8, IZ, BAD, BAD};
        return row[op & 7];
    }
    if (op >= 0x50 && op <= 0x5f)
        return 0;
    if (op >= 0x70 && op <= 0x7f)
        return I8;
    if (op >= 0x84 && op <= 0x8f)
        return M;
    if (op >= 0x90 && op <= 0x99)
        return 0;
    if (op >= 0xb0 && op <= 0xb7)
        return I8;
    if (op >= 0xb8 && op <= 0xbf)
        return IV;
    if (op >= 0xd8 && op <= 0xdf)
        return M;
    if (op >= 0xe0 && op <= 0xe7)
        return I8;
    switch (op) {
    case 0x63:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xf6: /* immediate depends on ModRM.reg: see insn_length */
    case 0xf7:
    case 0xfe:
    case 0xff:
        return M;
    case 0x68:
    case 0xa9:
    case 0xe8:
    case 0xe9:
        return IZ;
    case 0x69:
    case 0x81:
    case 0xc7:
        return M | IZ;
    case 0x6a:
    case 0xa8:
    case 0xcd:
    case 0xeb:
        return I8;
    case 0x6b:
    case 0x80:
    case 0x83:
    case 0xc0:
    case 0xc1:
    case 0xc6:
        return M | I8;
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa3:
        return MOFF;
    case 0xc2:
        return I16;
    case 0xc8:
        return I16 | I8;
    case 0x6c:
    case 0x6d:
    case 0x6e:
    case 0x6f:
    case 0x9b:
    case 0x9c:
    case 0x9d:
    case 0x9e:
    case 0x9f:
    case 0xa4:
    case 0xa5:
    case 0xa6:
    case 0xa7:
    case 0xaa:
    case 0xab:
    case 0xac:
    case 0xad:
    case 0xae:
    case 0xaf:
    case 0xc3:
    case 0xc9:
    case 0xcc:
    case 0xcf:
    case 0xec:
    case 0xed:
    case 0xee:
    case 0xef:
    case 0xf1:
    case 0xf4:
    case 0xf5:
    case 0xf8:
    case 0xf9:
    case 0xfa:
    case 0xfb:
    case 0xfc:
    case 0xfd:
        return 0;
    }
    return BAD;
}

/* After 0f. */
static uint8_t two_byte(uint8_t op)
{
    if (op >= 0x80 && op <= 0x8f)
        return IZ;
    if (op >= 0xc8 && op <= 0xcf)
        return 0;
    switch (op) {
    case 0x05:
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0b:
    case 0x30:
    case 0x31:
    case 0x32:
    case 0x33:
    case 0x34:
    case 0x35:
    case 0x77:
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa8:
    case 0xa9:
    case 0xaa:
        return 0;
    case 0x70:
    case 0x71:
    case 0x72:
    case 0x73:
    case 0xa4:
    case 0xac:
    case 0xba:
    case 0xc2:
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return M | I8;
    case 0x0a:
    case 0x0c:
    case 0x0e:
    case 0x0f:
    case 0x24:
    case 0x25:
    case 0x26:
    case 0x27:
    case 0x36:
    case 0x37:
    case 0x39:
    case 0x3b:
    case 0x3c:
    case 0x3d:
    case 0x3e:
    case 0x3f:
        return BAD;
    }
    return M;
}

/* ModRM, SIB and displacement, in 64-bit mode. 0: beyond `avail`. */
static size_t modrm_length(const uint8_t *p, size_t avail)
{
    if (avail < 1)
        return 0;
    uint8_t mod = p[0] >> 6, rm = p[0] & 7;
    size_t n = 1;
    if (mod == 3)
        return n;
    if (rm == 4) {
        if (avail < 2)
            return 0;
        n = 2;
        if (mod == 0 && (p[1] & 7) == 5)
            n += 4;
    } else if (mod == 0 && rm == 5) {
        n += 4;
    }
    return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static size_t immediate_length(uint8_t what, bool opsize, bool rexw)
{
    size_t n = 0;
    if (what & I8)
        n += 1;
    if (what & I16)
        n += 2;
    if (what & IZ)
        n += opsize ? 2 : 4;
    if (what & IV)
        n += rexw ? 8 : opsize ? 2 : 4;
    if (what & MOFF)
        n += 8;
    return n;
}

size_t insn_length(const uint8_t *p, size_t avail)
{
    size_t at = 0;
    bool opsize = false, rexw = false;
    for (; at < avail; at++) {
        uint8_t b = p[at];
        if (b == 0x66)
            opsize = true;
        else if (b != 0xf0 && b != 0xf2 && b != 0xf3 && b != 0x2e && b != 0x36 && b != 0x3e &&
                 b != 0x26 && b != 0x64 && b != 0x65 && b != 0x67)
            break;
    }
    if (at < avail && (p[at] & 0xf0) == 0x40)
        rexw = p[at++] & 8;
    if (at + 1 >= avail || at > 12)
        return at < avail && at <= 12 && one_byte(p[at]) == 0 && p[at] != 0x0f ? at + 1 : 0;
    uint8_t op = p[at++], what;
    bool group3 = op == 0xf6 || op == 0xf7;
    if (op == 0xc4 || op == 0xc5 || op == 0x62 || op == 0xd5)
        return 0; /* VEX, EVEX: not met near system calls */
    if (op == 0x0f) {
        op = p[at++];
        if (op == 0x38 || op == 0x3a) {
            what = op == 0x3a ? M | I8 : M;
            at++;
        } else {
            what = two_byte(op);
        }
    } else {
        what = one_byte(op);
        if (group3 && at < avail && (p[at] & 0x38) < 0x10)
            what |= op == 0xf6 ? I8 : IZ;
    }
    if (what & BAD || at > avail)
        return 0;
    if (what & M) {
        size_t n = modrm_length(p + at, avail - at);
        if (!n)
            return 0;
        at += n;
    }
    at += immediate_length(what, opsize, rexw);
    return at <= avail && at <= 15 ? at : 0;
}

/* Opcodes that read and write registers only when their ModRM byte says so. Of group 3 (f6, f7) the
 * divisions are excluded by their ModRM byte. */
static bool computes(uint8_t op)
{
    if (op < 0x40)
        return (op & 7) < 6;
    switch (op) {
    case 0x63:
    case 0x69:
    case 0x6b:
    case 0x80:
    case 0x81:
    case 0x83:
    case 0x84:
    case 0x85:
    case 0x88:
    case 0x89:
    case 0x8a:
    case 0x8b:
    case 0xc0:
    case 0xc1:
    case 0xc6:
    case 0xc7:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xf6:
    case 0xf7:
        return true;
    }
    return false;
}

static bool computes_0f(uint8_t op)
{
    return (op >= 0x40 && op <= 0x4f) || (op >= 0x90 && op <= 0x9f) || op == 0xaf || op == 0xb6 ||
           op == 0xb7 || op == 0xbe || op == 0xbf;
}

size_t insn_movable(const uint8_t *p, size_t avail, size_t *disp)
{
    size_t n = insn_length(p, avail), at = 0;
    *disp = 0;
    if (n && p[at] == 0x66)
        at++;
    uint8_t rex = at < n && (p[at] & 0xf0) == 0x40 ? p[at++] : 0;
    if (at + 1 > n)
        return 0;
    uint8_t op = p[at++];
    bool two = op == 0x0f;
    if (two)
        op = at < n ? p[at++] : 0x0b;
    if (!two && (op == 0x90 || op == 0x98 || op == 0x99 || (op >= 0xb0 && op <= 0xbf)))
        return n;
    if (at >= n)
        return 0;
    uint8_t mod = p[at] >> 6, rm = p[at] & 7;
    if (two && op == 0x1f)
        return n;
    if (!two && op == 0x8d) {
        if (mod == 0 && rm == 5)
            *disp = at + 1;
        return n;
    }
    if (!two && op < 0x40 && (op & 6) == 4) /* with an immediate, no ModRM byte */
        return n;
    if (!two && (op == 0xa8 || op == 0xa9))
        return n;
    if (!(two ? computes_0f(op) : computes(op)))
        return 0;
    uint8_t reg = p[at] >> 3 & 7;
    if (!two && (((op & 0xfe) == 0xf6 && reg >= 6) || ((op & 0xfe) == 0xc6 && reg)))
        return 0; /* divisions; xabort, xbegin */
    bool stack_load = !two && op == 0x8b && mod < 3 && rm == 4 && at + 1 < n && p[at + 1] == 0x24 &&
                      !(rex & 3); /* these would name %r12, as base or index */
    return mod == 3 || stack_load ? n : 0;
}

static bool ends_flow(const uint8_t *p)
{
    if (p[0] == 0xf3 && p[1] == 0xc3)
        return true;
    return p[0] == 0xc3 || p[0] == 0xc2 || p[0] == 0xe9 || p[0] == 0xeb ||
           (p[0] == 0x0f && p[1] == 0x0b) || p[0] == 0xf4;
}

/* Is it a nop of any length, or int3? */
static bool is_padding(const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (at < n && (p[at] == 0x66 || p[at] == 0x2e))
        at++;
    if (at == n)
        return false;
    if (p[at] == 0x90 || (p[at] == 0xcc && n == 1))
        return at + 1 == n;
    return at + 1 < n && p[at] == 0x0f && p[at + 1] == 0x1f;
}

uintptr_t insn_find_hole(uintptr_t from, uintptr_t end, size_t need)
{
    bool dead = false;
    uintptr_t hole = 0;
    for (uintptr_t at = from; at < end;) {
        const uint8_t *p = (const uint8_t *)at;
        size_t n = insn_length(p, end - at);
        if (!n)
            return 0;
        if (dead && is_padding(p, n)) {
            hole = hole ? hole : at;
            if (at + n - hole >= need)
                return hole;
        } else {
            dead = end - at >= 2 && ends_flow(p);
            hole = 0;
        }
        at += n;
    }
    return 0;
}

#define LOOK_BACK 72
#define NEAREST   16 /* further up than the longest instruction */

/* Walks from `from`: does the stream meet `end`, and did it meet `at` on the way? */
static bool stream_meets(uintptr_t from, uintptr_t at, uintptr_t end, bool *meets_at)
{
    *meets_at = false;
    while (from < end) {
        *meets_at |= from == at;
        size_t n = insn_length((const uint8_t *)from, end - from);
        if (!n)
            return false;
        from += n;
    }
    return from == end;
}

unsigned insn_begins(uintptr_t start, uintptr_t at, uintptr_t end)
{
    unsigned streams = 0, met = 0;
    uintptr_t low = end - start > LOOK_BACK ? end - LOOK_BACK : start;
    for (uintptr_t from = low; from + NEAREST <= end; from++) {
        bool meets;
        if (stream_meets(from, at, end, &meets)) {
            streams++;
            met += meets;
        }
    }
    return streams >= 4 ? met * 100 / streams : 0;
}
