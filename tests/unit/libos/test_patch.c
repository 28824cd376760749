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
    assert_int_equal(*(uintptr_t *)target(stub, 9), platform_syscall_entry());
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

/* Nothing may be done: a memory access before it, no padding behind it; shared code. */
static void test_left_alone(void **state)
{
    static const uint8_t code[] = "\x8b\x83\0\x01\0\0\x0f\x05\x0f\x1f\0\x75\xf0\x0f\x1f\0\x75\xf0";
    static const uint8_t plain[] = "\xb8\x27\0\0\0\x0f\x05\xc3";
    uint8_t long_code[18 + 130];
    (void)state;
    memcpy(long_code, code, 18);
    memset(long_code + 18, 0x90, 130); /* reached by falling through */
    uint8_t *p = map_code(long_code, sizeof(long_code), MAP_PRIVATE);
    uint8_t *q = map_code(plain, 8, MAP_SHARED);
    for (int i = 0; i < 3; i++) {
        trap(p + 6, 39);
        trap(q + 5, 39);
    }
    assert_memory_equal(p, long_code, sizeof(long_code));
    assert_memory_equal(q, plain, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_before),
        cmocka_unit_test(test_code_between),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_left_alone),
    };
    world_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_finish();
    return failed;
}
