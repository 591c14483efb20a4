-- Returns what a user has waiting behind an offset: the epoch, head, tail, how many have expired, the last of them, the epochs before, then offset, when it expires, JSON ...
-- ARGV: an epoch that is new, user, offset, how many at most, bytes of a page
local epoch = life(ARGV[1])
local u = load(ARGV[2], epoch)
local limit, room = tonumber(ARGV[4]), tonumber(ARGV[5])
local out = { epoch, tostring(u.head), tostring(u.tail), tostring(u.expired), tostring(u.through), u.lives }
local at = math.max(tonumber(ARGV[3]), u.head) + 1
while at <= u.tail and limit > 0 and room > 0 do
	local e = entry(u, at)
	out[#out + 1] = tostring(at)
	out[#out + 1] = string.format('%.0f', e.expires)
	out[#out + 1] = e.json
	at, limit, room = at + 1, limit - 1, room - e.bytes
end
return out
