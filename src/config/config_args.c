/* The command line: --name value, --name=value, --switch, --no-switch, --config FILE, --help, words. */
#include <string.h>

#include "base/assert.h"
#include "config/config_internal.h"

/* One flag, taken apart. */
struct flag {
    struct slice name;                /* without the dashes */
    struct slice value;               /* behind the '=' */
    const struct config_entry *entry; /* NULL where the name is not in the table */
    bool has_value;                   /* there was a '=' */
    bool is_negated;                  /* --no-… of a switch */
};

static struct flag flag_read(const struct config_set *set, const char *word)
{
    struct flag flag = {.name = slice_make(word + 2, strcspn(word + 2, "="))};

    if (flag.name.ptr[flag.name.len] == '=') {
        flag.has_value = true;
        flag.value = slice_of(flag.name.ptr + flag.name.len + 1);
    }
    flag.entry = config_set_find(set, flag.name);
    if (flag.entry == NULL && slice_starts_with(flag.name, SLICE("no-"))) {
        const struct config_entry *entry =
            config_set_find(set, slice_make(flag.name.ptr + 3, flag.name.len - 3));

        if (entry != NULL && entry->kind == CONFIG_SWITCH) {
            flag.entry = entry;
            flag.is_negated = true;
        }
    }
    return flag;
}

/* The value behind the '=' or, taking it, the next word. A word that looks like a flag is no value. */
static bool value_take(const struct config_input *in, int *at, struct flag *flag, struct err_text *why)
{
    const char *next = *at + 1 < in->argc ? in->argv[*at + 1] : NULL;

    if (flag->has_value) {
        return true;
    }
    if (next == NULL || strncmp(next, "--", 2) == 0) {
        err_text_set(why, "--" SLICE_FORMAT " needs a value", SLICE_ARGS(flag->name));
        return false;
    }
    flag->value = slice_of(next);
    (*at)++;
    return true;
}

static bool entry_flag(const struct config_set *set, const struct config_input *in, int *at,
                       struct flag *flag, bool is_trial, struct err_text *why)
{
    struct err_text problem;

    if (flag->entry->is_secret) {
        char env[CONFIG_NAME_BYTES_MAX];

        config_env_name(flag->entry, env);
        err_text_set(why,
                     "--%s: a secret is not taken from the command line, where everybody can read it; "
                     "use %s or the configuration file",
                     flag->entry->name, env);
        return false;
    }
    if (flag->entry->kind == CONFIG_SWITCH && !flag->has_value) {
        flag->value = flag->is_negated ? SLICE("false") : SLICE("true");
    } else if (flag->is_negated) {
        err_text_set(why, "--no-%s takes no value", flag->entry->name);
        return false;
    } else if (!value_take(in, at, flag, why)) {
        return false;
    }
    if (is_trial) {
        return true;
    }
    if (!config_value_parse(flag->entry, flag->value, set->values, &problem)) {
        err_text_set(why, "--%s: %.400s", flag->entry->name, problem.text);
        return false;
    }
    set->sources[flag->entry - set->entries] = (struct config_source){.from = CONFIG_FROM_FLAG};
    return true;
}

static bool config_flag(const struct config_input *in, int *at, struct flag *flag,
                        struct config_line *line, struct err_text *why)
{
    if (!value_take(in, at, flag, why)) {
        return false;
    }
    if (flag->value.len == 0) {
        err_text_set(why, "--config needs a file");
        return false;
    }
    line->file = flag->value.ptr; /* the end of a word of argv: NUL-terminated */
    return true;
}

static bool word_add(const struct config_input *in, const char *word, struct config_line *line,
                     struct err_text *why)
{
    if (line->word_count == in->words_max) {
        err_text_set(why, "unexpected argument %.80s", word);
        return false;
    }
    line->words[line->word_count++] = word;
    return true;
}

enum config_result config_args_load(const struct config_set *set, const struct config_input *in,
                                    bool is_trial, struct config_line *line, struct err_text *why)
{
    bool flags_ended = false;

    ASSERT(in->words_max <= CONFIG_WORDS_MAX);
    line->word_count = 0;
    for (int i = 0; i < in->argc; i++) {
        const char *word = in->argv[i];
        bool is_good;

        if (flags_ended || word[0] != '-' || word[1] == '\0') {
            is_good = word_add(in, word, line, why);
        } else if (strcmp(word, "--") == 0) {
            flags_ended = true;
            is_good = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            return CONFIG_HELP;
        } else {
            struct flag flag =
                word[1] == '-' ? flag_read(set, word) : (struct flag){.name = slice_of(word + 1)};

            if (flag.entry != NULL) {
                is_good = entry_flag(set, in, &i, &flag, is_trial, why);
            } else if (word[1] == '-' && slice_equal(flag.name, SLICE("config"))) {
                is_good = config_flag(in, &i, &flag, line, why);
            } else {
                err_text_set(why, "unknown flag %.*s", (int)strcspn(word, "="), word);
                config_set_suggest(set, flag.name, "--", why);
                is_good = false;
            }
        }
        if (!is_good) {
            return CONFIG_USAGE;
        }
    }
    return CONFIG_OK;
}
