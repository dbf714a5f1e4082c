//! What to install where Postgres is missing.

use std::fs;

/// The command that installs Postgres on this system, or one for each common system when it is not known.
pub(crate) fn install_hint() -> String {
    if cfg!(target_os = "macos") {
        return format!("Install it: `{BREW}`.");
    }
    for_os_release(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

const APT: &str = "sudo apt-get install postgresql";
const DNF: &str = "sudo dnf install postgresql-server";
const BREW: &str = "brew install postgresql@18";
const APK: &str = "sudo apk add postgresql";
const PACMAN: &str = "sudo pacman -S postgresql";
const ZYPPER: &str = "sudo zypper install postgresql-server";

fn for_os_release(os_release: &str) -> String {
    let words: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .collect();
    let command = words.iter().find_map(|word| match *word {
        "debian" | "ubuntu" => Some(APT),
        "fedora" | "rhel" | "centos" => Some(DNF),
        "alpine" => Some(APK),
        "arch" => Some(PACMAN),
        "suse" | "opensuse" => Some(ZYPPER),
        _ => None,
    });
    match command {
        Some(command) => format!("Install it: `{command}`."),
        None => {
            format!("Install it: `{APT}` (Debian, Ubuntu), `{DNF}` (Fedora, Red Hat) or `{BREW}` (Homebrew).")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_command_of_the_system_and_all_of_them_on_an_unknown_one() {
        assert!(for_os_release("NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").contains(APT));
        assert!(for_os_release("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"").contains(DNF));
        let unknown = for_os_release("");
        assert!([APT, DNF, BREW].iter().all(|command| unknown.contains(command)));
    }
}
