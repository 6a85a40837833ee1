-- Restore: one record of another ledger, judged there, as an entry here.

--[[
KEYS  the lock w:l:…, then as post.
ARGV  1 token  2 fence  3 position in the source, rising with each call: 1..  4 kind; 0: the last call for a bucket
      5 time µs  6 lead  7 count of buckets  8 "CNY 2", or ''  9 reference behind one letter, or ''  10 metadata, or ''
      11 head of the key's value as in post, or ''  12 its time to live, ms  13 kind 5: verb kind, outcome, language and the
      first account, where it is known, as "4 6 0 a", or ''; then of each leg: id, place of its bucket, Δ minor units (kind 1: overdraft limit), Δheld, balance after
      or '' (@world, whose balance each bucket has for itself)
One call is one journal entry: what was one posting of several records is given as one movement with all its legs. The
@world of a bucket is opened where it is missing. Kind 0 raises the bucket's time and forgets its position.
Answers 'OK id e' as post (kind 0: 'OK'), {'DUP'} where this position is done already, {'FENCED'}, {'NO', why}, {'BROKEN', key}.
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
    return 'OK'
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
        local answer = append(lead, p, '5', p.lead .. p.refusal)
        if not answer then
            return broken_journal(lead)
        end
        write_bucket(lead, p)
        remember(p)
        return answer
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
    if kind_of(answer) == 'string' then
        for i = 1, #buckets do
            call('HSET', buckets[i].m, 'r', args[3])
        end
    end
    return answer
end
