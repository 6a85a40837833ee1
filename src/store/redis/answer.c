#include "store/redis/answer.h"

void answer_say(const redisReply *r, const char *what, struct err_text *why)
{
    const struct slice text = answer_text(r);

    if (r->type != REDIS_REPLY_ERROR) {
        err_text_set(why, "%s: an answer that no Redis gives", what);
    } else if (slice_starts_with(text, SLICE("NOPERM"))) {
        err_text_set(why, "%s: the user may not (" SLICE_FORMAT "): give it the right (ACL SETUSER)",
                     what, SLICE_ARGS(text));
    } else {
        err_text_set(why, "%s: " SLICE_FORMAT, what, SLICE_ARGS(text));
    }
}
