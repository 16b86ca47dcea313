/* SPDX-License-Identifier: MIT */
/*
 * The sequences of the loaded objects: their descriptors stand in the section
 * __rseq_cs, and objdump says where the instructions are.
 *
 * An operation of a list has two sequences, whose descriptors follow each
 * other, and one cold block, from the four instructions in front of the second
 * sequence, which end with its arming, to the second jump behind the handler of
 * the first. Others have a handler that ends with a jump. Belonging to a
 * sequence are also the two instructions that arm it and the one behind it.
 */
#include <elf.h>
#include <link.h>
#include <string.h>

#include "step.h"

struct seq seqs[MAX_SEQS];
struct insn insns[MAX_INSNS];
struct text texts[8];
unsigned nr_seqs, nr_insns, nr_texts;

/* What objdump says of one object, in the order of addresses. */
struct listing {
	struct line {
		uint64_t at;
		char name[8];
	} * line;
	size_t n;
};

static struct listing disassemble(const char *path, uint64_t base)
{
	struct listing listing = { NULL, 0 };
	char command[4400], text[512];
	size_t room = 0;
	FILE *pipe;

	snprintf(command, sizeof(command),
		 "objdump -d -w --no-show-raw-insn -j .text '%s'", path);
	pipe = popen(command, "r");
	CHECK(pipe != NULL);
	while (fgets(text, sizeof(text), pipe) != NULL) {
		struct line line;

		if (sscanf(text, " %" SCNx64 ":\t%7s", &line.at, line.name) !=
		    2)
			continue;
		if (listing.n == room) {
			room = 2 * room + 4096;
			listing.line =
				realloc(listing.line, room * sizeof(line));
			CHECK(listing.line != NULL);
		}
		line.at += base;
		listing.line[listing.n++] = line;
	}
	if (pclose(pipe) != 0 || listing.n == 0)
		SKIP("objdump is missing (apt-get install binutils)");
	return listing;
}

static size_t line_at(const struct listing *listing, uint64_t at)
{
	size_t low = 0, high = listing->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (listing->line[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	CHECK_MSG(low < listing->n && listing->line[low].at == at,
		  "%#" PRIx64 " is no instruction for objdump", at);
	return low;
}

static void add(const struct listing *listing, size_t line, unsigned seq)
{
	const struct seq *s = &seqs[seq];
	uint64_t at = listing->line[line].at;

	if (strncmp(listing->line[line].name, "ud1", 3) == 0)
		return; /* a signature */
	CHECK(nr_insns < MAX_INSNS);
	insns[nr_insns++] = (struct insn){
		.at = at,
		.seq = seq,
		.region = at >= s->start && at < s->end,
	};
}

/* From `from` to the n-th jump there and behind. */
static void add_to_jump(const struct listing *listing, uint64_t from,
			unsigned n, unsigned seq)
{
	for (size_t line = line_at(listing, from); n > 0; line++) {
		CHECK(line < listing->n);
		add(listing, line, seq);
		if (strcmp(listing->line[line].name, "jmp") == 0)
			n--;
	}
}

/* A sequence is armed right before its range: the handler of a signal that
 * comes earlier may arm it too, and return there. */
static void check_arming(const struct listing *listing, const struct seq *s)
{
	size_t line = line_at(listing, s->start);

	CHECK(line >= 2);
	CHECK_MSG(strncmp(listing->line[line - 1].name, "mov", 3) == 0 &&
			  strncmp(listing->line[line - 2].name, "lea", 3) == 0,
		  "%s+%#" PRIx64 " begins before it is armed", s->object,
		  s->start - s->base);
}

static void add_seqs(const struct listing *listing, unsigned first)
{
	for (unsigned i = first; i < nr_seqs; i++) {
		const struct seq *s = &seqs[i], *cold = NULL;
		size_t line = line_at(listing, s->start);

		if (i + 1 < nr_seqs && s[1].abort < s->abort &&
		    s->abort - s[1].abort < 64)
			cold = s + 1;
		check_arming(listing, s);
		for (line -= 2; listing->line[line].at <= s->end; line++)
			add(listing, line, i);
		add_to_jump(listing, s->abort, cold != NULL ? 2 : 1, i);
		if (cold == NULL)
			continue;
		i++;
		line = line_at(listing, cold->start);
		check_arming(listing, cold);
		for (line -= 4; listing->line[line].at < s->abort; line++)
			add(listing, line, i);
	}
}

/* The descriptors of an object whose file is open, none if it has none. */
static void read_descriptors(FILE *file, const char *path, uint64_t base)
{
	ElfW(Ehdr) head;
	ElfW(Shdr) section, names;
	char name[16];

	if (fread(&head, sizeof(head), 1, file) != 1)
		return;
	fseek(file, (long)(head.e_shoff + head.e_shstrndx * sizeof(names)),
	      SEEK_SET);
	if (fread(&names, sizeof(names), 1, file) != 1)
		return;
	for (unsigned i = 0; i < head.e_shnum; i++) {
		const struct rseq_descriptor {
			uint32_t version, flags;
			uint64_t start, bytes, abort;
		} * d;

		fseek(file, (long)(head.e_shoff + i * sizeof(section)),
		      SEEK_SET);
		CHECK_EQ(fread(&section, sizeof(section), 1, file), 1);
		fseek(file, (long)(names.sh_offset + section.sh_name),
		      SEEK_SET);
		if (fread(name, 1, sizeof(name), file) < 10 ||
		    strcmp(name, "__rseq_cs") != 0)
			continue;
		d = (const void *)(base + section.sh_addr);
		for (size_t n = section.sh_size / sizeof(*d); n > 0; n--, d++) {
			CHECK(nr_seqs < MAX_SEQS);
			seqs[nr_seqs++] =
				(struct seq){ strrchr(path, '/') + 1, base,
					      d->start, d->start + d->bytes,
					      d->abort };
		}
	}
}

static void add_text(uint64_t at, size_t bytes)
{
	struct text *text = &texts[nr_texts++];

	CHECK(nr_texts <= sizeof(texts) / sizeof(texts[0]));
	*text = (struct text){ at, bytes, malloc(bytes), malloc(bytes) };
	CHECK(text->clean != NULL && text->traps != NULL);
	memcpy(text->clean, (const void *)at, bytes);
}

static int on_object(struct dl_phdr_info *info, size_t size, void *unused)
{
	const bool self = info->dlpi_name[0] == '\0';
	char *path = realpath(self ? "/proc/self/exe" : info->dlpi_name, NULL);
	FILE *file = path == NULL ? NULL : fopen(path, "rb");
	unsigned first = nr_seqs;
	struct listing listing;

	(void)size, (void)unused;
	if (file == NULL)
		return 0;
	read_descriptors(file, path, info->dlpi_addr);
	fclose(file);
	if (nr_seqs == first)
		return 0;
	listing = disassemble(path, info->dlpi_addr);
	add_seqs(&listing, first);
	free(listing.line);
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && p->p_flags & PF_X)
			add_text(info->dlpi_addr + p->p_vaddr, p->p_filesz);
	}
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct insn *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

void sequences_find(void)
{
	unsigned kept = 0;

	dl_iterate_phdr(on_object, NULL);
	qsort(insns, nr_insns, sizeof(insns[0]), by_address);
	/* The instruction behind one may arm the next. */
	for (unsigned i = 0; i < nr_insns; i++)
		if (kept == 0 || insns[i].at != insns[kept - 1].at)
			insns[kept++] = insns[i];
		else if (insns[i].region)
			insns[kept - 1] = insns[i];
	nr_insns = kept;
	for (unsigned i = 0; i < nr_texts; i++) {
		struct text *text = &texts[i];

		memcpy(text->traps, text->clean, text->bytes);
		for (unsigned k = 0; k < nr_insns; k++)
			if (insns[k].at - text->at < text->bytes)
				text->traps[insns[k].at - text->at] = 0xcc;
	}
}

struct insn *insn_at(uint64_t at)
{
	const struct insn key = { .at = at };

	return bsearch(&key, insns, nr_insns, sizeof(key), by_address);
}
