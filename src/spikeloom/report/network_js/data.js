// Reads the spikes of a page (network_spikes.py says how they are written) and counts them.

function unpack(group) {
  const bytes = atob(group.text), many = bytes.length, rows = group.rows
  const ticks = new Int32Array(group.count), rowOf = new Int32Array(group.count)
  let tick = 0, row = 0, k = 0
  for (let i = 0; i < many; k++) {
    let digit = bytes.charCodeAt(i++), step = digit & 127
    for (let shift = 7; digit > 127; shift += 7) {
      digit = bytes.charCodeAt(i++)
      // By bits as long as 32 of them hold it.
      if (shift < 28) step |= (digit & 127) << shift; else step += (digit & 127) * 2 ** shift
    }
    row += step
    if (row >= rows) {
      const whole = Math.floor(row / rows)
      tick += whole
      row -= whole * rows
    }
    ticks[k] = tick
    rowOf[k] = row
  }
  return {...group, ticks, rowOf}
}

// Index of the first spike at `tick` or later, of those from `low` on.
function firstFrom(ticks, tick, low = 0) {
  let high = ticks.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (ticks[middle] < tick) low = middle + 1; else high = middle
  }
  return low
}

// 1, 2 or 5 times a power of ten, at least `least`.
function niceAbove(least) {
  const power = 10 ** Math.floor(Math.log10(least))
  for (const factor of [1, 2, 5]) if (factor * power >= least * (1 - 1e-9)) return factor * power
  return 10 * power
}

function niceTop(least) {
  const power = 10 ** Math.floor(Math.log10(least))
  for (const factor of [1, 1.5, 2, 3, 4, 5, 6, 8]) if (factor * power >= least * (1 - 1e-9)) return factor * power
  return 10 * power
}

// Whole numbers of `step` from `low` to `high`.
function ticksOf(low, high, step) {
  const found = []
  for (let k = Math.ceil(low / step - 1e-6); k <= high / step + 1e-6; k++) found.push(k * step + 0)  // + 0: no -0
  return found
}

// Rates (Hz) of a group in bins of `width` ticks, from the bin that holds tick `from` to that which holds `to`. A bin
// holds the ticks after its beginning up to its end. `most` is the highest one, where the last bin, which may be cut
// short, counts as a whole one: few spikes in a moment are no peak.
function ratesOf(group, tick, width, from, to) {
  const first = Math.max(0, Math.floor(from / width)), last = Math.min(Math.ceil(to / width), Math.ceil(group.duration / width))
  const rates = new Float64Array(Math.max(0, last - first))
  let most = 0
  let at = firstFrom(group.ticks, first ? first * width + 1 : 0)
  for (let k = 0; k < rates.length; k++) {
    const next = firstFrom(group.ticks, (first + k + 1) * width + 1, at)
    const wide = Math.min(width, group.duration - (first + k) * width)
    rates[k] = (next - at) * 1e3 / (wide * tick * group.rows)
    most = Math.max(most, rates[k] * wide / width)
    at = next
  }
  return {first, rates, most}
}

// Spikes of all groups in `bins` equal parts of `all` ticks. A part holds the ticks after its beginning up to its end.
function overviewOf(groups, bins, all) {
  const found = new Float64Array(bins)
  for (const {ticks} of groups) {
    for (let k = 0; k < ticks.length; k++) {
      found[Math.min(bins - 1, Math.max(0, Math.ceil(ticks[k] * bins / all) - 1))]++
    }
  }
  return found
}

function written(number, digits) {
  const text = Math.abs(number) >= 1e4 ? Math.round(number).toLocaleString('en-US')
    : String(Number(number.toPrecision(digits || 4)))
  return text.replace('-', '\u2212')
}

function count(number) { return Math.round(number).toLocaleString('en-US') }
