/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Hostile programs: the input is a file. What elf_read() makes of it must keep its promises
 * (elf.h), and what it accepts is started by execve over the mock host. Mutations change header
 * fields of the heads of real programs.
 *
 * With clang a libFuzzer target; otherwise a program that makes its own inputs for N seconds.
 */
#include "libos/proc/elf.h"
#include "libos/process.h"
#include "platform/test/world.h"
#include <asm/unistd.h>
#include <linux/elf.h>
#include <linux/mman.h>

#define HEAD     (16 * 1024UL)
#define USER_TOP 0x7ffffffff000UL

int printf(const char *format, ...);
int atoi(const char *s);
long time(long *t);
void *fopen(const char *path, const char *mode);
size_t fread(void *p, size_t size, size_t n, void *f);
int fclose(void *f);

struct bytes {
    const uint8_t *p;
    size_t n;
};

static uint8_t seeds[4][HEAD];
static size_t seed_size[4], seed_count;
static unsigned long accepted, started;

static void must(bool ok, const char *what)
{
    if (!ok)
        mock_violation(what, -1);
}

static ssize read_bytes(void *ctx, void *buf, size_t n, int64_t off)
{
    struct bytes *b = ctx;
    must(off >= 0, "elf_read reads before the file");
    if ((uint64_t)off >= b->n)
        return 0;
    n = MIN(n, b->n - (size_t)off);
    memcpy(buf, b->p + off, n);
    return (ssize)n;
}

static void check(const struct elf_image *im)
{
    uintptr_t end = 0;
    must(im->count && im->count <= ELF_MAX_SEGMENTS, "number of segments");
    for (uint32_t i = 0; i < im->count; i++) {
        const struct elf_segment *s = &im->segment[i];
        must(s->vaddr >= end, "segments overlap or descend");
        must(s->filesz <= s->memsz && s->offset >= 0, "segment sizes");
        must(s->vaddr + s->memsz > s->vaddr && s->vaddr + s->memsz <= USER_TOP, "segment end");
        must(s->vaddr >= im->low && s->vaddr + s->memsz <= im->high, "segment outside the span");
        end = s->vaddr + s->memsz;
    }
    must(!(im->low & PAGE_MASK) && !(im->high & PAGE_MASK), "span is not whole pages");
    must(memchr(im->interp, 0, sizeof(im->interp)), "interpreter not terminated");
    must(im->align && !(im->align & (im->align - 1)), "alignment");
}

static void start(void *arg)
{
    struct bytes *b = arg;
    char *m = world_memory(PAGE_SIZE);
    must(m, "no memory");
    memcpy(m, "/fuzzed", 8);
    long fd = world_call(__NR_open, (long)m, O_WRONLY | O_CREAT | O_TRUNC, 0755, 0, 0, 0);
    must(fd >= 0, "cannot create the program");
    char *copy = world_memory(PAGE_UP(b->n + 1));
    memcpy(copy, b->p, b->n);
    world_call(__NR_write, fd, (long)copy, (long)b->n, 0, 0, 0);
    world_call(__NR_close, fd, 0, 0, 0, 0, 0);
    world_call(__NR_execve, (long)m, 0, 0, 0, 0, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct elf_image im;
    struct bytes b = {data, MIN(size, 64 * 1024UL)};
    int value;
    mock_catch_faults();
    if (elf_read(&im, read_bytes, &b))
        return 0;
    accepted++;
    check(&im);
    started += mock_enter(start, &b, &value) == MOCK_RESUMED;
    world_reset();
    mock_check_guarded();
    return 0;
}

static void take_seed(const char *path)
{
    void *f = fopen(path, "r");
    if (!f)
        return;
    seed_size[seed_count] = fread(seeds[seed_count], 1, HEAD, f);
    fclose(f);
    seed_count++;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    world_start();
    take_seed("program");
    take_seed("/bin/true");
    take_seed("/usr/bin/python3");
    take_seed("/lib64/ld-linux-x86-64.so.2");
    return 0;
}

static uint64_t state = 88172645463325252UL;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* One field of the ELF header or of a program header becomes another, near or extreme, value. */
static void mutate(uint8_t *p, size_t size)
{
    static const uint64_t extremes[] = {
        0,    1,     UINT64_MAX,   INT64_MAX,   1UL << 63, USER_TOP, USER_TOP - 1,
        4096, 65536, MOCK_GUARDED, MOCK_WINDOW, 0x400000};
    static const uint8_t sizes[] = {1, 2, 4, 8};
    size_t n = sizes[next() % 4];
    size_t at = next() % 4 ? (next() % (64 + 56 * 12)) & ~(n - 1) : next();
    if (size < n)
        return;
    at %= size - n + 1;
    uint64_t v = 0;
    memcpy(&v, p + at, n);
    switch (next() % 4) {
    case 0:
        v = extremes[next() % ARRAY_SIZE(extremes)];
        break;
    case 1:
        v += next() % 9 - 4;
        break;
    case 2:
        v ^= 1UL << next() % (8 * n);
        break;
    default:
        v += (next() % 33 - 16) * PAGE_SIZE;
    }
    memcpy(p + at, &v, n);
}

static size_t from_seed(uint8_t *p, size_t most)
{
    size_t i = next() % seed_count, n = MIN(seed_size[i], most);
    memcpy(p, seeds[i], n);
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    state ^= (uint64_t)seed << 20 | 1;
    if (size < 64 || next() % 32 == 0)
        size = from_seed(data, max_size);
    for (size_t i = next() % 4 + 1; i--;)
        mutate(data, size);
    return next() % 64 == 0 ? next() % (size + 1) : size;
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
    static uint8_t file[HEAD];
    long end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
    unsigned long inputs = 0;
    LLVMFuzzerInitialize(NULL, NULL);
    for (; time(NULL) < end; inputs++) {
        size_t n = LLVMFuzzerCustomMutator(file, 0, sizeof(file), (unsigned)next());
        LLVMFuzzerTestOneInput(file, n);
    }
    printf("%lu inputs, %lu accepted, %lu started\n", inputs, accepted, started);
    world_finish();
    return accepted && started ? 0 : 1;
}
#endif
