/* SPDX-License-Identifier: MIT */
#include "interleave/scenarios.h"

unsigned scenarios_nr(void)
{
	return nr_list_scenarios + nr_zone_scenarios + nr_store_scenarios;
}

const struct scenario *scenarios_get(unsigned i)
{
	if (i < nr_list_scenarios)
		return &list_scenarios[i];
	i -= nr_list_scenarios;
	return i < nr_zone_scenarios ? &zone_scenarios[i]
				     : &store_scenarios[i - nr_zone_scenarios];
}
