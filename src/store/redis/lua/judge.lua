-- Judgement, in the order of ledger/judge.c.

local function judge_accounts(legs, if_match)
    for i = 1, #legs do
        local leg = legs[i]
        if not leg.is_known and leg.a and not leg.may_open then
            return ACCOUNT_NOT_FOUND
        end
    end
    if if_match then
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
    local high, low = 0, 0
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
    if guard and guard ~= sub(p.currency, 1, 3) then
        return CURRENCY_MISMATCH
    end
    for i = 1, #legs do
        local c = legs[i].currency
        if c and c ~= p.currency then -- or its decimals, after a change of the ISO table
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
