/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"
#include <linux/utsname.h>

/* What uname(2) says inside: the host's release and version, the node name of the run. */
void system_name(struct new_utsname *out);

/* Has the host tell this process when its parent is gone. false: it is not told, and must ask. */
bool parent_watch_arm(void);
