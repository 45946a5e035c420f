-- Reads the state.
if is_restored and gate.closed_until then save() end
return reply(1, 0)
