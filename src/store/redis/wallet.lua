-- The ledger's functions in Redis. The loader puts `#!lua name=mywallet_v1` and `local HASH = '…'` in front of this.
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

local powers, small, places, opening_places = {[0] = 1}, {}, {}, {}
for i = 1, 15 do
    powers[i] = powers[i - 1] * 10
end
for i = -15, 15 do
    small[i .. ''] = i
end
for i = 1, 100 do
    places[i .. ''], opening_places[i .. '+'] = i, i
end

-- Redis 7.0 has no string, math, tonumber and redis.call while it loads a library; they are bound by the first call.
local call, try, format, find, match, sub, byte, fmod, num, kind_of, list, join
local whole_format = '%d' -- by way of C's long, which is quick, and has 64 bits nearly everywhere

local function bind()
    call, try = redis.call, redis.pcall
    format, find, match, sub, byte = string.format, string.find, string.match, string.sub, string.byte
    fmod, num, kind_of, list, join = math.fmod, tonumber, type, unpack, table.concat
    if format('%d', -TIME_MAX) ~= '-8999999999999999' then
        whole_format = '%.0f'
    end
end

-- ---- numbers ----

-- The number that a canonical decimal text of up to `digits` digits means; nil for any other text, false or nil.
local function whole(s, digits)
    if s == '0' then
        return 0
    end
    if s and find(s, '^-?[1-9]%d*$') and (#s <= digits or (#s == digits + 1 and byte(s) == 45)) then
        return num(s)
    end
end

local function text(n)
    return format(whole_format, n + 0) -- -0 would be printed with its sign by %.0f
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

-- ---- typed reads; each returns the name of a key that holds what these functions never wrote, or nil ----

local exponents = {} -- of each currency text that was met, "CNY 2"

local function exponent_of(c)
    local e = c and exponents[c]
    if not e and c then
        e = num(match(c, '^%u%u%u ([0-4])$') or nil)
        exponents[c] = e
    end
    return e
end

local function read_account(leg)
    local v = try('HMGET', leg.a, 'b', 'v', 'c', 'h', 'o', 's')
    if v.err then
        return leg.a
    end
    local count = try('LLEN', leg.h)
    if kind_of(count) ~= 'number' then
        return leg.h
    end
    local b, version, c, h, o, s = v[1], v[2], v[3], v[4], v[5], v[6]
    if not (b or version or c or h or o or s) then
        if try('EXISTS', leg.a) ~= 0 then
            return leg.a
        end
        return count ~= 0 and leg.h or nil
    end
    leg.balance, leg.version, leg.currency = whole(b, 15), whole(version, 15), c
    if not (leg.balance and leg.version and leg.version > 0 and exponent_of(c)) then
        return leg.a
    end
    if h then
        leg.held = whole(h, 16)
        if not leg.held or leg.held <= 0 or leg.held > 2 * MAX then
            return leg.a
        end
    end
    if o then
        leg.overdraft = whole(o, 15)
        if not leg.overdraft or leg.overdraft <= 0 then
            return leg.a
        end
    end
    if s then
        if s ~= '1' and s ~= '2' then
            return leg.a
        end
        leg.status = num(s)
    end
    leg.is_known = true
end

-- world: the field of @world's balance, or nil where it does not matter
local function read_bucket(b, world)
    local v = try('HMGET', b.m, 's', 't', world or 's')
    if v.err then
        return b.m
    end
    local s, t = v[1], v[2]
    if s or t then
        b.seq, b.time = whole(s, 15), whole(t, 16)
        if not (b.seq and b.time and b.seq >= 0 and b.time >= 0 and b.time <= TIME_MAX) then
            return b.m
        end
    else
        b.seq, b.time = 0, 0
    end
    if world and v[3] then
        b.world = v[3]
        if not (s and whole(b.world, WORLD_DIGITS)) then
            return b.m
        end
    end
end

-- The id of a journal's last entry and its `e`, '0-0' where there is none; nil: no journal.
local function last_of(journal)
    local last = try('XREVRANGE', journal, '+', '-', 'COUNT', 1)
    if last.err then
        return nil
    end
    if not last[1] then
        return '0-0', ''
    end
    return last[1][1], last[1][2][2] or ''
end

-- What the posting opens goes into those buckets' lists.
local function read_opened(buckets, legs, p)
    for i = 1, #legs do
        local leg = legs[i]
        if not leg.a then
            leg.is_known = buckets[1].world ~= nil
        end
        if not leg.is_known then
            p.opens = true
            if leg.a and kind_of(try('LLEN', buckets[leg.place].o)) ~= 'number' then
                return buckets[leg.place].o
            end
        end
    end
end

-- ---- an idempotency key's answer ----

local function remembered(key, journal)
    local value = try('GET', key)
    if not value then
        return nil
    end
    if kind_of(value) ~= 'string' then
        return {'BROKEN', key}
    end
    local count = byte(value, 17)
    local time = count and count <= 8 and match(value, '^[1-9]%d*$', 18 + 2 * count)
    if not time or #time > 16 then
        return {'BROKEN', key}
    end
    local found = try('XREVRANGE', journal, time, time, 'COUNT', 1)
    if found.err or not found[1] then
        return {'BROKEN', journal}
    end
    return {'DUP', found[1][1], found[1][2], value}
end

-- ---- judgement, in the order of ledger/judge.c ----

local function judge_accounts(legs, if_match)
    for i = 1, #legs do
        local leg = legs[i]
        if not leg.is_known and leg.a and not leg.may_open then
            return ACCOUNT_NOT_FOUND
        end
    end
    if if_match ~= '' then
        local lead = legs[1]
        if not lead.is_known then
            return PRECONDITION_FAILED
        end
        if if_match ~= '*' and not find(if_match, ' ' .. text(lead.version) .. ' ', 1, true) then
            return PRECONDITION_FAILED
        end
    end
end

local function judge_amounts(legs, p, guard)
    local code, high, low = sub(p.currency, 1, 3), 0, 0
    for i = 1, #legs do
        local leg = legs[i]
        local d, dh = minor(leg.delta, leg.scale, p.exponent), 0
        if leg.held_scale then
            dh = minor(leg.held_delta, leg.held_scale, p.exponent)
        end
        if not d or not dh then
            return INVALID_AMOUNT
        end
        leg.delta, leg.held_delta = d, dh
        local part = fmod(d, 1e9) -- a hundred of 15 digits would pass 2^53 in one sum
        low, high = low + part, high + (d - part) / 1e9
    end
    if guard ~= '' and guard ~= code then
        return CURRENCY_MISMATCH
    end
    for i = 1, #legs do
        local c = legs[i].currency
        if c and c ~= p.currency and sub(c, 1, 3) ~= code then
            return CURRENCY_MISMATCH
        end
    end
    if high + low / 1e9 ~= 0 then -- low / 1e9 is exact where it is whole, and only a whole one can make 0
        return UNBALANCED_ENTRIES
    end
end

local function judge_same(legs)
    if #legs == 2 then
        return legs[1].id == legs[2].id and SAME_ACCOUNT or nil
    end
    local seen = {}
    for i = 1, #legs do
        if seen[legs[i].id] then
            return SAME_ACCOUNT
        end
        seen[legs[i].id] = true
    end
end

-- From here on a leg's balance and held are what they are afterwards.
local function judge_state(legs, world)
    for i = 1, #legs do
        local leg = legs[i]
        if leg.status ~= 0 then
            if leg.status == 2 then
                return ACCOUNT_CLOSED
            end
            if leg.delta < 0 or leg.held_delta > 0 then
                return ACCOUNT_FROZEN
            end
        end
    end
    for i = 1, #legs do
        local leg = legs[i]
        if leg.a then
            leg.balance = leg.balance + leg.delta
            if leg.delta > 0 and leg.balance > MAX then
                return BALANCE_LIMIT_EXCEEDED
            end
        else
            leg.after = add(world or '0', leg.delta)
            if not leg.after then
                return BALANCE_LIMIT_EXCEEDED
            end
        end
    end
    for i = 1, #legs do
        local leg = legs[i]
        if leg.a then
            local held = leg.held + leg.held_delta
            if held < 0 or ((leg.delta < 0 or leg.held_delta > 0) and leg.balance - held + leg.overdraft < 0) then
                return INSUFFICIENT_BALANCE
            end
            leg.held = held
        end
    end
end

-- ---- writing; nothing here may fail but a bucket's first XADD, where it is the first write of all ----

-- Append one entry to a bucket's journal. words: what stands behind kind and seq. Returns its id and fields, or nil.
local function append(b, p, kind, words, reference, metadata)
    local id = p.time_text .. '-' .. b.sub
    b.seq, b.sub = b.seq + 1, b.sub + 1
    b.seq_text = text(b.seq)
    local e = kind .. ' ' .. b.seq_text .. words
    local fields, n = {'e', e}, 2
    if reference then
        fields[n + 1], fields[n + 2], n = 'r', reference, n + 2
    end
    if metadata then
        fields[n + 1], fields[n + 2] = 'm', metadata
    end
    if p.is_written then
        call('XADD', b.j, id, list(fields))
    else
        if kind_of(try('XADD', b.j, id, list(fields))) ~= 'string' then
            return nil
        end
        p.is_written = true
    end
    return id, fields
end

-- The first write failed, so nothing is written: the journal is of another type, or ahead of the bucket's own time.
local function broken_journal(b)
    return {'BROKEN', b.j}
end

local function remember(p)
    if p.idem_key then
        call('SET', p.idem_key, p.idem_head .. p.time_text, 'PX', p.idem_ttl)
    end
end

local function write_bucket(b, p, world_field)
    if world_field then
        call('HSET', b.m, 's', b.seq_text, 't', p.time_text, world_field, b.world)
    else
        call('HSET', b.m, 's', b.seq_text, 't', p.time_text)
    end
end

local function open_words(p, id, overdraft)
    return p.lead .. p.currency .. ' 1 ' .. id .. ' ' .. overdraft .. ' 0'
end

-- The journal entries of one bucket: what is opened in it, in the order of the legs, then the movement.
local function append_all(b, place, legs, p)
    if p.opens then
        for i = 1, #legs do
            local leg = legs[i]
            if leg.place == place and not leg.is_known then
                if leg.a then
                    local m = p.open_metadata
                    if not append(b, p, '1', open_words(p, leg.id, '0'), nil, m) then
                        return nil
                    end
                    leg.metadata_seq = m and b.seq_text
                elseif not append(b, p, '1', open_words(p, WORLD, '0')) then
                    return nil
                end
            end
        end
    end
    return append(b, p, p.kind, p.words, p.reference, p.metadata)
end

local function write_account(leg, b, p)
    local seq, held = b.seq_text, leg.held
    if leg.is_known then
        call('HSET', leg.a, 'b', leg.after, 'v', text(leg.version + 1), 'u', p.time_text, 'l', seq)
        if leg.held_delta ~= 0 and held == 0 then
            call('HDEL', leg.a, 'h') -- never the last field
        end
    else
        call('HSET', leg.a, 'b', leg.after, 'v', '2', 'c', p.currency, 't', p.time_text, 'u', p.time_text, 'l', seq)
        call('RPUSH', b.o, leg.id)
        if leg.metadata_seq then
            call('HSET', leg.a, 'm', p.open_metadata, 'q', leg.metadata_seq)
        end
    end
    if leg.held_delta ~= 0 and held ~= 0 then
        call('HSET', leg.a, 'h', text(held))
    end
    call('RPUSH', leg.h, p.mark)
end

-- The words of the movement's entry behind its seq: the same in every bucket.
local function movement_words(legs, p)
    local words, n = {p.lead .. p.currency, #legs}, 2
    for i = 1, #legs do
        local leg = legs[i]
        local d = text(leg.delta)
        if leg.held_delta ~= 0 then
            d = d .. '/' .. text(leg.held_delta)
        end
        if leg.a then
            leg.after = text(leg.balance)
        end
        n = n + 1
        words[n] = leg.id .. ' ' .. d .. ' ' .. leg.after
    end
    return join(words, ' ')
end

local function write_movement(buckets, legs, p, world_field)
    local first_id, first_fields
    p.words = movement_words(legs, p)
    p.mark = p.kind .. (#p.time_text == 16 and p.time_text or format('%016.0f', p.time))
    for place = 1, #buckets do
        local id, fields = append_all(buckets[place], place, legs, p)
        if not id then
            return broken_journal(buckets[place])
        end
        if place == 1 then
            first_id, first_fields = id, fields
        end
    end
    for i = 1, #legs do
        local leg = legs[i]
        if leg.a then
            write_account(leg, buckets[leg.place], p)
        else
            buckets[1].world = leg.after
        end
    end
    for place = 1, #buckets do
        write_bucket(buckets[place], p, place == 1 and world_field or nil)
    end
    remember(p)
    return {'OK', first_id, first_fields}
end

local function write_open(b, leg, p, world_field, overdraft)
    local limit = text(overdraft)
    if not b.world then
        if not append(b, p, '1', open_words(p, WORLD, '0')) then
            return broken_journal(b)
        end
        b.world = '0'
    end
    local id, fields = append(b, p, '1', open_words(p, leg.id, limit), nil, p.metadata)
    if not id then
        return broken_journal(b)
    end
    call('HSET', leg.a, 'b', '0', 'v', '1', 'c', p.currency, 't', p.time_text, 'u', p.time_text)
    if overdraft ~= 0 then
        call('HSET', leg.a, 'o', limit)
    end
    if p.metadata then
        call('HSET', leg.a, 'm', p.metadata, 'q', b.seq_text)
    end
    call('RPUSH', b.o, leg.id)
    write_bucket(b, p, world_field)
    remember(p)
    return {'OK', id, fields}
end

local function refuse(b, p, outcome, language, account)
    if not p.idem_key or outcome >= STORED_COUNT then
        return {'NO', outcome, b.seq}
    end
    local id, fields = append(b, p, '5', p.lead .. p.kind .. ' ' .. outcome .. ' ' .. language .. ' ' .. account)
    if not id then
        return broken_journal(b)
    end
    write_bucket(b, p)
    remember(p)
    return {'OK', id, fields}
end

-- ---- post ----

--[[
KEYS  for each involved bucket, the lead first: w:m w:j w:o; for each leg that is not @world: w:a w:h; w:i where there is a key.
ARGV  1 kind  2 not_after µs  3 lead bucket  4 count of buckets  5 currency asked for, or ''  6 what to open in, "CNY 2", or ''
      7 If-Match: '', '*' or ' 3 4 '  8 language  9 words a leg has here: 4, or 6 with held  10 fingerprint, count and tags of the
      key, or ''  11 its time to live, ms  12 reference behind one letter, or ''  13 metadata, or ''  14 metadata of what is
      opened, or ''; then of each leg: id, place of its bucket with '+' where it may open, coefficient, scale [, held: both]
      RECORD_OPEN: one leg, whose coefficient and scale are the overdraft limit
Answers {'OK', id, fields} {'DUP', id, fields, value} {'NO', outcome, seq} {'STALE'} {'BROKEN', key}.
]]
local HEAD = 14

-- The legs as they are asked for; nil: not as post.c writes them. delta and held_delta are coefficients until they are judged.
local function legs_of(keys, args, bucket_count, width, opening)
    local legs, key, at = {}, 3 * bucket_count, HEAD
    for i = 1, (#args - HEAD) / width do
        local id, place, scale = args[at + 1], args[at + 2], args[at + 4]
        local opens_at = opening_places[place]
        -- sixteen fields: a seventeenth would double the table
        local leg = {
            id = id, place = opens_at or places[place], may_open = opens_at, is_known = false, a = nil, h = nil,
            delta = whole(args[at + 3], 15), scale = small[scale] or whole(scale, 10), balance = 0, version = 0, held = 0,
            overdraft = 0, status = 0, held_delta = 0, after = 0, currency = nil,
        }
        if not (leg.place and leg.place <= bucket_count and leg.delta and leg.scale) or
            (not opening and (opens_at or args[1] == '1')) then
            return nil
        end
        if id ~= WORLD then
            leg.a, leg.h, key = keys[key + 1], keys[key + 2], key + 2
        elseif leg.place ~= 1 or i == 1 then
            return nil
        end
        if width == 6 then
            leg.held_delta, leg.held_scale = whole(args[at + 5], 15), whole(args[at + 6], 10)
            if not (leg.held_delta and leg.held_scale) then
                return nil
            end
        end
        legs[i], at = leg, at + width
    end
    return legs, key
end

-- Read all that may be written, and find the posting's own time. Returns a broken key's name or nil, and @world's field.
local function read_all(buckets, legs, p, now, opening)
    local has_world = p.kind == '1'
    for i = 1, #legs do
        local leg = legs[i]
        local broken
        if leg.a then
            broken = read_account(leg)
        else
            has_world = true
        end
        if broken then
            return broken
        end
    end
    p.currency = p.kind ~= '1' and legs[1].currency or opening
    p.exponent = exponent_of(p.currency)
    local world = has_world and p.currency and 'w' .. sub(p.currency, 1, 3) or nil
    local time = now
    for place = 1, #buckets do
        local b = buckets[place]
        local broken = read_bucket(b, place == 1 and world or nil)
        if broken then
            return broken
        end
        if b.time >= time then
            time = b.time + 1
        end
    end
    p.time, p.time_text = time, text(time)
    for place = 2, #buckets do -- the first one's XADD is the first write: it may fail
        local id = last_of(buckets[place].j)
        if not id or num(match(id, '^%d+')) >= time then
            return buckets[place].j
        end
    end
    return read_opened(buckets, legs, p), world
end

local function arguments_broken()
    return {'BROKEN', 'ARGV'}
end

local function buckets_of(keys, first, count)
    local buckets = {}
    for i = 1, count do
        local at = first + 3 * i
        buckets[i] = {m = keys[at - 3], j = keys[at - 2], o = keys[at - 1], seq = 0, time = 0, sub = 0, world = nil, seq_text = nil}
    end
    return buckets
end

local function post_open(b, leg, p, world)
    if leg.is_known then
        return {'NO', ACCOUNT_EXISTS, b.seq}
    end
    local overdraft = minor(leg.delta, leg.scale, p.exponent)
    if not overdraft or overdraft < 0 then
        return {'NO', INVALID_AMOUNT, b.seq}
    end
    return write_open(b, leg, p, world, overdraft)
end

local function post(keys, args)
    if not call then
        bind()
    end
    local width = args[9] == '4' and 4 or 6
    local bucket_count, not_after = places[args[4]], whole(args[2], 19)
    local key, opening = args[10] ~= '' and keys[#keys] or nil, args[6] ~= '' and args[6] or nil
    if not (not_after and bucket_count and #args >= HEAD + width) or (opening and not exponent_of(opening)) then
        return arguments_broken()
    end
    if key then
        local answer = remembered(key, keys[2])
        if answer then
            return answer
        end
    end
    local clock = call('TIME')
    local now = clock[1] * 1000000 + clock[2]
    if now > not_after then
        return {'STALE'}
    end
    local legs, key_count = legs_of(keys, args, bucket_count, width, opening)
    if not legs or key_count + (key and 1 or 0) ~= #keys then
        return arguments_broken()
    end
    local reference, metadata, open_metadata = args[12], args[13], args[14]
    local p = {
        kind = args[1], lead = ' ' .. args[3] .. ' ', is_written = false, opens = false,
        reference = reference ~= '' and sub(reference, 2) or nil, metadata = metadata ~= '' and metadata or nil,
        open_metadata = open_metadata ~= '' and open_metadata or nil, idem_key = key, idem_head = args[10], idem_ttl = args[11],
        time = 0, time_text = nil, currency = nil, exponent = nil, words = nil, mark = nil,
    }
    local buckets = buckets_of(keys, 1, bucket_count)
    local broken, world = read_all(buckets, legs, p, now, opening)
    if broken then
        return {'BROKEN', broken}
    end
    if p.kind == '1' then
        return post_open(buckets[1], legs[1], p, world)
    end
    local outcome = judge_accounts(legs, args[7]) or judge_amounts(legs, p, args[5]) or judge_same(legs) or
        judge_state(legs, buckets[1].world)
    if outcome then
        return refuse(buckets[1], p, outcome, args[8], legs[1].id)
    end
    return write_movement(buckets, legs, p, world)
end

-- KEYS w:i w:j. Answers {'DUP', …} as post would, or {'STALE'}: nothing stands under the key.
local function look(keys)
    if not call then
        bind()
    end
    return remembered(keys[1], keys[2]) or {'STALE'}
end

-- ---- locks: an owner's token, and a fence that rises even where the counter was lost ----

-- Owner and fence; nil: free; false: what stands there is no lock.
local function lock_of(key)
    local value = try('GET', key)
    if value then
        local owner, fence = match(kind_of(value) == 'string' and value or '', '^(.+)|([1-9]%d*)$')
        return owner or false, fence
    end
end

-- KEYS w:l:<name> w:f:<name>  ARGV token, ttl ms. Answers {'OK', fence} or {'HELD', ms that are left}.
local function lock(keys, args)
    if not call then
        bind()
    end
    local ttl = whole(args[2], 12)
    if args[1] == '' or find(args[1], '|', 1, true) or not ttl or ttl <= 0 then
        return arguments_broken()
    end
    local owner, fence = lock_of(keys[1])
    if owner == args[1] then
        call('PEXPIRE', keys[1], args[2])
        return {'OK', fence}
    elseif owner then
        return {'HELD', call('PTTL', keys[1])}
    elseif owner == false then
        return {'BROKEN', keys[1]}
    end
    local last = try('GET', keys[2])
    local clock = call('TIME')
    local now = clock[1] * 1000000 + clock[2]
    if last then
        last = kind_of(last) == 'string' and whole(last, 16)
        if not last or last > TIME_MAX then
            return {'BROKEN', keys[2]}
        end
        now = last + 1 > now and last + 1 or now
    end
    fence = text(now)
    call('SET', keys[2], fence)
    call('SET', keys[1], args[1] .. '|' .. fence, 'PX', args[2])
    return {'OK', fence}
end

-- KEYS w:l:<name>  ARGV token, ttl ms. Answers {'OK', fence} or {'LOST'}.
local function renew(keys, args)
    if not call then
        bind()
    end
    local owner, fence = lock_of(keys[1])
    local ttl = whole(args[2], 12)
    if not ttl or ttl <= 0 then
        return arguments_broken()
    end
    if owner ~= args[1] then
        return owner == false and {'BROKEN', keys[1]} or {'LOST'}
    end
    call('PEXPIRE', keys[1], args[2])
    return {'OK', fence}
end

-- KEYS w:l:<name>  ARGV token. Answers {'OK'} or {'LOST'}.
local function release(keys, args)
    if not call then
        bind()
    end
    local owner = lock_of(keys[1])
    if owner ~= args[1] then
        return owner == false and {'BROKEN', keys[1]} or {'LOST'}
    end
    call('DEL', keys[1])
    return {'OK'}
end

-- ---- restore: one record of another ledger, judged there, as an entry here ----

--[[
KEYS  the lock w:l:…, then as post.
ARGV  1 token  2 fence  3 position in the source, rising with each call: 1..  4 kind; 0: the last call for a bucket
      5 time µs  6 lead  7 count of buckets  8 "CNY 2", or ''  9 reference behind one letter, or ''  10 metadata, or ''
      11 head of the key's value as in post, or ''  12 its time to live, ms  13 kind 5: verb kind, outcome, language and the
      first account, where it is known, as "4 6 0 a", or ''; then of each leg: id, place of its bucket, Δ minor units (kind 1: overdraft limit), Δheld, balance after
      or '' (@world, whose balance each bucket has for itself)
One call is one journal entry: what was one posting of several records is given as one movement with all its legs. The
@world of a bucket is opened where it is missing. Kind 0 raises the bucket's time and forgets its position.
Answers {'OK', id, fields}, {'DUP'} where this position is done already, {'FENCED'}, {'NO', why}, {'BROKEN', key}.
]]
local RESTORE_HEAD = 13

local function restore_legs(keys, args, bucket_count)
    local legs, key, at = {}, 1 + 3 * bucket_count, RESTORE_HEAD
    for i = 1, (#args - RESTORE_HEAD) / 5 do
        local leg = {
            id = args[at + 1], place = whole(args[at + 2], 3), delta = whole(args[at + 3], 15), held_delta = whole(args[at + 4], 15),
            wanted = args[at + 5], is_known = false, balance = 0, version = 0, held = 0, overdraft = 0, status = 0,
        }
        if not (leg.place and leg.place >= 1 and leg.place <= bucket_count and leg.delta and leg.held_delta) then
            return nil
        end
        if leg.id ~= WORLD then
            leg.a, leg.h, key = keys[key + 1], keys[key + 2], key + 2
        elseif leg.place ~= 1 then
            return nil
        end
        legs[i], at = leg, at + 5
    end
    return legs, key
end

-- Where a bucket's next entry of this time goes. Returns a broken key's name, or false and why it may not.
local function restore_place(b, p)
    local id, e = last_of(b.j)
    if not id then
        return b.j
    end
    local time, last_sub = match(id, '^(%d+)-(%d+)$')
    if num(time) > b.time then
        return b.j
    end
    if p.time < b.time or p.time <= 0 then
        return false, 'time goes back'
    end
    if p.time == b.time then
        -- only what opened accounts has more of the same transaction behind it
        if num(time) ~= b.time or sub(e, 1, 2) ~= '1 ' then
            return false, 'time is used'
        end
        b.sub = num(last_sub) + 1
    end
end

-- Does the movement come out as it did in the source?
local function restore_check(legs, p, world)
    local high, low = 0, 0
    for i = 1, #legs do
        local leg = legs[i]
        local part = fmod(leg.delta, 1e9)
        low, high = low + part, high + (leg.delta - part) / 1e9
        if leg.a then
            if not leg.is_known then
                return 'no account'
            end
            if leg.currency ~= p.currency then
                return 'currency'
            end
            leg.balance, leg.held = leg.balance + leg.delta, leg.held + leg.held_delta
            if leg.balance > MAX or leg.balance < -MAX or leg.held < 0 or leg.held > 2 * MAX then
                return 'limits'
            end
            leg.after = text(leg.balance)
        else
            leg.after = add(world or '0', leg.delta)
            if not leg.after then
                return 'limits'
            end
        end
        if leg.wanted ~= '' and leg.wanted ~= leg.after then
            return 'balance'
        end
    end
    if high + low / 1e9 ~= 0 then
        return 'sum'
    end
    return judge_same(legs) and 'same account' or nil
end

local function restore_finish(b, p)
    if p.time > b.time then
        call('HSET', b.m, 's', text(b.seq), 't', text(p.time))
    end
    call('HDEL', b.m, 'r') -- never the last field: s and t stand beside it
    return {'OK'}
end

local function restore_read(buckets, legs, p)
    local world = p.kind == '1' and 'w' .. sub(p.currency, 1, 3) or nil
    local why
    for i = 1, #legs do
        local broken = legs[i].a and read_account(legs[i])
        if broken then
            return broken
        end
        if not legs[i].a then
            world = 'w' .. sub(p.currency, 1, 3)
        end
    end
    for place = 1, #buckets do
        local b = buckets[place]
        local broken = read_bucket(b, place == 1 and world or nil)
        if not broken and p.kind ~= '0' then
            broken, why = restore_place(b, p)
        end
        if broken then
            return broken
        end
        if why then
            return nil, world, why
        end
    end
    return read_opened(buckets, legs, p), world
end

local function restore_write(buckets, legs, p, world)
    local lead = buckets[1]
    if p.kind == '5' then
        local id, fields = append(lead, p, '5', p.lead .. p.refusal)
        if not id then
            return broken_journal(lead)
        end
        write_bucket(lead, p)
        remember(p)
        return {'OK', id, fields}
    end
    if p.kind == '1' then
        if legs[1].is_known then
            return {'NO', 'account exists'}
        end
        return write_open(lead, legs[1], p, world, legs[1].delta)
    end
    local why = restore_check(legs, p, lead.world)
    if why then
        return {'NO', why}
    end
    return write_movement(buckets, legs, p, world)
end

local function restore(keys, args)
    if not call then
        bind()
    end
    local owner, fence = lock_of(keys[1])
    if not owner or owner ~= args[1] or fence ~= args[2] then
        return {'FENCED'}
    end
    local position, time, bucket_count = whole(args[3], 15), whole(args[5], 16), whole(args[7], 3)
    if not (position and position > 0 and time and time <= TIME_MAX and bucket_count and bucket_count > 0 and
            find(args[4], '^[0-5]$') and (args[8] == '' or exponent_of(args[8]))) then
        return arguments_broken()
    end
    local p = {
        kind = args[4], time = time, time_text = args[5], lead = ' ' .. args[6] .. ' ', currency = args[8], is_written = false,
        reference = args[9] ~= '' and sub(args[9], 2) or nil, metadata = args[10] ~= '' and args[10] or nil, opens = false,
        refusal = args[13],
    }
    if args[11] ~= '' then
        p.idem_key, p.idem_head, p.idem_ttl = keys[#keys], args[11], args[12]
        local value = try('GET', p.idem_key)
        local ttl = whole(p.idem_ttl, 12)
        if (value and kind_of(value) ~= 'string') or not ttl or ttl <= 0 then
            return {'BROKEN', p.idem_key}
        end
    end
    local legs, key_count = restore_legs(keys, args, bucket_count)
    local least = (p.kind == '0' or p.kind == '5') and 0 or 1
    if not legs or key_count + (p.idem_key and 1 or 0) ~= #keys or #legs < least or (least == 0 and #legs > 0) or
        (p.kind == '1' and (#legs ~= 1 or not legs[1].a or legs[1].delta < 0)) or (least == 1 and p.currency == '') then
        return arguments_broken()
    end
    local buckets = buckets_of(keys, 2, bucket_count)
    local done = try('HMGET', buckets[1].m, 'r')
    if done.err then
        return {'BROKEN', buckets[1].m}
    end
    if p.kind ~= '0' and done[1] and (whole(done[1], 15) or MAX) >= position then
        return {'DUP'}
    end
    local broken, world, why = restore_read(buckets, legs, p)
    if broken then
        return {'BROKEN', broken}
    end
    if why then
        return {'NO', why}
    end
    if p.kind == '0' then
        return restore_finish(buckets[1], p)
    end
    if p.kind == '5' and not match(p.refusal, '^[1-4] [1-7] [01]$') and not match(p.refusal, '^[1-4] [1-7] [01] [^ ]+$') then
        return arguments_broken()
    end
    local answer = restore_write(buckets, legs, p, world)
    if answer[1] == 'OK' then
        for i = 1, #buckets do
            call('HSET', buckets[i].m, 'r', args[3])
        end
    end
    return answer
end

-- ---- start-up ----

-- Run every command that the functions use, and those that reads send as they are, so that a right that lacks is found before the
-- first posting and not within it.
-- KEYS optional: one, what scratch keys begin with. Answers {'OK'} or {'DENIED', command, words}.
local function selftest(keys)
    if not call then
        bind()
    end
    local k = keys[1] or 'w:t:{0}:'
    local a, h, m, o, j, i = k .. 'a', k .. 'h', k .. 'm', k .. 'o', k .. 'j', k .. 'i'
    local clean = {'DEL', a, h, m, o, j, i}
    local steps = {
        clean, {'TIME'}, {'GET', i}, {'EXISTS', a}, {'LLEN', h}, {'HMGET', a, 'b'},
        {'XADD', j, '1-0', 'e', 'x'}, {'XADD', j, '1-1', 'e', 'y'}, {'XREVRANGE', j, '1', '1', 'COUNT', 1},
        {'HSET', a, 'b', '0', 'h', '1'}, {'HDEL', a, 'h'}, {'HMGET', a, 'b', 'h'}, {'RPUSH', h, '1'}, {'RPUSH', o, 'x'},
        {'HSET', m, 's', '1'}, {'SET', i, 'x', 'PX', 60000}, {'PEXPIRE', i, 60000}, {'PTTL', i}, {'GET', i},
        {'HGET', m, 's'}, {'LINDEX', h, 0}, {'LRANGE', o, 0, 1}, {'XRANGE', j, '1', '1'}, clean,
    }
    local replies = {}
    for n, step in ipairs(steps) do
        local reply = try(list(step))
        if kind_of(reply) == 'table' and reply.err then
            try(list(clean))
            return {'DENIED', step[1], reply.err}
        end
        replies[n] = reply
    end
    local newest, fields = replies[9], replies[12]
    if not newest[1] or newest[1][1] ~= '1-1' or fields[1] ~= '0' or fields[2] or replies[19] ~= 'x' then
        return {'DENIED', 'SELFTEST', 'the server does not read what it wrote'}
    end
    return {'OK'}
end

local function hash()
    return HASH
end

redis.register_function('mywallet_v1_post', post)
redis.register_function('mywallet_v1_lock', lock)
redis.register_function('mywallet_v1_restore', restore)
redis.register_function('mywallet_v1_selftest', selftest)
redis.register_function{function_name = 'mywallet_v1_renew', callback = renew, flags = {'allow-oom'}}
redis.register_function{function_name = 'mywallet_v1_release', callback = release, flags = {'allow-oom'}}
redis.register_function{function_name = 'mywallet_v1_look', callback = look, flags = {'no-writes'}}
redis.register_function{function_name = 'mywallet_v1_hash', callback = hash, flags = {'no-writes'}}
