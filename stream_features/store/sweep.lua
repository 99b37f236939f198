-- Delete those keys of a slot that still hold the expected blob, if its watermark is the expected one.
-- KEYS: applied, blob keys …   ARGV: expected applied, expected blobs …   Returns how many were deleted.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local deleted = 0
for i = 2, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[i] then
    deleted = deleted + redis.call('DEL', KEYS[i])
  end
end
return deleted
