-- Makes a stream a node's that was another's, and returns it. One that is the claiming node's already counts as
-- claimed: the answer to an earlier claim may have been lost. KEYS: record, runs. ARGV: the node whose it is, the node
-- whose it will be Returns whose it is now, the record, and the runs; nothing where there is no such stream.
local m = redis.call('HMGET', KEYS[1], 'n', 'r')
if not m[1] then return {} end
if m[1] == ARGV[1] then
	redis.call('HSET', KEYS[1], 'n', ARGV[2])
	m[1] = ARGV[2]
end
return { m[1], m[2], redis.call('HVALS', KEYS[2]) }
