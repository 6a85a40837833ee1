#include "config/config.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "config/config_internal.h"

enum {
    NAME_BYTES_MAX = 40, /* of a key that a suggestion is looked for */
    TYPOS_MAX = 2,
    THREADS_MAX = 64,
};

#define ENTRY(k, field, key, value, ...) \
    {.name = (key), \
     .kind = CONFIG_##k, \
     .fallback = (value), \
     .offset = offsetof(struct config, field), \
     __VA_ARGS__},
static const struct config_entry entries[] = {CONFIG_KEYS(ENTRY)};
#undef ENTRY

const struct config_entry *config_entries(void)
{
    return entries;
}

const struct config_entry *config_set_find(const struct config_set *set, struct slice name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (slice_equal(name, slice_of(set->entries[i].name))) {
            return &set->entries[i];
        }
    }
    return NULL;
}

/* Levenshtein's distance of two short names. */
static size_t distance(struct slice a, struct slice b)
{
    size_t row[NAME_BYTES_MAX + 1];

    ASSERT(a.len <= NAME_BYTES_MAX && b.len <= NAME_BYTES_MAX);
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = diagonal + (a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[b.len];
}

void config_set_suggest(const struct config_set *set, struct slice name, const char *prefix,
                        struct err_text *why)
{
    size_t best = TYPOS_MAX + 1;
    const char *found = NULL;
    size_t used = strlen(why->text);

    for (size_t i = 0; i < set->count && name.len <= NAME_BYTES_MAX; i++) {
        struct slice other = slice_of(set->entries[i].name);
        size_t far = other.len <= NAME_BYTES_MAX ? distance(name, other) : best;

        if (far < best && far < name.len) {
            best = far;
            found = set->entries[i].name;
        }
    }
    if (found != NULL) {
        (void)snprintf(why->text + used, sizeof(why->text) - used, " (did you mean %s%s?)", prefix,
                       found);
    }
}

void config_env_name(const struct config_entry *entry, char out[CONFIG_NAME_BYTES_MAX])
{
    int len = snprintf(out, CONFIG_NAME_BYTES_MAX, "WALLET_%s%s", entry->name,
                       entry->is_secret ? "_FILE" : "");

    ASSERT(len > 0 && len < CONFIG_NAME_BYTES_MAX);
    for (; *out != '\0'; out++) {
        if (*out >= 'a' && *out <= 'z') {
            *out = (char)(*out - 'a' + 'A');
        } else if (*out == '-') {
            *out = '_';
        }
    }
}

/* The value of an environment name; NULL when it is unset or empty. */
static const char *env_get(char *const *env, const char *name)
{
    size_t len = strlen(name);

    for (; env != NULL && *env != NULL; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') {
            return (*env)[len + 1] == '\0' ? NULL : *env + len + 1;
        }
    }
    return NULL;
}

static enum config_result env_store(const struct config_set *set, const struct config_entry *entry,
                                    const char *name, struct slice value, struct err_text *why)
{
    struct err_text problem;

    if (!config_value_parse(entry, value, set->values, &problem)) {
        err_text_set(why, "environment %s: %.400s", name, problem.text);
        return CONFIG_BAD;
    }
    set->sources[entry - set->entries] = (struct config_source){
        .from = CONFIG_FROM_ENV, .env = name == entry->env || name == entry->env_port ? name : NULL};
    return CONFIG_OK;
}

/* PORT and its like: the host stays what the file or the default made it. */
static enum config_result env_port_store(const struct config_set *set,
                                         const struct config_entry *entry, const char *port,
                                         struct err_text *why)
{
    const char *now = (const char *)set->values + entry->offset;
    const char *colon = strrchr(now, ':');
    char address[CONFIG_TEXT_BYTES_MAX + 2];
    int len;

    ASSERT(entry->kind == CONFIG_ADDRESS && colon != NULL);
    len = snprintf(address, sizeof(address), "%.*s:%s", (int)(colon - now), now, port);
    if (port[0] == '\0' || strspn(port, "0123456789") != strlen(port) || len < 0 ||
        (size_t)len >= sizeof(address)) {
        err_text_set(why, "environment %s = %.80s is not a port, 0 to 65535", entry->env_port, port);
        return CONFIG_BAD;
    }
    return env_store(set, entry, entry->env_port, slice_make(address, (size_t)len), why);
}

/* A secret lies in a file of its own that the environment names; editors end it with a newline that is not meant. */
static enum config_result env_secret_store(const struct config_set *set,
                                           const struct config_entry *entry, const char *name,
                                           const char *path, struct err_text *why)
{
    struct buf text;
    struct err_text problem;
    enum config_result result;

    buf_init(&text, CONFIG_FILE_BYTES_MAX);
    result = config_file_read(path, &text, &problem);
    if (result != CONFIG_OK) {
        err_text_set(why, "environment %s: %.400s", name, problem.text);
    } else {
        struct slice value = buf_slice(&text);

        if (value.len > 0 && value.ptr[value.len - 1] == '\n') {
            value.len--;
        }
        if (value.len > 0 && value.ptr[value.len - 1] == '\r') {
            value.len--;
        }
        result = env_store(set, entry, name, value, why);
    }
    buf_fini(&text);
    return result;
}

static enum config_result env_load(const struct config_set *set, char *const *env,
                                   struct err_text *why)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct config_entry *entry = &set->entries[i];
        enum config_result result = CONFIG_OK;
        char name[CONFIG_NAME_BYTES_MAX];
        const char *value;

        config_env_name(entry, name);
        if ((value = env_get(env, name)) != NULL) {
            result = entry->is_secret ? env_secret_store(set, entry, name, value, why)
                                      : env_store(set, entry, name, slice_of(value), why);
        } else if (entry->env != NULL && (value = env_get(env, entry->env)) != NULL) {
            result = env_store(set, entry, entry->env, slice_of(value), why);
        } else if (entry->env_port != NULL && (value = env_get(env, entry->env_port)) != NULL) {
            result = env_port_store(set, entry, value, why);
        }
        if (result != CONFIG_OK) {
            return result;
        }
    }
    return CONFIG_OK;
}

enum config_result config_set_load(const struct config_set *set, const struct config_input *in,
                                   struct config_line *line, struct err_text *why)
{
    enum config_result result;
    struct err_text problem;

    for (size_t i = 0; i < set->count; i++) {
        const struct config_entry *entry = &set->entries[i];
        bool is_good = config_value_parse(entry, slice_of(entry->fallback), set->values, &problem);

        ASSERT(is_good); /* a default of the table is itself not allowed */
        set->sources[i] = (struct config_source){.from = CONFIG_FROM_DEFAULT};
    }
    /* the command line first, on trial: it names the file, and what is wrong in it is told before anything is read */
    *line = (struct config_line){.file = NULL};
    result = config_args_load(set, in, true, line, why);
    if (result != CONFIG_OK) {
        return result;
    }
    if (line->file == NULL) {
        line->file = env_get(in->env, "WALLET_CONFIG");
    }
    if (line->file != NULL) {
        result = config_file_load(set, line->file, why);
        if (result != CONFIG_OK) {
            return result;
        }
    }
    result = env_load(set, in->env, why);
    if (result != CONFIG_OK) {
        return result;
    }
    return config_args_load(set, in, false, line, why);
}

enum config_result config_load(struct config *config, const struct config_input *in,
                               struct err_text *why)
{
    struct config built = {.word_count = 0};
    struct config_set set = {entries, CONFIG_KEY_COUNT, &built, built.sources};
    struct config_line line;
    enum config_result result;

    ASSERT(config != NULL && in != NULL && why != NULL);
    result = config_set_load(&set, in, &line, why);
    if (result != CONFIG_OK) {
        return result;
    }
    if (line.file != NULL) {
        size_t len = strlen(line.file);

        if (len > CONFIG_TEXT_BYTES_MAX) {
            err_text_set(why, "the configuration file's name has more than %d bytes",
                         CONFIG_TEXT_BYTES_MAX);
            return CONFIG_BAD;
        }
        memcpy(built.file, line.file, len + 1);
    }
    memcpy(built.words, line.words, sizeof(built.words));
    built.word_count = line.word_count;
    *config = built;
    return CONFIG_OK;
}

unsigned config_threads_for(uint64_t threads, unsigned cores)
{
    unsigned wanted = cores > 1 ? cores - 1 : 1;

    if (threads > 0) {
        wanted = threads < THREADS_MAX ? (unsigned)threads : THREADS_MAX;
    }
    return wanted < THREADS_MAX ? wanted : THREADS_MAX;
}

unsigned config_thread_count(const struct config *config)
{
    cpu_set_t usable;
    long online;

    /* what this process may use, which in a container can be less than what the machine has */
    if (sched_getaffinity(0, sizeof(usable), &usable) == 0) {
        return config_threads_for(config->threads, (unsigned)CPU_COUNT(&usable));
    }
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return config_threads_for(config->threads, online > 0 ? (unsigned)online : 1);
}
