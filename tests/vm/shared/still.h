/* SPDX-License-Identifier: MIT */
/* A machine whose kernel leaves its isolated CPUs alone, as far as it can. */
#ifndef WEIR_VM_STILL_H
#define WEIR_VM_STILL_H

/* The test fails if a setting that the kernel has cannot be written. */
void still_machine(void);

#endif
