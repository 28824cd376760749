/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What platform.h asks for: one thread, no vector state, memory from malloc, so that the sanitizer
 * sees every overflow and leak. */
#include "platform/platform.h"
#include "host/arena.h"
#include "libos/process.h"
#undef host_syscall /* here: of src/libos */
#undef host_syscall_blocking

void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void free(void *p);
struct thread *test_current;

/* ---- memory of the library OS ---- */

/* Before each block: what was asked for. 16 bytes, so that blocks stay aligned. */
struct block {
    size_t size, pad;
};
static size_t in_use;

void *heap_alloc(size_t size)
{
    struct block *b = size > (1UL << 30) ? NULL : malloc(sizeof(*b) + size);
    if (!b)
        return NULL;
    b->size = size;
    in_use += size;
    return b + 1;
}

void *heap_zalloc(size_t size)
{
    void *p = heap_alloc(size);
    return p ? memset(p, 0, size) : NULL;
}

void heap_free(void *p)
{
    if (!p)
        return;
    struct block *b = (struct block *)p - 1;
    in_use -= b->size;
    free(b);
}

void *heap_realloc(void *p, size_t size)
{
    void *q = heap_alloc(size);
    if (p && q) {
        memcpy(q, p, MIN(((struct block *)p - 1)->size, size));
        heap_free(p);
    }
    return q;
}

char *heap_strndup(const char *s, size_t n)
{
    char *p = heap_alloc(n + 1);
    if (p) {
        memcpy(p, s, n);
        p[n] = 0;
    }
    return p;
}

char *heap_strdup(const char *s)
{
    return heap_strndup(s, strlen(s));
}

void heap_hold(void)
{
}

void heap_release(void)
{
}

size_t heap_in_use(void)
{
    return in_use;
}

bool user_range_ok(const void *addr, size_t len)
{
    uintptr_t a = (uintptr_t)addr;
    return (a < 0x10000 && len <= 0x10000 - a) || mock_in_window(a, len);
}

bool libos_range(const void *addr, size_t len)
{
    return addr && !user_range_ok(addr, len);
}

/* ---- application memory ---- */

int uaccess_copy(void *dst, const void *src, size_t n);
int uaccess_fill(void *dst, size_t n);
int uaccess_load32(uint32_t *dst, const uint32_t *src);
int uaccess_cmpxchg32(uint32_t *uaddr, uint32_t *expected, uint32_t desired);

#ifdef __SANITIZE_ADDRESS__
#    define HAVE_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define HAVE_ASAN 1
#    endif
#endif
#ifdef HAVE_ASAN
void *__asan_region_is_poisoned(void *p, size_t n);
/* Our side of a copy: assembly is not instrumented, so ask. */
static void checked(const void *p, size_t n)
{
    volatile const char *bad = __asan_region_is_poisoned((void *)p, n);
    if (bad)
        (void)*bad; /* reports */
}
#else
static void checked(const void *p, size_t n)
{
    (void)p, (void)n;
}
#endif

int uaccess_copy(void *dst, const void *src, size_t n)
{
    mock_memory(dst, n, -1);
    mock_memory(src, n, -1);
    checked(dst, n);
    checked(src, n);
    return mock_uaccess_copy(dst, src, n);
}

int uaccess_fill(void *dst, size_t n)
{
    mock_memory(dst, n, -1);
    checked(dst, n);
    return mock_uaccess_fill(dst, n);
}

int uaccess_load32(uint32_t *dst, const uint32_t *src)
{
    mock_memory(src, 4, -1);
    return mock_uaccess_load32(dst, src);
}

int uaccess_cmpxchg32(uint32_t *uaddr, uint32_t *expected, uint32_t desired)
{
    mock_memory(uaddr, 4, -1);
    return mock_uaccess_cmpxchg32(uaddr, expected, desired);
}

/* ---- host ---- */

long host_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    return mock_call(nr, (long[]){a, b, c, d, e, f}, false);
}

long host_syscall_blocking(long nr, long a, long b, long c, long d, long e, long f)
{
    if (current()->work)
        return -EINTR;
    return mock_call(nr, (long[]){a, b, c, d, e, f}, true);
}

long platform_leave(long nr, const long a[6])
{
    return mock_call(nr, a, false);
}

long platform_leave_blocking(long nr, const long a[6])
{
    return current()->work ? -EINTR : mock_call(nr, a, true);
}

int platform_random(void *buf, size_t n)
{
    return host_random(buf, n);
}

ssize platform_random_user(void *ubuf, size_t n, uint32_t flags)
{
    return host_random_user(ubuf, n, flags);
}

bool platform_owns(uintptr_t addr, size_t len)
{
    (void)addr, (void)len; /* the mock host looks */
    return true;
}

/* ---- threads and processes ---- */

/* One thread runs at a time. */
static char arena[ARENA_SLOT] __attribute__((aligned(64)));

struct thread_block {
    char stack_top[4096]; /* holds the saved registers only */
    struct thread thread __attribute__((aligned(64)));
};

struct thread *thread_alloc(struct process *p)
{
    struct thread_block *b = aligned_alloc(64, sizeof(*b));
    if (!b)
        return NULL;
    memset(b, 0, sizeof(*b));
    struct thread *t = &b->thread;
    t->self = t;
    t->memory = b;
    t->kstack_top = (uintptr_t)&b->stack_top[sizeof(b->stack_top) - 8];
    t->kstack_frame = ALIGN_DOWN(t->kstack_top - REGS_SIZE, 16UL);
    t->process = p;
    t->arena.base = arena;
    t->altstack.flags = SS_DISABLE;
    list_init(&t->siblings);
    signal_queue_init(&t->pending);
    return t;
}

void thread_free(struct thread *t)
{
    signal_queue_flush(&t->pending);
    free(t->memory);
}

void thread_kick(struct thread *t)
{
    (void)t;
}

int platform_thread_start(struct thread *t)
{
    (void)t;
    return -ENOSYS;
}

void platform_block_signals(void)
{
}

void platform_thread_end(struct thread *self)
{
    (void)self;
    mock_leave(MOCK_THREAD_ENDED, 0);
}

long platform_fork(uint64_t flags, int *pidfd)
{
    (void)flags, (void)pidfd;
    return -ENOSYS;
}

long platform_ended_child(uint64_t flags, int *pidfd, int code)
{
    (void)flags, (void)pidfd, (void)code;
    return -ENOSYS;
}

long platform_helper(void (*run)(void))
{
    (void)run;
    return -ENOSYS;
}

void platform_forget_application(void)
{
}

void platform_stop_by_signal(int sig)
{
    (void)sig; /* the mock host continues it at once */
}

void platform_die_of_signal(int sig)
{
    mock_leave(MOCK_SIGNALLED, sig);
}

void platform_resume(struct regs *r)
{
    struct regs copy = *r;
    *thread_regs(current()) = copy;
    mock_leave(MOCK_RESUMED, 0);
}

uintptr_t platform_syscall_entry(bool gs)
{
    (void)gs;
    return 0;
}

uint64_t platform_get_user_gs(void)
{
    return 0;
}

int platform_set_user_gs(uint64_t base)
{
    (void)base;
    return -EINVAL;
}

void platform_copy_user_gs(struct thread *to)
{
    (void)to;
}

static uint64_t fs_base;

uint64_t platform_get_fs(void)
{
    return fs_base;
}

void platform_set_fs(uint64_t base)
{
    fs_base = base;
}

/* ---- vector state: FXSAVE area and XSAVE header, all zero ---- */

size_t platform_xstate_size(void)
{
    return 512 + 64;
}

uint64_t platform_xstate_mask(void)
{
    return 3;
}

uint32_t platform_mxcsr_mask(void)
{
    return 0;
}

void platform_xstate_save(void *area)
{
    memset(area, 0, platform_xstate_size());
}

void platform_xstate_restore(const void *area)
{
    (void)area;
}

void platform_vector_reset(void)
{
}

void vector_begin(void)
{
    current()->vector_depth++;
}

void vector_end(void)
{
    struct thread *t = current();
    assert(t->vector_depth > 0);
    t->vector_depth--;
}

void signal_host_disposition(struct process *p, int sig)
{
    (void)p;
    assert(sig >= 1 && sig <= NSIG_MAX);
}

void *platform_shared_pages(size_t size)
{
    return heap_zalloc(size);
}
