/* SPDX-License-Identifier: MIT */
#include "common/table.h"

#include <stdio.h>
#include <string.h>

/* How much of the text goes on one line of so many columns. */
static size_t line_length(const char *text, size_t columns)
{
	size_t len = strlen(text), fits = 0;

	if (len <= columns)
		return len;
	for (size_t i = 0; i <= columns; i++) {
		if (text[i] == ' ')
			fits = i;
		else if (text[i] == ',' && i < columns)
			fits = i + 1;
	}
	return fits ? fits : strcspn(text, " ,");
}

void table_text(unsigned indent, const char *text)
{
	for (;;) {
		size_t len = line_length(text, TABLE_COLUMNS - indent);

		printf("%.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
		if (*text == '\0')
			return;
		printf("%*s", (int)indent, "");
	}
}
