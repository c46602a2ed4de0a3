//! Every file of the corpus, the same with a few bytes changed, and bytes that nobody chose, through the fuzz targets
//! on stable.

use std::path::{Path, PathBuf};
use std::{fs, panic};

use fuzzing::{TARGETS, Target};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

/// Where cargo-fuzz keeps the corpus of a target.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a file of the corpus").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files
}

fn replay((name, target): Target) {
    for file in corpus(name) {
        let input = fs::read(&file).expect("a file of the corpus");
        if let Err(panic) = panic::catch_unwind(|| target(&input)) {
            eprintln!("with {}", file.display());
            panic::resume_unwind(panic);
        }
    }
}

fn target(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|(found, _)| *found == name);
    found.expect("a fuzz target")
}

#[test]
fn the_corpus_of_wire() {
    replay(target("wire"));
}

#[test]
fn the_corpus_of_channel() {
    replay(target("channel"));
}

#[test]
fn the_corpus_of_engine() {
    replay(target("engine"));
}

#[test]
fn the_corpus_of_capture() {
    replay(target("capture"));
}

#[test]
fn the_corpus_of_digest() {
    replay(target("digest"));
}

#[test]
fn the_corpus_of_player() {
    replay(target("player"));
}

#[test]
fn the_corpus_of_http1() {
    replay(target("http1"));
}

#[test]
fn the_corpus_of_redis() {
    replay(target("redis"));
}

#[test]
fn the_corpus_of_postgres() {
    replay(target("postgres"));
}

#[test]
fn the_corpus_of_mysql() {
    replay(target("mysql"));
}

proptest! {
    // The same inputs every time: looking for others is the fuzzer's business.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 100,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn anything_at_all(bytes in vec(any::<u8>(), 0..2000)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }

    #[test]
    fn nearly_the_corpus(
        file in any::<Index>(),
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        for (name, target) in TARGETS {
            let mut input = fs::read(file.get(&corpus(name))).expect("a file of the corpus");
            for (at, to) in &changes {
                let at = at.index(input.len().max(1));
                input.get_mut(at).into_iter().for_each(|byte| *byte = *to);
            }
            target(&input);
        }
    }
}
