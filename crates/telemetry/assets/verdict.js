"use strict";
/* What a summary amounts to, in words. What is slower and what is noise was decided where it was measured (key `verdict`,
   crates/telemetry/src/verdict.rs); here it is only said. */
const Verdict = (() => {
  const { h, figure, at, number, numbers, count, time, joined, percent, outcomeOf, comparedBy, residues } = Charts;

  const SIGNS = { good: "✓", warn: "!", bad: "✕", neutral: "?" };
  /** From best to worst. What is not known is no success: a card with it is not green. */
  const LEVELS = ["good", "neutral", "warn", "bad"];
  /** Of several comparisons of the same two servers one that tells is worth more than one that cannot. */
  const TOLD = ["neutral", "good", "warn", "bad"];
  /** Above these shares of turns that could not be compared. */
  const UNPAIRED = { good: 0.01, warn: 0.2 };
  /** Most warnings that are shown, and most letters of each. */
  const WARNINGS_MAX = 100;
  const WARNING_LEN_MAX = 4000;

  const size = (micros) => joined(time(Math.abs(micros)));
  const span = (finding) => {
    const [low, high] = [number(finding, "low_us"), number(finding, "high_us")];
    if (low === null || high === null) {
      const [says, least] = [at(finding, "verdict"), low ?? high];
      return least !== null && (says === "slower" || says === "faster") ? ` (at least ${size(least)})` : "";
    }
    return ` (between ${size(low < 0 === high < 0 ? Math.min(Math.abs(low), Math.abs(high)) : low)} and ${size(low < 0 === high < 0 ? Math.max(Math.abs(low), Math.abs(high)) : high)})`;
  };

  /** What would settle a comparison that cannot tell, in the words of who measured it; older summaries do not know. */
  const settledBy = (finding) => {
    const words = at(finding, "would_tell.words");
    return typeof words === "string" ? Charts.text(words) : "too few requests, or too much noise";
  };

  /** A finding as a level and words. */
  function speed(finding) {
    const difference = number(finding, "difference_us");
    switch (at(finding ?? {}, "verdict")) {
      case "slower":
        return { level: "bad", words: `${size(difference ?? 0)} slower`, more: span(finding) };
      case "faster":
        return { level: "good", words: `${size(difference ?? 0)} faster`, more: span(finding) };
      case "no_difference": {
        const most = Math.max(Math.abs(number(finding, "low_us") ?? 0), Math.abs(number(finding, "high_us") ?? 0));
        return { level: "good", words: "no difference above noise", more: ` (if there is one, it is below ${size(most)})` };
      }
      case "cannot_tell":
        return { level: "neutral", words: "cannot tell", more: `: ${settledBy(finding)}` };
      default:
        return { level: "neutral", words: "unknown", more: "" };
    }
  }

  /** A difference beside what it is a difference to: 335 µs alone frighten or soothe as one likes. Nothing where it is none. */
  function relation(summary, path, finding) {
    const [online, target] = ["online", "target_net"].map((side) => number(summary?.verdict ?? {}, `intervals_us.${side}.${path}.value`));
    if (!(online > 0) || target === null || !/(slower|faster)$/.test(finding.words)) return "";
    const times = target / online;
    return times >= 2 ? ` (${times.toFixed(1)} times)` : ` (${times >= 1 ? "+" : "−"}${percent(Math.abs(times - 1), 1)})`;
  }

  const most = (order, levels) => order[Math.max(...levels.map((level) => order.indexOf(level)), 0)];
  const worst = (levels) => most(LEVELS, levels);
  const told = (levels) => most(TOLD, levels);
  const rated = (share, limits, isGood) => (isGood(share, limits.good) ? "good" : isGood(share, limits.warn) ? "warn" : "bad");

  /** The level of a finding: crates/telemetry/src/findings.rs. */
  const levelOf = (summary, name) => (LEVELS.includes(at(summary, `findings.${name}`)) ? at(summary, `findings.${name}`) : "neutral");

  /** What budgets and pauses of the run itself left out, in words; nothing where there was nothing. */
  function leftOutOf(summary) {
    const [turns, packets, lost] = ["turns", "paused_packets", "lost_packets"].map((name) => number(summary, `left_out.${name}`) ?? 0);
    return [
      turns > 0 && `${count(turns)} more were left out by --max-sessions, --max-new-sessions, --max-cpu or --memory, and count as not taken`,
      packets > 0 && `${count(packets)} packets of clients were not recorded during a pause, and their requests count as not taken`,
      lost > 0 && `${count(lost)} packets of clients were lost on the way to a worker whose ring was full, and their requests count as not taken`,
    ].filter(Boolean).map((words) => ` ${words}.`).join("");
  }

  function fidelityOf(summary) {
    const [captured, fidelity] = [number(summary, "ledger.captured"), number(summary, "fidelity")];
    if (fidelity === null) return { level: "neutral", title: "Nothing to judge", more: `${Charts.text(at(summary, "nothing_to_judge"), "how much was copied is unknown")}.` };
    const taken = (number(summary, "ledger.answered") ?? 0) + (number(summary, "ledger.delivered") ?? 0);
    const lost = numbers(summary.ledger)
      .filter(([name, turns]) => turns > 0 && !["captured", "answered", "delivered", "unserved"].includes(name))
      .sort((a, b) => b[1] - a[1]);
    const level = levelOf(summary, "taken");
    const leftOut = leftOutOf(summary);
    const more = lost.length > 0
      ? `Lost: ${lost.map(([name, turns]) => { const [, label, why] = outcomeOf(name, summary); return `${count(turns)} ${label}${why ? ` (${why})` : ""}`; }).join("; ")}.`
      : leftOut === "" ? "Nothing was lost." : "";
    return { level, title: [h("span", {}, "Fidelity ", figure("fidelity", fidelity, percent(fidelity, 3))), `: the target took ${count(taken)} of ${count(captured)} captured requests`], more: `${more}${leftOut}`.trim() };
  }

  function differencesOf(summary) {
    const compared = number(summary, "differences.compared");
    if (compared === null || compared === 0) return { level: "neutral", title: "No responses were compared", more: "" };
    const kinds = [["target_shorter", "shorter"], ["target_longer", "longer"], ["target_silent", "missing"], ["target_reset_only", "reset by the target only"], ["online_reset_only", "reset by the online server only"], ["status_differs", "of another status"], ["bytes_differ", "other in the first bytes"]]
      .map(([name, label]) => [number(summary, `differences.kinds.${name}`) ?? 0, label])
      .filter(([turns]) => turns > 0)
      .sort((a, b) => b[0] - a[0]);
    const differing = number(summary, "differences.differing") ?? 0;
    const level = levelOf(summary, "answers");
    const by = `Compared: ${comparedBy(summary)}.`;
    if (differing === 0) return { level, title: `The ${count(compared)} compared responses are the same`, more: by };
    return { level, share: differing / compared, title: `${percent(differing / compared)} of ${count(compared)} compared responses differ`,
      more: `${kinds.map(([turns, label]) => `${count(turns)} ${label} (${percent(turns / compared)})`).join(", ")}. ${by}` };
  }

  /** Whether copies left in time. Where they did not, the target's times are not those of the load that its clients made. */
  function copyOf(summary) {
    const [level, median, late] = [levelOf(summary, "copy"), number(summary, "latency_us.lag.p50"), number(summary, "latency_us.lag.p99")];
    if (summary?.dry_run === true) return { level, title: "A dry run: nothing was sent", more: "The target is made up, and answers as much as the online server did. So nothing is measured, and nothing compared." };
    if (level === "neutral" && at(summary, "speed") === "max") return { level, title: "The file was replayed as fast as the target answered", more: "So no request is late, and the target's times are those under this load." };
    if (level === "neutral") return { level, title: "Nothing left for the target", more: "" };
    if (level === "good") return { level, title: `The copy kept up: requests left ${size(median)} after their capture (p99 ${size(late)})`, more: "" };
    const because = at(summary, "findings.copy_late_because");
    return { level, late: size(late), title: `${level === "bad" ? "The copy fell behind" : "The copy was late"}: requests left up to ${size(late)} late (p99)`,
      more: `${typeof because === "string" && because ? `Why: ${because}.` : ""} What the target was asked was not the load that its clients made.`.trim() };
  }

  /** What was asked of the run, and what came of it. */
  function gatesOf(summary) {
    const signs = { ok: ["good", "ok"], failed: ["bad", "FAIL"], cannot_tell: ["neutral", "cannot tell"] };
    const list = Array.isArray(summary?.gates) ? summary.gates.slice(0, 20) : [];
    return list.map((gate) => {
      const [level, word] = signs[at(gate, "result")] ?? ["neutral", "unknown"];
      const name = Charts.text(at(gate, "gate"));
      return { level, title: h("span", { "data-gate": name, "data-result": at(gate, "result") ?? "" }, `Gate --${name.replaceAll("_", "-")}: ${word}`),
        more: `wanted ${Charts.text(at(gate, "wanted"))}, found ${Charts.text(at(gate, "found"))}${at(gate, "why") ? ` (${Charts.text(at(gate, "why"))})` : ""}` };
    });
  }

  function unpairedOf(summary) {
    const [compared, unpaired] = [number(summary, "differences.compared"), number(summary, "differences.unpaired")];
    if (compared === null || unpaired === null || compared + unpaired === 0) return null;
    const share = unpaired / (compared + unpaired);
    if (unpaired === 0) return { level: "good", title: "Every request could be compared", more: "All sessions stayed in step with the online server's." };
    return { level: rated(share, UNPAIRED, (value, limit) => value <= limit), title: `${percent(share)} of the requests could not be compared`,
      more: `${count(unpaired)} belong to sessions that were out of step: their times are in no figure here.` };
  }

  function booksOf(summary) {
    const list = residues(summary);
    if (typeof summary?.hooks !== "object" || summary.hooks === null) return { level: "neutral", title: "No counters to check", more: "" };
    if (list.length === 0) return { level: levelOf(summary, "counters"), title: "All counters of the kernel and of the workers add up", more: "" };
    const running = summary.state !== "ended";
    return { level: levelOf(summary, "counters"), title: running ? "Some counters do not add up yet" : "Counters do not add up",
      more: `${list.map(([name, residue]) => `${name.replaceAll("_", " ")}: residue ${count(residue)}`).join(", ")}. ${running ? "While a run goes on, a residue is what is under way." : "Something was lost or counted twice, and nobody knows what."}` };
  }

  /** What the user was told of while the run went on, what holds first. */
  function warningsOf(summary) {
    const list = Array.isArray(summary?.warnings) ? summary.warnings.slice(0, WARNINGS_MAX) : [];
    const entry = (warning) => {
      const holds = at(warning, "over") === null;
      const about = at(warning, "rule") ?? at(warning, "about");
      const words = at(warning, "text");
      return {
        level: holds ? "bad" : "warn",
        title: `${Charts.text(at(warning, "kind")).replaceAll("_", " ")}${typeof about === "string" ? `, ${Charts.text(about)}` : ""}: since ${Charts.text(at(warning, "since"))}${holds ? "" : `, over at ${Charts.text(at(warning, "over"))}`}`,
        more: typeof words === "string" ? words.slice(0, WARNING_LEN_MAX) : "",
      };
    };
    return list.map(entry).sort((a, b) => (b.level === "bad") - (a.level === "bad"));
  }

  const stateOf = (summary) =>
    summary?.state === "ended" ? null
      : { level: "warn", title: "This run had not ended when the summary was written", more: "It was killed or still goes on; requests that are open count for nothing yet." };

  /** The four comparisons with the online server, in the order in which they are said. */
  function speeds(summary) {
    const of = (path) => {
      const finding = speed(at(summary?.verdict ?? {}, path));
      return { ...finding, relation: relation(summary, path, finding) };
    };
    return { first50: of("first_byte.p50"), first99: of("first_byte.p99"), last50: of("last_byte.p50"), last99: of("last_byte.p99") };
  }

  function speedItem(summary) {
    const { first50, first99, last50, last99 } = speeds(summary);
    const cell = (what, key, finding) => h("p", {}, `${what}: `, h("strong", { "data-finding": key, "data-says": at(summary, `verdict.${key}.verdict`) ?? "unknown", "data-difference": at(summary, `verdict.${key}.difference_us`) ?? "" }, finding.words), finding.relation, h("span", { class: "muted" }, finding.more));
    const level = told([first50, first99, last50, last99].map((finding) => finding.level));
    const titles = { bad: "The target is slower than the online server", good: [last50, last99, first50, first99].some((f) => f.words.endsWith("faster")) ? "The target is faster than the online server" : `The target is as fast as the online server${[last50, last99, first50, first99].some((f) => f.level === "neutral") ? ", where that can be told" : ""}`, neutral: "Whether the target is slower cannot be told" };
    const mixed = [first50, first99, last50, last99].some((f) => f.words.endsWith("faster")) && level === "bad";
    return { level, title: mixed ? "The target is slower in some ways and faster in others" : titles[level], more: [
      cell("First byte, median", "first_byte.p50", first50), cell("First byte, 99th percentile", "first_byte.p99", first99),
      cell("Last byte, median", "last_byte.p50", last50), cell("Last byte, 99th percentile", "last_byte.p99", last99)] };
  }

  function headline(summary) {
    const fidelity = number(summary, "fidelity");
    if (fidelity === null) return "Nothing to judge: this run says nothing of the target.";
    if (summary?.dry_run === true) return `A dry run: nothing was sent. ${percent(fidelity, 3)} of the requests would be taken by a target that answers as the online server did.`;
    const { last50, last99 } = speeds(summary);
    const copy = copyOf(summary);
    const behind = copy.level === "bad" ? `The copy fell behind (requests left up to ${copy.late} late). ` : "";
    const parts = [`The target took ${percent(fidelity, 3)} of the requests`];
    const said = (finding) => finding.level === "bad" || finding.words.endsWith("faster");
    if (said(last50) && said(last99) && last50.words.endsWith("slower") === last99.words.endsWith("slower")) parts.push(`is ${last50.words} in the median${last50.relation}, ${last99.words} at the 99th percentile${last99.relation}`);
    else if (said(last50)) parts.push(`is ${last50.words} in the median${last50.relation}`);
    else if (said(last99)) parts.push(`is ${last99.words} at the 99th percentile${last99.relation}`);
    else if (last50.level === "neutral") parts.push("how fast it is cannot be told");
    else parts.push(`shows no difference in speed above noise${last99.level === "neutral" ? " in the median" : ""}`);
    const differ = differencesOf(summary);
    if (differ.share > 0) parts.push(`${percent(differ.share)} of its responses differ`);
    return `${behind}${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}.`;
  }

  function items(summary) {
    return [fidelityOf(summary), copyOf(summary), speedItem(summary), differencesOf(summary), Comparison.finding(summary), unpairedOf(summary), booksOf(summary), stateOf(summary), ...gatesOf(summary), ...warningsOf(summary)].filter(Boolean);
  }

  const item = ({ level, title, more }) =>
    h("li", {}, h("span", { class: `sign ${level}`, "aria-hidden": "true" }, SIGNS[level]),
      h("div", {}, h("p", {}, h("span", { class: "visually-hidden" }, { good: "Good: ", warn: "Mind: ", bad: "Bad: ", neutral: "Unknown: " }[level]), h("strong", {}, title)),
        Array.isArray(more) ? more : more && h("p", { class: "muted" }, more)));

  /** The verdict of one run as a card. */
  function card(summary, id) {
    const list = items(summary);
    const level = worst(list.map((entry) => entry.level));
    return h("section", { class: `card verdict ${level}`, "aria-labelledby": id, "data-level": level },
      h("h3", {}, "Verdict"), h("p", { class: "headline", id }, headline(summary)), h("ul", { class: "findings" }, list.map(item)));
  }

  /** A run beside the first, in a sentence; `finding` is that of the last byte. */
  function beside(first, other, finding, name) {
    const [before, after] = [number(first, "fidelity"), number(other, "fidelity")];
    const [last50, last99] = [speed(at(finding ?? {}, "p50")), speed(at(finding ?? {}, "p99"))];
    const told = (entry) => entry.words.endsWith("slower") || entry.words.endsWith("faster");
    const times = [told(last50) && `${last50.words} in the median`, told(last99) && `${last99.words} at the 99th percentile`].filter(Boolean);
    const pace = times.length > 0 ? `is ${times.join(", ")}` : last50.level === "neutral" ? "may be slower or not, that cannot be told" : "shows no difference in speed above noise";
    return `The target of ${name} ${pace}; it took ${percent(after, 3)} of the requests, ${before === after ? "as before" : `was ${percent(before, 3)}`}.`;
  }

  /** The warnings of a run as the contents of a card; nothing where there are none. */
  const warnings = (summary) => warningsOf(summary).map(item);

  return { card, speed, beside, item, worst, told, warnings };
})();
