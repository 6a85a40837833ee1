/* Templates: which route serves a path, what is allowed there. */
#include "http/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct http_route routes[] = {
    {.method = HTTP_GET, .template = "/"},
    {.method = HTTP_GET, .template = "/api/v1/wallet"},
    {.method = HTTP_POST, .template = "/api/v1/wallet"},
    {.method = HTTP_GET, .template = "/api/v1/wallet/{account_id}"},
    {.method = HTTP_PATCH, .template = "/api/v1/wallet/{account_id}"},
    {.method = HTTP_GET, .template = "/api/v1/wallet/{account_id}/balance"},
    {.method = HTTP_POST, .template = "/api/v1/wallet/{account_id}/credit"},
    {.method = HTTP_POST, .template = "/{a}/{b}/{c}/{d}"},
    {.method = HTTP_DELETE, .template = "/only"},
};
enum { NONE = sizeof(routes) / sizeof(routes[0]) };

static struct route_table table;

static int setup(void **state)
{
    (void)state;
    return route_table_init(&table, routes, NONE) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    route_table_fini(&table);
    return 0;
}

static unsigned find(const char *path, enum http_method method)
{
    return route_find(&table, slice_of(path), method).route;
}

static void finds_routes(void **state)
{
    (void)state;
    assert_int_equal(find("/", HTTP_GET), 0);
    assert_int_equal(find("/api/v1/wallet", HTTP_GET), 1);
    assert_int_equal(find("/api/v1/wallet", HTTP_HEAD), 1);
    assert_int_equal(find("/api/v1/wallet", HTTP_POST), 2);
    assert_int_equal(find("/api/v1/wallet/x", HTTP_PATCH), 4);
    assert_int_equal(find("/api/v1/wallet/x/balance", HTTP_GET), 5);
    assert_int_equal(find("/api/v1/wallet/x/credit", HTTP_POST), 6);
    assert_int_equal(find("/api/v1/wallet/x/credit", HTTP_HEAD), NONE);
    assert_int_equal(find("/api/v1/wallet/x/credit", HTTP_OTHER), NONE);
}

static void other_paths_are_other_paths(void **state)
{
    static const char *const none[] = {"",
                                       "*",
                                       "api",
                                       "/api",
                                       "/api/v1/wallet/x/balance/",
                                       "/API/v1/wallet",
                                       "/api/v1/wallet/x/balanc",
                                       "/api/v1/wallet/x/balances",
                                       "/%61pi/v1/wallet",
                                       "//",
                                       "/a/b/c/d/e/f/g/h/i/j/k/l",
                                       "/a/b/c/d/e/f/g/h/i/j/k/l/m/n"};

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        struct route_match match = route_find(&table, slice_of(none[i]), HTTP_GET);
        assert_int_equal(match.route, NONE);
        assert_int_equal(match.methods, 0);
    }
}

static void gives_parameters_as_sent(void **state)
{
    struct route_match match = route_find(&table, SLICE("/api/v1/wallet/a%2Fb{c}/balance"), HTTP_GET);

    (void)state;
    assert_int_equal(match.param_count, 1);
    assert_true(slice_equal(match.params[0], SLICE("a%2Fb{c}")));
    match = route_find(&table, SLICE("/api/v1/wallet//balance"), HTTP_GET);
    assert_int_equal(match.route, 5);
    assert_int_equal(match.params[0].len, 0);
    match = route_find(&table, SLICE("/api/v1/wallet/"), HTTP_GET);
    assert_int_equal(match.route, 3);
    match = route_find(&table, SLICE("/1//3/"), HTTP_POST);
    assert_int_equal(match.route, 7);
    assert_int_equal(match.param_count, HTTP_PARAMS_MAX);
    assert_true(slice_equal(match.params[0], SLICE("1")) && slice_equal(match.params[2], SLICE("3")));
}

static void tells_what_is_allowed(void **state)
{
    char text[64];
    struct route_match match = route_find(&table, SLICE("/api/v1/wallet"), HTTP_PUT);

    (void)state;
    assert_int_equal(match.route, NONE);
    assert_true(slice_equal(route_allow(match.methods, text), SLICE("GET, HEAD, POST, OPTIONS")));
    match = route_find(&table, SLICE("/only"), HTTP_GET);
    assert_true(slice_equal(route_allow(match.methods, text), SLICE("DELETE, OPTIONS")));
    assert_true(slice_equal(route_allow(table.methods, text),
                            SLICE("GET, HEAD, POST, PATCH, DELETE, OPTIONS")));
    assert_true(
        slice_equal(route_allow(~0u, text), SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")));
}

static void survives_a_failing_allocation(void **state)
{
    struct route_table t = {0};

    (void)state;
    mem_fail_at(1, 0);
    assert_int_equal(route_table_init(&t, routes, NONE), ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_null(t.routes);
    route_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_routes),
        cmocka_unit_test(other_paths_are_other_paths),
        cmocka_unit_test(gives_parameters_as_sent),
        cmocka_unit_test(tells_what_is_allowed),
        cmocka_unit_test(survives_a_failing_allocation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
