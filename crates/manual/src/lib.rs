//! Manual pages and completions of a program, made of the very command that it parses its line with.
//!
//! For packages and tests alone: no program carries this. What it deliberately does not do is to say anything that the program's own
//! `--help` does not say.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_mangen::Man;

/// The manual's section of system administration: both programs need rights that plain users have not.
pub const SECTION: &str = "8";
/// What stands at the head of each page.
const MANUAL: &str = "tcpcopy";
/// The shells with completions.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];
/// The folders that [`write`] makes: of pages, and of completions.
pub const FOLDERS: [&str; 2] = ["man", "completions"];

/// A file by its name.
#[derive(Debug)]
pub struct File {
    /// Its name, without a folder: `tcpcopy-doctor.8`, `tcpcopy.bash`.
    pub name: String,
    /// What stands in it.
    pub bytes: Vec<u8>,
}

/// A page for the program, and one for each of its commands that the help shows.
///
/// # Errors
///
/// None that is known: writing goes to memory.
pub fn pages(command: &Command) -> io::Result<Vec<File>> {
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    [&command].into_iter().chain(shown).map(page).collect()
}

fn page(command: &Command) -> io::Result<File> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let page = Man::new(command.clone())
        .section(SECTION)
        .manual(MANUAL)
        .source(format!("{MANUAL} {}", env!("CARGO_PKG_VERSION")));
    let mut bytes = Vec::new();
    page.render(&mut bytes)?;
    Ok(File {
        name: format!("{name}.{SECTION}"),
        bytes,
    })
}

/// Completions for each of [`SHELLS`], of what the help shows.
#[must_use]
pub fn completions(command: &Command) -> Vec<File> {
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let command = shown_alone(&command);
    let of = |shell: Shell| {
        let mut bytes = Vec::new();
        let name = command.get_name().to_owned();
        clap_complete::generate(shell, &mut command.clone(), &name, &mut bytes);
        File {
            name: format!("{name}.{shell}"),
            bytes,
        }
    };
    SHELLS.map(of).into()
}

/// A command without what its help hides: old names and other programs' letters, which nobody should learn now.
fn shown_alone(command: &Command) -> Command {
    // Its own options for help and version are among the others.
    let mut alone = Command::new(command.get_name().to_owned())
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true);
    if let Some(about) = command.get_about() {
        alone = alone.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        alone = alone.version(version.to_owned());
    }
    // What refers to an option that is left out would not be found.
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    alone
        .args(args.map(plain))
        .subcommands(commands.map(shown_alone))
}

/// An option with what completions tell: names, words, and which values it takes.
fn plain(arg: &Arg) -> Arg {
    let mut plain = Arg::new(arg.get_id().clone())
        .action(arg.get_action().clone())
        .value_parser(arg.get_value_parser().clone())
        .value_hint(arg.get_value_hint());
    if let Some(short) = arg.get_short() {
        plain = plain.short(short);
    }
    if let Some(long) = arg.get_long() {
        plain = plain.long(long.to_owned());
    }
    if let Some(help) = arg.get_help() {
        plain = plain.help(help.clone());
    }
    if let Some(names) = arg.get_value_names() {
        plain = plain.value_names(names.to_vec());
    }
    match arg.get_num_args() {
        Some(number) if arg.get_action().takes_values() => plain.num_args(number),
        _ => plain,
    }
}

/// Writes pages and completions into `man` and `completions` of a folder, which are made where they are missing.
///
/// # Errors
///
/// A folder or file could not be written; the words name it.
pub fn write(command: &Command, folder: &Path) -> io::Result<()> {
    let files = [pages(command)?, completions(command)];
    for (name, files) in FOLDERS.into_iter().zip(files) {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).map_err(|error| named(&folder, &error))?;
        for file in files {
            let path = folder.join(file.name);
            fs::write(&path, file.bytes).map_err(|error| named(&path, &error))?;
        }
    }
    Ok(())
}

/// The same for the one argument of a process: the folder.
///
/// # Errors
///
/// There is not one argument, or as [`write`].
pub fn write_for(command: &Command, words: impl IntoIterator<Item = OsString>) -> io::Result<()> {
    let mut words = words.into_iter().skip(1);
    match (words.next(), words.next()) {
        (Some(folder), None) => write(command, &PathBuf::from(folder)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the one argument is the folder to write into",
        )),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot write {}: {error}", path.display()),
    )
}

/// Which options that help shows are not named by a page or by completions; none, if all is well.
#[must_use]
pub fn untold(command: &Command) -> Vec<String> {
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let pages = match pages(&command) {
        Ok(pages) => pages,
        Err(error) => return vec![format!("the pages: {error}")],
    };
    let completions = completions(&command);
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    let mut untold = Vec::new();
    for (command, page) in [&command].into_iter().chain(commands).zip(&pages) {
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        for long in shown.filter_map(Arg::get_long) {
            for file in completions.iter().chain([page]) {
                // Fish has the name alone, behind `-l`.
                let is_fish = file.name.ends_with(".fish");
                let word = if is_fish {
                    long.to_owned()
                } else {
                    format!("--{long}")
                };
                if !has_word(&plain_text(&file.bytes), &word) {
                    untold.push(format!("{} lacks {word}", file.name));
                }
            }
        }
    }
    untold
}

/// A text without what roff says of fonts, and with its minus signs as they are typed.
fn plain_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\\-", "-");
    ["\\fB", "\\fI", "\\fR"]
        .iter()
        .fold(text, |text, font| text.replace(font, " "))
}

/// Whether a word stands in a text, not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    text.match_indices(word).any(|(start, _)| {
        let after = text[start + word.len()..].chars().next();
        let before = text[..start].chars().next_back();
        !after.is_some_and(is_part) && !before.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::{completions, has_word, pages, untold};
    use clap::{Arg, Command};

    fn program() -> Command {
        Command::new("server")
            .version("1.0")
            .arg(Arg::new("port").short('p').long("port").help("The port"))
            .arg(Arg::new("old").long("old-port").hide(true))
            .subcommand(
                Command::new("look")
                    .about("Looks")
                    .arg(Arg::new("far").long("far")),
            )
            .subcommand(Command::new("janitor").hide(true))
    }

    #[test]
    fn there_is_a_page_for_each_command_that_help_shows() {
        let names: Vec<String> = pages(&program())
            .unwrap()
            .into_iter()
            .map(|page| page.name)
            .collect();
        assert_eq!(names, ["server.8", "server-look.8"]);
    }

    #[test]
    fn what_help_hides_is_not_completed() {
        for file in completions(&program()) {
            let text = String::from_utf8_lossy(&file.bytes);
            assert!(text.contains("port"), "{}: {text}", file.name);
            assert!(!text.contains("old-port"), "{}: {text}", file.name);
            assert!(!text.contains("janitor"), "{}: {text}", file.name);
        }
        assert_eq!(untold(&program()), [""; 0]);
    }

    #[test]
    fn a_part_of_a_word_is_not_the_word() {
        assert!(has_word("use --port=1", "--port"));
        assert!(!has_word("use --port-first", "--port"));
        assert!(!has_word("use --ports", "--port"));
        assert!(!has_word("nothing", "--port"));
    }
}
