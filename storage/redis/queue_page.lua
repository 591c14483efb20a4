-- Returns a user's waiting messages after an offset: the epoch, head, tail, how many have expired, the last expired
-- offset, the earlier epochs, and then offset, expires at and JSON of each message.
-- ARGV: fresh epoch, user, offset, limit, bytes of a page
local epoch = epochOf(ARGV[1])
local u = load(ARGV[2], epoch)
local limit, budget = tonumber(ARGV[4]), tonumber(ARGV[5])
local out = { epoch, tostring(u.head), tostring(u.tail), tostring(u.expired), tostring(u.through), u.before }
local at = math.max(tonumber(ARGV[3]), u.head) + 1
while at <= u.tail and limit > 0 and budget > 0 do
	local e = entry(u, at)
	out[#out + 1] = tostring(at)
	out[#out + 1] = string.format('%.0f', e.expires)
	out[#out + 1] = e.json
	at, limit, budget = at + 1, limit - 1, budget - e.bytes
end
return out
