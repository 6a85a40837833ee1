/* Scripts of the fake server in few words, and a lab that is connected to it. */
#ifndef TESTS_UNIT_STORE_REDIS_LANE_SCRIPT_H
#define TESTS_UNIT_STORE_REDIS_LANE_SCRIPT_H

#include "support/fake_redis.h"
#include "unit/store/redis/lane_lab.h"

#define EXPECT(text) \
    { \
        .what = FAKE_EXPECT, .bytes = (text) \
    }
#define ANSWER(text) \
    { \
        .what = FAKE_ANSWER, .bytes = (text) \
    }
#define DRIP(text) \
    { \
        .what = FAKE_DRIP, .bytes = (text) \
    }
#define PAUSE(ms) \
    { \
        .what = FAKE_PAUSE, .number = (ms) \
    }
#define REPEAT(step) \
    { \
        .what = FAKE_REPEAT, .number = (step) \
    }
#define WAIT_GO \
    { \
        .what = FAKE_WAIT \
    }
#define CLOSE \
    { \
        .what = FAKE_CLOSE \
    }
#define RESET \
    { \
        .what = FAKE_RESET \
    }
#define END \
    { \
        .what = FAKE_END \
    }

typedef const struct fake_step script[];

static script answers = {FAKE_GREETING,       EXPECT("tag-a\r\n"), ANSWER("+a\r\n"),
                         EXPECT("tag-b\r\n"), ANSWER("+b\r\n"),    END};

static inline void begin(struct fake_redis *f, struct lab *b, const struct fake_step *first,
                         const struct fake_step *then)
{
    static const struct fake_step *scripts[2];

    scripts[0] = first;
    scripts[1] = then;
    fake_redis_start(f, scripts, then == NULL ? 1 : 2);
    lab_init(b, f->port, 16);
}

static inline void end(struct fake_redis *f, struct lab *b)
{
    lab_end(b);
    fake_redis_stop(f);
}

#endif
