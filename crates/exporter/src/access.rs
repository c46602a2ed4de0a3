//! Who may read what is shown: whoever has the token, where there is one, else whoever asks by a name that is meant.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hyper::header::{self, HeaderMap};
use subtle::ConstantTimeEq as _;

/// Shortest and longest token, in characters: 16 of base64 are 96 bits.
const TOKEN_LEN_MIN: usize = 16;
const TOKEN_LEN_MAX: usize = 256;
/// Most bytes of its file that are read: white space may stand around it.
const FILE_LEN_MAX: u64 = 1024;
/// The mode of a file that group or others may do anything with.
const OTHERS: u32 = 0o077;
/// What stands before the token in a request (RFC 6750 section 2.1).
const SCHEME: &str = "Bearer ";

/// What of a page's paths is shown to everybody: one word each, and whoever restarts a process that is ill has no token.
const OPEN: [&str; 2] = ["/health", "/ready"];

/// The file of `--metrics-token` is no use.
#[derive(Debug, thiserror::Error)]
#[error("cannot take the token of --metrics-token from {}: {why}", path.display())]
pub struct TokenError {
    path: PathBuf,
    why: String,
}

/// A token that a request must have. It is never shown.
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |why: String| TokenError {
            path: path.to_owned(),
            why,
        };
        let io = |error: io::Error| failed(error.to_string());
        let file = File::open(path).map_err(io)?;
        // Of what was opened, and not of what its name means by then.
        let about = file.metadata().map_err(io)?;
        if !about.is_file() {
            return Err(failed("it is no regular file".to_owned()));
        }
        if about.mode() & OTHERS != 0 {
            return Err(failed(format!(
                "others than its owner may read or change it (mode {:04o}): `chmod 600 {}`",
                about.mode() & 0o7777,
                path.display()
            )));
        }
        let mut text = String::new();
        file.take(FILE_LEN_MAX + 1)
            .read_to_string(&mut text)
            .map_err(io)?;
        let token = text.trim();
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.len() as u64 > FILE_LEN_MAX
            || !(TOKEN_LEN_MIN..=TOKEN_LEN_MAX).contains(&token.len())
            || !token.bytes().all(is_one)
        {
            return Err(failed(format!(
                "it must hold {TOKEN_LEN_MIN} to {TOKEN_LEN_MAX} letters, digits and characters of -._~+/=, in one line: `openssl rand -base64 32`"
            )));
        }
        Ok(Self(token.to_owned()))
    }

    /// Takes as long for every wrong token of the right length.
    fn is(&self, said: &str) -> bool {
        self.0.as_bytes().ct_eq(said.as_bytes()).into()
    }
}

/// Who may read.
#[derive(Debug, Default)]
pub struct Access {
    token: Option<Token>,
    names: Vec<String>,
    is_local: bool,
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Granted,
    /// No token, or a wrong one.
    NoToken,
    /// It was asked by a name that is not known.
    OtherName,
}

impl Access {
    /// Whoever has the token of this file, where one is named; else whoever asks by a number, as `localhost`, or by one of
    /// these names.
    ///
    /// # Errors
    ///
    /// [`TokenError`] where the file cannot be read, may be read by others, or holds no token.
    pub fn new(token: Option<&Path>, names: &[String]) -> Result<Self, TokenError> {
        Ok(Self {
            token: token.map(Token::read).transpose()?,
            names: names.to_vec(),
            is_local: false,
        })
    }

    /// Whether there is a token.
    #[must_use]
    pub const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// No browser gets to a socket of the file system, so names say nothing there.
    pub(crate) fn on_file_system(self) -> Self {
        Self {
            is_local: true,
            ..self
        }
    }

    pub(crate) fn judge(&self, path: &str, headers: &HeaderMap) -> Verdict {
        if let Some(token) = &self.token {
            if is_said(token, headers) {
                return Verdict::Granted;
            }
            if !OPEN.contains(&path) {
                return Verdict::NoToken;
            }
        }
        if self.is_local || is_meant(headers, &self.names) {
            Verdict::Granted
        } else {
            Verdict::OtherName
        }
    }
}

fn is_said(token: &Token, headers: &HeaderMap) -> bool {
    let Some(Ok(said)) = headers.get(header::AUTHORIZATION).map(|it| it.to_str()) else {
        return false;
    };
    match said.split_at_checked(SCHEME.len()) {
        Some((scheme, said)) => scheme.eq_ignore_ascii_case(SCHEME) && token.is(said.trim()),
        None => false,
    }
}

/// Whether a request was meant for this server. A page from elsewhere can have its own host's name point to any address that
/// the browser reaches, and the browser would then let it read what is shown here (DNS rebinding); that name stands in `Host`.
fn is_meant(headers: &HeaderMap, names: &[String]) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        // No browser: HTTP/1.0.
        return true;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let number = name.trim_start_matches('[').trim_end_matches(']');
    let is_known = |known: &str| name.eq_ignore_ascii_case(known);
    number.parse::<std::net::IpAddr>().is_ok()
        || is_known("localhost")
        || names.iter().any(|known| is_known(known))
}

/// A name of a host, for `--metrics-name`.
///
/// # Errors
///
/// Says how to write one.
pub fn parse_name(text: &str) -> Result<String, String> {
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || text.len() > 253 || !text.bytes().all(is_one) {
        return Err("write the name of a host alone, as in metrics.example.org".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::{env, fs, process};

    use hyper::header::{AUTHORIZATION, HOST, HeaderMap};

    use super::{Access, Verdict, parse_name};

    const TOKEN: &str = "0123456789abcdef+/==";

    fn file(name: &str, text: &str, mode: u32) -> PathBuf {
        let path = env::temp_dir().join(format!("tcpcopy-token-{name}-{}", process::id()));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn refusal(path: &Path) -> String {
        Access::new(Some(path), &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_token_is_its_owners_alone() {
        for mode in [0o640, 0o604, 0o620, 0o660, 0o644] {
            let path = file("mode", TOKEN, mode);
            let words = refusal(&path);
            assert!(words.contains("chmod 600"), "{mode:o}: {words}");
            assert!(!words.contains(TOKEN));
            fs::remove_file(path).unwrap();
        }
        for text in [
            "",
            "short",
            "two words that are long enough",
            &"x".repeat(300),
            "ünïcödé-ünïcödé-ü",
        ] {
            let path = file("text", text, 0o600);
            assert!(refusal(&path).contains("openssl rand"), "{text}");
            fs::remove_file(path).unwrap();
        }
        assert!(refusal(Path::new("/")).contains("regular"));
        assert!(refusal(Path::new("/no/such/file")).contains("No such file"));
        let path = file("good", &format!(" {TOKEN}\n"), 0o400);
        let access = Access::new(Some(&path), &[]).unwrap();
        fs::remove_file(path).unwrap();
        assert!(access.has_token());
        assert!(!format!("{access:?}").contains(TOKEN));
        let judge = |path: &str, said: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "evil.example".parse().unwrap());
            if let Some(said) = said {
                headers.insert(AUTHORIZATION, said.parse().unwrap());
            }
            access.judge(path, &headers)
        };
        let good = format!("Bearer {TOKEN}");
        for (path, said, verdict) in [
            ("/metrics", Some(good.as_str()), Verdict::Granted),
            ("/metrics", Some(&good.to_lowercase()), Verdict::Granted),
            ("/metrics", Some(&good[..good.len() - 1]), Verdict::NoToken),
            ("/metrics", Some(TOKEN), Verdict::NoToken),
            ("/metrics", Some("Bearer "), Verdict::NoToken),
            ("/metrics", Some("B"), Verdict::NoToken),
            ("/metrics", None, Verdict::NoToken),
            ("/ready", None, Verdict::OtherName),
            ("/ready", Some(&good), Verdict::Granted),
        ] {
            assert_eq!(judge(path, said), verdict, "{path} {said:?}");
        }
    }

    #[test]
    fn names_that_are_not_known_are_refused_wherever_it_listens() {
        let access = Access::new(None, &["metrics.example.org".to_owned()]).unwrap();
        let judge = |host: Option<&str>| {
            let mut headers = HeaderMap::new();
            host.map(|host| headers.insert(HOST, host.parse().unwrap()));
            access.judge("/metrics", &headers)
        };
        for host in [
            Some("10.0.0.7:9524"),
            Some("[2001:db8::1]:9524"),
            Some("127.0.0.1"),
            Some("LocalHost:1"),
            Some("Metrics.Example.org:9524"),
            None,
        ] {
            assert_eq!(judge(host), Verdict::Granted, "{host:?}");
        }
        for host in [
            "evil.example",
            "xmetrics.example.org",
            "10.0.0.7.evil.example:9524",
            "",
        ] {
            assert_eq!(judge(Some(host)), Verdict::OtherName, "{host}");
        }
        let local = Access::default().on_file_system();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "anything".parse().unwrap());
        assert_eq!(local.judge("/metrics", &headers), Verdict::Granted);
        assert!(parse_name("metrics.example.org").is_ok());
        for text in ["", "a b", "a:1", "http://a"] {
            assert!(parse_name(text).is_err(), "{text}");
        }
    }
}
