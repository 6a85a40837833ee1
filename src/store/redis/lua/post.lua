-- Posting: one function for all that moves money, and the look for what it has answered.

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
