/* SPDX-License-Identifier: MIT */
/*
 * Who sent an interrupt to a CPU: probes in the kernel's functions that send
 * them, which leave a line in the trace with the sender and the CPU aimed at.
 * For the message of a test that failed; nothing is judged by it.
 */
#ifndef WEIR_VM_SENDER_H
#define WEIR_VM_SENDER_H

#include <stdbool.h>
#include <stdint.h>

/* Sets the probes; says so where the kernel refuses one. */
void sender_watch(void);

/* Is there any line about that CPU since a time of CLOCK_MONOTONIC? A control,
 * without which a missing probe would not be noticed. */
bool sender_saw(unsigned cpu, uint64_t since_ns);

/* Prints the last lines about that CPU since then. */
void sender_print(unsigned cpu, uint64_t since_ns);

#endif
