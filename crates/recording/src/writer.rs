//! Records in, files out.

use std::path::PathBuf;
use std::time::Duration;

use abi::record::{KIND_CLIENT, RecordHeader};

use crate::blocks::{self, Interface};
use crate::file::{Error, Growing};
use crate::mask::Mask;
use crate::names::Names;
use crate::packet;
use crate::unmark::unmark;

/// How files are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// What they are called.
    pub names: Names,
    /// Whether files that exist are replaced.
    pub replaces: bool,
    /// Bytes on the disk from which on the next file is begun.
    pub rotate_bytes: Option<u64>,
    /// Time of the records from which on the next file is begun.
    pub rotate_every: Option<Duration>,
    /// Whether well-known secrets are overwritten.
    pub masks: bool,
    /// What is kept of the packets, in words.
    pub description: String,
    /// Nanoseconds from the clock of the stamps to the wall clock.
    pub wall_offset_ns: u64,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Packets of clients.
    pub clients: u64,
    /// Packets of the online server.
    pub online: u64,
    /// Bytes of packets, without what was not kept of them.
    pub packet_bytes: u64,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// Values that were overwritten.
    pub masked: u64,
    /// The files, oldest first, as many as are remembered.
    pub files: Vec<PathBuf>,
    /// How many there are.
    pub files_written: u32,
}

/// Files whose names are remembered.
const FILES_MAX: usize = 1000;

/// Writes files.
pub struct Writer {
    options: Options,
    mask: Option<Mask>,
    interfaces: Vec<Interface>,
    file: Growing,
    /// Bytes of finished files.
    finished_bytes: u64,
    /// When the first and the last record of the file were made, where it has any.
    times: Option<(u64, u64)>,
    /// Whole blocks that were not written yet.
    pending: Vec<u8>,
    packet: Vec<u8>,
    frame: Vec<u8>,
    written: Written,
}

impl Writer {
    /// Begins the first file.
    ///
    /// # Errors
    ///
    /// Where that is not possible, because it exists for example.
    pub fn open(options: Options) -> Result<Self, Error> {
        let path = options.names.file(1);
        let mut writer = Self {
            file: Growing::create(&path, options.names.form(), options.replaces)?,
            mask: options.masks.then(Mask::default),
            options,
            interfaces: Vec::new(),
            finished_bytes: 0,
            times: None,
            pending: blocks::section("record"),
            packet: Vec::new(),
            frame: Vec::new(),
            written: Written {
                files: vec![path],
                files_written: 1,
                ..Written::default()
            },
        };
        // A disk without any room is told before anything is recorded.
        writer.write()?;
        Ok(writer)
    }

    /// The device with this number has this name.
    pub fn name(&mut self, ifindex: u32, name: String) {
        if self.interfaces.iter().any(|it| it.ifindex == ifindex) {
            return;
        }
        let interface = Interface {
            ifindex,
            name,
            received: 0,
        };
        let block = blocks::interface(&interface.name, &self.options.description);
        self.pending.extend(block);
        self.interfaces.push(interface);
    }

    /// Takes a record; the packet begins with its IP header.
    pub fn take(&mut self, header: &RecordHeader, packet: &[u8]) {
        let known = self
            .interfaces
            .iter()
            .position(|it| it.ifindex == header.ifindex);
        let number = known.unwrap_or_else(|| {
            self.name(header.ifindex, format!("if{}", header.ifindex));
            self.interfaces.len() - 1
        });
        self.interfaces[number].received += 1;
        let is_client = header.kind == KIND_CLIENT;
        self.packet.clear();
        self.packet.extend(packet);
        if is_client {
            unmark(&mut self.packet, header.gso_size != 0);
        }
        if let Some(mask) = &mut self.mask {
            mask.apply(&mut self.packet);
        }
        blocks::frame(&mut self.frame, is_client, &self.packet);
        let at_ns = header.stamp_ns.wrapping_add(self.options.wall_offset_ns);
        let wire_len = packet::wire_len(packet);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let block = blocks::packet(number, at_ns, &self.frame, wire_len, None);
        self.pending.extend(block);
        let (first, last) = self.times.unwrap_or((at_ns, at_ns));
        self.times = Some((first.min(at_ns), last.max(at_ns)));
        self.written.packet_bytes += packet.len() as u64;
        if is_client {
            self.written.clients += 1;
        } else {
            self.written.online += 1;
        }
    }

    /// Writes what was taken, and begins the next file where it is time for that. So many packets were lost since the beginning.
    ///
    /// # Errors
    ///
    /// Where the disk is full, for example. What was written before is readable then.
    pub fn flush(&mut self, lost: u64) -> Result<(), Error> {
        self.write()?;
        let is_full = self
            .options
            .rotate_bytes
            .is_some_and(|max| self.file.len() >= max);
        let is_old = self
            .options
            .rotate_every
            .zip(self.times)
            .is_some_and(|(max, (first, last))| u128::from(last - first) >= max.as_nanos());
        if (is_full || is_old) && self.times.is_some() {
            self.rotate(lost)?;
        }
        Ok(())
    }

    /// Writes what was taken, and ends the file.
    ///
    /// # Errors
    ///
    /// As [`Writer::flush`].
    pub fn finish(mut self, lost: u64) -> Result<Written, Error> {
        self.end_file(lost)?;
        self.written.file_bytes = self.finished_bytes + self.file.finish()?;
        self.written.masked = self.mask.as_ref().map_or(0, Mask::values);
        Ok(self.written)
    }

    /// What was written so far: of a recording that could not go on.
    #[must_use]
    pub fn so_far(&self) -> Written {
        Written {
            file_bytes: self.finished_bytes + self.file.len(),
            masked: self.mask.as_ref().map_or(0, Mask::values),
            ..self.written.clone()
        }
    }

    fn rotate(&mut self, lost: u64) -> Result<(), Error> {
        self.end_file(lost)?;
        let number = self.written.files_written + 1;
        let path = self.options.names.file(number);
        let form = self.options.names.form();
        let next = Growing::create(&path, form, self.options.replaces)?;
        let before = std::mem::replace(&mut self.file, next);
        self.finished_bytes += before.finish()?;
        self.written.files_written = number;
        if self.written.files.len() < FILES_MAX {
            self.written.files.push(path);
        }
        self.times = None;
        self.pending.extend(blocks::section("record"));
        for interface in &self.interfaces {
            let block = blocks::interface(&interface.name, &self.options.description);
            self.pending.extend(block);
        }
        self.write()
    }

    /// The statistics of each device, as they are now. What was lost, nobody knows on which: the first one has it.
    fn end_file(&mut self, lost: u64) -> Result<(), Error> {
        let at_ns = self.times.map_or(0, |(_, last)| last);
        let mut lost = Some(lost);
        for (number, interface) in (0..).zip(&self.interfaces) {
            let lost = lost.take().unwrap_or(0);
            let block = blocks::statistics(number, at_ns, interface.received + lost, lost);
            self.pending.extend(block);
        }
        self.write()
    }

    fn write(&mut self) -> Result<(), Error> {
        let written = self.file.write(&self.pending);
        self.pending.clear();
        written
    }
}

#[cfg(test)]
mod tests;
