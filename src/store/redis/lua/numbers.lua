-- The ledger's functions in Redis. The loader puts `#!lua name=mywallet_v1` and `local HASH = '…'` in front of this file, and the
-- others behind it, as one text: numbers, read, judge, write, post, lock, restore, start.
--
-- Redis rolls nothing back: what was written before an error stays written. So each function first reads every key that it
-- will write, with a command of that key's type, then judges, then writes what can no longer fail, the journal first. What
-- a caller should hear is an array; an error reply means a fault of the program or of the server.
--
-- Numbers: a Lua number is a double, exact to 2^53. Balances, amounts and limits have up to 15 digits, so one sum of two is
-- exact; @world alone grows past that, and stays text (see add). Only text() prints a number that may have many digits.

local MAX = 999999999999999 -- of a balance, an amount, an overdraft limit: 15 digits
local TIME_MAX = 8999999999999999
local WORLD = '@world'
local WORLD_DIGITS = 18

-- enum outcome of ledger/types.h
local ACCOUNT_FROZEN, ACCOUNT_CLOSED, CURRENCY_MISMATCH, SAME_ACCOUNT = 1, 2, 3, 4
local BALANCE_LIMIT_EXCEEDED, INSUFFICIENT_BALANCE, UNBALANCED_ENTRIES, STORED_COUNT = 5, 6, 7, 8
local ACCOUNT_NOT_FOUND, ACCOUNT_EXISTS, PRECONDITION_FAILED, INVALID_AMOUNT = 65, 66, 67, 68

local powers, small, small_texts, places, opening_places = {[0] = 1}, {}, {}, {}, {}
for i = 1, 15 do
    powers[i] = powers[i - 1] * 10
end
for i = -15, 999 do -- most versions and many amounts: quicker looked up than worked out
    local s = i .. ''
    small[s], small_texts[i] = i, s
end
for i = 1, 100 do
    places[i .. ''], opening_places[i .. '+'] = i, i
end

-- Redis 7.0 has no string, math, tonumber and redis.call while it loads a library; they are bound by the first call.
local call, try, format, find, match, sub, byte, fmod, num, kind_of, list
local whole_format = '%d' -- by way of C's long, which is quick, and has 64 bits nearly everywhere

local function bind()
    call, try = redis.call, redis.pcall
    format, find, match, sub, byte = string.format, string.find, string.match, string.sub, string.byte
    fmod, num, kind_of, list = math.fmod, tonumber, type, unpack
    if format('%d', -TIME_MAX) ~= '-8999999999999999' then
        whole_format = '%.0f'
    end
end

-- The number that a canonical decimal text of up to `digits` digits means; nil for any other text, false or nil.
local function whole(s, digits)
    local n = small[s or '']
    if n then
        return n
    end
    if s and find(s, '^-?[1-9]%d*$') and (#s <= digits or (#s == digits + 1 and byte(s) == 45)) then
        return num(s)
    end
end

local function text(n)
    return small_texts[n] or format(whole_format, n + 0) -- -0 would be printed with its sign by %.0f
end

-- text + n, exact, for a text of up to 18 digits and n of up to 15; nil where the sum has more than 18.
local function add(s, n)
    local near = num(s)
    if near <= 8e15 and near >= -8e15 then
        return text(near + n)
    end
    local sign, digits = 1, s
    if byte(s) == 45 then
        sign, digits = -1, sub(s, 2)
    end
    local low_n = fmod(n, 1e9)
    local high = sign * num(sub(digits, 1, -10)) + (n - low_n) / 1e9
    local low = sign * num(sub(digits, -9)) + low_n
    local carry = (low - fmod(low, 1e9)) / 1e9
    high, low = high + carry, low - carry * 1e9
    if high > 0 and low < 0 then
        high, low = high - 1, low + 1e9
    elseif high < 0 and low > 0 then
        high, low = high + 1, low - 1e9
    end
    -- 8e15 - 1e15 is left at least: high is never 0 here
    s = format('%.0f%09.0f', high < 0 and -high or high, low < 0 and -low or low)
    if #s > WORLD_DIGITS then
        return nil
    end
    return high < 0 and '-' .. s or s
end

-- Minor units of coefficient x 10^scale in a currency of so many decimals; nil: not whole, or more than MAX.
local function minor(coefficient, scale, exponent)
    if coefficient == 0 then
        return 0
    end
    local power = scale + exponent
    local p = powers[power < 0 and -power or power]
    if not p then
        return nil
    end
    if power < 0 then
        if fmod(coefficient, p) ~= 0 then
            return nil
        end
        return coefficient / p
    end
    local m = coefficient * p -- rounded only where it is far past MAX
    if m > MAX or m < -MAX then
        return nil
    end
    return m
end
