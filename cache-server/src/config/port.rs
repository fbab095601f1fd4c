//! One UDP port as typed: `PORT[=STRATEGY[,mtu=N]]`.

use std::fmt;
use std::str::FromStr;

use shingle_proto::wire::Strategy;

use crate::strategy;

/// A UDP port to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortConfig {
    /// Port number; 0 lets the kernel pick one.
    pub port: u16,
    /// What the port does about answers longer than the path carries.
    pub strategy: Strategy,
    /// Caps the path MTU of this port, in bytes of an IP packet; `None`: the server's cap holds.
    pub path_mtu_bytes: Option<usize>,
}

impl PortConfig {
    /// A port without a cap of its own.
    #[must_use]
    pub const fn new(port: u16, strategy: Strategy) -> PortConfig {
        PortConfig { port, strategy, path_mtu_bytes: None }
    }
}

impl FromStr for PortConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, options) = text.split_once('=').map_or((text, None), |(port, rest)| (port, Some(rest)));
        let port = port
            .parse()
            .map_err(|_| format!("port `{port}` is out of range: give 1 to 65535, or 0 for a free one"))?;
        let Some(options) = options else { return Ok(PortConfig::new(port, Strategy::Chunked)) };
        let (strategy, mtu) =
            options.split_once(',').map_or((options, None), |(name, mtu)| (name, Some(mtu)));
        let path_mtu_bytes = mtu.map(parse_mtu).transpose()?;
        Ok(PortConfig { path_mtu_bytes, ..PortConfig::new(port, strategy::parse(strategy)?) })
    }
}

fn parse_mtu(option: &str) -> Result<usize, String> {
    let number = option.strip_prefix("mtu=").and_then(|number| number.parse().ok());
    number.ok_or_else(|| {
        format!("`{option}` is not understood: after the strategy comes mtu=N, such as 7400=chunked,mtu=1500")
    })
}

impl fmt::Display for PortConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.port, self.strategy.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_form() {
        assert_eq!("7400".parse(), Ok(PortConfig::new(7400, Strategy::Chunked)));
        assert_eq!("0=df-off".parse(), Ok(PortConfig::new(0, Strategy::DfOff)));
        let capped =
            PortConfig { path_mtu_bytes: Some(1500), ..PortConfig::new(7402, Strategy::KernelPmtud) };
        assert_eq!("7402=kernel-pmtud,mtu=1500".parse(), Ok(capped));
    }

    #[test]
    fn errors_name_what_was_wrong() {
        for (text, wrong) in [
            ("", "``"),
            ("65536", "`65536`"),
            ("x=chunked", "`x`"),
            ("7400=", "``"),
            ("7400=fast", "`fast`"),
            ("7400=chunked,1500", "`1500`"),
            ("7400=chunked,mtu=big", "`mtu=big`"),
            ("7400=chunked,mtu=1,mtu=2", "`mtu=1,mtu=2`"),
        ] {
            let error = text.parse::<PortConfig>().unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
