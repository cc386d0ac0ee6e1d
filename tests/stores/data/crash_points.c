/* Ends the process before its n-th call that changes or opens a file: every such call is a point at which it may die.
   Loaded before the C library (LD_PRELOAD), so it also sees the calls of Rust parts, which Python's audit hooks do not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls, fatal;

void crash_before(long n) { atomic_store(&calls, 0); atomic_store(&fatal, n); }
long crash_calls(void) { return atomic_load(&calls); }

static void point(void) {
  if (atomic_fetch_add(&calls, 1) + 1 == atomic_load(&fatal)) kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define OPEN(name, ...)                                   \
  if (flags & (O_CREAT | O_WRONLY | O_RDWR)) point();     \
  mode_t mode = 0;                                        \
  if (flags & O_CREAT) { va_list a; va_start(a, flags); mode = va_arg(a, mode_t); va_end(a); } \
  return REAL(name)(__VA_ARGS__, flags, mode)

int open(const char *path, int flags, ...) { OPEN(open, path); }
int open64(const char *path, int flags, ...) { OPEN(open64, path); }
int openat(int at, const char *path, int flags, ...) { OPEN(openat, at, path); }
int openat64(int at, const char *path, int flags, ...) { OPEN(openat64, at, path); }
ssize_t write(int f, const void *b, size_t n) { point(); return REAL(write)(f, b, n); }
ssize_t pwrite64(int f, const void *b, size_t n, off64_t o) { point(); return REAL(pwrite64)(f, b, n, o); }
int rename(const char *a, const char *b) { point(); return REAL(rename)(a, b); }
int link(const char *a, const char *b) { point(); return REAL(link)(a, b); }
int linkat(int x, const char *a, int y, const char *b, int f) { point(); return REAL(linkat)(x, a, y, b, f); }
int unlink(const char *a) { point(); return REAL(unlink)(a); }
int mkdir(const char *a, mode_t m) { point(); return REAL(mkdir)(a, m); }
int fsync(int f) { point(); return REAL(fsync)(f); }
