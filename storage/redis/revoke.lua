-- Keeps a revocation. Of one that is there already, the later times count.
-- KEYS: the revocations. ARGV: its field, and it in JSON.

-- Go writes times of UTC with as many digits as they need, so without their Z they are in the order of strings.
local function text(time) return (string.gsub(time, 'Z$', '')) end

local new, before = cjson.decode(ARGV[2]), redis.call('HGET', KEYS[1], ARGV[1])
if before then
  before = cjson.decode(before)
  for _, field in ipairs({'Issued', 'Until'}) do
    if text(before[field]) > text(new[field]) then new[field] = before[field] end
  end
end
-- A Redis that is full takes it all the same: it looks for room before the first write only, unless that one deletes.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(new))
