/* Every suite on Redis as people run it, beside the plain one of main.c: synchronous, behind Sentinel, by TLS, a narrow pool. */
#include "contract/contract.h"

int main(void)
{
    static const struct contract_store *const stores[] = {
        &contract_redis_narrow, &contract_redis_synchronous, &contract_redis_sentinel,
        &contract_redis_tls};
    static const struct contract_suite *const suites[] = {
        &contract_posts, &contract_keys,    &contract_life,
        &contract_reads, &contract_history, &contract_transactions};

    return contract_run(stores, ARRAY_LEN(stores), suites, ARRAY_LEN(suites));
}
