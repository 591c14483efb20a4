-- Moves a stream from one node to another, and returns it. A stream that the new node owns already counts as moved:
-- the answer to an earlier claim may have been lost. KEYS: record, runs. ARGV: old node, new node.
-- Returns the owner, the record, and the runs; nothing if there is no such stream.
local m = redis.call('HMGET', KEYS[1], 'n', 'r')
if not m[1] then return {} end
if m[1] == ARGV[1] then
	redis.call('HSET', KEYS[1], 'n', ARGV[2])
	m[1] = ARGV[2]
end
return { m[1], m[2], redis.call('HVALS', KEYS[2]) }
