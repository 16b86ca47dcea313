/* SPDX-License-Identifier: MIT */
/* The table of all scenarios: those of caches and pools, of zones, and of
 * stores of tokens. */
#ifndef WEIR_INTERLEAVE_SCENARIOS_H
#define WEIR_INTERLEAVE_SCENARIOS_H

#include "interleave/explore.h"

unsigned scenarios_nr(void);
const struct scenario *scenarios_get(unsigned i);

/* The tables it is made of (lists.c, zones.c, stores.c). */
extern const struct scenario list_scenarios[], zone_scenarios[],
	store_scenarios[];
extern const unsigned nr_list_scenarios, nr_zone_scenarios, nr_store_scenarios;

#endif
