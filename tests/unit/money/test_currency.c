/* The ISO 4217 table: order, exponents that are easily got wrong, and codes that must not pass. */
#include "money/currency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"

static struct currency parse(const char *text)
{
    struct currency c = {0};

    assert_int_equal(currency_parse(slice_of(text), &c), ERR_OK);
    return c;
}

static void knows_the_exponents(void **state)
{
    static const char *const by_exponent[] = {
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        "",
        "AED ARS AUD BRL CAD CHE CHF CHW CNY COU CZK EUR GBP HKD HUF IDR INR NGN NOK RUB SGD USD ZWG",
        "BHD IQD JOD KWD LYD OMR TND",
        "CLF UYW",
    };

    (void)state;
    for (unsigned exponent = 0; exponent < ARRAY_LEN(by_exponent); exponent++) {
        for (const char *at = by_exponent[exponent]; *at != '\0'; at += at[3] == ' ' ? 4 : 3) {
            struct currency c;
            unsigned found = 99;
            assert_int_equal(currency_parse(slice_make(at, 3), &c), ERR_OK);
            assert_int_equal(currency_exponent(c, &found), ERR_OK);
            assert_int_equal(found, exponent);
        }
    }
}

static void packs_the_letters_little_endian(void **state)
{
    char text[4] = "xxx";

    (void)state;
    assert_int_equal(parse("CNY").code, 'C' | 'N' << 8 | 'Y' << 16);
    currency_text(parse("CNY"), text);
    assert_string_equal(text, "CNY"); /* three bytes, the fourth is as it was */
}

static void refuses_what_the_table_does_not_list(void **state)
{
    static const char *const refused[] = {
        "",    "C",   "CN",  "CNYY", "cny", "Cny", " CN", "CN ", "C\xc3\xb1", "123", "AAA",
        "ZZZ", "XAU", "XAG", "XPT",  "XPD", "XDR", "XTS", "XXX", "XSU",       "XUA", "XBA",
        "DEM", "FRF", "HRK", "SLL",  "ZWL", "BYR", "RUR", "CNH", "BTC",       "USS",
    };
    struct currency c = {42};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_int_equal(currency_parse(slice_of(refused[i]), &c), ERR_INVALID);
    }
    assert_int_equal(currency_parse(SLICE_NONE, &c), ERR_INVALID);
    assert_int_equal(currency_parse(SLICE("US\0"), &c), ERR_INVALID);
    assert_int_equal(c.code, 42);
}

static void an_unknown_currency_has_no_exponent(void **state)
{
    unsigned exponent = 99;

    (void)state;
    assert_int_equal(currency_exponent((struct currency){0}, &exponent), ERR_NOT_FOUND);
    assert_int_equal(currency_exponent((struct currency){UINT32_MAX}, &exponent), ERR_NOT_FOUND);
    assert_int_equal(currency_exponent((struct currency){parse("CNY").code | 1u << 24}, &exponent),
                     ERR_NOT_FOUND);
    assert_int_equal(exponent, 99);
}

/* Every three letters there are: the search finds each row of a sorted table, and no other code. */
static void lists_each_code_once(void **state)
{
    unsigned count = 0;
    unsigned of_exponent[5] = {0};

    (void)state;
    for (unsigned i = 0; i < 26 * 26 * 26; i++) {
        char text[3] = {(char)('A' + i / 676), (char)('A' + i / 26 % 26), (char)('A' + i % 26)};
        struct currency c;
        unsigned exponent = 99;
        if (currency_parse(slice_make(text, 3), &c) == ERR_OK) {
            char again[3];
            currency_text(c, again);
            assert_memory_equal(again, text, 3);
            assert_int_equal(currency_exponent(c, &exponent), ERR_OK);
            assert_in_range(exponent, 0, 4);
            of_exponent[exponent]++;
            count++;
        }
    }
    assert_int_equal(count, 166); /* all rows: a row out of order would not be found */
    assert_int_equal(of_exponent[0], 17);
    assert_int_equal(of_exponent[1], 0);
    assert_int_equal(of_exponent[2], 140);
    assert_int_equal(of_exponent[3], 7);
    assert_int_equal(of_exponent[4], 2);
}

static void says_how_old_it_is(void **state)
{
    (void)state;
    assert_int_equal(strlen(currency_table_date), 10);
    assert_string_equal(currency_table_date, "2024-06-25");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_exponents),
        cmocka_unit_test(packs_the_letters_little_endian),
        cmocka_unit_test(refuses_what_the_table_does_not_list),
        cmocka_unit_test(an_unknown_currency_has_no_exponent),
        cmocka_unit_test(lists_each_code_once),
        cmocka_unit_test(says_how_old_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
