//! Writes the Rust that embeds the objects of `cargo xtask build-ebpf`, or that says they are missing.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let objects = manifest.join("../../target/bpf");
    // Cargo watches a folder that exists, but runs this again on every build where it does not.
    fs::create_dir_all(&objects)?;
    let objects = objects.canonicalize()?;
    println!("cargo:rerun-if-changed={}", objects.display());

    let code = ["tcpcopy", "intercept"]
        .map(|name| embed(&objects, name))
        .concat();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("objects.rs"), code)
}

/// A static of the object's name in capitals: its bytes where it was built, else `None`.
fn embed(objects: &Path, name: &str) -> String {
    let path = objects.join(format!("{name}.o"));
    let value = if path.is_file() {
        format!(
            "Some(&Aligned(*include_bytes!({:?})))",
            path.display().to_string()
        )
    } else {
        "None".to_owned()
    };
    format!(
        "static {}: Option<&Aligned<[u8]>> = {value};\n",
        name.to_uppercase()
    )
}
