/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Whether program text may be rewritten. Text that the program can write belongs to somebody who
 * may change it, or move it elsewhere as it finds it: it stays as it is. Others' files stay, too.
 */
#include "sgxemu/emu.h"
#include <linux/fcntl.h>

/* One line of /proc/PID/maps: "start-end rwxp ...". */
struct line {
    uint64_t start, end;
    char access[4];
};

enum state { IN_START, IN_END, IN_ACCESS, IN_REST };

struct parser {
    struct line line;
    enum state state;
    unsigned at;
};

/* True when the line's fields are complete. */
static bool feed(struct parser *p, char c)
{
    const uint64_t digit = (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    if (c == '\n') {
        *p = (struct parser){0};
    } else if (p->state == IN_START && c == '-') {
        p->state = IN_END;
    } else if (p->state == IN_END && c == ' ') {
        p->state = IN_ACCESS;
    } else if (p->state == IN_START) {
        p->line.start = p->line.start << 4 | digit;
    } else if (p->state == IN_END) {
        p->line.end = p->line.end << 4 | digit;
    } else if (p->state == IN_ACCESS) {
        p->line.access[p->at++] = c;
        if (p->at == sizeof(p->line.access)) {
            p->state = IN_REST;
            return true;
        }
    }
    return false;
}

bool text_is_constant(uint64_t address)
{
    char text[1024];
    struct parser p = {0};
    bool found = false, constant = false;
    long n = 0, fd = sys(__NR_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    if (sys_failed(fd))
        return false;
    while (!found && (n = sys(__NR_read, fd, text, sizeof(text))) > 0) {
        for (long i = 0; i < n && !found; i++) {
            found = feed(&p, text[i]) && address >= p.line.start && address < p.line.end;
            constant = found && p.line.access[1] != 'w' && p.line.access[3] == 'p';
        }
    }
    sys(__NR_close, fd);
    return constant;
}
