-- Forgets a stream, unless it is another node's.
-- KEYS: record, runs. ARGV: node
if redis.call('HGET', KEYS[1], 'n') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1], KEYS[2])
