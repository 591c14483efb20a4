-- Checks the ids of events that are to be added.
-- KEYS: meta, log, ids, ephemerals
-- ARGV: as those of topic_append.lua
-- Returns the number of the first event whose id is bound to another content, or 0.
return conflict(KEYS[2], KEYS[3])
