-- Acknowledges a user's messages up to an offset. ARGV: fresh epoch, user, offset.
-- Returns the epoch, and 'ahead' or 'ok'.
allowWhenFull()
local epoch, through = epochOf(ARGV[1]), tonumber(ARGV[3])
local u = load(ARGV[2], epoch)
if through > u.tail then return { epoch, 'ahead' } end
while u.head < through do advance(u) end
if through >= u.through then u.expired, u.through = 0, 0 end
save(u)
notify(u)
return { epoch, 'ok' }
