//! `velocity record export`.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure, Outcome};
use crate::output::progress::Progress;
use crate::server::{Request, Schema};
use crate::session::Session;

use super::list::Selection;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the records
    schema: String,
    #[command(flatten)]
    selection: Selection,
    /// Form of the file
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    format: ExportFormat,
    /// File to write [default: standard output]
    #[arg(short, long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ExportFormat {
    /// A header, then a line a record
    Csv,
    /// A JSON object a line
    Ndjson,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let format = match args.format {
        ExportFormat::Csv => "csv",
        ExportFormat::Ndjson => "ndjson",
    };
    let request = args.selection.on(Request::get(schema.route("export"))).query("format", format);
    let mut response = server.stream(&request).await?;
    let mut progress = Progress::bytes(None, session.out.quiet);
    let mut target = Target::of(args.file.as_deref())?;
    let mut written = 0;
    loop {
        let chunk = response.chunk().await.map_err(|error| {
            Failure::new(Exit::Unavailable, format!("the export broke off after {written} bytes: {error}"))
                .with_help("what was written is not complete; run it again")
        })?;
        let Some(chunk) = chunk else { break };
        target.write(&chunk)?;
        written += chunk.len() as u64;
        // On standard output a bar would mix with the records.
        if args.file.is_some() {
            progress.at(written, String::new());
        }
    }
    progress.finish();
    target.finish()
}

/// A file appears under its name when it is whole.
enum Target {
    Stdout(std::io::BufWriter<std::io::Stdout>),
    File { draft: PathBuf, path: PathBuf, file: std::io::BufWriter<std::fs::File>, whole: bool },
}

impl Target {
    fn of(path: Option<&Path>) -> Outcome<Self> {
        let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
            return Ok(Self::Stdout(std::io::BufWriter::new(std::io::stdout())));
        };
        let mut draft = path.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        let file = std::fs::File::create(&draft).map_err(|error| cannot_write(&draft, &error))?;
        Ok(Self::File { draft, path: path.to_owned(), file: std::io::BufWriter::new(file), whole: false })
    }

    fn write(&mut self, chunk: &[u8]) -> Outcome {
        match self {
            Self::Stdout(out) => Ok(out.write_all(chunk)?),
            Self::File { draft, file, .. } => {
                file.write_all(chunk).map_err(|error| cannot_write(draft, &error))
            }
        }
    }

    fn finish(mut self) -> Outcome {
        match &mut self {
            Self::Stdout(out) => Ok(out.flush()?),
            Self::File { draft, path, file, whole } => {
                let done = file.flush().and_then(|()| std::fs::rename(&*draft, &*path));
                done.map_err(|error| cannot_write(path, &error))?;
                *whole = true;
                Ok(())
            }
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { draft, whole: false, .. } = self {
            // A part that nobody can use; when it cannot be removed its name still says what it is.
            let _ = std::fs::remove_file(draft);
        }
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", path.display()))
}
