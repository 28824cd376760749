/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/fs/vfs.h"

/* The last reference to a watched file is gone: its registrations are void. */
void epoll_forget_file(struct file *f);
/* A file for an epoll of the host, taken over in any case. -ENOMEM */
int epoll_file(int host_fd, struct file **out);
