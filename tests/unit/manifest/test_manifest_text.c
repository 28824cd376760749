/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Value syntaxes, the TOML border and the schema's messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "manifest/schema.h"
#include "manifest/toml.h"
#include "manifest/value.h"
#include "rich.h"

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"1", 1},
                {"256K", 256 << 10},
                {"256k", 256 << 10},
                {"4G", 4ull << 30},
                {"0x10", 16},
                {"0X1fM", 31 << 20},
                {"2m", 2 << 20},
                {"1024g", 1ull << 40},
                {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"",
                                      "K",
                                      "1KB",
                                      "1T",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.5G",
                                      "0x",
                                      "0xK",
                                      "9223372036854775808",
                                      "18446744073709551616",
                                      "8589934592G",
                                      "1KK",
                                      "0xfffffffffffffffff"};
    uint64_t v;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_true(value_size(good[i].text, &v));
        assert_int_equal(v, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (value_size(bad[i], &v))
            fail_msg("'%s' was taken as a size", bad[i]);
}

static void test_distance(void **state)
{
    assert_int_equal(edit_distance("abc", "abc", 3), 0);
    assert_int_equal(edit_distance("abc", "acb", 3), 1);
    assert_int_equal(edit_distance("abc", "ab", 3), 1);
    assert_int_equal(edit_distance("kitten", "sitting", 3), 3);
    assert_int_equal(edit_distance("abc", "xyzuvw", 3), 4);
    assert_int_equal(edit_distance("", "", 3), 0);
}

/* The text of a tree gives the same tree again, and the same text. */
static void test_round_trip(void **state)
{
    static const char text[] =
        "f = 1.0\ng = -0.25\nn = nan\nd = 1979-05-27T07:32:00Z\nt = 07:32:00\n"
        "s = \"quote \\\" slash \\\\ tab \\t del \\u007f euro \\u20ac\"\n"
        "i = -9223372036854775808\nempty = []\n\"a key.\" = { x = [1, [2, \"3\"]] }\n[a.b.c]\n"
        "y = true\n[a.z]\n[[aot]]\nq = 1\n[[aot]]\n";
    struct arena a = {0};
    struct diag d = {.file = "test"};
    struct buffer one = {0}, two = {0};
    struct dom *root = toml_parse(&a, text, strlen(text), &d);
    assert_non_null(root);
    toml_write(&one, root);
    root = toml_parse(&a, one.data, one.len, &d);
    assert_non_null(root);
    toml_write(&two, root);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    assert_string_equal(dom_string(root, "s"),
                        "quote \" slash \\ tab \t del \x7f euro \xe2\x82\xac");
    assert_non_null(dom_get(root, "a.b.c"));
    buffer_free(&one);
    buffer_free(&two);
    arena_free(&a);
}

/* The first message about a text, found by the tools' check; "" for none. */
static const char *message(struct arena *a, const char *text, bool warning)
{
    struct diag d = {.file = "test"};
    struct dom *root = toml_parse(a, text, strlen(text), &d);
    if (root) {
        schema_modernise(a, root, &d);
        schema_check(a, root, SCHEMA_TOOL, &d);
    }
    const struct diag_message *m = warning ? d.warnings : d.errors;
    const char *found = m ? arena_printf(a, "%u: %s", m->line, m->text) : "";
    diag_free(&d);
    return found;
}

#define HEAD "libos.entrypoint = \"/p\"\nfs.mounts = []\n" /* two lines */

static void test_messages(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {HEAD, ""},
        {HEAD "[sgx]\ndebug = \"true\"\n", "4: Cannot parse 'sgx.debug': the value must be `true`"},
        {HEAD "sgx.debug = 1\n", "3: Cannot parse 'sgx.debug'"},
        {HEAD "sgx.enclave_sise = \"1G\"\n", "did you mean 'sgx.enclave_size'?"},
        {HEAD "loader.log_levle = \"error\"\n", "did you mean 'loader.log_level'?"},
        {HEAD "sgx.disallow_subprocesses = true\n", "did you mean 'sys.disallow_subprocesses'?"},
        {HEAD "nonsense = 1\n", "3: unknown key 'nonsense'"},
        {HEAD "\xce\x8f = 1\n", "3: "}, /* these two met undefined behaviour in toml++ 3.3 */
        {HEAD "[[[[", "3: the text is not TOML"},
        {HEAD "sgx = 5\n", "'sgx' is not a TOML table"},
        {HEAD "loader.log_level = \"loud\"\n", "'loud' is none of \"none\", \"error\""},
        {HEAD "sgx.enclave_size = \"3G\"\n", "power of two"},
        {HEAD "sgx.max_threads = 0\n", "within 1 and 4096"},
        {HEAD "sgx.remote_attestation = \"epid\"\n", "EPID"},
        {HEAD "sgx.trusted_files = [\"/x\"]\n", "does not begin with 'file:'"},
        {HEAD "sgx.trusted_files = [{uri=\"file:d/\", sha256=\"" SHA_A "\"}]\n", "directory"},
        {HEAD "sgx.trusted_files = [{uri=\"file:d\", sha256=\"12\"}]\n", "64 hex digits"},
        {HEAD "sgx.cpu_features.mpx = \"unspecified\"\n", "none of"},
        {HEAD "sgx.seal_key.flags_mask = \"0x12\"\n", "16 hex digits"},
        {HEAD "fs.insecure__keys.k = \"zz\"\n", "32 hex digits"},
        {HEAD "fs.root = { path = \"/\", uri = \"file:.\" }\n", "has no `path`"},
        {HEAD "loader.env.X = { passthrough = true, value = \"1\" }\n", "exclude"},
        {HEAD "loader.env.X = { passthrough = false }\n", "says nothing"},
        {HEAD "loader.argv = []\n", "empty"},
        {HEAD "loader.entrypoint.uri = \"libos\"\n", "does not begin with 'file:'"},
        {HEAD "sys.debug__mock_syscalls = [{name = \"no_such_call\"}]\n", "no system call"},
        {HEAD "libos.sync.enable = true\n", "unknown key 'libos.sync"},
        {"fs.mounts = []\n", "'libos.entrypoint' is missing"},
        {"libos.entrypoint = \"/p\"\n", "'fs.mounts' is missing"},
        {"libos.entrypoint = \"file:/p\"\nfs.mounts = []\n", "without 'file:'"},
        {"libos.entrypoint = \"/p\"\nfs.mounts = [{path=\"x\", uri=\"file:x\"}]\n", "absolute"},
        {"libos.entrypoint = \"/p\"\nfs.mounts = [{path=\"//\", uri=\"file:x\"}]\n", "fs.root"},
        {"libos.entrypoint = \"/p\"\nfs.mounts = [{path=\"/x\"}]\n", "`uri` is missing"},
        {"libos.entrypoint = \"/p\"\nfs.mounts = [{path=\"/x\", uri=\"dev:x\", "
         "type=\"encrypted\"}]\n",
         "does not begin with 'file:'"},
        {"libos.entrypoint = \"/p\"\nfs.mounts = [{path=\"/x\", uri=\"file:x\", key_name=\"k\"}]\n",
         "only mounts of type"},
        {"libos.entrypoint = \"/p\"\nfs.mounts = [{path=\"/x\", uri=\"file:x\"},\n"
         "{path=\"/x/\", uri=\"file:y\"}]\n",
         "3: Cannot parse 'fs.mounts[1]': '/x' is already mounted on line 2"},
        {"libos.entrypoint = \"/p\"\nfs.mounts = [{path=\"/x\", uri=\"file:x\"},\n"
         "{path=\"/x\", uri=\"file:x\"}]\n",
         ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct arena a = {0};
        const char *m = message(&a, cases[i].text, false);
        if (*cases[i].expected ? !strstr(m, cases[i].expected) : *m)
            fail_msg("%s\ngave '%s', not '%s'", cases[i].text, m, cases[i].expected);
        arena_free(&a);
    }
}

static void test_old_spellings(void **state)
{
    static const struct {
        const char *text, *warning;
    } cases[] = {
        {HEAD "sgx.thread_num = 8\n",
         "3: 'sgx.thread_num' is an old spelling; write 'sgx.max_threads'"},
        {HEAD "sgx.rpc_thread_num = 8\n", "write 'sgx.insecure__rpc_thread_num'"},
        {HEAD "loader.entrypoint = \"file:x\"\n", "write loader.entrypoint.uri = \"file:x\""},
        {HEAD "sgx.require_avx = true\n", "write sgx.cpu_features.avx = \"required\""},
        {HEAD "sgx.require_pkru = false\n", "write sgx.cpu_features.pkru = \"disabled\""},
        {HEAD "sgx.nonpie_binary = true\n", "ignored"},
        {HEAD "loader.preload = \"file:x\"\n", "ignored"},
        {HEAD "sgx.enable_sigterm_injection = true\n", "write 'sys.enable_sigterm_injection'"},
        {HEAD "sgx.remote_attestation = true\nsgx.ra_client_spid = \"\"\n", "EPID"},
        {HEAD "sgx.remote_attestation = true\n", "write \"dcap\""},
        {HEAD "sgx.insecure__protected_files_key = \"00112233445566778899aabbccddeeff\"\n",
         "write 'fs.insecure__keys.default'"},
        {HEAD "sgx.trusted_files.a = \"file:x\"\n", "write sgx.trusted_files = ["},
        {"libos.entrypoint = \"/p\"\nfs.mounts = []\nfs.mount.lib.type = \"chroot\"\n"
         "fs.mount.lib.path = \"/lib\"\nfs.mount.lib.uri = \"file:/lib\"\n",
         "write fs.mounts = [ { path = \"/lib\", uri = \"file:/lib\" } ]"},
    };
    static const char *const dead[] = {"sgx.sigfile = \"x\"",
                                       "loader.exec = \"file:x\"",
                                       "sgx.protected_files = [\"file:x\"]",
                                       "sgx.trusted_checksum.a = \"x\"",
                                       "sgx.ra_client_spid = \"12\"",
                                       "sgx.max_threads = 1\nsgx.thread_num = 2"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct arena a = {0};
        assert_string_equal(message(&a, cases[i].text, false), "");
        if (!strstr(message(&a, cases[i].text, true), cases[i].warning))
            fail_msg("%s\ngave '%s'", cases[i].text, message(&a, cases[i].text, true));
        arena_free(&a);
    }
    for (size_t i = 0; i < sizeof(dead) / sizeof(*dead); i++) {
        struct arena a = {0};
        assert_string_not_equal(message(&a, arena_printf(&a, HEAD "%s\n", dead[i]), false), "");
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_distance),
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_messages),
        cmocka_unit_test(test_old_spellings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
