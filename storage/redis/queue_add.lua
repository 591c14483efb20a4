-- Adds messages, all or none.
-- ARGV: fresh epoch, limits of messages and bytes in a queue, how long ids are remembered (ms),
--       then for each message: user, key of its id ('': none), queued at, expires at (ms), bytes, JSON
-- Returns the epoch, and each message's offset; or the epoch, 'full', the user, and the messages and bytes that its
-- queue would have; or the epoch, 'conflict', and the number of the first message whose id is bound to another content.
local epoch = epochOf(ARGV[1])
local maxMessages, maxBytes, idTTL = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local users, order, new = {}, {}, {}
for i = 5, #ARGV, 6 do
	local name, key, queued, bytes = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 4])
	local u = users[name]
	if not u then
		u = load(name, epoch)
		users[name], u.added, u.addedBytes = u, 0, 0
		order[#order + 1] = u
	end
	sweep(u, queued - idTTL)
	local named = name .. '\0' .. key
	local existing = key ~= '' and redis.call('HGET', P .. 'i:' .. name, key)
	if existing and differs(entry(u, existing).json, ARGV[i + 5]) then
		for _, changed in ipairs(order) do save(changed) end
		return { epoch, 'conflict', tostring((i + 1) / 6) }
	end
	if key == '' or not (new[named] or existing) then
		if key ~= '' then new[named] = true end
		u.added, u.addedBytes = u.added + 1, u.addedBytes + bytes
		local function full() return u.tail - u.head + u.added > maxMessages or u.bytes + u.addedBytes > maxBytes end
		if full() then
			expire(u, queued, u.tail)
			if full() then
				for _, changed in ipairs(order) do save(changed) end
				return { epoch, 'full', name, tostring(u.tail - u.head + u.added), tostring(u.bytes + u.addedBytes) }
			end
		end
	end
end

local out = { epoch }
for i = 5, #ARGV, 6 do
	local u, key, expires, bytes = users[ARGV[i]], ARGV[i + 1], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
	local existing = key ~= '' and redis.call('HGET', P .. 'i:' .. u.name, key)
	if existing then
		out[#out + 1] = tostring(existing)
	else
		if u.tail > u.head then expires = math.max(expires, entry(u, u.tail).expires) end
		u.tail, u.bytes = u.tail + 1, u.bytes + bytes
		local head = string.format('%.0f %.0f %.0f %.0f ', tonumber(ARGV[i + 2]), expires, bytes, #key)
		redis.call('HSET', P .. 'l:' .. u.name, u.tail, head .. key .. ARGV[i + 5])
		if key ~= '' then redis.call('HSET', P .. 'i:' .. u.name, key, u.tail) end
		out[#out + 1] = tostring(u.tail)
	end
end
for _, u in ipairs(order) do
	save(u) -- also without a new message: a WAIT that follows covers this write
	notify(u)
end
return out
