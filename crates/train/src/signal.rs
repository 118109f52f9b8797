//! Stopping on request: a signal sets a flag, and the loop looks at it between two steps.
//!
//! The first interrupt (Ctrl-C), SIGTERM or SIGHUP asks the loop to save and leave; a second interrupt ends the process at
//! once, with exit code 130. Ending at once is safe: files are written aside and renamed. Without `install` nothing
//! is caught, so a library user and the tests keep their own signals.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A signal that asks a run to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// Ctrl-C.
    Interrupt,
    /// What `kill`, a container and a batch system send.
    Terminate,
    /// The terminal is gone, as when a connection breaks.
    Hangup,
}

impl StopSignal {
    /// What a shell reports for a process that this signal ended: 128 and the signal's number.
    pub fn exit_code(self) -> u8 {
        match self {
            StopSignal::Hangup => 129,
            StopSignal::Interrupt => 130,
            StopSignal::Terminate => 143,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            StopSignal::Interrupt => "SIGINT",
            StopSignal::Terminate => "SIGTERM",
            StopSignal::Hangup => "SIGHUP",
        }
    }
}

/// A flag for each signal, because a SIGTERM before it must not make the first interrupt the second.
static INTERRUPT: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static TERMINATE: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static HANGUP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// The signal by which another rank was asked to stop this run.
static OF_ANOTHER: OnceLock<StopSignal> = OnceLock::new();

/// Remembers a signal that another rank got, and for which this one stops too.
pub(crate) fn adopt(signal: StopSignal) {
    let _ = OF_ANOTHER.set(signal);
}

/// Whether someone asked the run to stop.
pub fn stop_requested() -> bool {
    stop_signal().is_some()
}

/// The signal that asked the run to stop; of several one.
pub fn stop_signal() -> Option<StopSignal> {
    let flags = [
        (&INTERRUPT, StopSignal::Interrupt),
        (&TERMINATE, StopSignal::Terminate),
        (&HANGUP, StopSignal::Hangup),
    ];
    let own = flags.into_iter().find(|(flag, _)| flag.load(Ordering::Relaxed));
    own.map(|(_, signal)| signal).or(OF_ANOTHER.get().copied())
}

/// Catches interrupts, SIGTERM and SIGHUP from now on. Calling it again changes nothing.
pub fn install() -> io::Result<()> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        // Handlers run in this order: the one that ends the process looks at the flag before it is set.
        let interrupted = StopSignal::Interrupt.exit_code().into();
        flag::register_conditional_shutdown(SIGINT, interrupted, INTERRUPT.clone())?;
        flag::register(SIGINT, INTERRUPT.clone())?;
        flag::register(SIGTERM, TERMINATE.clone())?;
        #[cfg(unix)]
        if !ignores_hangup() {
            flag::register(SIGHUP, HANGUP.clone())?;
        }
        *installed = true;
    }
    Ok(())
}

/// Whether this process was started to outlive its terminal, by `nohup`: a handler would undo that. Systems that do not tell
/// are taken to, where standard error is no terminal.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    use std::io::IsTerminal;

    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match ignored_signals(&status) {
        Some(ignored) => ignored >> (SIGHUP - 1) & 1 == 1,
        None => !io::stderr().is_terminal(),
    }
}

/// The set of ignored signals in Linux's description of a process.
#[cfg(unix)]
fn ignored_signals(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;
    use std::process::Command;

    /// Names the signals a child process raises on itself, so that no test stops another's loop.
    const SIGNALS: &str = "TRICKBAG_TEST_SIGNALS";
    const NOT_ASKED: i32 = 8;
    const HUNG_UP: i32 = 129;
    const INTERRUPTED: i32 = 130;
    const TERMINATED: i32 = 143;

    /// Does nothing unless it is started by the test below.
    #[test]
    fn child() {
        let Ok(signals) = std::env::var(SIGNALS) else { return };
        assert!(!stop_requested());
        install().unwrap();
        install().unwrap();
        assert!(!stop_requested());
        for signal in signals.split_whitespace() {
            raise(match signal {
                "INT" => SIGINT,
                "TERM" => SIGTERM,
                _ => SIGHUP,
            })
            .unwrap();
        }
        std::process::exit(stop_signal().map_or(NOT_ASKED, |signal| signal.exit_code().into()));
    }

    #[test]
    fn the_first_signal_asks_and_the_second_interrupt_ends() {
        let this_test = module_path!().split_once("::").expect("a module in a crate").1;
        for (signals, code) in [
            ("", NOT_ASKED),
            ("INT", INTERRUPTED),
            ("TERM", TERMINATED),
            ("HUP", HUNG_UP),
            ("TERM TERM TERM", TERMINATED),
            ("HUP HUP", HUNG_UP),
            ("TERM INT", INTERRUPTED),
            ("INT TERM", INTERRUPTED),
            ("INT INT", INTERRUPTED),
            ("TERM INT INT", INTERRUPTED),
        ] {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("{this_test}::child"), "--nocapture"])
                .env(SIGNALS, signals)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(code), "signals: {signals:?}");
        }
    }

    #[test]
    fn the_signals_that_a_process_ignores_are_read() {
        let status = "Name:\ttrickbag\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), Some(0x1001));
        assert_eq!(ignored_signals("Name:\ttrickbag\n"), None);
    }
}
