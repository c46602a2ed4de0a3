//! How many frames per second a port sends through a veth pair, and what a frame costs. Run as root, on an idle machine:
//! `cargo run --release -p port --example rate [FRAME_BYTES] [FRAMES_PER_KICK]`
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::time::{ClockId, clock_gettime};
use port::{Config, Mode, Port};

const TX_FRAMES: u32 = 2048;
const ROUND: Duration = Duration::from_secs(2);

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<usize>().unwrap());
    let len = arguments.next().unwrap_or(200);
    let per_kick = arguments.next().unwrap_or(64);
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link add a0 type veth peer name b0");
    ip("link set a0 up");
    ip("link set b0 up");
    let mut port = Port::open(&Config {
        interface: "a0".into(),
        queue: 0,
        tx_frames: TX_FRAMES,
        rx_frames: 0,
        frame_len: 2048,
        mode: Mode::Copy,
    })
    .unwrap();
    println!(
        "{len} bytes per frame, {per_kick} frames per kick, huge pages: {}",
        port.huge_pages()
    );
    for _ in 0..3 {
        round(&mut port, len, per_kick);
    }
    let (queue_only, frames) = without_kick(&mut port, len);
    println!(
        "of that in the port itself (write, queue; no kick): {:.0} ns per frame",
        queue_only.as_nanos() as f64 / frames as f64
    );
}

fn round(port: &mut Port, len: usize, per_kick: usize) {
    let before = port.statistics().unwrap();
    let (start, cpu) = (Instant::now(), thread_cpu());
    while start.elapsed() < ROUND {
        port.transmit_with(per_kick, |buffer| write(buffer, len));
        port.kick().unwrap();
        port.reap();
    }
    let (elapsed, cpu) = (start.elapsed(), thread_cpu() - cpu);
    let after = port.statistics().unwrap();
    let frames = (after.queued - before.queued) as f64;
    println!(
        "{:.0} frames/s, {:.0} ns of this thread's CPU per frame, {:.1} frames per system call, {} dropped, {} kicks for later",
        frames / elapsed.as_secs_f64(),
        cpu.as_nanos() as f64 / frames,
        frames / (after.kicks - before.kicks) as f64,
        after.tx_dropped - before.tx_dropped,
        after.kicks_again - before.kicks_again,
    );
}

fn without_kick(port: &mut Port, len: usize) -> (Duration, usize) {
    let (mut spent, mut frames) = (Duration::ZERO, 0);
    for _ in 0..200 {
        let start = Instant::now();
        frames += port.transmit_with(usize::MAX, |buffer| write(buffer, len));
        spent += start.elapsed();
        while port.tx_in_flight() > 0 {
            port.kick().unwrap();
            port.reap();
        }
    }
    (spent, frames)
}

#[expect(clippy::unnecessary_wraps, reason = "what transmit_with takes")]
fn write(buffer: &mut [u8], len: usize) -> Option<usize> {
    // To everybody, of a type (IEEE 802 local experimental) that the other end's stack drops at once.
    buffer[..12].fill(0xff);
    buffer[12..14].copy_from_slice(&[0x88, 0xb5]);
    buffer[14..len].fill(0x5a);
    Some(len)
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
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
