/* Every suite on every store. A new store is added to the list here and in races.c. */
#include "contract/contract.h"

int main(void)
{
    static const struct contract_store *const stores[] = {&contract_book, &contract_embedded,
                                                          &contract_redis, &contract_redis_buckets};
    static const struct contract_suite *const suites[] = {
        &contract_posts, &contract_keys,    &contract_life,
        &contract_reads, &contract_history, &contract_transactions};

    return contract_run(stores, ARRAY_LEN(stores), suites, ARRAY_LEN(suites));
}
