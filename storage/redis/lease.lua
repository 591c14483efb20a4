-- Looks whether a key is there, and which life of a server says so: a master that has taken over, or was restarted,
-- begins another, and may have lost what there was. KEYS: key. Returns 1 or 0, and the life ('' where it cannot be
-- seen).
local info = redis.pcall('INFO', 'replication')
local life = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
return { tostring(redis.call('EXISTS', KEYS[1])), life }
