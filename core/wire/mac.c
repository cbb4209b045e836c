/* HMAC (RFC 2104): the digest of an outer key and of the digest of an inner key and the data. Of
 * both keys the state of a digest is kept that has taken them in. */
#include "wire/mac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define INNER           0x36
#define OUTER           0x5c
#define BLOCK_BYTES_MAX 256

struct mac {
    EVP_MD_CTX *inner;
    EVP_MD_CTX *outer;
    EVP_MD_CTX *work;
    size_t bytes;
};

/* A state that has taken in a block of the key, with each byte changed by `pad`. NULL on
 * failure. */
static EVP_MD_CTX *take_key(const EVP_MD *digest, const unsigned char *block, size_t size,
                            unsigned char pad)
{
    unsigned char padded[BLOCK_BYTES_MAX];
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    for (size_t i = 0; i < size; i++)
        padded[i] = block[i] ^ pad;
    if (state &&
        (!EVP_DigestInit_ex2(state, digest, NULL) || !EVP_DigestUpdate(state, padded, size))) {
        EVP_MD_CTX_free(state);
        state = NULL;
    }
    OPENSSL_cleanse(padded, sizeof(padded));
    return state;
}

/* Returns 0 or -1. */
static int take_both(struct mac *mac, const EVP_MD *digest, const char *key, size_t key_size)
{
    unsigned char block[BLOCK_BYTES_MAX] = {0};
    int size = EVP_MD_get_block_size(digest), bytes = EVP_MD_get_size(digest);
    if (size < bytes || size > BLOCK_BYTES_MAX || bytes <= 0 || bytes > MAC_BYTES_MAX ||
        EVP_MD_get_flags(digest) & EVP_MD_FLAG_XOF)
        return -1;
    if (key_size <= (size_t)size)
        memcpy(block, key, key_size);
    else if (!EVP_Digest(key, key_size, block, NULL, digest, NULL))
        return -1;
    mac->bytes = (size_t)bytes;
    mac->inner = take_key(digest, block, (size_t)size, INNER);
    mac->outer = take_key(digest, block, (size_t)size, OUTER);
    mac->work = EVP_MD_CTX_new();
    OPENSSL_cleanse(block, sizeof(block));
    return mac->inner && mac->outer && mac->work ? 0 : -1;
}

struct mac *mac_create(const char *key, size_t key_size, const char *digest,
                       struct ipcl_error *error)
{
    struct mac *mac = calloc(1, sizeof(*mac));
    EVP_MD *found = EVP_MD_fetch(NULL, digest, NULL);
    if (!mac || !found || take_both(mac, found, key, key_size)) {
        ipcl_error_set(error,
                       "signature scheme 'hmac-%s' is not one that OpenSSL offers: use hmac-sha256",
                       digest);
        mac_destroy(mac);
        mac = NULL;
    }
    EVP_MD_free(found);
    return mac;
}

void mac_destroy(struct mac *mac)
{
    if (!mac)
        return;
    EVP_MD_CTX_free(mac->inner);
    EVP_MD_CTX_free(mac->outer);
    EVP_MD_CTX_free(mac->work);
    free(mac);
}

size_t mac_bytes(const struct mac *mac)
{
    return mac->bytes;
}

int mac_begin(struct mac *mac)
{
    return EVP_MD_CTX_copy_ex(mac->work, mac->inner) ? 0 : -1;
}

int mac_add(struct mac *mac, const void *data, size_t size)
{
    return EVP_DigestUpdate(mac->work, data, size) ? 0 : -1;
}

int mac_end(struct mac *mac, unsigned char code[MAC_BYTES_MAX])
{
    return EVP_DigestFinal_ex(mac->work, code, NULL) && EVP_MD_CTX_copy_ex(mac->work, mac->outer) &&
                   EVP_DigestUpdate(mac->work, code, mac->bytes) &&
                   EVP_DigestFinal_ex(mac->work, code, NULL)
               ? 0
               : -1;
}
