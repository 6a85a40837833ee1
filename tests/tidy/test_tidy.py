"""Proves that the tidy check can fail: each bad example, put into a small good tree, gives exactly its finding."""
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import tidy  # noqa: E402


def header(path, text):
    guard = "".join(c if c.isalnum() else "_" for c in path[len("src/"):]).upper()
    return f"/* A header of the example tree. */\n#ifndef {guard}\n#define {guard}\n{text}\n#endif\n"


GOOD = {
    "src/base/mem.h": header("src/base/mem.h", "#include <stddef.h>\nvoid *mem_alloc(size_t size);"),
    "src/base/clock.h": header("src/base/clock.h", "int clock_now(void);"),
    "src/base/mem.c": '#include "base/mem.h"\n\n#include <stdlib.h>\n\nvoid *mem_alloc(size_t size)\n{\n    return malloc(size);\n}\n',
    "src/money/money.h": header("src/money/money.h", "int money_add(int a, int b);"),
    "src/ledger/book.h": header("src/ledger/book.h", '#include "money/money.h"\nint book_apply(int a);'),
    # every line that looks bad and is not: comments, strings, members, constants, prototypes, types
    "src/ledger/book.c": '''#include "ledger/book.h"

#include "base/mem.h"

/* sprintf(x) float double strcpy(y), a comment may say it */
struct book;
typedef int (*judge)(int a);
enum color { RED, GREEN };
static const int table[] = {1, 2, 3};
static const char *const names[] = {"float", "system(\\"x\\")", "a } brace"};
static int (*const step)(int a) = book_apply;
static int helper(int a, int (*then)(int b));
_Static_assert(sizeof(int) == 4, "int");

struct methods {
    int (*system)(int a);
    int free;
};

static int helper(int a, int (*then)(int b))
{
    static const int more[2] = {1, 2};
    static struct log_limit limit;
    struct methods m = {.free = 1};
    return then(a) + more[0] + m.free + (m.system == 0 ? 0 : m.system(1)) + names[0][0] + table[GREEN];
}

int book_apply(int a)
{
    return helper(a, step);
}
''',
    "src/store/store.h": header("src/store/store.h", '#include "ledger/book.h"\nint store_open(void);'),
    "src/store/embedded/embedded.h": header("src/store/embedded/embedded.h", '#include "store/store.h"\nint embedded_open(void);'),
    "src/store/embedded/embedded.c": '#include "store/embedded/embedded.h"\n\n#include <sqlite3.h>\n\n#include "store/store.h"\n\nint embedded_open(void)\n{\n    return 0;\n}\n',
    "src/http/http.h": header("src/http/http.h", "typedef int http_handler(int a);\nhttp_handler http_get;"),
    "src/main.c": "int main(void)\n{\n    return 0;\n}\n",
    "src/meson.build": "room_sources = {\n  'base': ['mem.c'],\n  'ledger': [\n    'book.c', # the book\n  ],\n  'store/embedded': ['embedded.c'],\n}\n",
    "tests/meson.build": "unit_tests = [\n  'base/test_mem.c',\n]\nsuites = {\n  'contract': ['contract/run.c'],\n}\nfuzz_targets = {\n  'json': 'json',\n}\n",
    "tests/unit/base/test_mem.c": "int main(void)\n{\n    return 0;\n}\n",
    "tests/contract/run.c": "int main(void)\n{\n    return 0;\n}\n",
    "tests/fuzz/fuzz_json.c": "int nothing;\n",
    "docs/ledger.md": "# The ledger\n\nCurrency XXX is no currency.\n",
}


def source(line, include=""):
    return f"{include}int f(char *a, char *b);\nint f(char *a, char *b)\n{{\n    {line}\n    return a == b;\n}}\n"


def long_function(lines):
    return "int f(int a);\nint f(int a)\n{\n" + "    a++;\n" * (lines - 3) + "    return a;\n}\n"


def appended(path, text):
    return {path: GOOD[path] + text}


BOOK = "src/ledger/book.c"
BOOK_LINES = GOOD[BOOK].count("\n")

# name, changed files, expected findings as (path, line, check)
CASES = [(f"banned {name}", {BOOK: source(f"{name}(a, b);")}, [(BOOK, 4, "banned-call")])
         for name in ("sprintf", "strcpy", "strcat", "strtok", "atoi", "gets", "alloca", "system")]
CASES += [(f"raw {name}", {BOOK: source(f"{name}(a);")}, [(BOOK, 4, "raw-heap")])
          for name in ("malloc", "calloc", "realloc", "free", "strdup")]
CASES += [
    ("banned call in a test", {"tests/unit/base/test_mem.c": source("strcpy(a, b);")},
     [("tests/unit/base/test_mem.c", 4, "banned-call")]),
    ("include with ../", {BOOK: source("a = b;", '#include "../money/money.h"\n')}, [(BOOK, 1, "include-form")]),
    ("include with ../ in a test", {"tests/contract/run.c": source("a = b;", '#include "../unit/x.h"\n')},
     [("tests/contract/run.c", 1, "include-form")]),
    ("include without its room", {BOOK: source("a = b;", '#include "book.h"\n')}, [(BOOK, 1, "include-form")]),
    ("forbidden arrow in the text", {BOOK: source("a = b;", '#include "http/http.h"\n')}, [(BOOK, 1, "arrow")]),
    ("the port sees a store", appended("src/store/store.h", '#include "store/embedded/embedded.h"\n'),
     [("src/store/store.h", 7, "arrow"), ("src/store/store.h", 7, "header-alone")]),
    ("another room's internal header", {BOOK: source("a = b;", '#include "money/money_internal.h"\n')}, [(BOOK, 1, "arrow")]),
    ("the ledger reads a clock", {BOOK: source("a = b;", '#include "base/clock.h"\n')}, [(BOOK, 1, "impure")]),
    ("the ledger includes time.h", {BOOK: source("a = b;", "#include <time.h>\n")}, [(BOOK, 1, "impure")]),
    ("a library in a foreign room", {BOOK: source("a = b;", "#include <sqlite3.h>\n")},
     [(BOOK, 1, "impure"), (BOOK, 1, "outside-header")]),
    ("float near money", {BOOK: source("float x = 1;")}, [(BOOK, 4, "float")]),
    ("double near money", {"src/store/embedded/embedded.c": source("double x = 1;")},
     [("src/store/embedded/embedded.c", 4, "float")]),
    ("a header that leans on another", {"src/http/http.h": header("src/http/http.h", "size_t http_len(void);")},
     [("src/http/http.h", 4, "header-alone")]),
    ("a header that the room may not see", {"src/http/http.h": header("src/http/http.h", '#include "ledger/book.h"')},
     [("src/http/http.h", 4, "arrow"), ("src/http/http.h", 4, "header-alone")]),
    ("a mutable global", appended(BOOK, "static int count;\n"), [(BOOK, BOOK_LINES + 1, "mutable-global")]),
    ("a mutable global with a value", appended(BOOK, "int count = 3;\n"), [(BOOK, BOOK_LINES + 1, "mutable-global")]),
    ("a mutable array of constant texts", appended(BOOK, 'static const char *texts[] = {"a"};\n'),
     [(BOOK, BOOK_LINES + 1, "mutable-global")]),
    ("a mutable struct", appended(BOOK, "static struct {\n    int a;\n} state;\n"), [(BOOK, BOOK_LINES + 1, "mutable-global")]),
    ("a mutable compound", appended(BOOK, "struct methods m = (struct methods){0};\n"),
     [(BOOK, BOOK_LINES + 1, "mutable-global")]),
    ("a mutable pointer to a function", appended(BOOK, "static int (*hook)(int a);\n"),
     [(BOOK, BOOK_LINES + 1, "mutable-global")]),
    ("a mutable static in a function", {BOOK: source("static int calls = 0;")}, [(BOOK, 4, "mutable-global")]),
    ("a mutable global in a header", appended("src/http/http.h", "static int open_count;\n"),
     [("src/http/http.h", 7, "mutable-global")]),
    ("a function of 70 lines", {BOOK: long_function(70)}, []),
    ("a function of 71 lines", {BOOK: long_function(71)}, [(BOOK, 3, "function-length")]),
    ("a file of 800 lines", {BOOK: "\n" * 799 + "struct x;\n"}, []),
    ("a file of 801 lines", {BOOK: "\n" * 800 + "struct x;\n"}, [(BOOK, 801, "file-length")]),
    ("a source nobody builds", {"src/ledger/forgotten.c": "struct x;\n"}, [("src/ledger/forgotten.c", 1, "not-built")]),
    ("a source listed under another room", {"src/money/mem.c": "struct x;\n"}, [("src/money/mem.c", 1, "not-built")]),
    ("a listed source that is not there", {"src/ledger/book.c": None}, [("src/meson.build", 1, "not-built")]),
    ("a unit test nobody runs", {"tests/unit/base/test_forgotten.c": "struct x;\n"},
     [("tests/unit/base/test_forgotten.c", 1, "not-built")]),
    ("a fuzz target nobody runs", {"tests/fuzz/fuzz_http.c": "struct x;\n"}, [("tests/fuzz/fuzz_http.c", 1, "not-built")]),
    ("a suite nobody runs", {"tests/contract/more.c": "struct x;\n"}, [("tests/contract/more.c", 1, "not-built")]),
    ("a room without arrows", {"src/extra/extra.h": header("src/extra/extra.h", "struct x;")},
     [("src/extra/extra.h", 1, "arrow"), ("src/extra/extra.h", 1, "header-alone")]),
    ("an open end", appended("docs/ledger.md", "\n" + "TO" + "DO: the rest\n"), [("docs/ledger.md", 5, "word")]),
    ("an open end in a script", {"script/x": "#!/bin/sh\n# FIX" + "ME\n"}, [("script/x", 2, "word")]),
    ("a blank at the end", appended("docs/ledger.md", "words \nmore\n"), [("docs/ledger.md", 4, "whitespace")]),
    ("a tab", appended(BOOK, "struct\tx;\n"), [(BOOK, BOOK_LINES + 1, "whitespace")]),
    ("no newline at the end", {"docs/ledger.md": "words"}, [("docs/ledger.md", 1, "whitespace")]),
    ("a wrong include guard", {"src/http/http.h": "/* It. */\n#ifndef X_H\n#define X_H\n#endif\n"},
     [("src/http/http.h", 1, "guard")]),
    ("an exception", {BOOK: source("atoi(a);"), "tests/tidy/exceptions.txt": f"banned-call {BOOK} atoi # only here\n"}, []),
    ("an exception for something else", {BOOK: source("atoi(a);"), "tests/tidy/exceptions.txt": f"banned-call {BOOK} gets # no\n"},
     [(BOOK, 4, "banned-call"), ("tests/tidy/exceptions.txt", 1, "exception")]),
    ("an exception without a reason", {BOOK: source("atoi(a);"), "tests/tidy/exceptions.txt": f"banned-call {BOOK} atoi\n"},
     [(BOOK, 4, "banned-call"), ("tests/tidy/exceptions.txt", 1, "exception")]),
    ("an exception that outlived its cause", {"tests/tidy/exceptions.txt": f"# a list\nbanned-call {BOOK} atoi # old\n"},
     [("tests/tidy/exceptions.txt", 2, "exception")]),
]


def with_arrows(change):
    with open(os.path.join(ROOT, "src/arrows"), encoding="utf-8") as file:
        return {"src/arrows": change(file.read())}


CASES += [
    ("arrows in a circle", with_arrows(lambda t: t.replace("base:\n", "base: money\n", 1)),
     [("src/arrows", 4, "arrow"), ]),
    ("an arrow that may never be", with_arrows(lambda t: t.replace("http: tls", "http: ledger tls", 1)),
     [("src/arrows", 15, "arrow")]),
    ("an arrow to the server", with_arrows(lambda t: t.replace("main: server cli base", "main: server cli base\nx: server", 1)),
     [("src/arrows", 21, "arrow")]),
]


def make_tree(folder, changes):
    files = dict(GOOD)
    with open(os.path.join(ROOT, "src/arrows"), encoding="utf-8") as file:
        files["src/arrows"] = file.read()
    files.update(changes)
    for path, text in files.items():
        if text is not None:
            full = os.path.join(folder, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8", newline="") as file:
                file.write(text)
    shutil.copy(os.path.join(ROOT, "src/room_links.sh"), os.path.join(folder, "src/room_links.sh"))


def try_case(case):
    """The complaint about one case, or None."""
    name, changes, expected = case
    with tempfile.TemporaryDirectory() as folder:
        make_tree(folder, changes)
        found = [(path, line, check) for path, line, check, _ in tidy.run(folder)]
    return None if found == sorted(expected) else f"{name}: expected {sorted(expected)}, found {found}"


def try_program():
    """The program as it is called: its words and its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        make_tree(folder, {BOOK: source("atoi(a);")})
        ran = subprocess.run([sys.executable, os.path.join(HERE, "tidy.py"), "--root", folder],
                             capture_output=True, text=True, check=False)
    is_right = ran.returncode == 1 and ran.stdout.startswith(f"{BOOK}:4: banned-call: atoi")
    return None if is_right else f"called: {ran}"


def main():
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        complaints = list(pool.map(try_case, [("the good tree", {}, [])] + CASES))
    complaints = [c for c in complaints + [try_program()] if c is not None]
    for complaint in complaints:
        print(f"tests/tidy/test_tidy.py: {complaint}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
