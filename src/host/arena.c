/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The arena of platforms that have one; see arena.h. Each thread gives and takes in a slot of its
 * own, as a stack: no lock. A signal handler that comes in between leaves the slot as it was. */
#include "host/arena.h"
#include "libos/thread.h"

#if PLATFORM_ARENA

#    define UNIT 64UL /* pieces do not share a line of the cache */

#    ifdef __SANITIZE_ADDRESS__
#        define HAVE_ASAN 1
#    elif defined(__has_feature)
#        if __has_feature(address_sanitizer)
#            define HAVE_ASAN 1
#        endif
#    endif
#    ifdef HAVE_ASAN
void __asan_poison_memory_region(const volatile void *p, size_t n);
void __asan_unpoison_memory_region(const volatile void *p, size_t n);
static void poison(void *p, size_t n)
{
    __asan_unpoison_memory_region(p, n);
    memset(p, 0xa5, n);
    __asan_poison_memory_region(p, n);
}
static void unpoison(void *p, size_t n)
{
    __asan_unpoison_memory_region(p, n);
}
#    else
static void poison(void *p, size_t n)
{
    (void)p, (void)n;
}
static void unpoison(void *p, size_t n)
{
    (void)p, (void)n;
}
#    endif

struct arena_frame arena_open(void)
{
    return (struct arena_frame){current()->arena.used};
}

void arena_close(struct arena_frame *frame)
{
    struct arena_slot *s = &current()->arena;
    poison(s->base + frame->used, s->used - frame->used);
    s->used = frame->used;
}

void *room_for(size_t n)
{
    struct arena_slot *s = &current()->arena;
    char *at = s->base + s->used;
    size_t whole = ALIGN_UP(n, UNIT);
    assert(n <= ARENA_PIECE && whole + UNIT <= ARENA_SLOT - s->used);
    s->used += (uint32_t)(whole + UNIT);
    unpoison(at, n);
    return at;
}

/*
 * Whole aligned words only, in both directions: a store of a part of one, or an unaligned load, of
 * memory outside can carry stale data of the processor's buffers with it (CVE-2022-21166 and its
 * like). room_for() rounds up.
 */
void *arena_give(const void *p, size_t n)
{
    char *at = room_for(n);
    uint64_t last = 0;
    size_t words = n & ~7UL;
    memcpy(at, p, words);
    memcpy(&last, (const char *)p + words, n - words);
    if (n > words)
#    ifdef HAVE_ASAN
        memcpy(at + words, &last, n - words);
#    else
        *(volatile uint64_t *)(at + words) = last;
#    endif
    return at;
}

void arena_take(void *p, const void *outside, size_t n)
{
    memcpy(p, outside, n);
}

#    define WORDS 1024 /* a page */

static uint32_t first_words[WORDS] __attribute__((aligned(64)));
static uint32_t *words = first_words;

void arena_set_words(void *page)
{
    words = page;
}

uint32_t *arena_word(const uint32_t *inside)
{
    uint64_t mixed = ((uintptr_t)inside >> 2) * 0x9e3779b97f4a7c15UL;
    return &words[mixed >> 54];
}

static bool is_word(uintptr_t p, size_t n)
{
    return p >= (uintptr_t)words && p - (uintptr_t)words < sizeof(first_words) && n == 4;
}

bool arena_holds(uintptr_t outside, size_t n)
{
    const struct arena_slot *s = &current()->arena;
    uintptr_t base = (uintptr_t)s->base;
    return is_word(outside, n) ||
           (outside >= base && outside - base <= s->used && n <= s->used - (outside - base));
}

size_t arena_reach(const void *buf, size_t n, bool write)
{
    size_t done = 0;
    if (libos_range(buf, n))
        return n;
    while (done < n) {
        uint32_t *word = (uint32_t *)(((uintptr_t)buf + done) & ~3UL), value;
        if (user_load32(&value, word) || (write && user_cmpxchg32(word, &value, value)))
            break;
        done += PAGE_SIZE - (((uintptr_t)buf + done) & PAGE_MASK);
    }
    return MIN(done, n);
}

size_t arena_reach_vector(const struct iovec *iov, size_t skip, size_t n, bool write)
{
    size_t done = 0;
    for (; done < n; iov++, skip = 0) {
        size_t part = MIN(n - done, iov->iov_len - skip);
        size_t good = arena_reach((char *)iov->iov_base + skip, part, write);
        done += good;
        if (good < part)
            break;
    }
    return done;
}

#endif
