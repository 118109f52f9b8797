//! What the operating system says of this process.

/// The most memory this process has held at once, bytes; None where the system does not tell.
pub(super) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Minor page faults of this process so far.
pub(super) fn minor_page_faults() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the command, in parentheses, may hold spaces; the eighth field behind it is the count.
    stat.rsplit(')').next()?.split_whitespace().nth(7)?.parse().ok()
}
