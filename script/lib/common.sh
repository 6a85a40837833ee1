# shellcheck shell=sh
# What the scripts share. Read by `.`, from a script in script/, under `set -eu`.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# configure FOLDER COMPILER OPTION...: have meson prepare a build folder, anew only where something of that changed.
configure() {
    folder=$1
    compiler=$2
    shift 2
    wanted="$compiler $($compiler --version 2>/dev/null | sed 1q) / meson $(meson --version) / $*"
    if [ -f "$folder/build.ninja" ] && [ "$(cat "$folder/.configured" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    # not the whole folder: build/ holds the others
    rm -rf "$folder/meson-private" "$folder/meson-info" "$folder/build.ninja" "$folder/.configured"
    CC=$compiler meson setup "$folder" "$root" "$@" || return 1
    printf '%s\n' "$wanted" >"$folder/.configured"
}

# werror COMPILER: the option that makes warnings errors, where it is a compiler the tree is kept clean for. A newer
# one has new warnings, and they are no reason for a test to fail.
werror() {
    case $("$1" -dumpfullversion -dumpversion 2>/dev/null) in
    12.* | 14.0.*) printf '%s' -Dwerror=true ;;
    *) printf '%s' -Dwerror=false ;;
    esac
}

# compile FOLDER [TARGET...]. The include folders are made again first: a new header asks nobody to.
compile() {
    folder=$1
    shift
    sh "$root/src/room_links.sh" "$root/src" "$folder/src/inc" || return 1
    ninja -C "$folder" "$@"
}

# release_build: the program as it is meant to run, at build/mywallet
release_build() {
    # over all rooms at once: a request crosses six of them, and a twelfth of its processor time goes with the calls
    configure "$root/build" "${CC:-gcc}" --buildtype=debugoptimized -Doptimization=3 -Db_lto=true -Dtests=disabled || return 1
    compile "$root/build"
}

# run_fuzz_target NAME SECONDS OPTION...: what it finds new stays in build/fuzz/found/NAME
run_fuzz_target() {
    target=$1
    seconds=$2
    shift 2
    (
        cd "$root/build/fuzz" || exit 1
        mkdir -p "found/$target"
        exec "tests/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
            -artifact_prefix="broken-$target-" "$@" "found/$target" "$root/tests/fuzz/corpus/$target"
    )
}
