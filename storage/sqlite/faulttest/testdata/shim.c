// This library is loaded between SQLite and the C library by LD_PRELOAD. It intercepts every call that changes a file
// below one folder, appends each to a log outside of that folder, and makes calls fail as the control page says. See
// package faulttest.
//
// FAULTTEST_ROOT: the folder, absolute and without symbolic links. FAULTTEST_LOG: the log. FAULTTEST_CONTROL: a file
// of at least 4096 bytes, mapped and shared with the tests.
//
// One mutex makes the order of the log that of the effects. It is locked while a call changes the page cache, never
// while fsync waits.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// The log's records; record_test.go reads them.
enum { OP_OPEN = 1, OP_WRITE, OP_TRUNCATE, OP_SYNC_BEGIN, OP_SYNC_END, OP_SYNC_FAIL, OP_UNLINK, OP_RENAME, OP_FAULT, OP_KILL };
enum { F_CREATED = 1, F_TRUNCATED = 2, F_EVICTED = 4, F_DIR = 8 };

struct record {
	uint32_t magic, op;
	uint64_t ino;
	int64_t off;
	uint64_t arg;
	uint32_t npath, ndata;
};
#define MAGIC 0x4c465744u

// The control page; control_test.go writes it. Counts are of calls that match the filter, from 1. `at` 0 means never,
// `n` -1 means for ever.
enum {
	C_LOADED, // set by the shim
	C_WRITES, C_SYNCS, C_OTHERS, C_OPS, C_INJECTED, // counted by the shim
	C_FILTER, // 0 all files, 1 *-wal, 2 neither *-wal nor *-shm
	C_WRITE_AT, C_WRITE_N, C_WRITE_KIND, C_WRITE_ERRNO,
	C_SYNC_AT, C_SYNC_N, C_SYNC_ERRNO, C_SYNC_EVICT,
	C_OTHER_AT, C_OTHER_N, C_OTHER_ERRNO,
	C_SPACE, // bytes by which files may still grow; -1: no limit
	C_KILL_AT, // of C_OPS
	C_KILL_SYNC, // a count of C_SYNCS: the process is killed while it waits for that sync
	C_KILL_AFTER, // a number of C_OPS after a fault; 0: never
	C_DELAY, // maximum duration of a simulated sync, in microseconds
	C_LIE, // syncs succeed and do nothing
	C_SETTLED, // inode of a file that was synced without the shim, which resets this to 0
	C_STOPPED, // no further call may begin
	C_BUSY, // set by the shim: a call is changing files, and may not be in the log yet
};
enum { KIND_FAIL, KIND_SHORT, KIND_TORN };

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t nroot;
static int logfd = -1;
static volatile int64_t *ctl;
static uint64_t rng = 88172645463325252ull, syncs;

// The file of a descriptor. Descriptors beyond the table stop the program.
struct file {
	int watched, dir, shm;
	uint64_t ino;
	char path[256]; // below root
};
#define TMPFILE (__O_TMPFILE & ~O_DIRECTORY)
#define NFILES 4096
static struct file files[NFILES];

// What a failed sync undoes: the bytes that unsynced writes replaced, newest first.
struct undo {
	struct undo *next;
	uint64_t ino, sync; // sync: the sync that covers it, 0 before one began
	int64_t off;
	size_t n;
	char data[];
};
static struct undo *undos;

#define REAL(name) real_##name = dlsym(RTLD_NEXT, #name)
static int (*real_open)(const char *, int, ...), (*real_open64)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...), (*real_openat64)(int, const char *, int, ...);
static int (*real_close)(int), (*real_fsync)(int), (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void *, size_t), (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static int (*real_ftruncate)(int, off_t), (*real_ftruncate64)(int, off64_t), (*real_unlink)(const char *), (*real_rename)(const char *, const char *);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

static void die(const char *what, const char *path) {
	dprintf(2, "faulttest shim: %s: %s\n", what, path ? path : "");
	abort();
}

__attribute__((constructor)) static void start(void) {
	REAL(open); REAL(open64); REAL(openat); REAL(openat64); REAL(close); REAL(fsync); REAL(fdatasync); REAL(write); REAL(pwrite); REAL(pwrite64);
	REAL(ftruncate); REAL(ftruncate64); REAL(unlink); REAL(rename); REAL(mmap);
	const char *r = getenv("FAULTTEST_ROOT"), *l = getenv("FAULTTEST_LOG"), *c = getenv("FAULTTEST_CONTROL");
	if (!r || !l || !c) return;
	snprintf(root, sizeof root, "%s/", r);
	logfd = real_open(l, O_WRONLY | O_APPEND | O_CLOEXEC);
	int fd = real_open(c, O_RDWR | O_CLOEXEC);
	if (logfd < 0 || fd < 0) die("cannot open log or control page", l);
	ctl = real_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ctl == MAP_FAILED) die("cannot map", c);
	real_close(fd);
	nroot = strlen(root);
	ctl[C_LOADED] = 1;
}

// put appends a record. It preserves errno.
static void put(uint32_t op, uint64_t ino, int64_t off, uint64_t arg, const char *path, const void *data, size_t ndata) {
	struct record r = {MAGIC, op, ino, off, arg, path ? strlen(path) : 0, ndata};
	struct iovec v[3] = {{&r, sizeof r}, {(void *)path, r.npath}, {(void *)data, ndata}};
	int e = errno;
	if (syscall(SYS_writev, logfd, v, 3) != (long)(sizeof r + r.npath + ndata)) die("cannot write the log", strerror(errno));
	errno = e;
}

// lock begins a call. A process that is about to end stops further calls first, so that it does not end between a
// change and its record.
static void lock(void) {
	pthread_mutex_lock(&mu);
	__atomic_store_n(&ctl[C_BUSY], 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&ctl[C_STOPPED], __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&ctl[C_BUSY], 0, __ATOMIC_SEQ_CST);
		for (;;) pause();
	}
}

static void unlock(void) {
	__atomic_store_n(&ctl[C_BUSY], 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&mu);
}

static uint64_t draw(uint64_t n) {
	rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17;
	return rng % n;
}

// below returns the part of the path below root, or NULL.
static const char *below(int dirfd, const char *path, char *buf) {
	if (!nroot || !path) return NULL;
	if (path[0] != '/') {
		char link[64];
		snprintf(link, sizeof link, dirfd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dirfd);
		ssize_t n = readlink(link, buf, PATH_MAX - 1);
		if (n < 0) return NULL;
		snprintf(buf + n, PATH_MAX - n, "/%s", path);
		path = buf;
	}
	if (strncmp(path, root, nroot - 1)) return NULL;
	if (path[nroot - 1] == 0) return ".";
	return path[nroot - 1] == '/' ? path + nroot : NULL;
}

static int ends(const char *s, const char *end) {
	size_t n = strlen(s), m = strlen(end);
	return n >= m && !strcmp(s + n - m, end);
}

static struct file *watched(int fd) {
	return nroot && fd >= 0 && fd < NFILES && files[fd].watched ? &files[fd] : NULL;
}

static int matches(const char *path) {
	int wal = ends(path, "-wal"), shm = ends(path, "-shm");
	return ctl[C_FILTER] == 0 || (ctl[C_FILTER] == 1 ? wal : !wal && !shm);
}

static void injected(const char *path, int counter) {
	ctl[C_INJECTED]++;
	put(OP_FAULT, 0, 0, counter, path, NULL, 0);
	if (ctl[C_KILL_AFTER]) {
		ctl[C_KILL_AT] = ctl[C_OPS] + ctl[C_KILL_AFTER];
		ctl[C_KILL_AFTER] = 0;
	}
}

// due counts a call, and reports whether it must fail.
static int due(const char *path, int counter, int at, int n) {
	if (!matches(path)) return 0;
	int64_t i = ++ctl[counter];
	if (!ctl[at] || i < ctl[at] || (ctl[n] >= 0 && i >= ctl[at] + ctl[n])) return 0;
	injected(path, counter);
	return 1;
}

static void die9(void) {
	put(OP_KILL, 0, 0, 0, NULL, NULL, 0);
	kill(getpid(), SIGKILL);
	for (;;) pause();
}

static int64_t sizeOf(int fd) {
	struct stat st;
	return fstat(fd, &st) ? 0 : st.st_size;
}

static void forget(uint64_t ino, uint64_t sync) { // what a sync made durable
	for (struct undo **p = &undos; *p;) {
		struct undo *u = *p;
		if (u->ino == ino && (!sync || (u->sync && u->sync <= sync))) { *p = u->next; free(u); } else p = &u->next;
	}
}

// step counts the points at which a crash can occur.
static void step(void) {
	if (ctl[C_SETTLED]) {
		forget(ctl[C_SETTLED], 0);
		ctl[C_SETTLED] = 0;
	}
	if (++ctl[C_OPS] == ctl[C_KILL_AT]) die9();
}

static void opened(int fd, const char *path, int flags, int existed) {
	if (fd < 0) return;
	if (fd >= NFILES) die("too many descriptors", path);
	struct stat st;
	fstat(fd, &st);
	struct file *f = &files[fd];
	memset(f, 0, sizeof *f);
	if (strlen(path) >= sizeof f->path) die("long path", path);
	strcpy(f->path, path);
	f->watched = 1;
	f->dir = S_ISDIR(st.st_mode);
	f->shm = ends(path, "-shm");
	f->ino = st.st_ino;
	uint64_t how = (existed ? 0 : F_CREATED) | ((flags & O_TRUNC) ? F_TRUNCATED : 0) | (f->dir ? F_DIR : 0);
	if (!f->shm) put(OP_OPEN, f->ino, st.st_size, how, path, NULL, 0);
}

static int doOpen(int (*real)(int, const char *, int, ...), int dirfd, const char *path, int flags, mode_t mode) {
	char buf[PATH_MAX];
	const char *rel = below(dirfd, path, buf);
	if (!rel) return real(dirfd, path, flags, mode);
	if (flags & (O_APPEND | O_DIRECT | TMPFILE)) die("open with O_APPEND, O_DIRECT or O_TMPFILE", path);
	lock();
	struct stat st;
	int existed = !fstatat(dirfd, path, &st, 0), fd;
	if (!existed && (flags & O_CREAT) && due(rel, C_OTHERS, C_OTHER_AT, C_OTHER_N)) {
		errno = ctl[C_OTHER_ERRNO];
		fd = -1;
	} else {
		fd = real(dirfd, path, flags, mode);
		opened(fd, rel, flags, existed);
	}
	unlock();
	return fd;
}

#define MODE() mode_t mode = 0; if (flags & (O_CREAT | TMPFILE)) { va_list ap; va_start(ap, flags); mode = va_arg(ap, mode_t); va_end(ap); }
int open(const char *path, int flags, ...) { MODE(); return doOpen(real_openat, AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(); return doOpen(real_openat64, AT_FDCWD, path, flags, mode); }
int openat(int fd, const char *path, int flags, ...) { MODE(); return doOpen(real_openat, fd, path, flags, mode); }
int openat64(int fd, const char *path, int flags, ...) { MODE(); return doOpen(real_openat64, fd, path, flags, mode); }
int __open_2(const char *path, int flags) { return doOpen(real_openat, AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return doOpen(real_openat64, AT_FDCWD, path, flags, 0); }
int __openat_2(int fd, const char *path, int flags) { return doOpen(real_openat, fd, path, flags, 0); }
int __openat64_2(int fd, const char *path, int flags) { return doOpen(real_openat64, fd, path, flags, 0); }
int creat(const char *path, mode_t mode) { return doOpen(real_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
	if (watched(fd)) {
		lock();
		files[fd].watched = 0;
		int r = real_close(fd);
		unlock();
		return r;
	}
	return real_close(fd);
}

// store writes, and logs the bytes that were written.
static ssize_t store(struct file *f, int fd, const void *data, size_t n, int64_t off) {
	struct undo *u = NULL;
	if (!f->shm) {
		u = calloc(1, sizeof *u + n);
		u->n = n; u->ino = f->ino; u->off = off;
		if (syscall(SYS_pread64, fd, u->data, n, off) < 0) die("cannot read", f->path);
	}
	ssize_t w = syscall(SYS_pwrite64, fd, data, n, off);
	if (w <= 0) { free(u); return w; }
	if (u) {
		u->n = w;
		u->next = undos;
		undos = u;
		put(OP_WRITE, f->ino, off, 0, NULL, data, w);
	}
	return w;
}

static ssize_t doWrite(struct file *f, int fd, const void *data, size_t n, int64_t off) {
	if (f->dir) { errno = EBADF; return -1; }
	lock();
	ssize_t w;
	step();
	if (due(f->path, C_WRITES, C_WRITE_AT, C_WRITE_N)) {
		int kind = ctl[C_WRITE_KIND];
		w = kind == KIND_FAIL ? 0 : store(f, fd, data, n < 2 ? n : 1 + draw(n - 1), off);
		if (kind != KIND_SHORT) { w = -1; errno = ctl[C_WRITE_ERRNO]; }
	} else if (ctl[C_SPACE] >= 0 && off + (int64_t)n > sizeOf(fd)) {
		int64_t size = sizeOf(fd), grow = off + (int64_t)n - size, left = ctl[C_SPACE];
		if (grow > left) {
			injected(f->path, C_SPACE);
			int64_t fits = (int64_t)n - (grow - left);
			w = fits > 0 ? store(f, fd, data, fits, off) : -1;
			if (w < 0) errno = ENOSPC;
		} else w = store(f, fd, data, n, off);
		ctl[C_SPACE] -= sizeOf(fd) - size;
	} else w = store(f, fd, data, n, off);
	unlock();
	return w;
}

ssize_t write(int fd, const void *data, size_t n) {
	struct file *f = watched(fd);
	if (!f) return real_write(fd, data, n);
	ssize_t w = doWrite(f, fd, data, n, lseek(fd, 0, SEEK_CUR));
	if (w > 0) lseek(fd, w, SEEK_CUR);
	return w;
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t off) {
	struct file *f = watched(fd);
	return f ? doWrite(f, fd, data, n, off) : real_pwrite(fd, data, n, off);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t off) {
	struct file *f = watched(fd);
	return f ? doWrite(f, fd, data, n, off) : real_pwrite64(fd, data, n, off);
}

// evict restores the disk's content where the page cache has nothing newer: the kernel may drop pages whose sync
// failed.
static void evict(int fd, uint64_t ino, uint64_t sync) {
	int64_t size = sizeOf(fd);
	for (struct undo *u = undos; u; u = u->next) {
		if (u->ino != ino || !u->sync || u->sync > sync || u->off >= size) continue;
		int newer = 0;
		for (struct undo *v = undos; v != u; v = v->next)
			newer |= v->ino == ino && (!v->sync || v->sync > sync) && v->off < u->off + (int64_t)u->n && u->off < v->off + (int64_t)v->n;
		size_t n = u->off + (int64_t)u->n > size ? (size_t)(size - u->off) : u->n;
		if (!newer && syscall(SYS_pwrite64, fd, u->data, n, u->off) < 0) die("cannot take back", strerror(errno));
	}
}

static int doSync(struct file *f, int fd) {
	lock();
	step();
	uint64_t id = ++syncs;
	put(OP_SYNC_BEGIN, f->ino, 0, id | (f->dir ? 1ull << 63 : 0), f->path, NULL, 0);
	for (struct undo *u = undos; u; u = u->next)
		if (u->ino == f->ino && !u->sync) u->sync = id;
	int64_t delay = ctl[C_DELAY] > 0 ? draw(ctl[C_DELAY]) : 0;
	unlock();

	// The kernel does not sync: the tests' model decides what is on the disk. The wait lets other writes occur
	// meanwhile.
	if (delay) nanosleep(&(struct timespec){delay / 1000000, delay % 1000000 * 1000}, NULL);

	lock();
	step();
	if (ctl[C_KILL_SYNC] && ctl[C_SYNCS] + 1 == ctl[C_KILL_SYNC]) die9();
	int r = 0;
	if (due(f->path, C_SYNCS, C_SYNC_AT, C_SYNC_N)) {
		if (ctl[C_SYNC_EVICT]) evict(fd, f->ino, id);
		forget(f->ino, id);
		put(OP_SYNC_FAIL, f->ino, 0, id | (f->dir ? 1ull << 63 : 0) | (ctl[C_SYNC_EVICT] ? 1ull << 62 : 0), f->path, NULL, 0);
		errno = ctl[C_SYNC_ERRNO];
		r = -1;
	} else if (!ctl[C_LIE]) {
		forget(f->ino, id);
		put(OP_SYNC_END, f->ino, 0, id | (f->dir ? 1ull << 63 : 0), f->path, NULL, 0);
	}
	unlock();
	return r;
}

int fsync(int fd) { struct file *f = watched(fd); return f ? doSync(f, fd) : real_fsync(fd); }
int fdatasync(int fd) { struct file *f = watched(fd); return f ? doSync(f, fd) : real_fdatasync(fd); }

static int doTruncate(struct file *f, int fd, int64_t size) {
	lock();
	int r = -1;
	if (!f->shm) step();
	if (!f->shm && due(f->path, C_OTHERS, C_OTHER_AT, C_OTHER_N)) errno = ctl[C_OTHER_ERRNO];
	else {
		int64_t before = sizeOf(fd);
		r = real_ftruncate64(fd, size);
		if (r == 0 && !f->shm) {
			put(OP_TRUNCATE, f->ino, size, 0, NULL, NULL, 0);
			if (ctl[C_SPACE] >= 0 && size < before) ctl[C_SPACE] += before - size;
		}
	}
	unlock();
	return r;
}
int ftruncate(int fd, off_t size) { struct file *f = watched(fd); return f ? doTruncate(f, fd, size) : real_ftruncate(fd, size); }
int ftruncate64(int fd, off64_t size) { struct file *f = watched(fd); return f ? doTruncate(f, fd, size) : real_ftruncate64(fd, size); }

int unlink(const char *path) {
	char buf[PATH_MAX];
	const char *rel = below(AT_FDCWD, path, buf);
	if (!rel || ends(rel, "-shm")) return real_unlink(path);
	lock();
	int r = -1;
	struct stat st = {0};
	if (stat(path, &st)) { unlock(); return real_unlink(path); }
	step();
	if (due(rel, C_OTHERS, C_OTHER_AT, C_OTHER_N)) errno = ctl[C_OTHER_ERRNO];
	else if ((r = real_unlink(path)) == 0) {
		put(OP_UNLINK, 0, 0, 0, rel, NULL, 0);
		if (ctl[C_SPACE] >= 0) ctl[C_SPACE] += st.st_size;
	}
	unlock();
	return r;
}

int rename(const char *from, const char *to) {
	char a[PATH_MAX], b[PATH_MAX];
	const char *x = below(AT_FDCWD, from, a), *y = below(AT_FDCWD, to, b);
	if (!x && !y) return real_rename(from, to);
	if (!x || !y) die("rename out of or into the folder", from);
	lock();
	int r = -1;
	step();
	if (due(x, C_OTHERS, C_OTHER_AT, C_OTHER_N)) errno = ctl[C_OTHER_ERRNO];
	else if ((r = real_rename(from, to)) == 0) put(OP_RENAME, 0, 0, 0, x, y, strlen(y));
	unlock();
	return r;
}

// A call that the log cannot represent stops the program, so that no test passes without having seen it.
void *mmap(void *addr, size_t n, int prot, int flags, int fd, off_t off) {
	struct file *f = watched(fd);
	if (f && !f->shm && (prot & PROT_WRITE) && (flags & MAP_SHARED)) die("a file mapped for writing", f->path);
	return real_mmap ? real_mmap(addr, n, prot, flags, fd, off) : (void *)syscall(SYS_mmap, addr, n, prot, flags, fd, off);
}
void *mmap64(void *addr, size_t n, int prot, int flags, int fd, off64_t off) { return mmap(addr, n, prot, flags, fd, off); }

#define REFUSE_FD(ret, name, params, args) ret name params { \
	static ret (*real) params; \
	if (!real) real = dlsym(RTLD_NEXT, #name); \
	if (watched(fd)) die(#name " on a watched file", files[fd].path); \
	return real args; }
REFUSE_FD(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
REFUSE_FD(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t off), (fd, v, n, off))
REFUSE_FD(ssize_t, pwritev2, (int fd, const struct iovec *v, int n, off_t off, int flags), (fd, v, n, off, flags))
REFUSE_FD(int, fallocate, (int fd, int mode, off_t off, off_t n), (fd, mode, off, n))
REFUSE_FD(int, fallocate64, (int fd, int mode, off64_t off, off64_t n), (fd, mode, off, n))
REFUSE_FD(int, posix_fallocate, (int fd, off_t off, off_t n), (fd, off, n))
REFUSE_FD(int, posix_fallocate64, (int fd, off64_t off, off64_t n), (fd, off, n))
REFUSE_FD(int, dup, (int fd), (fd))
REFUSE_FD(int, dup2, (int fd, int to), (fd, to))
REFUSE_FD(int, sync_file_range, (int fd, off64_t off, off64_t n, unsigned flags), (fd, off, n, flags))

#define REFUSE_PATH(name, params, args) int name params { \
	static int (*real) params; \
	char buf[PATH_MAX]; \
	if (!real) real = dlsym(RTLD_NEXT, #name); \
	if (below(dir, path, buf)) die(#name " below the folder", path); \
	return real args; }
#define AT int dir, const char *path
REFUSE_PATH(unlinkat, (AT, int flags), (dir, path, flags))
REFUSE_PATH(renameat, (AT, int to, const char *path2), (dir, path, to, path2))
REFUSE_PATH(renameat2, (AT, int to, const char *path2, unsigned flags), (dir, path, to, path2, flags))
REFUSE_PATH(linkat, (AT, int to, const char *path2, int flags), (dir, path, to, path2, flags))
REFUSE_PATH(mkdirat, (AT, mode_t mode), (dir, path, mode))
#undef dir
#define REFUSE_PLAIN(name, params, args) int name params { \
	static int (*real) params; \
	char buf[PATH_MAX]; \
	if (!real) real = dlsym(RTLD_NEXT, #name); \
	if (below(AT_FDCWD, path, buf)) die(#name " below the folder", path); \
	return real args; }
REFUSE_PLAIN(mkdir, (const char *path, mode_t mode), (path, mode))
REFUSE_PLAIN(rmdir, (const char *path), (path))
REFUSE_PLAIN(truncate, (const char *path, off_t n), (path, n))
REFUSE_PLAIN(link, (const char *path, const char *to), (path, to))
