//! Reads libpq connection strings: `postgresql://...` and `host=... user=...`.

use std::{borrow::Cow, str::FromStr, time::Duration};

use super::{ChannelBinding, Config, Host, Secret, SslMode, SslRoots};

/// The parameters that are understood, as they are listed to whoever used another.
const KNOWN: &str = "host, port, user, password, dbname, sslmode, sslrootcert, channel_binding, \
                     application_name, connect_timeout, options";

/// What is wrong with a connection string. Never quotes the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A parameter that is not understood.
    #[error("unknown connection parameter {name:?}; known are {KNOWN}")]
    UnknownParameter {
        /// Its name.
        name: String,
    },
    /// A parameter that was given twice.
    #[error("connection parameter {name} is given twice")]
    Duplicate {
        /// Its name.
        name: String,
    },
    /// A parameter whose value makes no sense.
    #[error("connection parameter {name}: {problem}")]
    Value {
        /// Its name.
        name: &'static str,
        /// What is wrong, and what is possible.
        problem: String,
    },
    /// A parameter that has to be there.
    #[error("connection parameter {name} is missing; add {example}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// What it looks like.
        example: &'static str,
    },
    /// The text is neither a URL nor a list of `name=value`.
    #[error("connection string is malformed: {problem}")]
    Syntax {
        /// What is wrong.
        problem: String,
    },
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        let url = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
        match url {
            Some(rest) => parse_url(rest)?.build(),
            None => parse_keywords(text)?.build(),
        }
    }
}

#[derive(Default)]
struct Draft {
    values: Vec<(&'static str, String)>,
}

const NAMES: [&str; 11] = [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "channel_binding",
    "application_name",
    "connect_timeout",
    "options",
];

impl Draft {
    fn set(&mut self, name: &str, value: String) -> Result<(), ConfigError> {
        let Some(name) = NAMES.iter().find(|known| **known == name) else {
            // Anything else is likelier a piece of an unescaped password than a name.
            let is_name = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let name = if is_name { name.to_owned() } else { "(not a name)".to_owned() };
            return Err(ConfigError::UnknownParameter { name });
        };
        if self.values.iter().any(|(known, _)| known == name) {
            return Err(ConfigError::Duplicate { name: (*name).to_owned() });
        }
        if value.contains('\0') {
            return Err(ConfigError::Value { name, problem: "contains a NUL byte".into() });
        }
        self.values.push((name, value));
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.values.iter().position(|(known, _)| *known == name)?;
        Some(self.values.swap_remove(index).1).filter(|value| !value.is_empty())
    }

    fn build(mut self) -> Result<Config, ConfigError> {
        let host = self.take("host").ok_or(ConfigError::Missing {
            name: "host",
            example: "host=localhost, or the directory of a socket",
        })?;
        let user =
            self.take("user").ok_or(ConfigError::Missing { name: "user", example: "user=velocity_api" })?;
        let config = Config {
            host: parse_host(&host)?,
            port: self.take("port").map_or(Ok(5432), |port| parse_port(&port))?,
            password: self.take("password").map(Secret::new),
            dbname: self.take("dbname").unwrap_or_else(|| user.clone()),
            user,
            sslmode: self.take("sslmode").map_or(Ok(SslMode::default()), |mode| parse_sslmode(&mode))?,
            sslrootcert: self.take("sslrootcert").map(|path| match &*path {
                "system" => SslRoots::System,
                _ => SslRoots::File(path.into()),
            }),
            channel_binding: self
                .take("channel_binding")
                .map_or(Ok(ChannelBinding::default()), |value| parse_channel_binding(&value))?,
            application_name: self.take("application_name"),
            connect_timeout: self
                .take("connect_timeout")
                .map_or(Ok(Config::DEFAULT_CONNECT_TIMEOUT), |seconds| parse_timeout(&seconds))?,
            options: self.take("options"),
        };
        check_consistent(&config)?;
        Ok(config)
    }
}

fn check_consistent(config: &Config) -> Result<(), ConfigError> {
    let weak = matches!(config.sslmode, SslMode::Prefer | SslMode::Disable);
    if config.channel_binding == ChannelBinding::Require && config.sslmode == SslMode::Disable {
        let problem = "\"require\" needs TLS; set sslmode=verify-full".into();
        return Err(ConfigError::Value { name: "channel_binding", problem });
    }
    if config.sslrootcert == Some(SslRoots::System) && config.sslmode != SslMode::VerifyFull {
        let problem =
            "\"system\" trusts every public authority, so that only sslmode=verify-full is of use".into();
        return Err(ConfigError::Value { name: "sslrootcert", problem });
    }
    if config.sslrootcert.is_some() && weak {
        let problem = "has no effect with sslmode=disable or prefer; set sslmode=verify-full".into();
        return Err(ConfigError::Value { name: "sslrootcert", problem });
    }
    if config.sslmode == SslMode::VerifyCa && config.sslrootcert.is_none() {
        return Err(ConfigError::Missing { name: "sslrootcert", example: "sslrootcert=/path/to/ca.crt" });
    }
    let needs_tls = !matches!(config.sslmode, SslMode::Prefer | SslMode::Disable);
    if needs_tls && matches!(config.host, Host::UnixDirectory(_)) {
        let problem = "a Unix socket has no TLS; leave it out, or connect by TCP".into();
        return Err(ConfigError::Value { name: "sslmode", problem });
    }
    Ok(())
}

fn parse_host(host: &str) -> Result<Host, ConfigError> {
    if host.contains(',') {
        let problem = "one host is possible; put a service or a pooler in front of several".into();
        return Err(ConfigError::Value { name: "host", problem });
    }
    if host.starts_with('/') {
        return Ok(Host::UnixDirectory(host.into()));
    }
    Ok(Host::Tcp(host.to_owned()))
}

fn parse_port(port: &str) -> Result<u16, ConfigError> {
    match port.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(ConfigError::Value { name: "port", problem: "is not a number from 1 to 65535".into() }),
    }
}

fn parse_timeout(seconds: &str) -> Result<Duration, ConfigError> {
    match seconds.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => {
            let problem = format!("{seconds:?} is not a number of seconds, 1 or more");
            Err(ConfigError::Value { name: "connect_timeout", problem })
        }
    }
}

fn parse_sslmode(mode: &str) -> Result<SslMode, ConfigError> {
    Ok(match mode {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => {
            let problem = format!("{mode:?} is none of disable, prefer, require, verify-ca, verify-full");
            return Err(ConfigError::Value { name: "sslmode", problem });
        }
    })
}

fn parse_channel_binding(value: &str) -> Result<ChannelBinding, ConfigError> {
    Ok(match value {
        "disable" => ChannelBinding::Disable,
        "prefer" => ChannelBinding::Prefer,
        "require" => ChannelBinding::Require,
        _ => {
            let problem = format!("{value:?} is none of disable, prefer, require");
            return Err(ConfigError::Value { name: "channel_binding", problem });
        }
    })
}

/// `user:password@host:port/dbname?name=value&...`, after the scheme.
fn parse_url(rest: &str) -> Result<Draft, ConfigError> {
    let mut draft = Draft::default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, dbname) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    };
    if let Some(login) = login {
        let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
        set_nonempty(&mut draft, "user", user)?;
        set_nonempty(&mut draft, "password", password.unwrap_or_default())?;
    }
    let (host, port) = split_address(address)?;
    set_nonempty(&mut draft, "host", host)?;
    set_nonempty(&mut draft, "port", port)?;
    set_nonempty(&mut draft, "dbname", dbname)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| ConfigError::Syntax { problem: "a parameter after '?' has no '='".into() })?;
        draft.set(&decode(name)?, decode(value)?.into_owned())?;
    }
    Ok(draft)
}

fn set_nonempty(draft: &mut Draft, name: &str, value: &str) -> Result<(), ConfigError> {
    if value.is_empty() { Ok(()) } else { draft.set(name, decode(value)?.into_owned()) }
}

fn split_address(address: &str) -> Result<(&str, &str), ConfigError> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or_else(|| ConfigError::Syntax { problem: "an address in '[' has no ']'".into() })?;
        return Ok((host, after.strip_prefix(':').unwrap_or(after)));
    }
    Ok(address.split_once(':').unwrap_or((address, "")))
}

fn decode(text: &str) -> Result<Cow<'_, str>, ConfigError> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| ConfigError::Syntax { problem: "a %-sequence is not UTF-8".into() })
}

/// `name=value name='value with spaces'`, with `\` before quotes and backslashes.
fn parse_keywords(text: &str) -> Result<Draft, ConfigError> {
    let syntax = |problem: &str| ConfigError::Syntax { problem: problem.into() };
    let mut draft = Draft::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) =
            rest.split_once('=').ok_or_else(|| syntax("expected name=value, or a postgresql:// URL"))?;
        let after = after.trim_start();
        let quoted = after.strip_prefix('\'');
        let mut value = String::new();
        let mut chars = quoted.unwrap_or(after).chars();
        let mut closed = quoted.is_none();
        while let Some(c) = chars.next() {
            match c {
                '\\' => value.push(chars.next().ok_or_else(|| syntax("it ends in a backslash"))?),
                '\'' if quoted.is_some() => {
                    closed = true;
                    break;
                }
                c if c.is_whitespace() && quoted.is_none() => break,
                c => value.push(c),
            }
        }
        if !closed {
            return Err(syntax("a value in quotes is not closed"));
        }
        draft.set(name.trim(), value)?;
        rest = chars.as_str().trim_start();
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_gives_every_part() {
        let config = parse(
            "postgresql://velocity%5Fapi:p%40ss%3Aword@db.example:6432/main?sslmode=verify-full&\
             application_name=api&connect_timeout=3&sslrootcert=%2Fetc%2Fca.crt&options=-c%20jit%3Doff",
        );
        assert_eq!(config.host, Host::Tcp("db.example".into()));
        assert_eq!((config.port, &*config.user, &*config.dbname), (6432, "velocity_api", "main"));
        assert_eq!(config.password.as_ref().unwrap().expose(), "p@ss:word");
        assert_eq!(config.sslmode, SslMode::VerifyFull);
        assert_eq!(config.sslrootcert, Some(SslRoots::File("/etc/ca.crt".into())));
        assert_eq!(config.connect_timeout, Duration::from_secs(3));
        assert_eq!(config.options.as_deref(), Some("-c jit=off"));
        assert!(!format!("{config:?}").contains("p@ss"));
    }

    #[test]
    fn a_socket_directory_is_possible_in_both_forms() {
        let config = parse("postgres://u@%2Fvar%2Frun/db");
        assert_eq!(config.host, Host::UnixDirectory("/var/run".into()));
        assert_eq!(parse("postgres:///db?host=/var/run&user=u"), config);
        assert_eq!(parse("host=/var/run user=u dbname=db"), config);
    }

    #[test]
    fn keywords_can_be_quoted_and_escaped() {
        let config = parse(r"host = localhost user='o\'brien' password = 'a b\\c' ");
        assert_eq!(&*config.user, "o'brien");
        assert_eq!(config.dbname, config.user);
        assert_eq!(config.password.unwrap().expose(), r"a b\c");
        assert_eq!(parse("postgres://u@[::1]:6000/d").host, Host::Tcp("::1".into()));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_way_out_and_without_the_password() {
        for (text, part) in [
            ("postgres://u:secret@h/d?sslmod=require", "unknown connection parameter \"sslmod\""),
            ("postgres://u:secret@h/d?user=v", "user is given twice"),
            ("host=h password=secret", "user is missing"),
            ("user=u password=secret", "host is missing"),
            ("postgres://u:secret@h:0/d", "1 to 65535"),
            ("postgres://u:secret@a,b/d", "one host"),
            ("host=h user=u password='secret", "not closed"),
            ("host=h user=u sslmode=allow password=secret", "none of disable"),
            ("host=/run user=u sslmode=require password=secret", "Unix socket"),
            ("host=h user=u sslmode=verify-ca password=secret", "sslrootcert is missing"),
            ("host=h user=u sslrootcert=/ca password=secret", "no effect"),
            ("host=h user=u sslmode=require sslrootcert=system password=secret", "verify-full"),
            ("host=h user=u sslmode=disable channel_binding=require password=secret", "needs TLS"),
            ("host=h user=u connect_timeout=0 password=secret", "number of seconds"),
            ("nonsense secret", "expected name=value"),
            ("postgres://u:%ff@h/secret", "not UTF-8"),
        ] {
            let error = text.parse::<Config>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
