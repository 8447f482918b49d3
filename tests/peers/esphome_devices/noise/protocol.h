// The part of noise-c's interface that ESPHome calls, for host builds of the tests.
//
// ESPHome fetches noise-c and libsodium from the PlatformIO registry, which a machine that tests
// need not reach. `noise.c` beside this file does the one handshake that ESPHome uses, as the
// responder, with OpenSSL's primitives: the host platform links OpenSSL anyway.
//
// Source: The Noise Protocol Framework, revision 34; the calls in ESPHome 2026.10
// `components/noise`, `components/api` and `components/esphome/ota`.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct NoiseHandshakeState_s NoiseHandshakeState;
typedef struct NoiseCipherState_s NoiseCipherState;

typedef struct {
  int prefix_id, pattern_id, modifier_ids[6], dh_id, cipher_id, hash_id, hybrid_id, reserved[4];
} NoiseProtocolId;

typedef struct {
  uint8_t *data;
  size_t size, max_size;
} NoiseBuffer;

enum {
  NOISE_PREFIX_STANDARD = 1,
  NOISE_PATTERN_NN = 1,
  NOISE_MODIFIER_PSK0 = 1,
  NOISE_DH_NONE = 0,
  NOISE_DH_CURVE25519 = 1,
  NOISE_CIPHER_CHACHAPOLY = 1,
  NOISE_HASH_SHA256 = 1,
  NOISE_ROLE_RESPONDER = 2,
};

enum {
  NOISE_ACTION_NONE,
  NOISE_ACTION_WRITE_MESSAGE,
  NOISE_ACTION_READ_MESSAGE,
  NOISE_ACTION_FAILED,
  NOISE_ACTION_SPLIT,
};

enum {
  NOISE_ERROR_NONE,
  NOISE_ERROR_NO_MEMORY = 1001,
  NOISE_ERROR_UNKNOWN_ID,
  NOISE_ERROR_UNKNOWN_NAME,
  NOISE_ERROR_MAC_FAILURE,
  NOISE_ERROR_NOT_APPLICABLE,
  NOISE_ERROR_SYSTEM,
  NOISE_ERROR_REMOTE_KEY_REQUIRED,
  NOISE_ERROR_LOCAL_KEY_REQUIRED,
  NOISE_ERROR_PSK_REQUIRED,
  NOISE_ERROR_INVALID_LENGTH,
  NOISE_ERROR_INVALID_PARAM,
  NOISE_ERROR_INVALID_STATE,
  NOISE_ERROR_INVALID_NONCE,
  NOISE_ERROR_INVALID_PRIVATE_KEY,
  NOISE_ERROR_INVALID_PUBLIC_KEY,
  NOISE_ERROR_INVALID_FORMAT,
  NOISE_ERROR_INVALID_SIGNATURE,
};

#define noise_buffer_init(b) ((b).data = NULL, (b).size = 0, (b).max_size = 0)
#define noise_buffer_set_input(b, p, n) ((b).data = (p), (b).size = (n), (b).max_size = (n))
#define noise_buffer_set_output(b, p, room) ((b).data = (p), (b).size = 0, (b).max_size = (room))
#define noise_buffer_set_inout(b, p, n, room) ((b).data = (p), (b).size = (n), (b).max_size = (room))

int noise_handshakestate_new_by_id(NoiseHandshakeState **, const NoiseProtocolId *, int role);
int noise_handshakestate_free(NoiseHandshakeState *);
int noise_handshakestate_set_pre_shared_key(NoiseHandshakeState *, const uint8_t *, size_t);
int noise_handshakestate_set_prologue(NoiseHandshakeState *, const void *, size_t);
int noise_handshakestate_set_local_ephemeral(NoiseHandshakeState *, const uint8_t *private_key, size_t,
                                             const uint8_t *public_key, size_t);
int noise_handshakestate_start(NoiseHandshakeState *);
int noise_handshakestate_get_action(const NoiseHandshakeState *);
int noise_handshakestate_read_message(NoiseHandshakeState *, NoiseBuffer *message, NoiseBuffer *payload);
int noise_handshakestate_write_message(NoiseHandshakeState *, NoiseBuffer *message, const NoiseBuffer *payload);
int noise_handshakestate_split(NoiseHandshakeState *, NoiseCipherState **send, NoiseCipherState **receive);

int noise_cipherstate_free(NoiseCipherState *);
int noise_cipherstate_encrypt(NoiseCipherState *, NoiseBuffer *);
int noise_cipherstate_decrypt(NoiseCipherState *, NoiseBuffer *);
size_t noise_cipherstate_get_mac_length(const NoiseCipherState *);

void noise_rand_bytes(void *bytes, size_t size); // the firmware has it

#ifdef __cplusplus
}
#endif
