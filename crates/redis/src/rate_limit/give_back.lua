-- Gives units back, as if they had never been taken. A unit that is not known any more has no effect.
--
-- KEYS: the cells, in the format of take.lua.
-- ARGV: when the units were taken, and of each cell the time in which one unit is refilled.
local function text(time) return string.format('%.0f', time) end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local unit = ' ' .. ARGV[1]

for i, key in ipairs(KEYS) do
    local interval = tonumber(ARGV[1 + i])
    local full_at, base, units = string.match(redis.call('GET', key) or '', '^(%d+) (%d+)(.*)$')
    local start, stop = string.find(units or '', unit, 1, true)
    if start then
        units = string.sub(units, 1, start - 1) .. string.sub(units, stop + 1)
        local without = tonumber(base)
        for taken_at in string.gmatch(units, '%d+') do
            without = math.max(without, tonumber(taken_at)) + interval
        end
        without = math.min(without, tonumber(full_at))
        if without <= now then
            redis.call('DEL', key)
        else
            local value = text(without) .. ' ' .. base .. units
            redis.call('SET', key, value, 'PX', text(math.ceil((without - now) / 1000)))
        end
    end
end
