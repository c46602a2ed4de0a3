//! Why a program does not begin, on standard error. It has no time: nothing has begun that it could be compared with.

/// The words with the finding's name, as docs/doctor.md lists it, and the command that shows more.
#[must_use]
pub fn complaint(words: &str, finding: &str, look: Option<&str>) -> String {
    let look = look.map(|command| format!("\nLook: {command}\n"));
    format!("error: {words} [{finding}]\n{}", look.unwrap_or_default())
}

/// A command with these words behind it, as it can be typed into a shell.
#[must_use]
pub fn command(program: &str, words: impl IntoIterator<Item = String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,.:/@%".contains(c);
    words.into_iter().fold(program.to_owned(), |line, word| {
        if !word.is_empty() && word.chars().all(plain) {
            format!("{line} {word}")
        } else {
            format!("{line} '{}'", word.replace('\'', "'\\''"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{command, complaint};

    #[test]
    fn the_name_stands_in_brackets_and_the_command_on_a_line_of_its_own() {
        let look = Some("tcpcopy doctor -x 80-10.0.0.9:80");
        assert_eq!(
            complaint("there is no interface eth7", "no-interface", look),
            "error: there is no interface eth7 [no-interface]\n\nLook: tcpcopy doctor -x 80-10.0.0.9:80\n"
        );
        assert_eq!(complaint("no", "host", None), "error: no [host]\n");
    }

    #[test]
    fn a_command_can_be_typed() {
        let words = [
            "-x",
            "80-[::1]:80",
            "-c",
            "62.135.200.*",
            "--summary",
            "a b",
            "it's",
            "",
        ];
        assert_eq!(
            command("tcpcopy doctor", words.map(str::to_owned)),
            "tcpcopy doctor -x '80-[::1]:80' -c '62.135.200.*' --summary 'a b' 'it'\\''s' ''"
        );
    }
}
