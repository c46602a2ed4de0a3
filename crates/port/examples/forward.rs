//! What the engine adds to bare AF_XDP transmit: requests that lie in memory leave a port as they are, and as the engine's copies
//! of them, in turns of a quarter of a second on the same device. Run as root, on an idle machine:
//! `cargo run --release -p port --example forward [SESSIONS] [FRAMES_PER_KICK]`
//!
//! The engine is given everything that a turn of keep-alive connections has: the client's request, the headers of the online
//! server's response, and those of the target's, which the next request acknowledges. So each turn is one frame.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

#[path = "../../session/benches/load/mod.rs"]
#[expect(dead_code, reason = "the engine's own benches use all of it")]
mod load;

use std::process::Command;
use std::time::{Duration, Instant};

use load::{AT_ONCE, Load, Peer};
use nix::sched::{CloneFlags, unshare};
use port::{Config, Mode, Port};

const TX_FRAMES: u32 = 2048;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(250);
/// Ethernet, IP and TCP headers, and the request.
const FRAME_LEN: usize = 14 + 20 + 20 + load::REQUEST_LEN as usize;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u32>().unwrap());
    let sessions = arguments.next().unwrap_or(1_000);
    let per_kick = arguments.next().unwrap_or(64) as usize;
    let mut port = open();
    let mut load = Load::new(sessions, AT_ONCE);
    let mut peers = load.establish(sessions);
    let mut next = 0;
    let (mut bare, mut copied) = (Vec::new(), Vec::new());
    let template = load.frame.clone();
    for _ in 0..ROUNDS {
        bare.push(round(&mut port, per_kick, |frame| {
            frame.copy_from_slice(&template[..frame.len()]);
        }));
        copied.push(round(&mut port, per_kick, |frame| {
            copy(&mut load, &mut peers, &mut next, frame);
        }));
    }
    assert!(load.answered > 0, "nothing was copied");
    let (bare, copied) = (median(bare), median(copied));
    println!("{sessions} sessions, {per_kick} frames per kick, medians of {ROUNDS} rounds");
    println!("bare        {bare:>10.0} frames per second");
    println!(
        "copied      {copied:>10.0} frames per second, {:.2} of bare",
        copied / bare
    );
}

/// A port on a veth pair in a network namespace of its own.
fn open() -> Port {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link add a0 type veth peer name b0");
    ip("link set a0 up");
    ip("link set b0 up");
    Port::open(&Config {
        interface: "a0".into(),
        queue: 0,
        tx_frames: TX_FRAMES,
        rx_frames: 0,
        frame_len: 2048,
        mode: Mode::Copy,
    })
    .unwrap()
}

/// Frames per second that leave.
fn round(port: &mut Port, per_kick: usize, mut write: impl FnMut(&mut [u8])) -> f64 {
    let before = port.statistics().unwrap().completed;
    let start = Instant::now();
    while start.elapsed() < ROUND {
        port.transmit_with(per_kick, |buffer| {
            write(&mut buffer[..FRAME_LEN]);
            // To everybody, of a type (IEEE 802 local experimental) that the other end's stack drops at once.
            buffer[..12].fill(0xff);
            buffer[12..14].copy_from_slice(&[0x88, 0xb5]);
            Some(FRAME_LEN)
        });
        port.kick().unwrap();
        port.reap();
    }
    let elapsed = start.elapsed();
    (port.statistics().unwrap().completed - before) as f64 / elapsed.as_secs_f64()
}

/// One turn of the next session; its request goes into `frame`.
fn copy(load: &mut Load, peers: &mut [Peer], next: &mut usize, frame: &mut [u8]) {
    load.turn(&mut peers[*next]);
    *next = (*next + 1) % peers.len();
    frame.copy_from_slice(&load.frame[..frame.len()]);
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn ip(arguments: &str) {
    assert!(
        Command::new("ip")
            .args(arguments.split(' '))
            .status()
            .unwrap()
            .success(),
        "ip {arguments}"
    );
}
