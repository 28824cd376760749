/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How certificates of the software device's test platforms start their names. It decides about
 * words in messages only: anybody can write a name. */
#pragma once
#define ATTEST_SOFTWARE_MARK "Adyton Software Device TEST"
