-- Keeps a conversation in the place of the one that has its version. ARGV: version, owner, data, how long to keep it (ms).
-- Returns the new version, or -1 where another one is kept.
local kept = redis.call('HGET', KEYS[1], 'v')
if kept and kept ~= ARGV[1] then return -1 end
local version = tonumber(ARGV[1]) + 1
redis.call('HSET', KEYS[1], 'v', version, 'o', ARGV[2], 'd', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return version
