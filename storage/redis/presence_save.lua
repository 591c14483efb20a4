-- Saves metas of a topic by id, and publishes them.
-- KEYS: metas. ARGV: channel, retention of an unchanged topic (ms), then for each meta: id, turn, '1' if it has left,
--       JSON
local published = {}
for i = 3, #ARGV, 4 do
	local stored = redis.call('HGET', KEYS[1], ARGV[i])
	if not stored or tonumber(string.match(stored, '^%d+')) <= tonumber(ARGV[i + 1]) then
		if ARGV[i + 2] == '1' then
			redis.call('HDEL', KEYS[1], ARGV[i])
		else
			redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 3])
		end
		published[#published + 1] = ARGV[i + 3]
	end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #published > 0 then redis.call('PUBLISH', ARGV[1], table.concat(published, '\n')) end
return #published
