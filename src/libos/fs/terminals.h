/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

/*
 * Is /dev/pts/<n> of the run: the terminal of one of its processes, open in one, or made by one
 * that still has its other end? Terminals of others on the machine are not there for the program,
 * who could read what is typed on them.
 */
bool terminal_is_inside(long n);
