"""The documents say what the program does: flags, error codes, metrics, links, and the README's own answers."""

import os
import re
import subprocess

import pytest
import yaml

import harness

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def c_codes():
    """(code, status) of every row of the one table in C."""
    return dict(re.findall(r'\[API_\w+\] = \{"([A-Z_]+)",\s*(\d+)', read("src/api/error.c")))


def test_every_flag_stands_in_the_operations_page_with_its_default():
    text = subprocess.run([harness.binary(), "serve", "--help"], capture_output=True, text=True, check=True).stdout
    flags = re.findall(r"\n  (--\S+)(?: \S+)?\n        .+\n        \[(.+)\]", text)
    rows = {}
    for line in read("docs/operations.md").splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)]
        if len(cells) > 5 and cells[1].startswith("`--"):
            rows[cells[1].strip("`").split()[0]] = cells
    assert len(flags) > 20
    assert set(rows) == {flag for flag, _ in flags}
    for flag, facts in flags:
        default = re.search(r"default ([^;]+)", facts)
        assert rows[flag][2].strip("`") == (default.group(1) if default else ""), flag
        for name in re.findall(r"WALLET_\w+|REDIS_ADDR", facts):
            assert f"`{name}`" in rows[flag][4], flag


def test_error_codes_of_c_are_those_of_openapi():
    codes = c_codes()
    spec = yaml.safe_load(read("docs/openapi.yaml"))
    listed = []

    def walk(node):
        if isinstance(node, dict):
            if isinstance(node.get("enum"), list) and "SYSTEM_ERROR" in node["enum"]:
                listed.append(node["enum"])
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(spec)
    assert len(codes) > 30 and len(listed) == 1
    assert set(listed[0]) == set(codes)


def test_the_table_of_errors_in_openapi_has_the_status_of_c():
    codes = c_codes()
    table = {}
    for statuses, names in re.findall(r"^\s*\| (\d{3}[^|]*)\| (.+) \|$", read("docs/openapi.yaml"), re.M):
        statuses, names = re.findall(r"\d{3}", statuses), re.findall(r"`([A-Z_]{4,})`", names)
        statuses = statuses * len(names) if len(statuses) == 1 else statuses
        assert len(statuses) == len(names), names
        table.update(zip(names, statuses))
    assert {code: codes[code] for code in table} == table
    assert set(table) == set(codes)


def test_metrics_of_the_operations_page_exist():
    named = set()
    for line in read("docs/operations.md").split("## Metrics")[1].split("## ")[0].splitlines():
        named |= set(re.findall(r"`((?:http|wallet)_\w+)", line.split("|")[1] if line.startswith("|") else ""))
    sources = "".join(
        read(os.path.join(folder, f))
        for folder in ("src/api", "src/server", "src/store/embedded", "src/store/redis", "src/metrics")
        for f in os.listdir(os.path.join(ROOT, folder))
        if f.endswith(".c")
    )
    assert len(named) > 8
    for name in named:
        assert f'"{name}"' in sources or name + "{" in sources, name


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "docs/architecture.md", "docs/hacking.md", "docs/locks.md", "docs/operations.md", "docs/redis.md"])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(page)):
        if not target.startswith("https://"):
            assert os.path.exists(os.path.join(ROOT, os.path.dirname(page), target)), target


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_quick_start_answers_what_the_readme_says(page, server):
    """Every curl of the README, in its order, against a fresh server; transaction ids and times differ, nothing else."""
    s = server()
    text = read(page)
    blocks = re.findall(r"```console\n(.*?)```", text, re.S)
    ran = 0
    for block in blocks:
        for command, answer in re.findall(r"\$ (curl (?:[^\n]*\\\n)*[^\n]*)\n(\{.*?)(?=\n\n|\n\$|\Z)", block + "\n\n", re.S):
            command = command.replace("\\\n", " ").replace("localhost:8080", f"127.0.0.1:{s.port}")
            got = subprocess.run(["sh", "-c", command.replace("curl ", "curl -s ", 1)], capture_output=True, text=True).stdout
            pattern = re.escape(answer.strip()).replace("…", ".*")
            pattern = re.sub(r"tx_\w+", r"tx_\\w+", pattern)
            assert re.fullmatch(pattern, got, re.S), (command, answer, got)
            ran += 1
    assert ran >= 6
