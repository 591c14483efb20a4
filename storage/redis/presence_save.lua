-- Saves metas of a topic by id, and publishes them.
--
-- A change of an earlier generation than the stored one is ignored. Of two nodes that take over a meta with the same
-- generation, the first one wins, and what is stored is published again for the other one. A meta that has left under
-- its second owner, or a later one, leaves its generation behind for a while: a save of another owner that arrives late
-- must not bring it back, and that it has left is published again.
--
-- KEYS: metas, generations of metas that have left
-- ARGV: channel, retention of an unchanged topic (ms), retention of generations (ms), how many of them are kept, then
--       for each meta: id, generation, '1' if it has left, JSON
local function owner(json) return string.match(json, '"node":"([^"]*)"') end

local published = {}
local function save(id, generation, left, json)
	local had = redis.call('HGET', KEYS[1], id)
	if had then
		local stored = tonumber(string.match(had, '^%d+'))
		if stored > generation then return end
		if stored == generation and not left and owner(had) ~= owner(json) then
			published[#published + 1] = string.match(had, '^%d+ (.*)$')
			return
		end
	elseif not left then
		local gone = tonumber(redis.call('HGET', KEYS[2], id) or -1)
		if gone >= generation then
			published[#published + 1] = cjson.encode({ id = id, turn = gone, node = '', gone = true })
			return
		end
	end
	if left then
		redis.call('HDEL', KEYS[1], id)
		if generation > 0 then
			if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then redis.call('DEL', KEYS[2]) end
			redis.call('HSET', KEYS[2], id, generation)
			redis.call('PEXPIRE', KEYS[2], ARGV[3])
		end
	else
		redis.call('HSET', KEYS[1], id, generation .. ' ' .. json)
	end
	published[#published + 1] = json
end

for i = 5, #ARGV, 4 do save(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2] == '1', ARGV[i + 3]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #published > 0 then redis.call('PUBLISH', ARGV[1], table.concat(published, '\n')) end
return #published
