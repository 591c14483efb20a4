-- What the scripts of queues share; it stands before each of them. All queues lie in one slot, because a request may hold messages for several users,
-- and is taken as a whole or not at all. KEYS[1] is the prefix of all keys, KEYS[2] that of all
-- channels:
--   e          a hash: e the epoch, g the master that it is of, n and z messages and bytes that wait in all queues
--   m:USER     a hash: e the epoch in which it was last written, p "EPOCH OFFSET EPOCH OFFSET ..." of earlier ones, up to where they are the same; f the first offset that is kept, h the head, t the tail, x how many have expired, xt the last of them, z bytes that wait
--   l:USER     a hash: offset -> "QUEUED EXPIRES BYTES LENGTH KEY..JSON", LENGTH that of the key
--   i:USER     a hash: key of an id -> offset
--   w, n, s    sets of users: by when their first message expires; by how many wait, as a negative number; by when their first kept message came
local P = KEYS[1]

-- idle is how long it is known of an empty queue which offsets it has given, in ms.
local idle = 90 * 24 * 3600 * 1000

-- livesKept is of how many earlier epochs it is known how far they are the same.
local livesKept = 16

-- life returns the epoch. Where the data may have gone back (another master, a restart), offsets might be given twice: a new one begins.
local function life(new)
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
	return { queued = tonumber(queued), expires = tonumber(expires), bytes = tonumber(bytes), key = string.sub(rest, 1, length), json = string.sub(rest, length + 1) }
end

local function load(name, epoch)
	local m = redis.call('HMGET', P .. 'm:' .. name, 'f', 'h', 't', 'x', 'xt', 'z', 'e', 'p')
	local function number(i, default) return tonumber(m[i] or default) end
	local u = { name = name, first = number(1, 1), head = number(2, 0), tail = number(3, 0), expired = number(4, 0), through = number(5, 0), bytes = number(6, 0) }
	u.had, u.hadBytes = u.tail - u.head, u.bytes
	u.epoch, u.lives = epoch, m[8] or ''
	if m[7] and m[7] ~= epoch then
		local lives, n = { m[7] .. ' ' .. u.tail }, 1
		for e, offset in string.gmatch(u.lives, '(%S+) (%d+)') do
			if n < livesKept then lives[#lives + 1] = e .. ' ' .. math.min(offset, u.tail) end
			n = n + 1
		end
		u.lives = table.concat(lives, ' ')
	end
	return u
end

local function save(u)
	local key, waiting = P .. 'm:' .. u.name, u.tail - u.head
	redis.call('HSET', key, 'f', u.first, 'h', u.head, 't', u.tail, 'x', u.expired, 'xt', u.through, 'z', u.bytes, 'e', u.epoch, 'p', u.lives)
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
	if waiting ~= u.had then redis.call('HINCRBY', P .. 'e', 'n', waiting - u.had) end
	if u.bytes ~= u.hadBytes then redis.call('HINCRBY', P .. 'e', 'z', u.bytes - u.hadBytes) end
end

-- shrink lets a script write although Redis is full: whether it is, is looked at before the first write only, unless that one deletes.
local function shrink() redis.call('HDEL', P .. 'e', '') end

local function tell(u) redis.call('PUBLISH', KEYS[2] .. 'c:' .. u.name, u.tail) end

-- pass takes the message behind the head from those that wait.
local function pass(u)
	u.head = u.head + 1
	local e = entry(u, u.head)
	u.bytes = u.bytes - e.bytes
	return e
end

-- expire takes what has expired, at most so many, and returns how many that were.
local function expire(u, now, limit)
	local n = 0
	while u.head < u.tail and n < limit and entry(u, u.head + 1).expires <= now do
		pass(u)
		n, u.expired, u.through = n + 1, u.expired + 1, u.head
	end
	return n
end

-- sweep forgets what does not wait and is older than the time that ids are known for.
local function sweep(u, before)
	while u.first <= u.head do
		local e = entry(u, u.first)
		if e.queued >= before then return end
		redis.call('HDEL', P .. 'l:' .. u.name, u.first)
		if e.key ~= '' then redis.call('HDEL', P .. 'i:' .. u.name, e.key) end
		u.first = u.first + 1
	end
end
