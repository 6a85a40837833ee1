-- Writing: nothing here may fail but a bucket's first XADD, where it is the first write of all.

-- Append one entry to a bucket's journal. words: what stands behind kind and seq. Returns the answer to a caller, or nil.
local function append(b, p, kind, words, reference, metadata)
    local id = p.time_text .. '-' .. text(b.sub)
    b.seq, b.sub = b.seq + 1, b.sub + 1
    b.seq_text = text(b.seq)
    local e = kind .. ' ' .. b.seq_text .. words
    local write, written = p.is_written and call or try, nil
    if reference and metadata then
        written = write('XADD', b.j, id, 'e', e, 'r', reference, 'm', metadata)
    elseif reference or metadata then
        written = write('XADD', b.j, id, 'e', e, reference and 'r' or 'm', reference or metadata)
    else
        written = write('XADD', b.j, id, 'e', e)
    end
    if kind_of(written) ~= 'string' then
        return nil
    end
    p.is_written = true
    return 'OK ' .. id .. ' ' .. e -- one text: Redis is slow at an array in an array
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
    local words = p.lead .. p.currency .. ' ' .. text(#legs)
    for i = 1, #legs do
        local leg = legs[i]
        local d = text(leg.delta)
        if leg.held_delta ~= 0 then
            d = d .. '/' .. text(leg.held_delta)
        end
        if leg.a then
            leg.after = text(leg.balance)
        end
        words = words .. ' ' .. leg.id .. ' ' .. d .. ' ' .. leg.after
    end
    return words
end

local function write_movement(buckets, legs, p, world_field)
    local answer
    p.words = movement_words(legs, p)
    p.mark = p.kind .. (#p.time_text == 16 and p.time_text or format('%016.0f', p.time))
    for place = 1, #buckets do
        local written = append_all(buckets[place], place, legs, p)
        if not written then
            return broken_journal(buckets[place])
        end
        if place == 1 then
            answer = written
            remember(p) -- first of all behind the entry: whatever stopped the rest, the key would not do it again
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
    return answer
end

local function write_open(b, leg, p, world_field, overdraft)
    local limit = text(overdraft)
    if not b.world then
        if not append(b, p, '1', open_words(p, WORLD, '0')) then
            return broken_journal(b)
        end
        b.world = '0'
    end
    local answer = append(b, p, '1', open_words(p, leg.id, limit), nil, p.metadata)
    if not answer then
        return broken_journal(b)
    end
    remember(p)
    call('HSET', leg.a, 'b', '0', 'v', '1', 'c', p.currency, 't', p.time_text, 'u', p.time_text)
    if overdraft ~= 0 then
        call('HSET', leg.a, 'o', limit)
    end
    if p.metadata then
        call('HSET', leg.a, 'm', p.metadata, 'q', b.seq_text)
    end
    call('RPUSH', b.o, leg.id)
    write_bucket(b, p, world_field)
    return answer
end

local function refuse(b, p, outcome, language, account)
    if not p.idem_key or outcome >= STORED_COUNT then
        return {'NO', outcome, b.seq}
    end
    local answer = append(b, p, '5', p.lead .. p.kind .. ' ' .. outcome .. ' ' .. language .. ' ' .. account)
    if not answer then
        return broken_journal(b)
    end
    write_bucket(b, p)
    remember(p)
    return answer
end
