-- Takes one unit of each cell, or none (GCRA).
--
-- KEYS: the cells.
-- ARGV: of each cell, the time in which one unit is refilled, and the time in which all are.
-- Returns {1, when the units were taken, 0}, or {0, the cell that has to be waited for the longest, the wait}.
--
-- All times are whole microseconds, which a number of Lua holds exactly. A cell is a string: when it is full
-- again, when it would be without the units that follow, and when each of the newest units was taken.
-- It expires when it is full. The times of the units of a cell differ, so that they identify the units.
local LONGEST = 256 * 17

local function text(time) return string.format('%.0f', time) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local cells, taken_at, refused, longest = {}, now, nil, 0

for i, key in ipairs(KEYS) do
    local interval, size = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local full_at, base, units = string.match(redis.call('GET', key) or '', '^(%d+) (%d+)(.*)$')
    -- A cell that is fuller than its size is left over from a clock that was set back.
    full_at = math.min(tonumber(full_at or 0), now + size)
    cells[i] = { key = key, interval = interval, full_at = full_at, base = base, units = units or '' }
    taken_at = math.max(taken_at, (tonumber(string.sub(cells[i].units, -16)) or 0) + 1)

    local wait = math.max(full_at, now) + interval - size - now
    if wait > 0 and wait >= longest then
        refused, longest = i - 1, wait
    end
end
if refused then
    return { 0, refused, longest }
end

for _, cell in ipairs(cells) do
    if cell.full_at <= taken_at then
        -- Earlier units have no effect any more, given back or not.
        cell.base, cell.units = '0', ''
    elseif #cell.units >= LONGEST then
        -- The oldest unit cannot be given back any more.
        local oldest = tonumber(string.sub(cell.units, 2, 17))
        cell.base = text(math.max(tonumber(cell.base), oldest) + cell.interval)
        cell.units = string.sub(cell.units, 18)
    end
    local full_at = math.max(cell.full_at, taken_at) + cell.interval
    local value = text(full_at) .. ' ' .. cell.base .. cell.units .. ' ' .. text(taken_at)
    redis.call('SET', cell.key, value, 'PX', text(math.ceil((full_at - now) / 1000)))
end
return { 1, taken_at, 0 }
