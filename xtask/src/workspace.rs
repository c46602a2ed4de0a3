//! Where this repository's folders are.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // The manifest of this crate stands one folder below the root.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Tools that were built for this repository alone.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// The objects of the programs.
pub(crate) fn bpf() -> PathBuf {
    target().join("bpf")
}
