//! One run of the program: its options, and what they lead to, made when first needed.

use std::cell::OnceCell;

use crate::args::Global;
use crate::cluster::Cluster;
use crate::config::{Config, Context, Credential};
use crate::failure::Outcome;
use crate::output::Out;
use crate::server::Server;

/// What a command works with.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) out: Out,
    config: OnceCell<Config>,
    server: OnceCell<Server>,
}

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        let out = Out::new(global.output.clone(), global.quiet);
        Self { global, out, config: OnceCell::new(), server: OnceCell::new() }
    }

    /// The config file that is in effect.
    pub(crate) fn config(&self) -> Outcome<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::find(self.global.config.as_deref())?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The context that is in effect.
    pub(crate) fn context(&self) -> Outcome<&Context> {
        self.config()?.context(self.global.context.as_deref())
    }

    /// The HTTP API of the context.
    pub(crate) fn server(&self) -> Outcome<&Server> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let context = self.context()?;
        let credential = context.credential(&self.config()?.sign_in_file(context))?;
        let server = Server::of(context, credential, self.global.verbose)?;
        Ok(self.server.get_or_init(|| server))
    }

    /// The HTTP API of the context, for who has yet to sign in there.
    pub(crate) fn server_without_credential(&self) -> Outcome<Server> {
        Server::of(self.context()?, Credential::None, self.global.verbose)
    }

    /// The Kubernetes API of the context.
    pub(crate) async fn cluster(&self) -> Outcome<Cluster> {
        Cluster::of(self.context()?, self.global.verbose).await
    }

    /// `-n`.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.global.namespace.as_deref()
    }
}
