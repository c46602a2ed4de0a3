//! The ledger of frames: each frame is at all times in exactly one place.
//!
//! Invariant: at most one [`Frame`] exists per number, and while it exists that frame's place is [`Place::Hand`]. What
//! comes out of a ring is a number that the kernel wrote; the ledger makes a [`Frame`] of it only if that frame really
//! is with the kernel on that side.
//!
//! From here the tx ring, the kernel and the completion ring are one place, since a frame that was lent moves through
//! them unseen; likewise the fill ring, the kernel and the rx ring.

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the free list, for sending.
    Free,
    /// Held by the port as a [`Frame`].
    Hand,
    /// In the tx ring, with the kernel, or in the completion ring.
    Transmit,
    /// In the fill ring, with the kernel, or in the rx ring.
    Receive,
}

/// The right to touch the bytes of one frame. There is at most one per frame; it cannot be copied or made elsewhere.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a frame that is dropped is lost to the port"]
pub(crate) struct Frame {
    number: usize,
}

impl Frame {
    /// The frame's number, counted from the start of the UMEM.
    pub(crate) fn number(&self) -> usize {
        self.number
    }
}

/// Where every frame of a port is.
#[derive(Debug)]
pub(crate) struct Ledger {
    places: Box<[Place]>,
    /// Numbers of the free frames; the one used last is taken first, while it is in the cache.
    free: Vec<usize>,
    transmitting: u32,
}

impl Ledger {
    /// A ledger of `tx_frames` free frames for sending and of `rx_frames` for receiving, which are returned.
    pub(crate) fn new(tx_frames: u32, rx_frames: u32) -> (Self, Vec<Frame>) {
        let (tx, rx) = (tx_frames as usize, rx_frames as usize);
        let mut places = vec![Place::Free; tx];
        places.resize(tx + rx, Place::Hand);
        let ledger = Self {
            places: places.into_boxed_slice(),
            free: (0..tx).rev().collect(),
            transmitting: 0,
        };
        (
            ledger,
            (tx..tx + rx).map(|number| Frame { number }).collect(),
        )
    }

    /// Frames that can be taken for sending.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// Frames that were lent for sending and have not come back.
    pub(crate) fn transmitting(&self) -> u32 {
        self.transmitting
    }

    /// A free frame for sending.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        let number = self.free.pop()?;
        self.places[number] = Place::Hand;
        Some(Frame { number })
    }

    /// Puts a frame for sending back on the free list.
    pub(crate) fn put_back(&mut self, frame: Frame) {
        let number = self.give(frame, Place::Free);
        self.free.push(number);
    }

    /// Lends a frame for sending: its number has to go into the tx ring.
    pub(crate) fn lend_for_transmit(&mut self, frame: Frame) -> usize {
        self.transmitting += 1;
        self.give(frame, Place::Transmit)
    }

    /// Lends a frame for receiving: its number has to go into the fill ring.
    pub(crate) fn lend_for_receive(&mut self, frame: Frame) -> usize {
        self.give(frame, Place::Receive)
    }

    /// What the completion ring named. `None` if no such frame was lent for sending.
    pub(crate) fn completed(&mut self, number: usize) -> Option<Frame> {
        let frame = self.reclaim(number, Place::Transmit)?;
        self.transmitting -= 1;
        Some(frame)
    }

    /// What the rx ring named. `None` if no such frame was lent for receiving.
    pub(crate) fn received(&mut self, number: usize) -> Option<Frame> {
        self.reclaim(number, Place::Receive)
    }

    fn reclaim(&mut self, number: usize, from: Place) -> Option<Frame> {
        let place = self
            .places
            .get_mut(number)
            .filter(|place| **place == from)?;
        *place = Place::Hand;
        Some(Frame { number })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "giving a frame away ends the right to it"
    )]
    fn give(&mut self, frame: Frame, to: Place) -> usize {
        debug_assert_eq!(self.places[frame.number], Place::Hand);
        self.places[frame.number] = to;
        frame.number
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn a_frame_comes_back_once() {
        let (mut ledger, receiving) = Ledger::new(2, 1);
        let frame = ledger.take().unwrap();
        let number = ledger.lend_for_transmit(frame);
        assert_eq!(
            ledger.received(number),
            None,
            "lent for sending, not for receiving"
        );
        let frame = ledger.completed(number).unwrap();
        assert_eq!(ledger.completed(number), None, "a completion told twice");
        ledger.put_back(frame);
        assert_eq!((ledger.free(), ledger.transmitting()), (2, 0));

        for frame in receiving {
            let number = ledger.lend_for_receive(frame);
            assert_eq!(ledger.completed(number), None);
            assert!(ledger.received(number).is_some());
            assert_eq!(ledger.received(number), None, "received twice");
        }
        assert_eq!(ledger.completed(3), None, "no such frame");
    }

    /// What the ledger is to agree with: one list per place, among which frames are moved.
    #[derive(Default)]
    struct Model {
        hand: VecDeque<Frame>,
        transmit: VecDeque<usize>,
        receive: VecDeque<usize>,
    }

    proptest! {
        #[test]
        fn every_frame_is_in_one_place(
            tx_frames in 1_u32..20,
            rx_frames in 0_u32..20,
            steps in proptest::collection::vec((0_u8..7, any::<u8>()), 0..400),
        ) {
            let (mut ledger, receiving) = Ledger::new(tx_frames, rx_frames);
            let mut model = Model::default();
            model.receive.extend(receiving.into_iter().map(|frame| ledger.lend_for_receive(frame)));
            for (step, number) in steps {
                match step {
                    0 => model.hand.extend(ledger.take()),
                    1 => if let Some(frame) = model.hand.pop_front() {
                        if frame.number() < tx_frames as usize { ledger.put_back(frame) } else { model.hand.push_back(frame) }
                    },
                    2 => if let Some(frame) = model.hand.pop_front() {
                        if frame.number() < tx_frames as usize {
                            model.transmit.push_back(ledger.lend_for_transmit(frame));
                        } else {
                            model.receive.push_back(ledger.lend_for_receive(frame));
                        }
                    },
                    3 => if let Some(number) = model.transmit.pop_front() {
                        model.hand.push_back(ledger.completed(number).expect("lent and not back"));
                    },
                    4 => if let Some(number) = model.receive.pop_front() {
                        model.hand.push_back(ledger.received(number).expect("lent and not back"));
                    },
                    // A kernel that names frames at random must never get two rights to one frame.
                    5 => if let Some(frame) = ledger.completed(number.into()) {
                        let at = model.transmit.iter().position(|lent| *lent == frame.number());
                        prop_assert!(at.and_then(|at| model.transmit.remove(at)).is_some());
                        model.hand.push_back(frame);
                    },
                    _ => if let Some(frame) = ledger.received(number.into()) {
                        let at = model.receive.iter().position(|lent| *lent == frame.number());
                        prop_assert!(at.and_then(|at| model.receive.remove(at)).is_some());
                        model.hand.push_back(frame);
                    },
                }
                prop_assert_eq!(ledger.transmitting() as usize, model.transmit.len());
                let held = ledger.free() + model.hand.len() + model.transmit.len() + model.receive.len();
                prop_assert_eq!(held, (tx_frames + rx_frames) as usize);
                let mut numbers: Vec<usize> = model.hand.iter().map(Frame::number).collect();
                numbers.extend(model.transmit.iter().chain(&model.receive).chain(&ledger.free));
                numbers.sort_unstable();
                numbers.dedup();
                prop_assert_eq!(numbers.len(), held);
            }
        }
    }
}
