/* SPDX-License-Identifier: MIT */
/* The maintenance thread of a pool or a token cache. */
#ifndef WI_API_MAINTAIN_H
#define WI_API_MAINTAIN_H

#include <weir/request.h>

#include "os/os.h"

struct wi_maintainer {
	struct wi_os_worker *worker; /* NULL: none */
	uint64_t reserve;	     /* of weir_maintain() */
};

/* Ends the thread, if there is one. */
void wi_public_stop_maintaining(struct wi_maintainer *maintainer);

#endif
