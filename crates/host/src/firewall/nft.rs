//! What `nft -j list ruleset` lists (libnftables-json(5)): tables of nft's own and of iptables-nft.

use std::collections::HashMap;

use serde_json::Value;

use super::{DEPTH_MAX, shortened};

/// Hooks that packets to this host pass.
const HOOKS: [&str; 3] = ["ingress", "prerouting", "input"];
/// Families whose packets are IP; a bridge's are not this host's.
const FAMILIES: [&str; 4] = ["ip", "ip6", "inet", "netdev"];
/// Statements that take a packet away, and targets of iptables that do.
const TAKES: [&str; 3] = ["drop", "reject", "queue"];
const TARGETS: [&str; 5] = ["DROP", "REJECT", "NFQUEUE", "QUEUE", "TARPIT"];

/// A chain of a table of a family.
type Name<'a> = (&'a str, &'a str, &'a str);

#[derive(Default)]
struct Rules<'a> {
    chains: Vec<(Name<'a>, &'a Value)>,
    rules: HashMap<Name<'a>, Vec<&'a Value>>,
}

/// The first rule or policy that may take a packet to one of these TCP ports away.
pub(super) fn guard(text: &str, ports: &[u16]) -> Result<Option<String>, String> {
    let list: Value =
        serde_json::from_str(text).map_err(|error| format!("nft lists no JSON: {error}"))?;
    let Some(entries) = list["nftables"].as_array() else {
        return Err("nft lists something that is no list of rules".to_owned());
    };
    let mut all = Rules::default();
    for entry in entries {
        if let Some(chain) = entry.get("chain") {
            all.chains.push((name_of(chain, "name"), chain));
        } else if let Some(rule) = entry.get("rule") {
            let name = name_of(rule, "chain");
            all.rules.entry(name).or_default().push(&rule["expr"]);
        }
    }
    Ok(all.guard(ports))
}

fn name_of<'a>(entry: &'a Value, chain: &str) -> Name<'a> {
    let text = |field: &str| entry[field].as_str().unwrap_or_default();
    (text("family"), text("table"), text(chain))
}

impl Rules<'_> {
    fn guard(&self, ports: &[u16]) -> Option<String> {
        let bases = self.chains.iter().filter(|((family, ..), chain)| {
            let hook = chain["hook"].as_str().unwrap_or_default();
            HOOKS.contains(&hook) && FAMILIES.contains(family)
        });
        for (name, chain) in bases {
            if let Some(found) = self.of_chain(*name, ports, 0) {
                return Some(found);
            }
            if chain["policy"] == "drop" {
                return Some(format!(
                    "policy drop of chain {} {} {}",
                    name.0, name.1, name.2
                ));
            }
        }
        None
    }

    fn of_chain(&self, name: Name<'_>, ports: &[u16], depth: usize) -> Option<String> {
        if depth > DEPTH_MAX {
            return Some(format!("chain {}, which leads on and on", name.2));
        }
        let rules = self.rules.get(&name)?;
        let may_hit = rules.iter().filter(|rule| may_hit(rule, ports));
        may_hit.into_iter().find_map(|rule| {
            let statements = rule.as_array()?;
            statements.iter().find_map(|statement| {
                if let Some(word) = takes(statement) {
                    return Some(format!(
                        "{word} in chain {} {} {}: {}",
                        name.0,
                        name.1,
                        name.2,
                        shortened(&rule.to_string())
                    ));
                }
                leads_to(statement)
                    .into_iter()
                    .find_map(|chain| self.of_chain((name.0, name.1, chain), ports, depth + 1))
            })
        })
    }
}

/// By which word a statement takes a packet away, if only where a map says so.
fn takes(statement: &Value) -> Option<&str> {
    let Some(object) = statement.as_object() else {
        let word = statement.as_str()?;
        return TAKES.contains(&word).then_some(word);
    };
    object.iter().find_map(|(name, body)| match name.as_str() {
        "vmap" => match body["data"]["set"].as_array() {
            Some(set) => set.iter().find_map(|pair| takes(pair.get(1)?)),
            // A map with a name stands elsewhere, and changes.
            None => Some("a verdict map"),
        },
        "xt" if body["type"] == "target" => match body["name"].as_str() {
            Some(name) => TARGETS.contains(&name).then_some(name),
            None => Some("a target"),
        },
        name => TAKES.contains(&name).then_some(name),
    })
}

/// Chains that a statement may go on in.
fn leads_to(statement: &Value) -> Vec<&str> {
    let set = statement["vmap"]["data"]["set"].as_array();
    let many = set.into_iter().flatten().filter_map(|pair| pair.get(1));
    let verdicts = std::iter::once(statement).chain(many);
    verdicts.filter_map(jumps_to).collect()
}

fn jumps_to(verdict: &Value) -> Option<&str> {
    let jump = verdict.get("jump").or_else(|| verdict.get("goto"))?;
    jump["target"].as_str()
}

/// Whether a rule may match a TCP packet to one of the ports that comes from another host.
fn may_hit(rule: &Value, ports: &[u16]) -> bool {
    let statements = rule.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut matches = statements
        .iter()
        .filter_map(|statement| statement.get("match"))
        .filter(|condition| condition["op"] == "==" || condition["op"] == "in");
    matches.all(|condition| {
        let (left, right) = (&condition["left"], &condition["right"]);
        let payload = &left["payload"];
        let is_port = payload["field"] == "dport";
        match payload["protocol"].as_str() {
            Some("udp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "udplite") => return false,
            Some("tcp" | "th") if is_port => return hits(right, ports),
            Some("ip") if payload["field"] == "protocol" => return is_tcp(right),
            Some("ip6") if payload["field"] == "nexthdr" => return is_tcp(right),
            _ => {}
        }
        match left["meta"]["key"].as_str() {
            Some("l4proto") => is_tcp(right),
            Some("iif" | "iifname") => right != "lo",
            _ => true,
        }
    })
}

fn is_tcp(protocol: &Value) -> bool {
    // A set, or a number, may be anything.
    protocol
        .as_str()
        .is_none_or(|name| name == "tcp" || name.starts_with('@'))
}

/// Whether a value, range or set of ports may hold one of them.
fn hits(right: &Value, ports: &[u16]) -> bool {
    let number = |value: &Value| value.as_u64();
    if let Some(port) = number(right) {
        return ports.iter().any(|ours| u64::from(*ours) == port);
    }
    if let Some(range) = right["range"].as_array()
        && let [first, last] = range.as_slice()
        && let (Some(first), Some(last)) = (number(first), number(last))
    {
        return ports
            .iter()
            .any(|port| (first..=last).contains(&u64::from(*port)));
    }
    match right["set"].as_array() {
        Some(set) => set.iter().any(|value| hits(value, ports)),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::guard;

    /// What nft 1.0.6 says of a table of its own and of two rules of iptables-nft.
    const REAL: &str = r#"{"nftables":[{"metainfo":{"version":"1.0.6","json_schema_version":1}},
        {"table":{"family":"ip","name":"filter","handle":2}},
        {"chain":{"family":"ip","table":"filter","name":"INPUT","handle":1,"type":"filter","hook":"input","prio":0,"policy":"accept"}},
        {"rule":{"family":"ip","table":"filter","chain":"INPUT","handle":2,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":8080}},{"xt":{"type":"match","name":"string"}},{"counter":{"packets":0,"bytes":0}},{"drop":null}]}},
        {"rule":{"family":"ip","table":"filter","chain":"INPUT","handle":4,"expr":[{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"lo"}},{"counter":{"packets":0,"bytes":0}},{"drop":null}]}}]}"#;

    fn with(expr: &str) -> String {
        let chain = |name: &str, more: &str| {
            format!(r#"{{"chain":{{"family":"inet","table":"t","name":"{name}"{more}}}}}"#)
        };
        let base = chain(
            "i",
            r#","type":"filter","hook":"input","prio":0,"policy":"accept""#,
        );
        let rule = |chain: &str, expr: &str| {
            format!(
                r#"{{"rule":{{"family":"inet","table":"t","chain":"{chain}","expr":[{expr}]}}}}"#
            )
        };
        let other = rule("other", r#"{"drop":null}"#);
        let all = [base, chain("other", ""), other, rule("i", expr)].join(",");
        format!(r#"{{"nftables":[{all}]}}"#)
    }

    #[test]
    fn a_real_rule_set_is_read() {
        let found = guard(REAL, &[8080]).unwrap().expect("a guard");
        assert!(
            found.contains("drop in chain ip filter INPUT") && found.contains("8080"),
            "{found}"
        );
        assert_eq!(guard(REAL, &[80]), Ok(None));
        assert!(guard("", &[80]).is_err() && guard("{}", &[80]).is_err());
        assert_eq!(guard(r#"{"nftables":[]}"#, &[80]), Ok(None));
    }

    #[test]
    fn a_rule_guards_unless_it_is_plain_that_it_cannot_hit() {
        let port = |right: &str| {
            format!(
                r#"{{"match":{{"op":"==","left":{{"payload":{{"protocol":"tcp","field":"dport"}}}},"right":{right}}}}},{{"drop":null}}"#
            )
        };
        let vmap = r#"{"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[["invalid",{"drop":null}],["established",{"accept":null}]]}}}"#;
        for (expr, guards) in [
            (port("80"), true),
            (port("81"), false),
            (port(r#"{"range":[70,90]}"#), true),
            (port(r#"{"range":[170,190]}"#), false),
            (port(r#"{"set":[22,{"range":[79,81]}]}"#), true),
            (port(r#"{"set":[22,443]}"#), false),
            (port(r#""@blocked""#), true),
            (port("81").replace("==", "!="), true),
            (vmap.to_owned(), true),
            (vmap.replace("drop", "continue"), false),
            (vmap.replace(r#"{"drop":null}"#, r#"{"jump":{"target":"other"}}"#), true),
            (r#"{"vmap":{"key":{"ct":{"key":"state"}},"data":"@verdicts"}}"#.to_owned(), true),
            (r#"{"jump":{"target":"other"}}"#.to_owned(), true),
            (r#"{"jump":{"target":"i"}}"#.to_owned(), true),
            (r#"{"queue":{"num":3}}"#.to_owned(), true),
            (r#"{"xt":{"type":"target","name":"NFQUEUE"}}"#.to_owned(), true),
            (r#"{"xt":{"type":"target","name":"LOG"}}"#.to_owned(), false),
            (r#"{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":"udp"}},{"reject":null}"#.to_owned(), false),
            (r#"{"match":{"op":"==","left":{"ct":{"key":"state"}},"right":"invalid"}},{"drop":null}"#.to_owned(), true),
            (r#"{"accept":null}"#.to_owned(), false),
        ] {
            let found = guard(&with(&expr), &[80]).expect("a list");
            assert_eq!(found.is_some(), guards, "{expr}");
        }
        let drops =
            with(r#"{"accept":null}"#).replace(r#""policy":"accept""#, r#""policy":"drop""#);
        let found = guard(&drops, &[80]).unwrap().expect("a policy");
        assert!(found.contains("policy drop"), "{found}");
        let elsewhere = drops.replace(r#""hook":"input""#, r#""hook":"forward""#);
        assert_eq!(guard(&elsewhere, &[80]), Ok(None));
    }
}
