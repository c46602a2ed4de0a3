//! When packets passed a device, by the kernel's own stamps: how long it took from a target's reply to the next request of
//! the same session, measured from outside.
//!
//! `tcpdump` writes them to a file. It sees a reply before the programs on the device do, and a request after them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::{Error, Result, Tried};
use crate::net::{Host, Lab};
use crate::process::{Process, Spec};

/// Bytes of each packet that are kept: Ethernet, IPv4 and TCP with all options.
const KEPT: &str = "134";
/// Length of a packet's header in the file, in bytes.
const RECORD_LEN: usize = 16;
/// How the file begins where its stamps are nanoseconds and its numbers as on this machine.
const MAGIC: u32 = 0xa1b2_3c4d;

/// A running `tcpdump`.
#[derive(Debug)]
pub struct Stamps {
    process: Process,
    file: PathBuf,
    port: u16,
}

impl Stamps {
    /// Begins to stamp what passes an interface from and to this port of a target.
    ///
    /// # Errors
    ///
    /// Where `tcpdump` does not start.
    pub fn start(lab: &Lab, host: Host, interface: &str, port: u16) -> Result<Self> {
        let file = lab.folder().join(format!("stamps-{interface}.pcap"));
        let path = file.display().to_string();
        let filter = format!("tcp port {port}");
        let spec =
            Spec::new("tcpdump", "tcpdump").args(["-i", interface, "-s", KEPT, "-Z", "root"]);
        let spec = spec.args(["-B", "65536", "--nano", "-w", &path, &filter]);
        let mut process = lab.spawn(host, &spec)?;
        process.wait_for("listening on", Duration::from_secs(5))?;
        Ok(Self {
            process,
            file,
            port,
        })
    }

    /// Ends it and returns the times from replies to the next requests, the shortest first.
    ///
    /// # Errors
    ///
    /// Where `tcpdump` does not end, or what it left makes no sense.
    pub fn finish(mut self) -> Result<Vec<Duration>> {
        self.process.stop(Signal::SIGINT, Duration::from_secs(10))?;
        let mut times = reactions(&self.file, self.port)?;
        times.sort_unstable();
        Ok(times)
    }
}

/// One TCP segment with payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    source: u16,
    destination: u16,
}

fn reactions(file: &Path, port: u16) -> Result<Vec<Duration>> {
    let reading = || format!("read {}", file.display());
    let mut input = BufReader::new(File::open(file).tried(reading)?);
    let mut header = [0; 24];
    input.read_exact(&mut header).tried(reading)?;
    if number(&header, 0) != Some(MAGIC) {
        return Err(Error::Parse {
            what: file.display().to_string(),
            why: "no capture with nanoseconds".to_owned(),
        });
    }
    let mut replied: HashMap<u16, Duration> = HashMap::new();
    let mut times = Vec::new();
    let mut record = [0; RECORD_LEN];
    // What was cut off at the end is left out.
    while input.read_exact(&mut record).is_ok() {
        let field = |at| number(&record, at).unwrap_or_default();
        let at = Duration::new(field(0).into(), field(4));
        let mut packet = vec![0; field(8) as usize];
        if input.read_exact(&mut packet).is_err() {
            break;
        }
        match parse(&packet) {
            Some(seen) if seen.source == port => {
                replied.insert(seen.destination, at);
            }
            Some(seen) => {
                if let Some(replied) = replied.remove(&seen.source) {
                    times.push(at.saturating_sub(replied));
                }
            }
            None => {}
        }
    }
    Ok(times)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}

/// A segment of IPv4 behind an Ethernet header, if it has payload.
fn parse(packet: &[u8]) -> Option<Seen> {
    let short = |at: usize| {
        let bytes = packet.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    };
    if short(12)? != 0x0800 {
        return None;
    }
    let tcp = 14 + usize::from(packet.get(14)? & 15) * 4;
    let headers = tcp - 14 + usize::from(packet.get(tcp + 12)? >> 4) * 4;
    (usize::from(short(16)?) > headers).then_some(Seen {
        source: short(tcp)?,
        destination: short(tcp + 2)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAGIC, reactions};

    /// A frame with a segment of so many bytes of payload, which are cut off.
    fn frame(source: u16, destination: u16, payload: u16) -> Vec<u8> {
        let mut frame = vec![0; 54];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&(40 + payload).to_be_bytes());
        frame[34..36].copy_from_slice(&source.to_be_bytes());
        frame[36..38].copy_from_slice(&destination.to_be_bytes());
        frame[46] = 5 << 4;
        frame
    }

    #[test]
    fn a_reply_and_the_next_request_of_its_session_make_a_time() {
        let mut capture = MAGIC.to_ne_bytes().to_vec();
        capture.extend([0; 20]);
        for (nanos, frame) in [
            (100_u32, frame(8080, 1000, 600)),
            (200, frame(8080, 2000, 600)),
            (300, frame(1000, 8080, 0)),
            (400, frame(1000, 8080, 50)),
            (450, frame(1000, 8080, 50)),
            (500, frame(2000, 8080, 50)),
        ] {
            for field in [7, nanos, 54, 54] {
                capture.extend(field.to_ne_bytes());
            }
            capture.extend(frame);
        }
        capture.extend([0; 5]);
        let file = std::env::temp_dir().join(format!("tcpcopy-stamps-{}", std::process::id()));
        std::fs::write(&file, capture).expect("a file");
        let times = reactions(&file, 8080).expect("times");
        assert_eq!(times, [300, 300].map(Duration::from_nanos));
        std::fs::remove_file(&file).expect("the file");
    }
}
