//! What the operating system knows of a process: memory and processor time, from /proc.

use std::path::Path;

use anyhow::Context;

/// Processor time, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Of the process itself.
    pub(crate) own: f64,
    /// Of the processes that it has started, and theirs, those that have ended included.
    pub(crate) below: f64,
}

impl Cpu {
    /// Of a process and all below it, since they started.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let all = every_process()?;
        let mut family = vec![pid];
        let mut below = 0.0;
        let mut at = 0;
        while let Some(parent) = family.get(at).copied() {
            for process in all.iter().filter(|process| process.parent == parent) {
                family.push(process.pid);
                below += process.own + process.reaped;
            }
            at += 1;
        }
        let itself = all.iter().find(|process| process.pid == pid);
        let own = itself.map_or(0.0, |process| process.own);
        Ok(Self { own, below: below + itself.map_or(0.0, |process| process.reaped) })
    }

    /// Between two points in time.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { own: self.own - earlier.own, below: self.below - earlier.below }
    }
}

struct Process {
    pid: u32,
    parent: u32,
    /// Microseconds of processor time.
    own: f64,
    /// The same of children that it has waited for.
    reaped: f64,
}

fn every_process() -> anyhow::Result<Vec<Process>> {
    let entries = std::fs::read_dir("/proc").context("this bench needs Linux's /proc")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids
        .filter_map(|pid| stat(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect())
}

/// Fields after the name, which stands in parentheses and may hold anything. A tick is 10 ms wherever Linux runs.
fn stat(pid: u32, text: &str) -> Option<Process> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let micros = |user: usize, system: usize| Some((ticks(user)? + ticks(system)?) * 10_000.0);
    Some(Process { pid, parent: fields.get(1)?.parse().ok()?, own: micros(11, 12)?, reaped: micros(13, 14)? })
}

/// A figure of /proc/PID/status in MiB, such as `VmRSS` or `VmHWM`.
pub(crate) fn memory_mib(pid: u32, name: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(Path::new(&path)).with_context(|| format!("{path} cannot be read"))?;
    let line =
        text.lines().find(|line| line.starts_with(name)).with_context(|| format!("{path} has no {name}"))?;
    let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).context("not a number")?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "7 (a b) c) S 3 7 7 0 -1 4194560 1 2 3 4 150 50 3 4 20 0 1 0 5 6 7";
        let process = stat(7, text).unwrap();
        assert_eq!(process.parent, 3);
        assert_eq!((process.own + process.reaped).to_bits(), 2_070_000.0_f64.to_bits());
    }

    #[test]
    fn this_process_has_used_memory() {
        assert!(memory_mib(std::process::id(), "VmRSS").unwrap() > 0.5);
        assert!(memory_mib(std::process::id(), "VmNothing").is_err());
    }
}
