#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# musl SOURCE: builds the library and musl.c for musl, which registers no rseq,
# and runs that program, linked statically and not.
set -u
cd "${1:-.}" || exit 2
if ! command -v musl-gcc >/dev/null; then
	echo 'skipped: no musl-gcc (apt-get install musl-tools)'
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The kernel's headers, which musl has none of; nothing else of that folder.
mkdir "$work/kernel"
for folder in linux asm asm-generic; do
	for from in /usr/include /usr/include/*-linux-gnu; do
		[ -d "$from/$folder" ] && ln -sfn "$from/$folder" "$work/kernel/"
	done
done
flags=(-std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Iinclude -Isrc
	-idirafter "$work/kernel")
for source in src/*/*.c; do
	object=$work/$(tr / _ <<<"${source%.c}").o
	musl-gcc "${flags[@]}" -fPIC -c "$source" -o "$object" || exit 1
done
for how in -static -no-pie; do
	musl-gcc "${flags[@]}" $how tests/rseq/musl.c "$work"/*.o -pthread \
		-o "$work/musl" && timeout 60 "$work/musl" || exit 1
done
