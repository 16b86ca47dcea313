/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_RSEQ_OWNER_H
#define WEIR_TESTS_RSEQ_OWNER_H

/* Registers the calling thread: 0, or -1. */
int owner_register(void);

/* The area of the calling thread. */
const void *owner_area(void);

#endif
