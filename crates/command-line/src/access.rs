//! Who may read what is shown at `--listen`.

use std::path::PathBuf;

use clap::Args;
use exporter::{Access, TokenError};

/// The options for that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct AccessArgs {
    /// Show them to those alone who have the token in this file: `Authorization: Bearer TOKEN`
    ///
    /// 16 to 256 characters in one line, as `openssl rand -base64 32` writes them, in a file that its owner alone may read. /ready and
    /// /health are shown without it. There is no TLS: whoever reads the network reads the token.
    #[arg(long, requires = "listen", value_name = "FILE")]
    metrics_token: Option<PathBuf>,

    /// Answer to these names of this host as well [default: addresses and localhost alone]
    ///
    /// A name that is not known is refused, so that no web page can read the metrics through somebody's browser (DNS rebinding).
    /// Whoever has the token may ask by any name.
    #[arg(long = "metrics-name", requires = "listen", value_name = "NAME[,...]", value_delimiter = ',', value_parser = exporter::access::parse_name)]
    metrics_names: Vec<String>,
}

impl AccessArgs {
    /// Who may read; the file of the token is read.
    ///
    /// # Errors
    ///
    /// [`TokenError`] where that is no use.
    pub fn access(&self) -> Result<Access, TokenError> {
        Access::new(self.metrics_token.as_deref(), &self.metrics_names)
    }
}
