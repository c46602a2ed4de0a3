//! Program tests: every program, run by the kernel on packets of ours (`BPF_PROG_TEST_RUN`).

use aya::EbpfLoader;
use aya::programs::{SchedClassifier, Xdp};

#[test]
fn load() {
    let mut ebpf = EbpfLoader::new().load(programs::tcpcopy().unwrap()).unwrap();
    for name in ["deliver"] {
        let p: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
        match p.load() { Ok(()) => println!("{name} ok"), Err(e) => println!("{name}: {e} {e:?}") }
    }
    for name in ["inject", "steer", "absorb", "observe", "capture"] {
        let p: &mut SchedClassifier = ebpf.program_mut(name).unwrap().try_into().unwrap();
        match p.load() { Ok(()) => { let i = p.info().unwrap(); println!("{name} ok {:?} insns {:?} jited, {:?} verified", i.size_translated(), i.size_jitted(), i.verified_instruction_count()) }, Err(e) => println!("{name}: {e} {}", &format!("{e:?}").replace("\\n","\n")) }
    }
}
