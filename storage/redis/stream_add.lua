-- Registers the aliases and the slot of a user's new stream.
-- KEYS: index of the owner's streams, slot ('' in ARGV: none), aliases ...
-- ARGV: id, now (ms), retention (ms), slot, then for each alias: the id of the deleted stream that it may name, or ''
-- Returns the id that an alias names already, or '', and the id that was in the slot, or ''.
local id, now, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 3, #KEYS do
	local taken = redis.call('GET', KEYS[i])
	if taken and taken ~= id and taken ~= ARGV[i + 2] then return { taken, '' } end
end
for i = 3, #KEYS do redis.call('SET', KEYS[i], id, 'PX', ttl) end
local old = ''
if ARGV[4] ~= '' then
	old = redis.call('GET', KEYS[2]) or ''
	redis.call('SET', KEYS[2], id, 'PX', ttl)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl)
redis.call('ZADD', KEYS[1], now, id)
redis.call('PEXPIRE', KEYS[1], ttl)
return { '', old }
