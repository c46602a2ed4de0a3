//! What is seen of each rule's service: its clients' packets, its own, and what came of one side since the other was seen
//! last. Whoever sees one side alone copies half or nothing, and would not know.
//!
//! It is counted for every packet, so it costs a few instructions and allocates nothing.

use wire::flow::{Addr, Endpoint, FlowKey};

use crate::config::Rule;
use crate::limits::JOINS_REFUSED_MAX;

/// What one side has said since the other was seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alone {
    /// A bit for each flow, by a hash: how many are set is about how many flows there were, up to 64.
    flows: u64,
    /// One of the flows.
    example: Option<FlowKey>,
}

impl Alone {
    /// What these flows make.
    #[must_use]
    pub fn of(flows: impl IntoIterator<Item = FlowKey>) -> Self {
        let mut alone = Self::default();
        flows.into_iter().for_each(|flow| alone.add(&flow));
        alone
    }

    fn add(&mut self, flow: &FlowKey) {
        let [.., low] = flow.client.addr.v4_octets();
        let bit = (flow.client.port ^ u16::from(low)) % 64;
        if self.flows == 0 {
            self.example = Some(*flow);
        }
        self.flows |= 1 << bit;
    }

    const fn clear(&mut self) {
        self.flows = 0;
    }

    /// About how many flows it was that spoke alone, up to 64.
    #[must_use]
    pub const fn flows(&self) -> u32 {
        self.flows.count_ones()
    }

    /// One of them.
    #[must_use]
    pub fn example(&self) -> Option<FlowKey> {
        self.example.filter(|_| self.flows != 0)
    }

    /// Takes in what another worker has seen.
    pub fn add_all(&mut self, other: &Self) {
        self.flows |= other.flows;
        self.example = self.example().or(other.example());
    }
}

/// What was seen of one rule's service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Packets of clients that were recorded: all but bare acknowledgements.
    pub clients: u64,
    /// Segments of the online server.
    pub online: u64,
    /// Flows whose beginning was seen, SYN and first payload of the client, but no answer to the SYN, which there must have been.
    pub unmet: u64,
    /// ... and one of them.
    pub unmet_example: Option<FlowKey>,
    /// Joined flows that the target has closed or reset where the online server went on; from
    /// [`crate::limits::JOINS_REFUSED_MAX`] on a worker joins only what stands alone.
    pub joins_refused: u64,
    /// Workers that have stopped joining the rule's flows for that.
    pub joining_stopped: u64,
    /// Handshakes of which both sides were seen.
    pub met: u64,
    /// What clients said since the last segment of the online server.
    pub unanswered: Alone,
    /// What the online server said since the last recorded packet of a client.
    pub unasked: Alone,
}

impl Sight {
    /// How many joined flows of the rule its target has ended where the online server went on, and how many of their connections
    /// in a row without an answer.
    pub(crate) fn set_joins_refused(&mut self, refused: u32, unanswered: u32) {
        self.joins_refused = u64::from(refused) + u64::from(unanswered);
        self.joining_stopped = u64::from(refused.max(unanswered) >= JOINS_REFUSED_MAX);
    }

    /// Adds what another worker has seen.
    pub fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.online += other.online;
        self.unmet += other.unmet;
        self.unmet_example = self.unmet_example.or(other.unmet_example);
        self.met += other.met;
        self.joins_refused += other.joins_refused;
        self.joining_stopped += other.joining_stopped;
        self.unanswered.add_all(&other.unanswered);
        self.unasked.add_all(&other.unasked);
    }
}

/// All rules.
#[derive(Clone, Debug)]
pub(crate) struct Sights {
    /// The services with the rules that name them, sorted by port.
    services: Vec<(u16, Addr, usize)>,
    of_rules: Vec<Sight>,
    /// Of each rule the first one of the same service, which stands for all of them.
    first_of: Vec<usize>,
}

impl Sights {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let online = rules.iter().map(|rule| rule.online).enumerate();
        let mut services: Vec<_> = online
            .map(|(index, online)| (online.port, online.addr, index))
            .collect();
        services.sort_unstable();
        let first = |rule: &Rule| rules.iter().position(|it| it.online == rule.online);
        Self {
            first_of: rules.iter().filter_map(first).collect(),
            services,
            of_rules: vec![Sight::default(); rules.len()],
        }
    }

    /// Of each rule, in the order of the command line.
    pub(crate) fn of_rules(&self) -> Vec<Sight> {
        let first = self.first_of.iter();
        first.map(|index| self.of_rules[*index]).collect()
    }

    pub(crate) fn on_client(&mut self, flow: &FlowKey) {
        if let Some(sight) = self.of(&flow.server) {
            sight.clients += 1;
            sight.unanswered.add(flow);
            sight.unasked.clear();
        }
    }

    pub(crate) fn on_online(&mut self, flow: &FlowKey) {
        if let Some(sight) = self.of(&flow.server) {
            sight.online += 1;
            sight.unasked.add(flow);
            sight.unanswered.clear();
        }
    }

    /// A client sends payload after a SYN that nobody was seen to answer.
    pub(crate) fn on_unmet(&mut self, flow: &FlowKey) {
        if let Some(sight) = self.of(&flow.server) {
            sight.unmet += 1;
            sight.unmet_example = Some(*flow);
        }
    }

    /// A SYN and its answer were seen.
    pub(crate) fn on_met(&mut self, flow: &FlowKey) {
        if let Some(sight) = self.of(&flow.server) {
            sight.met += 1;
        }
    }

    fn of(&mut self, server: &Endpoint) -> Option<&mut Sight> {
        let first = self
            .services
            .partition_point(|(port, ..)| *port < server.port);
        let services = self.services.get(first..)?.iter();
        let (.., index) = services
            .take_while(|(port, ..)| *port == server.port)
            .find(|(_, addr, _)| *addr == server.addr || *addr == Addr::UNSPECIFIED)?;
        self.of_rules.get_mut(*index)
    }
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint, FlowKey};

    use super::{Sight, Sights};
    use crate::config::{Join, Rule};

    const CLIENT: Addr = Addr::v4([10, 0, 0, 9]);
    const SERVER: Addr = Addr::v4([10, 0, 0, 1]);

    fn rule(addr: Addr, port: u16) -> Rule {
        Rule {
            online: Endpoint::new(addr, port),
            target: Endpoint::new(Addr::v4([10, 1, 0, 9]), 80),
            mtu: 1500,
            join: Join::Always,
            resume_anywhere: false,
            module: None,
        }
    }

    fn flow(client_port: u16, server: Addr, port: u16) -> FlowKey {
        FlowKey {
            client: Endpoint::new(CLIENT, client_port),
            server: Endpoint::new(server, port),
        }
    }

    #[test]
    fn each_packet_counts_for_the_rule_that_names_its_service() {
        let other = Addr::v4([10, 0, 0, 2]);
        let rules = [
            rule(Addr::UNSPECIFIED, 443),
            rule(other, 80),
            rule(SERVER, 80),
            rule(SERVER, 80),
        ];
        let mut sights = Sights::new(&rules);
        sights.on_client(&flow(1, SERVER, 80));
        sights.on_online(&flow(1, SERVER, 443));
        sights.on_client(&flow(1, SERVER, 81));
        let seen = sights
            .of_rules()
            .into_iter()
            .map(|sight| (sight.clients, sight.online));
        assert_eq!(seen.collect::<Vec<_>>(), [(0, 1), (0, 0), (1, 0), (1, 0)]);
    }

    #[test]
    fn what_one_side_says_alone_is_forgotten_when_the_other_speaks() {
        let mut sights = Sights::new(&[rule(SERVER, 80)]);
        for port in 1..=3 {
            sights.on_client(&flow(port, SERVER, 80));
            sights.on_client(&flow(port, SERVER, 80));
        }
        let alone = sights.of_rules()[0].unanswered;
        assert_eq!(
            (alone.flows(), alone.example()),
            (3, Some(flow(1, SERVER, 80)))
        );
        sights.on_online(&flow(2, SERVER, 80));
        let sight = sights.of_rules()[0];
        assert_eq!(
            (sight.unanswered.flows(), sight.unanswered.example()),
            (0, None)
        );
        assert_eq!(sight.unasked.flows(), 1);
        let mut sum = Sight::default();
        sum.add(&sight);
        sum.add(&sight);
        assert_eq!((sum.clients, sum.online, sum.unasked.flows()), (12, 2, 1));
    }
}
