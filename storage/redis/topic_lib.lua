-- What the scripts of topics share; it stands before each of them.

-- lifetime is how long is known of an unused topic how far its offsets got, in ms. Afterwards it has a new epoch.
local lifetime = 24 * 3600 * 1000

-- livesKept is of how many earlier epochs it is known how far they are the same.
local livesKept = 16

-- life returns the epoch of a topic, its tail, its base, and the bytes that it keeps. A topic that there is not begins. Where the data may have
-- gone back since it was written (another master, a restart), so that offsets would be given twice, a new epoch begins; up to its tail it is the same
-- as the one before. The field p tells so of the last epochs: "EPOCH OFFSET EPOCH OFFSET …".
local function life(meta, new)
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
			if n < livesKept then before[#before + 1] = e .. ' ' .. math.min(o, m[3]) end
		end
		redis.call('HSET', meta, 'e', new, 'g', master, 'p', table.concat(before, ' '))
		epoch = new
	end
	return epoch, tonumber(m[3]), tonumber(m[4]), tonumber(m[5])
end

-- crowd keeps the ephemeral events of a topic within their number and their time.
local function crowd(ephemerals, most, ttl)
	if redis.call('HLEN', ephemerals) == 0 then return end
	redis.call('PEXPIRE', ephemerals, ttl)
	if redis.call('HLEN', ephemerals) <= most then return end
	local all, versions = redis.call('HGETALL', ephemerals), {}
	for i = 1, #all, 2 do
		versions[#versions + 1] = { tonumber(string.match(all[i + 1], '^%d+')), all[i] }
	end
	table.sort(versions, function(a, b) return a[1] < b[1] end)
	for i = 1, #versions - math.floor(most * 0.9) do redis.call('HDEL', ephemerals, versions[i][2]) end
end
