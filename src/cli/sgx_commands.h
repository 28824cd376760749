/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The SGX host tools as functions of a multi-call program: argv[0] is the command's name, the
 * result its exit status. Each prints to stdout and stderr and may call getopt_long().
 */
#pragma once

int cmd_sgx_keygen(int argc, char **argv);         /* gramine-sgx-gen-private-key */
int cmd_sgx_sigstruct_view(int argc, char **argv); /* gramine-sgx-sigstruct-view */
int cmd_is_sgx_available(int argc, char **argv);   /* is-sgx-available */
int cmd_sign(int argc, char **argv);               /* gramine-sgx-sign */
int cmd_measure(int argc, char **argv);            /* adyton measure */
int cmd_sgx_sign_layout(int argc, char **argv);    /* adyton sign-layout */
int cmd_sgxemu(int argc, char **argv);             /* adyton sgxemu */
int cmd_pccs(int argc, char **argv);               /* adyton pccs */
int cmd_doctor(int argc, char **argv);             /* adyton doctor */
