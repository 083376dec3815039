/* A file system that fails, for the tests: preloaded into the program, it counts the operations that
 * change files under the folder FAULT_FOLDER, and lets one of them go wrong.
 *
 * FAULT_AT    which one, from 1; 0 for none
 * FAULT_HOW   error: it fails once, with "no space left on device"
 *             full:  from it on, everything that needs space fails so, as on a disk that is full
 *             kill:  the process dies before it; of a write, after half of the bytes
 *             slow:  removing a file takes a minute
 * FAULT_COUNT a file that the number of operations is written to when the process ends in peace
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 4096

static atomic_long operations;
static atomic_char watched[FDS];
static char folder[PATH_MAX];
static long at;
static char how;

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
    const char *where = getenv("FAULT_FOLDER"), *which = getenv("FAULT_AT"), *way = getenv("FAULT_HOW");
    if (where) snprintf(folder, sizeof folder, "%s/", where);
    at = which ? atol(which) : 0;
    how = way ? way[0] : 'e';
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNT");
    if (!path) return;
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", atomic_load(&operations));
    int fd = REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0 && REAL(write)(fd, text, length) == length) close(fd);
}

static int is_inside(int dir, const char *path) {
    char whole[PATH_MAX];
    if (!folder[0] || !path) return 0;
    if (path[0] != '/') {
        if (dir != AT_FDCWD || !getcwd(whole, sizeof whole)) return 0;
        size_t length = strlen(whole);
        snprintf(whole + length, sizeof whole - length, "/%s", path);
    } else {
        snprintf(whole, sizeof whole, "%s", path);
    }
    return strncmp(whole, folder, strlen(folder)) == 0;
}

static int is_watched(int fd) { return fd >= 0 && fd < FDS && atomic_load(&watched[fd]); }

/* Counts an operation: 1 if it is to fail. `needs_space` says whether a full disk stops it. */
static int fails(int needs_space) {
    long k = atomic_fetch_add(&operations, 1) + 1;
    if (at == 0) return 0;
    if (how == 'k' && k == at) return raise(SIGKILL), 1;
    if ((how == 'e' && k == at) || (how == 'f' && k >= at && needs_space)) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

static int opened(int fd) {
    if (fd >= 0 && fd < FDS) atomic_store(&watched[fd], 1);
    return fd;
}

static int changes(int flags) { return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0; }

#define OPEN(name)                                                   \
    int name(const char *path, int flags, ...) {                     \
        va_list more;                                                \
        va_start(more, flags);                                       \
        mode_t mode = va_arg(more, mode_t);                          \
        va_end(more);                                                \
        if (!changes(flags) || !is_inside(AT_FDCWD, path))           \
            return REAL(name)(path, flags, mode);                    \
        return fails(1) ? -1 : opened(REAL(name)(path, flags, mode)); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                      \
    int name(int dir, const char *path, int flags, ...) {                 \
        va_list more;                                                     \
        va_start(more, flags);                                            \
        mode_t mode = va_arg(more, mode_t);                               \
        va_end(more);                                                     \
        if (!changes(flags) || !is_inside(dir, path))                     \
            return REAL(name)(dir, path, flags, mode);                    \
        return fails(1) ? -1 : opened(REAL(name)(dir, path, flags, mode)); \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    if (fd >= 0 && fd < FDS) atomic_store(&watched[fd], 0);
    return REAL(close)(fd);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (!is_watched(fd)) return REAL(write)(fd, bytes, length);
    if (how == 'k' && atomic_load(&operations) + 1 == at) {
        ssize_t half = REAL(write)(fd, bytes, length / 2);
        (void)half;
    }
    return fails(1) ? -1 : REAL(write)(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_watched(fd)) return REAL(writev)(fd, parts, count);
    return fails(1) ? -1 : REAL(writev)(fd, parts, count);
}

int fsync(int fd) {
    if (!is_watched(fd)) return REAL(fsync)(fd);
    return fails(1) ? -1 : REAL(fsync)(fd);
}

int ftruncate64(int fd, off64_t length) {
    if (!is_watched(fd)) return REAL(ftruncate64)(fd, length);
    return fails(1) ? -1 : REAL(ftruncate64)(fd, length);
}

int fchmod(int fd, mode_t mode) {
    if (!is_watched(fd)) return REAL(fchmod)(fd, mode);
    return fails(0) ? -1 : REAL(fchmod)(fd, mode);
}

int rename(const char *from, const char *to) {
    if (!is_inside(AT_FDCWD, to)) return REAL(rename)(from, to);
    return fails(1) ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (!is_inside(AT_FDCWD, path)) return REAL(unlink)(path);
    if (how == 's') sleep(60);
    return fails(0) ? -1 : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    if (!is_inside(AT_FDCWD, path)) return REAL(mkdir)(path, mode);
    return fails(1) ? -1 : REAL(mkdir)(path, mode);
}
