// Moves the view: drag to zoom, shift and drag to move, shift and scroll to zoom, the strip and the keys to move.

function start(root) {
  const data = JSON.parse(root.querySelector('script').textContent)
  const [lower, upper] = root.querySelectorAll('canvas'), says = root.querySelector('.net-says')
  const tick = data.tick, span = data.end - data.begin, inAll = Math.round(span / tick)
  const groups = data.groups.map((g) => unpack({...g, duration: inAll}))
  const page = {
    ...data, groups, span, ticksInAll: inAll, bands: bandsOf(groups), ramps: groups.map((g) => ramp(g, data.look)),
    below: lower.getContext('2d'), font: '12px ' + data.look.font, title: '13px ' + data.look.font,
  }
  const whole = {t0: 0, t1: span, y0: 0, y1: 1}, thinnest = Math.min(span, 20 * tick)
  const narrowest = Math.min(1, ...groups.map((g, k) => 4 * (page.bands[k].bottom - page.bands[k].top) / g.rows))
  let view = {...whole}, waiting = 0, resting = 0, mouse = null, box = null

  function resize() {
    const width = Math.max(320, Math.floor(root.clientWidth)), ratio = Math.min(3, window.devicePixelRatio || 1)
    page.places = placesOf(page, width)
    page.ratio = ratio
    for (const canvas of [lower, upper]) {
      canvas.width = Math.round(width * ratio)
      canvas.height = Math.round(page.places.height * ratio)
      canvas.style.width = width + 'px'
      canvas.style.height = page.places.height + 'px'
    }
    root.querySelector('.net-canvas').style.height = page.places.height + 'px'
    paint(false)
  }

  // As many digits as can be told apart.
  const moment = (t, more = 0) => {
    const digits = Math.max(0, Math.min(4, more - Math.floor(Math.log10((view.t1 - view.t0) / 200))))
    return Number((data.begin + t).toFixed(digits)).toLocaleString('en-US', {maximumFractionDigits: 4})
  }

  function paint(moving) {
    waiting = 0
    const {inView, single} = draw(page, view, moving)
    const from = moment(view.t0), to = moment(view.t1)
    const grain = (view.t1 - view.t0) / page.places.inner
    const kind = single ? 'each mark is a spike' : 'the darker, the more spikes in a pixel of ' + written(grain, 2) + ' ms'
    says.textContent = `${from} to ${to} ms \u00b7 ${count(inView)} spikes \u00b7 ${kind}`
    paintOver()
  }

  function set(next, moving) {
    const wide = Math.min(span, Math.max(thinnest, next.t1 - next.t0)), high = Math.min(1, Math.max(narrowest, next.y1 - next.y0))
    const t0 = Math.min(span - wide, Math.max(0, next.t0)), y0 = Math.min(1 - high, Math.max(0, next.y0))
    view = {t0, t1: t0 + wide, y0, y1: y0 + high}
    if (!waiting) waiting = requestAnimationFrame(() => paint(moving))
    clearTimeout(resting)
    if (moving) resting = setTimeout(() => paint(false), 150)
  }

  const timeAt = (x) => view.t0 + (x - page.places.left) / page.places.inner * (view.t1 - view.t0)
  const heightAt = (y) => view.y0 + (y - page.places.top) / page.places.raster * (view.y1 - view.y0)
  const inside = (p) => p.x >= page.places.left && p.x <= page.places.left + page.places.inner
  const place = (event) => {
    const edge = upper.getBoundingClientRect()
    return {x: event.clientX - edge.left, y: event.clientY - edge.top}
  }

  const zoomTime = (factor, time) =>
    set({...view, t0: time - (time - view.t0) * factor, t1: time + (view.t1 - time) * factor}, true)
  const zoomNeurons = (factor, height) =>
    set({...view, y0: height - (height - view.y0) * factor, y1: height + (view.y1 - height) * factor}, true)

  function neuronAt(y) {
    const part = heightAt(y)
    for (let k = 0; k < groups.length; k++) {
      const {top, bottom} = page.bands[k], {rows, every, name} = groups[k]
      if (part < top || part > bottom) continue
      const row = Math.min(rows - 1, Math.max(0, Math.floor((1 - (part - top) / (bottom - top)) * rows)))
      return `${name}, neuron ${count(row * every)}`
    }
    return ''
  }

  function paintOver() {
    const ctx = upper.getContext('2d'), {places, ratio, look} = page
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0)
    ctx.clearRect(0, 0, places.width, places.height)
    ctx.font = page.font
    ctx.textBaseline = 'middle'
    ctx.textAlign = 'left'
    const shown = mouse && inside(mouse) && mouse.y > STRIP && mouse.y < places.bottom + 5
    if (shown) {
      ctx.fillStyle = look.muted
      ctx.fillRect(Math.round(mouse.x) - 0.5, places.top, 1, places.bottom - places.top)
      const neuron = mouse.y < places.top + places.raster ? neuronAt(mouse.y) : ''
      const text = `${moment(timeAt(mouse.x), 1)} ms${neuron && ', ' + neuron}`
      const half = ctx.measureText(text).width / 2
      ctx.fillStyle = look.ink
      const x = Math.max(places.left, Math.min(mouse.x - half, places.left + places.inner - 2 * half))
      ctx.fillText(text, x, places.top - 9)
    }
    page.lanes.forEach((lane, k) => {
      const {first, width, top, bottom} = lane, group = groups[k]
      const bin = shown ? Math.floor(timeAt(mouse.x) / tick / width) - first : -1
      const middle = (top + bottom) / 2, roomy = bottom - top > 28, room = places.right - 10
      const x = places.left + places.inner + 8, value = rateText(ctx, lane, bin, roomy ? room : 0)
      const across = ctx.measureText(value).width
      ctx.font = '600 ' + page.font
      const name = fitted(ctx, group.name, room), both = roomy || ctx.measureText(name + '  ').width + across <= room
      ctx.fillStyle = group.ink
      if (both || !shown) ctx.fillText(name, x, roomy ? middle - 7 : middle)
      ctx.font = page.font
      ctx.fillStyle = look.muted
      if (both || shown) ctx.fillText(value, roomy ? x : x + room - across, roomy ? middle + 8 : middle)
    })
    if (box) {
      const b = box.area(), {x, y, w, h} = b
      ctx.fillStyle = look.muted
      ctx.globalAlpha = 0.16
      ctx.fillRect(x, y, w, h)
      ctx.globalAlpha = 1
      ctx.strokeStyle = look.muted
      ctx.lineWidth = 1
      ctx.strokeRect(x + 0.5, y + 0.5, w, h)
    }
  }

  // A drag is {move(p), end(p)}.
  function panning(from) {
    const was = {...view}
    return {
      cursor: 'grabbing',
      move(p) {
        const t = (from.x - p.x) / page.places.inner * (was.t1 - was.t0)
        const y = (from.y - p.y) / page.places.raster * (was.y1 - was.y0)
        set({t0: was.t0 + t, t1: was.t1 + t, y0: was.y0 + y, y1: was.y1 + y}, true)
      },
      end() {},
    }
  }

  function sliding(from) {
    const long = view.t1 - view.t0, {left, inner} = page.places, time = (p) => (p.x - left) / inner * span
    const grip = time(from) >= view.t0 && time(from) <= view.t1 ? time(from) - view.t0 : long / 2
    const move = (p) => set({...view, t0: time(p) - grip, t1: time(p) - grip + long}, true)
    move(from)
    return {cursor: 'grabbing', move, end() {}}
  }

  function boxing(from) {
    const {left, inner, top, raster, bottom} = page.places, strip = from.y <= STRIP
    const clamp = (v, a, b) => Math.min(b, Math.max(a, v))
    const onLanes = strip || from.y > top + raster
    let to = from
    const area = () => {
      const [x0, x1] = [Math.min(from.x, to.x), Math.max(from.x, to.x)].map((x) => clamp(x, left, left + inner))
      let [y0, y1] = [Math.min(from.y, to.y), Math.max(from.y, to.y)].map((y) => clamp(y, top, top + raster))
      const flat = onLanes || Math.abs(to.y - from.y) < 12, slim = !flat && Math.abs(to.x - from.x) < 12
      if (flat) [y0, y1] = strip ? [0, STRIP] : [top, bottom]
      return {x: slim ? left : x0, w: slim ? inner : x1 - x0, y: y0, h: y1 - y0, flat, slim}
    }
    const made = {
      cursor: 'crosshair', area,
      move(p) { to = p; box = made; paintOver() },
      end() {
        const b = area()
        box = null
        if (Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y)) < 4) return paintOver()
        const time = strip ? (x) => (x - left) / inner * span : timeAt
        const t = b.slim ? view : {t0: time(b.x), t1: time(b.x + b.w)}
        const y = b.flat ? view : {y0: heightAt(b.y), y1: heightAt(b.y + b.h)}
        set({t0: t.t0, t1: t.t1, y0: y.y0, y1: y.y1}, false)
      },
    }
    return made
  }

  let drag = null
  upper.addEventListener('pointerdown', (event) => {
    const p = place(event), zoomed = view.t1 - view.t0 < span * 0.9999
    if (event.button || !inside(p) || p.y > page.places.bottom + 5) return
    const pans = event.shiftKey || (event.pointerType === 'touch' && zoomed)
    drag = p.y <= STRIP && zoomed ? sliding(p) : pans ? panning(p) : boxing(p)
    upper.style.cursor = drag.cursor
    try { upper.setPointerCapture(event.pointerId) } catch { /* an event made by a script has no pointer */ }
  })
  upper.addEventListener('pointermove', (event) => {
    mouse = place(event)
    if (drag) return drag.move(mouse)
    const grips = event.shiftKey || (mouse.y <= STRIP && view.t1 - view.t0 < span * 0.9999)
    upper.style.cursor = !inside(mouse) ? '' : grips ? 'grab' : 'crosshair'
    paintOver()
  })
  const release = () => { if (drag) drag.end(); drag = null; upper.style.cursor = '' }
  upper.addEventListener('pointerup', release)
  upper.addEventListener('pointercancel', () => { drag = box = null; paintOver() })
  upper.addEventListener('pointerleave', () => { mouse = null; paintOver() })
  upper.addEventListener('dblclick', () => set(whole, false))
  upper.addEventListener('wheel', (event) => {
    const p = place(event), turn = event.deltaY || event.deltaX
    if (event.shiftKey && inside(p)) {
      event.preventDefault()
      const factor = Math.exp(Math.sign(turn) * Math.min(Math.abs(turn), 120) / 400)
      if (event.altKey) zoomNeurons(factor, heightAt(p.y)); else zoomTime(factor, timeAt(p.x))
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && view.t1 - view.t0 < span * 0.9999) {
      event.preventDefault()
      const t = event.deltaX / page.places.inner * (view.t1 - view.t0)
      set({...view, t0: view.t0 + t, t1: view.t1 + t}, true)
    }
  }, {passive: false})

  const middle = () => (view.t0 + view.t1) / 2
  const shift = (t, y) => {
    const long = t * (view.t1 - view.t0), high = y * (view.y1 - view.y0)
    set({t0: view.t0 + long, t1: view.t1 + long, y0: view.y0 + high, y1: view.y1 + high}, true)
  }
  const keys = {
    ArrowLeft: () => shift(-0.15, 0), ArrowRight: () => shift(0.15, 0),
    ArrowUp: () => shift(0, -0.15), ArrowDown: () => shift(0, 0.15),
    '+': () => zoomTime(0.7, middle()), '=': () => zoomTime(0.7, middle()), '-': () => zoomTime(1 / 0.7, middle()),
    0: () => set(whole, false),
  }
  root.querySelector('.net-canvas').addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return
    event.preventDefault()
    keys[event.key]()
  })
  const acts = {in: '+', out: '-', all: 0, left: 'ArrowLeft', right: 'ArrowRight'}
  for (const button of root.querySelectorAll('button')) button.addEventListener('click', () => keys[acts[button.value]]())

  resize()
  let known = root.clientWidth
  new ResizeObserver(() => { if (root.clientWidth !== known) { known = root.clientWidth; resize() } }).observe(root)
}

for (const root of document.querySelectorAll('.net')) start(root)
