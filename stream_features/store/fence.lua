-- Write one slot's blobs, its new watermark and how fresh it is, if, and only if, the watermark is the expected one.
-- KEYS: applied, fresh_at, blob keys …   ARGV: expected applied, new applied, fresh_at or nothing, blobs …
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i + 1])
end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
