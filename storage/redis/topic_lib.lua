-- Functions that the scripts of topics share; the text is prepended to each of them.

-- lifetime is how long an unused topic remembers its tail, in ms. Afterwards it gets a new epoch.
local lifetime = 24 * 3600 * 1000

-- maxEarlierEpochs is how many earlier epochs are remembered.
local maxEarlierEpochs = 16

-- open returns the epoch of a topic, its tail, its base, and its stored bytes. It creates a missing topic. If Redis may
-- have lost data since the last write (another master, a restart), offsets could be assigned twice, so a new epoch
-- begins. Up to the tail it agrees with the epoch before. The field p has the last epochs, each with the offset up to
-- which it agrees: "EPOCH OFFSET EPOCH OFFSET …".
local function open(meta, new)
	local info = redis.pcall('INFO', 'replication')
	local master = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
	local m = redis.call('HMGET', meta, 'e', 'g', 's', 'b', 'z')
	if not m[1] then
		redis.call('HSET', meta, 'e', new, 'g', master, 's', 0, 'b', 0, 'z', 0)
		return new, 0, 0, 0
	end
	local epoch = m[1]
	if m[2] ~= master then
		local before, n = { epoch .. ' ' .. m[3] }, 0
		for e, o in string.gmatch(redis.call('HGET', meta, 'p') or '', '(%S+) (%d+)') do
			n = n + 1
			if n < maxEarlierEpochs then before[#before + 1] = e .. ' ' .. math.min(o, m[3]) end
		end
		redis.call('HSET', meta, 'e', new, 'g', master, 'p', table.concat(before, ' '))
		epoch = new
	end
	return epoch, tonumber(m[3]), tonumber(m[4]), tonumber(m[5])
end

-- trimEphemerals limits the number and the retention of a topic's ephemeral events.
local function trimEphemerals(ephemerals, limit, ttl)
	if redis.call('HLEN', ephemerals) == 0 then return end
	redis.call('PEXPIRE', ephemerals, ttl)
	if redis.call('HLEN', ephemerals) <= limit then return end
	local all, versions = redis.call('HGETALL', ephemerals), {}
	for i = 1, #all, 2 do
		versions[#versions + 1] = { tonumber(string.match(all[i + 1], '^%d+')), all[i] }
	end
	table.sort(versions, function(a, b) return a[1] < b[1] end)
	for i = 1, #versions - math.floor(limit * 0.9) do redis.call('HDEL', ephemerals, versions[i][2]) end
end

-- conflict returns the number of the first event in the arguments of topic_append.lua whose id is bound to another
-- content, or 0.
local function conflict(log, ids)
	for i = 9, #ARGV, 4 do
		local existing = ARGV[i] == 'n' and redis.call('HGET', ids, ARGV[i + 1])
		local entry = existing and redis.call('XRANGE', log, existing .. '-0', existing .. '-0')[1]
		if entry and differs(entry[2][2], ARGV[i + 3]) then return (i - 5) / 4 end
	end
	return 0
end
