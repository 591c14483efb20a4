-- Functions that the scripts of queues share; the text is prepended to each of them. All queues are in one slot,
-- because a request may have messages for several users and is atomic. KEYS[1] is the prefix of all keys, KEYS[2] that
-- of all channels:
--   e          a hash: e epoch, g replication id of its master, n and z waiting messages and bytes of all queues
--   m:USER     a hash: e epoch of the last write; p "EPOCH OFFSET EPOCH OFFSET ..." of earlier epochs, each with the
--              offset up to which it agrees with this one; f first stored offset, h head, t tail, x number of expired
--              messages, xt last expired offset, z bytes of waiting messages
--   l:USER     a hash: offset -> "QUEUED EXPIRES BYTES LENGTH KEY..JSON", LENGTH is that of KEY
--   i:USER     a hash: key of an id -> offset
--   w, n, s    sets of users: by expiry of the first waiting message; by the negative number of waiting messages; by
--              the time of the first stored message
local P = KEYS[1]

-- idle is how long an empty queue remembers which offsets it has assigned, in ms.
local idle = 90 * 24 * 3600 * 1000

-- maxEarlierEpochs is how many earlier epochs are remembered.
local maxEarlierEpochs = 16

-- epochOf returns the epoch. If Redis may have lost data (another master, a restart), offsets could be assigned twice,
-- so a new epoch begins.
local function epochOf(new)
	local info = redis.pcall('INFO', 'replication')
	local master = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
	local m = redis.call('HMGET', P .. 'e', 'e', 'g')
	if m[1] and m[2] == master then return m[1] end
	redis.call('HSET', P .. 'e', 'e', new, 'g', master)
	return new
end

local function entry(u, at)
	local text = redis.call('HGET', P .. 'l:' .. u.name, at)
	local queued, expires, bytes, length, rest = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
	length = tonumber(length)
	return {
		queued = tonumber(queued), expires = tonumber(expires), bytes = tonumber(bytes),
		key = string.sub(rest, 1, length), json = string.sub(rest, length + 1),
	}
end

local function load(name, epoch)
	local m = redis.call('HMGET', P .. 'm:' .. name, 'f', 'h', 't', 'x', 'xt', 'z', 'e', 'p')
	local function number(i, default) return tonumber(m[i] or default) end
	local u = {
		name = name, first = number(1, 1), head = number(2, 0), tail = number(3, 0),
		expired = number(4, 0), through = number(5, 0), bytes = number(6, 0),
	}
	u.oldWaiting, u.oldBytes = u.tail - u.head, u.bytes
	u.epoch, u.before = epoch, m[8] or ''
	if m[7] and m[7] ~= epoch then
		local before, n = { m[7] .. ' ' .. u.tail }, 1
		for e, offset in string.gmatch(u.before, '(%S+) (%d+)') do
			if n < maxEarlierEpochs then before[#before + 1] = e .. ' ' .. math.min(offset, u.tail) end
			n = n + 1
		end
		u.before = table.concat(before, ' ')
	end
	return u
end

local function save(u)
	local key, waiting = P .. 'm:' .. u.name, u.tail - u.head
	redis.call('HSET', key, 'f', u.first, 'h', u.head, 't', u.tail, 'x', u.expired, 'xt', u.through, 'z', u.bytes,
		'e', u.epoch, 'p', u.before)
	if waiting > 0 then
		redis.call('ZADD', P .. 'w', entry(u, u.head + 1).expires, u.name)
		redis.call('ZADD', P .. 'n', -waiting, u.name)
	else
		redis.call('ZREM', P .. 'w', u.name)
		redis.call('ZREM', P .. 'n', u.name)
	end
	if u.first <= u.tail then
		redis.call('ZADD', P .. 's', entry(u, u.first).queued, u.name)
		redis.call('PERSIST', key)
	else
		redis.call('ZREM', P .. 's', u.name)
		redis.call('PEXPIRE', key, idle)
	end
	if waiting ~= u.oldWaiting then redis.call('HINCRBY', P .. 'e', 'n', waiting - u.oldWaiting) end
	if u.bytes ~= u.oldBytes then redis.call('HINCRBY', P .. 'e', 'z', u.bytes - u.oldBytes) end
end

-- allowWhenFull lets a script write although Redis has no memory left. Redis checks the memory only before the first
-- write of a script, and not if that write is a deletion.
local function allowWhenFull() redis.call('HDEL', P .. 'e', '') end

-- notify publishes that a queue has changed.
local function notify(u) redis.call('PUBLISH', KEYS[2] .. 'c:' .. u.name, u.tail) end

-- advance moves the head over one message.
local function advance(u)
	u.head = u.head + 1
	local e = entry(u, u.head)
	u.bytes = u.bytes - e.bytes
	return e
end

-- expire moves the head over expired messages, at most limit, and returns how many.
local function expire(u, now, limit)
	local n = 0
	while u.head < u.tail and n < limit and entry(u, u.head + 1).expires <= now do
		advance(u)
		n, u.expired, u.through = n + 1, u.expired + 1, u.head
	end
	return n
end

-- sweep deletes acknowledged and expired messages that were queued before a moment.
local function sweep(u, before)
	while u.first <= u.head do
		local e = entry(u, u.first)
		if e.queued >= before then return end
		redis.call('HDEL', P .. 'l:' .. u.name, u.first)
		if e.key ~= '' then redis.call('HDEL', P .. 'i:' .. u.name, e.key) end
		u.first = u.first + 1
	end
end
