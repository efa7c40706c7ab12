package replica

import "github.com/mtlsallowlist/mtlsallowlist/internal/change"

// What a store is in Redis. All keys of a store have one hash tag, so that a cluster keeps them together:
//
//	{mtlsallowlist:<store>}:grants   hash    "<ip> <name> -<fingerprint>" to "<stamp> <expires> <kind> <learned> <proved> <serial> <names>"
//	{mtlsallowlist:<store>}:expiry   zset    the same members by expires
//	{mtlsallowlist:<store>}:changes  stream  field "c": lines of member and value; field "n": their number
//	{mtlsallowlist:<store>}:epoch    hash    "id": of the data, a new one after they were lost; "n": number of the last change;
//	                                          "behind": how far Redis's clock is behind that of the replicas, in milliseconds
var keyNames = []string{"grants", "expiry", "changes", "epoch"}

// keptChanges is how many batches of changes the stream keeps. Who has missed more loads everything.
const keptChanges = "256"

// maxAheadText is change.MaxAhead. What is dated later is no obstacle to a proof of now.
var maxAheadText = change.Decimal(change.MaxAhead)

// pushScript merges changes, each if it outweighs what is there, and announces those. Arguments: the id for a new epoch,
// how far Redis's clock is behind, then member, stamp, expires and the rest of each change. It answers with Redis's time. A key of another type is an error.
var pushScript = `
local time = redis.call('TIME')
local behind = tonumber(redis.call('HGET', KEYS[4], 'behind') or 0) or 0
if tonumber(ARGV[2]) > behind then
  behind = tonumber(ARGV[2])
  redis.call('HSET', KEYS[4], 'behind', ARGV[2])
end
local now = time[1] * 1000 + math.floor(time[2] / 1000) + behind
redis.call('HSETNX', KEYS[4], 'id', ARGV[1])
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)
for _, member in ipairs(expired) do
  redis.call('HDEL', KEYS[1], member)
  redis.call('ZREM', KEYS[2], member)
end
local lines = {}
for i = 3, #ARGV, 4 do
  local member, stamp, expires, rest = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local kind = string.sub(rest, 1, 1)
  local held = redis.call('HGET', KEYS[1], member)
  local before, was = -1, 'g'
  if held then
    local s, k = string.match(held, '^(%d+) %d+ (%a) ')
    before, was = tonumber(s) or -1, k
  end
  if before > now + ` + maxAheadText + ` then
    before = -1
  end
  local at = tonumber(stamp)
  local outweighs = at > before or (at == before and kind ~= 'g' and was == 'g')
  if outweighs and kind == 'e' then
    if held then
      redis.call('HDEL', KEYS[1], member)
      redis.call('ZREM', KEYS[2], member)
      lines[#lines + 1] = member .. ' ' .. stamp .. ' ' .. expires .. ' ' .. rest
    end
  elseif outweighs and tonumber(expires) > now then
    redis.call('HSET', KEYS[1], member, stamp .. ' ' .. expires .. ' ' .. rest)
    redis.call('ZADD', KEYS[2], expires, member)
    lines[#lines + 1] = member .. ' ' .. stamp .. ' ' .. expires .. ' ' .. rest
  end
end
if #lines > 0 then
  local n = redis.call('HINCRBY', KEYS[4], 'n', 1)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ` + keptChanges + `, '*', 'c', table.concat(lines, '\n'), 'n', n)
end
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local ends = string.format('%.0f', (tonumber(last[2]) or now) - behind + 86400000)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIREAT', key, ends)
end
return string.format('%.0f', now)
`

// loadScript answers with one text, for reading many replies takes Yaegi long: "<epoch> <n> <last id of the stream>
// <behind>", and a line for each change.
const loadScript = `
local epoch = redis.call('HMGET', KEYS[4], 'id', 'n', 'behind')
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
local lines = {(epoch[1] or '-') .. ' ' .. (epoch[2] or '0') .. ' ' .. (last[1] and last[1][1] or '0-0') .. ' ' .. (epoch[3] or '0')}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  lines[#lines + 1] = all[i] .. ' ' .. all[i + 1]
end
return table.concat(lines, '\n')
`
