/* SPDX-License-Identifier: MIT */
/*
 * Files that look like pools before the reader of weir/watch.h. If this fails,
 * one of them made it crash, was taken for a pool though its descriptor is
 * wrong, was refused though nothing is, or grew as it was read.
 *
 * An input makes a whole pool's file, then writes numbers of its own into it,
 * and leaves out pages and seals.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/watch.h>

#include "os/os.h"
#include "api/meta.h"
#include "zone/zone.h"

#define BYTES_MAX (1 << 20)
#define NUMBER 77

static struct {
	_Alignas(4096) char bytes[BYTES_MAX];
	bool is_changed, is_unsealed;
} m;

static struct wi_live *live(void)
{
	return (struct wi_live *)(void *)m.bytes;
}

static const uint64_t values[] = { 0,	      1,	 8,	63,
				   512,	      4096,	 0x400, UINT32_MAX,
				   INT64_MAX, UINT64_MAX };

static uint64_t take_value(struct bytes *b)
{
	unsigned how = take_u8(b);

	return how < 128 ? values[how % (sizeof(values) / sizeof(values[0]))]
			 : take_u64(b);
}

/* A pool of that shape, as its owner would make it. */
static void make(struct bytes *b)
{
	struct wi_live *l = live();

	memset(m.bytes, 0, sizeof(m.bytes));
	*l = (struct wi_live){
		.magic = WI_LIVE_MAGIC,
		.version = WI_LIVE_VERSION,
		.number = NUMBER,
		.name = "fuzz",
		.page_size = UINT64_C(64) * (1 + take_below(b, 80)),
		.pid = (uint32_t)getpid(),
		.nr_cpus = 1 + take_below(b, 4),
		.nr_zones = 1 + take_below(b, 3),
		.nr_lists = WEIR_STAT_LISTS,
		.batch = 1 + take_below(b, WI_BATCH_MAX),
	};
	l->zone_pages = 1 + take_u16(b);
	l->bytes = ((l->nr_zones - 1) * l->zone_pages + 1 +
		    take_u16(b) % l->zone_pages) *
		   l->page_size;
	for (unsigned i = 0; i < WEIR_NR_LISTS; i++) {
		l->limits[i] = 100 + i;
		l->weight[i] = 1u << i;
	}
	l->layout = wi_live_lay_out(l);
	MUST(l->layout.bytes <= BYTES_MAX);
	for (uint64_t at = 4096; at < l->layout.zones; at += 4096)
		m.bytes[at + 8] = 1;
	for (unsigned zone = 0; zone < l->nr_zones; zone++)
		wi_zone_init(m.bytes + l->layout.zones +
				     zone * l->layout.zone_bytes,
			     wi_live_zone_pages(l, zone));
}

/* Numbers of its own: some into the descriptor, most behind it. */
static void change(struct bytes *b, uint64_t len)
{
	for (unsigned n = take_below(b, 24); n > 0; n--) {
		bool in_descriptor = take_u8(b) < 32;
		uint64_t at = in_descriptor
				      ? take_u16(b) % sizeof(struct wi_live)
				      : 4096 + take_u64(b) % (len - 4096);
		uint64_t value = take_value(b);

		at = at / 8 * 8;
		m.is_changed |= in_descriptor;
		memcpy(m.bytes + at, &value, 8);
	}
}

/* As a file; pages that are left out stay holes. */
static int put(struct bytes *b, uint64_t len)
{
	const unsigned how = take_u8(b);
	const uint64_t size =
		how & 1 && how & 2 ? len - 1 - take_u16(b) % len : len;
	int fd = memfd_create("weir:fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int seals = WI_OS_SEALS;

	MUST(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	m.is_changed |= size != len;
	for (uint64_t at = 0; at < size; at += 4096) {
		size_t n = size - at < 4096 ? size - at : 4096;
		bool is_out = how & 4 && take_u8(b) & 1;

		/* Pages of zones may be missing. */
		m.is_changed |= is_out && at < live()->layout.zones;
		if (!is_out)
			MUST(pwrite(fd, m.bytes + at, n, (off_t)at) ==
			     (ssize_t)n);
	}
	if (how >= 0xf0)
		seals &= (int)take_u8(b);
	m.is_unsealed = seals != WI_OS_SEALS;
	MUST(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static void read_all(const struct weir_watch *watch)
{
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;

	MUST(weir_watch_info(watch, &info) == 0);
	MUST(memchr(info.name, '\0', sizeof(info.name)) != NULL);
	MUST(weir_watch_read(watch, &stat) == 0);
	MUST(stat.pages == info.bytes / info.page_size);
	for (unsigned z = 0; z < info.nr_zones; z++) {
		struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

		MUST(weir_watch_read_zone(watch, z, &zone) == 0);
		for (unsigned cpu = 0; cpu < info.nr_cpus; cpu++) {
			struct weir_stat_cpu its = WEIR_STAT_CPU_INIT;

			MUST(weir_watch_read_cpu(watch, z, cpu, &its) == 0);
			MUST(its.mode <= WEIR_MODE_OFF);
		}
	}
}

static int64_t blocks_of(int fd)
{
	struct stat st;

	MUST(fstat(fd, &st) == 0);
	return st.st_blocks;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct weir_watch_id id = { .pid = getpid(), .number = NUMBER };
	struct bytes b = { data, data + size };
	struct weir_watch *watch = NULL;
	uint64_t len;
	int64_t blocks;
	int fd, err;

	m.is_changed = m.is_unsealed = false;
	make(&b);
	len = live()->layout.bytes;
	change(&b, len);
	fd = put(&b, len);
	blocks = blocks_of(fd);
	err = weir_watch_open(&watch, &id);
	MUST(err == 0 || err == -EPROTO || err == -ENOENT);
	MUST(!m.is_unsealed || err != 0);
	MUST(m.is_changed || m.is_unsealed || err == 0);
	if (err == 0) {
		read_all(watch);
		weir_watch_close(watch);
	}
	MUST(blocks_of(fd) == blocks);
	close(fd);
	return 0;
}
