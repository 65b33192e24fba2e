/*
 * What a disk does to a database, on purpose. Loaded in front of the C library,
 * it sees how SQLite writes one file and those beside it.
 *
 * DISK_FILE   the database; its -wal and -journal count too
 * DISK_UNDO   set: keep what power lost now would take back
 * DISK_FAULT  a file: while it exists, writing fails with the error that it
 *             names: ENOSPC, EROFS or EIO. With SYNC, writing works and syncing
 *             fails.
 *
 * With DISK_UNDO a file F has beside it
 *
 *   F.undo       what was written since F was last synced, and what was there
 *                before: records of struct record, old bytes and new bytes
 *   F.new        F was made, and its folder not synced since
 *   F.gone       what F was when it was removed, and the folder not synced since;
 *                F.gone.undo belongs to it
 *
 * A folder counts as synced when it is synced, as on the strictest of disks.
 * Package crash applies all this after it killed the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS 65536
#define REAL(type, name, ...) \
	static type (*real)(__VA_ARGS__); \
	if (real == NULL) \
		*(void **)&real = dlsym(RTLD_NEXT, name)

struct record {
	uint64_t kind; /* 0: written at offset; 1: truncated to offset */
	uint64_t offset;
	uint64_t old_size; /* of the file */
	uint64_t old_length;
	uint64_t new_length;
};

enum { UNKNOWN, OTHER, FOLDER, TRACKED }; /* TRACKED + n is names[n] */
static const char *const names[] = {"", "-wal", "-journal"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char kinds[FDS]; /* of what a descriptor is */
static int undo[3] = {-1, -1, -1};

static int really_open(const char *path, int flags)
{
	REAL(int, "open64", const char *, int, ...);
	return real(path, flags, 0600);
}

static ssize_t really_write(int fd, const void *data, size_t n)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	return real(fd, data, n);
}

static int really_close(int fd)
{
	REAL(int, "close", int);
	return real(fd);
}

static int really_unlink(const char *path)
{
	REAL(int, "unlink", const char *);
	return real(path);
}

static void die(const char *what)
{
	fprintf(stderr, "the shim of the disk: %s: %s\n", what, strerror(errno));
	_exit(99);
}

/* which says what a path is. */
static int which(const char *path)
{
	const char *file = getenv("DISK_FILE");
	if (file == NULL || path == NULL)
		return OTHER;
	size_t n = strlen(file);
	if (strncmp(path, file, n) == 0)
		for (int i = 0; i < 3; i++)
			if (strcmp(path + n, names[i]) == 0)
				return TRACKED + i;
	const char *slash = strrchr(file, '/');
	if (slash != NULL && strlen(path) == (size_t)(slash - file) && strncmp(path, file, slash - file) == 0)
		return FOLDER;
	return OTHER;
}

static int kind_of(int fd)
{
	if (fd < 0 || fd >= FDS)
		return OTHER;
	if (kinds[fd] == UNKNOWN) {
		char link[64], path[PATH_MAX];
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, path, sizeof path - 1);
		if (n < 0)
			return OTHER;
		path[n] = 0;
		kinds[fd] = which(path);
	}
	return kinds[fd];
}

static void beside(char *path, int kind, const char *ending)
{
	snprintf(path, PATH_MAX, "%s%s%s", getenv("DISK_FILE"), names[kind - TRACKED], ending);
}

/* fault is the error with which writing fails at present, or 0. */
static int fault(int syncing)
{
	const char *path = getenv("DISK_FAULT");
	char word[16] = "";
	if (path == NULL)
		return 0;
	int fd = really_open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, word, sizeof word - 1);
	really_close(fd);
	if (n < 0)
		return 0;
	if (strcmp(word, "SYNC") == 0)
		return syncing ? EIO : 0;
	if (syncing)
		return 0;
	return strcmp(word, "ENOSPC") == 0 ? ENOSPC : strcmp(word, "EROFS") == 0 ? EROFS : EIO;
}

/* note writes down what is about to change. */
static void note(int fd, int kind, struct record r, const void *data)
{
	char path[PATH_MAX];
	struct stat st;
	if (getenv("DISK_UNDO") == NULL)
		return;
	if (fstat(fd, &st) != 0)
		die("fstat");
	r.old_size = st.st_size;
	uint64_t from = r.offset, to = r.kind == 1 ? r.old_size : r.offset + r.new_length;
	if (to > r.old_size)
		to = r.old_size;
	r.old_length = to > from ? to - from : 0;
	char *buffer = malloc(sizeof r + r.old_length + r.new_length);
	if (buffer == NULL)
		die("malloc");
	memcpy(buffer, &r, sizeof r);
	if (r.old_length > 0) {
		/* the descriptor may be open for writing only */
		char link[64];
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		int reader = really_open(link, O_RDONLY);
		if (reader < 0 || pread64(reader, buffer + sizeof r, r.old_length, from) != (ssize_t)r.old_length)
			die("reading what was there");
		really_close(reader);
	}
	if (r.new_length > 0)
		memcpy(buffer + sizeof r + r.old_length, data, r.new_length);
	int *log = &undo[kind - TRACKED];
	if (*log < 0) {
		beside(path, kind, ".undo");
		*log = really_open(path, O_WRONLY | O_CREAT | O_APPEND);
	}
	size_t length = sizeof r + r.old_length + r.new_length;
	if (really_write(*log, buffer, length) != (ssize_t)length)
		die("writing what was there");
	free(buffer);
}

static void folder_synced(void)
{
	char path[PATH_MAX];
	for (int kind = TRACKED; kind < TRACKED + 3; kind++) {
		beside(path, kind, ".new");
		really_unlink(path);
		beside(path, kind, ".gone");
		really_unlink(path);
		beside(path, kind, ".gone.undo");
		really_unlink(path);
	}
}

static int synced(int fd)
{
	int failure, kind = kind_of(fd);
	if (kind < FOLDER)
		return 0;
	pthread_mutex_lock(&lock);
	failure = kind >= TRACKED ? fault(1) : 0;
	if (failure == 0 && getenv("DISK_UNDO") != NULL) {
		if (kind == FOLDER)
			folder_synced();
		else if (undo[kind - TRACKED] >= 0 && ftruncate64(undo[kind - TRACKED], 0) != 0)
			die("forgetting what was there");
	}
	pthread_mutex_unlock(&lock);
	if (failure != 0) {
		errno = failure;
		return -1;
	}
	return 0;
}

/* Nothing here survives the machine anyway: what syncing means is decided by
 * the records. */
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

static ssize_t write_at(int fd, const void *data, size_t n, off64_t offset, int moves)
{
	REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
	int kind = kind_of(fd);
	if (kind < TRACKED)
		return moves ? really_write(fd, data, n) : real(fd, data, n, offset);
	pthread_mutex_lock(&lock);
	int failure = fault(0);
	ssize_t written = -1;
	if (failure == 0) {
		if (moves)
			offset = lseek64(fd, 0, SEEK_CUR);
		note(fd, kind, (struct record){.offset = offset, .new_length = n}, data);
		written = moves ? really_write(fd, data, n) : real(fd, data, n, offset);
		failure = errno;
	}
	pthread_mutex_unlock(&lock);
	errno = failure;
	return written;
}

ssize_t write(int fd, const void *data, size_t n) { return write_at(fd, data, n, 0, 1); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) { return write_at(fd, data, n, offset, 0); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) { return write_at(fd, data, n, offset, 0); }

static int truncate_to(int fd, off64_t size)
{
	REAL(int, "ftruncate64", int, off64_t);
	int kind = kind_of(fd);
	struct stat st;
	if (kind < TRACKED)
		return real(fd, size);
	pthread_mutex_lock(&lock);
	int failure = fault(0), result = -1;
	if (failure == 0) {
		if (fstat(fd, &st) == 0 && st.st_size != size)
			note(fd, kind, (struct record){.kind = 1, .offset = size}, NULL);
		result = real(fd, size);
		failure = errno;
	}
	pthread_mutex_unlock(&lock);
	errno = failure;
	return result;
}

int ftruncate(int fd, off_t size) { return truncate_to(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncate_to(fd, size); }

int unlink(const char *path)
{
	char gone[PATH_MAX], log[PATH_MAX];
	int kind = which(path);
	if (kind < TRACKED || getenv("DISK_UNDO") == NULL)
		return really_unlink(path);
	pthread_mutex_lock(&lock);
	int result, failure = fault(0);
	beside(gone, kind, ".new");
	int unknown = access(gone, F_OK) == 0; /* the disk does not know it yet */
	beside(log, kind, ".undo");
	if (failure != 0) {
		result = -1;
	} else if (unknown) {
		really_unlink(gone);
		really_unlink(log);
		result = really_unlink(path);
		failure = errno;
	} else {
		beside(gone, kind, ".gone");
		result = rename(path, gone);
		failure = errno;
		beside(gone, kind, ".gone.undo");
		if (result == 0 && rename(log, gone) != 0 && errno != ENOENT)
			die("moving what was there");
	}
	if (result == 0 && undo[kind - TRACKED] >= 0) {
		really_close(undo[kind - TRACKED]);
		undo[kind - TRACKED] = -1;
	}
	pthread_mutex_unlock(&lock);
	errno = failure;
	return result;
}

static int open_as(const char *path, int flags, mode_t mode)
{
	REAL(int, "open64", const char *, int, ...);
	char mark[PATH_MAX];
	int kind = which(path);
	if (kind < TRACKED || (flags & O_CREAT) == 0 || getenv("DISK_UNDO") == NULL)
		return real(path, flags, mode);
	pthread_mutex_lock(&lock);
	int made = access(path, F_OK) != 0;
	if (made) { /* first, in case that the end comes in between */
		beside(mark, kind, ".new");
		really_close(really_open(mark, O_WRONLY | O_CREAT));
	}
	int fd = real(path, flags, mode), failure = errno;
	if (made && fd < 0)
		really_unlink(mark);
	pthread_mutex_unlock(&lock);
	errno = failure;
	return fd;
}

#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		va_list rest; \
		va_start(rest, flags); \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
		va_end(rest); \
		return open_as(path, flags, mode); \
	}
OPEN(open)
OPEN(open64)

int close(int fd)
{
	if (fd >= 0 && fd < FDS)
		kinds[fd] = UNKNOWN;
	return really_close(fd);
}
