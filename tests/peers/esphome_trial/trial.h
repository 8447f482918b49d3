// How an image ends, in one piece in its bytes, so that one compiled image gives all the others.
//   0 healthy, 1 aborts before it is up, 2 aborts two seconds after it is, 3 hangs then,
//   4 aborts as soon as it is up: a boot loop, which safe mode ends
#pragma once
#include <cstdlib>

#include "esphome/core/hal.h"

static const volatile char TRIAL_FATE[] = "TRIAL-FATE=0";
static constexpr uint32_t TRIAL_FAILS_AFTER_MS = 2000;

__attribute__((constructor)) static void trial_begin() {
  if (TRIAL_FATE[11] == '1')
    abort();
}

// The clock of the host platform is the machine's and older than the device.
static inline void trial_fate() {
  static const uint32_t began = esphome::millis();
  if (TRIAL_FATE[11] == '4')
    abort();
  if (TRIAL_FATE[11] < '2' || esphome::millis() - began < TRIAL_FAILS_AFTER_MS)
    return;
  if (TRIAL_FATE[11] == '2')
    abort();
  while (true) {
  }
}
