/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Builds the mount table from the manifest (spec: root, /proc, /dev, /sys, then fs.mounts in
 * order). */
#include "libos/fs/encrypted_share.h"
#include "libos/fs/keys.h"
#include "libos/fs/links.h"
#include "libos/fs/resolv.h"
#include "libos/fs/tmpfs.h"
#include "libos/fs/vfs.h"
#include "libos/lib/errors.h"
#include "libos/log.h"
#include "libos/process.h"
#include "manifest/compiled.h"

static int add(const struct fs_ops *ops, const char *path, const struct mf_mount *mm)
{
    struct mount *m = heap_zalloc(sizeof(*m));
    struct mount **list = heap_realloc(mounts, (mount_count + 1) * sizeof(*list));
    if (!m || !list)
        return -ENOMEM;
    mounts = list;
    m->ops = ops;
    m->path = path;
    m->path_len = strlen(path);
    if (mm) {
        m->uri = mf_string(&run.manifest, mm->host);
        m->key_name = mf_string(&run.manifest, mm->key_name);
        m->recovery = mm->recovery;
        m->device = mm->scheme == MF_SCHEME_DEV;
    }
    mounts[mount_count++] = m;
    return ops == &fs_tmpfs ? tmpfs_setup(m) : ops == &fs_encrypted ? enc_share_setup() : 0;
}

static const struct fs_ops *ops_of(const struct mf_mount *mm)
{
    switch (mm->type) {
    case MF_MOUNT_CHROOT:
        return &fs_chroot;
    case MF_MOUNT_ENCRYPTED:
        return &fs_encrypted;
    case MF_MOUNT_TMPFS:
        return &fs_tmpfs;
    case MF_MOUNT_UNTRUSTED_SHM:
        return &fs_chroot;
    }
    return NULL;
}

static bool is_pseudo(const char *uri)
{
    static const char *const dirs[] = {"/proc", "/sys", "/dev"};
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        size_t n = strlen(dirs[i]);
        if (strncmp(uri, dirs[i], n) == 0 && (!uri[n] || uri[n] == '/'))
            return true;
    }
    return false;
}

static int add_from_manifest(const struct mf_mount *mm, const char *path)
{
    const struct fs_ops *ops = ops_of(mm);
    const char *uri = mf_string(&run.manifest, mm->host);
    if (mm->type == MF_MOUNT_CHROOT && mm->scheme == MF_SCHEME_FILE && is_pseudo(uri))
        log_error("mount of '%s' from the host's '%s': what it shows is not protected", path, uri);
    int err = add(ops, path, mm);
    kstat st;
    if (!err && mm->type == MF_MOUNT_CHROOT && mm->scheme == MF_SCHEME_FILE &&
        run.manifest.image->policy != MF_POLICY_ALLOW_ALL_BUT_LOG && links_redirect(uri)) {
        log_error(
            "mount of '%s': the way to 'file:%s' leads through a symbolic link in a place of "
            "sgx.allowed_files, where a program can have made it; name what it leads to as the "
            "uri, or the link itself in sgx.allowed_files",
            path, uri);
        err = -EACCES;
    }
    if (!err && mm->type != MF_MOUNT_ENCRYPTED && mm->type != MF_MOUNT_TMPFS) {
        err = ops->stat(mounts[mount_count - 1], "", true, &st);
        if (err)
            log_error("Failed to look up mount root '%s' (uri '%s%s'): %s; does the host "
                      "path exist, relative to the directory you started in?",
                      path, mounts[mount_count - 1]->device ? "dev:" : "file:", uri,
                      ERROR_TEXT(err));
    }
    return err;
}

int mounts_setup(void)
{
    const struct mf_image *im = run.manifest.image;
    int err = links_setup();
    if (!err)
        err = keys_setup();
    if (!err)
        err = add_from_manifest(&im->root, "/");
    if (!err)
        err = add(&fs_proc, "/proc", NULL);
    if (!err)
        err = add(&fs_dev, "/dev", NULL);
    if (!err)
        err = add(&fs_tmpfs, "/dev/shm", NULL);
    if (!err)
        err = add(&fs_sys, "/sys", NULL);
    const struct mf_mount *mm = mf_mounts(&run.manifest);
    for (uint32_t i = 0; !err && i < im->mounts.count; i++)
        err = add_from_manifest(&mm[i], mf_string(&run.manifest, mm[i].path));
    if (!err && im->runtime_domain_names)
        err = resolv_setup();
    if (!err && im->runtime_domain_names)
        err = add(&fs_resolv, "/etc/resolv.conf", NULL);
    return err;
}
