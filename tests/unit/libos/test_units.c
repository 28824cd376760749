/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Pieces of the library OS against models: the set of mappings, formatted text, instruction
 * lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "libos/entry/insn.h"
#include "host/host.h"
#include "host/host_process.h"
#include "libos/fs/pseudo.h"
#include "libos/fs/resolv.h"
#include "libos/process.h"
#include "platform/test/world.h"
#include <asm/statfs.h>
#include <linux/mman.h>
#include <linux/resource.h>
#include <linux/sched/types.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>

int snprintf(char *buf, size_t size, const char *format, ...);
void *popen(const char *command, const char *mode);
int pclose(void *f);
char *fgets(char *buf, int size, void *f);
unsigned long strtoul(const char *s, char **end, int base);
char *strstr(const char *s, const char *what);
int printf(const char *format, ...);

static uint64_t state_ = 88172645463325252UL;

static uint64_t next(void)
{
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
}

/* ---- tree.c ---- */

struct item {
    struct tree_node node;
    int key;
    bool in;
};

/* Height of a subtree whose keys lie in (low, high); every node is balanced and measured. */
static int check_tree(const struct tree_node *n, const struct tree_node *parent, int low, int high,
                      size_t *count)
{
    if (!n)
        return 0;
    int key = container_of(n, struct item, node)->key;
    assert_ptr_equal(n->parent, parent);
    assert_true(key > low && key < high);
    int left = check_tree(n->child[0], n, low, key, count);
    int right = check_tree(n->child[1], n, key, high, count);
    assert_true(left - right >= -1 && left - right <= 1);
    assert_int_equal(n->height, 1 + MAX(left, right));
    ++*count;
    return n->height;
}

static void put(struct tree *t, struct item *i)
{
    struct tree_node *parent = NULL, *at = t->root;
    int side = 0;
    while (at) {
        parent = at;
        side = container_of(at, struct item, node)->key < i->key;
        at = at->child[side];
    }
    tree_insert(t, parent, side, &i->node);
}

static void test_tree(void **state)
{
    static struct item items[1000];
    struct tree t = {0};
    size_t in = 0;
    (void)state;
    for (size_t round = 0; round < 20000; round++) {
        /* In order at first, then at random; growing, then shrinking. */
        size_t k = round < ARRAY_SIZE(items) ? round : next() % ARRAY_SIZE(items);
        struct item *i = &items[k];
        bool add = round < 10000 ? next() % 4 != 0 : next() % 4 == 0;
        i->key = (int)k;
        if (add != i->in) {
            if (add)
                put(&t, i);
            else
                tree_remove(&t, &i->node);
            i->in = add;
            in += add ? 1 : -1UL;
        }
        if (round % 16)
            continue;
        size_t count = 0;
        check_tree(t.root, NULL, -1, (int)ARRAY_SIZE(items), &count);
        assert_int_equal(count, in);
        const struct tree_node *n = tree_end(&t, 0), *last = NULL;
        for (size_t j = 0; j < ARRAY_SIZE(items); j++) {
            if (!items[j].in)
                continue;
            assert_ptr_equal(n, &items[j].node);
            assert_ptr_equal(tree_neighbour(n, 0), last);
            last = n;
            n = tree_neighbour(n, 1);
        }
        assert_null(n);
        assert_ptr_equal(tree_end(&t, 1), last);
    }
}

/* ---- vma.c against one byte of protection per page ---- */

#define PAGES 256
#define BASE  0x10000000UL

static const struct file_ops no_ops = {.name = "model"};

static void compare_vmas(struct mm *mm, const uint8_t *prot, const int64_t *offset)
{
    size_t page = 0, total = 0;
    size_t count = 0;
    const struct vma *before = NULL;
    for (const struct vma *v = vma_first(mm); v; before = v, v = vma_next(v), count++) {
        assert_ptr_equal(vma_prev(v), before);
        size_t from = (v->start - BASE) / PAGE_SIZE, to = (v->end - BASE) / PAGE_SIZE;
        assert_true(from < to && from >= page && to <= PAGES);
        for (; page < from; page++)
            assert_int_equal(prot[page], 0xff);
        for (; page < to; page++, total += PAGE_SIZE) {
            assert_int_equal(prot[page], v->prot);
            if (v->file)
                assert_int_equal(offset[page], v->offset + (int64_t)((page - from) * PAGE_SIZE));
            else
                assert_int_equal(offset[page], -1);
        }
        if (before && before->end == v->start && before->prot == v->prot && before->file == v->file)
            assert_true(v->file &&
                        before->offset + (int64_t)(before->end - before->start) != v->offset);
    }
    for (; page < PAGES; page++)
        assert_int_equal(prot[page], 0xff);
    assert_int_equal(mm->total, total);
    assert_int_equal(mm->count, count);
}

static void test_vmas(void **state)
{
    uint8_t prot[PAGES];
    int64_t offset[PAGES];
    struct mm mm = {0};
    (void)state;
    struct file *f = file_new(&no_ops, FILE_REGULAR, -1, 0);
    size_t heap = heap_in_use();
    memset(prot, 0xff, sizeof(prot));
    for (int round = 0; round < 20000; round++) {
        size_t a = next() % PAGES, n = 1 + next() % MIN(PAGES - a, (size_t)(next() % 8 ? 8 : 200));
        uintptr_t start = BASE + a * PAGE_SIZE, end = start + n * PAGE_SIZE;
        int p = (int)(next() % 8);
        assert_int_equal(vma_reserve(&mm), 0);
        switch (next() % 4) {
        case 0:
            vma_remove(&mm, start, end);
            memset(prot + a, 0xff, n);
            break;
        case 1:
            vma_set_prot(&mm, start, end, p);
            for (size_t i = a; i < a + n; i++)
                prot[i] = prot[i] == 0xff ? 0xff : (uint8_t)p;
            break;
        default: {
            bool file = next() % 2;
            int64_t off =
                next() % 2 ? (int64_t)(a * PAGE_SIZE) : (int64_t)(next() % 64 * PAGE_SIZE);
            struct vma v = {.start = start,
                            .end = end,
                            .prot = p,
                            .flags = MAP_PRIVATE,
                            .file = file ? f : NULL,
                            .offset = file ? off : 0};
            vma_insert(&mm, &v);
            for (size_t i = 0; i < n; i++) {
                prot[a + i] = (uint8_t)p;
                offset[a + i] = file ? off + (int64_t)(i * PAGE_SIZE) : -1;
            }
        }
        }
        compare_vmas(&mm, prot, offset);
    }
    vma_remove(&mm, 0, UINTPTR_MAX & ~PAGE_MASK);
    assert_int_equal(mm.count, 0);
    assert_int_equal(f->refs, 1); /* every reference that the mappings held came back */
    vma_unreserve(&mm);
    assert_int_equal(heap_in_use(), heap);
    file_put(f);
}

/* ---- printf.c against libc ---- */

#define SAME(...)                                                \
    do {                                                         \
        char ours[64], theirs[64];                               \
        for (size_t size = 1; size <= sizeof(ours); size += 7) { \
            int a = fmt(ours, size, __VA_ARGS__);                \
            int b = snprintf(theirs, size, __VA_ARGS__);         \
            assert_int_equal(a, b);                              \
            assert_string_equal(ours, theirs);                   \
        }                                                        \
    } while (0)

static void test_format(void **state)
{
    static const long values[] = {0, 1, -1, 9, 10, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 255};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        long v = values[i];
        SAME("%ld|%lu|%lx|%lX", v, (unsigned long)v, (unsigned long)v, (unsigned long)v);
        SAME("%d|%u|%x|%o", (int)v, (unsigned)v, (unsigned)v, (unsigned)v);
        SAME("%8ld|%-8ld|%08ld", v, v, v);
        SAME("%*d|%-*d|%05d", 7, (int)v, 7, (int)v, (int)v);
        SAME("%.3d|%6.4d|%zu", (int)v, (int)v, (size_t)v);
    }
    SAME("%s|%5s|%-5s|%.2s|%.*s", "abc", "abc", "abc", "abc", 1, "abc");
    SAME("%c%%%c|%p", 'x', 'y', (void *)0x1234);
    assert_int_equal(fmt(NULL, 0, "%d", 12345), 5);
}

/* ---- insn.c against objdump ---- */

/* Text of the C library, as objdump divides it: each length that we give must be objdump's. */
static void test_instructions(void **state)
{
    (void)state;
    void *f = popen("objdump -d -w -j .text "
                    "/lib/x86_64-linux-gnu/libc.so.6 2>/dev/null | head -n 200000",
                    "r");
    char line[512];
    unsigned long known = 0, unknown = 0;
    if (!f)
        skip();
    while (fgets(line, sizeof(line), f)) {
        uint8_t code[16];
        size_t n = 0;
        char *p = strchr(line, ':');
        if (line[0] != ' ' || !p || p[1] != '\t')
            continue;
        for (p += 2; n < 15 && p[0] != ' ' && p[0] != '\t' && p[0] != '\n'; p += 3) {
            char hex[3] = {p[0], p[1], 0};
            code[n++] = (uint8_t)strtoul(hex, NULL, 16);
        }
        if (strstr(line, "(bad)"))
            continue;
        size_t length = insn_length(code, n);
        if (length && length != n)
            fail_msg("%zu bytes, not %zu: %s", n, length, line);
        /* Never longer than what may be read, and no byte behind it is looked at. */
        assert_int_equal(insn_length(code, n - 1), 0);
        length ? known++ : unknown++;
    }
    pclose(f);
    if (!known)
        skip();
    printf("%lu instructions, %lu not known\n", known, unknown);
    assert_true(known > 20 * unknown);
}

/* Mappings that cannot be merged, in an order that is bad for an array: it stays shallow. */
static void test_many_vmas(void **state)
{
    struct mm mm = {0};
    (void)state;
    for (size_t i = 20000; i-- > 0;) {
        struct vma v = {.start = BASE + 2 * i * PAGE_SIZE,
                        .end = BASE + (2 * i + 1) * PAGE_SIZE,
                        .flags = MAP_PRIVATE};
        assert_int_equal(vma_reserve(&mm), 0);
        vma_insert(&mm, &v);
    }
    assert_int_equal(mm.count, 20000);
    assert_true(mm.vmas.root->height <= 20); /* 1.44 log2 n */
    assert_int_equal(vma_find(&mm, BASE + 777 * PAGE_SIZE)->start, BASE + 778 * PAGE_SIZE);
    vma_remove(&mm, 0, UINTPTR_MAX & ~PAGE_MASK);
    assert_int_equal(mm.count, 0);
    vma_unreserve(&mm);
}

/* What the host says is refused when no call can return it. */
static void test_host_lies(void **state)
{
    uintptr_t at = MOCK_WINDOW + (1UL << 30);
    (void)state;
#define LIE(value, call)                            \
    mock_inject(MOCK_LIE, (long)(value), 1, false); \
    assert_int_equal(call, -EIO)
    LIE(-5000, host_lseek(0, 0, 1));
    LIE(1L << 40, host_fcntl(0, F_GETFL, 0));
    LIE(-4096, host_ioctl(0, 0, 0));
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    LIE(at + 1, host_mmap(0, PAGE_SIZE, 0, flags, -1, 0));
    LIE(USER_TOP, host_mmap(0, PAGE_SIZE, 0, flags, -1, 0));
    LIE(1UL << 63, host_mmap(0, PAGE_SIZE, 0, flags, -1, 0));
    LIE(at, host_mmap(at + PAGE_SIZE, PAGE_SIZE, 0, flags | MAP_FIXED, -1, 0));
    LIE(at, host_mremap(at + PAGE_SIZE, PAGE_SIZE, 2 * PAGE_SIZE, 0, 0));
    /* Numbers that are no errno, those by which the library OS restarts calls among them. */
    char byte;
    const long none[] = {-134, -512, -513, -514, -516, -4095};
    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        LIE(none[i], host_open("/", O_RDONLY, 0));
        LIE(none[i], host_close(0));
        LIE(none[i], host_pread(0, &byte, 1, 0));
        LIE(none[i], host_mmap(0, PAGE_SIZE, 0, flags, -1, 0));
    }
    LIE(-5000, host_open("/", O_RDONLY, 0));
    LIE(0xffffffff00000003, host_open("/", O_RDONLY, 0));
    mock_inject(MOCK_NONE, 0, 0, false);
}

static bool list_ok(const char *name, uint16_t size, ssize n)
{
    char list[600] = {0};
    memcpy(list + 16, &size, sizeof(size));
    memcpy(list + 19, name, MIN(strlen(name), sizeof(list) - 20));
    return host_dirents_ok(list, n);
}

/* What the host writes is refused when no host writes it. */
static void test_host_contents(void **state)
{
    struct stat st = {.st_blksize = 4096};
    char name[300];
    (void)state;
    assert_true(list_ok("a", 24, 24));
    assert_true(list_ok("..", 24, 24));
    assert_false(list_ok("", 24, 24));
    assert_false(list_ok("a/b", 24, 24));
    assert_false(list_ok("../x", 24, 24));
    assert_false(list_ok("abcdef", 24, 24)); /* no NUL within the record */
    assert_false(list_ok("a", 19, 24));
    assert_false(list_ok("a", 0, 24));
    assert_false(list_ok("a", 32, 24));
    assert_false(list_ok("a", 24, 23));
    memset(name, 'n', sizeof(name));
    name[255] = 0;
    assert_true(list_ok(name, 280, 280));
    name[255] = 'n';
    name[256] = 0;
    assert_false(list_ok(name, 280, 280));

    assert_true(host_stat_ok(&st));
    st.st_size = -1;
    assert_false(host_stat_ok(&st));
    st = (struct stat){.st_blksize = 0};
    assert_false(host_stat_ok(&st));
    st = (struct stat){.st_blksize = 512, .st_mtime_nsec = 1000000000};
    assert_false(host_stat_ok(&st));
    st = (struct stat){.st_blksize = 512, .st_blocks = -1};
    assert_false(host_stat_ok(&st));
}

static void *spoiled; /* what the host writes ... */
static size_t spoiled_size;
static int spoiled_at; /* ... to where this argument points */

static long spoil(long nr, const long a[6], long r)
{
    (void)nr;
    (void)r;
    memcpy((void *)a[spoiled_at], spoiled, spoiled_size);
    return 0;
}

/* The typed functions look at what was written, not only at what was returned. */
static void test_host_writes(void **state)
{
    struct stat st, bad_st = {.st_size = -1, .st_blksize = 512};
    struct statx sx, good_sx = {.stx_blksize = 512}, bad_sx;
    struct statfs fs, good_fs = {.f_bsize = 4096}, bad_fs;
    struct __kernel_timespec ts, good_ts = {.tv_sec = 5, .tv_nsec = 7}, bad_ts;
    (void)state;
#define WRITES(expected, at, what, call) \
    spoiled = &(what);                   \
    spoiled_size = sizeof(what);         \
    spoiled_at = at;                     \
    assert_int_equal(call, expected)
    mock_spoil(spoil);
    WRITES(-EIO, 2, bad_st, host_stat(".", true, &st));
    WRITES(-EIO, 1, bad_st, host_fstat(0, &st));
#define STATX(expected, what) \
    WRITES(expected, 4, what, host_statx(HOST_AT_FDCWD, ".", 0, STATX_BASIC_STATS, &sx))
    STATX(0, good_sx);
    bad_sx = good_sx, bad_sx.stx_size = UINT64_MAX;
    STATX(-EIO, bad_sx);
    bad_sx = good_sx, bad_sx.stx_blksize = 0;
    STATX(-EIO, bad_sx);
    bad_sx = good_sx, bad_sx.stx_btime.tv_nsec = 1000000000;
    STATX(-EIO, bad_sx);
    WRITES(0, 1, good_fs, host_statfs(".", &fs));
    bad_fs = good_fs, bad_fs.f_bsize = 0;
    WRITES(-EIO, 1, bad_fs, host_statfs(".", &fs));
    WRITES(-EIO, 1, bad_fs, host_fstatfs(0, &fs));
    bad_fs = good_fs, bad_fs.f_namelen = -1;
    WRITES(-EIO, 1, bad_fs, host_fstatfs(0, &fs));
    WRITES(0, 1, good_ts, host_clock_get(0, &ts));
    assert_true(host_clock_ns(0) == 5000000007);
    bad_ts = good_ts, bad_ts.tv_nsec = 1000000000;
    WRITES(-EIO, 1, bad_ts, host_clock_get(0, &ts));
    bad_ts = good_ts, bad_ts.tv_sec = INT64_MAX / 2;
    WRITES(-EIO, 1, bad_ts, host_clock_get(0, &ts));
    assert_true(host_clock_ns(0) == 0);
    bad_ts = good_ts, bad_ts.tv_nsec = 1000000000;
    WRITES(-EIO, 1, bad_ts, host_clock_resolution(0, &ts));
    struct sysinfo info, bad_info = {.mem_unit = 0};
    WRITES(-EIO, 0, bad_info, host_sysinfo(&info));
    struct rusage usage, bad_usage = {.ru_stime.tv_usec = 1000000};
    WRITES(-EIO, 1, bad_usage, host_getrusage(0, &usage));
    struct new_utsname name, endless;
    memset(&endless, 'x', sizeof(endless));
    WRITES(0, 0, endless, host_uname(&name));
    assert_int_equal(strlen(name.release), 64);
    assert_int_equal(strlen(name.domainname), 64);
    mock_spoil(NULL);
}

static long answered;

static long answer(long nr, const long a[6], long r)
{
    if (answered >= 0 && spoiled_size)
        spoil(nr, a, r);
    return answered;
}

/* What it says of scheduling, programs count and divide by. */
static void test_host_sched(void **state)
{
    unsigned char mask[16], none[16] = {0}, some[16] = {4};
    struct sched_attr attr, good_attr = {.size = SCHED_ATTR_SIZE_VER0, .sched_nice = -20}, bad_attr;
    int priority, good = 99, bad = 100;
    struct __kernel_timespec ts, bad_ts = {.tv_nsec = -1};
    (void)state;
#define ANSWERS(expected, value, at, what, call) \
    answered = value;                            \
    WRITES(expected, at, what, call)
    mock_spoil(answer);
    ANSWERS(16, 16, 2, some, host_get_affinity(0, mask, sizeof(mask)));
    ANSWERS(-EIO, 16, 2, none, host_get_affinity(0, mask, sizeof(mask)));
    ANSWERS(-EIO, 0, 2, some, host_get_affinity(0, mask, sizeof(mask)));
    ANSWERS(-EIO, 9, 2, some, host_get_affinity(0, mask, sizeof(mask)));
    ANSWERS(-EIO, 17, 2, some, host_get_affinity(0, mask, sizeof(mask)));
    ANSWERS(0, 0, 1, good, host_get_priority_of(0, &priority));
    ANSWERS(-EIO, 0, 1, bad, host_get_priority_of(0, &priority));
#define ATTR(expected, what) \
    ANSWERS(expected, 0, 1, what, host_get_sched_attr(0, &attr, sizeof(attr), 0))
    ATTR(0, good_attr);
    bad_attr = good_attr, bad_attr.size = 47;
    ATTR(-EIO, bad_attr);
    bad_attr = good_attr, bad_attr.sched_nice = 20;
    ATTR(-EIO, bad_attr);
    bad_attr = good_attr, bad_attr.sched_policy = 8;
    ATTR(-EIO, bad_attr);
    ANSWERS(-EIO, 0, 1, bad_ts, host_rr_interval(0, &ts));
    spoiled_size = 0;
    static const int policies[][2] = {
        {0, 0}, {6, 6}, {0x40000001, 0x40000001}, {8, -EIO}, {-1, -1}};
    for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
        answered = policies[i][0];
        assert_int_equal(host_get_scheduler(0), policies[i][1]);
    }
    for (answered = 0; answered <= 41; answered++)
        assert_int_equal(host_get_nice(0, 0), answered >= 1 && answered <= 40 ? answered : -EIO);
    mock_spoil(NULL);
}

/* ---- resolv.c ---- */

static void sanitised(const char *host, const char *expected)
{
    struct text out = {0};
    int err = resolv_sanitise(host, strlen(host), &out);
    text_add_bytes(&out, "", 1);
    assert_int_equal(err, expected ? 0 : -EINVAL);
    if (expected)
        assert_string_equal(out.data, expected);
    text_free(&out);
}

static void test_resolv(void **state)
{
    (void)state;
    sanitised("", "");
    sanitised("# nothing\n;\n\nsortlist 1.2.3.4\ndomain evil\nlookup file", "");
    sanitised("nameserver 10.0.0.1\r\n\tnameserver  ::1 trailing\nnameserver 2001:db8::1.2.3.4\n"
              "nameserver 1.1.1.1",
              "nameserver 10.0.0.1\nnameserver ::1\nnameserver 2001:db8::1.2.3.4\n");
    sanitised("search one.example two\nsearch a b- -c d..e f_g x.y a b c d e\n",
              "search a x.y a b c d\n");
    sanitised("options ndots:15 edns0 timeout:1\toptions rotate use-vc inet6 edns00",
              "options edns0 rotate use-vc inet6\n");
    static const char *const wrong[] = {"",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "256.1.1.1",
                                        "1.2.3.",
                                        ".1.2.3",
                                        "1..2.3",
                                        "a",
                                        ":",
                                        ":::",
                                        "1:2",
                                        "::1::",
                                        "1:::2",
                                        "12345::",
                                        "fe80::1%eth0",
                                        "1:2:3:4:5:6:7:8:9",
                                        "::1.2.3",
                                        "0x7f.1.1.1",
                                        "1:2:3:4:5:6:7:8::",
                                        "1:",
                                        ":1",
                                        "$(reboot)"};
    static const char *const right[] = {
        "0.0.0.0",        "255.255.255.255",     "::",    "1::", "1:2:3:4:5:6:7:8",
        "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "A:b::F"};
    char line[80], expected[100];
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        snprintf(line, sizeof(line), "nameserver %s\n", wrong[i]);
        sanitised(line, NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        snprintf(line, sizeof(line), "nameserver %s", right[i]);
        snprintf(expected, sizeof(expected), "%s\n", line);
        sanitised(line, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_lies),    cmocka_unit_test(test_host_contents),
        cmocka_unit_test(test_host_writes),  cmocka_unit_test(test_host_sched),
        cmocka_unit_test(test_tree),         cmocka_unit_test(test_many_vmas),
        cmocka_unit_test(test_vmas),         cmocka_unit_test(test_format),
        cmocka_unit_test(test_instructions), cmocka_unit_test(test_resolv),
    };
    world_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_finish();
    return failed;
}
