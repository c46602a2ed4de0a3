//! What a process of ours owes to the host that it runs on, whatever it does there: both binaries begin with it.
//!
//! | module | holds |
//! |---|---|
//! | [`printer`] | lines for whoever watches, written by a thread that may hang without holding anybody |
//! | [`log`] | the log on standard error, through a printer |
//! | [`signals`] | the signals that end a run, in order |
//! | [`rights`] | capabilities of the calling thread: what it does not need it gives up |
//! | [`confinement`] | threads that hear strangers: no capability, no file, and few system calls |
//! | [`dumps`] | no memory of ours on a disk: it holds what clients sent |
//! | [`limits`] | limits of the process: raised where that is allowed, else named |
//! | [`priority`] | who waits where processors or memory run short |
//! | [`processor`] | the processors that threads are pinned to |
//! | [`waker`] | waking a thread that sleeps |
//!
//! **Architecture invariant:** nothing here changes anything outside of this process.
#![forbid(unsafe_code)]

pub mod confinement;
pub mod dumps;
pub mod limits;
pub mod log;
pub mod printer;
pub mod priority;
pub mod processor;
pub mod rights;
pub mod signals;
pub mod waker;

pub use printer::Printer;
pub use processor::Processor;
pub use waker::Waker;
