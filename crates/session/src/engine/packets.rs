//! The packets that an engine is given: clients', the online server's, the targets'. Each is parsed here, once, and handed to
//! the sessions of its flow.

use wire::checksum::{Verdict, judge};
use wire::flow::FlowKey;
use wire::icmp::TooBig;
use wire::ip::PROTOCOL_TCP;
use wire::segment::Segment;
use wire::seq::{ClientSeq, LocalSeq, OnlineSeq};
use wire::tcp::Flags;

use super::Engine;
use super::multipath::{mapping_of, signal_of};
use crate::flow::advertised::Advertised;
use crate::flow::stream::Piece;
use crate::time::Instant;

impl Engine {
    /// A client's packet, from its IP header on, as seen by `capture` at `stamp`.
    pub fn on_client_packet(&mut self, now: Instant, stamp: Instant, packet: &[u8]) {
        self.shared.on_packet(now, stamp);
        let parsed = Segment::parse(packet, 0).ok();
        let Some((segment, payload, tcp)) = parsed
            .and_then(|segment| Some((segment, segment.payload(packet)?, segment.tcp(packet)?)))
        else {
            self.shared.counters.client_malformed += 1;
            return;
        };
        self.shared.counters.client_packets += 1;
        if judge(
            &segment.source.addr,
            &segment.destination.addr,
            PROTOCOL_TCP,
            tcp,
        ) == Verdict::Corrupt
        {
            self.shared.counters.client_corrupt += 1;
            return;
        }
        if !self.is_captured(stamp) {
            return;
        }
        let flow = FlowKey {
            client: segment.source,
            server: segment.destination,
        };
        self.sights.on_client(&flow);
        self.first_packet_at.get_or_insert(now);
        if segment.flags.contains(Flags::SYN) {
            self.on_client_syn(now, flow, &segment, packet);
            return;
        }
        if self.shared.arena.is_full() {
            self.shed_largest(now);
        }
        self.shared.counters.client_urgent += u64::from(segment.flags.contains(Flags::URG));
        if segment.payload_len > 0
            && let Some(mapping) = mapping_of(&segment, packet)
        {
            self.on_mapping(now, &flow, &mapping, &segment);
        }
        let known = self
            .flow_of(&flow)
            .or_else(|| self.begin_if_sampled((now, stamp), flow, &segment, packet));
        let Some(id) = known else {
            return;
        };
        let piece = Piece {
            bytes: payload,
            cause: OnlineSeq::new(segment.ack),
            stamp,
        };
        let seq = ClientSeq::new(segment.seq);
        self.on_client(id, now, seq, segment.flags, piece);
    }

    /// The headers of an online server's segment, from its IP header on, as seen by `observe` at `stamp`.
    pub fn on_online_packet(&mut self, now: Instant, stamp: Instant, headers: &[u8]) {
        self.shared.on_packet(now, stamp);
        let Ok(segment) = Segment::parse(headers, 0) else {
            self.shared.counters.online_malformed += 1;
            return;
        };
        self.shared.counters.online_packets += 1;
        let flow = FlowKey {
            client: segment.destination,
            server: segment.source,
        };
        self.sights.on_online(&flow);
        self.first_packet_at.get_or_insert(now);
        let (seq, ack) = (OnlineSeq::new(segment.seq), ClientSeq::new(segment.ack));
        if segment.flags.contains(Flags::SYN) {
            if self.is_captured(stamp) {
                let scale = segment.options(headers).window_scale;
                let advertised = Advertised::of_handshake(scale, segment.window);
                self.on_online_syn(now, flow, seq, ack, advertised);
            }
            return;
        }
        self.shared.hold_sample(&segment, headers);
        let len = u32::from(segment.payload_len);
        let Some(id) = self.flow_of(&flow) else {
            if segment.flags.contains(Flags::RST) {
                let known = self.nursery.get(&flow, now);
                if known.is_some_and(|it| it.may_be_answered_by(seq)) {
                    self.end_trial_of(now, &flow);
                    self.nursery.remove(&flow);
                }
            } else if len > 0
                && self.is_captured(stamp)
                && !self.try_online((now, stamp), flow, (&segment, headers))
            {
                self.on_online_payload(now, flow, seq, ack);
            }
            return;
        };
        let captured = self.is_captured(stamp);
        let heard = self.tell(id, now, |flow, room| {
            flow.advertised().on_segment(segment.window);
            if flow.is_elsewhere(seq, ack) {
                return None;
            }
            // After the end of capture the client goes on without us: that is no hole.
            let next = flow.stream().next();
            let (ack, len) = if captured || ack <= next {
                (ack, len)
            } else {
                (next, 0)
            };
            if flow.is_of_several_paths()
                && let Some(ack) = signal_of(&segment, headers).and_then(|it| it.acknowledged)
            {
                flow.on_data_acknowledged(ack);
            }
            let heard = flow.on_online((seq, ack), (&segment, headers), len, stamp, room);
            Some((heard, flow.head))
        });
        let Some(Some((heard, first))) = heard else {
            // After the end of capture another connection on the same 4-tuple is none of ours.
            if captured && len > 0 {
                self.on_jump(now, flow, id, ack);
            }
            return;
        };
        self.follow_online(first, now, &heard);
    }

    /// The headers of a target's reply, from its IP header on, as seen at `stamp`.
    pub fn on_target_packet(&mut self, now: Instant, stamp: Instant, headers: &[u8]) {
        self.shared.on_packet(now, stamp);
        let Ok(segment) = Segment::parse(headers, 0) else {
            self.shared.counters.reply_malformed += 1;
            return;
        };
        self.shared.counters.reply_packets += 1;
        let local = FlowKey {
            client: segment.destination,
            server: segment.source,
        };
        let Some(id) = self.session_from(&local) else {
            self.shared.counters.reply_unknown += 1;
            return;
        };
        self.shared.hold_sample(&segment, headers);
        let options = segment.options(headers);
        let opened = self.with(id, now, |session, ctx| {
            let client = ctx.flow.key().client.addr;
            let opened = session.tell_gate(&segment, ctx);
            session.on_target((&segment, headers), &options, stamp, ctx);
            session.knock(&segment, ctx);
            (opened, session.rule, client)
        });
        if let Some((true, rule, client)) = opened {
            self.let_in(self.known.target_of(rule), Some(&client));
        }
    }

    /// An ICMP too-big message about one of our segments, from its IP header on.
    pub fn on_too_big(&mut self, now: Instant, packet: &[u8]) {
        let believed = TooBig::parse(packet, 0).ok().is_some_and(|too_big| {
            let id = self.session_from(&too_big.flow);
            let mtu = u16::try_from(too_big.mtu).unwrap_or(u16::MAX);
            id.and_then(|id| {
                self.with(id, now, |session, ctx| {
                    let ours = session.connection.was_sent(LocalSeq::new(too_big.seq));
                    let believed = ours && ctx.target.path.narrow(mtu, now);
                    if believed {
                        session.connection.on_too_big(now);
                    }
                    believed
                })
            })
            .unwrap_or(false)
        });
        self.shared.counters.too_big_believed += u64::from(believed);
        self.shared.counters.too_big_ignored += u64::from(!believed);
    }
}
