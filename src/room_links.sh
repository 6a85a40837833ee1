#!/bin/sh
# Make OUT/<room>/ for every room of SRC/arrows: links to the folders that this room may include from, and to
# its own. With OUT/<room> as its only include folder a room cannot compile an include the table does not allow.
# The folder of a room that has rooms under it (store, store/embedded) is a real one with a link for each header.
# Usage: room_links.sh SRC OUT
set -eu

src=$(CDPATH='' cd -- "$1" && pwd)
out=$2
table=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$src/arrows")
rooms=$(printf '%s\n' "$table" | sed 's/:.*//')

has_rooms_under() {
    printf '%s\n' "$rooms" | grep -q "^$1/"
}

# show ROOM IN: let the include folder IN show ROOM
show() {
    [ -d "$src/$1" ] || return 0
    mkdir -p "$2/$(dirname -- "$1")"
    if ! has_rooms_under "$1"; then
        ln -s "$src/$1" "$2/$1"
        return 0
    fi
    mkdir -p "$2/$1"
    for header in "$src/$1"/*.h; do
        [ ! -e "$header" ] || ln -s "$header" "$2/$1/"
    done
}

# Beside the old folder first, and swapped only where they differ: a compiler may be reading the old one.
new=$out.$$
rm -rf -- "$new"
trap 'rm -rf -- "$new"' EXIT
for room in $rooms; do
    in=$new/$(printf '%s' "$room" | tr / _)
    allowed=$(printf '%s\n' "$table" | sed -n "s|^$room:||p")
    mkdir -p "$in"
    for seen in $room $allowed; do
        show "$seen" "$in"
    done
done

list_links() {
    (cd -- "$1" 2>/dev/null && find . -exec sh -c 'for at; do printf "%s %s\n" "$at" "$(readlink "$at")"; done' - {} + | sort)
}

if [ "$(list_links "$out")" != "$(list_links "$new")" ]; then
    rm -rf -- "$out"
    mv -- "$new" "$out"
fi
