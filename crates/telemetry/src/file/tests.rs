//! Every kind of thing that can have the name of a file.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{env, process};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Contents, Place, read};

struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("tcpcopy-file-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn node(path: &Path, kind: FileType, device: u64) -> bool {
    mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device).is_ok()
}

/// What is no regular file is refused before anything is written, and is still there, and still what it was.
#[test]
fn only_regular_files_are_replaced() {
    let folder = Temporary::new("kinds");
    let at = |name: &str| folder.0.join(name);
    let secret = at("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    assert!(node(&at("pipe"), FileType::Fifo, 0));
    let mut cases = vec![
        ("link", "a symbolic link"),
        ("dangling", "a symbolic link"),
        ("folder", "a folder"),
        ("socket", "a socket"),
        ("pipe", "a pipe"),
    ];
    // Only root can make a device: the null device, 1:3.
    if node(&at("device"), FileType::CharacterDevice, 0x103) {
        cases.push(("device", "a device"));
    }
    let before = folder.names();
    for (name, kind) in cases {
        let error = Place::open(&at(name)).unwrap_err().to_string();
        assert!(error.contains(kind) && error.contains(name), "{error}");
    }
    assert_eq!(folder.names(), before);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert!(
        fs::symlink_metadata(at("pipe"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    for path in ["/", "..", "/nowhere/at/all/x.json"] {
        Place::open(Path::new(path)).unwrap_err();
    }
    // What became something else meanwhile is left alone as well.
    let place = Place::open(&at("new")).unwrap();
    symlink(&secret, at("new")).unwrap();
    place.write(b"x", false).unwrap_err();
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert!(fs::symlink_metadata(at("new")).unwrap().is_symlink());
}

#[test]
fn a_file_is_its_owners_alone_and_replaces_the_one_before() {
    let folder = Temporary::new("mode");
    let path = folder.0.join("summary.json");
    // Whoever holds the old one open does not get to see the new one.
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let held = File::open(&path).unwrap();
    let place = Place::open(&path).unwrap();
    for text in ["one", "two"] {
        place.write(text.as_bytes(), text == "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    assert_ne!(
        held.metadata().unwrap().ino(),
        fs::metadata(&path).unwrap().ino()
    );
    assert_eq!(folder.names(), ["summary.json"]);
}

/// The folder is the one that was opened, whatever becomes of its path.
#[test]
fn a_folder_that_is_replaced_by_a_link_misleads_nobody() {
    let folder = Temporary::new("folder");
    let (here, away, trap) = (
        folder.0.join("here"),
        folder.0.join("away"),
        folder.0.join("trap"),
    );
    fs::create_dir(&here).unwrap();
    fs::create_dir(&trap).unwrap();
    let place = Place::open(&here.join("run.json")).unwrap();
    fs::rename(&here, &away).unwrap();
    symlink(&trap, &here).unwrap();
    place.write(b"x", false).unwrap();
    assert!(away.join("run.json").is_file() && !trap.join("run.json").exists());
}

#[test]
fn what_killed_runs_left_does_not_gather() {
    let folder = Temporary::new("leftovers");
    let old = SystemTime::now() - Duration::from_secs(3600);
    let make = |name: &str, is_old: bool| {
        let file = File::create(folder.0.join(name)).unwrap();
        if is_old {
            file.set_modified(old).unwrap();
        }
    };
    make(".run.json.0123456789abcdef.tmp", true);
    // Of a run that writes now, of another file, and of somebody else.
    let others = [
        (".other.json.0123456789abcdef.tmp", true),
        (".run.json.aaaaaaaaaaaaaaaa.tmp", false),
        (".run.json.backup.tmp", true),
        (".run.json.swp", true),
    ];
    for (name, is_old) in others {
        make(name, is_old);
    }
    Place::open(&folder.0.join("run.json")).unwrap().sweep();
    let mut left: Vec<_> = others.iter().map(|(name, _)| (*name).to_owned()).collect();
    left.sort();
    assert_eq!(folder.names(), left);
}

#[test]
fn the_longest_name_can_be_written() {
    let folder = Temporary::new("long");
    let path = folder.0.join("x".repeat(255));
    Place::open(&path).unwrap().write(b"x", false).unwrap();
    assert!(path.is_file());
}

#[test]
fn what_never_ends_is_not_read() {
    let folder = Temporary::new("read");
    let at = |name: &str| folder.0.join(name);
    fs::write(at("file"), "1234").unwrap();
    symlink(at("file"), at("link")).unwrap();
    assert!(node(&at("pipe"), FileType::Fifo, 0));
    let whole = Contents::Whole(b"1234".to_vec());
    assert_eq!(read(&at("file"), 4).unwrap(), whole);
    assert_eq!(read(&at("link"), 4).unwrap(), whole);
    assert_eq!(read(&at("file"), 3).unwrap(), Contents::TooLong(4));
    for (path, kind) in [
        (at("pipe"), "a pipe"),
        (folder.0.clone(), "a folder"),
        ("/dev/zero".into(), "a device"),
    ] {
        assert_eq!(read(&path, 4).unwrap(), Contents::NotRegular(kind));
    }
    read(&at("nowhere"), 4).unwrap_err();
}
