-- Makes a stream another node's.
-- KEYS: record. ARGV: the node whose it is, the node whose it will be
if redis.call('HGET', KEYS[1], 'n') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'n', ARGV[2])
return 1
