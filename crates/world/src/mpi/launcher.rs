//! What a launcher says to the processes that it starts, and where its MPI library lies.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// The variables in which launchers tell a process how many ranks there are, and which one it is. The first that is set counts:
/// inside of a job of SLURM, `mpirun` knows better.
const VARIABLES: [(&str, &str); 3] = [
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), // Open MPI
    ("PMI_SIZE", "PMI_RANK"),                         // MPICH, Intel MPI, srun --mpi=pmi2
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),         // srun
];

/// The names of MPI libraries: Open MPI 4 and 5; MPICH, Intel MPI and Cray's; Debian's MPICH; MPI 5.0's standard ABI.
#[cfg(not(target_os = "macos"))]
const NAMES: [&str; 4] = ["libmpi.so.40", "libmpi.so.12", "libmpich.so.12", "libmpi_abi.so.1"];
#[cfg(target_os = "macos")]
const NAMES: [&str; 4] =
    ["libmpi.40.dylib", "libmpi.12.dylib", "libmpich.12.dylib", "libmpi_abi.1.dylib"];

/// How far up the processes the launcher may be: a script may stand between it and us.
const GENERATIONS: usize = 4;

/// A launcher's word about this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// The variable that tells the number of ranks.
    pub variable: &'static str,
    pub ranks: usize,
    pub rank: usize,
}

impl Launcher {
    /// The launcher that started this process; None where nobody speaks of ranks.
    pub fn of_this_process() -> Option<Launcher> {
        Launcher::said(|name| env::var(name).ok())
    }

    pub(super) fn said(variable: impl Fn(&str) -> Option<String>) -> Option<Launcher> {
        let number = |name| variable(name).and_then(|value| value.trim().parse().ok());
        VARIABLES.into_iter().find_map(|(size, rank)| {
            let ranks = number(size)?;
            Some(Launcher { variable: size, ranks, rank: number(rank).unwrap_or(0) })
        })
    }
}

/// The libraries to try, in this order: those beside the launcher, then those that the system finds by their names.
pub(super) fn candidates(launcher: Option<&Launcher>) -> Vec<OsString> {
    let folders = near_launcher().into_iter().chain(env_folders());
    let mut found: Vec<OsString> = Vec::new();
    for folder in folders {
        let paths = NAMES.iter().map(|name| folder.join(name)).filter(|path| path.is_file());
        found.extend(paths.map(PathBuf::into_os_string));
    }
    // Open MPI's name comes first where Open MPI's launcher speaks, and last otherwise.
    let mut names = NAMES;
    if launcher.is_none_or(|launcher| launcher.variable != VARIABLES[0].0) {
        names.rotate_left(1);
    }
    found.extend(names.iter().map(OsString::from));
    let mut seen = Vec::new();
    found.retain(|name| !seen.contains(name) && (seen.push(name.clone()), true).1);
    found
}

/// Where launchers say that their libraries are.
fn env_folders() -> Vec<PathBuf> {
    let folder = |name: &str, below: &str| Some(Path::new(&env::var_os(name)?).join(below));
    let folders = [
        folder("OMPI_LIBDIR_LOC", ""),
        folder("OPAL_PREFIX", "lib"),
        folder("I_MPI_ROOT", "lib"),
        folder("MPI_HOME", "lib"),
    ];
    folders.into_iter().flatten().collect()
}

/// The folders of libraries that belong to the programs from which this process descends.
fn near_launcher() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut process = "self".to_owned();
    for _ in 0..GENERATIONS {
        let Some(parent) = parent_of(&process) else { break };
        if let Ok(program) = fs::read_link(format!("/proc/{parent}/exe"))
            && let Some(root) = program.parent().and_then(Path::parent)
            && root != OsStr::new("/usr")
        {
            folders.extend(["lib", "lib64"].map(|name| root.join(name)));
        }
        process = parent;
    }
    folders
}

fn parent_of(process: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
    (parent != "0").then(|| parent.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(variables: &[(&str, &str)]) -> Option<Launcher> {
        Launcher::said(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_launchers_are_told_apart_and_the_innermost_counts() {
        let launcher = |variable, ranks, rank| Some(Launcher { variable, ranks, rank });
        let slurm = [("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "1")];
        let mpich = [("PMI_SIZE", "2"), ("PMI_RANK", "1")];
        assert_eq!(said(&slurm), launcher("SLURM_STEP_NUM_TASKS", 4, 1));
        assert_eq!(said(&mpich), launcher("PMI_SIZE", 2, 1));
        assert_eq!(said(&[slurm, mpich].concat()), launcher("PMI_SIZE", 2, 1));
        let open = [("OMPI_COMM_WORLD_SIZE", "8"), ("OMPI_COMM_WORLD_RANK", "7")];
        assert_eq!(said(&[slurm, open].concat()), launcher("OMPI_COMM_WORLD_SIZE", 8, 7));
    }

    #[test]
    fn what_is_no_launchers_word_is_ignored() {
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[("PMI_SIZE", "many")]), None);
        // A batch script of SLURM is no step of the job, though it knows the number of tasks.
        assert_eq!(said(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]), None);
    }

    #[test]
    fn each_library_is_tried_once_and_that_of_the_launcher_first() {
        let open = Launcher { variable: "OMPI_COMM_WORLD_SIZE", ranks: 2, rank: 0 };
        let names = |launcher| {
            let all = candidates(launcher);
            let names = all.into_iter().filter(|name| !Path::new(name).is_absolute());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(Some(&open)), NAMES.map(OsString::from));
        let mut others = NAMES.map(OsString::from).to_vec();
        others.rotate_left(1);
        assert_eq!(names(None), others);
        let all = candidates(None);
        assert!(all.iter().enumerate().all(|(at, name)| !all[..at].contains(name)), "{all:?}");
    }
}
