/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The same enclave, entered through the vDSO: exceptions are values, not signals. */
#define _GNU_SOURCE
#include "host.h"
#include <asm/sgx.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

static struct loaded enclave;
static uint64_t result;
static void *enter_enclave;

/* The C library resolves vDSO symbols for itself only. */
static void *vdso_symbol(const char *name)
{
    uint64_t base = getauxval(AT_SYSINFO_EHDR), strtab = 0, symtab = 0, hash = 0;
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)base;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + eh->e_phoff);
    for (int i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type != PT_DYNAMIC)
            continue;
        for (const Elf64_Dyn *d = (const Elf64_Dyn *)(base + ph[i].p_offset); d->d_tag; d++) {
            if (d->d_tag == DT_STRTAB)
                strtab = base + d->d_un.d_ptr;
            if (d->d_tag == DT_SYMTAB)
                symtab = base + d->d_un.d_ptr;
            if (d->d_tag == DT_HASH)
                hash = base + d->d_un.d_ptr;
        }
    }
    for (uint32_t i = 0; hash && i < ((const uint32_t *)hash)[1]; i++) {
        const Elf64_Sym *s = (const Elf64_Sym *)symtab + i;
        if (!strcmp((const char *)strtab + s->st_name, name))
            return (void *)(base + s->st_value);
    }
    return NULL;
}

static int on_return(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                     struct sgx_enclave_run *run)
{
    if (run->function == SGX_EEXIT)
        result = (uint64_t)rsi;
    return 0;
}

static int call(struct sgx_enclave_run *run, uint64_t command, void *argument, unsigned leaf)
{
    return enter_vdso(command, (unsigned long)argument, 0, leaf, 0, 0, run, enter_enclave);
}

int main(void)
{
    struct sgx_enclave_run run = {0};
    struct hello h = {""};
    load_enclave(&enclave, "hello.layout", "hello.sig");
    enter_enclave = vdso_symbol("__vdso_sgx_enter_enclave");
    if (!enter_enclave) {
        fprintf(stderr, "the vDSO has no __vdso_sgx_enter_enclave\n");
        return 1;
    }
    run.tcs = enclave.base + THREAD0_TCS;
    run.user_handler = (uint64_t)on_return;
    int r = call(&run, CMD_HELLO, &h, SGX_EENTER);
    printf("hello: %s (%d, function %u)\n", h.text, r, run.function);

    uint64_t address = enclave.base + HOLE;
    r = call(&run, CMD_PROBE, &address, SGX_EENTER);
    printf("page fault: %d, function %u vector %u address %s\n", r, run.function,
           run.exception_vector, run.exception_addr == address ? "right" : "wrong");
    call(&run, 0, NULL, SGX_EENTER); /* the enclave's handler, on the second frame */
    r = call(&run, 0, NULL, SGX_ERESUME);
    printf("resumed: %d, function %u, enclave saw %ld\n", r, run.function, (long)result);

    run.tcs += 8;
    r = call(&run, CMD_HELLO, &h, SGX_EENTER);
    printf("bad TCS: %d, function %u vector %u\n", r, run.function, run.exception_vector);
    printf("bad function: %d\n", call(&run, CMD_HELLO, &h, 4));
    run.reserved[0] = 1;
    printf("reserved: %d\n", call(&run, CMD_HELLO, &h, SGX_EENTER));
    unload_enclave(&enclave);
    return 0;
}
