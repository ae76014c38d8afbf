// Draws what a view shows: the strip of the whole run, the raster, the rates below it, the time axis.
// A view is {t0, t1} in ms after the beginning and {y0, y1}, the part of the stacked populations from 0 to 1.

const SINGLE = 30000  // spikes in view up to which each is a mark of its own
const BUSY = 1e6  // spikes that are looked at while something moves
const STRIP = 34, HEAD = 20, GAP = 14, AXIS = 44
const SPARE = 4  // pixels beside the first and the last moment, so that marks there are seen

// Where each population lies, as parts of the raster's height: by the square root of its size, so that small ones are seen.
function bandsOf(groups) {
  const gap = Math.min(0.015, 0.3 / groups.length)
  const room = 1 - gap * (groups.length - 1), all = groups.reduce((sum, g) => sum + Math.sqrt(g.rows), 0)
  let top = 0
  return groups.map((g) => {
    const band = {top, bottom: top + room * Math.sqrt(g.rows) / all}
    top = band.bottom + gap
    return band
  })
}

function placesOf(page, width) {
  const {groups, look} = page, rows = groups.reduce((sum, g) => sum + g.rows, 0)
  const most = 420 + 20 * Math.min(8, Math.max(0, groups.length - 2))
  const raster = Math.max(150, Math.min(most, 11 * rows + 20 * groups.length))
  const lane = Math.max(16, Math.min(64, 520 / groups.length)), between = lane > 30 ? 10 : 4
  const right = width < 640 ? 84 : look.right, left = look.left
  const top = STRIP + HEAD, lanes = top + raster + GAP
  const bottom = lanes + groups.length * (lane + between) - between
  const inner = width - left - right
  return {width, left, right, inner, top, raster, lanes, lane, between, bottom, height: bottom + AXIS}
}

// Colours of the density, from none to many, as the four bytes of a pixel.
function ramp(group, look) {
  const parse = (c) => [1, 3, 5].map((k) => parseInt(c.slice(k, k + 2), 16))
  const [paper, colour, dark] = [look.paper, group.colour, group.dark].map(parse)
  const table = new Uint32Array(256), bytes = new Uint8Array(table.buffer)
  for (let k = 0; k < 256; k++) {
    const share = k / 255
    const [from, to, part] = share < 0.7 ? [paper, colour, share / 0.7] : [colour, dark, (share - 0.7) / 0.3]
    for (let c = 0; c < 3; c++) bytes[4 * k + c] = Math.round(from[c] + (to[c] - from[c]) * part)
    bytes[4 * k + 3] = 255
  }
  return table
}

// The spikes after t0 up to t1, as a bin holds them.
function spanOf(group, page, view) {
  const after = (t) => firstFrom(group.ticks, Math.floor(t / page.tick + 1e-6) + 1)
  return [view.t0 > 0 ? after(view.t0) : 0, after(view.t1)]
}

// One pixel for each cell; the shade says how many spikes fell there, against the mean of the population at this zoom.
function drawDensity(ctx, page, view, spans, moving) {
  const {places, ratio, bands} = page
  const wide = Math.max(1, Math.round(places.inner * ratio)), high = Math.round(places.raster * ratio)
  if (!page.pixels || page.pixels.width !== wide || page.pixels.height !== high) {
    page.pixels = ctx.createImageData(wide, high)
    page.cells = new Int32Array(wide * (high + 1))
  }
  const cells = page.cells, shades = new Uint32Array(page.pixels.data.buffer)
  cells.fill(0)
  shades.fill(page.ramps[0][0])
  const all = spans.reduce((sum, [a, b]) => sum + b - a, 0), stride = moving ? Math.max(1, Math.ceil(all / BUSY)) : 1
  page.groups.forEach((group, index) => {
    const band = bands[index], scale = high / (view.y1 - view.y0)
    const top = (band.top - view.y0) * scale, tall = (band.bottom - band.top) * scale
    const first = Math.max(0, Math.floor(top)), last = Math.min(high, Math.ceil(top + tall))
    if (last <= first) return
    const across = wide * page.tick / (view.t1 - view.t0), begin = view.t0 / page.tick, {ticks, rowOf} = group
    const line = new Int32Array(group.rows)  // where the pixels of each neuron begin, the first neuron lowest
    for (let n = 0; n < group.rows; n++) {
      const y = Math.floor(top + tall * (1 - (n + 0.5) / group.rows))
      line[n] = y >= first && y < last ? y * wide : wide * high  // what is not in view goes below it
    }
    const end = spans[index][1]
    for (let x = 0, k = spans[index][0]; x < wide; x++) {
      const next = x + 1 < wide ? Math.min(end, firstFrom(ticks, Math.ceil(begin + (x + 1) / across), k)) : end
      for (; k < next; k += stride) cells[line[rowOf[k]] + x] += stride
    }
    const mean = group.count / (group.duration * across) / tall, table = page.ramps[index]
    const tone = new Uint32Array(256)
    for (let c = 0; c < 256; c++) tone[c] = table[Math.round(255 * (1 - Math.exp(-c / (1.6 * mean + 0.6))))]
    for (let k = first * wide; k < last * wide; k++) if (cells[k]) shades[k] = cells[k] < 256 ? tone[cells[k]] : table[255]
  })
  ctx.putImageData(page.pixels, Math.round(places.left * ratio), Math.round(places.top * ratio))
}

function drawMarks(ctx, page, view, spans, visible) {
  const {places, bands} = page, scale = places.raster / (view.y1 - view.y0)
  const least = Math.max(2, Math.min(6, Math.sqrt(0.06 * places.inner * places.raster / Math.max(1, visible))))
  ctx.save()
  ctx.beginPath()
  ctx.rect(places.left - SPARE, places.top, places.inner + 2 * SPARE, places.raster)
  ctx.clip()
  page.groups.forEach((group, index) => {
    const band = bands[index], top = places.top + (band.top - view.y0) * scale, tall = (band.bottom - band.top) * scale
    const row = tall / group.rows, high = Math.max(least, Math.min(0.72 * row, 16))
    const across = places.inner * page.tick / (view.t1 - view.t0), begin = view.t0 / page.tick
    const wide = Math.max(1.2, Math.min(0.7 * across, 0.4 * high, 2.4))
    ctx.fillStyle = group.colour
    for (let k = spans[index][0]; k < spans[index][1]; k++) {
      const y = top + tall * (1 - (group.rowOf[k] + 0.5) / group.rows)
      if (y < places.top - high || y > places.top + places.raster + high) continue
      ctx.fillRect(places.left + (group.ticks[k] - begin) * across - wide / 2, y - high / 2, wide, high)
    }
  })
  ctx.restore()
}

function drawNeurons(ctx, page, view) {
  const {places, bands, look, font} = page, scale = places.raster / (view.y1 - view.y0)
  let written_ = -Infinity
  page.groups.forEach((group, index) => {
    const band = bands[index], top = places.top + (band.top - view.y0) * scale, tall = (band.bottom - band.top) * scale
    const from = Math.max(top, places.top), to = Math.min(top + tall, places.top + places.raster)
    if (to <= from) return
    ctx.fillStyle = look.faint
    ctx.fillRect(places.left - SPARE - 1, from, 1, to - from)
    const middle = (from + to) / 2, roomy = to - from > 32
    if (middle - written_ > 14) {
      ctx.textAlign = 'left'
      ctx.fillStyle = group.ink
      ctx.font = '600 ' + font
      ctx.fillText(fitted(ctx, group.name, places.right - 10), places.left + places.inner + 8, roomy ? middle - 7 : middle)
      ctx.font = font
      ctx.fillStyle = look.muted
      if (roomy) ctx.fillText(count(group.size), places.left + places.inner + 8, middle + 8)
      written_ = roomy ? middle + 8 : middle
    }
    const rowAt = (y) => (1 - (y - top) / tall) * group.rows - 0.5
    ctx.textAlign = 'right'
    ctx.fillStyle = look.muted
    const step = Math.max(1, niceAbove(26 * group.rows / tall))
    if (to - from < 18) return
    for (const row of ticksOf(Math.max(0, rowAt(to)), Math.min(group.rows - 1, rowAt(from)), step)) {
      const y = Math.min(Math.max(top + tall * (1 - (row + 0.5) / group.rows), from), to)
      ctx.fillRect(places.left - SPARE - 5, y - 0.5, 4, 1)
      const text = y > places.top + 5 || view.y0 > 0 ? count(row * group.every) : ''
      ctx.fillText(text, places.left - SPARE - 8, Math.min(y, to - 4))
    }
  })
}

function drawLanes(ctx, page, view, spans) {
  const {places, look, font} = page, wide = (view.t1 - view.t0) / page.tick
  // A bin is 1.6 pixels or more, and holds about ten spikes of the busiest group where it is not too wide for that.
  const busiest = Math.max(...page.groups.map((g) => g.count / g.duration))
  const width = niceAbove(Math.max(1, 1.6 * wide / places.inner, Math.min(10 / Math.max(busiest, 1e-9), wide / 60)))
  page.binned = width * page.tick
  page.lanes = page.groups.map((group, index) => {
    const top = places.lanes + index * (places.lane + places.between), bottom = top + places.lane
    const found = ratesOf(group, page.tick, width, view.t0 / page.tick, view.t1 / page.tick)
    const most = niceTop(found.most || 1)
    const [a, b] = spans[index], inView = (b - a) * 1e3 / (group.rows * (view.t1 - view.t0))
    const x = (k) => places.left + ((found.first + k) * width * page.tick - view.t0) / (view.t1 - view.t0) * places.inner
    const y = (rate) => bottom - rate / most * (places.lane - 2)
    ctx.fillStyle = look.grid
    ctx.fillRect(places.left, bottom, places.inner, 1)
    ctx.save()
    ctx.beginPath()
    ctx.rect(places.left, top - 1, places.inner, places.lane + 2)
    ctx.clip()
    ctx.beginPath()
    found.rates.forEach((rate, k) => { ctx.lineTo(x(k), y(rate)); ctx.lineTo(x(k + 1), y(rate)) })
    ctx.strokeStyle = group.colour
    ctx.lineWidth = 1.2
    ctx.stroke()
    ctx.lineTo(x(found.rates.length), bottom)
    ctx.lineTo(x(0), bottom)
    ctx.globalAlpha = 0.16
    ctx.fillStyle = group.colour
    ctx.fill()
    ctx.globalAlpha = 1
    ctx.restore()
    ctx.fillStyle = look.muted
    ctx.textAlign = 'right'
    ctx.font = font
    ctx.fillText(written(most, 3), places.left - SPARE - 8, top + 5)
    if (places.lane > 28) ctx.fillText('0', places.left - SPARE - 8, bottom - 4)
    ctx.fillStyle = look.faint
    ctx.fillRect(places.left - SPARE - 1, top, 1, places.lane)
    return {...found, top, bottom, width, inView}
  })
}

// What stands beside a lane: the rate in a bin of it, else that in view. The words are left out where there is no room.
function rateText(ctx, lane, bin, room) {
  if (bin >= 0 && bin < lane.rates.length) return written(lane.rates[bin], 3) + ' Hz'
  const rate = written(lane.inView, 3) + ' Hz', text = 'in view ' + rate
  return ctx.measureText(text).width <= room ? text : rate
}

function drawTimes(ctx, page, view) {
  const {places, look} = page, step = niceAbove((view.t1 - view.t0) * 90 / places.inner)
  const begin = page.begin, x = (t) => places.left + (t - begin - view.t0) / (view.t1 - view.t0) * places.inner
  ctx.fillStyle = look.faint
  ctx.fillRect(places.left, places.bottom + 5, places.inner, 1)
  ctx.textAlign = 'center'
  for (const t of ticksOf(begin + view.t0, begin + view.t1, step)) {
    ctx.fillStyle = look.faint
    ctx.fillRect(x(t) - 0.5, places.bottom + 5, 1, 5)
    ctx.fillStyle = look.muted
    ctx.fillText(written(Number(t.toFixed(6)), 9), x(t), places.bottom + 18)
  }
  ctx.fillStyle = look.ink
  ctx.font = page.title
  ctx.fillText('time (ms)', places.left + places.inner / 2, places.bottom + 36)
  const upright = (text, y) => {
    ctx.save()
    ctx.translate(13, y)
    ctx.rotate(-Math.PI / 2)
    ctx.fillText(text, 0, 0)
    ctx.restore()
  }
  upright('neuron', places.top + places.raster / 2)
  upright('rate (Hz)', (places.lanes + places.bottom) / 2)
  ctx.font = page.font
  ctx.textAlign = 'right'
  ctx.fillStyle = look.muted
  ctx.fillText(`rates in bins of ${written(page.binned, 3)} ms`, places.left + places.inner, places.bottom + 36)
}

// Spikes of all populations over the whole run, and a frame around what is shown below.
function drawStrip(ctx, page, view) {
  const {places, look, span} = page, bins = Math.max(1, Math.min(Math.floor(places.inner), page.ticksInAll))
  if (!page.overview || page.overview.length !== bins) page.overview = overviewOf(page.groups, bins, page.ticksInAll)
  const most = Math.max(...page.overview, 1), each = places.inner / bins
  ctx.fillStyle = look.faint
  page.overview.forEach((n, k) => {
    const high = n / most * (STRIP - 6)
    ctx.fillRect(places.left + k * each, STRIP - 2 - high, each, high)
  })
  ctx.fillRect(places.left, STRIP - 2, places.inner, 1)
  ctx.fillStyle = look.muted
  ctx.textAlign = 'left'
  ctx.fillText('whole run', places.left + places.inner + 8, STRIP / 2)
  if (view.t1 - view.t0 > span * 0.9999) return
  const a = places.left + view.t0 / span * places.inner, b = places.left + view.t1 / span * places.inner
  ctx.fillStyle = look.paper
  ctx.globalAlpha = 0.6
  ctx.fillRect(places.left, 0, a - places.left, STRIP - 2)
  ctx.fillRect(b, 0, places.left + places.inner - b, STRIP - 2)
  ctx.globalAlpha = 1
  ctx.strokeStyle = look.ink
  ctx.lineWidth = 1.5
  ctx.strokeRect(a - 1, 1, Math.max(3, b - a + 2), STRIP - 2)
}

function fitted(ctx, text, room) {
  if (ctx.measureText(text).width <= room) return text
  let letters = text.length
  while (letters > 1 && ctx.measureText(text.slice(0, letters) + '\u2026').width > room) letters--
  return text.slice(0, letters) + '\u2026'
}

function draw(page, view, moving) {
  const ctx = page.below, {places, ratio} = page
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0)
  ctx.fillStyle = page.look.paper
  ctx.fillRect(0, 0, places.width, places.height)
  ctx.font = page.font
  ctx.textBaseline = 'middle'
  const spans = page.groups.map((group) => spanOf(group, page, view))
  const inView = spans.reduce((sum, [a, b]) => sum + b - a, 0)
  const visible = inView * (view.y1 - view.y0), single = visible <= SINGLE
  if (single) drawMarks(ctx, page, view, spans, visible); else drawDensity(ctx, page, view, spans, moving)
  drawNeurons(ctx, page, view)
  drawLanes(ctx, page, view, spans)
  drawTimes(ctx, page, view)
  drawStrip(ctx, page, view)
  return {inView, single}
}
