/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/trace/names.h"

/* clang-format off */
static const struct trace_name open_flags[] = {
    {1, "O_WRONLY"}, {2, "O_RDWR"}, {0100, "O_CREAT"}, {0200, "O_EXCL"}, {0400, "O_NOCTTY"},
    {01000, "O_TRUNC"}, {02000, "O_APPEND"}, {04000, "O_NONBLOCK"}, {04010000, "O_SYNC"},
    {010000, "O_DSYNC"}, {020000, "FASYNC"}, {040000, "O_DIRECT"}, {0100000, "O_LARGEFILE"},
    {020200000, "O_TMPFILE"}, {0200000, "O_DIRECTORY"}, {0400000, "O_NOFOLLOW"},
    {01000000, "O_NOATIME"}, {02000000, "O_CLOEXEC"}, {010000000, "O_PATH"}, {0, ""}};

static const struct trace_name at_flags[] = {
    {0x100, "AT_SYMLINK_NOFOLLOW"}, {0x200, "AT_EACCESS"}, {0x400, "AT_SYMLINK_FOLLOW"},
    {0x800, "AT_NO_AUTOMOUNT"}, {0x1000, "AT_EMPTY_PATH"}, {0x2000, "AT_STATX_FORCE_SYNC"},
    {0x4000, "AT_STATX_DONT_SYNC"}, {0, ""}};

static const struct trace_name access_modes[] = {
    {0, "F_OK"}, {4, "R_OK"}, {2, "W_OK"}, {1, "X_OK"}, {0, ""}};

static const struct trace_name protections[] = {
    {0, "PROT_NONE"}, {1, "PROT_READ"}, {2, "PROT_WRITE"}, {4, "PROT_EXEC"}, {8, "PROT_SEM"},
    {0x01000000, "PROT_GROWSDOWN"}, {0x02000000, "PROT_GROWSUP"}, {0, ""}};

static const struct trace_name map_flags[] = {
    {3, "MAP_SHARED_VALIDATE"}, {1, "MAP_SHARED"}, {2, "MAP_PRIVATE"}, {0x10, "MAP_FIXED"},
    {0x20, "MAP_ANONYMOUS"}, {0x40, "MAP_32BIT"}, {0x100, "MAP_GROWSDOWN"},
    {0x800, "MAP_DENYWRITE"}, {0x1000, "MAP_EXECUTABLE"}, {0x2000, "MAP_LOCKED"},
    {0x4000, "MAP_NORESERVE"}, {0x8000, "MAP_POPULATE"}, {0x10000, "MAP_NONBLOCK"},
    {0x20000, "MAP_STACK"}, {0x40000, "MAP_HUGETLB"}, {0x80000, "MAP_SYNC"},
    {0x100000, "MAP_FIXED_NOREPLACE"}, {0, ""}};

static const struct trace_name advices[] = {
    {0, "MADV_NORMAL"}, {1, "MADV_RANDOM"}, {2, "MADV_SEQUENTIAL"}, {3, "MADV_WILLNEED"},
    {4, "MADV_DONTNEED"}, {8, "MADV_FREE"}, {9, "MADV_REMOVE"}, {10, "MADV_DONTFORK"},
    {11, "MADV_DOFORK"}, {12, "MADV_MERGEABLE"}, {13, "MADV_UNMERGEABLE"}, {14, "MADV_HUGEPAGE"},
    {15, "MADV_NOHUGEPAGE"}, {16, "MADV_DONTDUMP"}, {17, "MADV_DODUMP"}, {18, "MADV_WIPEONFORK"},
    {19, "MADV_KEEPONFORK"}, {20, "MADV_COLD"}, {21, "MADV_PAGEOUT"}, {22, "MADV_POPULATE_READ"},
    {23, "MADV_POPULATE_WRITE"}, {25, "MADV_COLLAPSE"}, {100, "MADV_HWPOISON"},
    {101, "MADV_SOFT_OFFLINE"}, {0, ""}};

static const struct trace_name sync_flags[] = {
    {1, "MS_ASYNC"}, {2, "MS_INVALIDATE"}, {4, "MS_SYNC"}, {0, ""}};

static const struct trace_name remap_flags[] = {
    {1, "MREMAP_MAYMOVE"}, {2, "MREMAP_FIXED"}, {4, "MREMAP_DONTUNMAP"}, {0, ""}};

static const struct trace_name whences[] = {
    {0, "SEEK_SET"}, {1, "SEEK_CUR"}, {2, "SEEK_END"}, {3, "SEEK_DATA"}, {4, "SEEK_HOLE"}, {0, ""}};

static const struct trace_name fcntl_commands[] = {
    {0, "F_DUPFD"}, {1, "F_GETFD"}, {2, "F_SETFD"}, {3, "F_GETFL"}, {4, "F_SETFL"}, {5, "F_GETLK"},
    {6, "F_SETLK"}, {7, "F_SETLKW"}, {8, "F_SETOWN"}, {9, "F_GETOWN"}, {10, "F_SETSIG"},
    {11, "F_GETSIG"}, {15, "F_SETOWN_EX"}, {16, "F_GETOWN_EX"}, {36, "F_OFD_GETLK"},
    {37, "F_OFD_SETLK"}, {38, "F_OFD_SETLKW"}, {1024, "F_SETLEASE"}, {1025, "F_GETLEASE"},
    {1026, "F_NOTIFY"}, {1030, "F_DUPFD_CLOEXEC"}, {1031, "F_SETPIPE_SZ"}, {1032, "F_GETPIPE_SZ"},
    {1033, "F_ADD_SEALS"}, {1034, "F_GET_SEALS"}, {0, ""}};

static const struct trace_name ioctl_requests[] = {
    {0x5401, "TCGETS"}, {0x5402, "TCSETS"}, {0x5403, "TCSETSW"}, {0x5404, "TCSETSF"},
    {0x5405, "TCGETA"}, {0x5406, "TCSETA"}, {0x5407, "TCSETAW"}, {0x5408, "TCSETAF"},
    {0x5409, "TCSBRK"}, {0x540a, "TCXONC"}, {0x540b, "TCFLSH"}, {0x540c, "TIOCEXCL"},
    {0x540d, "TIOCNXCL"}, {0x540e, "TIOCSCTTY"}, {0x540f, "TIOCGPGRP"}, {0x5410, "TIOCSPGRP"},
    {0x5411, "TIOCOUTQ"}, {0x5412, "TIOCSTI"}, {0x5413, "TIOCGWINSZ"}, {0x5414, "TIOCSWINSZ"},
    {0x5415, "TIOCMGET"}, {0x541b, "FIONREAD"}, {0x541d, "TIOCCONS"}, {0x5421, "FIONBIO"},
    {0x5422, "TIOCNOTTY"}, {0x5423, "TIOCSETD"}, {0x5424, "TIOCGETD"}, {0x5429, "TIOCGSID"},
    {0x802c542a, "TCGETS2"}, {0x402c542b, "TCSETS2"}, {0x80045430, "TIOCGPTN"},
    {0x40045431, "TIOCSPTLCK"}, {0x5441, "TIOCGPTPEER"}, {0x5450, "FIONCLEX"}, {0x5451, "FIOCLEX"},
    {0x5452, "FIOASYNC"}, {0x5460, "FIOQSIZE"}, {0x8901, "FIOSETOWN"}, {0x8902, "SIOCSPGRP"},
    {0x8903, "FIOGETOWN"}, {0x8904, "SIOCGPGRP"}, {0x8905, "SIOCATMARK"}, {0x8910, "SIOCGIFNAME"},
    {0x8912, "SIOCGIFCONF"}, {0x8913, "SIOCGIFFLAGS"}, {0x8915, "SIOCGIFADDR"},
    {0x8921, "SIOCGIFMTU"}, {0x8927, "SIOCGIFHWADDR"}, {0x8933, "SIOCGIFINDEX"},
    {0x40049409, "FICLONE"}, {0x4020940d, "FICLONERANGE"}, {0x80086601, "FS_IOC_GETFLAGS"},
    {0xc020660b, "FS_IOC_FIEMAP"}, {0, ""}};

static const struct trace_name families[] = {
    {0, "AF_UNSPEC"}, {1, "AF_UNIX"}, {2, "AF_INET"}, {10, "AF_INET6"}, {16, "AF_NETLINK"},
    {17, "AF_PACKET"}, {38, "AF_ALG"}, {40, "AF_VSOCK"}, {0, ""}};

static const struct trace_name socket_types[] = {
    {1, "SOCK_STREAM"}, {2, "SOCK_DGRAM"}, {3, "SOCK_RAW"}, {4, "SOCK_RDM"}, {5, "SOCK_SEQPACKET"},
    {0, ""}};

static const struct trace_name type_flags[] = {
    {02000000, "SOCK_CLOEXEC"}, {04000, "SOCK_NONBLOCK"}, {0, ""}};

static const struct trace_name levels[] = {
    {0, "SOL_IP"}, {1, "SOL_SOCKET"}, {6, "SOL_TCP"}, {17, "SOL_UDP"}, {41, "SOL_IPV6"},
    {270, "SOL_NETLINK"}, {0, ""}};

static const struct trace_name socket_options[] = {
    {1, "SO_DEBUG"}, {2, "SO_REUSEADDR"}, {3, "SO_TYPE"}, {4, "SO_ERROR"}, {5, "SO_DONTROUTE"},
    {6, "SO_BROADCAST"}, {7, "SO_SNDBUF"}, {8, "SO_RCVBUF"}, {9, "SO_KEEPALIVE"},
    {10, "SO_OOBINLINE"}, {12, "SO_PRIORITY"}, {13, "SO_LINGER"}, {15, "SO_REUSEPORT"},
    {16, "SO_PASSCRED"}, {17, "SO_PEERCRED"}, {18, "SO_RCVLOWAT"}, {19, "SO_SNDLOWAT"},
    {20, "SO_RCVTIMEO"}, {21, "SO_SNDTIMEO"}, {25, "SO_BINDTODEVICE"}, {29, "SO_TIMESTAMP"},
    {30, "SO_ACCEPTCONN"}, {31, "SO_PEERSEC"}, {36, "SO_MARK"}, {37, "SO_TIMESTAMPING"},
    {38, "SO_PROTOCOL"}, {39, "SO_DOMAIN"}, {46, "SO_BUSY_POLL"}, {49, "SO_INCOMING_CPU"},
    {60, "SO_ZEROCOPY"}, {0, ""}};

static const struct trace_name tcp_options[] = {
    {1, "TCP_NODELAY"}, {2, "TCP_MAXSEG"}, {3, "TCP_CORK"}, {4, "TCP_KEEPIDLE"},
    {5, "TCP_KEEPINTVL"}, {6, "TCP_KEEPCNT"}, {7, "TCP_SYNCNT"}, {8, "TCP_LINGER2"},
    {9, "TCP_DEFER_ACCEPT"}, {10, "TCP_WINDOW_CLAMP"}, {11, "TCP_INFO"}, {12, "TCP_QUICKACK"},
    {13, "TCP_CONGESTION"}, {18, "TCP_USER_TIMEOUT"}, {23, "TCP_FASTOPEN"}, {0, ""}};

static const struct trace_name ip_options[] = {
    {1, "IP_TOS"}, {2, "IP_TTL"}, {3, "IP_HDRINCL"}, {4, "IP_OPTIONS"}, {6, "IP_RECVOPTS"},
    {8, "IP_PKTINFO"}, {10, "IP_MTU_DISCOVER"}, {11, "IP_RECVERR"}, {12, "IP_RECVTTL"},
    {13, "IP_RECVTOS"}, {14, "IP_MTU"}, {15, "IP_FREEBIND"}, {19, "IP_TRANSPARENT"},
    {24, "IP_BIND_ADDRESS_NO_PORT"}, {32, "IP_MULTICAST_IF"}, {33, "IP_MULTICAST_TTL"},
    {34, "IP_MULTICAST_LOOP"}, {35, "IP_ADD_MEMBERSHIP"}, {36, "IP_DROP_MEMBERSHIP"}, {0, ""}};

static const struct trace_name ipv6_options[] = {
    {16, "IPV6_UNICAST_HOPS"}, {17, "IPV6_MULTICAST_IF"}, {18, "IPV6_MULTICAST_HOPS"},
    {19, "IPV6_MULTICAST_LOOP"}, {20, "IPV6_JOIN_GROUP"}, {21, "IPV6_LEAVE_GROUP"},
    {23, "IPV6_MTU_DISCOVER"}, {24, "IPV6_MTU"}, {25, "IPV6_RECVERR"}, {26, "IPV6_V6ONLY"},
    {49, "IPV6_RECVPKTINFO"}, {50, "IPV6_PKTINFO"}, {67, "IPV6_TCLASS"}, {0, ""}};

static const struct trace_name message_flags[] = {
    {1, "MSG_OOB"}, {2, "MSG_PEEK"}, {4, "MSG_DONTROUTE"}, {8, "MSG_CTRUNC"}, {0x20, "MSG_TRUNC"},
    {0x40, "MSG_DONTWAIT"}, {0x80, "MSG_EOR"}, {0x100, "MSG_WAITALL"}, {0x800, "MSG_CONFIRM"},
    {0x2000, "MSG_ERRQUEUE"}, {0x4000, "MSG_NOSIGNAL"}, {0x8000, "MSG_MORE"},
    {0x10000, "MSG_WAITFORONE"}, {0x20000000, "MSG_FASTOPEN"}, {0x40000000, "MSG_CMSG_CLOEXEC"},
    {0, ""}};

static const struct trace_name shutdowns[] = {
    {0, "SHUT_RD"}, {1, "SHUT_WR"}, {2, "SHUT_RDWR"}, {0, ""}};

static const struct trace_name clone_flags[] = {
    {0x80, "CLONE_NEWTIME"}, {0x100, "CLONE_VM"}, {0x200, "CLONE_FS"}, {0x400, "CLONE_FILES"},
    {0x800, "CLONE_SIGHAND"}, {0x1000, "CLONE_PIDFD"}, {0x2000, "CLONE_PTRACE"},
    {0x4000, "CLONE_VFORK"}, {0x8000, "CLONE_PARENT"}, {0x10000, "CLONE_THREAD"},
    {0x20000, "CLONE_NEWNS"}, {0x40000, "CLONE_SYSVSEM"}, {0x80000, "CLONE_SETTLS"},
    {0x100000, "CLONE_PARENT_SETTID"}, {0x200000, "CLONE_CHILD_CLEARTID"},
    {0x400000, "CLONE_DETACHED"}, {0x800000, "CLONE_UNTRACED"}, {0x1000000, "CLONE_CHILD_SETTID"},
    {0x2000000, "CLONE_NEWCGROUP"}, {0x4000000, "CLONE_NEWUTS"}, {0x8000000, "CLONE_NEWIPC"},
    {0x10000000, "CLONE_NEWUSER"}, {0x20000000, "CLONE_NEWPID"}, {0x40000000, "CLONE_NEWNET"},
    {0x80000000, "CLONE_IO"}, {0x100000000, "CLONE_CLEAR_SIGHAND"},
    {0x200000000, "CLONE_INTO_CGROUP"}, {0, ""}};

static const struct trace_name wait_options[] = {
    {1, "WNOHANG"}, {2, "WUNTRACED"}, {4, "WEXITED"}, {8, "WCONTINUED"}, {0x01000000, "WNOWAIT"},
    {0x20000000, "__WNOTHREAD"}, {0x40000000, "__WALL"}, {0x80000000, "__WCLONE"}, {0, ""}};

static const struct trace_name id_types[] = {
    {0, "P_ALL"}, {1, "P_PID"}, {2, "P_PGID"}, {3, "P_PIDFD"}, {0, ""}};

static const struct trace_name hows[] = {
    {0, "SIG_BLOCK"}, {1, "SIG_UNBLOCK"}, {2, "SIG_SETMASK"}, {0, ""}};

static const struct trace_name clocks[] = {
    {0, "CLOCK_REALTIME"}, {1, "CLOCK_MONOTONIC"}, {2, "CLOCK_PROCESS_CPUTIME"},
    {3, "CLOCK_THREAD_CPUTIME_ID"}, {4, "CLOCK_MONOTONIC_RAW"}, {5, "CLOCK_REALTIME_COARSE"},
    {6, "CLOCK_MONOTONIC_COARSE"}, {7, "CLOCK_BOOTTIME"}, {8, "CLOCK_REALTIME_ALARM"},
    {9, "CLOCK_BOOTTIME_ALARM"}, {11, "CLOCK_TAI"}, {0, ""}};

static const struct trace_name itimers[] = {
    {0, "ITIMER_REAL"}, {1, "ITIMER_VIRTUAL"}, {2, "ITIMER_PROF"}, {0, ""}};

static const struct trace_name futex_operations[] = {
    {0, "FUTEX_WAIT"}, {1, "FUTEX_WAKE"}, {2, "FUTEX_FD"}, {3, "FUTEX_REQUEUE"},
    {4, "FUTEX_CMP_REQUEUE"}, {5, "FUTEX_WAKE_OP"}, {6, "FUTEX_LOCK_PI"}, {7, "FUTEX_UNLOCK_PI"},
    {8, "FUTEX_TRYLOCK_PI"}, {9, "FUTEX_WAIT_BITSET"}, {10, "FUTEX_WAKE_BITSET"},
    {11, "FUTEX_WAIT_REQUEUE_PI"}, {12, "FUTEX_CMP_REQUEUE_PI"}, {13, "FUTEX_LOCK_PI2"}, {0, ""}};

static const struct trace_name futex_flags[] = {
    {128, "FUTEX_PRIVATE_FLAG"}, {256, "FUTEX_CLOCK_REALTIME"}, {0, ""}};

static const struct trace_name epoll_operations[] = {
    {1, "EPOLL_CTL_ADD"}, {2, "EPOLL_CTL_DEL"}, {3, "EPOLL_CTL_MOD"}, {0, ""}};

static const struct trace_name file_flags[] = {
    {02000000, "O_CLOEXEC"}, {04000, "O_NONBLOCK"}, {040000, "O_DIRECT"}, {0, ""}};

static const struct trace_name limits[] = {
    {0, "RLIMIT_CPU"}, {1, "RLIMIT_FSIZE"}, {2, "RLIMIT_DATA"}, {3, "RLIMIT_STACK"},
    {4, "RLIMIT_CORE"}, {5, "RLIMIT_RSS"}, {6, "RLIMIT_NPROC"}, {7, "RLIMIT_NOFILE"},
    {8, "RLIMIT_MEMLOCK"}, {9, "RLIMIT_AS"}, {10, "RLIMIT_LOCKS"}, {11, "RLIMIT_SIGPENDING"},
    {12, "RLIMIT_MSGQUEUE"}, {13, "RLIMIT_NICE"}, {14, "RLIMIT_RTPRIO"}, {15, "RLIMIT_RTTIME"},
    {0, ""}};

static const struct trace_name usages[] = {
    {0, "RUSAGE_SELF"}, {-1, "RUSAGE_CHILDREN"}, {1, "RUSAGE_THREAD"}, {0, ""}};

static const struct trace_name prctl_options[] = {
    {1, "PR_SET_PDEATHSIG"}, {2, "PR_GET_PDEATHSIG"}, {3, "PR_GET_DUMPABLE"},
    {4, "PR_SET_DUMPABLE"}, {7, "PR_GET_KEEPCAPS"}, {8, "PR_SET_KEEPCAPS"}, {15, "PR_SET_NAME"},
    {16, "PR_GET_NAME"}, {21, "PR_GET_SECCOMP"}, {22, "PR_SET_SECCOMP"}, {23, "PR_CAPBSET_READ"},
    {24, "PR_CAPBSET_DROP"}, {25, "PR_GET_TSC"}, {26, "PR_SET_TSC"}, {27, "PR_GET_SECUREBITS"},
    {28, "PR_SET_SECUREBITS"}, {29, "PR_SET_TIMERSLACK"}, {30, "PR_GET_TIMERSLACK"},
    {35, "PR_SET_MM"}, {36, "PR_SET_CHILD_SUBREAPER"}, {37, "PR_GET_CHILD_SUBREAPER"},
    {38, "PR_SET_NO_NEW_PRIVS"}, {39, "PR_GET_NO_NEW_PRIVS"}, {41, "PR_SET_THP_DISABLE"},
    {42, "PR_GET_THP_DISABLE"}, {47, "PR_CAP_AMBIENT"}, {0x53564d41, "PR_SET_VMA"}, {0, ""}};

static const struct trace_name arch_options[] = {
    {0x1001, "ARCH_SET_GS"}, {0x1002, "ARCH_SET_FS"}, {0x1003, "ARCH_GET_FS"},
    {0x1004, "ARCH_GET_GS"}, {0x1011, "ARCH_GET_CPUID"}, {0x1012, "ARCH_SET_CPUID"},
    {0x1021, "ARCH_GET_XCOMP_SUPP"}, {0x1022, "ARCH_GET_XCOMP_PERM"},
    {0x1023, "ARCH_REQ_XCOMP_PERM"}, {0x3001, "ARCH_CET_STATUS"}, {0x5001, "ARCH_SHSTK_ENABLE"},
    {0x5005, "ARCH_SHSTK_STATUS"}, {0, ""}};

static const struct trace_name policies[] = {
    {0, "SCHED_OTHER"}, {1, "SCHED_FIFO"}, {2, "SCHED_RR"}, {3, "SCHED_BATCH"}, {5, "SCHED_IDLE"},
    {6, "SCHED_DEADLINE"}, {0, ""}};

static const struct trace_name locks[] = {
    {1, "LOCK_SH"}, {2, "LOCK_EX"}, {4, "LOCK_NB"}, {8, "LOCK_UN"}, {0, ""}};

static const struct trace_name memfd_flags[] = {
    {1, "MFD_CLOEXEC"}, {2, "MFD_ALLOW_SEALING"}, {4, "MFD_HUGETLB"}, {8, "MFD_NOEXEC_SEAL"},
    {16, "MFD_EXEC"}, {0, ""}};

static const struct trace_name random_flags[] = {
    {1, "GRND_NONBLOCK"}, {2, "GRND_RANDOM"}, {4, "GRND_INSECURE"}, {0, ""}};

static const struct trace_name statx_masks[] = {
    {0xfff, "STATX_ALL"}, {0x7ff, "STATX_BASIC_STATS"}, {1, "STATX_TYPE"}, {2, "STATX_MODE"},
    {4, "STATX_NLINK"}, {8, "STATX_UID"}, {0x10, "STATX_GID"}, {0x20, "STATX_ATIME"},
    {0x40, "STATX_MTIME"}, {0x80, "STATX_CTIME"}, {0x100, "STATX_INO"}, {0x200, "STATX_SIZE"},
    {0x400, "STATX_BLOCKS"}, {0x800, "STATX_BTIME"}, {0x1000, "STATX_MNT_ID"},
    {0x2000, "STATX_DIOALIGN"}, {0, ""}};

static const struct trace_name rename_flags[] = {
    {1, "RENAME_NOREPLACE"}, {2, "RENAME_EXCHANGE"}, {4, "RENAME_WHITEOUT"}, {0, ""}};

static const struct trace_name allocate_modes[] = {
    {1, "FALLOC_FL_KEEP_SIZE"}, {2, "FALLOC_FL_PUNCH_HOLE"}, {8, "FALLOC_FL_COLLAPSE"},
    {16, "FALLOC_FL_ZERO_RANGE"}, {32, "FALLOC_FL_INSERT_RANGE"}, {0, ""}};

static const struct trace_name splice_flags[] = {
    {1, "SPLICE_F_MOVE"}, {2, "SPLICE_F_NONBLOCK"}, {4, "SPLICE_F_MORE"}, {8, "SPLICE_F_GIFT"},
    {0, ""}};

static const struct trace_name timer_flags[] = {
    {1, "TIMER_ABSTIME"}, {2, "TFD_TIMER_CANCEL_ON_SET"}, {0, ""}};

static const struct trace_name descriptor_flags[] = {
    {1, "FD_CLOEXEC"}, {0, ""}};

static const struct trace_name unlink_flags[] = {
    {0x200, "AT_REMOVEDIR"}, {0, ""}};

static const struct trace_name epoll_flags[] = {
    {0x80000, "EPOLL_CLOEXEC"}, {0, ""}};

static const struct trace_name timerfd_flags[] = {
    {0x80000, "TFD_CLOEXEC"}, {0x800, "TFD_NONBLOCK"}, {0, ""}};

static const struct trace_name signalfd_flags[] = {
    {0x80000, "SFD_CLOEXEC"}, {0x800, "SFD_NONBLOCK"}, {0, ""}};

static const struct trace_name eventfd_flags[] = {
    {0x80000, "EFD_CLOEXEC"}, {0x800, "EFD_NONBLOCK"}, {1, "EFD_SEMAPHORE"}, {0, ""}};

static const struct trace_name inotify_flags[] = {
    {0x80000, "IN_CLOEXEC"}, {0x800, "IN_NONBLOCK"}, {0, ""}};

static const struct trace_name watch_masks[] = {
    {1, "IN_ACCESS"}, {2, "IN_MODIFY"}, {4, "IN_ATTRIB"}, {8, "IN_CLOSE_WRITE"}, {0x10, "IN_CLOSE_NOWRITE"}, {0x20, "IN_OPEN"}, {0x40, "IN_MOVED_FROM"}, {0x80, "IN_MOVED_TO"}, {0x100, "IN_CREATE"}, {0x200, "IN_DELETE"}, {0x400, "IN_DELETE_SELF"}, {0x800, "IN_MOVE_SELF"}, {0x1000000, "IN_ONLYDIR"}, {0x2000000, "IN_DONT_FOLLOW"}, {0x4000000, "IN_EXCL_UNLINK"}, {0x10000000, "IN_MASK_CREATE"}, {0x20000000, "IN_MASK_ADD"}, {0x80000000, "IN_ONESHOT"}, {0, ""}};

static const struct trace_name lock_all[] = {
    {1, "MCL_CURRENT"}, {2, "MCL_FUTURE"}, {4, "MCL_ONFAULT"}, {0, ""}};

static const struct trace_name xattr_flags[] = {
    {1, "XATTR_CREATE"}, {2, "XATTR_REPLACE"}, {0, ""}};

static const struct trace_name resolve_flags[] = {
    {1, "RESOLVE_NO_XDEV"}, {2, "RESOLVE_NO_MAGICLINKS"}, {4, "RESOLVE_NO_SYMLINKS"}, {8, "RESOLVE_BENEATH"}, {0x10, "RESOLVE_IN_ROOT"}, {0x20, "RESOLVE_CACHED"}, {0, ""}};

static const struct trace_name priorities[] = {
    {0, "PRIO_PROCESS"}, {1, "PRIO_PGRP"}, {2, "PRIO_USER"}, {0, ""}};

static const struct trace_name protocols[] = {
    {0, "0"}, {1, "IPPROTO_ICMP"}, {6, "IPPROTO_TCP"}, {0x11, "IPPROTO_UDP"}, {0x3a, "IPPROTO_ICMPV6"}, {0xff, "IPPROTO_RAW"}, {0, ""}};

static const struct trace_name range_flags[] = {
    {2, "CLOSE_RANGE_UNSHARE"}, {4, "CLOSE_RANGE_CLOEXEC"}, {0, ""}};

static const struct trace_name seals[] = {
    {1, "F_SEAL_SEAL"}, {2, "F_SEAL_SHRINK"}, {4, "F_SEAL_GROW"}, {8, "F_SEAL_WRITE"}, {0x10, "F_SEAL_FUTURE_WRITE"}, {0x20, "F_SEAL_EXEC"}, {0, ""}};

static const struct trace_name transfer_flags[] = {
    {1, "RWF_HIPRI"}, {2, "RWF_DSYNC"}, {4, "RWF_SYNC"}, {8, "RWF_NOWAIT"}, {0x10, "RWF_APPEND"}, {0, ""}};

static const struct trace_name poll_events[] = {
    {1, "POLLIN"}, {2, "POLLPRI"}, {4, "POLLOUT"}, {8, "POLLERR"}, {0x10, "POLLHUP"},
    {0x20, "POLLNVAL"}, {0x40, "POLLRDNORM"}, {0x80, "POLLRDBAND"}, {0x100, "POLLWRNORM"},
    {0x200, "POLLWRBAND"}, {0x2000, "POLLRDHUP"}, {0, ""}};

static const struct trace_name epoll_events[] = {
    {1, "EPOLLIN"}, {2, "EPOLLPRI"}, {4, "EPOLLOUT"}, {8, "EPOLLERR"}, {0x10, "EPOLLHUP"},
    {0x40, "EPOLLRDNORM"}, {0x80, "EPOLLRDBAND"}, {0x100, "EPOLLWRNORM"}, {0x200, "EPOLLWRBAND"},
    {0x2000, "EPOLLRDHUP"}, {0x10000000, "EPOLLEXCLUSIVE"}, {0x20000000, "EPOLLWAKEUP"},
    {0x40000000, "EPOLLONESHOT"}, {0x80000000, "EPOLLET"}, {0, ""}};

static const struct trace_name action_flags[] = {
    {1, "SA_NOCLDSTOP"}, {2, "SA_NOCLDWAIT"}, {4, "SA_SIGINFO"}, {0x04000000, "SA_RESTORER"},
    {0x08000000, "SA_ONSTACK"}, {0x10000000, "SA_RESTART"}, {0x40000000, "SA_NODEFER"},
    {0x80000000, "SA_RESETHAND"}, {0, ""}};

static const struct trace_name lock_types[] = {
    {0, "F_RDLCK"}, {1, "F_WRLCK"}, {2, "F_UNLCK"}, {0, ""}};

static const struct trace_name errors[] = {
    {1, "EPERM"}, {2, "ENOENT"}, {3, "ESRCH"}, {4, "EINTR"}, {5, "EIO"}, {6, "ENXIO"}, {7, "E2BIG"},
    {8, "ENOEXEC"}, {9, "EBADF"}, {10, "ECHILD"}, {11, "EAGAIN"}, {12, "ENOMEM"}, {13, "EACCES"},
    {14, "EFAULT"}, {15, "ENOTBLK"}, {16, "EBUSY"}, {17, "EEXIST"}, {18, "EXDEV"}, {19, "ENODEV"},
    {20, "ENOTDIR"}, {21, "EISDIR"}, {22, "EINVAL"}, {23, "ENFILE"}, {24, "EMFILE"}, {25, "ENOTTY"},
    {26, "ETXTBSY"}, {27, "EFBIG"}, {28, "ENOSPC"}, {29, "ESPIPE"}, {30, "EROFS"}, {31, "EMLINK"},
    {32, "EPIPE"}, {33, "EDOM"}, {34, "ERANGE"}, {35, "EDEADLK"}, {36, "ENAMETOOLONG"},
    {37, "ENOLCK"}, {38, "ENOSYS"}, {39, "ENOTEMPTY"}, {40, "ELOOP"}, {42, "ENOMSG"}, {43, "EIDRM"},
    {44, "ECHRNG"}, {45, "EL2NSYNC"}, {46, "EL3HLT"}, {47, "EL3RST"}, {48, "ELNRNG"},
    {49, "EUNATCH"}, {50, "ENOCSI"}, {51, "EL2HLT"}, {52, "EBADE"}, {53, "EBADR"}, {54, "EXFULL"},
    {55, "ENOANO"}, {56, "EBADRQC"}, {57, "EBADSLT"}, {59, "EBFONT"}, {60, "ENOSTR"},
    {61, "ENODATA"}, {62, "ETIME"}, {63, "ENOSR"}, {64, "ENONET"}, {65, "ENOPKG"}, {66, "EREMOTE"},
    {67, "ENOLINK"}, {68, "EADV"}, {69, "ESRMNT"}, {70, "ECOMM"}, {71, "EPROTO"}, {72, "EMULTIHOP"},
    {73, "EDOTDOT"}, {74, "EBADMSG"}, {75, "EOVERFLOW"}, {76, "ENOTUNIQ"}, {77, "EBADFD"},
    {78, "EREMCHG"}, {79, "ELIBACC"}, {80, "ELIBBAD"}, {81, "ELIBSCN"}, {82, "ELIBMAX"},
    {83, "ELIBEXEC"}, {84, "EILSEQ"}, {85, "ERESTART"}, {86, "ESTRPIPE"}, {87, "EUSERS"},
    {88, "ENOTSOCK"}, {89, "EDESTADDRREQ"}, {90, "EMSGSIZE"}, {91, "EPROTOTYPE"},
    {92, "ENOPROTOOPT"}, {93, "EPROTONOSUPPORT"}, {94, "ESOCKTNOSUPPORT"}, {95, "EOPNOTSUPP"},
    {96, "EPFNOSUPPORT"}, {97, "EAFNOSUPPORT"}, {98, "EADDRINUSE"}, {99, "EADDRNOTAVAIL"},
    {100, "ENETDOWN"}, {101, "ENETUNREACH"}, {102, "ENETRESET"}, {103, "ECONNABORTED"},
    {104, "ECONNRESET"}, {105, "ENOBUFS"}, {106, "EISCONN"}, {107, "ENOTCONN"}, {108, "ESHUTDOWN"},
    {109, "ETOOMANYREFS"}, {110, "ETIMEDOUT"}, {111, "ECONNREFUSED"}, {112, "EHOSTDOWN"},
    {113, "EHOSTUNREACH"}, {114, "EALREADY"}, {115, "EINPROGRESS"}, {116, "ESTALE"},
    {117, "EUCLEAN"}, {118, "ENOTNAM"}, {119, "ENAVAIL"}, {120, "EISNAM"}, {121, "EREMOTEIO"},
    {122, "EDQUOT"}, {123, "ENOMEDIUM"}, {124, "EMEDIUMTYPE"}, {125, "ECANCELED"}, {126, "ENOKEY"},
    {127, "EKEYEXPIRED"}, {128, "EKEYREVOKED"}, {129, "EKEYREJECTED"}, {130, "EOWNERDEAD"},
    {131, "ENOTRECOVERABLE"}, {132, "ERFKILL"}, {512, "ERESTARTSYS"}, {513, "ERESTARTNOINTR"},
    {514, "ERESTARTNOHAND"}, {516, "ERESTART_RESTARTBLOCK"}, {0, ""}};

static const struct trace_name signals[] = {
    {1, "SIGHUP"}, {2, "SIGINT"}, {3, "SIGQUIT"}, {4, "SIGILL"}, {5, "SIGTRAP"}, {6, "SIGABRT"},
    {7, "SIGBUS"}, {8, "SIGFPE"}, {9, "SIGKILL"}, {10, "SIGUSR1"}, {11, "SIGSEGV"}, {12, "SIGUSR2"},
    {13, "SIGPIPE"}, {14, "SIGALRM"}, {15, "SIGTERM"}, {16, "SIGSTKFLT"}, {17, "SIGCHLD"},
    {18, "SIGCONT"}, {19, "SIGSTOP"}, {20, "SIGTSTP"}, {21, "SIGTTIN"}, {22, "SIGTTOU"},
    {23, "SIGURG"}, {24, "SIGXCPU"}, {25, "SIGXFSZ"}, {26, "SIGVTALRM"}, {27, "SIGPROF"},
    {28, "SIGWINCH"}, {29, "SIGIO"}, {30, "SIGPWR"}, {31, "SIGSYS"}, {0, ""}};

/* clang-format on */

const struct trace_name *trace_names(enum argument_kind kind, int *flags)
{
    *flags = 0;
    switch (kind) {
    case A_OPEN:
        *flags = 1;
        return open_flags;
    case A_ATFLAGS:
        *flags = 1;
        return at_flags;
    case A_ACCESS:
        *flags = 1;
        return access_modes;
    case A_PROT:
        *flags = 1;
        return protections;
    case A_MAP:
        *flags = 1;
        return map_flags;
    case A_ADVICE:
        return advices;
    case A_SYNC:
        *flags = 1;
        return sync_flags;
    case A_REMAP:
        *flags = 1;
        return remap_flags;
    case A_WHENCE:
        return whences;
    case A_FCNTL:
        return fcntl_commands;
    case A_IOCTL:
        return ioctl_requests;
    case A_FAMILY:
        return families;
    case A_SOCKTYPE:
        return socket_types;
    case A_LEVEL:
        return levels;
    case A_MSGFLAGS:
        *flags = 1;
        return message_flags;
    case A_SHUTDOWN:
        return shutdowns;
    case A_CLONE:
        *flags = 1;
        return clone_flags;
    case A_WAIT:
        *flags = 1;
        return wait_options;
    case A_IDTYPE:
        return id_types;
    case A_HOW:
        return hows;
    case A_CLOCK:
        return clocks;
    case A_ITIMER:
        return itimers;
    case A_FUTEX:
        return futex_operations;
    case A_EPOLL_OP:
        return epoll_operations;
    case A_FILEFLAGS:
        *flags = 1;
        return file_flags;
    case A_LIMIT:
        return limits;
    case A_USAGE:
        return usages;
    case A_PRCTL:
        return prctl_options;
    case A_ARCH:
        return arch_options;
    case A_POLICY:
        return policies;
    case A_LOCK:
        *flags = 1;
        return locks;
    case A_MEMFD:
        *flags = 1;
        return memfd_flags;
    case A_RANDOM:
        *flags = 1;
        return random_flags;
    case A_STATX:
        *flags = 1;
        return statx_masks;
    case A_RENAME:
        *flags = 1;
        return rename_flags;
    case A_ALLOCATE:
        *flags = 1;
        return allocate_modes;
    case A_SPLICE:
        *flags = 1;
        return splice_flags;
    case A_TIMERFLAGS:
        *flags = 1;
        return timer_flags;
    case A_FDFLAGS:
        *flags = 1;
        return descriptor_flags;
    case A_UNLINK:
        *flags = 1;
        return unlink_flags;
    case A_SOCKFLAGS:
        *flags = 1;
        return type_flags;
    case A_EPOLLFLAGS:
        *flags = 1;
        return epoll_flags;
    case A_TIMERFD:
        *flags = 1;
        return timerfd_flags;
    case A_SIGNALFD:
        *flags = 1;
        return signalfd_flags;
    case A_EVENTFD:
        *flags = 1;
        return eventfd_flags;
    case A_INOTIFY:
        *flags = 1;
        return inotify_flags;
    case A_WATCH:
        *flags = 1;
        return watch_masks;
    case A_LOCKALL:
        *flags = 1;
        return lock_all;
    case A_XATTR:
        *flags = 1;
        return xattr_flags;
    case A_RESOLVE:
        *flags = 1;
        return resolve_flags;
    case A_WHICH:
        return priorities;
    case A_PROTOCOL:
        return protocols;
    case A_RANGE:
        *flags = 1;
        return range_flags;
    case A_SEALS:
        *flags = 1;
        return seals;
    case A_RWF:
        *flags = 1;
        return transfer_flags;
    default:
        return NULL;
    }
}

const struct trace_name *trace_option_names(long level)
{
    switch (level) {
    case 0:
        return ip_options;
    case 1:
        return socket_options;
    case 6:
        return tcp_options;
    case 41:
        return ipv6_options;
    default:
        return NULL;
    }
}

const struct trace_name *trace_futex_flags(void)
{
    return futex_flags;
}

const struct trace_name *trace_type_flags(void)
{
    return type_flags;
}

const struct trace_name *trace_poll_events(void)
{
    return poll_events;
}

const struct trace_name *trace_epoll_events(void)
{
    return epoll_events;
}

const struct trace_name *trace_action_flags(void)
{
    return action_flags;
}

const struct trace_name *trace_lock_types(void)
{
    return lock_types;
}

const char *trace_name_of(const struct trace_name *names, uint64_t value)
{
    for (; names && names->text[0]; names++)
        if (names->value == value)
            return names->text;
    return NULL;
}

const char *trace_errno(unsigned number)
{
    return trace_name_of(errors, number);
}

const char *trace_signal(unsigned number)
{
    return trace_name_of(signals, number);
}
