-- State how fresh a slot is if its watermark is the expected one.
-- KEYS: applied, fresh_at   ARGV: expected applied, fresh_at
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2])
return 1
