"use strict";
/* What responses say, by route and field (key `comparison`). What is noise was decided where it was counted
   (crates/comparison/src/noise.rs); here it is only shown. */
const Comparison = (() => {
  const { h, figure, at, own, number, text, count, time, joined, percent, table, right, UNKNOWN } = Charts;

  const KINDS = {{kinds}};
  const SAYS = {{says}};
  const LEVELS = { changed: "bad", differs: "warn", cannot_tell: "neutral", always: "neutral", noise: "good" };
  /** Most groups and places of each that are shown. */
  const GROUPS_MAX = 50;
  const PLACES_MAX = 20;
  const STATUSES_MAX = 4;

  const list = (value, most) => (Array.isArray(value) ? value.slice(0, most) : []);
  const groupsOf = (summary) => list(at(summary, "comparison.groups"), GROUPS_MAX);
  const routeOf = (group) => [at(group, "method"), at(group, "route")].filter((word) => typeof word === "string" && word !== "").map((word) => text(word)).join(" ") || UNKNOWN;
  const share = (part, whole) => (part === null || !(whole > 0) ? UNKNOWN : `${count(part)} (${percent(part / whole)})`);
  const isThere = (summary) => number(summary, "comparison.responses.compared") !== null;
  const hasBaseline = (summary) => at(summary, "comparison.has_baseline") === true;

  /** The place that differs most beyond noise, in words; nothing where there is none. */
  function largestOf(summary) {
    const largest = at(summary, "comparison.largest");
    if (typeof largest !== "object" || largest === null) return null;
    const kind = own(KINDS, at(largest, "kind")) ?? "something else";
    const name = at(largest, "name");
    return `${routeOf(largest)}${name ? ` ${text(name)}` : ""}: ${kind} in ${count(number(largest, "responses"))} of ${count(number(largest, "of"))} responses`;
  }

  /** What there is to say of it in the verdict; nothing where nothing was compared. */
  function finding(summary) {
    if (!isThere(summary)) return null;
    const [changed, compared] = [number(summary, "comparison.changed") ?? 0, number(summary, "comparison.responses.compared")];
    const more = largestOf(summary);
    if (changed > 0) return { level: "bad", title: `${count(changed)} ${changed === 1 ? "place differs" : "places differ"} beyond noise`, more: `${more ?? ""}.` };
    if (hasBaseline(summary)) return { level: "good", title: `Of ${count(compared)} responses none differs beyond noise`, more: "Every difference is one that the baseline shows as well, or so rare that it may be chance." };
    if (more !== null) return { level: "warn", title: "Responses differ by what they say", more: `${more}. Without a baseline nothing tells noise from a change.` };
    return { level: "neutral", title: "Responses differ in what always differs, if at all", more: "Without a baseline a clock cannot be told from a change of every response." };
  }

  function groupTable(summary) {
    const baseline = hasBaseline(summary);
    const heads = ["Route", "Compared", "Target differs", baseline && "Baseline differs", "Online, median", "Target, median", "Other statuses"].filter(Boolean);
    const rows = groupsOf(summary).map((group, index) => {
      const of = (path) => number(group, path);
      const micro = (side) => right(joined(time(of(`${side}.count`) ? of(`${side}.p50`) : null)));
      const others = list(at(group, "statuses"), 100).filter((entry) => number(entry, "online") !== number(entry, "other") && number(entry, "responses") > 0).slice(0, STATUSES_MAX);
      const key = `comparison.groups.${index}`;
      return [
        h("span", { class: "breaks" }, routeOf(group)),
        right(figure(`${key}.compared`, of("responses.compared"), count(of("responses.compared")))),
        right(figure(`${key}.differing`, of("responses.differing"), share(of("responses.differing"), of("responses.compared")))),
        baseline && right(share(of("responses.baseline_differing"), of("responses.baseline_compared"))),
        micro("online_us"), micro("target_us"),
        others.length ? others.map((entry) => `${text(String(number(entry, "online")))} → ${number(entry, "other") === 0 ? "none" : text(String(number(entry, "other")))}: ${count(number(entry, "responses"))}`).join(", ") : "none",
      ].filter((cell) => cell !== false);
    });
    return table("Responses by route", heads, rows, "wide");
  }

  function placeTable(summary, caption, pick) {
    const baseline = hasBaseline(summary);
    const heads = ["Route", "Where", "What", "Target", baseline && "Baseline", "That is"].filter(Boolean);
    const rows = groupsOf(summary).flatMap((group) => list(at(group, "places"), PLACES_MAX).filter(pick).map((place) => {
      const says = at(place, "says");
      const probability = number(place, "probability");
      return [
        h("span", { class: "breaks" }, routeOf(group)),
        h("code", { class: "breaks" }, at(place, "name") ? text(at(place, "name")) : "response"),
        own(KINDS, at(place, "kind")) ?? UNKNOWN,
        right(share(number(place, "responses"), number(place, "of"))),
        baseline && right(share(number(place, "baseline_responses"), number(place, "baseline_of"))),
        h("span", { class: own(LEVELS, says) ?? "neutral", "data-says": typeof says === "string" ? says : "", title: probability === null ? null : `probability ${probability.toExponential(1)}` }, own(SAYS, says) ?? UNKNOWN),
      ].filter((cell) => cell !== false);
    }));
    return rows.length > 0 && h("div", { class: "listed" }, h("div", { class: "scroll" }, table(caption, heads, rows, "wide")));
  }

  /** The contents of its card; nothing where nothing was compared. `isOpen` says whether noise is to be seen at once. */
  function contents(summary, isOpen = false) {
    if (!isThere(summary)) return null;
    const isNoise = (place) => ["noise", "always"].includes(at(place, "says"));
    const noise = placeTable(summary, "Noise", isNoise);
    const [compared, tested, level] = ["responses.compared", "tested", "level"].map((name) => number(summary, `comparison.${name}`));
    const unread = Charts.numbers(at(summary, "comparison.unread")).filter(([name, value]) => value > 0 && name !== "not_json");
    const unlisted = number(summary, "comparison.groups_unlisted") ?? 0;
    return [
      h("p", { class: "small muted" }, figure("comparison.compared", compared, count(compared)), " responses were compared by status, headers and body, those of JSON field by field; no value of them is kept. ",
        hasBaseline(summary) ? `A place is called changed where chance would make such a difference with a probability below ${level === null ? UNKNOWN : level.toExponential(1)}: so the ${count(tested)} places that could be called so have a false alarm in one run of twenty at most.` : "There is no baseline, so nothing tells noise from a change."),
      h("div", { class: "scroll" }, groupTable(summary)),
      unlisted > 0 && h("p", { class: "small muted" }, `${count(unlisted)} more routes are not listed.`),
      placeTable(summary, "Where responses differ", (place) => !isNoise(place)) || h("p", { class: "muted small" }, "No place differs beyond what is listed as noise."),
      noise && h("details", isOpen ? { open: "" } : {}, h("summary", {}, "What is noise, or always differs"), noise),
      unread.length > 0 && h("p", { class: "small muted" }, `Compared by hash alone: ${unread.map(([name, value]) => `${count(value)} ${name.replaceAll("_", " ")}`).join(", ")}.`),
    ].filter(Boolean);
  }

  return { finding, contents };
})();
