// The two calls that ESPHome makes to libsodium itself; see noise/protocol.h.
#pragma once
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
void sodium_memzero(void *bytes, size_t size);
int crypto_scalarmult_curve25519_base(unsigned char *public_key, const unsigned char *private_key);
#ifdef __cplusplus
}
#endif
