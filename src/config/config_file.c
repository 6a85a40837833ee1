/*
 * The INI file, read by libinih.
 *
 * Happy path: the file is read whole; libinih asks for a line at a time and hands each key and value to on_pair.
 * What libinih would let pass is refused where the lines are handed out: sections, NULs, lines it would cut in two.
 */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "config/config_internal.h"

#if INI_HANDLER_LINENO
#error "this libinih calls its handler with a line number"
#endif

#define NO_SECTIONS "there are no [sections] in this file"

enum { READ_BYTES = 4096 };

struct file_reader {
    const struct config_set *set;
    const char *path;
    struct slice rest;
    unsigned line;       /* the one libinih works on, from 1 */
    unsigned error_line; /* 0 while all is well */
    struct err_text *why;
};

static enum config_result read_all(int fd, const char *path, struct buf *out, struct err_text *why)
{
    for (;;) {
        ssize_t len;

        if (buf_reserve(out, READ_BYTES) != ERR_OK) {
            if (out->err == ERR_FULL) {
                err_text_set(why, "%s: more than %zu bytes", path, out->max - READ_BYTES);
                return CONFIG_BAD;
            }
            err_text_set(why, "%s: out of memory", path);
            return CONFIG_NOMEM;
        }
        len = read(fd, out->ptr + out->len, READ_BYTES);
        if (len == 0) {
            return CONFIG_OK;
        }
        if (len > 0) {
            out->len += (size_t)len;
        } else if (errno != EINTR) {
            err_text_set(why, "%s: %s", path, strerror(errno));
            return CONFIG_BAD;
        }
    }
}

enum config_result config_file_read(const char *path, struct buf *out, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum config_result result;

    if (fd < 0) {
        err_text_set(why, "%s: %s", path, strerror(errno));
        return CONFIG_BAD;
    }
    result = read_all(fd, path, out, why);
    (void)close(fd);
    return result;
}

static void refuse(struct file_reader *r, const char *problem)
{
    r->error_line = r->line;
    err_text_set(r->why, "%s:%u: %s", r->path, r->line, problem);
}

/* libinih's fgets: one line, without the blanks before it (which it would take for a continued value). */
static char *next_line(char *out, int size, void *ctx)
{
    struct file_reader *r = ctx;
    const char *newline;
    struct slice line;

    if (r->rest.len == 0 || r->error_line != 0) {
        return NULL;
    }
    r->line++;
    newline = memchr(r->rest.ptr, '\n', r->rest.len);
    line = slice_make(r->rest.ptr, newline == NULL ? r->rest.len : (size_t)(newline - r->rest.ptr));
    r->rest.len -= line.len + (newline == NULL ? 0 : 1);
    r->rest.ptr += line.len + (newline == NULL ? 0 : 1);
    while (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
        line.ptr++;
        line.len--;
    }
    if (line.len > 0 && (line.ptr[0] == '#' || line.ptr[0] == ';')) {
        line.len = 0; /* a comment may be of any length and hold any bytes but a newline */
    }
    if (line.len + 1 > (size_t)size - 1) {
        refuse(r, "the line is too long");
        return NULL;
    }
    if (memchr(line.ptr, '\0', line.len) != NULL) {
        refuse(r, "the line holds a NUL");
        return NULL;
    }
    if (line.len > 0 && line.ptr[0] == '[') {
        refuse(r, NO_SECTIONS);
        return NULL;
    }
    memcpy(out, line.ptr, line.len);
    out[line.len] = '\n'; /* an empty line is no end of the file */
    out[line.len + 1] = '\0';
    return out;
}

static int on_pair(void *ctx, const char *section, const char *name, const char *value)
{
    struct file_reader *r = ctx;
    const struct config_entry *entry = config_set_find(r->set, slice_of(name));
    struct config_source *source;
    struct err_text problem;

    if (r->error_line != 0) {
        return 0;
    }
    if (section[0] != '\0') { /* behind a byte order mark, where next_line does not see it */
        refuse(r, NO_SECTIONS);
        return 0;
    }
    if (entry == NULL) {
        err_text_set(&problem, "unknown key %.64s", name);
        config_set_suggest(r->set, slice_of(name), "", &problem);
        refuse(r, problem.text);
        return 0;
    }
    source = &r->set->sources[entry - r->set->entries];
    if (source->from == CONFIG_FROM_FILE) {
        err_text_set(&problem, "%s stands in line %u already", entry->name, source->line);
        refuse(r, problem.text);
        return 0;
    }
    if (!config_value_parse(entry, slice_of(value), r->set->values, &problem)) {
        refuse(r, problem.text);
        return 0;
    }
    *source = (struct config_source){.from = CONFIG_FROM_FILE, .line = r->line};
    return 1;
}

enum config_result config_file_load(const struct config_set *set, const char *path,
                                    struct err_text *why)
{
    struct file_reader r = {.set = set, .path = path, .why = why};
    struct buf text;
    enum config_result result;
    int rc;

    buf_init(&text, CONFIG_FILE_BYTES_MAX + READ_BYTES);
    result = config_file_read(path, &text, why);
    if (result != CONFIG_OK) {
        goto done;
    }
    r.rest = buf_slice(&text);
    rc = ini_parse_stream(next_line, &r, on_pair, &r);
    if (rc == -2) {
        err_text_set(why, "%s: out of memory", path);
        result = CONFIG_NOMEM;
    } else if (rc > 0 && (r.error_line == 0 || (unsigned)rc < r.error_line)) {
        err_text_set(why, "%s:%d: neither name = value nor a comment", path, rc);
        result = CONFIG_BAD;
    } else if (r.error_line != 0) {
        result = CONFIG_BAD;
    }
done:
    buf_fini(&text);
    return result;
}
