-- Typed reads: each returns the name of a key that holds what these functions never wrote, or nil. And an idempotency key's answer.

local exponents, world_fields = {}, {} -- of each currency text that was met, "CNY 2"

local function exponent_of(c)
    local e = c and exponents[c]
    if not e and c then
        e = num(match(c, '^%u%u%u ([0-4])$') or nil)
        if e then
            exponents[c], world_fields[c] = e, 'w' .. sub(c, 1, 3)
        end
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
