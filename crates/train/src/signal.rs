//! Stopping on request: a signal sets a flag, and the loop looks at it between two steps.
//!
//! The first interrupt (Ctrl-C) or SIGTERM asks the loop to save and leave; a second interrupt ends the process at
//! once, with exit code 130. Ending at once is safe: files are replaced by renaming, and logs grow by whole rows.
//! Without `install` nothing is caught, so a library user and the tests keep their own signals.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What a shell reports for a process that an interrupt ended: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Each signal has its own flag, so that an interrupt after a SIGTERM still counts as the first interrupt.
static INTERRUPT: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static TERMINATE: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// Whether someone asked the run to stop.
pub fn stop_requested() -> bool {
    INTERRUPT.load(Ordering::Relaxed) || TERMINATE.load(Ordering::Relaxed)
}

/// Catches interrupts and SIGTERM from now on. Calling it again changes nothing.
pub fn install() -> io::Result<()> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        // Handlers run in this order: the first one ends the process only if an earlier interrupt has set the flag.
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED, INTERRUPT.clone())?;
        flag::register(SIGINT, INTERRUPT.clone())?;
        flag::register(SIGTERM, TERMINATE.clone())?;
        *installed = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;
    use std::process::Command;

    /// Names the signals a child process raises on itself, so that no test stops another's loop.
    const SIGNALS: &str = "TRICKBAG_TEST_SIGNALS";
    const CLEAN: i32 = 7;
    const NOT_ASKED: i32 = 8;

    /// Does nothing unless it is started by the test below.
    #[test]
    fn child() {
        let Ok(signals) = std::env::var(SIGNALS) else { return };
        assert!(!stop_requested());
        install().unwrap();
        install().unwrap();
        assert!(!stop_requested());
        for signal in signals.split_whitespace() {
            raise(if signal == "INT" { SIGINT } else { SIGTERM }).unwrap();
        }
        std::process::exit(if stop_requested() { CLEAN } else { NOT_ASKED });
    }

    #[test]
    fn the_first_signal_asks_and_the_second_interrupt_ends() {
        let this_test = module_path!().split_once("::").expect("a module in a crate").1;
        for (signals, code) in [
            ("", NOT_ASKED),
            ("INT", CLEAN),
            ("TERM", CLEAN),
            ("TERM TERM TERM", CLEAN),
            ("TERM INT", CLEAN),
            ("INT TERM", CLEAN),
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
}
