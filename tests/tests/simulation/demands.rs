//! What is asked of the engine and not held by it yet. Each demand is checked everywhere as if it were held; only
//! [`is_held`] says which of them count in an ordinary run.
//!
//! `SIM_DEMAND=in-step,joining` switches demands on by name, `SIM_DEMAND=all` all of them.

use std::sync::OnceLock;

/// A demand on the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// A turn departs soon after its capture and after what the target had still to answer, also where the target's responses are
    /// of another length than the online server's (FIELD S1).
    InStep,
    /// The same for flows in which either side speaks unasked (FIELD S2, S3, S6).
    DuplexInStep,
    /// Nothing is sent of a flow that was open before, or has lost its session, where its next turn needs what came before
    /// (FIELD T1, T2, T6).
    Joining,
    /// A flow that was silent for longer than the idle timeout is taken up again at its next turn (FIELD T4).
    TakenUpAgain,
    /// Every byte of a client that was recorded is in a turn of the ledger or counted as left out (FIELD T10).
    EveryByte,
    /// What is compared of a turn answers the same request on both servers (FIELD S4, S5, T17).
    Paired,
    /// Once all faults are over, every new turn is answered, and soon.
    Calm,
}

/// What the engine does not hold yet, by name.
const NOT_YET: &[Demand] = &[Demand::Paired];

impl Demand {
    const fn name(self) -> &'static str {
        match self {
            Self::InStep => "in-step",
            Self::DuplexInStep => "duplex-in-step",
            Self::Joining => "joining",
            Self::TakenUpAgain => "taken-up-again",
            Self::EveryByte => "every-byte",
            Self::Paired => "paired",
            Self::Calm => "calm",
        }
    }

    /// Whether a run fails where the engine does not do as is demanded.
    pub(crate) fn is_held(self) -> bool {
        static ASKED: OnceLock<String> = OnceLock::new();
        let asked = ASKED.get_or_init(|| std::env::var("SIM_DEMAND").unwrap_or_default());
        let mut names = asked.split(',');
        !NOT_YET.contains(&self) || names.any(|name| name == "all" || name == self.name())
    }
}
