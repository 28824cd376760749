/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What an errno means, in the words of strerror(3): for messages to people. */
#pragma once

#define ERROR_TEXT_SIZE 16

/* `err` may be negative. What has no text is written to `buf` as a number. */
const char *error_text(char buf[ERROR_TEXT_SIZE], long err);
/* Lives to the end of the block. */
#define ERROR_TEXT(err) error_text((char[ERROR_TEXT_SIZE]){0}, err)
