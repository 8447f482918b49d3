// What makes several devices of one firmware: address, ports, name and MAC come from the environment.
//
// The linker hands two calls of the firmware to us (`--wrap` in base.yaml): `bind`, because a peer
// listens on loopback only and on ports of the system, in safe mode too; and the one that returns
// the MAC. Nothing of ESPHome itself is changed.
#pragma once
#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <csignal>

#include "esphome/core/application.h"

static inline uint16_t peer_port(const char *variable, uint16_t built_in) {
  const char *wanted = getenv(variable);
  return wanted == nullptr ? built_in : (uint16_t) atoi(wanted);
}

extern "C" int __real_bind(int fd, const struct sockaddr *address, socklen_t size);
extern "C" int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size) {
  if (address->sa_family != AF_INET || size < sizeof(struct sockaddr_in))
    return __real_bind(fd, address, size);
  struct sockaddr_in mine = *(const struct sockaddr_in *) address;
  mine.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (mine.sin_port == htons(6053))
    mine.sin_port = htons(peer_port("PEER_API_PORT", 6053));
  if (mine.sin_port == htons(3232))
    mine.sin_port = htons(peer_port("PEER_OTA_PORT", 3232));
  return __real_bind(fd, (struct sockaddr *) &mine, sizeof(mine));
}

extern "C" void __wrap__ZN7esphome19get_mac_address_rawEPh(uint8_t *mac) {
  unsigned long long value = strtoull(getenv("PEER_MAC") ?: "02005e100000", nullptr, 16);
  for (int i = 0; i < 6; i++)
    mac[i] = (uint8_t) (value >> (8 * (5 - i)));
}

// The name is set from a literal in the generated code and has no other way in. Naming a private
// member is allowed in an explicit instantiation, and only there.
template<typename Tag, typename Tag::type Member> struct PeerAccess {
  friend typename Tag::type peer_member(Tag) { return Member; }
};
struct PeerName {
  using type = esphome::StringRef esphome::Application::*;
  friend type peer_member(PeerName);
};
struct PeerFriendlyName {
  using type = esphome::StringRef esphome::Application::*;
  friend type peer_member(PeerFriendlyName);
};
template struct PeerAccess<PeerName, &esphome::Application::name_>;
template struct PeerAccess<PeerFriendlyName, &esphome::Application::friendly_name_>;

static inline void peer_take_name() {
  if (const char *name = getenv("PEER_NAME"))
    esphome::App.*peer_member(PeerName()) = esphome::StringRef(name);
  if (const char *name = getenv("PEER_FRIENDLY_NAME"))
    esphome::App.*peer_member(PeerFriendlyName()) = esphome::StringRef(name);
}

__attribute__((constructor)) static void peer_begin() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // also a device that hangs ends with the test
}
