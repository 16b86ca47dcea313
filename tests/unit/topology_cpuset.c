/* SPDX-License-Identifier: MIT */
/* If this fails, CPUs are left out of a set, or come into it by themselves. */
#include <string.h>

#include "check.h"
#include "os/topology.h"

static struct wi_cpuset a, b;

static void check_members(void)
{
	static const unsigned cpus[] = { 0, 1, 63, 64, 65, 127, 128, 8191 };
	const unsigned nr = sizeof(cpus) / sizeof(cpus[0]);
	unsigned next = 0;

	wi_cpuset_zero(&a);
	CHECK(wi_cpuset_is_empty(&a));
	CHECK_EQ(wi_cpuset_next(&a, 0), WI_CPUS_MAX);
	for (unsigned i = 0; i < nr; i++) {
		CHECK(!wi_cpuset_test(&a, cpus[i]));
		wi_cpuset_set(&a, cpus[i]);
		CHECK(wi_cpuset_test(&a, cpus[i]));
		CHECK_EQ(wi_cpuset_count(&a), i + 1);
	}
	for (unsigned i = 0; i < nr; i++) {
		next = wi_cpuset_next(&a, next);
		CHECK_EQ(next, cpus[i]);
		next++;
	}
	CHECK_EQ(wi_cpuset_next(&a, next), WI_CPUS_MAX);
	CHECK_EQ(wi_cpuset_next(&a, 129), 8191);
	CHECK_EQ(wi_cpuset_next(&a, ~0u), WI_CPUS_MAX);
	wi_cpuset_clear(&a, 64);
	CHECK(!wi_cpuset_test(&a, 64));
	CHECK_EQ(wi_cpuset_next(&a, 64), 65);

	/* Beyond the end: nothing happens. */
	wi_cpuset_set(&a, WI_CPUS_MAX);
	wi_cpuset_set(&a, ~0u);
	wi_cpuset_clear(&a, WI_CPUS_MAX);
	CHECK(!wi_cpuset_test(&a, WI_CPUS_MAX));
	CHECK_EQ(wi_cpuset_count(&a), nr - 1);
}

static void check_fill(void)
{
	static const unsigned sizes[] = { 0, 1, 63, 64, 65, 8191, 8192 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(&a, 0xa5, sizeof(a));
		wi_cpuset_fill(&a, sizes[i]);
		CHECK_EQ(wi_cpuset_count(&a), sizes[i]);
		CHECK(sizes[i] == 0 || wi_cpuset_test(&a, sizes[i] - 1));
		CHECK(!wi_cpuset_test(&a, sizes[i]));
	}
}

static void check_algebra(void)
{
	struct wi_cpuset c;

	CHECK_EQ(wi_cpuset_parse(&a, "0-99,8000", NULL), 0);
	CHECK_EQ(wi_cpuset_parse(&b, "50-149", NULL), 0);
	c = a;
	wi_cpuset_and(&c, &b);
	CHECK_EQ(wi_cpuset_count(&c), 50);
	CHECK(wi_cpuset_subset(&c, &a) && wi_cpuset_subset(&c, &b));
	CHECK(!wi_cpuset_subset(&a, &b) && !wi_cpuset_subset(&a, &c));
	c = a;
	wi_cpuset_or(&c, &b);
	CHECK_EQ(wi_cpuset_count(&c), 151);
	CHECK(wi_cpuset_subset(&a, &c) && wi_cpuset_subset(&b, &c));
	wi_cpuset_andnot(&c, &a);
	CHECK_EQ(wi_cpuset_count(&c), 50);
	CHECK_EQ(wi_cpuset_next(&c, 0), 100);
	wi_cpuset_zero(&c);
	CHECK(wi_cpuset_subset(&c, &a) && wi_cpuset_subset(&c, &c));
}

int main(void)
{
	check_members();
	check_fill();
	check_algebra();
	return 0;
}
