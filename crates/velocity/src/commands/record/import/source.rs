//! The bytes of a file, unpacked, and how far into the file they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::failure::{Failure, Outcome};

/// What one read takes from the file.
const BUFFER: usize = 256 << 10;
/// RFC 1952, section 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file to import.
pub(super) struct Source {
    /// Its rows.
    pub(super) bytes: Box<dyn BufRead + Send>,
    /// Its size as it is on disk; nothing for a pipe.
    pub(super) total: Option<u64>,
    /// How much of it has been read.
    pub(super) read: Arc<AtomicU64>,
    /// Its name, for messages.
    pub(super) name: String,
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Opens a file; gzip is known by its first bytes, whatever the name says.
pub(super) fn open(path: &Path) -> Outcome<Source> {
    let stdin = path.as_os_str() == "-";
    let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    let failed = |error: io::Error| {
        let failure =
            if error.kind() == io::ErrorKind::NotFound { Failure::not_found } else { Failure::failed };
        failure(format!("{name} cannot be read: {error}"))
    };
    let (raw, total): (Box<dyn Read + Send>, Option<u64>) = if stdin {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{name} is a folder; name a file")));
        }
        (Box::new(file), Some(metadata.len()).filter(|_| metadata.is_file()))
    };
    let read = Arc::new(AtomicU64::new(0));
    let bytes = unpacked(Counted { inner: raw, read: Arc::clone(&read) }).map_err(failed)?;
    Ok(Source { bytes, total, read, name })
}

fn unpacked(raw: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut buffered = BufReader::with_capacity(BUFFER, raw);
    let mut head = Vec::new();
    // A pipe may give its first byte alone.
    while head.len() < GZIP_MAGIC.len() {
        let mut byte = [0];
        if buffered.read(&mut byte)? == 0 {
            break;
        }
        head.push(byte[0]);
    }
    let is_gzip = head == GZIP_MAGIC;
    let whole = io::Cursor::new(head).chain(buffered);
    Ok(if is_gzip {
        // A gzip file may be several, one after the other.
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(whole)))
    } else {
        Box::new(whole)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        let mut text = String::new();
        unpacked(io::Cursor::new(bytes)).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes_and_may_have_several_members() {
        let member = |text: &str| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(text.as_bytes()).unwrap();
            gzip.finish().unwrap()
        };
        assert_eq!(text([member("a,b\n"), member("1,2\n")].concat()), "a,b\n1,2\n");
        assert_eq!(text(b"a,b\n".to_vec()), "a,b\n");
        assert_eq!(text(b"x".to_vec()), "x");
        assert_eq!(text(Vec::new()), "");
    }

    #[test]
    fn what_is_there_but_is_no_file_is_an_error() {
        assert!(open(Path::new("/nowhere/at/all.csv")).err().unwrap().message().contains("cannot be read"));
        assert!(open(&std::env::temp_dir()).err().unwrap().message().contains("folder"));
    }
}
