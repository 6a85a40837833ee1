-- What is run at start, and the functions by their names.

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
