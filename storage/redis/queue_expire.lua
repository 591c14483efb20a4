-- Expires messages of one user or of any, and deletes old ids.
-- ARGV: fresh epoch, user ('': any), now (ms), limit, how long ids are remembered (ms).
-- Returns the epoch, and how many messages expired.
allowWhenFull()
local epoch, now, limit, n = epochOf(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4]), 0
if ARGV[2] ~= '' then
	local u = load(ARGV[2], epoch)
	n = expire(u, now, limit)
	if n > 0 then
		save(u)
		notify(u)
	end
	return { epoch, tostring(n) }
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'w', '-inf', now, 'LIMIT', 0, limit)) do
	if n < limit then
		local u = load(name, epoch)
		n = n + expire(u, now, limit - n)
		save(u)
		notify(u)
	end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 's', '-inf', now - ARGV[5], 'LIMIT', 0, limit)) do
	local u = load(name, epoch)
	sweep(u, now - ARGV[5])
	save(u)
end
return { epoch, tostring(n) }
