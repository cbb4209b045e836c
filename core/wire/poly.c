/* Poly1305, of OpenSSL. */
#include "wire/poly.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

/* OpenSSL takes a few hundred bytes in the time of ten where they come together. */
#define GATHERED_BYTES_MAX 1024

struct poly {
    EVP_MAC_CTX *work;
    unsigned char key[POLY_KEY_BYTES];
    size_t gathered;
    unsigned char gather[GATHERED_BYTES_MAX];
};

struct poly *poly_create(const unsigned char key[POLY_KEY_BYTES], struct ipcl_error *error)
{
    struct poly *poly = calloc(1, sizeof(*poly));
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    if (poly && mac)
        poly->work = EVP_MAC_CTX_new(mac);
    if (poly && poly->work) {
        memcpy(poly->key, key, POLY_KEY_BYTES);
    } else {
        ipcl_error_set(error, "%s",
                       mac ? "out of memory"
                           : "OpenSSL offers no Poly1305 here, which is needed to sign messages: "
                             "activate the default provider in its configuration (openssl.cnf)");
        poly_destroy(poly);
        poly = NULL;
    }
    EVP_MAC_free(mac);
    return poly;
}

void poly_destroy(struct poly *poly)
{
    if (poly)
        EVP_MAC_CTX_free(poly->work);
    secret_free(poly);
}

int poly_begin(struct poly *poly)
{
    poly->gathered = 0;
    return EVP_MAC_init(poly->work, poly->key, POLY_KEY_BYTES, NULL) ? 0 : -1;
}

/* Returns 0 or -1. */
static int take_gathered(struct poly *poly)
{
    size_t size = poly->gathered;
    poly->gathered = 0;
    return !size || EVP_MAC_update(poly->work, poly->gather, size) ? 0 : -1;
}

int poly_add(struct poly *poly, const void *data, size_t size)
{
    if (size > GATHERED_BYTES_MAX - poly->gathered && take_gathered(poly))
        return -1;
    if (size > GATHERED_BYTES_MAX)
        return EVP_MAC_update(poly->work, data, size) ? 0 : -1;
    memcpy(poly->gather + poly->gathered, data, size);
    poly->gathered += size;
    return 0;
}

int poly_end(struct poly *poly, unsigned char tag[POLY_TAG_BYTES])
{
    size_t size;
    return !take_gathered(poly) && EVP_MAC_final(poly->work, tag, &size, POLY_TAG_BYTES) ? 0 : -1;
}
