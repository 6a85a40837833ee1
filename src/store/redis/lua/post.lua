-- Posting: one function for all that moves money, and the look for what it has answered.

--[[
KEYS  for each involved bucket, the lead first: w:m w:j w:o; for each leg that is not @world: w:a w:h; w:i where there is a key.
ARGV  1 kind  2 not_after µs  3 lead bucket  4 count of buckets  5 letters, in this order, one for each word that follows before the legs: c currency
      asked for, o what to open in, "CNY 2", i If-Match, '*' or ' 3 4 ', k fingerprint, count and tags of the key, t its time to
      live, ms, l language, r reference, m metadata, p metadata of what is opened, h nothing, but the legs have held too;
      then of each leg: id, place of its bucket with '+' where it may open, coefficient, scale [, held: both]
      RECORD_OPEN: one leg, whose coefficient and scale are the overdraft limit
Answers 'OK id e', the first bucket's entry without reference and metadata, which the caller has; {'DUP', id, fields, value}
{'NO', outcome, seq} {'STALE'} {'BROKEN', key}.
]]
local HEAD, LETTERS = 5, '^c?o?i?k?t?l?r?m?p?h?$'
local layouts = {} -- of each choice of letters that was met: where each one's word stands; width and head

local function layout_of(letters)
    local layout = layouts[letters]
    if not layout and find(letters, LETTERS) then
        local has_held = sub(letters, -1) == 'h'
        layout = {head = HEAD + #letters - (has_held and 1 or 0), width = has_held and 6 or 4}
        for i = HEAD + 1, layout.head do
            layout[sub(letters, i - HEAD, i - HEAD)] = i
        end
        layouts[letters] = layout
    end
    return layout
end

-- The legs as they are asked for; nil: not as post.c writes them. delta and held_delta are coefficients until they are judged.
local function legs_of(keys, args, bucket_count, layout, opening)
    local legs, key, at, width = {nil, nil}, 3 * bucket_count, layout.head, layout.width
    for i = 1, (#args - at) / width do
        local id, place, scale = args[at + 1], args[at + 2], args[at + 4]
        local opens_at = opening_places[place]
        local delta, leg = whole(args[at + 3], 15), nil
        scale, place = whole(scale, 10), opens_at or places[place]
        if not (place and place <= bucket_count and delta and scale) or (not opening and (opens_at or args[1] == '1')) then
            return nil
        end
        if id ~= WORLD then
            -- sixteen fields: a seventeenth would double the table
            leg = {
                id = id, place = place, may_open = opens_at, is_known = false, a = keys[key + 1], h = keys[key + 2],
                delta = delta, scale = scale, balance = 0, version = 0, held = 0, overdraft = 0, status = 0, held_delta = 0,
                after = 0, currency = nil,
            }
            key = key + 2
        elseif place ~= 1 or i == 1 then
            return nil
        else
            leg = {id = id, place = 1, is_known = false, delta = delta, scale = scale, status = 0, held_delta = 0, after = 0}
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
    local world = has_world and p.currency and world_fields[p.currency]
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
    local buckets = {nil}
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
    local layout, bucket_count, not_after = layout_of(args[5]), places[args[4]], whole(args[2], 19)
    if not (layout and not_after and bucket_count and #args >= layout.head + layout.width) then
        return arguments_broken()
    end
    local key, opening = args[layout.k] and keys[#keys], args[layout.o]
    if (opening and not exponent_of(opening)) or
        (key and not (layout.l and (whole(args[layout.t], 15) or 0) > 0)) then
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
    local legs, key_count = legs_of(keys, args, bucket_count, layout, opening)
    if not legs or key_count + (key and 1 or 0) ~= #keys then
        return arguments_broken()
    end
    local p = {
        kind = args[1], lead = ' ' .. args[3] .. ' ', is_written = false, opens = false, reference = args[layout.r],
        metadata = args[layout.m], open_metadata = args[layout.p], idem_key = key, idem_head = args[layout.k],
        idem_ttl = args[layout.t],
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
    local outcome = judge_accounts(legs, args[layout.i]) or judge_amounts(legs, p, args[layout.c]) or judge_same(legs) or
        judge_state(legs, buckets[1].world)
    if outcome then
        return refuse(buckets[1], p, outcome, args[layout.l] or '0', legs[1].id)
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
