/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Hostile manifest texts: parse, old spellings, schema, compiler, serialiser. What compiles must be
 * accepted by the reader; what is written must read back to the same text.
 *
 * With clang a libFuzzer target; otherwise a program that makes its own inputs for N seconds.
 */
#include "manifest/compile.h"
#include "manifest/compiled.h"
#include "manifest/schema.h"
#include "manifest/toml.h"
#include "unit/manifest/rich.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned long compiled;

static void compile(const char *text, size_t len)
{
    static const uint8_t sha[32] = {1};
    struct diag d = {.file = "fuzz"};
    struct buffer out = {0};
    if (manifest_compile_text(text, len, sha, &out, &d)) {
        struct mf m;
        uint8_t *block = malloc(out.len);
        memcpy(block, out.data, out.len);
        if (d.error_count || mf_open(&m, block, out.len))
            abort();
        compiled++;
        free(block);
    } else if (!d.error_count) {
        abort(); /* refused without a reason */
    }
    buffer_free(&out);
    diag_free(&d);
}

static void write_again(const char *text, size_t len)
{
    struct diag d = {.file = "fuzz"};
    struct arena a = {0};
    struct buffer one = {0}, two = {0};
    struct dom *root = toml_parse(&a, text, len, &d);
    if (root) {
        schema_modernise(&a, root, &d);
        schema_check(&a, root, SCHEMA_TOOL, &d);
        toml_write(&one, root);
        root = toml_parse(&a, one.data, one.len, &d);
        if (!root)
            abort();
        toml_write(&two, root);
        if (one.len != two.len || (one.len && memcmp(one.data, two.data, one.len)))
            abort();
    }
    buffer_free(&one);
    buffer_free(&two);
    arena_free(&a);
    diag_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 100000)
        return 0;
    char *text = malloc(size + 1);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    compile(text, size);
    write_again(text, size);
    free(text);
    return 0;
}

#ifdef FUZZ_STANDALONE
static uint64_t state = 1;

static uint32_t roll(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

/* A piece of the rich manifest with bytes changed, moved and repeated. */
static size_t make(char *text, size_t cap)
{
    static const char *const words[] = {"\"",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        "=",
                                        ".",
                                        "\n",
                                        "'''",
                                        "\"\"\"",
                                        "[[",
                                        "true",
                                        "1e9",
                                        "0x",
                                        "\\u0000",
                                        "#",
                                        ",",
                                        "\xff",
                                        "sgx.thread_num = 1\n",
                                        "fs.mount.x.path = \"/x\"\n"};
    size_t len = sizeof(rich_manifest) - 1;
    memcpy(text, rich_manifest, len);
    for (uint32_t edits = roll(6); edits; edits--) {
        size_t at = roll((uint32_t)len), other = roll((uint32_t)len), n = 1 + roll(40);
        const char *w = words[roll(sizeof(words) / sizeof(*words))];
        switch (roll(4)) {
        case 0:
            text[at] = (char)roll(256);
            break;
        case 1:
            n = n > len - at ? len - at : n;
            n = n > len - other ? len - other : n;
            memmove(text + at, text + other, n);
            break;
        case 2:
            n = n > len - at - 1 ? 0 : n;
            memmove(text + at, text + at + n, len - at - n);
            len -= n;
            break;
        default:
            n = strlen(w);
            if (len + n > cap)
                break;
            memmove(text + at + n, text + at, len - at);
            memcpy(text + at, w, n);
            len += n;
        }
    }
    return len;
}

int main(int argc, char **argv)
{
    static char text[sizeof(rich_manifest) + 1000];
    state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3);
    unsigned long runs = 0;
    for (; time(NULL) < end; runs++)
        LLVMFuzzerTestOneInput((uint8_t *)text, make(text, sizeof(text)));
    printf("%lu inputs, %lu compiled\n", runs, compiled);
    return compiled == 0;
}
#endif
