/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "platform/test/world_files.h"
#include "manifest/compile.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char manifest[] =
    "libos.entrypoint = \"/program\"\n"
    "loader.log_level = \"error\"\n"
    "fs.root = { uri = \"file:.\" }\n"
    "fs.mounts = [\n"
    "  { path = \"/enc\", uri = \"file:encrypted\", type = \"encrypted\" },\n"
    "  { path = \"/tmp\", type = \"tmpfs\" },\n"
    "]\n"
    "fs.insecure__keys.default = \"00112233445566778899aabbccddeeff\"\n"
    "sgx.allowed_files = [ \"file:.\" ]\n";

/* The least program: one page, never entered. */
static bool write_program(void)
{
    struct {
        Elf64_Ehdr h;
        Elf64_Phdr p;
        unsigned char code[4];
    } image = {.h = {.e_ident = ELFMAG,
                     .e_type = ET_DYN,
                     .e_machine = EM_X86_64,
                     .e_version = EV_CURRENT,
                     .e_entry = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                     .e_phoff = sizeof(Elf64_Ehdr),
                     .e_ehsize = sizeof(Elf64_Ehdr),
                     .e_phentsize = sizeof(Elf64_Phdr),
                     .e_phnum = 1},
               .p = {.p_type = PT_LOAD,
                     .p_flags = PF_R | PF_X,
                     .p_filesz = sizeof(image),
                     .p_memsz = sizeof(image),
                     .p_align = 4096},
               .code = {0x0f, 0x05, 0x0f, 0x0b}};
    image.h.e_ident[EI_CLASS] = ELFCLASS64;
    image.h.e_ident[EI_DATA] = ELFDATA2LSB;
    image.h.e_ident[EI_VERSION] = EV_CURRENT;
    FILE *f = fopen("program", "w");
    if (!f)
        return false;
    bool ok = fwrite(&image, sizeof(image), 1, f) == 1;
    return fclose(f) == 0 && ok && chmod("program", 0755) == 0;
}

const void *world_manifest(size_t *size)
{
    static const uint8_t sha[32];
    struct diag d = {.file = "test"};
    struct buffer out = {0};
    if (!write_program() || mkdir("encrypted", 0755)) {
        perror("scratch directory");
        return NULL;
    }
    bool ok = manifest_compile_text(manifest, sizeof(manifest) - 1, sha, &out, &d);
    diag_print_errors(&d, stderr, "");
    diag_free(&d);
    *size = out.len;
    return ok ? out.data : NULL;
}
