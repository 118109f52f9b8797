//! Models by name, from a hub on the loopback address.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fetch::{FetchError, HubName, HubSettings, Snapshot, snapshot};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

mod server;
use server::{Answer, Asked, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const CONFIG: &[u8] = br#"{"architecture": "resnet18"}"#;
const NAME: &str = "timm/small.x_in1k";

fn weights() -> Vec<u8> {
    (0..300_000u32).flat_map(|number| (number * 7).to_le_bytes()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hub as huggingface.co is one: small files from it, large ones by a redirection to another server.
fn hub(elsewhere: &Server, weights_name: &'static str) -> Server {
    let (elsewhere, etag) = (elsewhere.address.clone(), sha256(&weights()));
    Server::start(move |asked| {
        let file = asked.path.rsplit('/').next().unwrap_or_default();
        let is_known = [format!("/{NAME}/resolve/main/"), format!("/{NAME}/resolve/{COMMIT}/")];
        if !is_known.iter().any(|folder| asked.path == format!("{folder}{file}")) {
            return Answer::new(404, b"Repository not found");
        }
        match file {
            "config.json" => Answer::new(200, CONFIG)
                .with("x-repo-commit", COMMIT)
                .with("etag", "\"00112233445566778899aabbccddeeff00112233\""),
            file if file == weights_name => Answer::new(302, b"")
                .with("x-repo-commit", COMMIT)
                .with("x-linked-etag", format!("\"{etag}\""))
                .with("location", format!("{elsewhere}/blob")),
            _ => Answer::new(404, b"Entry not found"),
        }
    })
}

fn settings(hub: &Server, cache: &TempDir) -> HubSettings {
    HubSettings {
        endpoint: hub.address.clone(),
        cache: cache.path().to_owned(),
        token: Some("secret".to_owned()),
        offline: false,
    }
}

fn take(settings: &HubSettings) -> Result<Snapshot, FetchError> {
    snapshot(&HubName::parse(NAME).unwrap()?, settings, &mut |_| {})
}

/// Every file under a folder, by its name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn gets(asked: &[Asked]) -> Vec<&Asked> {
    asked.iter().filter(|asked| asked.method == "GET").collect()
}

#[test]
fn a_model_is_fetched_once_and_found_again_without_the_hub() {
    let elsewhere = Server::start(|asked| Answer::of_file(asked, &weights()));
    let hub = hub(&elsewhere, "model.safetensors");
    let cache = tempfile::tempdir().unwrap();
    let settings = settings(&hub, &cache);
    let mut told = Vec::new();
    let name = HubName::parse(NAME).unwrap().unwrap();
    let found = snapshot(&name, &settings, &mut |transfer| told.push(transfer.clone())).unwrap();
    assert_eq!(fs::read(found.folder.join("config.json")).unwrap(), CONFIG);
    assert_eq!(fs::read(&found.weights).unwrap(), weights());
    assert_eq!(found.weights, found.folder.join("model.safetensors"));
    let last = told.last().unwrap();
    assert_eq!(
        (&*last.file, last.done, last.total),
        ("model.safetensors", 1_200_000, Some(1_200_000))
    );
    // The token is the hub's alone.
    assert!(hub.asked().iter().all(|asked| asked.token.as_deref() == Some("secret")));
    assert!(elsewhere.asked().iter().all(|asked| asked.token.is_none()));

    // The layout is that of `huggingface_hub`.
    let model = cache.path().join("models--timm--small.x_in1k");
    assert_eq!(fs::read_to_string(model.join("refs/main")).unwrap(), COMMIT);
    assert!(model.join("blobs").join(sha256(&weights())).is_file());
    assert!(found.weights.is_symlink());

    let again = take(&settings).unwrap();
    assert_eq!((&again.weights, again.unasked), (&found.weights, None));
    assert!(
        gets(&hub.asked()).is_empty() && elsewhere.asked().is_empty(),
        "nothing is fetched twice"
    );

    let offline = HubSettings { offline: true, ..settings.clone() };
    assert_eq!(take(&offline).unwrap().weights, found.weights);
    assert!(hub.asked().is_empty(), "offline asks nothing");
    drop(hub);
    let unasked = take(&settings).unwrap();
    assert_eq!(unasked.weights, found.weights);
    assert!(unasked.unasked.unwrap().contains("cannot be reached"));

    let empty = HubSettings { cache: cache.path().join("other"), ..offline };
    let refused = take(&empty).unwrap_err().to_string();
    assert!(refused.contains("HF_HUB_OFFLINE is set") && refused.contains(NAME), "{refused}");
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let elsewhere = Server::start(|asked| {
        let cut = if asked.from.unwrap_or(0) < 900_000 { 300_000 } else { usize::MAX };
        Answer { cut, ..Answer::of_file(asked, &weights()) }
    });
    let hub = hub(&elsewhere, "model.safetensors");
    let cache = tempfile::tempdir().unwrap();
    let found = take(&settings(&hub, &cache)).unwrap();
    assert_eq!(fs::read(found.weights).unwrap(), weights());
    let from: Vec<Option<usize>> = elsewhere.asked().iter().map(|asked| asked.from).collect();
    assert_eq!(from, [None, Some(300_000), Some(600_000), Some(900_000)]);
}

/// A first call ends with half of the file; the second one fetches the other half, even from a server without ranges.
#[test]
fn a_download_that_fails_leaves_nothing_that_looks_whole() {
    for has_ranges in [true, false] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let elsewhere = Server::start(move |asked| {
            let is_first = counter.fetch_add(1, Ordering::SeqCst) == 0;
            if counter.load(Ordering::SeqCst) <= 5 {
                let answer = Answer::of_file(asked, &weights());
                return Answer { cut: if is_first { 500_000 } else { 0 }, ..answer };
            }
            match has_ranges {
                true => Answer::of_file(asked, &weights()),
                false => Answer::new(200, &weights()),
            }
        });
        let hub = hub(&elsewhere, "model.safetensors");
        let cache = tempfile::tempdir().unwrap();
        let settings = settings(&hub, &cache);
        let broken = take(&settings).unwrap_err().to_string();
        assert!(broken.contains("the connection broke"), "{broken}");
        let left = files(cache.path());
        let is_whole = |file: &&PathBuf| {
            file.file_name()
                .is_some_and(|name| name == "model.safetensors" || *name == *sha256(&weights()))
        };
        assert_eq!(left.iter().find(is_whole), None);
        assert!(left.iter().any(|file| file.extension().is_some_and(|end| end == "incomplete")));
        let offline = HubSettings { offline: true, ..settings.clone() };
        assert!(matches!(take(&offline), Err(FetchError::Offline { .. })));
        elsewhere.asked();

        calls.store(5, Ordering::SeqCst);
        assert_eq!(fs::read(take(&settings).unwrap().weights).unwrap(), weights());
        assert_eq!(elsewhere.asked()[0].from, Some(500_000), "what was there is not fetched again");
        assert!(
            files(cache.path())
                .iter()
                .all(|file| file.extension().is_none_or(|end| end != "incomplete"))
        );
    }
}

#[test]
fn weights_other_than_the_published_ones_are_refused() {
    let elsewhere = Server::start(|asked| {
        let mut other = weights();
        other[77_777] ^= 1;
        Answer::of_file(asked, &other)
    });
    let hub = hub(&elsewhere, "model.safetensors");
    let cache = tempfile::tempdir().unwrap();
    let refused = take(&settings(&hub, &cache)).unwrap_err().to_string();
    for words in ["its SHA-256 is", &sha256(&weights()), "is removed"] {
        assert!(refused.contains(words), "{words} in: {refused}");
    }
    let left = files(cache.path());
    assert!(left.iter().all(|file| fs::read(file).unwrap() == CONFIG), "{left:?}");
}

#[test]
fn older_names_of_files_and_models_are_found() {
    let elsewhere = Server::start(|asked| Answer::of_file(asked, &weights()));
    let hub = hub(&elsewhere, "pytorch_model.bin");
    let address = hub.address.clone();
    // A model that was renamed is answered for by a redirection on the same server.
    let renamed = Server::start(move |asked| {
        let to = asked.path.replace("timm/small.x_in1k", "timm/renamed");
        Answer::new(307, b"").with("location", if asked.path == to { address.clone() } else { to })
    });
    let cache = tempfile::tempdir().unwrap();
    let found = take(&settings(&hub, &cache)).unwrap();
    assert_eq!(found.weights.file_name().unwrap(), "pytorch_model.bin");
    let other = tempfile::tempdir().unwrap();
    let refused = take(&settings(&renamed, &other)).unwrap_err().to_string();
    assert!(refused.contains("does not say which commit"), "{refused}");
    let asked: Vec<String> = renamed.asked().into_iter().map(|asked| asked.path).collect();
    assert!(asked[1].starts_with("/timm/renamed/resolve/main/"), "{asked:?}");
    assert!(files(other.path()).is_empty());
}

#[test]
fn what_a_hub_does_not_have_is_said() {
    let hub = Server::start(|asked| match asked.path.contains("/private/") {
        true => Answer::new(401, b""),
        false => Answer::new(404, b""),
    });
    let cache = tempfile::tempdir().unwrap();
    let settings = settings(&hub, &cache);
    for (name, words) in [
        ("timm/nothing", ["says 404", "check the name"]),
        ("hf:private/net", ["says 401", "HF_TOKEN"]),
    ] {
        let name = HubName::parse(name).unwrap().unwrap();
        let said = snapshot(&name, &settings, &mut |_| {}).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(said.contains(word), "{word} in: {said}"));
    }
    assert!(files(cache.path()).is_empty());
}
