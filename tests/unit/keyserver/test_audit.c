/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The audit log: written, followed, altered in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/pem.h>
#include <unistd.h>

#include "keyserver/audit.h"

static char dir[] = "/tmp/adyton-audit-XXXXXX";
static char log_path[64], key_path[64], head_path[64];

static void save_key(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    FILE *file = fopen(key_path, "we");
    assert_true(key && file && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    assert_non_null(mkdtemp(dir));
    snprintf(log_path, sizeof(log_path), "%s/log", dir);
    snprintf(key_path, sizeof(key_path), "%s/key", dir);
    snprintf(head_path, sizeof(head_path), "%s/head", dir);
    save_key();
    return 0;
}

static int tear_down(void **state)
{
    unlink(log_path);
    unlink(key_path);
    unlink(head_path);
    return rmdir(dir);
}

static struct ks_audit *open_log(void)
{
    struct ks_audit_error error;
    struct ks_audit *a = ks_audit_open(log_path, key_path, head_path, false, &error);
    if (!a)
        print_message("%s\n", error.text);
    return a;
}

static void write_records(int count)
{
    struct ks_audit *a = open_log();
    assert_non_null(a);
    for (int i = 0; i < count; i++)
        assert_true(ks_audit_add_now(a, json_pack("{s:s,s:i}", "event", "release", "number", i)));
    ks_audit_close(a);
}

static bool check(const char *path, const struct ks_head *head, struct ks_chain *chain,
                  struct ks_audit_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    bool ok = ks_audit_check(fd, head, chain, NULL, NULL, error);
    close(fd);
    return ok;
}

static void test_written_and_followed(void **state)
{
    struct ks_audit_error error;
    struct ks_chain chain;
    struct ks_head head;
    write_records(20);
    write_records(20); /* goes on */
    assert_true(ks_head_read(&head, head_path, &error));
    assert_true(check(log_path, &head, &chain, &error));
    assert_int_equal(chain.count, 41);
    assert_int_equal(head.seq, 41);
    assert_string_equal(head.hash, chain.hash);
}

static void test_one_writer(void **state)
{
    struct ks_audit *a = open_log();
    assert_non_null(a);
    assert_null(open_log());
    ks_audit_close(a);
}

static void test_records_that_are_none(void **state)
{
    struct ks_audit *a = open_log();
    assert_false(ks_audit_add_now(a, json_object()));
    assert_false(ks_audit_add_now(a, NULL));
    char *large = malloc(KS_LINE_MAX + 1);
    memset(large, 'a', KS_LINE_MAX);
    large[KS_LINE_MAX] = 0;
    assert_false(ks_audit_add_now(a, json_pack("{s:s}", "event", large)));
    free(large);
    /* What looks like the end of a record is only text. */
    assert_true(ks_audit_add_now(a, json_pack("{s:s}", "event", "\",\"hash\":\"00\"}\n\"")));
    ks_audit_close(a);
    test_one_writer(state);
    struct ks_audit_error error;
    struct ks_chain chain;
    assert_true(check(log_path, NULL, &chain, &error));
}

/* Each byte of each line, in memory. */
static void test_every_byte(void **state)
{
    struct ks_audit_error error;
    FILE *file = fopen(log_path, "re");
    struct ks_chain chain = {0}, before;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    for (int n = 0; n < 6 && (len = getline(&line, &room, file)) > 0; n++) {
        size_t size = (size_t)len - 1;
        for (size_t i = 0; i < size; i++) {
            before = chain;
            line[i] ^= 1;
            assert_false(ks_chain_line(&chain, line, size, &error));
            assert_memory_equal(&chain, &before, sizeof(chain));
            line[i] ^= 1;
        }
        for (size_t i = 0; i < size; i++)
            assert_false(ks_chain_line(&chain, line, i, &error));
        assert_true(ks_chain_line(&chain, line, size, &error));
        assert_false(ks_chain_line(&chain, line, size, &error)); /* twice */
    }
    free(line);
    fclose(file);
}

static void test_cut(void **state)
{
    struct ks_audit_error error;
    struct ks_chain chain;
    struct ks_head head;
    assert_true(ks_head_read(&head, head_path, &error));
    assert_true(check(log_path, NULL, &chain, &error));
    assert_int_equal(truncate(log_path, (off_t)chain.good_bytes - 1), 0);
    assert_false(check(log_path, &head, &chain, &error));
    assert_non_null(strstr(error.text, "was cut"));
    assert_null(open_log());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_and_followed),
        cmocka_unit_test(test_one_writer),
        cmocka_unit_test(test_records_that_are_none),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
