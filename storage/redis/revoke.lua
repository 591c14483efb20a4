-- Stores a revocation. If it exists already, the later value of each time wins.
-- KEYS: the hash of revocations. ARGV: field, revocation as JSON.

-- Go drops trailing zeros of the fraction, so UTC times compare correctly as strings only without the final Z.
local function text(time) return (string.gsub(time, 'Z$', '')) end

local new, before = cjson.decode(ARGV[2]), redis.call('HGET', KEYS[1], ARGV[1])
if before then
  before = cjson.decode(before)
  for _, field in ipairs({'Issued', 'Until'}) do
    if text(before[field]) > text(new[field]) then new[field] = before[field] end
  end
end
-- The HDEL lets this script succeed on a Redis that has reached maxmemory: Redis checks memory only before a script's
-- first write, and not if that command frees memory. Revocations must not be refused.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(new))
