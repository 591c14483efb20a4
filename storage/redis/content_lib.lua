-- digestOf returns the digest in the JSON of a stored event or message with an id of its sender's, which is the JSON's
-- first member; nil in what an earlier version has stored, which fits any digest.
local function digestOf(json) return string.match(json, '^{"digest":"([^"]+)"') end

-- differs reports whether two JSON texts have different digests.
local function differs(a, b)
	local x, y = digestOf(a), digestOf(b)
	return x and y and x ~= y
end
