-- Adds events to a topic, all or none, and publishes them.
-- KEYS: meta, log, ids, ephemerals
-- ARGV: channel, fresh epoch, retention of events (number, bytes, ms) and of ephemerals (number, ms), now (ms),
--       then for each event: kind (n: named, e: ephemeral, -: neither), key, size, JSON
-- Returns the epoch, and each event's offset (0: it has none); or 'conflict', and the number of the first event whose id
-- is bound to another content.
local meta, log, ids, ephemerals = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local maxEvents, maxBytes, ttl, now = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[8])
local other = conflict(log, ids)
if other > 0 then return { 'conflict', other } end
local epoch, tail, base, bytes = open(meta, ARGV[2])

local out, published, first = { epoch }, {}, 0
for i = 9, #ARGV, 4 do
	local kind, key, size, json = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
	local existing = kind == 'n' and redis.call('HGET', ids, key)
	if kind == 'e' then
		redis.call('HSET', ephemerals, key, redis.call('HINCRBY', meta, 'v', 1) .. ' ' .. json)
		out[#out + 1] = 0
		published[#published + 1] = json
	elseif existing then
		out[#out + 1] = tonumber(existing)
	else
		tail = tail + 1
		if first == 0 then first = tail end
		redis.call('XADD', log, tail .. '-0', 'd', json, 'k', kind == 'n' and key or '', 'z', size, 't', now)
		if kind == 'n' then redis.call('HSET', ids, key, tail) end
		bytes = bytes + size
		out[#out + 1] = tail
		published[#published + 1] = json
	end
end

-- Delete the oldest events beyond the limits, and those past their retention.
local excess, count = true, 1
while excess and base < tail do
	local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', count)
	count = math.min(count * 2, 16) -- usually none or one is deleted
	if #oldest == 0 then -- the log was lost, and its meta was not
		base, bytes = tail, 0
	end
	local deleted, keys = {}, {}
	for _, entry in ipairs(oldest) do
		local f = entry[2]
		excess = tail - base > maxEvents or bytes > maxBytes or tonumber(f[8]) < now - ttl
		if not excess then break end
		deleted[#deleted + 1] = entry[1]
		if f[4] ~= '' then keys[#keys + 1] = f[4] end
		bytes = bytes - tonumber(f[6])
		base = tonumber(string.match(entry[1], '^%d+'))
	end
	if #deleted > 0 then redis.call('XDEL', log, unpack(deleted)) end
	if #keys > 0 then redis.call('HDEL', ids, unpack(keys)) end
end

redis.call('HSET', meta, 's', tail, 'b', base, 'z', bytes)
redis.call('PEXPIRE', meta, lifetime)
if first > 0 then
	redis.call('PEXPIRE', log, ttl + 60000)
	redis.call('PEXPIRE', ids, ttl + 60000)
end
trimEphemerals(ephemerals, tonumber(ARGV[6]), tonumber(ARGV[7]))
if #published > 0 then
	redis.call('PUBLISH', ARGV[1], epoch .. ' ' .. first .. '\n' .. table.concat(published, '\n'))
end
return out
