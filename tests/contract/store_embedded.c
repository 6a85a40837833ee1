/* The embedded store, in a folder of its own that goes with the test. Each time it is closed, `verify` must agree. */
#include "store/embedded/embedded.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "contract/contract.h"

enum { READERS = 2, PATH_BYTES = 512 };

struct embedded_ledger {
    struct contract_limits limits;
    char dir[PATH_BYTES];
    struct store *store; /* NULL while it is closed */
};

static void open_again(void *ctx)
{
    struct embedded_ledger *l = ctx;
    const struct embedded_options options = {
        .dir = l->dir,
        .inbox_max = l->limits.inbox_max,
        .batch_max = l->limits.batch_max,
        .readers = READERS,
        .idempotency_ttl_us = UINT64_C(86400) * 1000000,
        .idempotency_max = l->limits.keys_max,
    };
    struct err_text why = {""};
    enum err e = embedded_open(&options, &l->store, &why);

    if (e != ERR_OK) {
        print_message("cannot open %s: %s (%s)\n", l->dir, why.text, err_name(e));
    }
    ASSERT(e == ERR_OK);
}

static void *open_new(const struct contract_limits *limits)
{
    const char *parent = getenv("TMPDIR");
    struct embedded_ledger *l = mem_alloc(sizeof(*l));

    ASSERT(l != NULL);
    l->limits = *limits;
    (void)snprintf(l->dir, sizeof(l->dir), "%s/contract-XXXXXX", parent == NULL ? "/tmp" : parent);
    ASSERT(mkdtemp(l->dir) != NULL);
    open_again(l);
    return l;
}

static struct store *store_get(void *ctx)
{
    return ((struct embedded_ledger *)ctx)->store;
}

static void close_kept(void *ctx)
{
    struct embedded_ledger *l = ctx;
    struct verify_report report;
    struct err_text why = {""};
    enum err e;

    store_close(l->store);
    l->store = NULL;
    e = embedded_verify(l->dir, &report, &why);
    if (e != ERR_OK) {
        print_message("%s: %s (%s)\n", l->dir, why.text, err_name(e));
    }
    ASSERT(e == ERR_OK);
}

static void folder_remove(const char *dir)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;

    ASSERT(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        char path[PATH_BYTES + sizeof(entry->d_name) + 1];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] != '.') {
            (void)unlink(path);
        }
    }
    closedir(folder);
    (void)rmdir(dir);
}

static void drop(void *ctx)
{
    struct embedded_ledger *l = ctx;

    if (l->store != NULL) {
        close_kept(l);
    }
    folder_remove(l->dir);
    mem_free(l);
}

const struct contract_store contract_embedded = {
    .name = "embedded",
    .has_restart = true,
    .has_inbox = true,
    .open = open_new,
    .store = store_get,
    .close = close_kept,
    .open_again = open_again,
    .drop = drop,
};
