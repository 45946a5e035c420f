-- Closes the gate. ARGV[7]: the epoch of the attempt that met the 429, as far as it raises the level. ARGV[8]: for how
-- long. ARGV[9], ARGV[10], ARGV[11]: the channel, and there the names of the replica and the scope.
local is_current = gate.epoch == tonumber(ARGV[7])
local closed_until = now + math.min(tonumber(ARGV[8]), LONGEST_CLOSE)
local is_later = not gate.closed_until or gate.closed_until < closed_until
if is_current then
    gate.level = math.min(gate.level + 1, 1 + MAX_LEVEL)
end
if is_later then
    gate.closed_until, gate.next_slot = closed_until, closed_until
end
if is_current or is_later then
    gate.epoch = math.max(gate.epoch + 1, now)
    save()
    local state = { ARGV[10], ARGV[11], text(gate.epoch), gate.level, text(closed_for()) }
    redis.call('PUBLISH', ARGV[9], table.concat(state, ' '))
end
return reply(1, 0)
