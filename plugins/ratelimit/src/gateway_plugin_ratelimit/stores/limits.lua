-- Charges one request to all of its counters or to none. The same arithmetic as algorithms.py, which a test compares.
--
-- KEYS     the counters
-- ARGV[1]  words with spaces between them, "-" for none: first
--            admit, debit (take units whether or not they are there) or renew (leases of requests in progress)
--            the time in seconds; with none it is this server's, the same for all gateways
--          then eight for each counter:
--            cost, who holds a place (concurrency only), rule, whether refused requests count (1 or 0), three
--            parameters of the rule, and the units that whoever asks knows to be used: at least so many are, also if
--            this server forgot them in a restart, or was not asked for a while
--
-- Returns four integers for each counter: allowed (1 or 0), units left, and microseconds until the quota is whole again
-- and until the same request would be let through.

local TOLERANCE = 1e-7
-- Whole days, so that windows of a day begin at midnight UTC, taken off so that doubles have digits left for fractions.
local EPOCH = 1699920000

local words = {}
for word in string.gmatch(ARGV[1], '%S+') do words[#words + 1] = word end

local mode = words[1]
local now = tonumber(words[2])
if not now then
  local time = redis.call('TIME')
  now = (tonumber(time[1]) - EPOCH) + tonumber(time[2]) / 1000000
end

local function load_state(key)
  local text = redis.call('GET', key)
  if not text then return 0, 0, 0 end
  local a, b, c = string.match(text, '^(%S+) (%S+) (%S+)$')
  return tonumber(a) or 0, tonumber(b) or 0, tonumber(c) or 0
end

-- Each rule returns: allowed, left, reset, wait, and the next state (a, b, c, forget at) or nil.
local rules = {}

rules['token-bucket'] = function(state, cost, counts_refused, interval, span, patience)
  local most = 2 * span + patience
  local full_at = state[1]
  if full_at < now then full_at = now elseif full_at > now + most then full_at = now + most end
  local charged = full_at + cost * interval
  local wait = charged - now - span
  if wait <= TOLERANCE then
    local left = math.floor((span + now - charged + TOLERANCE) / interval)
    return true, math.max(0, left), charged - now, 0, {charged, 0, 0, charged}
  end
  if wait <= patience then return true, 0, charged - now, wait, {charged, 0, 0, charged} end
  if counts_refused then
    charged = math.min(charged, now + most)
    return false, 0, charged - now, math.max(wait, charged - now - span), {charged, 0, 0, charged}
  end
  local left = math.max(0, math.floor((span + now - full_at + TOLERANCE) / interval))
  return false, left, full_at - now, wait, nil
end

rules['fixed-window'] = function(state, cost, counts_refused, quota, window)
  local number = math.floor(now / window)
  local used = 0
  if state[1] == number then used = state[2] end
  local ends = (number + 1) * window
  local reset = math.max(0, ends - now)
  if used + cost <= quota then return true, quota - used - cost, reset, 0, {number, used + cost, 0, ends} end
  if counts_refused then return false, 0, reset, reset, {number, used + cost, 0, ends} end
  return false, math.max(0, quota - used), reset, reset, nil
end

local function sliding_wait(quota, window, used, before, share, cost)
  local room = quota - cost
  if room < 0 then return (share + 1) * window end
  if used <= room then return math.max(0, share - (room - used) / before) * window end
  return (share + 1 - room / used) * window
end

rules['sliding-window'] = function(state, cost, counts_refused, quota, window)
  local number = math.floor(now / window)
  local used, before = 0, 0
  if state[1] == number then used, before = state[2], state[3]
  elseif state[1] == number - 1 then before = state[2] end
  local ends = (number + 1) * window
  local share = math.max(0, (ends - now) / window)
  local free = quota - used - before * share
  local reset = math.max(0, ends - now)
  if cost <= free + TOLERANCE then
    local left = math.max(0, math.floor(free - cost + TOLERANCE))
    return true, left, reset, 0, {number, used + cost, before, ends + window}
  end
  if counts_refused then
    local wait = sliding_wait(quota, window, used + cost, before, share, cost)
    return false, 0, reset, wait, {number, used + cost, before, ends + window}
  end
  local left = math.max(0, math.floor(free + TOLERANCE))
  return false, left, reset, sliding_wait(quota, window, used, before, share, cost), nil
end

local debits = {}

debits['token-bucket'] = function(state, cost, interval, span, patience)
  local full_at = math.min(math.max(state[1], now) + cost * interval, now + 2 * span + patience)
  return {full_at, 0, 0, full_at}
end

debits['fixed-window'] = function(state, cost, quota, window)
  local number = math.floor(now / window)
  local used = 0
  if state[1] == number then used = state[2] end
  return {number, used + cost, 0, (number + 1) * window}
end

debits['sliding-window'] = function(state, cost, quota, window)
  local number = math.floor(now / window)
  local used, before = 0, 0
  if state[1] == number then used, before = state[2], state[3]
  elseif state[1] == number - 1 then before = state[2] end
  return {number, used + cost, before, (number + 2) * window}
end

-- How much of a counter is used, to compare two states of it.
local uses = {}

uses['token-bucket'] = function(state) return state[1] end

uses['fixed-window'] = function(state, window)
  if state[1] == math.floor(now / window) then return state[2] end
  return 0
end

uses['sliding-window'] = function(state, window)
  local number = math.floor(now / window)
  local share = math.max(0, ((number + 1) * window - now) / window)
  if state[1] == number then return state[2] + state[3] * share end
  if state[1] == number - 1 then return state[2] * share end
  return 0
end

local function store(key, state)
  local milliseconds = math.ceil((state[4] - now) * 1000)
  if milliseconds <= 0 then redis.call('DEL', key) return end
  redis.call('SET', key, string.format('%.17g %.17g %.17g', state[1], state[2], state[3]), 'PX', milliseconds)
end

local function hold(key, member, lease)
  redis.call('ZADD', key, string.format('%.6f', now + lease), member)
  redis.call('PEXPIRE', key, math.ceil(lease * 1000) + 1000)
end

local items = {}
for index, key in ipairs(KEYS) do
  local at = 2 + (index - 1) * 8
  local item = {
    key = key, cost = tonumber(words[at + 1]), member = words[at + 2],
    code = words[at + 3], counts_refused = words[at + 4] == '1',
    p1 = tonumber(words[at + 5]), p2 = tonumber(words[at + 6]), p3 = tonumber(words[at + 7]),
  }
  if item.code ~= 'concurrency' then
    item.state = {load_state(key)}
    local known = tonumber(words[at + 8])
    if known > 0 then
      local fresh = debits[item.code]({0, 0, 0}, known, item.p1, item.p2, item.p3)
      if uses[item.code](fresh, item.p2) > uses[item.code](item.state, item.p2) then item.state = fresh end
    end
  end
  items[index] = item
end

if mode == 'debit' then
  for _, item in ipairs(items) do
    if item.state then store(item.key, debits[item.code](item.state, item.cost, item.p1, item.p2, item.p3)) end
  end
  return {}
end

if mode == 'renew' then
  for _, item in ipairs(items) do hold(item.key, item.member, item.p2) end
  return {}
end

local all_allowed = true
for _, item in ipairs(items) do
  if item.state then
    item.allowed, item.left, item.reset, item.wait, item.next =
      rules[item.code](item.state, item.cost, item.counts_refused, item.p1, item.p2, item.p3)
  else
    redis.call('ZREMRANGEBYSCORE', item.key, '-inf', string.format('%.6f', now))
    local count = redis.call('ZCARD', item.key)
    item.allowed, item.left, item.reset, item.wait = count < item.p1, math.max(0, item.p1 - count - 1), 0, 0
    if not item.allowed then item.wait = 1 end
  end
  all_allowed = all_allowed and item.allowed
end

local reply = {}
for _, item in ipairs(items) do
  if item.state then
    if item.next and (all_allowed or item.counts_refused) then
      store(item.key, item.next)
    elseif item.allowed and item.cost > 0 then
      local _
      _, item.left, item.reset, item.wait = rules[item.code](item.state, 0, false, item.p1, item.p2, item.p3)
    end
  elseif all_allowed then
    hold(item.key, item.member, item.p2)
  end
  reply[#reply + 1] = item.allowed and 1 or 0
  reply[#reply + 1] = math.floor(item.left)
  reply[#reply + 1] = math.floor(item.reset * 1000000 + 0.5)
  reply[#reply + 1] = math.floor(item.wait * 1000000 + 0.5)
end
return reply
