/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The contract with the host: no pointer into the library OS's or the application's memory leaves.
 * What the host is to read is copied out into the arena, memory of the calling thread's outside;
 * what it wrote there is copied in, once, and only the copy is looked at. For the files of src/host
 * alone: everything else calls their typed functions (host.h).
 *
 *   platform    give, room, take
 *   direct      nothing: the address itself, compiled away (PLATFORM_ARENA 0)
 *   closed      copies; host_syscall() looks at each call (filter.h) and ends the process at one
 *               that has a pointer elsewhere
 *   test        copies, looks too, and poisons what was not given
 *
 * A typed function reads so:
 *
 *   int host_fstat(int fd, struct stat *st)
 *   {
 *       ARENA;                                    what is given lives until the block is left
 *       struct stat *out = room(st, sizeof(*st)); to be written by the host
 *       int err = host_status(CALL2(__NR_fstat, fd, out));
 *       return err ? err : take(st, out, sizeof(*st));
 *   }
 *
 * and its host call stands in the list of filter.c, with what its arguments are: a call that is not
 * in it is refused on closed. For what there is no function for yet: declare
 * a typed function in host.h, define it in the file of src/host for its subject, which includes
 * this header (host.c files and streams, host_info.c the system, host_net.c sockets, host_time.c
 * timers ...), add the row to filter.c. There,
 * host_syscall() and host_syscall_blocking() are the way out on every platform; in src/libos they
 * answer ENOSYS on closed.
 *
 * Bounded structures, names and lists (at most ARENA_MOST bytes in one function): give, room, take.
 * Content of any length: host_pieces_in() and host_pieces_out(), or a loop of one's own over
 * room_for() with give_user()/take_user(), in pieces of at most ARENA_PIECE bytes, ending with what
 * was done when something fails after that. Structures with pointers in them (msghdr, iovec) are
 * given with those pointers replaced by addresses in the arena. What the host compares or writes
 * later than its call returns (futex words) cannot be given at all.
 */
#pragma once
#include "host/host.h"

#define ARENA_PIECE (256UL << 10) /* of content, in one host call */
#define ARENA_MOST  (64UL << 10)  /* of all else, in one function */
#define ARENA_SLOT  (ARENA_PIECE + 2 * ARENA_MOST + (128UL << 10)) /* a thread's */

#if PLATFORM_ARENA
/* The platform's exit, after the look at what leaves: host_leave* in filter.c. */
#    undef host_syscall
#    undef host_syscall_blocking
#    define host_syscall          host_leave
#    define host_syscall_blocking host_leave_blocking
long host_leave(long nr, long a, long b, long c, long d, long e, long f);
long host_leave_blocking(long nr, long a, long b, long c, long d, long e, long f);

struct arena_frame {
    uint32_t used;
};
struct arena_frame arena_open(void);
void arena_close(struct arena_frame *frame);
#    define ARENA \
        __attribute__((cleanup(arena_close), unused)) struct arena_frame arena_frame_ = arena_open()

/* `n` bytes outside. Does not return when ARENA_MOST and ARENA_PIECE together are exceeded. */
void *room_for(size_t n);
void *arena_give(const void *p, size_t n);
void arena_take(void *p, const void *outside, size_t n);
/* A word outside for the one inside, on which a thread sleeps in its place (host.c). They are in a
 * page that the platform gives before there is a second thread. */
uint32_t *arena_word(const uint32_t *inside);
void arena_set_words(void *page);
/* Is that in the calling thread's part of the arena, and in use, or a word? */
bool arena_holds(uintptr_t outside, size_t n);

/* A copy outside of the `n` bytes at `p`. NULL stays NULL. */
static inline void *give(const void *p, size_t n)
{
    return p ? arena_give(p, n) : NULL;
}
/* The same of a text with its NUL. */
static inline char *give_text(const char *text)
{
    return text ? arena_give(text, strlen(text) + 1) : NULL;
}
/* Where the host is to write what take() then copies to `p`. NULL stays NULL. */
static inline void *room(const void *p, size_t n)
{
    return p ? room_for(n) : NULL;
}
/* `n` bytes of what the host wrote; 0. Nothing when `p` is NULL. */
static inline int take(void *p, const void *outside, size_t n)
{
    if (p)
        arena_take(p, outside, n);
    return 0;
}
/* The two for memory of the application, checked by the caller (user_range_ok), or of ours: 0 or
 * -EFAULT. */
static inline int give_user(void *outside, const void *up, size_t n)
{
    return copy_checked(outside, up, n);
}
static inline int take_user(void *up, const void *outside, size_t n)
{
    return copy_checked(up, outside, n);
}

/* How many bytes of memory of the application, of `n` from `up` on or in a vector behind its first
 * `skip` ones, can be read, or written: a transfer is cut there before it is made. Of ours: all. */
size_t arena_reach(const void *up, size_t n, bool write);
size_t arena_reach_vector(const struct iovec *iov, size_t skip, size_t n, bool write);

#else

#    define ARENA _Static_assert(1, "")
static inline void *give(const void *p, size_t n)
{
    (void)n;
    return (void *)(uintptr_t)p;
}
static inline char *give_text(const char *text)
{
    return (char *)(uintptr_t)text;
}
static inline void *room(const void *p, size_t n)
{
    (void)n;
    return (void *)(uintptr_t)p;
}
static inline int take(void *p, const void *outside, size_t n)
{
    (void)p, (void)outside, (void)n;
    return 0;
}

#endif

/* ---- what a host call returns ---- */

/* host_status(), host_descriptor(), host_length(): host.h */
/* An errno, or 0 .. `most`. */
static inline long host_number(long r, long most)
{
    return r >= 0 && r <= most ? r : IS_ERR(r) ? host_errno(r) : -EIO;
}

#define CALL0(nr)             host_syscall(nr, 0, 0, 0, 0, 0, 0)
#define CALL1(nr, a)          host_syscall(nr, (long)(a), 0, 0, 0, 0, 0)
#define CALL2(nr, a, b)       host_syscall(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define CALL3(nr, a, b, c)    host_syscall(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(nr, a, b, c, d) host_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define CALL5(nr, a, b, c, d, e) \
    host_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
