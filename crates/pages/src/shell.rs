//! Commands in a piece of shell, as documents show them: with prompts, explanations, pipes and continuation lines.
//!
//! It is no shell: it knows what pages need to show one program's command line to its readers, and to its parser.

/// What ends a command on its line.
const OPERATORS: [&str; 6] = ["|", "||", "&&", ";", "&", ")"];
/// What may stand before a command.
const BEFORE: [&str; 4] = ["sudo", "exec", "time", "nohup"];
/// What YAML and units say before a command.
const LEADS: [&str; 5] = ["- ", "run: ", "command: ", "if ", "! "];
/// So many spaces divide a command from an explanation that has no `#`.
const GAP: &str = "   ";
/// What stands for something that is left out; a command with it is no whole one.
const LEFT_OUT: &str = "...";

/// A command, and the line that it begins on, from 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// The line.
    pub line: usize,
    /// The program, by the name that was asked for, and its arguments.
    pub words: Vec<String>,
}

/// The commands of one program.
#[must_use]
pub fn commands(text: &str, program: &str) -> Vec<Command> {
    let (mut found, mut variables) = (Vec::new(), Vec::new());
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut whole = without_explanation(without_lead(line.trim())).to_owned();
        while let Some(begun) = whole.strip_suffix('\\') {
            let next = lines.next().map_or("", |(_, next)| next.trim());
            whole = format!("{begun} {}", without_explanation(next));
        }
        variables.extend(variable(&whole));
        let words = shlex::split(&with_values(&whole, &variables))
            .unwrap_or_else(|| whole.split_whitespace().map(str::to_owned).collect());
        let words: Vec<String> = words.into_iter().flat_map(apart).collect();
        let commands = words.split(|word| OPERATORS.contains(&word.as_str()));
        for words in commands.filter_map(|words| arguments(words, program)) {
            if !words.iter().any(|word| word.contains(LEFT_OUT)) {
                let line = number;
                found.push(Command { line, words });
            }
        }
    }
    found
}

/// `NAME=value` or `NAME=${NAME:-value}`, alone on its line: the name as it is used, and the value.
fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=').filter(|_| is_assignment(line))?;
    let default = format!("${{{name}:-");
    let value = match value.strip_prefix(&default) {
        Some(default) => default.strip_suffix('}')?,
        None => value,
    };
    let is_plain = !value.contains([' ', '$', '(']);
    is_plain.then(|| (format!("${name}"), value.to_owned()))
}

/// A line with variables replaced, those that a longer name begins like after that.
fn with_values(line: &str, variables: &[(String, String)]) -> String {
    let mut variables: Vec<_> = variables.iter().collect();
    variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let replace = |line: String, (name, value): &(String, String)| line.replace(name, value);
    variables.into_iter().fold(line.to_owned(), replace)
}

/// A line without what is said of it at its end.
fn without_explanation(line: &str) -> &str {
    line.split(GAP).next().unwrap_or(line).trim_end()
}

/// A line without a prompt (`online# `, `$ `) and what YAML says before a command.
fn without_lead(line: &str) -> &str {
    let mut line = line;
    let prompt = line.find(['#', '$']).map(|at| line.split_at(at));
    if let Some((host, rest)) = prompt
        && host.chars().all(char::is_alphanumeric)
        // `# ` alone begins a comment.
        && (rest.starts_with("$ ") || (rest.starts_with("# ") && !host.is_empty()))
    {
        line = rest[1..].trim_start();
    }
    while let Some(rest) = LEADS.iter().find_map(|lead| line.strip_prefix(lead)) {
        line = rest.trim_start();
    }
    line
}

/// The program and its arguments, where these words are a command of it.
fn arguments(words: &[String], program: &str) -> Option<Vec<String>> {
    let is_before = |word: &&String| BEFORE.contains(&word.as_str()) || is_assignment(word);
    let skipped = words.iter().take_while(is_before).count();
    let words = &words[skipped..];
    let name = program.split(' ');
    let len = name.clone().count();
    let is_it = words.len() >= len
        && name.enumerate().all(|(index, part)| match index {
            0 => words[0].rsplit('/').next() == Some(part),
            _ => words[index] == part,
        });
    if !is_it {
        return None;
    }
    let mut found = vec![program.to_owned()];
    let mut rest = words[len..].iter();
    while let Some(word) = rest.next() {
        match word.trim_start_matches(|digit: char| digit.is_ascii_digit()) {
            ">" | ">>" | "<" => {
                rest.next();
            }
            redirected if redirected.starts_with(['>', '<']) => {}
            _ => found.push(word.clone()),
        }
    }
    Some(found)
}

/// A word, and the semicolon that ends its command.
fn apart(word: String) -> Vec<String> {
    match word.strip_suffix(';') {
        Some(last) if !last.is_empty() => vec![last.to_owned(), ";".to_owned()],
        _ => vec![word],
    }
}

/// `NAME=value` before a command.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .chars()
                .all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn commands_are_read_as_pages_show_them() {
        for (text, wanted) in [
            ("online# tcpcopy -x a", "-x a"),
            ("online#    tcpcopy -x b", "-x b"),
            ("$ sudo /usr/local/sbin/tcpcopy -x a # why", "-x a"),
            ("RUST_LOG=debug target/release/tcpcopy -x a", "-x a"),
            (
                "tcpcopy report a -o b      the clients' report",
                "report a -o b",
            ),
            ("tcpcopy -x a \\\n  --json | jq '.x'", "-x a --json"),
            ("if tcpcopy -x a > out.txt 2>&1; then", "-x a"),
            ("      - run: sudo tcpcopy -x a 2> log", "-x a"),
            ("tcpcopy -x a; echo $?", "-x a"),
            ("make && tcpcopy -x \"a b\"", "-x a b"),
        ] {
            let found = commands(text, "tcpcopy");
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].words[0], "tcpcopy", "{text}");
            assert_eq!(found[0].words[1..].join(" "), wanted, "{text}");
        }
        let found = commands("A=1\nAB=${AB:-2:3}\ntcpcopy -x \"$AB\" -n $A\n", "tcpcopy");
        assert_eq!(found[0].words, ["tcpcopy", "-x", "2:3", "-n", "1"]);
        let found = commands("ls\nX=1 cargo xtask test --short\n", "cargo xtask");
        assert_eq!((found.len(), found[0].line), (1, 1));
        assert_eq!(found[0].words, ["cargo xtask", "test", "--short"]);
    }

    #[test]
    fn what_is_no_command_of_it_is_not_taken() {
        for text in [
            "# tcpcopy -x a",
            "intercept -x tcpcopy",
            "systemctl start tcpcopy",
            "tcpcopy -x 80-...",
            "cargo build -p tcpcopy-userspace",
            "tcpcopy-janitor 1",
        ] {
            assert_eq!(commands(text, "tcpcopy"), [], "{text}");
        }
    }
}
