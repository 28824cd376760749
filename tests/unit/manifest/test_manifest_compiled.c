/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The compiled manifest: what the compiler makes of a text, and what the reader accepts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "manifest/compile.h"
#include "manifest/compiled.h"
#include "rich.h"

static const uint8_t text_sha[32] = {1, 2, 3};

/* A compiled block in memory of exactly its size, so that a sanitizer sees one byte too many. */
static uint8_t *compile(const char *text, size_t *len)
{
    struct diag d = {.file = "test"};
    struct buffer out = {0};
    bool ok = manifest_compile_text(text, strlen(text), text_sha, &out, &d);
    diag_print_errors(&d, stderr, "");
    diag_free(&d);
    assert_true(ok);
    uint8_t *block = malloc(out.len);
    memcpy(block, out.data, out.len);
    *len = out.len;
    buffer_free(&out);
    return block;
}

static void fails(const char *text, const char *message)
{
    struct diag d = {.file = "test"};
    struct buffer out = {0};
    assert_false(manifest_compile_text(text, strlen(text), text_sha, &out, &d));
    assert_non_null(d.errors);
    if (!strstr(d.errors->text, message))
        fail_msg("'%s' is not about '%s'", d.errors->text, message);
    diag_free(&d);
    buffer_free(&out);
}

static void assert_text(const struct mf *m, struct mf_str s, const char *expected)
{
    if (!expected) {
        assert_null(mf_string(m, s));
        return;
    }
    assert_string_equal(mf_string(m, s), expected);
    assert_int_equal(s.len, strlen(expected));
}

static void test_scalars(void **state)
{
    size_t len;
    uint8_t *block = compile(rich_manifest, &len);
    struct mf m;
    assert_int_equal(mf_open(&m, block, len), 0);
    const struct mf_image *im = m.image;
    assert_memory_equal(im->text_sha256, text_sha, 32);
    assert_int_equal(im->text_size, strlen(rich_manifest));
    assert_text(&m, im->entrypoint, "/bin/program");
    assert_int_equal(im->check_invalid_pointers, 0);
    assert_int_equal(im->log_level, MF_LOG_TRACE);
    assert_text(&m, im->log_file, "log.txt");
    assert_int_equal(im->argv_mode, MF_ARGV_LIST);
    assert_int_equal(im->argv.count, 3);
    assert_text(&m, mf_argv(&m)[1], "");
    assert_text(&m, mf_argv(&m)[2], "c d");
    assert_int_equal(im->uid, 1000);
    assert_int_equal(im->gid, UINT32_MAX);
    assert_int_equal(im->disable_aslr, 1);
    assert_int_equal(im->stack_size, 2 << 20);
    assert_int_equal(im->brk_max_size, 16 << 10);
    assert_int_equal(im->encrypted_cache, 8 << 20);
    assert_int_equal(im->fds_limit, 1234);
    assert_int_equal(im->sigterm_injection, 1);
    assert_int_equal(im->flock, 0);
    assert_int_equal(im->policy, MF_POLICY_ALLOW_ALL_BUT_LOG);
    assert_text(&m, im->start_dir, "/job");
    assert_int_equal(im->sgx_enclave_size, 4ull << 30);
    assert_int_equal(im->sgx_seal_misc_mask, 0xffff);
    assert_true(im->sgx_seal_xfrm_mask == 0xfffffffffff9ff1b);
    assert_int_equal(im->sgx_avx, MF_FEATURE_REQUIRED);
    assert_int_equal(im->sgx_pkru, MF_FEATURE_DISABLED);
    assert_int_equal(im->sgx_use_exinfo, 1);
    free(block);
}

static void test_lists(void **state)
{
    size_t len;
    uint8_t *block = compile(rich_manifest, &len);
    struct mf m;
    assert_int_equal(mf_open(&m, block, len), 0);
    assert_int_equal(m.image->env.count, 3);
    assert_text(&m, mf_envs(&m)[1].name, "TABLE");
    assert_text(&m, mf_envs(&m)[1].value, "y");
    assert_int_equal(mf_envs(&m)[2].passthrough, 1);
    assert_text(&m, mf_envs(&m)[2].value, NULL);
    assert_text(&m, m.image->root.host, "here");
    const struct mf_mount *mt = mf_mounts(&m);
    assert_int_equal(m.image->mounts.count, 6);
    assert_text(&m, mt[0].path, "/lib");
    assert_int_equal(mt[1].scheme, MF_SCHEME_DEV);
    assert_int_equal(mt[2].recovery, 1);
    assert_text(&m, mt[2].key_name, "default");
    assert_text(&m, mt[3].key_name, "_sgx_mrenclave");
    assert_int_equal(mt[4].type, MF_MOUNT_TMPFS);
    assert_text(&m, mt[4].host, NULL);
    assert_int_equal(mt[5].type, MF_MOUNT_UNTRUSTED_SHM);
    static const uint8_t key[16] = {0,    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    assert_memory_equal(mf_keys(&m)[0].key, key, 16);
    assert_int_equal(mf_mocks(&m)[0].ret, -38);
    assert_int_equal(mf_mocks(&m)[1].ret, 0);
    free(block);
}

static void test_ioctls(void **state)
{
    size_t len;
    uint8_t *block = compile(rich_manifest, &len);
    struct mf m;
    assert_int_equal(mf_open(&m, block, len), 0);
    const struct mf_ioctl *io = mf_ioctls(&m);
    const struct mf_ioctl_struct *s = mf_ioctl_structs(&m);
    const struct mf_ioctl_field *f = mf_ioctl_fields(&m);
    assert_int_equal(m.image->ioctl_structs.count, 3);
    assert_text(&m, s[io[0].layout].name, "outer");
    assert_int_equal(io[1].layout, UINT32_MAX);
    const struct mf_ioctl_field *outer = f + s[io[0].layout].first;
    assert_int_equal(s[io[0].layout].count, 3);
    assert_int_equal(outer[0].alignment, 16);
    assert_int_equal(outer[0].direction, MF_DIR_INOUT);
    assert_true(outer[1].alignment == MF_UNSET);
    assert_int_equal(outer[1].array_len.literal, 3);
    assert_text(&m, outer[1].if_left.field, "len");
    assert_int_equal(outer[1].if_right.literal, 16);
    assert_int_equal(outer[1].if_equal, 0);
    const struct mf_ioctl_field *inner = f + s[outer[1].ptr].first;
    assert_text(&m, inner->size.field, "len");
    assert_int_equal(inner->unit, 2);
    assert_int_equal(inner->adjustment, -4);
    assert_text(&m, s[outer[2].ptr].name, "inner");
    assert_int_equal(outer[0].ptr, UINT32_MAX);
    free(block);
}

static const struct mf_trusted *find(const struct mf *m, const char *path)
{
    const struct mf_trusted *t = NULL;
    return mf_trusted_find(m, path, strlen(path), &t) ? t : NULL;
}

static void test_trusted(void **state)
{
    size_t len;
    uint8_t *block = compile(rich_manifest, &len);
    struct mf m;
    assert_int_equal(mf_open(&m, block, len), 0);
    assert_int_equal(m.image->trusted.count, 4); /* /x/../b is /b */
    assert_int_equal(find(&m, "/b")->sha256[0], 0xaa);
    assert_true(find(&m, "/b")->size == MF_UNSET);
    assert_int_equal(find(&m, "rel")->sha256[31], 0xbb);
    const struct mf_trusted *t = find(&m, "/a/\xc3\xa9");
    assert_int_equal(t->size, 70000);
    assert_int_equal(t->flags, MF_TRUSTED_SHA256 | MF_TRUSTED_TREE);
    assert_non_null(find(&m, "/a"));
    static const char *const absent[] = {"/", "/c", "/a/", "/aa", "a", "re", "rell", "", "/A"};
    for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++)
        assert_null(find(&m, absent[i]));
    free(block);
}

static void test_trusted_many(void **state)
{
    struct buffer text = {0};
    char line[200];
    enum { COUNT = 5000 };
    buffer_text(&text, "libos.entrypoint = \"/p\"\n[loader]\n[sgx]\ntrusted_files = [\n");
    for (int i = 0; i < COUNT; i++) {
        snprintf(line, sizeof(line), "{ uri = \"file:/d%d/f%d\", sha256 = \"%064x\" },\n", i % 7,
                 i * 7919 % COUNT, i + 1);
        buffer_text(&text, line);
    }
    buffer_add(&text, "]\n", 3);
    size_t len;
    uint8_t *block = compile(text.data, &len);
    struct mf m;
    assert_int_equal(mf_open(&m, block, len), 0);
    assert_int_equal(m.image->trusted.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        snprintf(line, sizeof(line), "/d%d/f%d", i % 7, i * 7919 % COUNT);
        const struct mf_trusted *t = find(&m, line);
        assert_non_null(t);
        assert_int_equal(t->sha256[31] | t->sha256[30] << 8, i + 1);
        strcat(line, "x");
        assert_null(find(&m, line));
    }
    buffer_free(&text);
    free(block);
}

static bool allowed(const struct mf *m, const char *path)
{
    return mf_allowed(m, path, strlen(path));
}

static void test_allowed(void **state)
{
    size_t len;
    uint8_t *block = compile(rich_manifest, &len);
    struct mf m;
    assert_int_equal(mf_open(&m, block, len), 0);
    assert_int_equal(m.image->allowed.count, 3);
    assert_true(allowed(&m, "data"));
    assert_true(allowed(&m, "data/x/y"));
    assert_true(allowed(&m, "/var/one"));
    assert_true(allowed(&m, "/var/one/below"));
    assert_true(allowed(&m, "/dev/tty"));
    assert_false(allowed(&m, "database"));
    assert_false(allowed(&m, "/data"));
    assert_false(allowed(&m, "/var"));
    assert_false(allowed(&m, "/var/on"));
    assert_false(allowed(&m, "/var/one1"));
    assert_false(allowed(&m, "../data"));
    assert_false(allowed(&m, ""));
    free(block);
    block = compile(
        "libos.entrypoint=\"/p\"\n[loader]\n[sgx]\nallowed_files=[\"file:.\", \"file:../up\"]",
        &len);
    assert_int_equal(mf_open(&m, block, len), 0);
    assert_true(allowed(&m, "x"));
    assert_true(allowed(&m, "."));
    assert_true(allowed(&m, "..x"));
    assert_true(allowed(&m, "../up/x"));
    assert_false(allowed(&m, ".."));
    assert_false(allowed(&m, "../x"));
    assert_false(allowed(&m, "/x"));
    free(block);
    block = compile(
        "libos.entrypoint=\"/p\"\n[loader]\n[sgx]\nallowed_files=[\"file:/\", \"file:..\"]", &len);
    assert_int_equal(mf_open(&m, block, len), 0);
    assert_true(allowed(&m, "/x/y"));
    assert_true(allowed(&m, "../x"));
    assert_false(allowed(&m, "../../x"));
    assert_false(allowed(&m, "x"));
    free(block);
}

static void test_argument_rules(void **state)
{
    static const char head[] = "libos.entrypoint=\"/p\"\n[loader]\n";
    char text[300];
    struct mf m;
    size_t len;
    static const struct {
        const char *lines;
        uint32_t argv, env;
    } good[] = {
        {"", MF_ARGV_NONE, MF_ENV_NONE},
        {"insecure__use_cmdline_argv = true", MF_ARGV_CMDLINE, MF_ENV_NONE},
        {"insecure__use_cmdline_argv = false\nargv=[\"x\"]", MF_ARGV_LIST, MF_ENV_NONE},
        {"argv_src_file = \"file:./args\"", MF_ARGV_SRC_FILE, MF_ENV_NONE},
        {"insecure__use_host_env = true", MF_ARGV_NONE, MF_ENV_HOST},
        {"env_src_file = \"file:env\"", MF_ARGV_NONE, MF_ENV_SRC_FILE},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        snprintf(text, sizeof(text), "%s%s", head, good[i].lines);
        uint8_t *block = compile(text, &len);
        assert_int_equal(mf_open(&m, block, len), 0);
        assert_int_equal(m.image->argv_mode, good[i].argv);
        assert_int_equal(m.image->env_mode, good[i].env);
        free(block);
    }
    fails("libos.entrypoint=\"/p\"\n[loader]\nargv=[\"x\"]\ninsecure__use_cmdline_argv=true",
          "exclude");
    fails("libos.entrypoint=\"/p\"\n[loader]\nargv=[\"x\"]\nargv_src_file=\"file:x\"", "exclude");
    fails("libos.entrypoint=\"/p\"\n[loader]\nenv_src_file=\"file:x\"\ninsecure__use_host_env=true",
          "exclude");
}

static void test_bad_text(void **state)
{
    fails("", "'loader' section");
    fails("[loader]\n", "libos.entrypoint");
    fails("x = ", "");
    fails("[loader]\nlibos=5", "");
    fails("libos.entrypoint=\"/p\"\nloader.uid=-1", "loader.uid");
    fails("libos.entrypoint=\"/p\"\nloader.uid=4294967296", "loader.uid");
    fails("libos.entrypoint=\"/p\"\n[loader]\n[sys.stack]\nsize=\"1T\"", "not a size");
    fails("libos.entrypoint=\"/p\"\n[loader]\n[sys.stack]\nsize=\"99999999999999999999\"",
          "not a size");
    fails("libos.entrypoint=\"/p\"\n[loader]\n[sys.stack]\nsize=5", "a string");
    fails("libos.entrypoint=\"/p\"\n[loader]\n[sgx]\ntrusted_files=[\"file:/x\"]", "no hash");
    fails("libos.entrypoint=\"/p\"\nloader.env.X=\"a\\u0000b\"", "NUL");
    fails("libos.entrypoint=\"/p\"\nloader.uid=0\nsgx.sigfile=\"x\"", "sigfile");
    fails(
        "libos.entrypoint=\"/p\"\n[loader]\n[sgx]\ntrusted_files=[{uri=\"file:/x\",sha256=\"" SHA_A
        "\"},{uri=\"file:/./x\",sha256=\"" SHA_B "\"}]",
        "different hashes");
}

static void test_nesting(void **state)
{
    char *text = malloc(400001);
    memset(text, '[', 200000);
    memset(text + 200000, ']', 200000);
    memcpy(text, "a=", 2);
    text[400000] = 0;
    fails(text, "");
    for (int i = 0; i < 400000; i += 2)
        memcpy(text + i, "a.", 2);
    memcpy(text + 399996, "a=1", 4);
    fails(text, "parts");
    memcpy(text, "x=[\"\"\"q\"\"\"\",{", 13);
    fails(text, "parts");
    free(text);
}

static void test_open_errors(void **state)
{
    size_t len;
    uint8_t *block = compile(rich_manifest, &len);
    struct mf m;
    assert_int_equal(mf_open(&m, block, 0), -EINVAL);
    for (size_t n = 0; n < len; n++) {
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, block, n);
        assert_true(mf_open(&m, cut, n) < 0);
        free(cut);
    }
    block[8]++;
    assert_int_equal(mf_open(&m, block, len), -EPROTO);
    block[8]--;
    block[0] ^= 1;
    assert_int_equal(mf_open(&m, block, len), -EINVAL);
    block[0] ^= 1;
    uint8_t *odd = malloc(len + 8);
    memcpy(odd + 1, block, len);
    assert_int_equal(mf_open(&m, odd + 1, len), -EINVAL);
    free(odd);
    free(block);
}

/* Touches all that an accepted block offers; a sanitizer watches. */
static size_t read_everything(const struct mf *m)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < m->image->env.count; i++)
        sum += strlen(mf_string(m, mf_envs(m)[i].name));
    for (uint32_t i = 0; i < m->image->mounts.count; i++)
        sum += strlen(mf_string(m, mf_mounts(m)[i].path));
    for (uint32_t i = 0; i < m->image->trusted.count; i++) {
        struct mf_str s = mf_trusted_files(m)[i].path;
        const struct mf_trusted *t;
        sum += mf_trusted_find(m, mf_string(m, s), s.len, &t);
    }
    for (uint32_t i = 0; i < m->image->argv.count; i++)
        sum += strlen(mf_string(m, mf_argv(m)[i]));
    for (uint32_t i = 0; i < m->image->ioctl_fields.count; i++) {
        const struct mf_ioctl_field *f = &mf_ioctl_fields(m)[i];
        if (f->ptr != UINT32_MAX)
            sum += mf_ioctl_structs(m)[f->ptr].count;
    }
    return sum + mf_allowed(m, "data/x", 6);
}

/* Every byte set to several values: refused or readable, never out of bounds. */
static void test_damage(void **state)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    size_t len, accepted = 0, refused = 0;
    uint8_t *block = compile(rich_manifest, &len);
    for (size_t at = 0; at < len; at++) {
        for (size_t v = 0; v < sizeof(values); v++) {
            uint8_t old = block[at];
            struct mf m;
            block[at] = values[v];
            if (mf_open(&m, block, len)) {
                refused++;
            } else {
                accepted++;
                assert_true(read_everything(&m) > 0);
            }
            block[at] = old;
        }
    }
    assert_true(refused > 1000 && accepted > 1000);
    free(block);
}

struct value {
    const char *key;
    size_t at;
    uint64_t least, most, otherwise;
};

static const struct value values[] = {
#define VALUE(key, field, kind, least, most, otherwise, names) \
    {key, offsetof(struct mf_image, field), least, most, otherwise},
    MF_VALUES(VALUE)
#undef VALUE
};

/* Bytes of the fixed start that no check looks at, and those of the table, which have ranges. */
static bool is_free(size_t at)
{
    static const struct {
        size_t from, size;
    } parts[] = {
        {offsetof(struct mf_image, text_size), 8},
        {offsetof(struct mf_image, text_sha256), 32},
        {offsetof(struct mf_image, checksum), 8},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (at >= parts[i].from && at < parts[i].from + parts[i].size)
            return true;
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        if (at >= values[i].at && at < values[i].at + 8)
            return true;
    return false;
}

/* No other byte is left unchecked: a field that somebody adds by hand, without a row in the table
 * of keys.h and without a check of its own, is found here. */
static void test_every_field_is_checked(void **state)
{
    size_t len;
    uint8_t *block = compile(rich_manifest, &len);
    for (size_t at = 0; at < sizeof(struct mf_image); at++) {
        struct mf m;
        uint8_t old = block[at];
        block[at] = 0xfd;
        if (!is_free(at) && mf_open(&m, block, len) == 0)
            fail_msg("byte %zu of struct mf_image may have any value; mf_open() must check it", at);
        block[at] = old;
    }
    free(block);
}

/* Each value of the table: its default where the text says nothing, and its range in mf_open(). */
static void test_every_value(void **state)
{
    size_t len;
    uint8_t *block = compile("libos.entrypoint=\"/p\"\n[loader]\n", &len);
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        const struct value *v = &values[i];
        uint64_t *field = (uint64_t *)(void *)(block + v->at), old = *field;
        struct mf m;
        if (old != v->otherwise)
            fail_msg("%s has not its default", v->key);
        const uint64_t good[] = {v->least, v->most, v->otherwise};
        for (size_t g = 0; g < 3; g++) {
            *field = good[g];
            assert_int_equal(mf_open(&m, block, len), 0);
        }
        const uint64_t bad[] = {v->least - 1, v->most + 1};
        for (size_t b = 0; b < 2; b++) {
            *field = bad[b];
            bool in_range = bad[b] == v->otherwise || (bad[b] >= v->least && bad[b] <= v->most);
            if (!in_range && mf_open(&m, block, len) != -EBADMSG)
                fail_msg("%s may be %llu in a compiled manifest", v->key,
                         (unsigned long long)bad[b]);
        }
        *field = old;
    }
    free(block);
}

static void test_unsorted(void **state)
{
    size_t len;
    uint8_t *block = compile(rich_manifest, &len);
    struct mf m;
    assert_int_equal(mf_open(&m, block, len), 0);
    struct mf_trusted *t = (struct mf_trusted *)mf_trusted_files(&m);
    struct mf_trusted swap = t[0];
    t[0] = t[1];
    t[1] = swap;
    assert_int_equal(mf_open(&m, block, len), -EBADMSG);
    t[0] = t[1]; /* a duplicate */
    assert_int_equal(mf_open(&m, block, len), -EBADMSG);
    free(block);
}

static void test_normalise(void **state)
{
    static const char *const cases[][2] = {{"/a/../..", "/"},
                                           {"a/..", "."},
                                           {"../a/../../b", "../../b"},
                                           {"/", "/"},
                                           {"//x//y/./z/", "/x/y/z"},
                                           {"./foo", "foo"},
                                           {"a/b/../c", "a/c"},
                                           {"/../x", "/x"},
                                           {"..", ".."},
                                           {"a/../..", ".."},
                                           {".", "."},
                                           {"...", "..."},
                                           {"/..a/b..", "/..a/b.."}};
    char out[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        long n = mf_path_normalise(cases[i][0], strlen(cases[i][0]), out, sizeof(out));
        assert_int_equal(n, strlen(cases[i][1]));
        assert_string_equal(out, cases[i][1]);
        strcpy(out, cases[i][0]);
        assert_int_equal(mf_path_normalise(out, strlen(out), out, sizeof(out)), n);
        assert_string_equal(out, cases[i][1]);
    }
    assert_int_equal(mf_path_normalise("abc", 3, out, 3), -ENAMETOOLONG);
    assert_int_equal(mf_path_normalise("abc", 3, out, 4), 3);
    assert_int_equal(mf_path_normalise("", 0, out, 4), -EINVAL);
    assert_int_equal(mf_path_normalise("a\0b", 3, out, 64), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_ioctls),
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_trusted_many),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_argument_rules),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_open_errors),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_unsorted),
        cmocka_unit_test(test_normalise),
        cmocka_unit_test(test_every_value),
        cmocka_unit_test(test_every_field_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
