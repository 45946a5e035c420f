-- Takes the next slot. ARGV[7]: the longest wait.
if not gate.closed_until then
    return reply(1, 0)
end
local at = math.max(gate.next_slot, now)
if at - now > tonumber(ARGV[7]) then
    if is_restored then save() end
    return reply(0, at - now)
end
gate.next_slot = at + step_at(at)
save()
return reply(1, at - now)
