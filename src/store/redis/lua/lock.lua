-- Locks: an owner's token, and a fence that rises even where the counter was lost.

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
