-- What wrk sends: wrk -s wrk.lua URL -- KIND ACCOUNTS LABEL
--
--   credit   POST …/credit on ACCOUNTS accounts in turn; with 1 account: a hot one
--   keyed    the same with an Idempotency-Key, never the same twice as long as LABEL is new
--   balance  GET …/balance on ACCOUNTS accounts in turn
--   random   POST …/credit on a random one of ACCOUNTS accounts
--
-- The generator shares the machine with what it measures, so a request must cost it next to nothing: where it can be,
-- everything is made beforehand; else it is two or three concatenations.

local ID_FIRST = 10000000 -- "acct-10000000" and up, as the C programs name them
local BODY = '{"amount":1.00}'
local HEAD = ' HTTP/1.1\r\nHost: bench\r\n'
local POST = HEAD .. 'Content-Type: application/json\r\nContent-Length: ' .. #BODY .. '\r\n'

local ready, count, at = {}, 0, 0
local keys, label = 0, ''
local choose

local function next_ready()
  at = at < count and at + 1 or 1
  return ready[at]
end

local function next_keyed()
  keys = keys + 1
  return next_ready() .. label .. keys .. '\r\n\r\n' .. BODY
end

local function next_random()
  return 'POST /api/v1/wallet/acct-' .. (ID_FIRST - 1 + math.random(count)) .. '/credit' .. POST .. '\r\n' .. BODY
end

function init(args)
  local kind = args[1]
  count, label = tonumber(args[2]), args[3]
  choose = kind == 'keyed' and next_keyed or kind == 'random' and next_random or next_ready
  math.randomseed(20240229)
  if kind == 'random' then
    return
  end
  for i = 1, count do
    local path = ' /api/v1/wallet/acct-' .. (ID_FIRST - 1 + i)
    if kind == 'balance' then
      ready[i] = 'GET' .. path .. '/balance' .. HEAD .. '\r\n'
    elseif kind == 'keyed' then
      ready[i] = 'POST' .. path .. '/credit' .. POST .. 'Idempotency-Key: '
    elseif kind == 'credit' then
      ready[i] = 'POST' .. path .. '/credit' .. POST .. '\r\n' .. BODY
    else
      error('unknown kind ' .. tostring(kind))
    end
  end
end

function request()
  return choose()
end

function done(summary, latency)
  local e = summary.errors
  print(string.format('RESULT requests=%d duration_us=%d refused=%d broken=%d', summary.requests, summary.duration,
    e.status, e.connect + e.read + e.write + e.timeout))
end
