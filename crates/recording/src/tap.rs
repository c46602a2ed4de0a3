//! What a run has sent and received, in one file.
//!
//! Packets come in batches of several workers, and a reply is taken later than it came. So they are held for a moment and put in the
//! order of their stamps: a reader that follows connections would otherwise find answers before their questions.
//!
//! **Bounded:** [`HELD_MAX`] bytes are held. Where more come within [`HOLD_BACK_NS`], their older half is written before its time.
//!
//! | module | holds |
//! |---|---|
//! | [`held`] | what waits, and its order |

mod held;

use crate::blocks::{self, Direction, ETHERNET_LEN};
use crate::file::{Error, Growing};
use crate::names::{Form, Names};
use crate::packet::{complete_sum, wire_len};
use held::{Held, Packet};

/// How long a packet is held, measured by the stamps: longer than a worker keeps a batch that is not full.
const HOLD_BACK_NS: u64 = 150_000_000;
/// Most bytes that are held.
const HELD_MAX: usize = 8 << 20;
/// What is kept, as the file says it of each device.
const DESCRIPTION: &str = "what was sent, whole; what was received, as headers; made-up Ethernet addresses: 02:00:00:00:00:01 are copies, \
                           02:00:00:00:00:02 is the target";

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tapped {
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that were received.
    pub received: u64,
    /// Bytes of both, without what was not kept of them.
    pub packet_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

impl Tapped {
    fn count(&mut self, direction: Direction, len: usize) {
        self.packet_bytes += len as u64;
        match direction {
            Direction::Sent => self.sent += 1,
            Direction::Received => self.received += 1,
        }
    }

    /// Packets of both directions.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.sent + self.received
    }
}

/// A device that packets went by.
struct Device {
    name: String,
    seen: u64,
    dropped: u64,
}

/// Writes the file.
pub struct Tap {
    file: Growing,
    /// Nanoseconds from the clock of the stamps to the wall clock.
    wall_offset_ns: u64,
    devices: Vec<Device>,
    held: Held,
    /// Whole blocks that were not written yet.
    pending: Vec<u8>,
    frame: Vec<u8>,
    /// The youngest stamp.
    newest_ns: u64,
    taken: u64,
    tapped: Tapped,
    /// Whether nothing is kept.
    is_nowhere: bool,
}

impl Tap {
    /// Begins the file.
    ///
    /// # Errors
    ///
    /// Where that is not possible, because it exists for example.
    pub fn open(names: &Names, replaces: bool, wall_offset_ns: u64) -> Result<Self, Error> {
        let mut tap = Self {
            file: Growing::create(&names.file(1), names.form(), replaces)?,
            wall_offset_ns,
            devices: Vec::new(),
            held: Held::default(),
            pending: blocks::section("--tap"),
            frame: Vec::new(),
            newest_ns: 0,
            taken: 0,
            tapped: Tapped::default(),
            is_nowhere: names.form() == Form::Nowhere,
        };
        tap.write()?;
        Ok(tap)
    }

    /// The number of the device with this name.
    pub fn device(&mut self, name: &str) -> u32 {
        let known = self.devices.iter().position(|device| device.name == name);
        let number = known.unwrap_or_else(|| {
            self.pending.extend(blocks::interface(name, DESCRIPTION));
            self.devices.push(Device {
                name: name.to_owned(),
                seen: 0,
                dropped: 0,
            });
            self.devices.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Takes a packet that went by this device. It begins with its IP header; what is missing at its end was not kept.
    pub fn take(&mut self, device: u32, direction: Direction, stamp_ns: u64, packet: &[u8]) {
        if let Some(device) = self.devices.get_mut(device as usize) {
            device.seen += 1;
        }
        self.newest_ns = self.newest_ns.max(stamp_ns);
        self.taken += 1;
        if self.is_nowhere {
            self.tapped.count(direction, packet.len());
            return;
        }
        self.held.take(stamp_ns, device, direction, packet);
    }

    /// So many packets that went by this device are not in the file.
    pub fn dropped(&mut self, device: u32, packets: u64) {
        if let Some(device) = self.devices.get_mut(device as usize) {
            device.dropped += packets;
        }
    }

    /// Writes what nothing older can come before.
    ///
    /// # Errors
    ///
    /// Where the disk is full, for example. What was written before is readable then.
    pub fn flush(&mut self) -> Result<(), Error> {
        let mut up_to_ns = self.newest_ns.saturating_sub(HOLD_BACK_NS);
        if self.is_full() {
            // What stays is moved, so it is to be less than what goes.
            up_to_ns = up_to_ns.max(self.held.median_ns());
        }
        self.write_up_to(up_to_ns)
    }

    /// Writes everything that is held, where nothing more comes for now.
    ///
    /// # Errors
    ///
    /// As [`Tap::flush`].
    pub fn settle(&mut self) -> Result<(), Error> {
        self.write_up_to(u64::MAX)
    }

    /// Whether so much is held that it should be looked at.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.held.bytes() > HELD_MAX
    }

    /// Writes what is held, and ends the file.
    ///
    /// # Errors
    ///
    /// As [`Tap::flush`].
    pub fn finish(&mut self) -> Result<(), Error> {
        self.settle()?;
        let at_ns = self.newest_ns.wrapping_add(self.wall_offset_ns);
        for (number, device) in (0..).zip(&self.devices) {
            let all = device.seen + device.dropped;
            let block = blocks::statistics(number, at_ns, all, device.dropped);
            self.pending.extend(block);
        }
        self.write()?;
        self.file.end()
    }

    /// What was written so far.
    #[must_use]
    pub const fn so_far(&self) -> Tapped {
        Tapped {
            file_bytes: self.file.len(),
            ..self.tapped
        }
    }

    /// Packets that were taken and are not in the file, or not yet.
    #[must_use]
    pub const fn unwritten(&self) -> u64 {
        self.taken - self.tapped.packets()
    }

    fn write_up_to(&mut self, up_to_ns: u64) -> Result<(), Error> {
        let mut tapped = self.tapped;
        let Self {
            held,
            frame,
            pending,
            wall_offset_ns,
            ..
        } = self;
        held.release(up_to_ns, |packet, bytes| {
            put(pending, frame, &packet, bytes, *wall_offset_ns);
            tapped.count(packet.direction, bytes.len());
        });
        self.write()?;
        self.tapped = tapped;
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write(&self.pending);
        self.pending.clear();
        written
    }
}

/// Appends the block of a packet.
fn put(
    pending: &mut Vec<u8>,
    frame: &mut Vec<u8>,
    packet: &Packet,
    bytes: &[u8],
    wall_offset_ns: u64,
) {
    let is_copy = packet.direction == Direction::Sent;
    blocks::frame(frame, is_copy, bytes);
    // What the engine sends has its sum.
    if !is_copy && let Some((_, packet)) = frame.split_at_mut_checked(ETHERNET_LEN) {
        complete_sum(packet);
    }
    let at_ns = packet.stamp_ns.wrapping_add(wall_offset_ns);
    let wire_len = wire_len(bytes);
    let direction = Some(packet.direction);
    pending.extend(blocks::packet(
        packet.device,
        at_ns,
        frame,
        wire_len,
        direction,
    ));
}

#[cfg(test)]
mod tests;
