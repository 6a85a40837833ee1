"""Health, metrics' face, the served contract, and that it lists what the router routes."""

import re

import pytest
import yaml

from harness import CODES, fails, fresh, ok, run

IN_SCOPE = {
    "/api/v1/wallet": {"get", "post"},
    "/api/v1/wallet/{account_id}": {"get"},
    "/api/v1/wallet/{account_id}/balance": {"get"},
    "/api/v1/wallet/{account_id}/credit": {"post"},
    "/api/v1/wallet/{account_id}/debit": {"post"},
    "/api/v1/wallet/{account_id}/transactions": {"get"},
    "/api/v1/transfers": {"post"},
    "/api/v1/transactions/{transaction_id}": {"get"},
    "/metrics": {"get"},
    "/livez": {"get"},
    "/readyz": {"get"},
    "/healthz": {"get"},
    "/openapi.yaml": {"get"},
}
METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_health(c, path):
    ok(c.get(path))
    ok(c.request("HEAD", path))


def test_readyz_verbose(c):
    assert len(ok(c.get("/readyz?verbose")).body) >= len(ok(c.get("/readyz")).body)


def test_metrics_content_type(c):
    assert ok(c.get("/metrics")).header("Content-Type").replace(" ", "").startswith("text/plain;version=0.0.4")


@pytest.fixture(scope="module")
def openapi(shared):
    client = shared.client()
    try:
        return yaml.safe_load(ok(client.get("/openapi.yaml")).body.decode("utf-8"))
    finally:
        client.close()


def test_openapi_is_openapi(openapi):
    assert str(openapi["openapi"]).startswith("3.")
    assert openapi["info"]["title"] and openapi["info"]["version"]


def test_openapi_lists_the_routes_in_scope(openapi):
    for path, methods in IN_SCOPE.items():
        assert path in openapi["paths"], path
        assert methods <= set(openapi["paths"][path]) & METHODS, path


def test_openapi_and_the_router_hold_the_same_routes(openapi, c):
    a = fresh()
    t = ok(c.credit(a, "1")).json["transaction_id"]
    values = {"account_id": a, "transaction_id": t, "hold_id": "hold_x"}
    for path, item in openapi["paths"].items():
        r = ok(c.request("OPTIONS", path.format(**values)), 204)
        assert "options" in item, path
        listed = {m.upper() for m in item if m in METHODS}
        if "GET" in listed:
            listed.add("HEAD")
        listed.add("OPTIONS")
        assert {m.strip() for m in r.header("Allow").split(",")} == listed, path


def test_routes_of_the_whole_contract_are_listed_or_unknown(openapi, c):
    """What the file does not list, the router does not know."""
    a = fresh()
    ok(c.credit(a, "1"))
    for template in ("/api/v1/wallet/{account_id}/holds", "/api/v1/holds/{hold_id}", "/api/v1/holds/{hold_id}/capture",
                     "/api/v1/holds/{hold_id}/release", "/api/v1/holds/{hold_id}/extend", "/api/v1/transactions",
                     "/api/v1/transactions/{transaction_id}/reverse", "/api/v1/batch", "/api/v1/events",
                     "/api/v1/ledger/check"):
        known = template in openapi["paths"]
        r = c.request("OPTIONS", template.format(account_id=a, hold_id="h", transaction_id="tx_1"))
        assert (r.status == 204) == known, (template, r)
        if not known:
            fails(r, 404, "ROUTE_NOT_FOUND")


def walk(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def test_openapi_lists_exactly_the_error_codes(openapi):
    lists = [n["enum"] for n in walk(openapi) if isinstance(n, dict) and "INSUFFICIENT_BALANCE" in (n.get("enum") or [])]
    assert lists, "no enum of the error codes"
    for codes in lists:
        assert sorted(codes) == sorted(CODES)


def test_openapi_references_resolve(openapi):
    for node in walk(openapi):
        ref = node.get("$ref") if isinstance(node, dict) else None
        if ref is None:
            continue
        assert ref.startswith("#/"), ref
        at = openapi
        for part in ref[2:].split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]


def resolve(openapi, node):
    while isinstance(node, dict) and "$ref" in node:
        at = openapi
        for part in node["$ref"][2:].split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
        node = at
    return node


def test_openapi_declares_what_every_answer_carries(openapi):
    for path, item in openapi["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            responses = {status: resolve(openapi, r) for status, r in operation["responses"].items()}
            for status, response in responses.items():
                assert "X-Request-Id" in response["headers"], (path, method, status)
            assert "403" in responses, (path, method)
            allow = responses["204" if method == "options" else "405"]
            assert "Allow" in allow["headers"], (path, method)
        names = {resolve(openapi, p)["name"] for p in item["parameters"]}
        assert {"Accept-Language", "X-Request-Id", "traceparent"} <= names, path


def test_openapi_schemas_refuse_negative_overdrafts(openapi):
    forms = openapi["components"]["schemas"]["OpenRequest"]["properties"]["overdraft_limit"]["anyOf"]
    pattern = next(f["pattern"] for f in forms if f["type"] == "string")
    assert re.search(pattern, "0.00") and not re.search(pattern, "-1")


def test_openapi_documents_the_statuses_that_are_answered(openapi, c):
    a, b = fresh(), fresh()
    r = [
        ("/api/v1/wallet/{account_id}/credit", "post", c.credit(a, "5")),
        ("/api/v1/wallet/{account_id}/credit", "post", c.credit(a, "0")),
        ("/api/v1/wallet/{account_id}/credit", "post", c.credit(a, "5", currency="JPY")),
        ("/api/v1/wallet/{account_id}/credit", "post", c.credit(a, "5", headers=[("If-Match", '"999999"')])),
        ("/api/v1/wallet/{account_id}/debit", "post", c.debit(a, "1")),
        ("/api/v1/wallet/{account_id}/debit", "post", c.debit(a, "100")),
        ("/api/v1/wallet/{account_id}/debit", "post", c.debit(fresh(), "1")),
        ("/api/v1/wallet/{account_id}/balance", "get", c.balance(a)),
        ("/api/v1/wallet/{account_id}/balance", "get", c.balance(fresh())),
        ("/api/v1/wallet", "post", c.open(b)),
        ("/api/v1/wallet", "post", c.open(b)),
        ("/api/v1/wallet", "get", c.get("/api/v1/wallet")),
        ("/api/v1/wallet/{account_id}", "get", c.account(a)),
        ("/api/v1/transfers", "post", c.transfer(a, b, "1")),
        ("/api/v1/transfers", "post", c.transfer(a, a, "1")),
        ("/api/v1/transfers", "post", c.transfer(a, fresh(), "1")),
        ("/api/v1/wallet/{account_id}/transactions", "get", c.history(a)),
        ("/api/v1/transactions/{transaction_id}", "get", c.get("/api/v1/transactions/tx_x")),
    ]
    for path, method, answer in r:
        responses = openapi["paths"][path][method]["responses"]
        status = str(answer.status)
        assert status in responses or f"{status[0]}XX" in responses or "default" in responses, (path, method, status)
        if answer.status >= 400:
            assert status in responses or f"{status[0]}XX" in responses or "default" in responses


def test_a_taken_port_says_how_to_choose_another(server, tmp_path):
    s = server()
    done = run("serve", "--data", str(tmp_path / "other"), "--listen", f"127.0.0.1:{s.port}")
    assert done.returncode == 1 and not (tmp_path / "other").exists(), done
    line = next(line for line in done.stderr.decode().splitlines() if "server.failed" in line)
    assert "in use" in line and "--listen" in line and "PORT" in line, line


@pytest.mark.parametrize("listen,flags,told", [("127.0.0.1", [], False), ("0.0.0.0", [], True), ("0.0.0.0", ["--allow-remote"], False)])
def test_an_open_address_that_serves_this_machine_alone_is_warned_of(server, listen, flags, told):
    s = server(*flags, listen=listen)
    s.stop()
    lines = [line for line in s.log().splitlines() if "server.local_only" in line]
    assert len(lines) == told, lines
    assert all("level=warn" in line and "403" in line and "--allow-remote" in line for line in lines)
