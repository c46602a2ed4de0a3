//! Both ends of the channel against anything. The first byte chooses how the stream is cut into reads, and whether it
//! comes behind a hello that is right.

use std::time::Instant;

use channel::decoder::BUFFER_LEN;
use channel::{Error, InterceptEnd, TcpcopyEnd, TcpcopyEvent};

/// In the first byte: behind a hello.
const GREETED: u8 = 0x80;

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
    let mut tcpcopy = TcpcopyEnd::new(Vec::new(), 0, now, &mut ours);
    let mut intercept = InterceptEnd::new(now, &mut theirs);
    if shape & GREETED == 0 {
        (ours, theirs) = (Vec::new(), Vec::new());
    }
    ours.extend_from_slice(stream);
    theirs.extend_from_slice(stream);
    let chunk = usize::from(shape & !GREETED) * 3 + 1;
    // An error ends a connection.
    let _: Result<(), Error> = ours
        .chunks(chunk)
        .try_for_each(|part| intercept_hears(&mut intercept, now, part));
    let _: Result<(), Error> = theirs
        .chunks(chunk)
        .try_for_each(|part| tcpcopy_hears(&mut tcpcopy, now, part));
}

fn intercept_hears(end: &mut InterceptEnd, now: Instant, part: &[u8]) -> Result<(), Error> {
    let len = fill(end.space(), part);
    end.filled(now, len);
    while end.next_event()?.is_some() {}
    Ok(())
}

fn tcpcopy_hears(end: &mut TcpcopyEnd, now: Instant, part: &[u8]) -> Result<(), Error> {
    let len = fill(end.space(), part);
    end.filled(now, len);
    let mut out = Vec::new();
    while let Some(event) = end.next_event(&mut out)? {
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
