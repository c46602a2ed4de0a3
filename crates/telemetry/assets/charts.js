"use strict";
/* Everything that draws a summary, for the live page and for the report. A summary is data of somebody else: it reaches the
   document as text and numbers only, never as markup, and a key that is missing reads as "unknown". */
const Charts = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  // ---- elements ------------------------------------------------------------------------------------------------------

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }
  const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
  const s = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

  /** A figure that tests and readers of the document's source find by its key; `value` is the number behind the text. */
  const figure = (key, value, text) => h("span", { "data-figure": key, "data-value": value ?? "" }, text);

  // ---- numbers -------------------------------------------------------------------------------------------------------

  const UNKNOWN = "–";
  const own = (object, key) =>
    object !== null && typeof object === "object" && Object.prototype.hasOwnProperty.call(object, key) ? object[key] : undefined;
  /** What stands at a path like "ledger.captured"; undefined where nothing does. */
  const at = (object, path) => path.split(".").reduce(own, object);
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const number = (object, path) => {
    const value = at(object, path);
    return isNumber(value) ? value : null;
  };
  const text = (value, otherwise = UNKNOWN) =>
    typeof value === "string" ? (value.length > 300 ? value.slice(0, 300) + "…" : value) : otherwise;
  /** The entries of an object whose values are numbers. */
  const numbers = (object) =>
    object !== null && typeof object === "object" ? Object.entries(object).filter(([, value]) => isNumber(value)) : [];

  const count = (value) => {
    if (!isNumber(value)) return UNKNOWN;
    return Math.abs(value) >= 1e15 ? value.toExponential(3) : Math.round(value).toLocaleString("en");
  };
  const scaled = (value, steps, base) => {
    let step = 0;
    while (Math.abs(value) >= base * 0.99995 && step < steps.length - 1) {
      value /= base;
      step += 1;
    }
    const digits = Math.abs(value) >= 99.95 || (step === 0 && Number.isInteger(value)) ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
    return [value.toFixed(digits), steps[step]];
  };
  /** A number of three digits and its unit, as a pair. */
  const short = (value) => (isNumber(value) ? scaled(value, ["", "k", "M", "G", "T"], 1000) : [UNKNOWN, ""]);
  const bytes = (value) => (isNumber(value) ? scaled(value, ["B", "kB", "MB", "GB", "TB"], 1000) : [UNKNOWN, ""]);
  /** Microseconds as a person says them. */
  const time = (micros) => {
    if (!isNumber(micros)) return [UNKNOWN, ""];
    const size = Math.abs(micros);
    if (size < 1000) return [String(Math.round(micros)), "µs"];
    const [value, unit] = size < 999_500 ? [micros / 1000, "ms"] : [micros / 1e6, "s"];
    const digits = Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
    return [value.toFixed(digits), unit];
  };
  /** The same for a scale, whose numbers are round. */
  const round = (micros) => {
    const [value, unit] = micros < 1000 ? [micros, "µs"] : micros < 1e6 ? [micros / 1000, "ms"] : [micros / 1e6, "s"];
    return `${Number(value.toPrecision(3))}\u00a0${unit}`;
  };
  const joined = ([value, unit]) => (unit === "" ? value : `${value}\u00a0${unit}`);
  /** What is not whole never reads 100, so large shares are rounded down; a share that is not 0 never reads 0. */
  const percent = (share, digits = 2) => {
    if (!isNumber(share)) return UNKNOWN;
    const scale = 10 ** digits;
    const rounded = (share > 0.5 ? Math.floor(share * 100 * scale + 1e-9) : Math.round(share * 100 * scale)) / scale;
    if (share > 0 && rounded === 0) return `<\u2009${1 / scale}\u00a0%`;
    return `${rounded === 100 ? "100" : rounded.toFixed(digits)}\u00a0%`;
  };
  const duration = (seconds) => {
    if (!isNumber(seconds) || seconds < 0 || seconds > 1e10) return UNKNOWN;
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds % 60)];
    return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${rest} s`;
  };

  // ---- what the words of a summary mean ------------------------------------------------------------------------------

  const GROUPS = {
    good: { label: "taken by the target", sign: "✓" },
    bad: { label: "failed at the target", sign: "✕" },
    warn: { label: "not copied", sign: "!" },
    unfinished: { label: "not finished", sign: "!" },
    neutral: { label: "not the target's doing", sign: "○" },
  };
  /** Group, label and sentence of each outcome: crates/telemetry/src/outcomes.rs. */
  const OUTCOMES = {{outcomes}};
  /** A turn that is open while a run goes on may still end well; at the end it has not finished in time. */
  const outcomeOf = (name, summary) => {
    const key = name === "pending" && summary?.state === "ended" ? "not_finished" : name;
    return own(OUTCOMES, key) ?? ["warn", name.replaceAll("_", " "), ""];
  };
  const STATES = {
    starting: ["warn", "starting", "set up; nothing is copied yet"],
    copying: ["good", "copying", ""],
    draining: ["warn", "draining", "nothing new is captured; open requests may still end"],
    ended: ["neutral", "ended", ""],
    lost: ["bad", "connection lost", "no word from tcpcopy"],
  };
  const stateOf = (name) => (own(STATES, name) ? STATES[name] : ["neutral", text(name, "unknown"), ""]);

  function pill(state) {
    const [level, label, why] = stateOf(state);
    return h("span", { class: `pill ${level}${state === "copying" ? " alive" : ""}`, role: "status", "data-state": text(state, ""), title: why }, label);
  }

  function rules(summary) {
    const list = Array.isArray(summary?.rules) ? summary.rules : [];
    return list.map((rule) => text(rule?.rule));
  }

  // ---- the ledger as a flow ------------------------------------------------------------------------------------------

  /** Draws into `box` at its own width: letters stay as large as they are on a phone. */
  function flow(box, summary) {
    const captured = number(summary, "ledger.captured");
    const outcomes = numbers(summary?.ledger)
      .filter(([name, turns]) => name !== "captured" && turns > 0)
      .map(([name, turns]) => ({ name, turns, about: outcomeOf(name, summary) }));
    if (captured === null || captured <= 0) {
      box.replaceChildren(h("p", { class: "empty" }, `Nothing to show: ${text(summary?.nothing_to_judge, "nothing was captured yet")}.`));
      return;
    }
    const order = Object.keys(GROUPS);
    outcomes.sort((a, b) => order.indexOf(a.about[0]) - order.indexOf(b.about[0]));
    const width = Math.max(260, Math.floor(box.clientWidth || 320));
    const narrow = width < 560;
    const row = narrow ? 40 : 34;
    const groups = order
      .map((name) => ({ name, rows: outcomes.filter((outcome) => outcome.about[0] === name) }))
      .filter((group) => group.rows.length > 0);
    const height = Math.max(outcomes.length * row + (groups.length - 1) * 14, narrow ? 120 : 150);
    const [x0, bar] = [0, narrow ? 8 : 12];
    const columns = narrow ? [x0, Math.min(width * 0.45, width - 150)] : [x0, (width - 170) / 2, width - 170];
    const last = columns.length - 1;

    // Thick as its share, but never too thin to be seen.
    const room = height * 0.62;
    const thick = (turns) => Math.max(2, (turns / captured) * room);
    const marks = [];
    const ribbons = [];
    let y = 0;
    const gap = outcomes.length > 1 ? Math.max(0, (height - outcomes.reduce((sum, o) => sum + Math.max(thick(o.turns), row), 0)) / (outcomes.length - 1)) : 0;
    for (const outcome of outcomes) {
      const space = Math.max(thick(outcome.turns), row);
      outcome.size = thick(outcome.turns);
      outcome.middle = y + space / 2;
      y += space + Math.min(gap, 18);
    }
    const total = Math.max(y - Math.min(gap, 18), 1);
    const stack = (list, middle) => {
      let top = middle - list.reduce((sum, item) => sum + item.size, 0) / 2;
      for (const item of list) {
        item.from = top + item.size / 2;
        top += item.size;
      }
    };
    const ribbon = (x1, y1, x2, y2, size, level) => {
      const bend = (x1 + x2) / 2;
      const half = size / 2;
      return s("path", {
        class: `ribbon fill-${level}`,
        d: `M${x1},${y1 - half}C${bend},${y1 - half} ${bend},${y2 - half} ${x2},${y2 - half}L${x2},${y2 + half}C${bend},${y2 + half} ${bend},${y1 + half} ${x1},${y1 + half}Z`,
      });
    };
    const label = (x, middle, title, detail, key, value, level) =>
      s("text", { x, y: middle, "dominant-baseline": "middle" },
        s("tspan", { class: "strong", x, dy: narrow || detail ? "-0.55em" : "0" }, level ? `${GROUPS[level].sign} ${title}` : title),
        s("tspan", { class: "note", x, dy: "1.25em", "data-figure": key, "data-value": value }, detail));

    const all = outcomes.reduce((sum, outcome) => sum + outcome.size, 0);
    if (last === 2) {
      for (const group of groups) {
        group.size = group.rows.reduce((sum, outcome) => sum + outcome.size, 0);
        group.middle = group.rows.reduce((sum, outcome) => sum + outcome.middle, 0) / group.rows.length;
        stack(group.rows, group.middle);
        const turns = group.rows.reduce((sum, outcome) => sum + outcome.turns, 0);
        marks.push(s("rect", { class: `fill-${group.name}`, x: columns[1], y: group.middle - group.size / 2, width: bar, height: group.size, rx: Math.min(3, group.size / 2) }));
        marks.push(label(columns[1] + bar + 9, group.middle, GROUPS[group.name].label, `${count(turns)} · ${percent(turns / captured)}`, `group.${group.name}`, turns, group.name));
        for (const outcome of group.rows) ribbons.push(ribbon(columns[1] + bar, outcome.from, columns[2], outcome.middle, outcome.size, group.name));
      }
    }
    const middle = total / 2;
    const firsts = last === 2 ? groups : outcomes;
    stack(firsts, middle);
    for (const item of firsts) ribbons.push(ribbon(x0 + bar, item.from, columns[1], item.middle, item.size, last === 2 ? item.name : item.about[0]));
    marks.push(s("rect", { class: "fill-captured", x: x0, y: middle - all / 2, width: bar, height: all, rx: 3 }));
    marks.push(label(x0 + bar + 9, middle, "captured", count(captured), "ledger.captured", captured, null));
    for (const outcome of outcomes) {
      const [level, name] = outcome.about;
      marks.push(s("rect", { class: `fill-${level}`, x: columns[last], y: outcome.middle - outcome.size / 2, width: bar, height: outcome.size, rx: Math.min(3, outcome.size / 2) }));
      marks.push(label(columns[last] + bar + 9, outcome.middle, name, `${count(outcome.turns)} · ${percent(outcome.turns / captured)}`, `ledger.${outcome.name}`, outcome.turns, last === 1 ? level : null));
    }
    const words = outcomes.map((outcome) => `${outcome.about[1]} ${count(outcome.turns)}`).join(", ");
    const top = Math.min(0, middle - all / 2, ...outcomes.map((o) => o.middle - 22)) - 2;
    box.replaceChildren(
      s("svg", { width, height: total - top + 4, viewBox: `0 ${top} ${width} ${total - top + 4}`, role: "img", "aria-label": `Of ${count(captured)} captured requests: ${words}` }, ribbons, marks));
  }

  // ---- percentile curves ---------------------------------------------------------------------------------------------

  const PERCENTILES = [0, 50, 90, 99, 99.9, 99.99];
  /** From percentile to the horizontal: each nine takes the same room. */
  const nines = (percentile) => Math.min(4.4, -Math.log10(Math.max(1 - percentile / 100, 1e-12)));
  /** Longer than any histogram holds: a curve beyond it is nobody's. */
  const MICROS_MAX = 1e10;
  const points = (curve) =>
    (Array.isArray(curve) ? curve : []).filter((point) => Array.isArray(point) && point.length >= 2 && isNumber(point[0]) && isNumber(point[1]) && point[1] > 0 && point[1] <= MICROS_MAX);
  const valueAt = (curve, percentile) => {
    const list = points(curve);
    const next = list.findIndex((point) => point[0] >= percentile);
    if (next < 0) return null;
    const [high, low] = [list[next], list[Math.max(0, next - 1)]];
    if (high[0] <= low[0]) return high[1];
    const part = (nines(percentile) - nines(low[0])) / Math.max(nines(high[0]) - nines(low[0]), 1e-9);
    return Math.exp(Math.log(low[1]) + Math.min(1, Math.max(0, part)) * (Math.log(high[1]) - Math.log(low[1])));
  };

  /** The percentile that a reader looks at, by chart. */
  const cursors = new WeakMap();

  /** Draws `lines` ({label, kind, dash, curve, intervals}) into `box`, and what lies under the pointer into `readout`. */
  function curves(box, readout, lines) {
    const drawn = lines.map((line) => ({ ...line, points: points(line.curve) })).filter((line) => line.points.length > 0);
    if (drawn.length === 0) {
      box.replaceChildren(h("p", { class: "empty" }, "No response of both servers was measured yet."));
      readout.replaceChildren();
      return;
    }
    const width = Math.max(260, Math.floor(box.clientWidth || 320));
    const narrow = width < 560;
    const height = narrow ? 250 : 320;
    const [left, right, top, bottom] = [58, narrow ? 8 : 14, 10, 30];
    const values = drawn.flatMap((line) => line.points.map((point) => point[1]));
    let [low, high] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
    const pad = Math.max(0.06, (high - low) * 0.06, (0.35 - (high - low)) / 2);
    [low, high] = [low - pad, high + pad];
    const most = Math.max(...drawn.map((line) => nines(Math.min(99.99, line.points.at(-1)[0]))), 2);
    const x = (percentile) => left + (nines(percentile) / Math.min(4.4, most + 0.4)) * (width - left - right);
    const y = (micros) => top + (1 - (Math.log10(micros) - low) / (high - low)) * (height - top - bottom);
    const end = x(100);

    const ticks = [];
    const step = high - low > 3 ? [1] : high - low > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7];
    for (let power = Math.floor(low); power <= Math.ceil(high); power += 1) {
      for (const factor of step) {
        const micros = factor * 10 ** power;
        if (Math.log10(micros) >= low && Math.log10(micros) <= high) ticks.push(micros);
      }
    }
    const scale = [
      ticks.map((micros) => [
        s("line", { class: "rule", x1: left, x2: width - right, y1: y(micros), y2: y(micros) }),
        s("text", { class: "tick", x: left - 8, y: y(micros), "text-anchor": "end", "dominant-baseline": "middle" }, round(micros)),
      ]),
      PERCENTILES.filter((percentile) => x(percentile) <= width - right + 1).map((percentile) => [
        s("line", { class: "rule", x1: x(percentile), x2: x(percentile), y1: top, y2: height - bottom }),
        s("text", { class: "tick", x: x(percentile), y: height - 10, "text-anchor": percentile === 0 ? "start" : "middle" }, percentile === 0 ? (narrow || x(50) - x(0) < 60 ? "" : "0 %") : `${percentile}${narrow ? "" : " %"}`),
      ]),
    ];
    const whiskers = drawn.flatMap((line) =>
      [["p50", 50], ["p99", 99]].map(([name, percentile]) => {
        const interval = own(line.intervals, name);
        const [from, to] = [number(interval, "low"), number(interval, "high")];
        if (from === null || to === null || from <= 0 || to <= 0) return null;
        const [centre, a, b] = [x(percentile), Math.max(top, y(to)), Math.min(height - bottom, y(from))];
        if (b - a < 3) return null;
        return s("path", { class: `whisker ${line.kind}`, d: `M${centre - 4},${a}h8M${centre},${a}V${b}M${centre - 4},${b}h8` });
      }));
    const paths = drawn.map((line) =>
      s("path", { class: `line ${line.kind}`, "stroke-dasharray": line.dash, "data-line": line.label,
        d: line.points.map(([percentile, micros], index) => `${index === 0 ? "M" : "L"}${Math.min(end, x(percentile)).toFixed(1)},${y(micros).toFixed(1)}`).join("") }));
    const cursor = s("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
    const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
      "aria-label": `Response times by percentile. ${drawn.map((line) => `${line.label}: median ${joined(time(valueAt(line.curve, 50)))}, 99th percentile ${joined(time(valueAt(line.curve, 99)))}`).join("; ")}` },
    scale, whiskers, paths, cursor);

    const tell = (percentile) => {
      cursor.setAttribute("x1", x(percentile));
      cursor.setAttribute("x2", x(percentile));
      const shown = String(Number(percentile.toFixed(percentile >= 99.9 ? 3 : percentile >= 99 ? 2 : 1)));
      readout.replaceChildren(h("b", {}, "p", shown), ": ", drawn.flatMap((line, index) => [index ? ", " : "", line.label, " ", h("b", {}, joined(time(valueAt(line.curve, percentile))))]).reduce((list, item) => (list.append(item), list), h("span")));
    };
    const inverse = (pixel) => Math.max(0, Math.min(99.99, 100 * (1 - 10 ** (-((pixel - left) / (width - left - right)) * Math.min(4.4, most + 0.4)))));
    // What is looked at outlives the drawing, which the live page renews each second.
    const look = (percentile) => {
      cursors.set(box, percentile);
      cursor.setAttribute("visibility", percentile === null ? "hidden" : "visible");
      tell(percentile ?? 99);
    };
    svg.addEventListener("pointermove", (event) => look(inverse(event.clientX - svg.getBoundingClientRect().left)));
    svg.addEventListener("pointerleave", () => look(null));
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      const here = PERCENTILES.indexOf(cursors.get(box) ?? 99);
      look(PERCENTILES[Math.max(0, Math.min(PERCENTILES.length - 1, (here < 0 ? 3 : here) + move))]);
    });
    const focused = box.contains(document.activeElement);
    box.replaceChildren(svg);
    if (focused) svg.focus();
    look(cursors.get(box) ?? null);
  }

  const swatch = (kind, dash) =>
    s("svg", { width: 26, height: 10, "aria-hidden": "true" }, s("line", { class: `line ${kind}`, x1: 2, x2: 24, y1: 5, y2: 5, "stroke-dasharray": dash }));
  const key = (lines) => h("ul", { class: "key" }, lines.map((line) => h("li", {}, swatch(line.kind, line.dash), line.label)));

  /** A choice of a few, as radio buttons. */
  function segments(name, legend, options, chosen, change) {
    return h("fieldset", { class: "segments" }, h("legend", { class: "visually-hidden" }, legend),
      options.map(([value, label, title]) => {
        const input = h("input", { type: "radio", name, value, checked: value === chosen });
        input.addEventListener("change", () => change(value));
        return h("label", { title }, input, h("span", {}, label));
      }));
  }

  const BASES = [
    ["net", "net", "the target's time less the session's shortest round trip: what to compare with the online server"],
    ["raw", "raw", "the target's time as it was measured, the way there and back included"],
    ["intended", "intended", "from when each request should have left: what clients of the target would have waited"],
  ];
  const ENDS = [["first", "first byte"], ["last", "last byte"]];
  const lineOf = (summary, side, end, base) => {
    const path = `${side === "online" || base === "raw" ? side : `${side}_${base}`}.${end}_byte`;
    return { curve: at(summary?.curves_us, path), intervals: at(summary?.verdict?.intervals_us, path) };
  };

  /** A card of curves with its switches. `pick(end, base)` gives the lines; call the returned function to draw again. */
  function curvesCard(id, pick, lead) {
    let [end, base] = ["last", "net"];
    const [box, readout, keys] = [h("div", { class: "chart" }), h("p", { class: "readout", "aria-live": "off" }), h("div")];
    const draw = () => {
      const lines = pick(end, base);
      keys.replaceChildren(key(lines));
      curves(box, readout, lines);
    };
    const card = h("section", { class: "card", "aria-labelledby": `${id}-title` },
      h("header", {}, h("h2", { id: `${id}-title` }, "Response times"),
        h("span", { class: "push" }, segments(`${id}-end`, "Measured to", ENDS, end, (value) => { end = value; draw(); })),
        segments(`${id}-base`, "The target's time", BASES, base, (value) => { base = value; draw(); })),
      h("p", { class: "lead" }, lead), keys, box, readout);
    return { card, draw };
  }

  // ---- a minute of history -------------------------------------------------------------------------------------------

  /** `values`: one per second, the newest last, null where unknown. */
  function spark(box, label, values, format) {
    const width = Math.max(200, Math.floor(box.clientWidth || 300));
    const [height, slots, top, bottom] = [92, 60, 8, 18];
    const known = values.filter(isNumber);
    const most = Math.max(...known, 1e-9);
    const x = (index) => width - 3 - ((values.length - 1 - index) * (width - 6)) / (slots - 1);
    const y = (value) => top + (1 - value / most) * (height - top - bottom);
    let line = "";
    let [first, end] = [null, null];
    values.forEach((value, index) => {
      if (!isNumber(value)) return;
      line += `${line === "" ? "M" : "L"}${x(index).toFixed(1)},${y(value).toFixed(1)}`;
      first ??= index;
      end = index;
    });
    const floor = height - bottom;
    const [latest] = known.slice(-1);
    box.replaceChildren(
      s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}, last minute: now ${joined(format(latest ?? null))}, at most ${joined(format(known.length ? most : null))}` },
        s("line", { class: "rule", x1: 0, x2: width, y1: floor, y2: floor }),
        first !== null && s("path", { class: "area", d: `${line}L${x(end)},${floor}L${x(first)},${floor}Z` }),
        line !== "" && s("path", { class: "line online", d: line }),
        end !== null && s("circle", { class: "dot online", cx: x(end), cy: y(values[end]), r: 4 }),
        s("text", { class: "note", x: 0, y: height - 3 }, "a minute ago"),
        s("text", { class: "note", x: width, y: height - 3, "text-anchor": "end" }, known.length ? `at most ${joined(format(most))}` : "")));
  }

  // ---- tables --------------------------------------------------------------------------------------------------------

  /** Rows of cells; a cell is text, an element, or a number (aligned to the right). The first cell heads its row. */
  function table(caption, heads, rows, look = "stacked") {
    const cell = (value, index) => {
      const numeric = isNumber(value) || value?.numeric === true;
      const shown = isNumber(value) ? count(value) : value?.numeric ? value.text : value;
      return index === 0 ? h("th", { scope: "row" }, shown) : h("td", { class: numeric ? "number" : null, "data-label": heads[index] }, shown);
    };
    return h("table", { class: look }, h("caption", { class: "visually-hidden" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head, index) => h("th", { scope: "col", class: index > 0 && rows[0] && (isNumber(rows[0][index]) || rows[0][index]?.numeric) ? "number" : null }, head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))));
  }
  const right = (shown) => ({ numeric: true, text: shown });

  const residues = (summary) =>
    Object.entries(summary?.hooks !== null && typeof summary?.hooks === "object" ? summary.hooks : {})
      .map(([name, row]) => [name, number(row, "residue")])
      .filter(([, residue]) => residue !== null && residue !== 0);

  const HOOKS = {
    capture: "clients' packets coming in",
    reply: "target's replies coming in",
    observe: "online server's responses going out",
    inject: "copies going out",
    absorb: "replies of a target on this host",
    steer: "clones handed to workers",
    clients: "clients' packets, program to worker",
    online: "responses, program to worker",
    replies: "replies, program or intercept to worker",
    too_big: "routers' words about packet size",
    frames: "copies, worker to program",
    records: "records that were broken",
  };

  function reconciliation(summary) {
    const rows = Object.entries(summary?.hooks !== null && typeof summary?.hooks === "object" ? summary.hooks : {});
    if (rows.length === 0) return h("p", { class: "empty" }, "This summary has no counters of the programs.");
    const running = summary?.state !== "ended";
    return table("Counters by hook", ["Where", "What was counted", "Residue"], rows.map(([name, row]) => {
      const terms = numbers(row).filter(([term, value]) => term !== "residue" && value !== 0);
      const residue = number(row, "residue");
      const sound = residue === 0;
      return [
        h("span", { title: own(HOOKS, name) ?? "" }, name.replaceAll("_", " "), h("span", { class: "visually-hidden" }, ` (${own(HOOKS, name) ?? ""})`)),
        h("span", { class: "terms" }, terms.length ? terms.map(([term, value]) => h("span", {}, term.replaceAll("_", " "), " ", h("b", { "data-figure": `hooks.${name}.${term}`, "data-value": value }, count(value)))) : "nothing"),
        { numeric: true, text: h("span", { class: sound ? "good" : running ? "neutral" : "bad", "data-figure": `hooks.${name}.residue`, "data-value": residue ?? "" }, sound ? "✓ 0" : `${running ? "…" : "✕"} ${count(residue)}${running ? " under way" : ""}`) },
      ];
    }));
  }

  const DIFFERENCES = {
    target_longer: "longer than the online server's",
    target_shorter: "shorter than the online server's",
    target_silent: "missing: the target said nothing",
    target_reset_only: "reset by the target only",
    online_reset_only: "reset by the online server only",
    status_differs: "of another status",
    status_class_differs: "of another class of status",
    bytes_differ: "of the same status, and other in its first bytes",
    prefix_differs: "other in its first bytes (HTTP tells the time there: counts for nothing by itself)",
  };
  /** What of two responses was compared, in words. */
  const comparedBy = (summary) => {
    const sampled = number(summary, "samples.bytes");
    return sampled === null ? "length and reset, not contents" : `length, reset, status, first ${count(sampled)} bytes`;
  };
  function differences(summary) {
    const compared = number(summary, "differences.compared");
    const order = Object.keys(DIFFERENCES);
    const known = numbers(summary?.differences?.kinds).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
    if (compared === null) return h("p", { class: "empty" }, "This summary compares no responses.");
    const rows = known.map(([name, turns]) => [own(DIFFERENCES, name) ?? name.replaceAll("_", " "), right(figure(`differences.kinds.${name}`, turns, count(turns))), right(compared > 0 ? percent(turns / compared) : UNKNOWN)]);
    const unpaired = number(summary, "differences.unpaired");
    return [
      table("Responses that differed", ["The target's response was", "Requests", "Of those compared"], rows),
      h("p", { class: "small muted" }, figure("differences.compared", compared, count(compared)), ` responses were compared: ${comparedBy(summary)}; `, figure("differences.unpaired", unpaired, count(unpaired)), " were not, because their session was out of step. Of those compared, ", figure("differences.paced", number(summary, "differences.paced") ?? 0, count(number(summary, "differences.paced") ?? 0)), " had a target that was held back to the pace of the online server: their times are in no figure here."),
    ];
  }

  /** What responses begin with (`--sample-bytes`), or null. */
  function samples(summary) {
    const listed = Array.isArray(summary?.samples?.differing) ? summary.samples.differing.slice(0, 20) : [];
    const pairs = Array.isArray(summary?.samples?.statuses) ? summary.samples.statuses : [];
    if (listed.length + pairs.length === 0) return null;
    const side = (response) => h("span", { class: "breaks" }, h("b", {}, text(response?.status)), ` ${joined(bytes(number(response, "bytes")))} `, h("code", {}, text(response?.prefix, "")));
    return [
      table("Statuses", ["Online server", "Target", "Requests"], pairs.map((pair) => [text(pair?.online), text(pair?.target), right(count(number(pair, "turns")))])),
      listed.length > 0 && h("div", { class: "listed" }, table("Requests whose responses differ", ["When", "Online server", "Target"], listed.map((turn) => {
        const when = number(turn, "unix_ms");
        return [when !== null && when < 8e15 ? new Date(when).toISOString().slice(11, 23) : UNKNOWN, side(turn?.online), side(turn?.target)];
      }), "wide")),
    ];
  }

  function ruleTable(summary) {
    const list = Array.isArray(summary?.rules) ? summary.rules : [];
    return table("Rules", ["Rule", "Captured", "Taken", "Fidelity", "Client bytes"], list.map((rule) => [
      h("span", { class: "breaks" }, text(rule?.rule)),
      right(count(number(rule, "ledger.captured"))),
      right(count((number(rule, "ledger.answered") ?? 0) + (number(rule, "ledger.delivered") ?? 0))),
      right(percent(number(rule, "fidelity"), 3)),
      right(joined(bytes(number(rule, "bytes.captured")))),
    ]));
  }

  /** Names and numbers, those that are not 0. */
  function figures(prefix, object, format = count) {
    const list = numbers(object).filter(([, value]) => value !== 0);
    if (list.length === 0) return h("p", { class: "muted small" }, "nothing");
    return h("p", { class: "terms small" }, list.map(([name, value]) => h("span", {}, name.replaceAll("_", " "), " ", h("b", { "data-figure": `${prefix}.${name}`, "data-value": value }, format(value)))));
  }

  /** Shares of something, as bars with their words. `rows`: [name, share 0 to 1, words]. */
  function bars(rows) {
    return h("div", { class: "bars" }, rows.map(([name, share, words]) => [
      h("span", { class: "overflowing" }, name),
      h("span", { class: "bar", "aria-hidden": "true" }, s("svg", { width: "100%", height: 8 }, s("rect", { width: `${Math.max(0, Math.min(100, (isNumber(share) ? share : 0) * 100)).toFixed(2)}%`, height: 8, rx: 4 }))),
      h("span", {}, words),
    ]));
  }

  /** Draws again when the room of a chart changes. */
  function follow(node, draw) {
    let width = 0;
    new ResizeObserver(() => {
      if (node.clientWidth === width) return;
      width = node.clientWidth;
      // Drawing changes heights: not while they are being observed.
      requestAnimationFrame(draw);
    }).observe(node);
  }

  return { h, s, figure, at, own, number, numbers, isNumber, text, count, short, bytes, time, joined, percent, duration, pill, rules, flow,
    curvesCard, lineOf, spark, table, right, residues, reconciliation, differences, samples, ruleTable, figures, bars, follow, outcomeOf, comparedBy, GROUPS, UNKNOWN };
})();
