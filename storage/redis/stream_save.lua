-- Saves changes of a stream, and publishes them.
-- KEYS: record, runs
-- ARGV: channel, node, record, offset of the last entry, retention (ms), message, '1' to create a missing stream,
--       then for each run: its first offset, JSON
-- Returns 'ok'; 'taken' if the stream is another node's; else the offset after which entries are missing, or 'none' if
-- the stream is missing.
local m = redis.call('HMGET', KEYS[1], 'n', 't')
if not m[1] then
	if ARGV[7] ~= '1' then return 'none' end
elseif m[1] ~= ARGV[2] then
	return 'taken'
end
local tail = tonumber(m[2] or 0)
if #ARGV > 7 and tonumber(ARGV[8]) > tail + 1 then return tostring(tail) end
if #ARGV == 7 and tonumber(ARGV[4]) ~= tail then return tostring(tail) end
for i = 8, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'n', ARGV[2], 'r', ARGV[3], 't', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('PUBLISH', ARGV[1], ARGV[6])
return 'ok'
