//! Server settings: what a laptop wants, and what keeps the server private.

use std::ffi::OsString;
use std::path::Path;

use crate::PORT;
use crate::error::Error;
use crate::options::Durability;

/// Settings that a caller cannot choose: each would open the server to others or move its files.
const RESERVED: [&str; 9] = [
    "listen_addresses",
    "port",
    "unix_socket_directories",
    "unix_socket_permissions",
    "unix_socket_group",
    "data_directory",
    "hba_file",
    "ident_file",
    "external_pid_file",
];

/// For a machine that also runs an editor and a browser: moderate memory, few checkpoints, and no JIT, whose
/// compile time exceeds that of any request.
const FOR_A_LAPTOP: [(&str, &str); 12] = [
    ("shared_buffers", "128MB"),
    ("max_connections", "100"),
    ("max_wal_size", "2GB"),
    ("checkpoint_timeout", "15min"),
    ("random_page_cost", "1.1"),
    ("jit", "off"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_line_prefix", "%m [%p] %q%u@%d "),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("update_process_title", "on"),
];

const DURABLE: [(&str, &str); 3] =
    [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")];

/// `synchronous_commit` stays on: it is what hands a commit to the operating system, which outlives a killed
/// server, and without fsync costs next to nothing.
const FORGETFUL: [(&str, &str); 3] =
    [("fsync", "off"), ("synchronous_commit", "on"), ("full_page_writes", "off")];

pub(crate) fn check(chosen: &[(String, String)]) -> Result<(), Error> {
    for (name, _) in chosen {
        let sound =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        if !sound {
            return Err(Error::BadSettingName { name: name.clone() });
        }
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(&name.replace('-', "_"))) {
            return Err(Error::ReservedSetting { name: name.clone() });
        }
    }
    Ok(())
}

/// The arguments of `postgres`. Later ones win, so the private ones come last.
pub(crate) fn arguments(
    data: &Path,
    socket_dir: &Path,
    durability: Durability,
    chosen: &[(String, String)],
) -> Vec<OsString> {
    let mut arguments = vec!["-D".into(), data.into()];
    let mut set = |name: &str, value: &str| arguments.extend(["-c".into(), format!("{name}={value}").into()]);
    let durability = match durability {
        Durability::Full => DURABLE,
        Durability::None => FORGETFUL,
    };
    for (name, value) in FOR_A_LAPTOP.iter().chain(&durability) {
        set(name, value);
    }
    for (name, value) in chosen {
        set(name, value);
    }
    set("listen_addresses", "");
    set("port", &PORT.to_string());
    set("unix_socket_permissions", "0700");
    set("unix_socket_directories", &directory_list(socket_dir));
    arguments
}

/// The setting is a comma-separated list, so our one folder goes in double quotes.
///
/// The layout has seen to it that the path is UTF-8.
fn directory_list(dir: &Path) -> String {
    format!("\"{}\"", dir.display().to_string().replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(name: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), "x".to_owned())]
    }

    #[test]
    fn nobody_can_open_the_server_by_a_setting() {
        for name in ["listen_addresses", "LISTEN_ADDRESSES", "hba_file", "unix_socket_permissions"] {
            assert!(matches!(check(&chosen(name)), Err(Error::ReservedSetting { .. })), "{name}");
        }
        for name in ["listen-addresses", "", "a=b", "listen_addresses "] {
            assert!(matches!(check(&chosen(name)), Err(Error::BadSettingName { .. })), "{name}");
        }
        assert!(check(&chosen("work_mem")).is_ok());
        assert!(check(&chosen("velocity.actor")).is_ok());
    }

    #[test]
    fn a_quote_in_the_socket_folder_stays_inside_the_list_element() {
        assert_eq!(directory_list(Path::new("/a \"b\", c")), "\"/a \"\"b\"\", c\"");
    }

    #[test]
    fn a_chosen_setting_comes_after_the_defaults_and_before_the_private_ones() {
        let arguments = arguments(
            Path::new("/d"),
            Path::new("/s"),
            Durability::Full,
            &[("shared_buffers".to_owned(), "1GB".to_owned())],
        );
        let position = |wanted: &str| arguments.iter().position(|a| a == wanted).unwrap();
        assert!(position("shared_buffers=128MB") < position("shared_buffers=1GB"));
        assert!(position("shared_buffers=1GB") < position("listen_addresses="));
        assert!(arguments.iter().any(|a| a == "fsync=on"));
    }
}
