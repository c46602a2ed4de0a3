//! The ways in which XDP can take packets, as the command line names them.

use clap::ValueEnum;

/// How XDP takes packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum XdpMode {
    /// The best that works.
    Auto,
    /// The driver writes into our memory.
    ZeroCopy,
    /// The driver runs the program, the kernel copies.
    Copy,
    /// The network stack runs the program: works everywhere, slowest.
    Generic,
}

impl XdpMode {
    /// As it stands on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
            Self::Generic => "generic",
        }
    }
}
