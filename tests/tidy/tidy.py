"""The house rules that a machine can keep. Prints each finding as file:line: check: words; exit status 1 if any.

Usage: tidy.py [--root FOLDER]

A finding that is right as it is stands in tests/tidy/exceptions.txt with its reason. An exception that no longer
finds anything is a finding itself, so that the list follows the tree and shrinks with it.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800

BANNED = {
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "strcpy": "memcpy with a length", "stpcpy": "memcpy with a length",
    "strcat": "struct buf", "strncpy": "memcpy with a length", "strncat": "struct buf", "strtok": "slices",
    "strtok_r": "slices", "atoi": "a parser that reports errors", "atol": "a parser that reports errors",
    "atoll": "a parser that reports errors", "atof": "a parser that reports errors", "gets": "fgets", "alloca": "an arena",
    "system": "posix_spawn", "popen": "posix_spawn", "tmpnam": "mkstemp", "mktemp": "mkstemp",
}
HEAP = {"malloc", "calloc", "realloc", "reallocarray", "free", "strdup", "strndup", "asprintf", "vasprintf",
        "aligned_alloc", "posix_memalign"}
# rooms that see amounts
MONEY_ROOMS = ("money", "ledger", "store", "store/embedded", "store/redis", "json", "api")
# what would make the ledger impure
IMPURE = re.compile(r"base/(clock|queue|prng|uuid)\.h|time\.h|pthread\.h|stdatomic\.h|stdio\.h|unistd\.h|fcntl\.h"
                    r"|threads\.h|sys/.*|uv\.h|sqlite3\.h")
IMPURE_ROOM = "ledger"
# and what applies a posting does not even allocate
ALLOCATES = {"src/ledger/apply.c": "base/mem.h", "src/ledger/judge.c": "base/mem.h"}
# a library is one room's business
OUTSIDE = {
    "sqlite3.h": ("store/embedded",),
    "yajl/": ("json",),
    "http_parser.h": ("http",),
    "llhttp.h": ("http",),
    "ini.h": ("config",),
    "curl/": ("cli",),
    "hiredis/": ("store/redis",),
    "openssl/ssl.h": ("tls",),
    "uv.h": ("http", "tls", "server", "store/redis"),
}
# Arrows that no edit of src/arrows may add: (who, what), '*' for anybody else.
NEVER = [
    ("ledger", {"json", "log", "metrics", "config", "store", "store/embedded", "store/redis", "tls", "http", "api",
                "console", "cli"}),
    ("store", {"store/embedded", "store/redis", "http", "api", "json", "tls", "log", "metrics"}),
    ("store/embedded", {"store/redis", "http", "api", "json", "tls", "cli"}),
    ("store/redis", {"store/embedded", "http", "api", "json", "cli"}),
    ("http", {"api", "store", "ledger", "json", "money"}),
    ("api", {"store/embedded", "store/redis", "config"}),
    ("cli", {"store", "store/embedded", "store/redis", "http", "api", "ledger"}),
    ("*", {"server", "main"}),  # main.c aside, which starts the server
]
# state that belongs to the place in the code that it counts
LOCAL_STATE = re.compile(r"\s*struct log_limit\s+\w+\s*$")
WORDS = re.compile(r"\b(TODO|FIXME|XXX:|HACK:)")  # XXX alone is a currency code
TEXT_FOLDERS = ("src", "tests", "script", "docs", "bench", "deploy", "console", ".ci")
TEXT_ENDINGS = (".c", ".h", ".py", ".sh", ".md", ".yaml", ".yml", ".build", ".txt", ".conf", ".service", "")
# folders not looked into: seeds are bytes, and the tidy check's own files name what they forbid
SKIPPED = ("tests/fuzz/corpus", "tests/tidy", "console/node_modules", "console/dist")


class Tree:
    """The files of a source tree, each read and stripped once."""

    def __init__(self, root):
        self.root = root
        self.findings = []
        self.raw = {}
        self.code = {}
        self.arrows, self.arrow_lines = read_arrows(os.path.join(root, "src/arrows"))

    def add(self, check, path, line, words):
        self.findings.append((path, line, check, words))

    def files(self, folders, endings):
        found = []
        for folder in folders:
            for at, below, names in os.walk(os.path.join(self.root, folder)):
                inside = os.path.relpath(at, self.root)
                below[:] = sorted(d for d in below if d != "__pycache__" and not os.path.join(inside, d) in SKIPPED)
                if inside in SKIPPED:
                    continue
                for name in sorted(names):
                    if os.path.splitext(name)[1] in endings:
                        found.append(os.path.join(inside, name))
        return found

    def text(self, path):
        if path not in self.raw:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace", newline="") as file:
                self.raw[path] = file.read()
        return self.raw[path]

    def stripped(self, path):
        """The text without comments, and with strings and characters emptied; lines stay where they were."""
        if path not in self.code:
            self.code[path] = strip(self.text(path))
        return self.code[path]

    def room(self, path):
        """The room of a file under src/: its folder, or `main`."""
        folder = os.path.dirname(path)[len("src/"):]
        return folder if folder else "main"


def read_arrows(path):
    arrows, lines = {}, {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.split("#")[0].strip()
            if line:
                room, seen = line.split(":")
                arrows[room] = seen.split()
                lines[room] = number
    return arrows, lines


def strip(text):
    pattern = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)

    def blank(match):
        found = match.group(0)
        if found[0] == "/":
            return " " + "\n" * found.count("\n")
        return found[0] + found[0]

    return pattern.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def c_files(tree):
    return tree.files(("src", "tests", "bench"), (".c", ".h"))


def room_files(tree):
    return [p for p in tree.files(("src",), (".c", ".h"))]


# ---- the checks; each takes the tree and adds its findings ----

def check_banned(tree):
    call = re.compile(r"(?<![\w.>])(" + "|".join(sorted(BANNED, key=len, reverse=True)) + r")\s*\(")
    for path in c_files(tree):
        code = tree.stripped(path)
        for match in call.finditer(code):
            name = match.group(1)
            tree.add("banned-call", path, line_of(code, match.start()), f"{name}: use {BANNED[name]}")


def check_heap(tree):
    call = re.compile(r"(?<![\w.>])(" + "|".join(sorted(HEAP, key=len, reverse=True)) + r")\s*\(")
    for path in room_files(tree):
        if tree.room(path) == "base":
            continue
        code = tree.stripped(path)
        for match in call.finditer(code):
            tree.add("raw-heap", path, line_of(code, match.start()), f"{match.group(1)}: use base/mem.h")


INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.M)


def check_includes(tree):
    for path in c_files(tree):
        code = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), tree.text(path), flags=re.S)
        for match in INCLUDE.finditer(code):
            quote, name = match.groups()
            line = line_of(code, match.start())
            if ".." in name.split("/"):
                tree.add("include-form", path, line, f"{name}: no ../ in an include")
            elif path.startswith("src/"):
                check_room_include(tree, path, line, quote, name)


def check_room_include(tree, path, line, quote, name):
    room = tree.room(path)
    if quote == '"':
        target = os.path.dirname(name)
        if target not in tree.arrows:
            tree.add("include-form", path, line, f'{name}: an include is "room/file.h"')
        elif target != room and target not in tree.arrows.get(room, []):
            tree.add("arrow", path, line, f"{room} may not see {target}: src/arrows")
        elif target != room and name.endswith("_internal.h"):
            tree.add("arrow", path, line, f"{name} is of {target} alone")
    else:
        for start, rooms in OUTSIDE.items():
            if name.startswith(start) and room not in rooms:
                tree.add("outside-header", path, line, f"<{name}> is of {', '.join(rooms)} alone")
    if room == IMPURE_ROOM and IMPURE.fullmatch(name):
        tree.add("impure", path, line, f"{name}: {IMPURE_ROOM} has no clock, thread or I/O of its own")
    if ALLOCATES.get(path) == name:
        tree.add("impure", path, line, f"{name}: nothing here allocates")


def check_float(tree):
    for path in room_files(tree):
        if tree.room(path) not in MONEY_ROOMS:
            continue
        code = tree.stripped(path)
        for match in re.finditer(r"\b(float|double|_Float\w+|strto[dfl]|strtold)\b", code):
            if match.group(1) == "strtol":
                continue
            tree.add("float", path, line_of(code, match.start()), f"{match.group(1)} in a room that sees amounts")


def blank_preprocessor(code):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group(0).count("\n"), code, flags=re.M)


def is_constant(declaration):
    """Whether the object that a declaration (without initialiser) names cannot change."""
    declarator = re.sub(r"\[[^\]]*\]", "", declaration).strip()
    if "*" in declarator:
        return re.search(r"\*\s*const\b[^*]*$", declarator) is not None
    return re.search(r"\bconst(expr)?\b", declarator) is not None


def top_level(code):
    """Yield (offset, text) of each declaration or definition outside all braces; what is in braces is left out."""
    depth, start, text, at_text = 0, 0, [], None
    for at, c in enumerate(code):
        if c == "{":
            depth += 1
            if depth == 1:
                text.append("{}")
            continue
        if c == "}":
            depth -= 1
            if depth == 0 and "=" not in text and re.search(r"\)\s*(__attribute__\s*\(\(.*\)\)\s*)?\{\}$", "".join(text), re.S):
                text, at_text = [], None  # a function's body ends without a semicolon
            continue
        if depth > 0:
            continue
        if c == ";":
            if at_text is not None:
                yield at_text, "".join(text).strip()
            text, at_text = [], None
            continue
        if at_text is None:
            if c.isspace():
                continue
            at_text = at
        text.append(c)


def check_globals(tree):
    for path in room_files(tree):
        code = blank_preprocessor(tree.stripped(path))
        for at, text in top_level(code):
            if re.match(r"(typedef|extern|_Static_assert|static_assert|enum\s*\w*\s*\{\}$|(struct|union)\s+\w+(\s*\{\})?$)",
                        text):
                continue
            declaration = text.split("=")[0]
            plain = re.sub(r"__attribute__\s*\(\(.*?\)\)|_Alignas\s*\([^)]*\)|alignas\s*\([^)]*\)", "", declaration, flags=re.S)
            is_pointer_to_function = re.match(r"[\w\s*]+\(\s*\*\s*(const\s*)?\w*\s*(\[[^\]]*\]\s*)?\)\s*\(", plain)
            if is_pointer_to_function:
                if is_pointer_to_function.group(1) is None:
                    tree.add("mutable-global", path, line_of(code, at), " ".join(plain.split())[:80])
                continue
            if "(" in plain:
                continue  # a prototype
            if path.endswith(".h") and "static" not in plain and "=" not in text:
                continue  # of a function type, or else the linker finds it twice
            if not is_constant(plain):
                tree.add("mutable-global", path, line_of(code, at), " ".join(plain.split())[:80])
        for match in re.finditer(r"^[ \t]+static\b([^;={(]*)[;={(]", code, re.M):
            words = match.group(1)
            if not is_constant(words) and not words.strip().startswith("inline") and not LOCAL_STATE.match(words):
                tree.add("mutable-global", path, line_of(code, match.start()), "static" + match.group(1).rstrip()[:80])


def check_lengths(tree):
    for path in c_files(tree):
        lines = tree.stripped(path).split("\n")
        if len(lines) - 1 > FILE_LINES_MAX:
            tree.add("file-length", path, FILE_LINES_MAX + 1, f"{len(lines) - 1} lines")
        opened = None
        for number, line in enumerate(lines, 1):
            if line.startswith("{"):
                opened = number
            elif line.startswith("}") and opened is not None:
                # a test may be one long table of cases
                if number - opened + 1 > FUNCTION_LINES_MAX and not path.startswith("tests/"):
                    name = function_name(lines, opened)
                    tree.add("function-length", path, opened, f"{name}: {number - opened + 1} lines")
                opened = None


def function_name(lines, opened):
    head = " ".join(lines[max(0, opened - 8):opened - 1])
    names = re.findall(r"(\w+)\s*\(", head)
    line = opened - 1
    while line > 0 and not re.match(r"\w", lines[line - 1]):
        line -= 1
    match = re.search(r"(\w+)\s*\(", lines[line - 1]) if line > 0 else None
    return match.group(1) if match else (names[-1] if names else "?")


def check_listed(tree):
    listed = set()
    source_list = os.path.join(tree.root, "src/meson.build")
    with open(source_list, encoding="utf-8") as file:
        text = re.sub(r"#[^\n]*", "", file.read())
    for room, files in re.findall(r"'([\w/]+)'\s*:\s*\[((?:\s*'[\w.]+\.c'\s*,?)+)\s*\]", text):
        for name in re.findall(r"'([\w.]+\.c)'", files):
            listed.add(f"src/{room}/{name}")
    for path in tree.files(("src",), (".c",)):
        if path != "src/main.c" and path not in listed:
            tree.add("not-built", path, 1, "no room of src/meson.build lists it")
    for path in sorted(listed):
        if not os.path.exists(os.path.join(tree.root, path)):
            tree.add("not-built", "src/meson.build", 1, f"{path} does not exist")
    test_list = os.path.join(tree.root, "tests/meson.build")
    tests = ""
    if os.path.exists(test_list):
        with open(test_list, encoding="utf-8") as file:
            tests = re.sub(r"#[^\n]*", "", file.read())
    for path in tree.files(("tests",), (".c",)):
        inside = path[len("tests/"):]
        fuzz = re.fullmatch(r"fuzz/fuzz_(\w+)\.c", inside)
        if fuzz:
            is_listed = re.search(rf"'{fuzz.group(1)}'\s*:", tests) is not None
        elif inside.startswith("unit/"):
            name = inside[len("unit/"):]
            is_listed = f"'{name}'" in tests or f"'{os.path.basename(name)}'" in tests
        else:
            is_listed = f"'{inside}'" in tests
        if not is_listed:
            tree.add("not-built", path, 1, "tests/meson.build does not list it")


def check_arrows(tree):
    where = "src/arrows"
    above = []
    for room, seen in tree.arrows.items():
        for other in seen:
            if other not in above:
                tree.add("arrow", where, tree.arrow_lines[room], f"{room} -> {other}: not a room above that line")
        above.append(room)
    for who, forbidden in NEVER:
        for room, seen in tree.arrows.items():
            if who == room or (who == "*" and room != "main"):
                for other in sorted(forbidden.intersection(seen)):
                    tree.add("arrow", where, tree.arrow_lines[room], f"{room} -> {other}: never")
    for path in room_files(tree):
        if tree.room(path) not in tree.arrows:
            tree.add("arrow", path, 1, f"{tree.room(path)} is no room of src/arrows")


def check_words(tree):
    for path in tree.files(TEXT_FOLDERS, TEXT_ENDINGS):
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            match = WORDS.search(line)
            if match:
                tree.add("word", path, number, f"{match.group(1)}: do it or leave it out")


def check_whitespace(tree):
    for path in tree.files(TEXT_FOLDERS, TEXT_ENDINGS):
        text = tree.text(path)
        if "\0" in text or not text:
            continue
        if not text.endswith("\n") or text.endswith("\n\n"):
            tree.add("whitespace", path, line_of(text, len(text)), "a file ends with one newline")
        for number, line in enumerate(text.split("\n"), 1):
            if line.endswith((" ", "\t", "\r")):
                tree.add("whitespace", path, number, "blank at the end of the line")
            elif "\t" in line and path.endswith((".c", ".h", ".py", ".sh", ".md", ".yaml")):
                tree.add("whitespace", path, number, "a tab")


def check_guards(tree):
    for path in tree.files(("src",), (".h",)):
        guard = re.sub(r"\W", "_", path[len("src/"):]).upper()
        if not re.search(rf"^#ifndef {guard}\n#define {guard}$", tree.text(path), re.M):
            tree.add("guard", path, 1, f"the include guard is {guard}")
        if not tree.text(path).startswith("/*"):
            tree.add("guard", path, 1, "a header opens with one sentence on what it is")


def check_headers_alone(tree):
    headers = tree.files(("src",), (".h",))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["sh", os.path.join(tree.root, "src/room_links.sh"), os.path.join(tree.root, "src"), folder + "/inc"],
                       check=True)

        def compile_alone(path):
            room = tree.room(path)
            result = subprocess.run(
                [os.environ.get("CC", "gcc"), "-std=gnu17", "-D_GNU_SOURCE", '-DMYWALLET_VERSION="0"', "-Wall", "-Wextra",
                 "-Werror", "-fsyntax-only", "-I", f"{folder}/inc/{room.replace('/', '_')}", "-x", "c", "-"],
                input=f'#include "{path[len("src/"):]}"\n', capture_output=True, text=True, check=False)
            return path, result

        with ThreadPoolExecutor(2) as pool:
            for path, result in pool.map(compile_alone, headers):
                if result.returncode != 0:
                    errors = [line for line in result.stderr.split("\n") if "error:" in line] or [result.stderr[:200]]
                    match = re.match(r".*?:(\d+):", errors[0])
                    words = errors[0].split("error:")[-1].strip()
                    tree.add("header-alone", path, int(match.group(1)) if match else 1, words)


CHECKS = [check_banned, check_heap, check_includes, check_float, check_globals, check_lengths, check_listed,
          check_arrows, check_words, check_whitespace, check_guards, check_headers_alone]


def apply_exceptions(tree):
    """Take out the findings that exceptions.txt names; each line is `check path text`, then # and the reason."""
    path = "tests/tidy/exceptions.txt"
    full = os.path.join(tree.root, path)
    if not os.path.exists(full):
        return
    with open(full, encoding="utf-8") as file:
        lines = file.read().split("\n")
    for number, line in enumerate(lines, 1):
        rule, _, reason = line.partition("#")
        if not rule.strip():
            continue
        parts = rule.split(None, 2)
        if not reason.strip() or len(parts) < 3:
            tree.add("exception", path, number, "a line is: check path text # reason")
            continue
        check, where, text = parts[0], parts[1], parts[2].strip()
        kept = [f for f in tree.findings if not (f[2] == check and f[0] == where and text in f[3])]
        if len(kept) == len(tree.findings):
            tree.add("exception", path, number, "nothing left that needs it: take the line out")
        else:
            tree.findings = kept


def run(root):
    tree = Tree(root)
    for check in CHECKS:
        check(tree)
    apply_exceptions(tree)
    return sorted(tree.findings)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(here)))
    options = parser.parse_args()
    findings = run(options.root)
    for path, line, check, words in findings:
        print(f"{path}:{line}: {check}: {words}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
