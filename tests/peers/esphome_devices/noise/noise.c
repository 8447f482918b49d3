// Noise_NNpsk0_25519_ChaChaPoly_SHA256 as the responder:   -> psk, e   <- e, ee
// Names are those of the specification, so that it can be read beside it; see protocol.h.
#include "protocol.h"
#include <sodium.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

enum { LEN = 32, TAG = 16 }; // HASHLEN and DHLEN; what the cipher adds

struct NoiseCipherState_s {
  uint8_t k[LEN];
  uint64_t n;
};

struct NoiseHandshakeState_s {
  uint8_t h[LEN], ck[LEN], psk[LEN], e[LEN], e_public[LEN], re[LEN];
  NoiseCipherState cipher;
  int has_psk, has_e, action;
};

void sodium_memzero(void *bytes, size_t size) { OPENSSL_cleanse(bytes, size); }

int crypto_scalarmult_curve25519_base(unsigned char *public_key, const unsigned char *private_key) {
  size_t size = LEN;
  EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, LEN);
  int done = pair != NULL && EVP_PKEY_get_raw_public_key(pair, public_key, &size) == 1;
  EVP_PKEY_free(pair);
  return done ? 0 : -1;
}

static int diffie_hellman(uint8_t out[LEN], const uint8_t mine[LEN], const uint8_t theirs[LEN]) {
  size_t size = LEN;
  EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, mine, LEN);
  EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, theirs, LEN);
  EVP_PKEY_CTX *exchange = pair != NULL ? EVP_PKEY_CTX_new(pair, NULL) : NULL;
  int done = peer != NULL && exchange != NULL && EVP_PKEY_derive_init(exchange) == 1 &&
             EVP_PKEY_derive_set_peer(exchange, peer) == 1 && EVP_PKEY_derive(exchange, out, &size) == 1;
  EVP_PKEY_CTX_free(exchange);
  EVP_PKEY_free(peer);
  EVP_PKEY_free(pair);
  return done ? 0 : -1;
}

static void mix_hash(NoiseHandshakeState *s, const void *data, size_t size) {
  EVP_MD_CTX *digest = EVP_MD_CTX_new();
  EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
  EVP_DigestUpdate(digest, s->h, LEN);
  EVP_DigestUpdate(digest, data, size);
  EVP_DigestFinal_ex(digest, s->h, NULL);
  EVP_MD_CTX_free(digest);
}

static void hkdf(const uint8_t ck[LEN], const uint8_t *input, size_t size, uint8_t *outputs[], int count) {
  uint8_t key[LEN], block[LEN + 1], chaining[LEN];
  memcpy(chaining, ck, LEN); // an output may be the chaining key itself
  HMAC(EVP_sha256(), chaining, LEN, input, size, key, NULL);
  for (int i = 0; i < count; i++) {
    size_t before = i == 0 ? 0 : LEN;
    block[before] = (uint8_t) (i + 1);
    HMAC(EVP_sha256(), key, LEN, block, before + 1, block, NULL);
    memcpy(outputs[i], block, LEN);
  }
  OPENSSL_cleanse(key, sizeof(key));
  OPENSSL_cleanse(block, sizeof(block));
}

static void mix_key(NoiseHandshakeState *s, const uint8_t input[LEN]) {
  uint8_t *outputs[] = {s->ck, s->cipher.k};
  hkdf(s->ck, input, LEN, outputs, 2);
  s->cipher.n = 0;
}

static void mix_key_and_hash(NoiseHandshakeState *s, const uint8_t input[LEN]) {
  uint8_t hashed[LEN];
  uint8_t *outputs[] = {s->ck, hashed, s->cipher.k};
  hkdf(s->ck, input, LEN, outputs, 3);
  mix_hash(s, hashed, LEN);
  s->cipher.n = 0;
}

// Encrypts in place and adds the tag, or opens in place; `size` is without the tag.
static int crypt(NoiseCipherState *c, int seal, const uint8_t *ad, size_t ad_size, uint8_t *data, size_t size) {
  uint8_t nonce[12] = {0};
  int some = 0, done;
  if (c->n == UINT64_MAX)
    return NOISE_ERROR_INVALID_NONCE;
  for (int i = 0; i < 8; i++)
    nonce[4 + i] = (uint8_t) (c->n >> (8 * i));
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  done = ctx != NULL && EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, c->k, nonce, seal) == 1;
  if (done && !seal)
    done = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, data + size) == 1;
  if (done && ad_size != 0)
    done = EVP_CipherUpdate(ctx, NULL, &some, ad, (int) ad_size) == 1;
  done = done && (size == 0 || EVP_CipherUpdate(ctx, data, &some, data, (int) size) == 1) &&
         EVP_CipherFinal_ex(ctx, data + size, &some) == 1;
  if (done && seal)
    done = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, data + size) == 1;
  EVP_CIPHER_CTX_free(ctx);
  if (!done)
    return NOISE_ERROR_MAC_FAILURE; // a message that does not open leaves the nonce as it was
  c->n++;
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_new_by_id(NoiseHandshakeState **state, const NoiseProtocolId *id, int role) {
  static const char NAME[] = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
  *state = NULL;
  if (id->pattern_id != NOISE_PATTERN_NN || id->modifier_ids[0] != NOISE_MODIFIER_PSK0 ||
      id->dh_id != NOISE_DH_CURVE25519 || id->cipher_id != NOISE_CIPHER_CHACHAPOLY ||
      id->hash_id != NOISE_HASH_SHA256 || role != NOISE_ROLE_RESPONDER)
    return NOISE_ERROR_UNKNOWN_ID;
  NoiseHandshakeState *s = calloc(1, sizeof(*s));
  if (s == NULL)
    return NOISE_ERROR_NO_MEMORY;
  // A name longer than a hash is hashed.
  EVP_Digest(NAME, sizeof(NAME) - 1, s->h, NULL, EVP_sha256(), NULL);
  memcpy(s->ck, s->h, LEN);
  *state = s;
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_free(NoiseHandshakeState *s) {
  OPENSSL_cleanse(s, sizeof(*s));
  free(s);
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_set_pre_shared_key(NoiseHandshakeState *s, const uint8_t *key, size_t size) {
  if (size != LEN)
    return NOISE_ERROR_INVALID_LENGTH;
  memcpy(s->psk, key, LEN);
  s->has_psk = 1;
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_set_prologue(NoiseHandshakeState *s, const void *prologue, size_t size) {
  mix_hash(s, prologue, size);
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_set_local_ephemeral(NoiseHandshakeState *s, const uint8_t *private_key, size_t private_size,
                                             const uint8_t *public_key, size_t public_size) {
  if (private_size != LEN || public_size != LEN)
    return NOISE_ERROR_INVALID_LENGTH;
  memcpy(s->e, private_key, LEN);
  memcpy(s->e_public, public_key, LEN);
  s->has_e = 1;
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_start(NoiseHandshakeState *s) {
  if (!s->has_psk)
    return NOISE_ERROR_PSK_REQUIRED;
  s->action = NOISE_ACTION_READ_MESSAGE;
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_get_action(const NoiseHandshakeState *s) { return s->action; }

int noise_handshakestate_read_message(NoiseHandshakeState *s, NoiseBuffer *message, NoiseBuffer *payload) {
  uint8_t ad[LEN], *body = message->data + LEN;
  if (s->action != NOISE_ACTION_READ_MESSAGE)
    return NOISE_ERROR_INVALID_STATE;
  s->action = NOISE_ACTION_FAILED;
  if (message->size < LEN + TAG)
    return NOISE_ERROR_INVALID_LENGTH;
  size_t size = message->size - LEN - TAG;
  mix_key_and_hash(s, s->psk);
  memcpy(s->re, message->data, LEN);
  mix_hash(s, s->re, LEN);
  mix_key(s, s->re); // with a pre-shared key, each e is mixed into the key as well
  memcpy(ad, s->h, LEN);
  mix_hash(s, body, size + TAG); // the ciphertext, before it is opened in place
  int error = crypt(&s->cipher, 0, ad, LEN, body, size);
  if (error != NOISE_ERROR_NONE)
    return error;
  if (payload != NULL)
    noise_buffer_set_input(*payload, body, size);
  s->action = NOISE_ACTION_WRITE_MESSAGE;
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_write_message(NoiseHandshakeState *s, NoiseBuffer *message, const NoiseBuffer *payload) {
  uint8_t shared[LEN], *body = message->data + LEN;
  size_t size = payload != NULL ? payload->size : 0;
  if (s->action != NOISE_ACTION_WRITE_MESSAGE)
    return NOISE_ERROR_INVALID_STATE;
  if (message->max_size < LEN + size + TAG)
    return NOISE_ERROR_INVALID_LENGTH;
  s->action = NOISE_ACTION_FAILED;
  if (!s->has_e) {
    noise_rand_bytes(s->e, LEN);
    if (crypto_scalarmult_curve25519_base(s->e_public, s->e) != 0)
      return NOISE_ERROR_SYSTEM;
  }
  memcpy(message->data, s->e_public, LEN);
  mix_hash(s, s->e_public, LEN);
  mix_key(s, s->e_public);
  if (diffie_hellman(shared, s->e, s->re) != 0)
    return NOISE_ERROR_INVALID_PUBLIC_KEY;
  mix_key(s, shared);
  OPENSSL_cleanse(shared, LEN);
  if (size != 0)
    memcpy(body, payload->data, size);
  int error = crypt(&s->cipher, 1, s->h, LEN, body, size);
  if (error != NOISE_ERROR_NONE)
    return error;
  mix_hash(s, body, size + TAG);
  message->size = LEN + size + TAG;
  s->action = NOISE_ACTION_SPLIT;
  return NOISE_ERROR_NONE;
}

int noise_handshakestate_split(NoiseHandshakeState *s, NoiseCipherState **send, NoiseCipherState **receive) {
  if (s->action != NOISE_ACTION_SPLIT)
    return NOISE_ERROR_INVALID_STATE;
  NoiseCipherState *in = calloc(1, sizeof(*in)), *out = calloc(1, sizeof(*out));
  if (in == NULL || out == NULL) {
    free(in);
    free(out);
    return NOISE_ERROR_NO_MEMORY;
  }
  uint8_t *outputs[] = {in->k, out->k}; // the first key is the initiator's
  hkdf(s->ck, NULL, 0, outputs, 2);
  *receive = in;
  *send = out;
  return NOISE_ERROR_NONE;
}

int noise_cipherstate_free(NoiseCipherState *c) {
  OPENSSL_cleanse(c, sizeof(*c));
  free(c);
  return NOISE_ERROR_NONE;
}

int noise_cipherstate_encrypt(NoiseCipherState *c, NoiseBuffer *b) {
  if (b->size + TAG > b->max_size)
    return NOISE_ERROR_INVALID_LENGTH;
  int error = crypt(c, 1, NULL, 0, b->data, b->size);
  if (error == NOISE_ERROR_NONE)
    b->size += TAG;
  return error;
}

int noise_cipherstate_decrypt(NoiseCipherState *c, NoiseBuffer *b) {
  if (b->size < TAG)
    return NOISE_ERROR_MAC_FAILURE;
  int error = crypt(c, 0, NULL, 0, b->data, b->size - TAG);
  if (error == NOISE_ERROR_NONE)
    b->size -= TAG;
  return error;
}

size_t noise_cipherstate_get_mac_length(const NoiseCipherState *c) {
  (void) c;
  return TAG;
}
