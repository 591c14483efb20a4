-- Returns the longest queues. ARGV: fresh epoch, limit
-- Returns the epoch, users, messages, bytes, when the message that expires first was queued, and then for each queue:
-- user, messages, bytes, when its first message was queued.
local epoch = epochOf(ARGV[1])
local m = redis.call('HMGET', P .. 'e', 'n', 'z')
local function oldest(u) return string.format('%.0f', entry(u, u.head + 1).queued) end
local first = redis.call('ZRANGE', P .. 'w', 0, 0)[1]
local out = {
	epoch, tostring(redis.call('ZCARD', P .. 'w')), m[1] or '0', m[2] or '0',
	first and oldest(load(first, epoch)) or '0',
}
if tonumber(ARGV[2]) > 0 then
	for _, name in ipairs(redis.call('ZRANGE', P .. 'n', 0, ARGV[2] - 1)) do
		local u = load(name, epoch)
		for _, value in ipairs({ name, tostring(u.tail - u.head), string.format('%.0f', u.bytes), oldest(u) }) do
			out[#out + 1] = value
		end
	end
end
return out
