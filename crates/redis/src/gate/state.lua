-- The state of a gate, which the scripts of this folder share.
--
-- KEYS[1]: the scope.
-- ARGV: step, ramp, and the state that the replica has seen last: epoch, level, whether it is closed, until when from
-- now.
--
-- All times are whole microseconds. An epoch is the time of the close that began it, so that epochs grow even if
-- Redis loses its state. The state expires when the gate is open.
local SHORTEST_STEP, MAX_LEVEL, LONGEST_CLOSE = 1000, 6, 3600000000

local function text(time) return string.format('%.0f', time) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local step, ramp = tonumber(ARGV[1]), tonumber(ARGV[2])

local stored = redis.call('HMGET', KEYS[1], 'epoch', 'level', 'until', 'next_slot', 'written_at')
local gate = {
    epoch = tonumber(stored[1] or 0),
    level = tonumber(stored[2] or 0),
    closed_until = stored[3] and tonumber(stored[3]),
    next_slot = stored[4] and tonumber(stored[4]),
}
local set_back = math.max(0, tonumber(stored[5] or 0) - now)

-- Returns the distance of a slot at this time to the next one; zero if the ramp is over.
local function step_at(at)
    local doubled = step * 2 ^ math.max(0, gate.level - 1)
    local halvings = math.floor(math.max(0, at - gate.closed_until) / ramp)
    local halved = math.floor(doubled / 2 ^ halvings)
    return halved >= SHORTEST_STEP and halved or 0
end

local function save()
    local doubled, ramp_ends = step * 2 ^ math.max(0, gate.level - 1), gate.closed_until
    while doubled >= SHORTEST_STEP do
        doubled, ramp_ends = doubled / 2, ramp_ends + ramp
    end
    local left = math.max(ramp_ends, gate.next_slot) - now
    redis.call('HSET', KEYS[1], 'epoch', text(gate.epoch), 'level', gate.level, 'until', text(gate.closed_until),
        'next_slot', text(gate.next_slot), 'written_at', text(now))
    redis.call('PEXPIRE', KEYS[1], text(math.max(1, math.ceil(left / 1000))))
end

-- A clock that was set back must not keep the gate closed for longer.
if gate.closed_until and set_back > 0 then
    gate.closed_until, gate.next_slot = gate.closed_until - set_back, gate.next_slot - set_back
    save()
end

local function closed_for() return (gate.closed_until or now) - now end

local function reply(granted, slot)
    return { granted, slot, gate.epoch, gate.level, gate.closed_until and 1 or 0, closed_for() }
end

-- Redis lost a close that the replica has seen.
local seen = tonumber(ARGV[3])
local is_restored = seen > gate.epoch
if is_restored then
    gate.epoch, gate.level = seen, math.max(gate.level, tonumber(ARGV[4]))
    if ARGV[5] == '1' then
        gate.closed_until = math.max(gate.closed_until or 0, now + tonumber(ARGV[6]))
        gate.next_slot = math.max(gate.next_slot or 0, gate.closed_until)
    end
end

-- Opens the gate when its ramp is over and every slot is past.
if gate.closed_until and step_at(now) == 0 and gate.next_slot <= now then
    gate.level, gate.closed_until, gate.next_slot = 0, nil, nil
end
