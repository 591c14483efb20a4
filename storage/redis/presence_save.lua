-- Saves metas of a topic by id, and publishes them.
-- A meta that has left under its second owner, or a later one, leaves its generation behind for a while: a save of an
-- earlier owner that arrives late must not bring it back.
-- KEYS: metas, generations of metas that have left
-- ARGV: channel, retention of an unchanged topic (ms), retention of generations (ms), how many of them are kept, then
--       for each meta: id, generation, '1' if it has left, JSON
local published = {}
for i = 5, #ARGV, 4 do
	local id, generation, left = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2] == '1'
	local had = redis.call('HGET', KEYS[1], id) or redis.call('HGET', KEYS[2], id)
	if not had or tonumber(string.match(had, '^%d+')) <= generation then
		if left then
			redis.call('HDEL', KEYS[1], id)
			if generation > 0 then
				if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then redis.call('DEL', KEYS[2]) end
				redis.call('HSET', KEYS[2], id, generation)
				redis.call('PEXPIRE', KEYS[2], ARGV[3])
			end
		else
			redis.call('HSET', KEYS[1], id, ARGV[i + 1] .. ' ' .. ARGV[i + 3])
		end
		published[#published + 1] = ARGV[i + 3]
	end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #published > 0 then redis.call('PUBLISH', ARGV[1], table.concat(published, '\n')) end
return #published
