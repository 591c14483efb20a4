-- Returns the stored part of a topic after a position: epoch, earlier epochs (see open), base, tail, offset of the
-- first event, the events, the ephemerals.
-- KEYS: meta, log, ephemerals
-- ARGV: fresh epoch, the position's epoch and offset, bytes of a page
local meta, log, ephemerals = KEYS[1], KEYS[2], KEYS[3]
local epoch, tail, base = open(meta, ARGV[1])
redis.call('PEXPIRE', meta, lifetime)
local after, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local same = ARGV[2] == epoch
if not same or after < base or after > tail then after = base end

local events, at = {}, after
while budget > 0 and at < tail do
	local entries = redis.call('XRANGE', log, (at + 1) .. '-0', '+', 'COUNT', 64)
	if #entries == 0 then break end
	for _, entry in ipairs(entries) do
		events[#events + 1] = entry[2][2]
		budget = budget - #entry[2][2]
		at = tonumber(string.match(entry[1], '^%d+'))
		if budget <= 0 then break end
	end
end
if at == after and at < tail then -- the log was lost, and its meta was not
	base, after, at = tail, tail, tail
	redis.call('HSET', meta, 'b', base, 'z', 0)
end

local current = {}
if at >= tail then
	local all = redis.call('HGETALL', ephemerals)
	for i = 2, #all, 2 do
		local version, json = string.match(all[i], '^(%d+) (.*)$')
		current[#current + 1] = { tonumber(version), json }
	end
	table.sort(current, function(a, b) return a[1] < b[1] end)
	for i, e in ipairs(current) do current[i] = e[2] end
end
return { epoch, redis.call('HGET', meta, 'p') or '', base, tail, after + 1, events, current }
