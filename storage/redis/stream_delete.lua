-- Deletes a stream, unless another node owns it.
-- KEYS: record, runs. ARGV: node
if redis.call('HGET', KEYS[1], 'n') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1], KEYS[2])
