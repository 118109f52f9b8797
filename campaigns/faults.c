/* Makes the FAULT_AT-th change of a file below FAULT_UNDER fail; loaded by LD_PRELOAD, see faults.py.
   FAULT_KIND: enospc (this change and all later ones, as on a full disk), eio (this one), short (half of the bytes are
   written, without an error). Without FAULT_AT nothing fails; the number of changes is written to FAULT_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long changes;
static long fault_at;
static char kind;
static const char *under;

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
  const char *text = getenv("FAULT_AT");
  fault_at = text ? atol(text) : -1;
  text = getenv("FAULT_KIND");
  kind = text ? text[0] : 'e';
  if (text && !strcmp(text, "enospc")) kind = 'n';
  under = getenv("FAULT_UNDER");
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("FAULT_COUNT");
  if (!path) return;
  char text[32];
  int length = snprintf(text, sizeof text, "%ld", atomic_load(&changes));
  int file = REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file >= 0 && REAL(write)(file, text, length) < 0) _exit(99);
  close(file);
}

static int is_below(const char *path) { return under && path && !strncmp(path, under, strlen(under)); }

static int is_watched(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

/* Whether this change fails; errno is set. */
static int fails(void) {
  long now = atomic_fetch_add(&changes, 1);
  if (fault_at < 0 || now < fault_at || kind == 's') return 0;
  if (kind == 'e' && now != fault_at) return 0;
  errno = kind == 'n' ? ENOSPC : EIO;
  return 1;
}

/* Whether this change writes half of its bytes. */
static int is_halved(void) { return kind == 's' && atomic_load(&changes) - 1 == fault_at; }

ssize_t write(int file, const void *bytes, size_t count) {
  if (is_watched(file)) {
    if (fails()) return -1;
    if (is_halved() && count > 1) count /= 2;
  }
  return REAL(write)(file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
  if (is_watched(file)) {
    if (fails()) return -1;
    if (is_halved() && count > 1) count /= 2;
  }
  return REAL(pwrite64)(file, bytes, count, at);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  if (is_watched(file)) {
    if (fails()) return -1;
    if (is_halved() && count > 0 && parts[0].iov_len > 1)
      return REAL(write)(file, parts[0].iov_base, parts[0].iov_len / 2);
  }
  return REAL(writev)(file, parts, count);
}

#define ON_FILE(type, name, parameters, ...)                  \
  type name parameters {                                      \
    if (is_watched(file) && fails()) return -1;               \
    return REAL(name)(__VA_ARGS__);                           \
  }

ON_FILE(int, fsync, (int file), file)
ON_FILE(int, fdatasync, (int file), file)
ON_FILE(int, ftruncate64, (int file, off64_t length), file, length)

#define ON_PATH(name, parameters, ...)                        \
  int name parameters {                                       \
    if (is_below(path) && fails()) return -1;                 \
    return REAL(name)(__VA_ARGS__);                           \
  }

ON_PATH(rename, (const char *path, const char *to), path, to)
ON_PATH(mkdir, (const char *path, mode_t mode), path, mode)

static int opening(const char *name, const char *path, int flags, mode_t mode) {
  if ((flags & O_CREAT) && is_below(path) && fails()) return -1;
  int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
  return real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = va_arg(more, mode_t);
  va_end(more);
  return opening("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = va_arg(more, mode_t);
  va_end(more);
  return opening("open64", path, flags, mode);
}
