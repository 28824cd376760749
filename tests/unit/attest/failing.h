/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Included before each source of the library by test_memory.c's build: memory that runs out. */
#pragma once
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *failing_malloc(size_t size);
void *failing_calloc(size_t count, size_t size);
void *failing_realloc(void *p, size_t size);
char *failing_strdup(const char *text);
char *failing_strndup(const char *text, size_t len);

#ifndef FAILING_IMPLEMENTATION
#    define malloc  failing_malloc
#    define calloc  failing_calloc
#    define realloc failing_realloc
#    undef strdup
#    define strdup failing_strdup
#    undef strndup
#    define strndup failing_strndup
#endif
