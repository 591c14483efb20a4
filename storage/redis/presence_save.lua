-- Saves metas of a topic by id, and publishes them.
-- KEYS: metas. ARGV: channel, retention of an unchanged topic (ms), then for each meta: id, turn, '1' if it has left,
--       JSON
local told = {}
for i = 3, #ARGV, 4 do
	local had = redis.call('HGET', KEYS[1], ARGV[i])
	if not had or tonumber(string.match(had, '^%d+')) <= tonumber(ARGV[i + 1]) then
		if ARGV[i + 2] == '1' then
			redis.call('HDEL', KEYS[1], ARGV[i])
		else
			redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 3])
		end
		told[#told + 1] = ARGV[i + 3]
	end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #told > 0 then redis.call('PUBLISH', ARGV[1], table.concat(told, '\n')) end
return #told
