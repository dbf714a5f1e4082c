//! The config file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use velocity_schema::violation::did_you_mean;

use super::{locate, private_file};
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
    /// A file that holds an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_file: Option<PathBuf>,
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

/// How a context gets in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Credential {
    /// Without saying who we are.
    None,
    /// With a token.
    Bearer(String),
    /// With an API key.
    ApiKey(String),
    /// With the tokens of a provider, which are renewed when they expire.
    Oidc {
        /// Who issues them.
        provider: Oidc,
        /// Where they are kept.
        file: PathBuf,
    },
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
        private_file::write(&self.path, &text).map_err(failed)
    }

    /// Where the sign-in of a context is kept when the context names no file.
    pub(crate) fn sign_in_file(&self, context: &Context) -> PathBuf {
        let name = crate::server::segment(&context.name);
        context.token_file.clone().unwrap_or_else(|| self.path.with_file_name("tokens").join(name))
    }
}

impl Context {
    /// How the context gets in. `sign_in` is where its provider's tokens are kept.
    pub(crate) fn credential(&self, sign_in: &Path) -> Outcome<Credential> {
        let given = [
            ("token", self.token.is_some()),
            ("tokenFile", self.token_file.is_some()),
            ("apiKeyFile", self.api_key_file.is_some()),
            ("oidc", self.oidc.is_some()),
        ];
        let given: Vec<&str> =
            given.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
        // With oidc a tokenFile says where its tokens are kept.
        if given.len() > 1 && given != ["tokenFile", "oidc"] {
            let message =
                format!("context `{}` has {}: which of them counts?", self.name, given.join(" and "));
            return Err(
                Failure::usage(message).with_help("leave one: `velocity context add` replaces a context")
            );
        }
        if let Some(oidc) = &self.oidc {
            return Ok(Credential::Oidc { provider: oidc.clone(), file: sign_in.to_owned() });
        }
        if let Some(path) = &self.api_key_file {
            return read(path, "API key file").map(Credential::ApiKey);
        }
        if let Some(path) = &self.token_file {
            return read(path, "token file").map(Credential::Bearer);
        }
        Ok(self.token.clone().map_or(Credential::None, Credential::Bearer))
    }
}

fn read(path: &Path, what: &str) -> Outcome<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => {
            let failure = Failure::usage(format!("the {what} {} cannot be read: {error}", path.display()));
            Err(if what == "token file" {
                failure.with_help("`velocity auth login` signs in and writes it")
            } else {
                failure
            })
        }
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
                api_key_file: None,
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
    fn a_context_has_one_way_in() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, " vel_dev_x\n").unwrap();
        let context = |yaml: &str| -> Context {
            serde_saphyr::from_str(&format!("{{name: c, server: 'http://x', {yaml}}}")).unwrap()
        };
        let of = |yaml: &str| context(yaml).credential(Path::new("/tokens/c"));
        let file = key.display();
        assert_eq!(of(&format!("apiKeyFile: '{file}'")).unwrap(), Credential::ApiKey("vel_dev_x".into()));
        assert_eq!(of(&format!("tokenFile: '{file}'")).unwrap(), Credential::Bearer("vel_dev_x".into()));
        assert_eq!(of("token: t").unwrap(), Credential::Bearer("t".into()));
        assert_eq!(context("kubeContext: x").credential(Path::new("")).unwrap(), Credential::None);
        let oidc = "oidc: {issuer: 'https://id', clientId: c}";
        let Credential::Oidc { file, .. } = of(&format!("{oidc}, tokenFile: /t")).unwrap() else { panic!() };
        assert_eq!(file, Path::new("/tokens/c"));
        for two in ["token: t, tokenFile: /t", "token: t, apiKeyFile: /k", &format!("{oidc}, token: t")] {
            assert!(of(two).unwrap_err().message().contains("which of them counts"), "{two}");
        }
        assert!(of("tokenFile: /nowhere").unwrap_err().has_help());
        let config = Config { path: "/home/config.yaml".into(), ..Config::default() };
        assert_eq!(config.sign_in_file(&context("token: t")), Path::new("/home/tokens/c"));
        assert_eq!(config.sign_in_file(&context("tokenFile: /t")), Path::new("/t"));
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
