/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* entry/patch.c: what becomes of call sites, read and not run (tests/syscalls/sites.c runs them).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "libos/entry/patch.h"
#include "libos/process.h"
#include "platform/platform.h"
#include "platform/test/world.h"
#include <asm/unistd.h>
#include <linux/mman.h>

void *mmap(void *addr, size_t n, int prot, int flags, int fd, long off);
int munmap(void *p, size_t n);

#define FILLER 80 /* nops before each piece of code: enough to find its instructions */

/* Private executable memory of a file that holds the filler and `code`; address of the code. */
static uint8_t *map_code(const uint8_t *code, size_t n, int flags)
{
    char *memory = world_memory(PAGE_SIZE);
    static char name[] = "/code-a"; /* a file for each */
    name[6]++;
    memcpy(memory, name, sizeof(name));
    long fd = world_call(__NR_open, (long)memory, O_RDWR | O_CREAT | O_TRUNC, 0700, 0, 0, 0);
    assert_true(fd >= 0);
    memset(memory + 64, 0x90, FILLER);
    memcpy(memory + 64 + FILLER, code, n);
    memset(memory + 64 + FILLER + n, 0xcc, 200);
    assert_int_equal(world_call(__NR_write, fd, (long)memory + 64, FILLER + (long)n + 200, 0, 0, 0),
                     FILLER + n + 200);
    long p = world_call(__NR_mmap, 0, PAGE_SIZE, PROT_READ | PROT_EXEC, flags, fd, 0);
    assert_false(IS_ERR(p));
    world_call(__NR_close, fd, 0, 0, 0, 0, 0);
    return (uint8_t *)p + FILLER;
}

static void trap(uint8_t *site, uint64_t rax)
{
    struct regs r = {.rip = (uintptr_t)site + 2, .rax = rax};
    patch_site(&r);
}

static uint8_t *target(const uint8_t *p, size_t disp)
{
    int32_t d;
    memcpy(&d, p + disp, 4);
    return (uint8_t *)p + disp + 4 + d;
}

/* The end of a stub: return address, and the way to the library OS. */
static void check_stub_end(const uint8_t *stub, const uint8_t *site)
{
    assert_memory_equal(stub, "\x48\x8d\x0d", 3);
    assert_ptr_equal(target(stub, 3), site + 2);
    assert_memory_equal(stub + 7, "\xff\x25", 2);
    assert_int_equal(*(uintptr_t *)target(stub, 9), platform_syscall_entry(false));
    assert_true(patch_is_stub((uintptr_t)stub));
}

/* mov $39, %eax; syscall */
static void test_number_before(void **state)
{
    static const uint8_t code[] = "\xb8\x27\0\0\0\x0f\x05\xc3";
    uint8_t *p = map_code(code, 8, MAP_PRIVATE);
    (void)state;
    trap(p + 5, 39);
    assert_memory_equal(p, code, 8); /* met once only */
    trap(p + 5, 39);
    assert_int_equal(p[0], 0xe9);
    assert_memory_equal(p + 5, "\x0f\x05\xc3", 3);
    uint8_t *stub = target(p, 1);
    assert_memory_equal(stub, code, 5);
    check_stub_end(stub + 5, p + 5);
    trap(p + 5, 39); /* whoever jumps to it */
    assert_memory_equal(p + 5, "\x0f\x05\xc3", 3);
}

/* mov $39, %eax; lea 0x100(%rip), %rsi; syscall: the lea is copied and still means the same place.
 */
static void test_code_between(void **state)
{
    static const uint8_t code[] = "\xb8\x27\0\0\0\x48\x8d\x35\0\x01\0\0\x0f\x05\xc3";
    uint8_t *p = map_code(code, 15, MAP_PRIVATE);
    (void)state;
    trap(p + 12, 39);
    trap(p + 12, 39);
    assert_memory_equal(p, code, 5);
    assert_int_equal(p[5], 0xe9);
    assert_memory_equal(p + 10, "\x90\x90\x0f\x05\xc3", 5);
    uint8_t *stub = target(p + 5, 1);
    assert_memory_equal(stub, "\x48\x8d\x35", 3);
    assert_ptr_equal(target(stub, 3), p + 12 + 0x100);
    check_stub_end(stub + 7, p + 12);
}

/* xor %eax, %eax; syscall; ret; padding */
static void test_padding(void **state)
{
    static const uint8_t code[] = "\x31\xc0\x0f\x05\xc3\x90\x90\x90\x90\x90\x90\xc3";
    uint8_t *p = map_code(code, 12, MAP_PRIVATE);
    (void)state;
    trap(p + 2, 0);
    trap(p + 2, 0);
    assert_memory_equal(p, code, 2);
    assert_int_equal(p[2], 0xeb);
    uint8_t *hole = p + 4 + p[3];
    assert_true(hole >= p + 5 && hole[0] == 0xe9);
    check_stub_end(target(hole, 1), p + 2);
}

/* `n` bytes of code with a site behind them, and no padding that is not reached. */
static void check_left_alone(const char *before, size_t n)
{
    static const uint8_t behind[] = "\x0f\x05\x0f\x1f\0\x75\xf0\x0f\x1f\0\x75\xf0";
    uint8_t code[160];
    memcpy(code, before, n);
    memcpy(code + n, behind, 12);
    memset(code + n + 12, 0x90, 130); /* reached by falling through */
    uint8_t *p = map_code(code, n + 12 + 130, MAP_PRIVATE);
    for (int i = 0; i < 3; i++)
        trap(p + n, 39);
    assert_memory_equal(p, code, n + 12 + 130);
}

/* Nothing may be done: a memory access before it, no padding behind it; shared code. */
static void test_left_alone(void **state)
{
    static const uint8_t plain[] = "\xb8\x27\0\0\0\x0f\x05\xc3";
    (void)state;
    check_left_alone("\x8b\x83\0\x01\0\0", 6);         /* mov 0x100(%rbx), %eax */
    check_left_alone("\x49\x8b\x84\x24\0\x01\0\0", 8); /* mov 0x100(%r12), %rax */
    check_left_alone("\x4a\x8b\x84\x24\0\x01\0\0", 8); /* mov 0x100(%rsp,%r12), %rax */
    uint8_t *q = map_code(plain, 8, MAP_SHARED);
    for (int i = 0; i < 3; i++)
        trap(q + 5, 39);
    assert_memory_equal(q, plain, 8);
}

/* mov 0x100(%rsp), %rax; syscall */
static void test_stack_load(void **state)
{
    static const uint8_t code[] = "\x48\x8b\x84\x24\0\x01\0\0\x0f\x05\xc3";
    uint8_t *p = map_code(code, 11, MAP_PRIVATE);
    (void)state;
    trap(p + 8, 39);
    trap(p + 8, 39);
    assert_int_equal(p[0], 0xe9);
    uint8_t *stub = target(p, 1);
    assert_memory_equal(stub, code, 8);
    check_stub_end(stub + 8, p + 8);
}

/* The application's own int3, in the last byte of its memory, is none of ours. */
static void test_breakpoint(void **state)
{
    uint8_t *p =
        mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    assert_ptr_not_equal(p, (void *)-1);
    munmap(p + PAGE_SIZE, PAGE_SIZE);
    p[PAGE_SIZE - 1] = 0xcc;
    assert_false(patch_in_progress_at((uintptr_t)p + PAGE_SIZE - 1));
    munmap(p, PAGE_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_before), cmocka_unit_test(test_code_between),
        cmocka_unit_test(test_padding),       cmocka_unit_test(test_stack_load),
        cmocka_unit_test(test_left_alone),    cmocka_unit_test(test_breakpoint),
    };
    world_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_finish();
    return failed;
}
