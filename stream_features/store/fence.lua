-- Write one slot's blobs and its new watermark if, and only if, the watermark is still the expected one.
-- KEYS: applied, blob keys …   ARGV: expected applied, new applied, blobs …
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i + 1])
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
