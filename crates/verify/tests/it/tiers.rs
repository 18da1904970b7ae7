//! Which walls are put up where: as root and as an ordinary user, on a plain machine, in a
//! container with the usual default profile, on a kernel without Landlock, and where there is no
//! seccomp. Each place is a process of its own that gives up what would not be there.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Op,
    SeccompCondition as Condition, SeccompFilter, SeccompRule as Rule, TargetArch,
};
use verify::{Tier, Verdict, Verifier, VerifierConfig, VerifyError};

use crate::{ALONE, SQUARES, alone, judge, part, still_honest, submission, verifier, verifier_in};

const NOBODY: u32 = 65_534;

/// What a place lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// What a container's default profile refuses, capabilities included.
    Privileges,
    /// That, and all capabilities, so that root cannot change its user.
    Capabilities,
    Landlock,
    PrivilegesAndLandlock,
    Seccomp,
}

impl Without {
    const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Privileges,
        Self::Capabilities,
        Self::Landlock,
        Self::PrivilegesAndLandlock,
        Self::Seccomp,
    ];

    fn name(self) -> String {
        format!("{self:?}")
    }

    /// Gives it all up, for this thread and those that it starts.
    fn enter(self) {
        if matches!(self, Self::Privileges | Self::Capabilities | Self::PrivilegesAndLandlock) {
            let mut refused = any(&PRIVILEGED);
            refused.insert(libc::SYS_clone, NEW_NAMESPACES.map(|flag| argument(0, flag)).to_vec());
            // What the usual profile allows of `personality`, inverted: fixed addresses are not.
            refused.insert(libc::SYS_personality, vec![argument(0, 0x0004_0000)]);
            refuse(refused, libc::EPERM);
            refuse(any(&[libc::SYS_clone3]), libc::ENOSYS);
            drop_capabilities(if self == Self::Capabilities { 0 } else { KEPT });
        }
        if matches!(self, Self::Landlock | Self::PrivilegesAndLandlock) {
            let calls = [
                libc::SYS_landlock_create_ruleset,
                libc::SYS_landlock_add_rule,
                libc::SYS_landlock_restrict_self,
            ];
            refuse(any(&calls), libc::ENOSYS);
        }
        if self == Self::Seccomp {
            let mut refused = any(&[libc::SYS_seccomp]);
            let set_seccomp = Condition::new(0, Width::Dword, Op::Eq, 22).unwrap();
            refused.insert(libc::SYS_prctl, vec![Rule::new(vec![set_seccomp]).unwrap()]);
            refuse(refused, libc::EINVAL);
        }
    }
}

/// What the default profile of container engines refuses without CAP_SYS_ADMIN, as far as a
/// verifier might want it.
const PRIVILEGED: [libc::c_long; 20] = [
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

const NEW_NAMESPACES: [u64; 7] = [
    libc::CLONE_NEWNS as u64,
    libc::CLONE_NEWUTS as u64,
    libc::CLONE_NEWIPC as u64,
    libc::CLONE_NEWUSER as u64,
    libc::CLONE_NEWPID as u64,
    libc::CLONE_NEWNET as u64,
    libc::CLONE_NEWCGROUP as u64,
];

type Rules = BTreeMap<i64, Vec<Rule>>;

fn any(calls: &[libc::c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// The argument has this bit.
fn argument(index: u8, bit: u64) -> Rule {
    Rule::new(vec![Condition::new(index, Width::Qword, Op::MaskedEq(bit), bit).unwrap()]).unwrap()
}

fn refuse(calls: Rules, errno: libc::c_int) {
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, answer, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// The fourteen that container engines leave: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID,
/// SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
const KEPT: u32 = 0xa804_25fb;

fn drop_capabilities(kept: u32) {
    for capability in (0..41).filter(|bit| *bit > 31 || kept & (1 << bit) == 0) {
        // SAFETY: numbers only. An ordinary user has nothing to drop.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    // SAFETY: reads a number of this process.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let header: [u32; 2] = [0x2008_0522, 0];
    // Effective, permitted and inheritable, low halves and then high ones.
    let wanted: [u32; 6] = [kept, kept, 0, 0, 0, 0];
    // SAFETY: both point to arrays of the layout that this version has.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), wanted.as_ptr()) };
    assert_eq!(done, 0);
}

fn is_root() -> bool {
    // SAFETY: reads a number of this process.
    unsafe { libc::geteuid() == 0 }
}

/// What is left of the machine's own tier.
fn expected(plain: Tier, without: Without) -> Option<Tier> {
    match (without, plain) {
        (Without::Nothing, tier) => Some(tier),
        (Without::Privileges | Without::Capabilities, Tier::Namespaces) => Some(Tier::Landlocked),
        (Without::Privileges | Without::Capabilities, tier) => Some(tier),
        (Without::Landlock | Without::PrivilegesAndLandlock, _) => Some(Tier::NoFiles),
        (Without::Seccomp, _) => None,
    }
}

/// In a process of its own: gives up what it must, and looks at what the verifier makes of it.
fn in_place(without: Without, tier: Option<Tier>) {
    without.enter();
    let Some(tier) = tier else { return nothing_stands() };
    let verifier = verifier();
    assert_eq!(verifier.facts().tier, tier, "{without:?}");
    for program in HOSTILE {
        let found = judge(&verifier, &submission(program, SQUARES));
        assert!(
            matches!(found.verdict, Verdict::RuntimeError | Verdict::Violation),
            "{found:?} for\n{program}"
        );
        still_honest(&verifier, program);
    }
    drop(verifier);
    if without == Without::Capabilities && is_root() {
        // Here a filter takes the place of the process limit, which root does not have.
        crate::escapes::run_all(tier);
    }
    for above in Tier::SAFE.into_iter().take_while(|above| *above != tier) {
        match verifier_in(above, 1) {
            Err(VerifyError::NoSandbox { reason }) => assert!(reason.starts_with(above.name())),
            other => panic!("{above} in a place that cannot have it: {other:?}"),
        }
    }
}

const HOSTILE: [&str; 5] = [
    "import os\ndef f(n):\n    if os.fork() == 0:\n        os._exit(0)\n    return n * n\n",
    "def f(n):\n    open('/etc/passwd').read()\n    return n * n\n",
    "import os\ndef f(n):\n    os.kill(os.getppid(), 9)\n    return n * n\n",
    "import _socket\ndef f(n):\n    _socket.socket()\n    return n * n\n",
    "def f(n):\n    open('/tmp/axiom-escape', 'w').write('x')\n    return n * n\n",
];

/// A refusal that names the wall and the way out; and without walls only when asked to, with a
/// stamp on everything.
fn nothing_stands() {
    match Verifier::start(VerifierConfig::default()) {
        Err(VerifyError::NoSandbox { reason }) => {
            for part in ["landlocked: seccomp filter: Invalid argument", "--allow-unsafe"] {
                assert!(reason.contains(part), "{reason}");
            }
        }
        other => panic!("{other:?}"),
    }
    let config = VerifierConfig { allow_unsafe: true, ..VerifierConfig::default() };
    let verifier = Verifier::start(config).unwrap();
    assert_eq!(verifier.facts().tier, Tier::None);
    for program in ["def f(n):\n    return n * n\n", "", "def f(:\n", "import os\nos._exit(0)\n"] {
        assert_eq!(judge(&verifier, &submission(program, SQUARES)).tier, Tier::None);
    }
    still_honest(&verifier, "an unsafe start");
}

/// Runs `every_place` for one place, as `uid` where one is given.
#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn visit(without: Without, tier: Option<Tier>, uid: Option<u32>) {
    let mut command = alone("tiers::every_place_gets_its_best_tier");
    command.env(ALONE, format!("{} {}", without.name(), tier.map_or("none", Tier::name)));
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    match command.output() {
        Ok(output) => {
            let [said, why] = [&output.stdout, &output.stderr].map(|x| String::from_utf8_lossy(x));
            assert!(output.status.success(), "uid {uid:?}, without {without:?}:\n{said}\n{why}");
        }
        Err(e) => eprintln!("SKIPPED: user {uid:?} cannot run this binary: {e}"),
    }
}

/// The strongest tier of an ordinary user, found by asking one.
fn plain_tier_of_nobody() -> Tier {
    let mut command = alone("tiers::every_place_gets_its_best_tier");
    command.env(ALONE, "which").uid(NOBODY).gid(NOBODY);
    let said = command.output().map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let name = said.split("tier=").nth(1).and_then(|rest| rest.split_whitespace().next());
    name.and_then(Tier::safe_from_name).unwrap_or(Tier::Landlocked)
}

#[test]
fn every_place_gets_its_best_tier() {
    if let Some(place) = part() {
        if place == "which" {
            println!("tier={} ", verifier().facts().tier);
            return;
        }
        let (without, tier) = place.split_once(' ').unwrap();
        let without = Without::ALL.into_iter().find(|w| w.name() == without).unwrap();
        return in_place(without, Tier::safe_from_name(tier));
    }
    let plain = verifier().facts().tier;
    let root = is_root();
    std::thread::scope(|s| {
        for without in Without::ALL {
            s.spawn(move || visit(without, expected(plain, without), None));
        }
        if root {
            let plain = plain_tier_of_nobody();
            for without in Without::ALL {
                s.spawn(move || visit(without, expected(plain, without), Some(NOBODY)));
            }
        }
    });
}
