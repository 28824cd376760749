/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The commands for encrypted files, as functions of a multi-call program: argv[0] is the command's
 * name, the result its exit status. They may call getopt_long() and start threads.
 */
#pragma once

/* Exit statuses of `adyton encrypt`, `decrypt`, `inspect` and `keygen`. */
enum {
    CRYPT_OK = 0,
    CRYPT_USAGE = 2,
    CRYPT_REFUSED = 3, /* first block: wrong key, altered, no encrypted file, other stored path */
    CRYPT_DAMAGED = 4, /* a block below the first is altered or missing */
    CRYPT_IO = 5,      /* anything the operating system refused */
};

int cmd_encrypt(int argc, char **argv);  /* adyton encrypt */
int cmd_decrypt(int argc, char **argv);  /* adyton decrypt */
int cmd_keygen(int argc, char **argv);   /* adyton keygen */
int cmd_inspect(int argc, char **argv);  /* adyton inspect */
int cmd_pf_crypt(int argc, char **argv); /* gramine-sgx-pf-crypt: 0, or 255 for every error */
