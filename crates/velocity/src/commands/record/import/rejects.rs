//! The file of rows that were not imported.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::batch::Reject;
use crate::failure::{Failure, Outcome};

const HEADER: &str = "line,reason,row\n";

/// Rows that were not imported: a file that begins when the first one comes.
pub(super) struct Rejects {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Rejects {
    /// Makes room: a rejects file of an earlier run is replaced, any other file is left alone.
    pub(super) fn open(named: Option<&Path>, source: &Path) -> Outcome<Self> {
        let path = named.map_or_else(|| beside(source), Path::to_owned);
        match head(&path) {
            Ok(None) => {}
            Ok(Some(head)) if head == HEADER.as_bytes() => {
                std::fs::remove_file(&path).map_err(|error| cannot_write(&path, &error))?;
            }
            Ok(Some(_)) => {
                let message = format!("{} is there already and is no file of rejected rows", path.display());
                return Err(Failure::usage(message).with_help("name another file with --rejects"));
            }
            Err(error) => return Err(cannot_write(&path, &error)),
        }
        let mut rejects = Self { path, file: None };
        if named.is_some() {
            // A file that was asked for is there afterwards, even with nothing in it.
            rejects.begin()?;
        }
        Ok(rejects)
    }

    fn begin(&mut self) -> Outcome<&mut BufWriter<File>> {
        if self.file.is_none() {
            let file = File::create(&self.path).map_err(|error| cannot_write(&self.path, &error))?;
            let mut file = BufWriter::new(file);
            file.write_all(HEADER.as_bytes()).map_err(|error| cannot_write(&self.path, &error))?;
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| Failure::failed("the rejects file is not open"))
    }

    pub(super) fn write(&mut self, reject: &Reject) -> Outcome {
        let line = format!("{},{},{}\n", reject.line, quoted(&reject.reason), quoted(&reject.row));
        let written = self.begin()?.write_all(line.as_bytes());
        written.map_err(|error| cannot_write(&self.path, &error))
    }

    /// Brings everything to the disk.
    pub(super) fn finish(&mut self) -> Outcome {
        let flushed = self.file.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|error| cannot_write(&self.path, &error))
    }

    /// The file, if it was begun.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }
}

/// `flights.csv.gz.rejects.csv` in the current folder.
fn beside(source: &Path) -> PathBuf {
    let name = match source.file_name() {
        Some(name) if source.as_os_str() != "-" => name.to_string_lossy().into_owned(),
        _ => "import".to_owned(),
    };
    PathBuf::from(format!("{name}.rejects.csv"))
}

/// The first bytes of a file; nothing when there is none.
fn head(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A device such as /dev/null or /dev/stderr holds nothing that could be lost.
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut head = Vec::new();
    file.take(HEADER.len() as u64).read_to_end(&mut head)?;
    Ok(Some(head).filter(|head| !head.is_empty()))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_line_reason_and_the_row_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let mut rejects = Rejects::open(Some(&path), Path::new("x.csv")).unwrap();
        rejects.write(&Reject { line: 7, reason: "a: \"b\"".into(), row: "1,\"x,y\"".into() }).unwrap();
        rejects.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "line,reason,row\n7,\"a: \"\"b\"\"\",\"1,\"\"x,y\"\"\"\n");
        assert!(Rejects::open(Some(&path), Path::new("x.csv")).is_ok(), "a later run replaces it");
    }

    #[test]
    fn a_file_that_holds_something_else_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.csv");
        std::fs::write(&path, "precious\n").unwrap();
        assert!(Rejects::open(Some(&path), Path::new("x.csv")).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious\n");
    }

    #[test]
    fn without_a_name_it_is_called_after_the_file() {
        assert_eq!(beside(Path::new("data/flights.csv.gz")), Path::new("flights.csv.gz.rejects.csv"));
        assert_eq!(beside(Path::new("-")), Path::new("import.rejects.csv"));
    }
}
