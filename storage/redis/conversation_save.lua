-- Saves a conversation if the stored one has the given version. ARGV: version, owner, data, retention (ms).
-- Returns the new version, or -1 if the stored version is another one.
local stored = redis.call('HGET', KEYS[1], 'v')
if stored and stored ~= ARGV[1] then return -1 end
local version = tonumber(ARGV[1]) + 1
redis.call('HSET', KEYS[1], 'v', version, 'o', ARGV[2], 'd', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return version
