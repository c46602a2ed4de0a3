//! Both ends of the channel against anything. The first byte chooses how the stream is cut into reads, whether it comes behind a hello
//! that is right, and whether both have a key; then it comes behind a proof that is right, sealed.

use std::time::Instant;

use channel::decoder::BUFFER_LEN;
use channel::{Error, Hello, InterceptEnd, Keys, Role, Sealer, TcpcopyEnd, TcpcopyEvent};
use wire::flow::{Addr, Endpoint};

/// In the first byte: behind a hello.
const GREETED: u8 = 0x80;
/// In the first byte: both have a key.
const KEYED: u8 = 0x40;

/// Feeds one input to both ends.
///
/// # Panics
///
/// Where an end panics, or has no space although it was drained.
pub fn run(data: &[u8]) {
    let Some((shape, stream)) = data.split_first() else {
        return;
    };
    let (now, mut ours, mut theirs) = (Instant::now(), Vec::new(), Vec::new());
    let keys = (shape & KEYED != 0).then(keys);
    let key = keys.as_ref().map(|keys| keys.of_attempt(0));
    let targets = vec![Endpoint::new(Addr::v4([192, 0, 2, 1]), 80)];
    let mut tcpcopy = TcpcopyEnd::new(targets, 0, key, now, &mut ours);
    let mut intercept = InterceptEnd::new(keys, now);
    match (shape & GREETED != 0, shape & KEYED != 0) {
        (false, _) => {
            ours.clear();
            ours.extend_from_slice(stream);
            theirs.extend_from_slice(stream);
        }
        // Each hears a hello, and the subscription is the input's.
        (true, false) => {
            Hello::new(Role::Intercept, false).encode(&mut theirs);
            ours.extend_from_slice(stream);
            theirs.extend_from_slice(stream);
        }
        (true, true) => {
            let mut sealer = prove(&mut tcpcopy, &mut intercept, now, &mut ours);
            tcpcopy.say(&mut ours, |frames| frames.extend_from_slice(stream));
            sealer.seal(stream, &mut theirs);
        }
    }
    let chunk = usize::from(shape & !(GREETED | KEYED)) * 3 + 1;
    // An error ends a connection.
    let _: Result<(), Error> = ours
        .chunks(chunk)
        .try_for_each(|part| intercept_hears(&mut intercept, now, part, &mut Vec::new()));
    let _: Result<(), Error> = theirs
        .chunks(chunk)
        .try_for_each(|part| tcpcopy_hears(&mut tcpcopy, now, part, &mut Vec::new()));
}

fn keys() -> Keys {
    Keys::parse(&format!("{}=", "A".repeat(43))).expect("a key of zeros")
}

/// Carries what both say until each has proven its key; what `tcpcopy` says then is left in `ours`.
fn prove(
    tcpcopy: &mut TcpcopyEnd,
    intercept: &mut InterceptEnd,
    now: Instant,
    ours: &mut Vec<u8>,
) -> Sealer {
    for _ in 0..2 {
        let (said, mut answer) = (core::mem::take(ours), Vec::new());
        intercept_hears(intercept, now, &said, &mut answer).expect("it is a hello, or a proof");
        tcpcopy_hears(tcpcopy, now, &answer, ours).expect("it is the answer to it");
    }
    intercept.take_sealer().expect("it is proven")
}

fn intercept_hears(
    end: &mut InterceptEnd,
    now: Instant,
    part: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let len = fill(end.space(), part);
    end.filled(now, len);
    end.greet(out)?;
    while end.next_event()?.is_some() {}
    Ok(())
}

fn tcpcopy_hears(
    end: &mut TcpcopyEnd,
    now: Instant,
    part: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let len = fill(end.space(), part);
    end.filled(now, len);
    while let Some(event) = end.next_event(out)? {
        if let TcpcopyEvent::Reports(reports) = event {
            assert_eq!(reports.iter().count(), reports.len());
        }
    }
    Ok(())
}

fn fill(space: &mut [u8], part: &[u8]) -> usize {
    assert!(space.len() <= BUFFER_LEN);
    assert!(
        space.len() >= part.len(),
        "a drained end has space for a read"
    );
    space[..part.len()].copy_from_slice(part);
    part.len()
}
