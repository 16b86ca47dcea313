/* SPDX-License-Identifier: MIT */
/* A second object, with copies of what the first one has from shared.hh. */
#include "shared.hh"

#define COLD __attribute__((noinline, cold))
#define NOTHING
DEFINE_OPS(second_cold, COLD, NOTHING, NOTHING);

namespace
{

const ops second_template_ops = {
	"template of the second object",
	Pages<0>::get,
	Pages<0>::put,
	get_in_handler<RUN_ORDER>,
	put_in_cleanup<RUN_ORDER>,
	Pages<0>::get_bulk,
	Pages<0>::put_bulk,
	shared_tick,
	Tokens<TOKEN_LIST>::get,
	Tokens<TOKEN_LIST>::put,
	Tokens<TOKEN_LIST>::get_bulk,
	Tokens<TOKEN_LIST>::put_bulk,
	shared_tick_tokens,
};

} // namespace

const ops *const *second_ops()
{
	static const ops *const all[] = { &second_cold_ops,
					  &second_template_ops, nullptr };

	return all;
}
