/* SPDX-License-Identifier: MIT */
/* Text that fits a terminal. */
#ifndef WEIR_TOOL_TABLE_H
#define WEIR_TOOL_TABLE_H

#define TABLE_COLUMNS 80

/*
 * Prints text from column `indent` on, where the cursor is, and ends the line.
 * It is broken at blanks and after commas so that it fits TABLE_COLUMNS; a
 * longer word stands alone on its line.
 */
void table_text(unsigned indent, const char *text);

#endif
