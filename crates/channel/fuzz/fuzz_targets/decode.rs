//! Both ends of the channel against anything. The first byte chooses the chunk length.
#![no_main]

use std::time::Instant;

use channel::{InterceptEnd, TcpcopyEnd, TcpcopyEvent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((chunk, stream)) = data.split_first() else { return };
    let chunk = usize::from(*chunk) + 1;
    let (now, mut out) = (Instant::now(), Vec::new());
    let mut intercept = InterceptEnd::new(now, &mut out);
    'intercept: for part in stream.chunks(chunk) {
        intercept.space()[..part.len()].copy_from_slice(part);
        intercept.filled(now, part.len());
        loop {
            match intercept.next_event() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => break 'intercept,
            }
        }
    }
    let mut tcpcopy = TcpcopyEnd::new(Vec::new(), now, &mut out);
    for part in stream.chunks(chunk) {
        tcpcopy.space()[..part.len()].copy_from_slice(part);
        tcpcopy.filled(now, part.len());
        loop {
            match tcpcopy.next_event(&mut out) {
                Ok(Some(TcpcopyEvent::Reports(reports))) => assert_eq!(reports.iter().count(), reports.len()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
