/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/proc/caps.h"
#include "libos/entry/syscall.h"
#include <linux/capability.h>

uint64_t caps_permitted(const struct credentials *c)
{
    bool root = !c->uid || !c->euid || !c->suid;
    return root ? CAP_ALL & ~c->caps_given_up : 0;
}

uint64_t caps_effective(const struct credentials *c)
{
    return c->euid == 0 ? caps_permitted(c) & ~c->caps_lowered : 0;
}

/* How many 32-bit halves the version has; 0: unknown, and the header then tells ours. */
static int halves(uint32_t version)
{
    switch (version) {
    case _LINUX_CAPABILITY_VERSION_1:
        return 1;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3:
        return 2;
    }
    return 0;
}

static int take_header(cap_user_header_t uhead, struct __user_cap_header_struct *head)
{
    if (get_user(*head, uhead))
        return -EFAULT;
    if (halves(head->version))
        return 0;
    uint32_t ours = _LINUX_CAPABILITY_VERSION_3;
    return put_user(&uhead->version, ours) ? -EFAULT : -EINVAL;
}

static bool is_self(int pid)
{
    return pid == 0 || pid == current()->tid || pid == current_process()->pid;
}

SYSCALL2(capget, cap_user_header_t, uhead, cap_user_data_t, udata)
{
    struct __user_cap_header_struct head;
    struct __user_cap_data_struct data[2] = {0};
    int err = take_header(uhead, &head);
    if (err)
        return err == -EINVAL && !udata ? 0 : err;
    if (head.pid < 0)
        return -EINVAL;
    if (!is_self(head.pid))
        return -ESRCH;
    const struct credentials *c = &current_process()->cred;
    uint64_t permitted = caps_permitted(c), effective = caps_effective(c);
    for (int i = 0; i < 2; i++) {
        data[i].permitted = (uint32_t)(permitted >> 32 * i);
        data[i].effective = (uint32_t)(effective >> 32 * i);
        data[i].inheritable = (uint32_t)(c->caps_inheritable >> 32 * i);
    }
    return udata && copy_to_user(udata, data, (size_t)halves(head.version) * sizeof(data[0]))
               ? -EFAULT
               : 0;
}

SYSCALL2(capset, cap_user_header_t, uhead, const cap_user_data_t, udata)
{
    struct __user_cap_header_struct head;
    struct __user_cap_data_struct data[2] = {0};
    int err = take_header(uhead, &head);
    if (err)
        return err;
    if (!is_self(head.pid))
        return -EPERM;
    if (copy_from_user(data, udata, (size_t)halves(head.version) * sizeof(data[0])))
        return -EFAULT;
    uint64_t permitted = (data[0].permitted | (uint64_t)data[1].permitted << 32) & CAP_ALL;
    uint64_t effective = (data[0].effective | (uint64_t)data[1].effective << 32) & CAP_ALL;
    uint64_t inheritable = (data[0].inheritable | (uint64_t)data[1].inheritable << 32) & CAP_ALL;
    struct process *p = current_process();
    lock(&p->lock);
    struct credentials *c = &p->cred;
    uint64_t now = caps_permitted(c);
    if (permitted & ~now || effective & ~permitted || inheritable & ~(now | c->caps_inheritable)) {
        err = -EPERM;
    } else {
        c->caps_given_up |= now & ~permitted;
        c->caps_lowered = permitted & ~effective;
        c->caps_inheritable = inheritable;
    }
    unlock(&p->lock);
    return err;
}
