//! `velocity completion`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Outcome;
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "bash: source <(velocity completion bash)\nzsh:  velocity completion zsh > \"${fpath[1]}/_velocity\"\nfish: velocity completion fish > ~/.config/fish/completions/velocity.fish"
)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "velocity", &mut script);
    session.out.text(&String::from_utf8_lossy(&script))
}
