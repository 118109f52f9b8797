//! A link over MPI, whose library is opened when a launcher asks for it: the program needs none to be built, or to run alone.

mod calls;
mod functions;
mod launcher;

use std::ffi::OsString;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use calls::{Calls, Connected, Failed};
use functions::Opened;
pub use launcher::Launcher;

use crate::link::Link;
use crate::{World, WorldError};

/// The exit code of ranks that end because others are gone.
const GONE: i32 = 75;

/// The bytes of the first packet of a message: its length. What follows is as long as that says.
const HEAD: usize = size_of::<u64>();

/// The time for which a rank that waits looks for messages without a pause.
const EAGER: Duration = Duration::from_millis(2);

/// The pause between two looks after that, long enough to leave the core to others.
const PAUSE: Duration = Duration::from_micros(50);

/// The most that a single pause counts as waiting. A process that was itself stopped has not waited all that time.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// An MPI library that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MpiLibrary {
    /// The path, or the name by which the system found it.
    pub name: String,
    /// What it says that it is.
    pub version: String,
}

/// The library that [`World::launched`] would open here.
pub fn library(path: Option<&Path>) -> Result<MpiLibrary, WorldError> {
    open(path, Launcher::of_this_process().as_ref()).map(|(library, _)| library)
}

fn open(
    path: Option<&Path>,
    launcher: Option<&Launcher>,
) -> Result<(MpiLibrary, Opened), WorldError> {
    let names: Vec<OsString> = match path {
        Some(path) => vec![path.into()],
        None => launcher::candidates(launcher),
    };
    let mut tried = Vec::new();
    for name in names {
        match Opened::new(&name) {
            Ok(opened) => {
                let name = name.to_string_lossy().into_owned();
                let version = opened.version().map_err(|failed| failed.into_error(&name))?;
                return Ok((MpiLibrary { name, version }, opened));
            }
            Err(said) => tried.push(said),
        }
    }
    Err(WorldError::NoLibrary { tried })
}

impl World {
    /// The world of the ranks that a launcher such as `mpirun` or `srun` started, or the world of this process alone where there
    /// is no launcher, or where it started one rank. A `library` is opened in any case. An error comes with this rank's number.
    pub fn launched(library: Option<&Path>) -> Result<World, (usize, WorldError)> {
        let launcher = Launcher::of_this_process();
        let many = launcher.as_ref().is_some_and(|launcher| launcher.ranks > 1);
        if !many && library.is_none() {
            return Ok(World::alone());
        }
        let rank = launcher.as_ref().map_or(0, |launcher| launcher.rank);
        let (library, opened) = open(library, launcher.as_ref()).map_err(|error| (rank, error))?;
        let failed = |failed: Failed| (rank, failed.into_error(&library.name));
        let Connected { calls, rank, size } = opened.connect().map_err(failed)?;
        let link = Ranks { calls, library: library.name.clone(), left: false };
        if let Some(Launcher { variable, ranks, rank }) = launcher.filter(|said| said.ranks != size)
        {
            link.finalize();
            let (library, version) = (library.name, library.version);
            let refused = WorldError::OtherLauncher { variable, ranks, size, library, version };
            return Err((rank, refused));
        }
        if !size.is_power_of_two() {
            link.finalize();
            return Err((rank, WorldError::Size { size }));
        }
        let mut world = World::over(rank, size, Box::new(link)).map_err(|error| (rank, error))?;
        world.introduce().map_err(|error| (rank, error))?;
        Ok(world)
    }
}

/// This rank's connection to all others.
struct Ranks {
    calls: Box<dyn Calls>,
    library: String,
    /// Whether this rank has left the others in order.
    left: bool,
}

impl Ranks {
    /// Leaves the others at the same place as they leave; an error changes nothing any more.
    fn finalize(mut self) {
        Link::leave(&mut self);
    }
}

impl Link for Ranks {
    fn exchange(
        &mut self,
        peer: usize,
        send: &[u8],
        receive: &mut Vec<u8>,
        limit: Duration,
    ) -> Result<(), WorldError> {
        let mut wait = Wait::new(limit);
        let error = |failed: Failed| match failed {
            Failed::GaveUp => WorldError::Silent { rank: peer, seconds: limit.as_secs() },
            failed => failed.into_error(&self.library),
        };
        let head = (send.len() as u64).to_ne_bytes();
        let mut waits = || wait.goes_on();
        let arrived = self.calls.exchange(peer, &head, vec![0; HEAD], &mut waits).map_err(error)?;
        let length = u64::from_ne_bytes(arrived.try_into().expect("as long as it was")) as usize;
        let mut memory = std::mem::take(receive);
        memory.resize(length, 0);
        *receive = self.calls.exchange(peer, send, memory, &mut waits).map_err(error)?;
        Ok(())
    }

    fn close(&mut self) {
        // The other ranks end when this one aborts, once its message is printed.
    }

    fn leave(&mut self) {
        if !self.left {
            self.left = true;
            // Where this fails, the launcher says so; nothing is left to be saved.
            let _ = self.calls.finalize();
        }
    }

    fn abort(&mut self, code: i32) {
        if !self.left {
            self.left = true;
            self.calls.abort(code);
        }
    }
}

/// A rank that ends in any other way than by leaving takes the others with it: they would wait for it.
impl Drop for Ranks {
    fn drop(&mut self) {
        self.abort(GONE);
    }
}

/// The waiting for one message: eager at first, then with pauses.
struct Wait {
    limit: Duration,
    waited: Duration,
    last: Instant,
}

impl Wait {
    fn new(limit: Duration) -> Wait {
        Wait { limit, waited: Duration::ZERO, last: Instant::now() }
    }

    /// Takes a pause; false when it is time to give up.
    fn goes_on(&mut self) -> bool {
        match self.waited {
            waited if waited < EAGER => thread::yield_now(),
            _ => thread::sleep(PAUSE),
        }
        let now = Instant::now();
        self.waited += (now - self.last).min(LONGEST_PAUSE);
        self.last = now;
        self.waited <= self.limit
    }
}

impl Failed {
    fn into_error(self, library: &str) -> WorldError {
        let (call, said) = match self {
            Failed::Call { name, said } => (name, said),
            Failed::GaveUp => ("waiting", "nothing came".to_owned()),
        };
        WorldError::Library { library: library.to_owned(), call, said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_no_library_is_told_with_its_reason() {
        let error = library(Some(Path::new("no/such/libmpi.so"))).unwrap_err().to_string();
        assert!(error.contains("no/such/libmpi.so") && error.contains("--mpi"), "{error}");
    }

    #[test]
    fn a_wait_ends_at_its_limit_and_not_before() {
        let mut wait = Wait::new(Duration::from_millis(5));
        let started = Instant::now();
        while wait.goes_on() {}
        assert!(started.elapsed() >= Duration::from_millis(5));
        assert!(wait.waited > wait.limit);
    }

    #[test]
    fn a_process_that_was_stopped_has_not_waited_meanwhile() {
        let mut wait = Wait::new(Duration::from_secs(1));
        // As after a stop of ten seconds.
        wait.last -= Duration::from_secs(10);
        assert!(wait.goes_on());
        assert!(wait.waited <= LONGEST_PAUSE);
    }
}
