//! What the files are called: `FILE.pcapng`, or `FILE-00001.pcapng` and so on where they are rotated; `.zst` behind it compresses.

use std::io;
use std::path::{Path, PathBuf};

/// Whether a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It is not.
    Plain,
    /// By zstd.
    Zstd,
    /// Nothing of it is kept.
    Nowhere,
}

/// The file that keeps nothing.
const NOWHERE: (&str, &str) = ("/dev", "null");

/// The names of the files of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The folder.
    folder: PathBuf,
    /// The name without its ending.
    stem: String,
    form: Form,
    rotates: bool,
}

impl Names {
    /// Those that follow from the name that was given.
    ///
    /// # Errors
    ///
    /// In words, where it does not say what it is to be.
    pub fn new(path: &Path, rotates: bool) -> Result<Self, String> {
        let (folder, nothing) = NOWHERE;
        if path == Path::new(folder).join(nothing) && !rotates {
            return Ok(Self {
                folder: folder.into(),
                stem: nothing.to_owned(),
                form: Form::Nowhere,
                rotates,
            });
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| format!("{} is no name of a file", path.display()))?;
        let (rest, form) = match name.strip_suffix(".zst") {
            Some(rest) => (rest, Form::Zstd),
            None => (name, Form::Plain),
        };
        let stem = rest.strip_suffix(".pcapng").filter(|stem| !stem.is_empty());
        let Some(stem) = stem else {
            return Err(format!(
                "{name}: write FILE.pcapng, or FILE.pcapng.zst to compress it; the file is pcapng"
            ));
        };
        Ok(Self {
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            stem: stem.to_owned(),
            form,
            rotates,
        })
    }

    /// Whether they are compressed.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The file of this number, from 1.
    #[must_use]
    pub fn file(&self, number: u32) -> PathBuf {
        let ending = self.ending();
        let name = if self.rotates {
            format!("{}-{number:05}{ending}", self.stem)
        } else {
            format!("{}{ending}", self.stem)
        };
        self.folder.join(name)
    }

    /// A file that a recording would take the place of.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be read.
    pub fn in_the_way(&self) -> io::Result<Option<PathBuf>> {
        if self.form == Form::Nowhere {
            return Ok(None);
        }
        if !self.rotates {
            let file = self.file(1);
            return Ok(file.symlink_metadata().is_ok().then_some(file));
        }
        let folder = if self.folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &self.folder
        };
        let start = format!("{}-", self.stem);
        for entry in folder.read_dir()? {
            let name = entry?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(&start)?.strip_suffix(self.ending()));
            if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
                return Ok(Some(self.folder.join(name)));
            }
        }
        Ok(None)
    }

    const fn ending(&self) -> &'static str {
        match self.form {
            Form::Plain => ".pcapng",
            Form::Zstd => ".pcapng.zst",
            Form::Nowhere => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Form, Names};

    #[test]
    fn the_name_says_what_a_file_is() {
        for (name, rotates, file, form) in [
            ("a/b.pcapng", false, "a/b.pcapng", Form::Plain),
            ("b.pcapng.zst", false, "b.pcapng.zst", Form::Zstd),
            ("b.pcapng", true, "b-00007.pcapng", Form::Plain),
            ("a.b.pcapng.zst", true, "a.b-00007.pcapng.zst", Form::Zstd),
        ] {
            let names = Names::new(Path::new(name), rotates).expect(name);
            assert_eq!(
                (names.file(7).as_path(), names.form()),
                (Path::new(file), form)
            );
        }
        let nowhere = Names::new(Path::new("/dev/null"), false).expect("nothing");
        assert_eq!(nowhere.file(1), Path::new("/dev/null"));
        assert!(matches!(nowhere.in_the_way(), Ok(None)));
        assert!(Names::new(Path::new("/dev/null"), true).is_err());
        for name in ["b.pcap", "b", ".pcapng", "/", "b.pcapng.gz", "b.zst"] {
            assert!(Names::new(Path::new(name), false).is_err(), "{name}");
        }
    }
}
