/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Instruction lengths (Intel's manual, volume 2, appendix A), for the few instructions behind an
 * ENCLU that a jump may cover. What is not known here is not moved.
 */
#include "sgxemu/transition/fast.h"

/* Bytes of ModRM, SIB and displacement; 0 when RIP-relative. */
static unsigned modrm_length(const uint8_t *p)
{
    const unsigned mod = p[0] >> 6, rm = p[0] & 7;
    if (mod == 3)
        return 1;
    if (mod == 0 && rm == 5)
        return 0;
    unsigned n = rm == 4 ? 2 : 1;
    if (mod == 1)
        return n + 1;
    if (mod == 2 || (rm == 4 && (p[1] & 7) == 5))
        return n + 4;
    return n;
}

/* ModRM and an immediate of `imm` bytes, after `done` bytes. */
static unsigned with_modrm(const uint8_t *code, unsigned done, unsigned imm)
{
    unsigned n = modrm_length(code + done);
    return n ? done + n + imm : 0;
}

static unsigned two_byte(const uint8_t *code, unsigned i, bool *last)
{
    const uint8_t op = code[i];
    switch (op) {
    case 0x0b: /* UD2 */
        *last = true;
        return i + 1;
    case 0xc8 ... 0xcf: /* BSWAP */
        return i + 1;
    case 0x10:
    case 0x11:
    case 0x1e: /* ENDBR64 and other hints */
    case 0x1f:
    case 0x28:
    case 0x29:
    case 0x40 ... 0x4f: /* CMOVcc */
    case 0x54 ... 0x57:
    case 0x6e:
    case 0x6f:
    case 0x7e:
    case 0x7f:
    case 0x90 ... 0x9f: /* SETcc */
    case 0xae:          /* fences, LDMXCSR, XRSTOR */
    case 0xaf:
    case 0xb6:
    case 0xb7:
    case 0xbe:
    case 0xbf:
    case 0xd6:
    case 0xef:
        return with_modrm(code, i + 1, 0);
    default:
        return 0;
    }
}

static unsigned one_byte(const uint8_t *code, unsigned i, bool wide, bool word, bool *last)
{
    const uint8_t op = code[i], next = code[i + 1];
    const unsigned imm = word && !wide ? 2 : 4;
    if (op < 0x40) { /* ADD OR ADC SBB AND SUB XOR CMP */
        if ((op & 7) < 4)
            return with_modrm(code, i + 1, 0);
        return (op & 7) == 4 ? i + 2 : (op & 7) == 5 ? i + 1 + imm : 0;
    }
    switch (op) {
    case 0x50 ... 0x5f: /* PUSH, POP */
    case 0x90 ... 0x99:
    case 0xc9:
    case 0xf8:
    case 0xf9:
    case 0xfc:
    case 0xfd:
        return i + 1;
    case 0xc3: /* RET */
        *last = true;
        return i + 1;
    case 0x6a:
    case 0xa8:
    case 0xb0 ... 0xb7:
        return i + 2;
    case 0x68:
    case 0xa9:
        return i + 1 + imm;
    case 0xb8 ... 0xbf:
        return i + 1 + (wide ? 8 : imm);
    case 0x63:
    case 0x84 ... 0x8b:
    case 0x8d:
    case 0xd0 ... 0xd3:
        return with_modrm(code, i + 1, 0);
    case 0x6b:
    case 0x80:
    case 0x83:
    case 0xc0:
    case 0xc1:
        return with_modrm(code, i + 1, 1);
    case 0x69:
    case 0x81:
        return with_modrm(code, i + 1, imm);
    case 0xc6:
    case 0xc7: /* MOV; XABORT, and XBEGIN, which is relative */
        return (next >> 3 & 7) == 0 ? with_modrm(code, i + 1, op == 0xc6 ? 1 : imm) : 0;
    case 0xf6:
        return with_modrm(code, i + 1, (next >> 3 & 7) < 2 ? 1 : 0);
    case 0xf7:
        return with_modrm(code, i + 1, (next >> 3 & 7) < 2 ? imm : 0);
    case 0xfe:
        return with_modrm(code, i + 1, 0);
    case 0xff: /* INC and DEC; calls push an address, jumps may be relative */
        return (next >> 3 & 7) < 2 ? with_modrm(code, i + 1, 0) : 0;
    default:
        return 0;
    }
}

unsigned decode_movable(const uint8_t *code, bool *last)
{
    unsigned i = 0;
    bool wide = false, word = false;
    *last = false;
    while (i < 4 && (code[i] == 0x66 || code[i] == 0xf2 || code[i] == 0xf3 || code[i] == 0x64 ||
                     code[i] == 0x65 || code[i] == 0x2e))
        word |= code[i++] == 0x66;
    if ((code[i] & 0xf0) == 0x40)
        wide = code[i++] & 8;
    unsigned n =
        code[i] == 0x0f ? two_byte(code, i + 1, last) : one_byte(code, i, wide, word, last);
    return n <= 15 ? n : 0;
}

GENERAL_REGS bool decode_branch(const uint8_t *code, struct branch_insn *out)
{
    int8_t near;
    *out = (struct branch_insn){.kind = BRANCH_NONE};
    if (code[0] == 0xeb || (code[0] & 0xf0) == 0x70) {
        memcpy(&near, code + 1, 1);
        out->kind = code[0] == 0xeb ? BRANCH_JUMP : BRANCH_IF;
        out->condition = code[0] & 15;
        out->displacement = near;
        out->length = 2;
    } else if (code[0] == 0xe9 || code[0] == 0xe8) {
        out->kind = code[0] == 0xe9 ? BRANCH_JUMP : BRANCH_CALL;
        memcpy(&out->displacement, code + 1, 4);
        out->length = 5;
    } else if (code[0] == 0x0f && (code[1] & 0xf0) == 0x80) {
        out->kind = BRANCH_IF;
        out->condition = code[1] & 15;
        memcpy(&out->displacement, code + 2, 4);
        out->length = 6;
    }
    return out->kind != BRANCH_NONE;
}
