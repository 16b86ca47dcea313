/* SPDX-License-Identifier: MIT */
#include "shared/uprobes.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shared/guest.h"

#define TRACING "/sys/kernel/tracing"
#define PLACES_MAX 64

static char instance[96]; /* "" before there is one */
static char place[PLACES_MAX][40];
static unsigned nr_places;
static pid_t owner; /* not its children */

/* --- the file ---------------------------------------------------------- */

struct elf {
	const char *bytes;
	size_t len;
	const Elf64_Ehdr *head;
};

static void elf_open(struct elf *elf, const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;

	CHECK_MSG(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", file,
		  strerror(errno));
	elf->len = (size_t)st.st_size;
	elf->bytes = mmap(NULL, elf->len, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(elf->bytes != MAP_FAILED);
	close(fd);
	elf->head = (const void *)elf->bytes;
	CHECK(memcmp(elf->head->e_ident, ELFMAG, SELFMAG) == 0);
}

static const Elf64_Shdr *elf_section(const struct elf *elf, const char *name)
{
	const Elf64_Shdr *all = (const void *)(elf->bytes + elf->head->e_shoff);
	const char *names = elf->bytes + all[elf->head->e_shstrndx].sh_offset;

	for (unsigned i = 0; i < elf->head->e_shnum; i++)
		if (strcmp(names + all[i].sh_name, name) == 0)
			return &all[i];
	return NULL;
}

/* Where in the file an address of the program is. */
static uint64_t elf_offset(const struct elf *elf, uint64_t address)
{
	const Elf64_Phdr *all = (const void *)(elf->bytes + elf->head->e_phoff);

	for (unsigned i = 0; i < elf->head->e_phnum; i++)
		if (all[i].p_type == PT_LOAD && address >= all[i].p_vaddr &&
		    address - all[i].p_vaddr < all[i].p_filesz)
			return address - all[i].p_vaddr + all[i].p_offset;
	check_fail(__FILE__, __LINE__, "0x%" PRIx64 " is in no segment",
		   address);
}

/* --- arguments --------------------------------------------------------- */

/* "rax", "eax", "r8d", ... as uprobes say it: ax, r8. "" if it is none. */
static const char *register_name(const char *name, size_t len, char buf[8])
{
	static const char *const plain[] = { "ax", "bx", "cx", "dx",
					     "si", "di", "bp", "sp" };

	buf[0] = '\0';
	if (len >= 3 && name[1] >= '0' && name[1] <= '9' && name[0] == 'r') {
		if (name[len - 1] < '0' || name[len - 1] > '9')
			len--; /* r8d */
	} else if (len >= 3) {
		name++, len--;
	}
	if (name[0] == 'r' && len < 8)
		snprintf(buf, 8, "%.*s", (int)len, name);
	for (unsigned i = 0; i < 8; i++)
		if (len == 2 && strncmp(name, plain[i], 2) == 0)
			snprintf(buf, 8, "%s", plain[i]);
	return buf;
}

/* An argument as the note has it, "-4@16(%rsp)", in the words of uprobes,
 * " a2=+16(%sp):s32". */
static size_t fetch(char *out, size_t len, unsigned nr, const char *arg)
{
	const char *at = strchr(arg, '@') + 1;
	const size_t n = strcspn(at, " ");
	const int size = atoi(arg);
	char name[8], type[16];
	long offset;
	char *end;

	snprintf(type, sizeof(type), "%c%d", size < 0 ? 's' : 'u',
		 8 * abs(size));
	if (at[0] == '%')
		return (size_t)snprintf(out, len, " a%u=%%%s:%s", nr,
					register_name(at + 1, n - 1, name),
					type);
	if (at[0] == '$')
		return (size_t)snprintf(out, len, " a%u=\\%ld:%s", nr,
					strtol(at + 1, NULL, 0), type);
	offset = strtol(at, &end, 0);
	CHECK_MSG(end[0] == '(' && end[1] == '%' &&
			  strcspn(end, ",)") == strcspn(end, ")"),
		  "an argument that uprobes cannot fetch: %s", arg);
	return (size_t)snprintf(
		out, len, " a%u=%+ld(%%%s):%s", nr, offset,
		register_name(end + 2, strcspn(end, ")") - 2, name), type);
}

/* --- events ------------------------------------------------------------ */

/* Adds text to a file of tracefs; 0 or errno. */
static int append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC), error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

static void enable(const char *its_place, bool on)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/events/%s/enable", instance,
		 its_place);
	if (guest_write(path, on ? "1" : "0") != 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
}

static void add_place(const char *file, const struct elf *elf, uint64_t pc,
		      const char *name, const char *args)
{
	char line[512];
	unsigned nr = 0;
	size_t len;
	int error;

	CHECK(nr_places < PLACES_MAX);
	snprintf(place[nr_places], sizeof(place[0]), "weir_%d/%s_%u",
		 (int)owner, name, nr_places);
	len = (size_t)snprintf(line, sizeof(line), "p:%s %s:0x%" PRIx64,
			       place[nr_places], file, elf_offset(elf, pc));
	while (*args != '\0') {
		len += fetch(line + len, sizeof(line) - len, ++nr, args);
		args += strcspn(args, " ");
		args += strspn(args, " ");
	}
	CHECK(nr <= UPROBES_ARGS && len < sizeof(line));
	error = append(TRACING "/uprobe_events", line);
	if (error != 0 && nr_places == 0) {
		uprobes_detach();
		SKIP("the kernel takes no uprobe: %s", strerror(error));
	}
	CHECK_MSG(error == 0, "%s: %s", line, strerror(error));
	enable(place[nr_places++], true);
}

unsigned uprobes_attach(const char *file)
{
	const Elf64_Shdr *notes, *base;
	struct elf elf;
	const char *at;

	elf_open(&elf, file);
	notes = elf_section(&elf, ".note.stapsdt");
	base = elf_section(&elf, ".stapsdt.base");
	if (notes == NULL || base == NULL)
		return 0;
	if (access(TRACING "/uprobe_events", W_OK) != 0)
		SKIP("tracefs: %s", strerror(errno));
	owner = getpid();
	snprintf(instance, sizeof(instance), TRACING "/instances/weir_%d",
		 (int)owner);
	if (mkdir(instance, 0755) != 0) {
		int error = errno;

		instance[0] = '\0';
		SKIP("tracefs takes no instance: %s", strerror(error));
	}
	for (at = elf.bytes + notes->sh_offset;
	     at < elf.bytes + notes->sh_offset + notes->sh_size;) {
		const Elf64_Nhdr *note = (const void *)at;
		const uint64_t *word;
		const char *provider, *name;

		at += sizeof(*note) + ((note->n_namesz + 3) & ~3u);
		word = (const void *)at; /* place, base, semaphore */
		provider = at + 3 * sizeof(*word);
		name = provider + strlen(provider) + 1;
		if (strcmp(provider, "weir") == 0) {
			CHECK_EQ(word[2], 0); /* no semaphore */
			add_place(file, &elf, word[0] + base->sh_addr - word[1],
				  name, name + strlen(name) + 1);
		}
		at += (note->n_descsz + 3) & ~3u;
	}
	return nr_places;
}

/* At exit too, where a second exit() may not be. */
void uprobes_detach(void)
{
	char line[192];

	if (instance[0] == '\0' || getpid() != owner)
		return;
	for (unsigned i = 0; i < nr_places; i++)
		enable(place[i], false);
	if (rmdir(instance) != 0)
		fprintf(stderr, "%s stays: %s\n", instance, strerror(errno));
	for (unsigned i = 0; i < nr_places; i++) {
		snprintf(line, sizeof(line), "-:%s", place[i]);
		append(TRACING "/uprobe_events", line);
	}
	instance[0] = '\0';
	nr_places = 0;
}

/* --- hits -------------------------------------------------------------- */

/* "  trace-12  [000] .....  1.234: refill_3: (0x4011) a1=5 a2=7" */
static bool parse(const char *line, struct uprobes_hit *hit)
{
	const char *at = strstr(line, ": (0x"), *name = at;
	size_t len;

	if (at == NULL)
		return false;
	while (name > line && name[-1] != ' ')
		name--;
	len = (size_t)(at - name);
	while (len > 0 && name[len - 1] != '_')
		len--;
	CHECK(len > 1 && len <= sizeof(hit->name));
	snprintf(hit->name, sizeof(hit->name), "%.*s", (int)len - 1, name);
	hit->nr_args = 0;
	while ((at = strstr(at, " a")) != NULL) {
		at += strcspn(at, "=") + 1;
		hit->arg[hit->nr_args++] =
			*at == '-' ? strtoll(at, NULL, 10)
				   : (int64_t)strtoull(at, NULL, 10);
	}
	return true;
}

void uprobes_read(void (*each)(const struct uprobes_hit *, void *), void *ctx)
{
	struct uprobes_hit hit;
	char path[128], line[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/trace", instance);
	file = fopen(path, "r");
	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		if (line[0] != '#' && parse(line, &hit))
			each(&hit, ctx);
	fclose(file);
	file = fopen(path, "w"); /* which empties it */
	CHECK(file != NULL);
	fclose(file);
}
