/* SPDX-License-Identifier: MIT */
#include "interleave/scenarios.h"

unsigned scenarios_nr(void)
{
	return nr_list_scenarios + nr_zone_scenarios;
}

const struct scenario *scenarios_get(unsigned i)
{
	return i < nr_list_scenarios ? &list_scenarios[i]
				     : &zone_scenarios[i - nr_list_scenarios];
}
