//! `--protocol`, of the run and of each rule: which module reads what clients and servers say.
//!
//! What a module is asked for stands here as it was written; [`Args::module_of`] makes one thing of the run's words and a rule's own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use protocol::credentials::Secret;
use protocol::filter::Filter;
use protocol::mask::{Mask, Name};
use protocol::opening::{MysqlOpening, Opening, PostgresOpening};
use protocol::rewrite::{Host, Mark, RewritePath, Rewriting, SetHeader};
use protocol::{Account, Choice, Credentials, Module, Protocol};

use super::logins::Logins;
use super::{Args, RuleArg};

/// Which module: as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProtocolArg(Option<Choice>);

impl ProtocolArg {
    const NONE: &str = "none";

    /// All that can be written.
    fn all() -> impl Iterator<Item = Self> {
        let named = Protocol::ALL.iter().copied().map(Choice::Is);
        let choices = [Choice::Auto].into_iter().chain(named).map(Some);
        [None].into_iter().chain(choices).map(Self)
    }
}

impl fmt::Display for ProtocolArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or(Self::NONE, protocol_name))
    }
}

impl FromStr for ProtocolArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all()
            .find(|it| it.to_string() == text)
            .ok_or_else(|| {
                let names: Vec<String> = Self::all().map(|it| it.to_string()).collect();
                format!("write one of {}", names.join(", "))
            })
    }
}

/// A choice as it is written.
pub(crate) const fn protocol_name(choice: Choice) -> &'static str {
    match choice {
        Choice::Auto => "auto",
        Choice::Is(protocol) => protocol.name(),
    }
}

/// What the run says of modules; a rule may say otherwise for itself.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = super::heading::WHAT_TO_COPY)]
pub(crate) struct ModuleOptions {
    /// Read requests and responses by a protocol module: none, auto (by a connection's first bytes), http1, redis, postgres or mysql
    ///
    /// Responses of both servers are then taken whole, and not their headers alone: that costs the online server a copy of each,
    /// the ring as much room, and with -s the channel as much bandwidth. A rule may say otherwise for itself: /protocol=none behind
    /// it. A connection that does not speak the protocol is copied as without a module, and counted.
    #[arg(long, value_name = "PROTOCOL", default_value_t)]
    protocol: ProtocolArg,

    /// Copy only requests that are like this: 'method=GET,HEAD path=/api/* host=*.example.com header:X-Team=blue'
    ///
    /// All terms of a filter must hold, and of each term one value; values but those of method are patterns, in which * is
    /// anything. Said several times, a request that is like one of them is copied. What is left out ends as `filtered`, which the
    /// fidelity leaves out. What cannot be read is left out as well. docs/protocols.md has the language.
    #[arg(long, value_name = "FILTER")]
    only: Vec<Filter>,

    /// Leave out requests that are like this, in the language of --only; may be said several times
    #[arg(long, value_name = "FILTER")]
    except: Vec<Filter>,

    /// Copy only what is known to change nothing: of HTTP GET, HEAD, OPTIONS and TRACE
    ///
    /// Everything else is left out and ends as `filtered`: other methods, upgrades, whatever cannot be read. The start says what
    /// is left out. A server that changes something at a GET is not known to do so.
    #[arg(long)]
    read_only: bool,

    /// Set a header of each request that is copied: 'Name: value'; may be said several times
    #[arg(long, value_name = "HEADER")]
    set_header: Vec<SetHeader>,

    /// Ask the target for this host instead of the client's: NAME[:PORT]
    #[arg(long, value_name = "HOST")]
    host: Option<Host>,

    /// Replace the beginning of a path: /old/=/new/; may be said several times, the first that fits counts
    #[arg(long, value_name = "FROM=TO")]
    rewrite_path: Vec<RewritePath>,

    /// Mark each request that is copied with a header, by which the target can tell it from a client's [default: 'X-Tcpcopy: 1']
    #[arg(long, value_name = "HEADER", num_args = 0..=1, default_missing_value = "X-Tcpcopy: 1")]
    mark_header: Option<Mark>,

    /// Users and passwords for the logins that sessions make by themselves at the target, a line each: alice secret
    ///
    /// What a client has shown the online server of its password means nothing to another server, so each session logs in anew,
    /// as the client's user. A line may have what pg_authid keeps instead of a password (SCRAM-SHA-256$... or md5...); the user *
    /// stands for all others. Connections that were open before are copied as the user of the one line that has a database behind the
    /// password (alice secret shop), or as the only user there is. Nobody but the file's owner may have rights to it. A target that asks for nothing (trust) needs none.
    #[arg(long, value_name = "FILE")]
    login: Option<Logins>,

    /// Never show the value of this field: a header, a field of a form or a query, a key of JSON, an element of XML; may be said several times
    ///
    /// Such values never reach samples, and with them the summary, the report and the closing table. Values of Authorization, Cookie,
    /// Set-Cookie and of fields whose names end with password, passwd, secret or token are never shown as it is.
    #[arg(help_heading = super::heading::WHAT_TO_KEEP, long, value_name = "NAME")]
    mask: Vec<Name>,
}

impl ModuleOptions {
    /// Whether anything is asked of a module.
    fn ask_something(&self) -> bool {
        let judges = self.read_only || !self.only.is_empty() || !self.except.is_empty();
        judges || !self.rewriting().is_nothing()
    }

    /// What is known of passwords.
    pub(crate) fn credentials(&self) -> Option<Arc<Credentials>> {
        self.login.as_ref().map(Logins::credentials)
    }

    /// What takes the place of clients' passwords at a Redis: the password of its default user.
    fn redis_login(&self) -> Option<Account> {
        let credentials = self.credentials()?;
        let database = match credentials.joining() {
            Some((_, Some(database))) => database.parse().ok()?,
            _ => 0,
        };
        match credentials.of("default")? {
            Secret::Password(password) => Some(Account::new(None, password.to_string(), database)),
            Secret::Verifier(_) | Secret::Md5(_) => None,
        }
    }

    /// How sessions of connections log in whose beginning was not seen.
    fn joins(&self, choice: Choice) -> Option<Opening> {
        let credentials = self.credentials()?;
        let Choice::Is(protocol) = choice else {
            return None;
        };
        match protocol {
            Protocol::Http1 => None,
            Protocol::Redis => self.redis_login().map(Opening::Redis),
            Protocol::Postgres => credentials
                .joining()
                .map(|(user, database)| Opening::Postgres(PostgresOpening::unseen(user, database))),
            Protocol::Mysql => credentials
                .joining()
                .map(|(user, database)| Opening::Mysql(MysqlOpening::unseen(user, database))),
        }
    }

    fn rewriting(&self) -> Rewriting {
        Rewriting {
            headers: self.set_header.clone(),
            host: self.host.clone(),
            paths: self.rewrite_path.clone(),
            mark: self.mark_header.clone(),
        }
    }
}

impl Args {
    /// Whose values are never shown.
    pub(crate) fn mask(&self) -> Mask {
        // There are not too many: see `contradiction_of_modules`.
        Mask::with(self.modules.mask.iter().cloned()).unwrap_or_default()
    }

    /// What a rule asks of its module, if it has one.
    pub(crate) fn module_of(&self, rule: &RuleArg) -> Option<Module> {
        let protocol = rule.options.protocol.unwrap_or(self.modules.protocol);
        protocol.0.map(|choice| Module {
            choice,
            read_only: self.modules.read_only,
            only: self.modules.only.clone(),
            except: self.modules.except.clone(),
            rewriting: self.modules.rewriting(),
            redis_login: self.modules.redis_login(),
            joins: self.modules.joins(choice),
            cancels: Arc::default(),
        })
    }

    /// What is asked of modules and does not fit together.
    pub(super) fn contradiction_of_modules(&self) -> Option<String> {
        if let Err(wrong) = Mask::with(self.modules.mask.iter().cloned()) {
            return Some(format!("--mask: {wrong}"));
        }
        let modules: Vec<Option<Module>> = self.rules.iter().map(|it| self.module_of(it)).collect();
        if self.modules.ask_something() && modules.iter().all(Option::is_none) {
            return Some(
                "--only, --except, --read-only and what rewrites requests are a protocol module's: say which with --protocol auto, or \
                 --protocol http1"
                    .to_owned(),
            );
        }
        if self.no_wait && modules.iter().flatten().any(Module::logs_in) {
            return Some(
                "a protocol with logins waits for responses, and --no-wait (-W) does not"
                    .to_owned(),
            );
        }
        if let Some(misfit) = modules.iter().flatten().find_map(|it| it.check().err()) {
            return Some(misfit.to_string());
        }
        self.rules.iter().zip(&modules).find_map(|(rule, module)| {
            let others = self.rules.iter().zip(&modules);
            let mut others = others.filter(|(other, _)| other.online.port == rule.online.port);
            let (other, _) = others.find(|(_, other)| *other != module)?;
            Some(format!(
                "rule {rule} and rule {other} are of one service, and their protocol= differs: a connection is read once, for all of \
                 its rules"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use protocol::{Choice, Protocol};

    use super::{Args, ProtocolArg};

    #[test]
    fn what_is_written_is_read() {
        for arg in ProtocolArg::all() {
            assert_eq!(arg.to_string().parse(), Ok(arg));
        }
        let refused = "http3".parse::<ProtocolArg>().unwrap_err();
        assert_eq!(
            refused,
            "write one of none, auto, http1, redis, postgres, mysql"
        );
    }

    #[test]
    fn names_are_masked() {
        let line = "tcpcopy -x 80-10.0.0.9:80 --mask X-Api-Key --mask iban";
        let mask = Args::parse_from(line.split(' ')).mask();
        assert!(mask.hides("x-api-key") && mask.hides("IBAN") && mask.hides("cookie"));
        assert!(!mask.hides("name"));
        let refused = Args::try_parse_from(["tcpcopy", "-x", "80-10.0.0.9:80", "--mask", "a b"]);
        assert!(refused.is_err());
        let many: Vec<String> = (0..300).map(|number| format!("--mask=n{number}")).collect();
        let line = ["tcpcopy", "-x", "80-10.0.0.9:80"].map(str::to_owned);
        let args = Args::parse_from(line.into_iter().chain(many));
        let refused = args.contradiction_of_modules().expect("too many");
        assert!(refused.contains("more than 256 names"), "{refused}");
    }

    #[test]
    fn a_rule_goes_before_the_run() {
        let choices = |line: &str| {
            let args = Args::parse_from(line.split(' '));
            let modules = args.rules.iter().map(|rule| args.module_of(rule));
            modules.map(|it| it.map(|it| it.choice)).collect::<Vec<_>>()
        };
        let http1 = Some(Choice::Is(Protocol::Http1));
        assert_eq!(
            choices("tcpcopy -x 80-10.0.0.9:80,81-10.0.0.9:81/protocol=http1"),
            [None, http1]
        );
        assert_eq!(
            choices("tcpcopy --protocol http1 -x 80-10.0.0.9:80/protocol=none,81-10.0.0.9:81"),
            [None, http1]
        );
        assert_eq!(
            choices("tcpcopy --protocol auto -x 80-10.0.0.9:80"),
            [Some(Choice::Auto)]
        );
    }

    #[test]
    fn what_does_not_fit_together_has_words() {
        let said = |line: &[&str]| {
            Args::try_parse_from(line)
                .expect("each option by itself is right")
                .contradiction_of_modules()
        };
        for (line, words) in [
            (
                &["tcpcopy", "-x", "80-10.0.0.9:80", "--read-only"][..],
                "say which with --protocol",
            ),
            (
                &[
                    "tcpcopy",
                    "-x",
                    "80-10.0.0.9:80,80-10.0.0.8:80/protocol=none",
                    "--protocol",
                    "http1",
                ],
                "are of one service",
            ),
        ] {
            let refused = said(line).expect("it does not fit");
            assert!(refused.contains(words), "{refused}");
        }
        let fits = [
            "tcpcopy",
            "-x",
            "80-10.0.0.9:80,80-10.0.0.8:80,81-10.0.0.8:81/protocol=none",
            "--protocol",
            "auto",
            "--only",
            "method=GET path=/api/*",
            "--mark-header",
        ];
        assert_eq!(said(&fits), None);
    }
}
