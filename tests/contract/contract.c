#include "contract/contract.h"

#include <stdio.h>
#include <time.h>

#include "money/decimal.h"

enum { WAIT_SECONDS_MAX = 60, NAMES = 8, TESTS_MAX = 256 };

const struct contract_limits contract_limits_usual = {.inbox_max = 8192,
                                                      .batch_max = 512,
                                                      .keys_max = 100000};

/* ---- a client ---- */

static void wake(void *ctx)
{
    struct client *client = ctx;

    pthread_mutex_lock(&client->mutex);
    client->wakes++;
    pthread_cond_signal(&client->woken);
    pthread_mutex_unlock(&client->mutex);
}

void client_init(struct client *client)
{
    enum err e;

    *client = (struct client){0};
    ASSERT(pthread_mutex_init(&client->mutex, NULL) == 0 &&
           pthread_cond_init(&client->woken, NULL) == 0);
    e = store_sink_init(&client->sink, wake, client);
    ASSERT(e == ERR_OK);
}

void client_fini(struct client *client)
{
    store_sink_fini(&client->sink);
    pthread_cond_destroy(&client->woken);
    pthread_mutex_destroy(&client->mutex);
}

void client_wait(struct client *client)
{
    struct timespec until;
    int rc = 0;

    ASSERT(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += WAIT_SECONDS_MAX;
    pthread_mutex_lock(&client->mutex);
    while (client->wakes == 0 && rc == 0) {
        rc = pthread_cond_timedwait(&client->woken, &client->mutex, &until);
    }
    ASSERT(rc == 0); /* an operation never came back */
    client->wakes = 0;
    pthread_mutex_unlock(&client->mutex);
    store_drain(&client->sink);
}

static void done(struct store_op *op)
{
    struct call *call = (struct call *)op;

    call->done++;
    call->client->done++;
    ASSERT(call->done == 1);
}

/* ---- the store under test ---- */

struct contract *contract_new(const struct contract_store *kind, const struct contract_limits *limits)
{
    struct contract *c = mem_alloc(sizeof(*c));

    ASSERT(c != NULL);
    c->kind = kind;
    c->ctx = kind->open(limits);
    c->store = kind->store(c->ctx);
    client_init(&c->client);
    return c;
}

void contract_free(struct contract *c)
{
    c->kind->drop(c->ctx);
    client_fini(&c->client);
    mem_free(c);
}

void contract_reopen(struct contract *c)
{
    c->kind->close(c->ctx);
    c->kind->open_again(c->ctx);
    c->store = c->kind->store(c->ctx);
}

int contract_setup(void **state)
{
    *state = contract_new(*state, &contract_limits_usual);
    return 0;
}

int contract_teardown(void **state)
{
    contract_free(*state);
    return 0;
}

/* ---- calls ---- */

struct call *calls_new(unsigned count)
{
    struct call *calls = mem_alloc_array(count, sizeof(*calls));

    ASSERT(calls != NULL);
    return calls;
}

void calls_free(struct call *calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        call_fini(&calls[i]);
    }
    mem_free(calls);
}

void call_init(struct call *call, struct client *client, enum store_op_kind kind)
{
    *call = (struct call){.client = client};
    store_op_init(&call->op, kind, &client->sink, done);
    call->op.deadline_mono_us = UINT64_MAX;
    arena_init(&call->arena, 65536);
}

void call_fini(struct call *call)
{
    arena_fini(&call->arena);
    store_op_fini(&call->op);
}

static struct slice text_keep(struct call *call, const char *text)
{
    struct slice kept = SLICE_NONE;
    enum err e = text == NULL ? ERR_OK : arena_copy(&call->arena, slice_of(text), &kept);

    ASSERT(e == ERR_OK);
    return kept;
}

static struct currency currency_of(const char *text)
{
    struct currency c = {0};
    enum err e = text == NULL ? ERR_OK : currency_parse(slice_of(text), &c);

    ASSERT(e == ERR_OK);
    return c;
}

void call_post(struct call *call, struct client *client, const struct call_words *w)
{
    struct posting_words words;
    struct slice account, to;
    struct decimal amount;
    struct posting *p;
    enum err e = decimal_parse(slice_of(w->amount), &amount);

    ASSERT(e == ERR_OK);
    call_init(call, client, STORE_POST);
    p = &call->op.posting;
    account = text_keep(call, w->account);
    to = text_keep(call, w->to);
    words = (struct posting_words){
        .reference = text_keep(call, w->reference),
        .metadata = text_keep(call, w->metadata),
        .currency = currency_of(w->currency),
        .open_currency = currency_of("CNY"),
        .may_open = w->may_open,
    };
    switch (w->kind) {
    case RECORD_CREDIT:
        e = posting_credit(&call->arena, account, amount, &words, p);
        break;
    case RECORD_DEBIT:
        e = posting_debit(&call->arena, account, amount, &words, p);
        break;
    case RECORD_TRANSFER:
        e = posting_transfer(&call->arena, account, to, amount, &words, p);
        break;
    default:
        e = posting_open(&call->arena, account, amount, &words, p);
    }
    ASSERT(e == ERR_OK);
}

void call_credit(struct call *call, struct client *client, const char *account, const char *amount)
{
    call_post(call, client,
              &(struct call_words){
                  .kind = RECORD_CREDIT, .account = account, .amount = amount, .may_open = true});
}

void call_debit(struct call *call, struct client *client, const char *account, const char *amount)
{
    call_post(call, client,
              &(struct call_words){.kind = RECORD_DEBIT, .account = account, .amount = amount});
}

void call_transfer(struct call *call, struct client *client, const char *from, const char *to,
                   const char *amount)
{
    call_post(
        call, client,
        &(struct call_words){.kind = RECORD_TRANSFER, .account = from, .to = to, .amount = amount});
}

void call_open(struct call *call, struct client *client, const char *account, const char *currency,
               const char *overdraft, const char *metadata)
{
    call_post(call, client,
              &(struct call_words){.kind = RECORD_OPEN,
                                   .account = account,
                                   .amount = overdraft,
                                   .currency = currency,
                                   .metadata = metadata});
}

void call_key(struct call *call, uint64_t key, char fingerprint)
{
    call->idem = (struct idem){.field_count = 2, .field_tags = {(uint16_t)fingerprint, 2}};
    memcpy(call->idem.scope, &key, sizeof(key));
    memset(call->idem.fingerprint, fingerprint, sizeof(call->idem.fingerprint));
    call->op.posting.idem = &call->idem;
}

void call_account(struct call *call, struct client *client, const char *account)
{
    call_init(call, client, STORE_ACCOUNT);
    call->op.account_id = text_keep(call, account);
    call->op.wants_metadata = true;
}

void call_history(struct call *call, struct client *client, const char *account, unsigned limit)
{
    call_init(call, client, STORE_HISTORY);
    call->op.account_id = text_keep(call, account);
    call->op.history.limit = limit;
}

void call_transaction(struct call *call, struct client *client, int64_t time_us, uint32_t tag)
{
    call_init(call, client, STORE_TRANSACTION);
    call->op.tx_time_us = time_us;
    call->op.tx_tag = tag;
}

void call_accounts(struct call *call, struct client *client, unsigned limit, const char *prefix)
{
    call_init(call, client, STORE_ACCOUNTS);
    call->op.accounts.limit = limit;
    call->op.accounts.prefix = text_keep(call, prefix);
}

void calls_run(struct contract *c, struct client *client, struct call *calls, unsigned count)
{
    const unsigned wanted = client->done + count;

    for (unsigned i = 0; i < count; i++) {
        store_submit(&calls[i].op);
    }
    ASSERT(client->done + count == wanted); /* never inside submit */
    store_flush(c->store, &client->sink);
    while (client->done < wanted) {
        client_wait(client);
    }
    for (unsigned i = 0; i < count; i++) {
        ASSERT(calls[i].done == 1);
    }
}

void call_run(struct contract *c, struct call *call)
{
    calls_run(c, &c->client, call, 1);
}

void call_must(struct contract *c, struct call *call, enum outcome wanted)
{
    call_run(c, call);
    assert_int_equal(call->op.status, STORE_DONE);
    assert_int_equal(call->op.result.outcome, wanted);
}

static void must(struct contract *c, struct call *call, enum outcome wanted)
{
    call_must(c, call, wanted);
    call_fini(call);
}

void must_credit(struct contract *c, const char *account, const char *amount, enum outcome wanted)
{
    struct call call;

    call_credit(&call, &c->client, account, amount);
    must(c, &call, wanted);
}

void must_debit(struct contract *c, const char *account, const char *amount, enum outcome wanted)
{
    struct call call;

    call_debit(&call, &c->client, account, amount);
    must(c, &call, wanted);
}

void must_transfer(struct contract *c, const char *from, const char *to, const char *amount,
                   enum outcome wanted)
{
    struct call call;

    call_transfer(&call, &c->client, from, to, amount);
    must(c, &call, wanted);
}

void must_open(struct contract *c, const char *account, const char *currency, const char *overdraft,
               enum outcome wanted)
{
    struct call call;

    call_open(&call, &c->client, account, currency, overdraft, NULL);
    must(c, &call, wanted);
}

struct account_view account_now(struct contract *c, const char *account)
{
    struct account_view view;
    struct call call;

    call_account(&call, &c->client, account);
    call_must(c, &call, OUTCOME_OK);
    assert_true(slice_equal(call.op.account.id, slice_of(account)));
    assert_true(call.op.result.currency.code == call.op.account.currency.code);
    assert_int_equal(call.op.result.exponent, call.op.account.exponent);
    view = call.op.account;
    view.id = SLICE_NONE;
    call_fini(&call);
    return view;
}

bool account_is_known(struct contract *c, const char *account)
{
    struct call call;
    bool is_known;

    call_account(&call, &c->client, account);
    call_run(c, &call);
    assert_int_equal(call.op.status, STORE_DONE);
    is_known = call.op.result.outcome == OUTCOME_OK;
    assert_true(is_known || call.op.result.outcome == OUTCOME_ACCOUNT_NOT_FOUND);
    call_fini(&call);
    return is_known;
}

int64_t balance_now(struct contract *c, const char *account)
{
    return account_now(c, account).balance;
}

static void assert_same_text(struct slice a, struct slice b)
{
    assert_true(slice_equal(a, b));
    assert_true((a.ptr == NULL) == (b.ptr == NULL));
}

void assert_same_result(const struct posting_result *a, const struct posting_result *b)
{
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->kind, b->kind);
    assert_true(a->seq == b->seq && a->time_us == b->time_us && a->tag == b->tag);
    if (outcome_is_stored(a->outcome)) {
        assert_int_equal(a->language, b->language); /* of its words; an answer without words has none */
        return;
    }
    assert_true(a->currency.code == b->currency.code && a->exponent == b->exponent);
    assert_true(a->amount == b->amount && a->side_count == b->side_count);
    for (unsigned i = 0; i < a->side_count; i++) {
        assert_same_text(a->sides[i].account, b->sides[i].account);
        assert_true(a->sides[i].balance == b->sides[i].balance);
    }
    if (a->outcome == OUTCOME_OK && a->kind == RECORD_OPEN) {
        const struct account_view *x = &a->opened, *y = &b->opened;
        assert_same_text(x->id, y->id);
        assert_same_text(a->opened_metadata, b->opened_metadata);
        assert_true(x->currency.code == y->currency.code && x->exponent == y->exponent &&
                    x->status == y->status);
        assert_true(x->balance == y->balance && x->held == y->held && x->overdraft == y->overdraft);
        assert_true(x->version == y->version && x->created_us == y->created_us &&
                    x->updated_us == y->updated_us);
    }
}

/* ---- histories ---- */

static struct slice entry_text(struct entries *e, struct slice s)
{
    struct slice kept = SLICE_NONE;
    enum err err = s.ptr == NULL ? ERR_OK : arena_copy(&e->arena, s, &kept);

    ASSERT(err == ERR_OK);
    return kept;
}

static void entry_keep(struct entries *e, const struct store_entry *entry)
{
    if (e->count == e->cap) {
        e->cap = e->cap == 0 ? 64 : e->cap * 2;
        e->list = mem_resize(e->list, e->cap * sizeof(*e->list));
        ASSERT(e->list != NULL);
    }
    e->list[e->count] = *entry;
    e->list[e->count].account = entry_text(e, entry->account);
    e->list[e->count].counterparty = entry_text(e, entry->counterparty);
    e->list[e->count].reference = entry_text(e, entry->reference);
    e->list[e->count].metadata = entry_text(e, entry->metadata);
    e->count++;
}

void entries_collect(struct contract *c, const char *account, const struct store_history_in *in,
                     struct entries *out)
{
    char cursor[STORE_CURSOR_BYTES_MAX];
    size_t cursor_len = 0;
    bool has_more = true;

    *out = (struct entries){0};
    arena_init(&out->arena, (size_t)1 << 28);
    while (has_more) {
        struct call call;
        call_history(&call, &c->client, account, in->limit);
        call.op.history = *in;
        call.op.history.cursor = out->pages == 0 ? SLICE_NONE : slice_make(cursor, cursor_len);
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.count <= in->limit && call.op.next_cursor_len <= STORE_CURSOR_BYTES_MAX);
        for (unsigned i = 0; i < call.op.count; i++) {
            entry_keep(out, &call.op.entries[i]);
        }
        has_more = call.op.has_more;
        assert_true(!has_more ||
                    (call.op.next_cursor_len > 0 && (in->kinds != 0 || call.op.count > 0)));
        for (unsigned i = 0; has_more && i < call.op.next_cursor_len; i++) {
            const char letter = call.op.next_cursor[i];
            assert_true((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                        (letter >= '0' && letter <= '9') || letter == '-' || letter == '_');
        }
        cursor_len = call.op.next_cursor_len;
        memcpy(cursor, call.op.next_cursor, cursor_len);
        out->pages++;
        call_fini(&call);
    }
}

void entries_fini(struct entries *e)
{
    mem_free(e->list);
    arena_fini(&e->arena);
    *e = (struct entries){0};
}

void assert_same_entry(const struct store_entry *a, const struct store_entry *b, bool times_too)
{
    assert_true(a->seq == b->seq && a->tag == b->tag && a->kind == b->kind);
    assert_true(a->amount == b->amount && a->balance == b->balance);
    assert_true(slice_equal(a->account, b->account));
    assert_same_text(a->counterparty, b->counterparty);
    assert_same_text(a->reference, b->reference);
    assert_same_text(a->metadata, b->metadata);
    assert_true(!times_too || a->time_us == b->time_us);
}

const char *name_number(const char *prefix, unsigned number)
{
    static _Thread_local char names[NAMES][LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
    static _Thread_local unsigned turn;
    char *name = names[turn++ % NAMES];

    (void)snprintf(name, sizeof(names[0]), "%s%u", prefix, number);
    return name;
}

/* ---- running ---- */

int contract_run(const struct contract_store *const *stores, size_t store_count,
                 const struct contract_suite *const *suites, size_t suite_count)
{
    int failed = 0;

    for (size_t s = 0; s < store_count; s++) {
        for (size_t i = 0; i < suite_count; i++) {
            struct CMUnitTest tests[TESTS_MAX];
            char name[128];
            ASSERT(suites[i]->count <= TESTS_MAX);
            for (size_t t = 0; t < suites[i]->count; t++) {
                tests[t] = suites[i]->tests[t];
                tests[t].initial_state = (void *)(uintptr_t)stores[s];
            }
            (void)snprintf(name, sizeof(name), "%s: %s", stores[s]->name, suites[i]->name);
            failed += _cmocka_run_group_tests(name, tests, suites[i]->count, NULL, NULL);
        }
    }
    return failed == 0 ? 0 : 1;
}
