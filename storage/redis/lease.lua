-- Returns whether a key exists (1 or 0), and the replication id of the server ('' if it cannot be read). KEYS: key.
-- A server that was restarted, or became the master, has another replication id, and may have lost data.
local info = redis.pcall('INFO', 'replication')
local replid = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
return { tostring(redis.call('EXISTS', KEYS[1])), replid }
