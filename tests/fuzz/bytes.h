/* SPDX-License-Identifier: MIT */
/*
 * The fuzzer's bytes, taken from the front as whatever a target asks for. When
 * there are none left everything is 0, so that every input means something and
 * a prefix of it means nearly the same.
 */
#ifndef WEIR_FUZZ_BYTES_H
#define WEIR_FUZZ_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *at, *end;
};

static inline size_t bytes_left(const struct bytes *b)
{
	return (size_t)(b->end - b->at);
}

static inline uint8_t take_u8(struct bytes *b)
{
	return b->at < b->end ? *b->at++ : 0;
}

static inline uint16_t take_u16(struct bytes *b)
{
	uint16_t low = take_u8(b);

	return (uint16_t)(low | take_u8(b) << 8);
}

static inline uint64_t take_u64(struct bytes *b)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < 8; i++)
		n |= (uint64_t)take_u8(b) << (8 * i);
	return n;
}

/* From 0 to n - 1. */
static inline unsigned take_below(struct bytes *b, unsigned n)
{
	return (n > 256 ? take_u16(b) : take_u8(b)) % n;
}

/* Up to the byte 0xff or the end, at most len - 1 bytes; a string, though it
 * may hold a NUL. Its length. */
static inline size_t take_text(struct bytes *b, char *text, size_t len)
{
	size_t n = 0;

	while (b->at < b->end) {
		uint8_t c = *b->at++;

		if (c == 0xff)
			break;
		if (n + 1 < len)
			text[n++] = (char)c;
	}
	text[n] = '\0';
	return n;
}

#endif
