#include "api/time.h"

#include <stdbool.h>

#include "base/assert.h"

enum { SECONDS_A_DAY = 86400, MICROS_A_SECOND = 1000000, YEAR_MAX = 9999 };

/* Days since 1970-01-01 of a proleptic Gregorian date, and back: years begin in March, so that the leap day is a year's
   last, and 400 years are one period of 146097 days. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void date_of_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;

    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

static void put(char *at, int64_t number, unsigned digits)
{
    while (digits-- > 0) {
        at[digits] = (char)('0' + number % 10);
        number /= 10;
    }
}

void api_time_append(struct buf *out, int64_t time_us)
{
    char text[] = "0000-00-00T00:00:00.000000Z";
    int64_t seconds = time_us / MICROS_A_SECOND;
    int64_t in_day = seconds % SECONDS_A_DAY;
    int64_t year, month, day;

    ASSERT(time_us >= 0);
    date_of_days(seconds / SECONDS_A_DAY, &year, &month, &day);
    put(text, year > YEAR_MAX ? YEAR_MAX : year,
        4); /* RFC 3339 ends there; only a broken clock goes on */
    put(text + 5, month, 2);
    put(text + 8, day, 2);
    put(text + 11, in_day / 3600, 2);
    put(text + 14, in_day / 60 % 60, 2);
    put(text + 17, in_day % 60, 2);
    put(text + 20, time_us % MICROS_A_SECOND, 6);
    buf_append(out, text, sizeof(text) - 1);
}

/* Take exactly `digits` digits off the front. */
static bool take_number(struct slice *rest, unsigned digits, int64_t *number)
{
    int64_t sum = 0;

    if (rest->len < digits) {
        return false;
    }
    for (unsigned i = 0; i < digits; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9') {
            return false;
        }
        sum = sum * 10 + (rest->ptr[i] - '0');
    }
    *rest = slice_make(rest->ptr + digits, rest->len - digits);
    *number = sum;
    return true;
}

static bool take_byte(struct slice *rest, char byte)
{
    if (rest->len == 0 || rest->ptr[0] != byte) {
        return false;
    }
    *rest = slice_make(rest->ptr + 1, rest->len - 1);
    return true;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

static bool take_date(struct slice *rest, int64_t *days)
{
    int64_t year, month, day;

    if (!take_number(rest, 4, &year) || !take_byte(rest, '-') || !take_number(rest, 2, &month) ||
        !take_byte(rest, '-') || !take_number(rest, 2, &day) || month < 1 || month > 12 ||
        day < 1 || day > days_in_month(year, month)) {
        return false;
    }
    *days = days_of_date(year, month, day);
    return true;
}

static bool take_clock(struct slice *rest, int64_t *seconds)
{
    int64_t hour, minute, second;

    if (!take_number(rest, 2, &hour) || !take_byte(rest, ':') || !take_number(rest, 2, &minute) ||
        !take_byte(rest, ':') || !take_number(rest, 2, &second) || hour > 23 || minute > 59 ||
        second > 59) {
        return false;
    }
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

static bool take_fraction(struct slice *rest, int64_t *micros)
{
    unsigned digits = 0;

    *micros = 0;
    if (!take_byte(rest, '.')) {
        return true;
    }
    for (int64_t digit; digits < 6 && take_number(rest, 1, &digit); digits++) {
        *micros = *micros * 10 + digit;
    }
    for (unsigned i = digits; i < 6; i++) {
        *micros *= 10;
    }
    return digits > 0; /* a seventh digit is left over, which the caller refuses */
}

static bool take_zone(struct slice *rest, int64_t *offset_seconds)
{
    int64_t hour, minute;
    bool is_east;

    *offset_seconds = 0;
    if (take_byte(rest, 'Z')) {
        return true;
    }
    is_east = take_byte(rest, '+');
    if ((!is_east && !take_byte(rest, '-')) || !take_number(rest, 2, &hour) ||
        !take_byte(rest, ':') || !take_number(rest, 2, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    *offset_seconds = (hour * 3600 + minute * 60) * (is_east ? 1 : -1);
    return true;
}

enum err api_time_parse(struct slice text, int64_t *time_us)
{
    struct slice rest = text;
    int64_t days, seconds, micros, offset;

    if (!take_date(&rest, &days) || !take_byte(&rest, 'T') || !take_clock(&rest, &seconds) ||
        !take_fraction(&rest, &micros) || !take_zone(&rest, &offset) || rest.len != 0) {
        return ERR_INVALID;
    }
    *time_us = (days * SECONDS_A_DAY + seconds - offset) * MICROS_A_SECOND + micros;
    return ERR_OK;
}
