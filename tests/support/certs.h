/* Certificates for one test program, made by the openssl command in a folder of their own. */
#ifndef SUPPORT_CERTS_H
#define SUPPORT_CERTS_H

struct certs {
    char folder[64];
    /* each a path; NAME.pem has its key in NAME.key */
    char ca[96], other_ca[96];
    char server[96], server_key[96];     /* for redis.test, localhost, 127.0.0.1, ::1 */
    char expired[96], expired_key[96];   /* for the same, until yesterday */
    char client[96], client_key[96];     /* CN=client */
    char locked_key[96];                 /* the server's key with a pass phrase */
    char rsa_key[96];                    /* an RSA key that is nobody's */
    char stranger[96], stranger_key[96]; /* for redis.test, by the other CA */
};

/** Make them all (about a second). Ends the test program where openssl cannot. */
void certs_make(struct certs *c);

/** Remove the folder. */
void certs_remove(struct certs *c);

#endif
