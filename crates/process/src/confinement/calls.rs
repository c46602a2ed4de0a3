//! The list of system calls of each trade. What is not in it fails with EPERM.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::Trade;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Memory, time, sleeping and waking, and the end of a thread: what every thread does, most of it inside the C library.
const ANY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_uname,
];

/// Reading and writing what is open, and waiting for it.
const TALK: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_dup,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_write,
    libc::SYS_writev,
];

/// The same by names that newer architectures do not have any more.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_accept,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[libc::SYS_accept];

/// To start threads, and to have them confine themselves.
const HIRE: &[c_long] = &[
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_seccomp,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
];

/// To look a name up; which files that is about is Landlock's.
const RESOLVE: &[c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_geteuid,
    libc::SYS_getuid,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_readlinkat,
    libc::SYS_statx,
];
#[cfg(target_arch = "x86_64")]
const RESOLVE_OLD: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_readlink,
    libc::SYS_stat,
];
#[cfg(not(target_arch = "x86_64"))]
const RESOLVE_OLD: &[c_long] = &[];

/// From here on the calling thread makes no other calls than those of its trade.
///
/// # Errors
///
/// Where the kernel, or a filter of somebody else's, takes no filter.
pub(super) fn filter(trade: Trade) -> io::Result<()> {
    if trade == Trade::Works {
        return Ok(());
    }
    let program = program(trade).map_err(io::Error::other)?;
    apply_filter(&program).map_err(|error| match error {
        seccompiler::Error::Prctl(cause) | seccompiler::Error::Seccomp(cause) => cause,
        other => io::Error::other(other),
    })
}

fn program(trade: Trade) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = Rules::new();
    let mut allow = |calls: &[c_long]| {
        for call in calls {
            // No condition: whatever the arguments are.
            rules.insert(*call, Vec::new());
        }
    };
    [ANY, TALK, OLD].into_iter().for_each(&mut allow);
    match trade {
        Trade::Works | Trade::Serves | Trade::Connects => {}
        Trade::Hires => allow(HIRE),
        Trade::Resolves => [RESOLVE, RESOLVE_OLD].into_iter().for_each(&mut allow),
    }
    let is = |argument, value: i32| {
        condition(argument, SeccompCmpOp::Eq, u64::from(value.unsigned_abs()))
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    if matches!(trade, Trade::Connects | Trade::Resolves) {
        rules.insert(libc::SYS_connect, Vec::new());
        rules.insert(libc::SYS_bind, Vec::new());
        let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX];
        let families = families.into_iter().map(|family| is(0, family));
        rules.insert(libc::SYS_socket, families.collect::<Result<_, _>>()?);
    }
    // A panic that aborts: a signal to a thread of this process, and to nobody else's.
    let own = condition(0, SeccompCmpOp::Eq, u64::from(std::process::id()))?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![own])?]);
    // Memory that is written to does not become code.
    if trade == Trade::Resolves {
        rules.insert(libc::SYS_mmap, Vec::new());
        rules.insert(libc::SYS_mprotect, Vec::new());
    } else {
        let no_code = SeccompCmpOp::MaskedEq(u64::from(libc::PROT_EXEC.unsigned_abs()));
        let no_code = || SeccompRule::new(vec![condition(2, no_code.clone(), 0)?]);
        rules.insert(libc::SYS_mmap, vec![no_code()?]);
        rules.insert(libc::SYS_mprotect, vec![no_code()?]);
    }
    let sets: &[i32] = match trade {
        // The bounding set is read and made smaller by it.
        Trade::Hires => &[
            libc::PR_SET_NAME,
            libc::PR_SET_NO_NEW_PRIVS,
            libc::PR_CAPBSET_READ,
            libc::PR_CAPBSET_DROP,
            libc::PR_CAP_AMBIENT,
        ],
        _ => &[libc::PR_SET_NAME],
    };
    let sets = sets.iter().map(|set| is(0, *set));
    rules.insert(libc::SYS_prctl, sets.collect::<Result<_, _>>()?);
    // Non-blocking or not, and how much there is to read.
    let asks = [libc::FIONBIO, libc::FIONREAD];
    let asks = asks.map(|ask| {
        condition(1, SeccompCmpOp::Eq, ask).and_then(|condition| SeccompRule::new(vec![condition]))
    });
    rules.insert(libc::SYS_ioctl, asks.into_iter().collect::<Result<_, _>>()?);
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture)?.try_into()
}

fn condition(
    argument: u8,
    compare: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
}
