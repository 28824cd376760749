/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* `syscall` instructions in unusual places and shapes; a rewriter must get each of them right. */
#include "check.h"

/* 39 is getpid, 110 getppid. */
__asm__(
    ".text\n"
    "s_plain: mov $39, %eax; syscall; ret\n"
    "s_short: xor %eax, %eax; mov $39, %al; syscall; ret\n"
    "s_rex: mov $39, %rax; syscall; ret\n"
    "s_push: push $39; pop %rax; syscall; ret\n"
    "s_lea: xor %eax, %eax; lea 39(%rax), %eax; syscall; ret\n"
    "s_memory: mov s_number(%rip), %eax; syscall; ret\n"
    "s_register: mov %edi, %eax; syscall; ret\n"
    "s_bare: syscall; ret\n" /* the number comes with the jump */
    "s_to_bare: mov $39, %eax; jmp s_bare\n"
    "s_gap: mov $39, %eax; nop; syscall; ret\n"
    "s_prefix: mov $39, %eax; .byte 0x48, 0x0f, 0x05; ret\n"
    /* Entered by the pair, or in its middle. */
    "s_pair: mov $39, %eax\n"
    "s_middle: syscall; ret\n"
    "s_to_middle: mov $110, %eax; jmp s_middle\n"
    /* Loops back to the instruction itself with another number. */
    "s_loop: push %rbx; xor %ebx, %ebx; mov $3, %r10d; mov $39, %eax\n"
    "1: syscall; add %rax, %rbx; mov $110, %eax; dec %r10d; jnz 1b\n"
    "mov %rbx, %rax; pop %rbx; ret\n"
    /* The instruction after it is a jump target. */
    "s_after: mov %rdi, %rax; test %edi, %edi; jnz 2f; mov $39, %eax; syscall\n"
    "2: cmp $-4095, %rax; jae 3f; ret\n"
    "3: mov $-1, %rax; ret\n"
    /* Two in a row, with and without room between. */
    "s_two: push %rbx; mov $39, %eax; syscall; mov %rax, %rbx; mov $110, %eax; syscall\n"
    "add %rbx, %rax; pop %rbx; ret\n"
    "s_twice: mov $39, %eax; syscall; mov $39, %eax; syscall; ret\n"
    /* Followed by an instruction relative to its own place. */
    "s_relative: mov $39, %eax; syscall; lea s_number(%rip), %rdx; mov (%rdx), %ecx\n"
    "sub $39, %rcx; add %rcx, %rax; ret\n"
    "s_call: mov $39, %eax; syscall; call s_identity; ret\n"
    "s_jump: mov $39, %eax; syscall; jmp s_identity\n"
    "s_identity: ret\n"
    /* The number is loaded further up, with all sorts of code up to the instruction. */
    "s_ahead: mov $39, %eax; lea 0x12345(%rbx), %rsi; syscall; ret\n"
    "s_place: mov $39, %eax; lea s_number(%rip), %rsi; syscall; sub $39, %rax\n"
    "movslq (%rsi), %rdi; add %rdi, %rax; ret\n"
    "s_stack: movq $39, -16(%rsp); sub $24, %rsp; mov $7, %edi; mov 8(%rsp), %eax; syscall\n"
    "add $24, %rsp; ret\n"
    "s_many: mov $38, %edx; xchg %ax, %ax; xor %edi, %edi; mov %edx, %eax; inc %eax; syscall; ret\n"
    /* Entered behind the instruction that a jump may replace. */
    "s_behind: mov %rdi, %rax; test %edi, %edi; jnz 5f; mov $39, %eax\n"
    "5: xor %esi, %esi; xor %edx, %edx; syscall; ret\n"
    /* Directly before unmapped-looking bytes. */
    "s_traps: mov $39, %eax; syscall; jmp 4f; ud2; ud2\n"
    "4: ret\n"
    ".data\n"
    "s_number: .long 39, 0\n"
    ".text\n");

typedef long fn(long);
extern fn s_plain, s_short, s_rex, s_push, s_lea, s_memory, s_register, s_to_bare, s_gap, s_prefix,
    s_pair, s_to_middle, s_loop, s_after, s_two, s_twice, s_relative, s_call, s_jump, s_traps,
    s_ahead, s_place, s_stack, s_many, s_behind;

static long pid, ppid;

/* Several times: the first pass may trap, later ones run what was put there. */
static void expect(const char *name, fn *f, long arg, long want)
{
    bool fine = true;
    for (int i = 0; i < 5; i++)
        fine &= f(arg) == want;
    CHECK(name, fine);
}

static void shapes(void)
{
    expect("number directly before", s_plain, 0, pid);
    expect("number in the low byte", s_short, 0, pid);
    expect("64-bit move", s_rex, 0, pid);
    expect("push and pop", s_push, 0, pid);
    expect("by lea", s_lea, 0, pid);
    expect("from memory", s_memory, 0, pid);
    expect("from a register", s_register, 39, pid);
    expect("from a register, other number", s_register, 110, ppid);
    expect("from a register, no such number", s_register, 100000, -ENOSYS);
    expect("upper half of the number", s_register, 39L + (1L << 32), pid);
    expect("jumped to", s_to_bare, 0, pid);
    expect("code between", s_ahead, 0, pid);
    expect("code between that knows its place", s_place, 0, pid);
    expect("code between that reads the stack", s_stack, 0, pid);
    expect("much code between", s_many, 0, pid);
    for (int i = 0; i < 3; i++) {
        expect("code between, as a whole", s_behind, 0, pid);
        expect("code between, entered there", s_behind, 110, ppid);
    }
    expect("gap", s_gap, 0, pid);
    expect("prefix", s_prefix, 0, pid);
    for (int i = 0; i < 3; i++) {
        expect("pair", s_pair, 0, pid);
        expect("into the middle of it", s_to_middle, 0, ppid);
    }
    expect("loop", s_loop, 0, pid + 2 * ppid);
    expect("after it is a target, through", s_after, 0, pid);
    expect("after it is a target, jumped", s_after, 55, 55);
    expect("after it is a target, error", s_after, -5, -1);
    expect("two", s_two, 0, pid + ppid);
    expect("two in a row", s_twice, 0, pid);
    expect("relative instruction after it", s_relative, 0, pid);
    expect("call after it", s_call, 0, pid);
    expect("jump after it", s_jump, 0, pid);
    expect("bytes that trap nearby", s_traps, 0, pid);
}

/* Puts mov $nr,%eax; syscall; ret at the address. */
static void generate(unsigned char *at, int nr)
{
    unsigned char code[] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3};
    memcpy(code + 1, &nr, 4);
    memcpy(at, code, sizeof(code));
}

static fn *code_at(unsigned char *p)
{
    return (fn *)(uintptr_t)p;
}

static void generated(void)
{
    unsigned char *p =
        mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(p != MAP_FAILED);
    memset(p, 0xcc, 3 * PAGE);
    generate(p + PAGE - 7, 39);      /* the instruction ends the page */
    generate(p + 2 * PAGE - 3, 110); /* the number straddles it */
    generate(p + 2 * PAGE + 100, 39);
    p[3 * PAGE - 2] = 0x0f; /* the last bytes of the mapping */
    p[3 * PAGE - 1] = 0x05;
    NEED(mprotect(p, 3 * PAGE, PROT_READ | PROT_EXEC) == 0);
    expect("last bytes of a page", code_at(p + PAGE - 7), 0, pid);
    expect("number over two pages", code_at(p + 2 * PAGE - 3), 0, ppid);
    expect("generated", code_at(p + 2 * PAGE + 100), 0, pid);
    NEED(mprotect(p, 3 * PAGE, PROT_READ | PROT_WRITE) == 0);
    generate(p + 2 * PAGE + 100, 110);
    NEED(mprotect(p, 3 * PAGE, PROT_READ | PROT_EXEC) == 0);
    expect("generated anew in place", code_at(p + 2 * PAGE + 100), 0, ppid);
    NEED(mprotect(p, 3 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    generate(p + 200, 39);
    expect("writable and executable", code_at(p + 200), 0, pid);
    generate(p + 200, 110);
    expect("changed while executable", code_at(p + 200), 0, ppid);
    NEED(mprotect(p, 3 * PAGE, PROT_EXEC) == 0);
    expect("executable only", code_at(p + PAGE - 7), 0, pid);
    munmap(p, 3 * PAGE);
    unsigned char *q = mmap(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    NEED(q == p);
    generate(q + 200, 39);
    expect("other code, same address", code_at(q + 200), 0, pid);
    unsigned char *moved = mremap(q, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    NEED(moved != MAP_FAILED);
    expect("moved along by mremap", code_at(moved + 200), 0, pid);
}

static void in_files(void)
{
    unsigned char page[PAGE], again[PAGE];
    memset(page, 0xcc, sizeof(page));
    generate(page + 64, 39);
    generate(page + 128, 110);
    int fd = open("code", O_RDWR | O_CREAT, 0700);
    NEED(write(fd, page, sizeof(page)) == (ssize_t)sizeof(page));
    unsigned char *p = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    expect("private file", code_at(p + 64), 0, pid);
    unsigned char *s = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    expect("shared file", code_at(s + 128), 0, ppid);
    NEED(pread(fd, again, sizeof(again), 0) == (ssize_t)sizeof(again));
    CHECK("the file is as it was", memcmp(page, again, sizeof(page)) == 0);
    int ro = open("code", O_RDONLY);
    unsigned char *r = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, ro, 0);
    expect("shared read-only file", code_at(r + 64), 0, pid);
}

__asm__(".text\n"
        "s_child: mov $39, %eax; syscall; ret\n");
extern fn s_child;

static void children(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        long me = getpid();
        _exit((s_child(0) == me) | (s_child(0) == me) << 1 | (s_plain(0) == me) << 2);
    }
    waitpid(child, &status, 0);
    show_status("new and old sites in a child", status);
    expect("the child's site in the parent", s_child, 0, pid);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    pid = getpid();
    ppid = getppid();
    shapes();
    generated();
    in_files();
    children();
    return 0;
}
