// The serial line of a device: `/dev/rs485` of the configuration is the pseudo terminal that the
// environment names. The linker hands `open` to us, see bridge.yaml.
#pragma once
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>

extern "C" int __real_open(const char *path, int flags, ...);
extern "C" int __wrap_open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  const char *tty = getenv("PEER_TTY");
  return __real_open(tty != nullptr && strcmp(path, "/dev/rs485") == 0 ? tty : path, flags, mode);
}
