#include "config/config_print.h"

#include <string.h>

#include "base/assert.h"
#include "config/config_internal.h"

enum { SOURCE_COLUMN = 42 };

static struct config_set set_of(const struct config *config)
{
    /* the set is only read from: the casts take away what no function of this file uses */
    return (struct config_set){config_entries(), CONFIG_KEY_COUNT, (void *)(uintptr_t)config,
                               (struct config_source *)(uintptr_t)config->sources};
}

/* redis://user:password@host: what stands between the scheme, which may be forgotten, and the last @ is nobody's business. */
static void append_masked_url(struct buf *out, const char *text)
{
    const char *scheme = strstr(text, "://");
    const char *secret = scheme == NULL ? text : scheme + 3;
    const char *at = strrchr(secret, '@');

    if (at != NULL) {
        buf_append(out, text, (size_t)(secret - text));
        buf_append_text(out, "***");
        buf_append_text(out, at);
    } else {
        buf_append_text(out, text);
    }
}

static void append_source(const struct config_entry *entry, const struct config_source *source,
                          const char *file, struct buf *out)
{
    char name[CONFIG_NAME_BYTES_MAX];

    switch (source->from) {
    case CONFIG_FROM_DEFAULT:
        buf_append_text(out, "default");
        return;
    case CONFIG_FROM_FILE:
        buf_append_text(out, file);
        buf_append_byte(out, ':');
        buf_append_u64(out, source->line);
        return;
    case CONFIG_FROM_ENV:
        config_env_name(entry, name);
        buf_append_text(out, "env ");
        buf_append_text(out, source->env != NULL ? source->env : name);
        return;
    case CONFIG_FROM_FLAG:
        buf_append_text(out, "flag --");
        buf_append_text(out, entry->name);
        return;
    default:
        UNREACHABLE("config source");
    }
}

void config_set_print(const struct config_set *set, const char *file, struct buf *out)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct config_entry *entry = &set->entries[i];
        size_t start = out->len;

        buf_append_text(out, entry->name);
        buf_append_text(out, " = ");
        if (entry->is_secret) {
            /* an empty one is none: that much may be known, and the file reads back as it was */
            const char *text = (const char *)set->values + entry->offset;
            buf_append_text(out, entry->kind == CONFIG_TEXT && text[0] == '\0' ? "" : "***");
        } else if (entry->is_url) {
            append_masked_url(out, (const char *)set->values + entry->offset);
        } else {
            config_value_format(entry, set->values, out);
        }
        buf_append_text(out, "  ");
        while (out->err == ERR_OK && out->len - start < SOURCE_COLUMN) {
            buf_append_byte(out, ' ');
        }
        buf_append_text(out, "; ");
        append_source(entry, &set->sources[i], file, out);
        buf_append_byte(out, '\n');
    }
}

static void append_flag(const struct config_entry *entry, struct buf *out)
{
    static const char *const words_of_kind[] = {
        [CONFIG_TEXT] = "TEXT",     [CONFIG_ADDRESS] = "HOST:PORT", [CONFIG_NUMBER] = "N",
        [CONFIG_DURATION] = "TIME", [CONFIG_SIZE] = "SIZE",
    };
    const char *word;

    buf_append_text(out, entry->kind == CONFIG_SWITCH ? "  --[no-]" : "  --");
    buf_append_text(out, entry->name);
    if (entry->kind != CONFIG_SWITCH) {
        word = entry->kind == CONFIG_CHOICE ? entry->choices : words_of_kind[entry->kind];
        buf_append_byte(out, ' ');
        buf_append_text(out, entry->word != NULL ? entry->word : word);
    }
    buf_append_byte(out, '\n');
}

static void append_facts(const struct config_entry *entry, struct buf *out)
{
    char name[CONFIG_NAME_BYTES_MAX];

    buf_append_text(out, "        [");
    if (entry->fallback[0] != '\0') {
        buf_append_text(out, "default ");
        buf_append_text(out, entry->fallback);
        buf_append_text(out, "; ");
    }
    if (entry->kind == CONFIG_NUMBER || entry->kind == CONFIG_DURATION || entry->kind == CONFIG_SIZE) {
        config_number_format(entry->kind, entry->min, out);
        buf_append_text(out, " to ");
        config_number_format(entry->kind, entry->max, out);
        buf_append_text(out, "; ");
    }
    config_env_name(entry, name);
    buf_append_text(out, name);
    if (entry->is_secret) {
        buf_append_text(out, " (a file that holds it), or the configuration file");
    }
    if (entry->env != NULL) {
        buf_append_text(out, ", ");
        buf_append_text(out, entry->env);
    }
    if (entry->env_port != NULL) {
        buf_append_text(out, ", ");
        buf_append_text(out, entry->env_port);
        buf_append_text(out, " (the port alone)");
    }
    buf_append_text(out, "]\n");
}

void config_set_help(const struct config_set *set, struct buf *out)
{
    buf_append_text(out, "  --config FILE\n"
                         "        file of name = value lines; none is read unless named\n"
                         "        [WALLET_CONFIG]\n");
    for (size_t i = 0; i < set->count; i++) {
        const struct config_entry *entry = &set->entries[i];

        if (entry->is_secret) { /* has no flag; the file and the environment alone set it */
            buf_append_text(out, "  (no flag) ");
            buf_append_text(out, entry->name);
            buf_append_byte(out, '\n');
        } else {
            append_flag(entry, out);
        }
        buf_append_text(out, "        ");
        buf_append_text(out, entry->help);
        buf_append_byte(out, '\n');
        append_facts(entry, out);
    }
    buf_append_text(out, "  --help\n"
                         "        this text\n");
}

void config_print(const struct config *config, struct buf *out)
{
    struct config_set set = set_of(config);

    config_set_print(&set, config->file, out);
}

void config_help(struct buf *out)
{
    struct config_set set = {config_entries(), CONFIG_KEY_COUNT, NULL, NULL};

    config_set_help(&set, out);
}

void config_value_print(const struct config_entry *entry, const struct config *config, struct buf *out)
{
    config_value_format(entry, config, out);
}
