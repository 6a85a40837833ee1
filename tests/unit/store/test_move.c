/* The export format: every line reads as it was written, and nothing else is read: cut, changed, reordered, older, newer. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/store/move_lines.h"

static const struct lines_options usual = {.seed = 1, .count = 2000};

/* Read all of an export. Returns what the reading ended with. */
static enum err read_all(int fd, struct move_totals *totals, struct err_text *why)
{
    static struct move_line line;
    struct move_reader r;
    enum err e = move_reader_init(&r, fd, why);

    while (e == ERR_OK) {
        e = move_read(&r, &line);
    }
    *totals = r.totals;
    move_reader_fini(&r);
    return e;
}

static void refuses(char *text, size_t len, enum err wanted, const char *words)
{
    struct move_totals totals;
    struct err_text why = {""};
    int fd = lines_file(text, len);
    enum err e = read_all(fd, &totals, &why);

    if (e != wanted || strstr(why.text, words) == NULL) {
        fail_msg("%s: %s", err_name(e), why.text);
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(move_prove(fd, &why), wanted);
    (void)close(fd);
}

static void reads_what_was_written(void **state)
{
    const int fd = lines_make(&usual);
    const int again = memfd_create("again", 0);
    static struct move_line line;
    struct err_text why = {""};
    struct move_reader r;
    struct move_writer w;
    enum err e;

    (void)state;
    assert_int_equal(move_reader_init(&r, fd, &why), ERR_OK);
    assert_int_equal(move_writer_init(&w, again, &r.header), ERR_OK);
    while ((e = move_read(&r, &line)) == ERR_OK) {
        assert_int_equal(move_write(&w, &line), ERR_OK);
    }
    if (e != ERR_NOT_FOUND) {
        fail_msg("%s: %s", err_name(e), why.text);
    }
    assert_int_equal(move_write_end(&w), ERR_OK);
    assert_true(r.totals.lines > 1000 && r.totals.keys > 300 && r.totals.accounts == LINES_ACCOUNTS);
    assert_int_equal(r.totals.currency_count, 2);
    move_reader_fini(&r);
    move_writer_fini(&w);
    assert_true(lines_are_same(fd, again));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(move_prove(fd, &why), ERR_OK);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    (void)close(fd);
    (void)close(again);
}

static void reads_an_empty_ledger(void **state)
{
    const int fd = lines_make(&(struct lines_options){.seed = 1, .count = 0});
    struct move_totals totals;
    struct err_text why = {""};

    (void)state;
    assert_int_equal(read_all(fd, &totals, &why), ERR_NOT_FOUND);
    assert_int_equal(totals.lines, 0);
    (void)close(fd);
}

static void refuses_a_cut_file(void **state)
{
    const int fd = lines_make(&(struct lines_options){.seed = 2, .count = 12});
    size_t len;
    char *text = lines_text(fd, &len);

    (void)state;
    (void)close(fd);
    for (size_t cut = 0; cut < len; cut++) {
        struct move_totals totals;
        struct err_text why = {""};
        int part = lines_file(text, cut);
        enum err e = read_all(part, &totals, &why);
        assert_true(e == ERR_CORRUPT || e == ERR_UNSUPPORTED);
        (void)close(part);
    }
    refuses(text, len / 2, ERR_CORRUPT, "cut off");
    mem_free(text);
}

static void refuses_any_changed_byte(void **state)
{
    const int fd = lines_make(&(struct lines_options){.seed = 3, .count = 12});
    size_t len;
    char *text = lines_text(fd, &len);

    (void)state;
    (void)close(fd);
    for (size_t at = 0; at < len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            struct move_totals totals;
            struct err_text why = {""};
            int part;
            enum err e;
            text[at] = (char)(text[at] ^ 1 << bit);
            part = lines_file(text, len);
            e = read_all(part, &totals, &why);
            if (e != ERR_CORRUPT && e != ERR_UNSUPPORTED) {
                fail_msg("bit %d of byte %zu: %s", bit, at, err_name(e));
            }
            (void)close(part);
            text[at] = (char)(text[at] ^ 1 << bit);
        }
    }
    mem_free(text);
}

static void refuses_what_is_no_export(void **state)
{
    char other[] = "{\"format\":\"somebody's\",\"version\":1}\n";
    char newer[] = "{\"format\":\"mywallet-export\",\"version\":2,\"store\":\"redis\"}\n";
    char header[] =
        "{\"format\":\"mywallet-export\",\"version\":1,\"store\":\"UP\",\"buckets\":0,\"time_us\":1}\n";
    const int fd = lines_make(&(struct lines_options){.seed = 4, .count = 30});
    char *text, *line, *next;
    size_t len;

    (void)state;
    refuses(other, sizeof(other) - 1, ERR_UNSUPPORTED, "not an export");
    refuses(newer, sizeof(newer) - 1, ERR_UNSUPPORTED, "format 2");
    refuses(header, sizeof(header) - 1, ERR_CORRUPT, "not a header");
    text = lines_text(fd, &len);
    text[len] = 'x';
    refuses(text, len + 1, ERR_CORRUPT, "behind the trailer");
    line = strchr(text, '\n') + 1; /* a whole line that is gone: the digest misses it */
    next = strchr(line, '\n') + 1;
    memmove(line, next, (size_t)(text + len - next));
    refuses(text, len - (size_t)(next - line), ERR_CORRUPT, "trailer does not agree");
    mem_free(text);
    (void)close(fd);
}

static void refuses_an_endless_line(void **state)
{
    static const char header[] =
        "{\"format\":\"mywallet-export\",\"version\":1,\"store\":\"redis\",\"buckets\":1,\"time_us\":1}\n";
    const size_t len = 1 << 20;
    char *text = mem_alloc(len);

    (void)state;
    memset(text, 'x', len);
    memcpy(text, header, sizeof(header) - 1);
    refuses(text, len, ERR_CORRUPT, "too long");
    text[sizeof(header) + MOVE_LINE_BYTES_MAX + 100] = '\n';
    refuses(text, len, ERR_CORRUPT, "too long");
    mem_free(text);
}

/* One line through the codec, from text; ERR_OK and the same text again, or refused. */
static enum err one(const char *text)
{
    static struct move_line line;
    struct buf copy, again;
    enum err e;

    buf_init(&copy, MOVE_LINE_BYTES_MAX);
    buf_init(&again, MOVE_LINE_BYTES_MAX);
    buf_append_text(&copy, text);
    e = move_line_read(copy.ptr, copy.len, &line);
    if (e == ERR_OK) {
        move_line_write(&again, &line);
        assert_int_equal(again.len, strlen(text) + 1);
        assert_memory_equal(again.ptr, text, strlen(text));
    }
    buf_fini(&copy);
    buf_fini(&again);
    return e;
}

#define HEAD "{\"time_us\":5,\"tag\":0,\"kind\":"
#define OPEN HEAD "\"open\",\"account\":\"a\",\"currency\":\"CNY\",\"exponent\":2,\"overdraft\":0"
#define LEGS_OF(kind) HEAD "\"" kind "\",\"currency\":\"CNY\",\"exponent\":2,\"legs\":["
#define LEGS LEGS_OF("transfer")
#define LEG(id, delta, balance) \
    "{\"account\":\"" id "\",\"delta\":" delta ",\"balance\":" balance "}"

static void takes_lines_that_a_store_writes(void **state)
{
    static const char *const good[] = {
        OPEN "}",
        OPEN ",\"metadata\":{}}",
        LEGS LEG("a", "-5", "-5") "," LEG("b", "5", "999999999999999") "]}",
        LEGS "{\"account\":\"a\",\"delta\":0,\"held\":-3,\"balance\":1}]}",
        LEGS_OF("debit")
            LEG("a", "-5", "0") ",{\"account\":\"@world\",\"delta\":5}],\"reference\":\"\"}",
        LEGS_OF("credit") "{\"account\":\"a\",\"opens\":true,\"delta\":5,\"balance\":5},{\"account\":\"@world\",\"delta\":-5}]}",
        HEAD "\"refusal\",\"of\":\"open\",\"outcome\":7,\"language\":1}",
        HEAD "\"refusal\",\"of\":\"debit\",\"account\":\"a\",\"outcome\":1,\"language\":0}",
        OPEN ",\"key\":{\"scope\":\"00112233445566778899aabbccddeeff\",\"fingerprint\":"
             "\"00112233445566778899aabbccddeeff\",\"fields\":[0,65535],\"expires_ms\":1}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (one(good[i]) != ERR_OK) {
            fail_msg("refused: %s", good[i]);
        }
    }
}

static void refuses_lines_that_no_store_writes(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        LEGS LEG("a", "-5", "0") "," LEG("@x", "5", "5") "]}",
        LEGS LEG("a", "-5", "0") "," LEG("\xe4\xb8\xad", "5", "5") "]}",
        LEGS LEG("a", "-5", "0") "," LEG("-b", "5", "5") "]}",
        OPEN,
        OPEN "} ",
        OPEN "}}",
        " " OPEN "}",
        OPEN ",\"reference\":\"r\"}",
        OPEN ",\"metadata\":[]}",
        OPEN ",\"metadata\":{}",
        OPEN ",\"metadata\":{\"a\":1}}}",
        OPEN ",\"metadata\":{\"a\":\"}}",
        OPEN ",\"metadata\":{\"a\":[}}",
        "{\"time_us\":0,\"tag\":0,\"kind\":\"refusal\",\"of\":\"open\",\"outcome\":7,\"language\":1}",
        "{\"time_us\":05,\"tag\":0,\"kind\":\"refusal\",\"of\":\"open\",\"outcome\":7,\"language\":1}",
        "{\"time_us\":5,\"tag\":4294967296,\"kind\":\"refusal\",\"of\":\"open\",\"outcome\":7,\"language\":1}",
        HEAD "\"refusal\",\"of\":\"refusal\",\"outcome\":7,\"language\":1}",
        HEAD "\"refusal\",\"of\":\"open\",\"outcome\":0,\"language\":1}",
        HEAD "\"refusal\",\"of\":\"open\",\"outcome\":8,\"language\":1}",
        HEAD "\"refusal\",\"of\":\"open\",\"outcome\":7,\"language\":2}",
        HEAD "\"nothing\",\"of\":\"open\",\"outcome\":7,\"language\":1}",
        HEAD "\"open\",\"account\":\"@world\",\"currency\":\"CNY\",\"exponent\":2,\"overdraft\":0}",
        HEAD "\"open\",\"account\":\"\",\"currency\":\"CNY\",\"exponent\":2,\"overdraft\":0}",
        HEAD "\"open\",\"account\":\"a b\",\"currency\":\"CNY\",\"exponent\":2,\"overdraft\":0}",
        HEAD "\"open\",\"account\":\"a\",\"currency\":\"CNy\",\"exponent\":2,\"overdraft\":0}",
        HEAD "\"open\",\"account\":\"a\",\"currency\":\"CNY\",\"exponent\":5,\"overdraft\":0}",
        HEAD "\"open\",\"account\":\"a\",\"currency\":\"CNY\",\"exponent\":2,\"overdraft\":-1}",
        HEAD
        "\"open\",\"account\":\"a\",\"currency\":\"CNY\",\"exponent\":2,\"overdraft\":1000000000000000}",
        LEGS "]}",
        LEGS LEG("a", "-5", "0") "," LEG("b", "4", "4") "]}",
        LEGS LEG("a", "-5", "0") "," LEG("a", "5", "5") "]}",
        LEGS LEG("a", "0", "0") "," LEG("b", "0", "5") "]}",
        LEGS LEG("a", "-5", "-0") "," LEG("b", "5", "5") "]}",
        LEGS LEG("a", "-5", "0") "," LEG("b", "5", "1000000000000000") "]}",
        LEGS "{\"account\":\"@world\",\"delta\":5}," LEG("a", "-5", "0") "]}",
        LEGS LEG("a", "-5", "0") ",{\"account\":\"@world\",\"delta\":5,\"balance\":5}]}",
        LEGS "{\"account\":\"a\",\"delta\":0,\"held\":0,\"balance\":1}]}",
        LEGS LEG("a", "-5", "0") "," LEG("b\\u001f", "5", "5") "]}",
        OPEN ",\"key\":{\"scope\":\"00112233445566778899AABBCCDDEEFF\",\"fingerprint\":"
             "\"00112233445566778899aabbccddeeff\",\"fields\":[],\"expires_ms\":1}}",
        OPEN ",\"key\":{\"scope\":\"00112233445566778899aabbccddeeff\",\"fingerprint\":"
             "\"00112233445566778899aabbccddeeff\",\"fields\":[65536],\"expires_ms\":1}}",
        OPEN ",\"key\":{\"scope\":\"00112233445566778899aabbccddeeff\",\"fingerprint\":"
             "\"00112233445566778899aabbccddeeff\",\"fields\":[1,2,3,4,5,6,7,8,9],\"expires_ms\":1}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (one(bad[i]) == ERR_OK) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

/* A reference with escapes that mean the same, or too much. */
static void reads_escapes(void **state)
{
    (void)state;
    assert_int_equal(one(LEGS LEG("a", "-5", "0") "," LEG(
                         "b", "5", "5") "],\"reference\":\"\\\"\\\\\\u0000\\u001f/\"}"),
                     ERR_OK);
    assert_int_equal(
        one(LEGS LEG("a", "-5", "0") "," LEG("b", "5", "5") "],\"reference\":\"\\u0041\"}"),
        ERR_CORRUPT);
    assert_int_equal(one(LEGS LEG("a", "-5", "0") "," LEG("b", "5", "5") "],\"reference\":\"\\n\"}"),
                     ERR_CORRUPT);
    assert_int_equal(one(LEGS LEG("a", "-5", "0") "," LEG("b", "5", "5") "],\"reference\":\"\\"),
                     ERR_CORRUPT);
}

static void counts_past_64_bits(void **state)
{
    const __int128 billions = (__int128)1000000000 * 1000000000 * 1000;
    struct buf b;

    (void)state;
    buf_init(&b, 256);
    move_append_i128(&b, 0);
    buf_append_byte(&b, ' ');
    move_append_i128(&b, -billions - 7);
    buf_append_byte(&b, ' ');
    move_append_i128(&b, INT64_MIN);
    assert_true(slice_equal(buf_slice(&b), SLICE("0 -1000000000000000000007 -9223372036854775808")));
    buf_fini(&b);
}

static void time_must_not_fall(void **state)
{
    static struct move_line line;
    static struct move_totals totals;

    (void)state;
    move_line_begin(&line, RECORD_REFUSAL, 5, 3);
    assert_int_equal(move_totals_add(&totals, &line), ERR_OK);
    assert_int_equal(move_totals_add(&totals, &line), ERR_OK);
    line.tag = 2;
    assert_int_equal(move_totals_add(&totals, &line), ERR_CORRUPT);
    line.tag = 9;
    line.time_us = 4;
    assert_int_equal(move_totals_add(&totals, &line), ERR_CORRUPT);
}

static void a_file_has_its_name_when_it_is_whole(void **state)
{
    char dir[] = "/tmp/move-XXXXXX", path[64], part[80];
    struct err_text why = {""};
    struct move_output o;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/export", dir);
    (void)snprintf(part, sizeof(part), "%s.part", path);
    assert_int_equal(move_output_open(&o, path, &why), ERR_OK);
    assert_int_equal(write(o.fd, "x", 1), 1);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(move_output_close(&o, false, &why), ERR_OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(move_output_open(&o, path, &why), ERR_OK);
    assert_int_equal(move_output_close(&o, true, &why), ERR_OK);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(move_output_open(&o, path, &why), ERR_EXISTS);
    assert_int_equal(move_output_open(&o, "/nowhere/export", &why), ERR_IO);
    assert_int_equal(move_output_open(&o, "-", &why), ERR_OK);
    assert_int_equal(o.fd, STDOUT_FILENO);
    assert_int_equal(move_output_close(&o, true, &why), ERR_OK);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void a_full_disk_is_told(void **state)
{
    const struct move_header header = {.store = "test"};
    struct move_writer w;
    int fd;

    (void)state;
    fd = open("/dev/full", O_WRONLY);
    if (fd < 0) {
        skip();
    }
    assert_int_equal(move_writer_init(&w, fd, &header), ERR_OK);
    assert_int_equal(move_write_end(&w), ERR_DISK_FULL);
    move_writer_fini(&w);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(reads_an_empty_ledger),
        cmocka_unit_test(refuses_a_cut_file),
        cmocka_unit_test(refuses_any_changed_byte),
        cmocka_unit_test(refuses_what_is_no_export),
        cmocka_unit_test(refuses_an_endless_line),
        cmocka_unit_test(takes_lines_that_a_store_writes),
        cmocka_unit_test(refuses_lines_that_no_store_writes),
        cmocka_unit_test(reads_escapes),
        cmocka_unit_test(counts_past_64_bits),
        cmocka_unit_test(time_must_not_fall),
        cmocka_unit_test(a_file_has_its_name_when_it_is_whole),
        cmocka_unit_test(a_full_disk_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
