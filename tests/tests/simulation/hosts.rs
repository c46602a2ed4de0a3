//! The hosts of a world, each run until it has nothing more to do now.

use wire::segment::Segment;
use wire::tcp::Flags;

use crate::client::Client;
use crate::gro::Gro;
use crate::packet;
use crate::server::PORT;
use crate::setting::{ONLINE, START, STRANGER, earlier};
use crate::stack::MILLISECOND;
use crate::watch;
use crate::world::{Arrival, World};

impl World {
    /// The second connection of a port waits for the first.
    fn share_ports(&mut self) {
        if !self.plan.reuses_ports {
            return;
        }
        for pair in self.clients.chunks_mut(2) {
            let [first, second] = pair else { continue };
            if !first.is_done(&mut self.client_stack) {
                second.wait(self.now + MILLISECOND);
            } else if second.due().is_some_and(|at| at <= self.now) {
                first.give_way(&mut self.client_stack);
            }
        }
    }

    pub(crate) fn run_clients(&mut self) {
        let online = self.plan.host(ONLINE);
        if self.clients_are_silent {
            self.due[0] = None;
            return;
        }
        loop {
            self.share_ports();
            for client in &mut self.clients {
                client.run(self.now, (online, PORT), &mut self.client_stack);
            }
            self.client_stack.poll(self.now);
            let mut quiet = true;
            while let Some(mut packet) = self.client_stack.pop() {
                quiet = false;
                self.make_odd(&mut packet);
                let arrivals = self.links.to_online.send(self.now, packet);
                self.send_all(arrivals, Arrival::Online);
            }
            if quiet {
                break;
            }
        }
        let clients = self.clients.iter().filter_map(Client::due).min();
        self.due[0] = earlier(clients, self.client_stack.due(self.now), self.now);
    }

    pub(crate) fn run_online(&mut self) {
        loop {
            self.online_stack.poll(self.now);
            let reads = self
                .online
                .run(self.now, &self.plan, &mut self.online_stack);
            self.online_stack.poll(self.now);
            let mut leaving = vec![];
            while let Some(packet) = self.online_stack.pop() {
                leaving.push(packet);
            }
            let quiet = reads.is_empty() && leaving.is_empty();
            self.observe(&leaving);
            for packet in leaving {
                let arrivals = self.links.to_client.send(self.now, packet);
                self.send_all(arrivals, Arrival::Client);
            }
            if quiet {
                break;
            }
        }
        self.due[1] = earlier(self.online.due(), self.online_stack.due(self.now), self.now);
    }

    /// The online server's segments pass `observe`, before send offload has cut them.
    fn observe(&mut self, leaving: &[Vec<u8>]) {
        let mut merge = Gro::default();
        let sampled = self.plan.recorded_len();
        for packet in leaving {
            self.trace.packet(self.now, "online -> client", packet);
            self.oracle.on_online(self.now, packet);
            let seen = if self.plan.network.offload.is_some() {
                merge.push(packet.clone())
            } else {
                vec![packet.clone()]
            };
            for packet in seen {
                self.record(Arrival::OnlineRecord, packet::beginning(&packet, sampled));
            }
        }
        for packet in merge.flush() {
            self.record(Arrival::OnlineRecord, packet::beginning(&packet, sampled));
        }
        self.capture_merge.merged += merge.merged;
    }

    pub(crate) fn run_target(&mut self) {
        loop {
            self.target_stack.poll(self.now);
            let reads = self
                .target
                .run(self.now, &self.plan, &mut self.target_stack);
            for accepted in &self.target.accepted[self.lives.len()..] {
                self.lives.push(self.oracle.latest(accepted.port));
                self.origins.push(None);
            }
            for read in &reads {
                watch::on_read(self, read);
            }
            self.target_stack.poll(self.now);
            let mut quiet = reads.is_empty();
            while let Some(packet) = self.target_stack.pop() {
                quiet = false;
                self.trace.packet(self.now, "target ->", &packet);
                if let Ok(segment) = Segment::parse(&packet[..], 0) {
                    self.oracle.on_target(&segment);
                    let is_early = self.now < START + self.plan.setting.astray_until;
                    if is_early && segment.destination.addr == self.plan.host(STRANGER).addr() {
                        self.astray += u64::from(segment.flags.contains(Flags::SYN));
                        self.trace.packet(self.now, "target -> client", &packet);
                        continue;
                    }
                }
                let arrivals = self.links.to_engine.send(self.now, packet);
                self.send_all(arrivals, Arrival::Reply);
            }
            if quiet {
                break;
            }
        }
        self.due[2] = earlier(self.target.due(), self.target_stack.due(self.now), self.now);
    }
}
