//! The program of `intercept`: see [`sink`].
//!
//! **Architecture invariant:** what is not a target's reply to somebody else passes.
#![no_std]
#![no_main]

mod sink;

/// Kept in step with the programs of `tcpcopy`.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a loop without an end, so a program that could get here does not load.
    loop {}
}
