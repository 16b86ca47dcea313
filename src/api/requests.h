/* SPDX-License-Identifier: MIT */
/* What requests and the maintenance thread mean for the rest of a pool's or
 * cache's life. */
#ifndef WI_API_REQUESTS_H
#define WI_API_REQUESTS_H

#include "cache/cache.h"

/* May it be destroyed, as far as its requests are concerned? 0; -EBUSY: some
 * wait; -EDEADLK: this thread is in a callback of one; with a reason. */
int wi_public_may_end(struct wi_cache *cache);

#endif
