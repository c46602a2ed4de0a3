//! Capabilities of the calling thread: what it does not need it gives up.
//!
//! On Linux capabilities belong to a thread, and a thread begins with those of the thread that starts it. So each thread of ours
//! begins with a word of what it keeps; docs/privileges.md has the list. What is kept is never more than what was there.
//!
//! **Invariant:** nothing here gives a right to anybody.

use caps::errors::CapsError;
use caps::{CapSet, CapsHashSet};
use rustix::thread::set_no_new_privs;

pub use caps::Capability;

/// What is opened or changed while a process of ours sets up, besides what its user may do anyway: links, routes and hooks
/// (NET_ADMIN), sockets of AF_XDP (NET_RAW), programs and maps (BPF, PERFMON; SYS_ADMIN where the kernel knows neither), locked
/// memory and limits (IPC_LOCK, SYS_RESOURCE), other network namespaces (SYS_ADMIN, SYS_PTRACE), files of other users
/// (DAC_OVERRIDE), ports below 1024 (NET_BIND_SERVICE), and to make the bounding set smaller (SETPCAP).
pub const SET_UP: &[Capability] = &[
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_IPC_LOCK,
    Capability::CAP_SYS_RESOURCE,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SETPCAP,
];
/// What the thread keeps that attaches programs again while a run goes on: hooks of devices that come anew, maps, and at the end
/// what is removed. Programs are loaded before, and take what loading takes.
pub const ATTACH: &[Capability] = &[Capability::CAP_NET_ADMIN, Capability::CAP_BPF];
/// The same of a run that measures its programs (BPF_ENABLE_STATS), or goes in and out of another network namespace.
const ATTACH_AND_SYS_ADMIN: &[Capability] = &[
    Capability::CAP_NET_ADMIN,
    Capability::CAP_BPF,
    Capability::CAP_SYS_ADMIN,
];
/// What the thread that has set everything up keeps while a run goes on.
#[must_use]
pub const fn of_run(is_measured: bool, goes_elsewhere: bool) -> &'static [Capability] {
    if is_measured || goes_elsewhere {
        ATTACH_AND_SYS_ADMIN
    } else {
        ATTACH
    }
}

/// What a thread keeps that reads or writes maps and nothing else. Linux before 5.19 asks for it where
/// `kernel.unprivileged_bpf_disabled` is set.
pub const MAPS: &[Capability] = &[Capability::CAP_BPF];
/// What a thread keeps that removes hooks and devices.
pub const REMOVE: &[Capability] = &[Capability::CAP_NET_ADMIN];
/// What a thread keeps that writes files: root's run writes into the folders of others.
pub const FILES: &[Capability] = &[Capability::CAP_DAC_OVERRIDE];
/// What most threads keep.
pub const NOTHING: &[Capability] = &[];

/// The thread keeps rights that it does not need, because the kernel, or a filter of somebody else's, does not let it give them up.
#[derive(Debug, thiserror::Error)]
#[error("a thread keeps capabilities that it does not need: {0}")]
pub struct Kept(#[from] CapsError);

/// From now on no program that this thread, or one that it starts, executes has more rights than they have: set-uid and file
/// capabilities do nothing. To be called before there is another thread.
///
/// Fails on no kernel since Linux 3.5, and nothing rests on it that is not asked for again.
pub fn never_more() {
    let _ = set_no_new_privs(true);
}

/// Gives up every capability of the calling thread but these, in all five sets; threads that it starts begin with what is left.
/// Which of them it has depends on the user and the unit: what was not there is not added.
///
/// The bounding set is made smaller where the thread may do that (CAP_SETPCAP, which root has). Where it may not, it says
/// nothing anyway after [`never_more`].
///
/// # Errors
///
/// [`Kept`]; what could be given up is then.
pub fn keep(kept: &[Capability]) -> Result<(), Kept> {
    let mut kept: CapsHashSet = kept.iter().copied().collect();
    // What stands in for it where somebody gives that (and what there was before Linux 5.8).
    let bpf = Capability::CAP_BPF;
    if kept.contains(&bpf) && !caps::has_cap(None, CapSet::Permitted, bpf)? {
        kept.insert(Capability::CAP_SYS_ADMIN);
    }
    caps::clear(None, CapSet::Ambient)?;
    bounds(&kept)?;
    let of = |set| caps::read(None, set);
    let permitted = &of(CapSet::Permitted)? & &kept;
    let effective = &of(CapSet::Effective)? & &permitted;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &effective)?;
    caps::set(None, CapSet::Permitted, &permitted)?;
    Ok(())
}

/// Makes the bounding set smaller, if it may be.
fn bounds(kept: &CapsHashSet) -> Result<(), CapsError> {
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        return Ok(());
    }
    for capability in caps::read(None, CapSet::Bounding)?.difference(kept) {
        caps::drop(None, CapSet::Bounding, *capability)?;
    }
    Ok(())
}

/// [`keep`] at the beginning of a thread, or where a phase of a run ends: what goes wrong is logged, and the thread goes on.
pub fn keep_only(kept: &[Capability]) {
    if let Err(error) = keep(kept) {
        tracing::warn!(finding = "rights-kept", "{error}");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use caps::{CapSet, Capability};

    use super::{FILES, NOTHING, SET_UP, keep, never_more};

    fn sets() -> Vec<caps::CapsHashSet> {
        let all = [
            CapSet::Permitted,
            CapSet::Effective,
            CapSet::Inheritable,
            CapSet::Ambient,
        ];
        all.map(|set| caps::read(None, set).unwrap()).to_vec()
    }

    #[test]
    fn a_thread_keeps_what_it_says_and_its_maker_keeps_all() {
        let before = sets();
        let had = |capability| before[0].contains(&capability);
        let (left, of_child, bounding) = thread::spawn(|| {
            never_more();
            keep(FILES).unwrap();
            let child = thread::spawn(|| {
                // What is gone does not come back by asking.
                keep(SET_UP).unwrap();
                sets()
            });
            (
                sets(),
                child.join().unwrap(),
                caps::read(None, CapSet::Bounding).unwrap(),
            )
        })
        .join()
        .unwrap();
        let expected: caps::CapsHashSet = FILES.iter().copied().filter(|it| had(*it)).collect();
        assert_eq!(left[0], expected);
        assert_eq!(of_child[0], expected);
        assert!(left[1].is_subset(&expected));
        assert!(left[2].is_empty() && left[3].is_empty());
        if had(Capability::CAP_SETPCAP) {
            assert!(bounding.iter().all(|it| FILES.contains(it)), "{bounding:?}");
        }
        assert_eq!(sets(), before);
        let nothing = thread::spawn(|| keep(NOTHING).map(|()| sets()));
        let nothing = nothing.join().unwrap().unwrap();
        assert!(nothing.iter().all(caps::CapsHashSet::is_empty));
    }
}
