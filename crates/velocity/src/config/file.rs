//! The config file.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use velocity_schema::violation::did_you_mean;

use super::locate;
use crate::failure::{Failure, Outcome};

/// The config file, and where it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Config {
    /// The context that commands use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current_context: Option<String>,
    /// The contexts.
    #[serde(default)]
    pub(crate) contexts: Vec<Context>,
    /// The file.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

/// A server and how to get in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the words of the config file")]
pub(crate) struct Context {
    /// Its name.
    pub(crate) name: String,
    /// The base URL of the HTTP API.
    pub(crate) server: String,
    /// The kubeconfig for resources; without it kubectl's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; without it its current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kube_context: Option<String>,
    /// The bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// A file that holds the bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// The provider to sign in at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) oidc: Option<Oidc>,
}

/// An OpenID Connect provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Oidc {
    /// Its issuer URL.
    pub(crate) issuer: String,
    /// The client that it knows us as.
    pub(crate) client_id: String,
}

impl Config {
    /// The config in effect; an empty one where there is no file yet.
    pub(crate) fn find(named: Option<&Path>) -> Outcome<Self> {
        let path = locate::config_path(named)?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, ..Self::default() });
            }
            Err(error) => return Err(Failure::failed(format!("{} cannot be read: {error}", path.display()))),
        };
        let mut config: Self = serde_saphyr::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is not a config: {}", path.display(), error.without_snippet()))
        })?;
        config.path = path;
        Ok(config)
    }

    /// The context of that name, or the current one.
    pub(crate) fn context(&self, name: Option<&str>) -> Outcome<&Context> {
        let file = self.path.display();
        let Some(wanted) = name.or(self.current_context.as_deref()) else {
            let failure = Failure::usage(format!("no context is set in {file}"));
            return Err(failure.with_help(
                "`velocityd dev` writes one for a laptop; `velocity context add NAME --server URL --use` sets one by hand",
            ));
        };
        self.contexts.iter().find(|context| context.name == wanted).ok_or_else(|| {
            let near = did_you_mean(wanted, self.contexts.iter().map(|context| context.name.as_str()));
            Failure::not_found(format!("{file} has no context `{wanted}`{near}"))
                .with_help("`velocity context list` shows those that there are")
        })
    }

    /// Writes the file, whole or not at all, readable by its owner only: it may hold tokens.
    pub(crate) fn save(&self) -> Outcome {
        let failed = |error: std::io::Error| {
            Failure::failed(format!("{} cannot be written: {error}", self.path.display()))
        };
        let text = serde_saphyr::to_string(self)
            .map_err(|error| Failure::failed(format!("the config cannot be written: {error}")))?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let draft = self.path.with_extension("yaml.new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&draft, &self.path).map_err(failed)
    }
}

impl Context {
    /// The bearer token, from wherever it is kept.
    pub(crate) fn bearer(&self) -> Outcome<Option<String>> {
        if let Some(token) = &self.token {
            return Ok(Some(token.clone()));
        }
        if let Some(path) = &self.token_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!("the token file {} cannot be read: {error}", path.display()))
            })?;
            return Ok(Some(text.trim().to_owned()));
        }
        if self.oidc.is_some() {
            let message =
                format!("context `{}` signs in by OpenID Connect, which is not supported yet", self.name);
            return Err(Failure::usage(message).with_help("give the context a token or a tokenFile"));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_comes_back_as_it_was_saved_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.yaml");
        let config = Config {
            current_context: Some("dev".into()),
            contexts: vec![Context {
                name: "dev".into(),
                server: "http://127.0.0.1:8080".into(),
                kubeconfig: Some("/k".into()),
                kube_context: None,
                token: Some("eyJ".into()),
                token_file: None,
                oidc: Some(Oidc { issuer: "https://id".into(), client_id: "c".into() }),
            }],
            path: path.clone(),
        };
        config.save().unwrap();
        assert_eq!(Config::find(Some(&path)).unwrap(), config);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, "curentContext: x\n").unwrap();
        let failure = Config::find(Some(&path)).unwrap_err();
        assert!(failure.message().contains("curentContext"), "{}", failure.message());
    }
}
