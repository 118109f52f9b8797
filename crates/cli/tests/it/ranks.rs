//! Runs by several processes, where a launcher of MPI is installed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::fixtures::{Sandbox, stderr};

/// `mpiexec` with the words that let it start more ranks than there are cores; None, and a line that says so, where there is
/// none.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn launcher() -> Option<Vec<String>> {
    let launcher = std::env::var("TRICKBAG_MPIEXEC").unwrap_or_else(|_| "mpiexec".to_owned());
    let Ok(version) = Command::new(&launcher).arg("--version").output() else {
        eprintln!("skipped: no MPI here ({launcher} cannot be started)");
        return None;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let open = version.contains("Open MPI") || version.contains("OpenRTE");
    let more = open.then(|| "--oversubscribe".to_owned());
    Some([launcher].into_iter().chain(more).collect())
}

/// The same words in front of the command on so many ranks.
fn launched(sandbox: &Sandbox, launcher: &[String], ranks: usize, arguments: &[&str]) -> Output {
    let mut command = Command::new(&launcher[0]);
    command.args(&launcher[1..]).args(["-n", &ranks.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_trickbag")).args(arguments).current_dir(sandbox.path("."));
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.output().expect("the launcher runs")
}

/// The model, the predictions, and the metrics without times.
fn results(sandbox: &Sandbox, run: &str) -> Vec<Vec<u8>> {
    let read = |name: &str| fs::read(sandbox.path(run).join(name)).expect(name);
    let metrics = String::from_utf8(read("metrics.jsonl")).unwrap();
    let rows = metrics.lines().map(|line| {
        let mut row: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        row.retain(|key, _| {
            !["images_per_second", "wait_share", "seconds", "ranks"].contains(&key.as_str())
        });
        serde_json::Value::from(row).to_string()
    });
    let metrics = rows.collect::<Vec<_>>().join("\n").into_bytes();
    vec![read("model/model.safetensors"), read("predictions.jsonl"), metrics]
}

fn words(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn any_number_of_ranks_leaves_what_a_process_alone_leaves() {
    let Some(launcher) = launcher() else { return };
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.everything(), sandbox.colors());
    let train = |out| {
        ["train", words(&recipe), "--data", words(&data), "--out", out, "--set", "train.parts=4"]
    };
    sandbox.succeed(&train("alone"));
    let expected = results(&sandbox, "alone");
    for (ranks, out) in [(1, "one"), (2, "two"), (4, "four")] {
        let output = launched(&sandbox, &launcher, ranks, &train(out));
        assert!(output.status.success(), "{ranks} ranks: {}", stderr(&output));
        assert!(results(&sandbox, out) == expected, "{ranks} ranks leave other bytes");
        let said = stderr(&output);
        let introduced = said.matches("training and").count();
        assert_eq!(introduced, 1, "rank 0 speaks for all: {said}");
    }
    let run = fs::read_to_string(sandbox.path("four/run.json")).unwrap();
    assert!(run.contains("\"ranks\": 4") && run.contains("(4 ranks)"), "{run}");
    let report = fs::read_to_string(sandbox.path("four/report.html")).unwrap();
    assert!(report.contains("(4 ranks)"), "the report names the hosts");
}

#[test]
fn ranks_that_cannot_share_the_work_are_refused_once_and_before_a_folder_is_made() {
    let Some(launcher) = launcher() else { return };
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.colors());
    for (ranks, what) in [(3, "not a power of two"), (2, "train.parts=2")] {
        let arguments = ["train", words(&recipe), "--data", words(&data), "--out", "refused"];
        let output = launched(&sandbox, &launcher, ranks, &arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.matches(what).count(), 1, "{said}");
        assert!(!sandbox.path("refused").exists());
    }
}

#[test]
fn an_image_that_one_rank_cannot_decode_ends_all_with_one_message() {
    let Some(launcher) = launcher() else { return };
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.recipe(), sandbox.parts());
    // Every rank comes to it in its turn.
    fs::write(data.join("train/red/03.png"), "these are words").unwrap();
    let arguments = ["train", words(&recipe), "--data", words(&data), "--out", "run"];
    let output =
        launched(&sandbox, &launcher, 2, &[&arguments[..], &["--set", "train.parts=2"]].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines = said.lines().filter(|line| line.starts_with("error:") && line.contains("03.png"));
    assert_eq!(lines.count(), 1, "{said}");
}

#[test]
fn a_library_that_is_not_there_is_told() {
    let sandbox = Sandbox::new();
    let text = sandbox.fail(&["train", "--mpi", "no/such/libmpi.so", "--out", "run"], 2);
    assert!(text.contains("no/such/libmpi.so") && text.contains("--mpi"), "{text}");
    assert!(!sandbox.path("run").exists());
}

#[test]
fn a_step_of_many_ranks_is_written_as_a_trace() {
    let sandbox = Sandbox::new();
    let said = sandbox.succeed(&["bench", "scale", "--ranks", "8", "--json", "-o", "trace"]);
    let facts: serde_json::Value = serde_json::from_str(&said).unwrap();
    // 25.6 million gradients and twice 26,560 channels' statistics, 7/8 of them to and fro.
    let bytes = facts["bytes_a_rank"].as_u64().unwrap();
    assert!((179_000_000..180_000_000).contains(&bytes), "{said}");
    assert!(facts["model_seconds"].as_f64() > facts["compute_seconds"].as_f64(), "{said}");
    let trace = fs::read_to_string(sandbox.path("trace/trace.txt")).unwrap();
    // Three rounds to agree and six to sum, each with two messages of three actions.
    assert_eq!(trace.lines().count(), 8 * (3 + 9 * 2 * 3));
    assert_eq!(trace.matches(" finalize").count(), 8);
    let hosts = fs::read_to_string(sandbox.path("trace/hosts.txt")).unwrap();
    assert_eq!(hosts.lines().count(), 8);
    let text = sandbox.fail(&["bench", "scale", "--ranks", "6", "-o", "none"], 2);
    assert!(text.contains("power of two"), "{text}");
}
