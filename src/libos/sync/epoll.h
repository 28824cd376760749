/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/fs/vfs.h"

/* The last reference to a watched file is gone: its registrations are void. */
void epoll_forget_file(struct file *f);
/* A file for an epoll of the host, taken over in any case. -ENOMEM */
int epoll_file(int host_fd, struct file **out);
/* An own object has become the host's, the world stopped: its registrations, too. */
void epoll_file_is_hosts(struct file *f);
