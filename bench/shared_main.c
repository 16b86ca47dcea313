/* SPDX-License-Identifier: MIT */
/*
 * Tokens through the shared library, as most users call it: the weir command
 * contains the static one.
 */
#define BENCH_TOKENS_FROM ", libweir.so"
#include "tokens.c"

int main(int argc, char **argv)
{
	return bench_worker(argc, argv, bench_token_rows, 3);
}
