//! A model's files from a hub, kept as `huggingface_hub` keeps them: `blobs/ETAG` are the files, `snapshots/COMMIT/NAME` links to
//! them, `refs/REVISION` says which commit a revision is. Files that timm has fetched are found, and the other way round.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ureq::http::Method;

use crate::checksum::Checksum;
use crate::client::{Client, Follow, text};
use crate::download::{Transfer, Wanted, download, moved, refused};
use crate::error::FetchError;
use crate::hub_name::HubName;
use crate::hub_settings::HubSettings;

const CONFIG: &str = "config.json";

/// Names under which weights are published, the best first.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// The most bytes of a config and of weights.
const CONFIG_LIMIT: u64 = 64 << 20;
const WEIGHTS_LIMIT: u64 = 8 << 30;

/// A model's files on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// A folder with `config.json` and the weights.
    pub folder: PathBuf,
    pub weights: PathBuf,
    /// The commit that the files are of.
    pub commit: String,
    /// Why the hub was not asked for newer files, where it could not be reached.
    pub unasked: Option<String>,
}

/// A model in a cache.
struct Place<'a> {
    name: &'a HubName,
    settings: &'a HubSettings,
    folder: PathBuf,
}

/// What a hub says of a file.
struct Known {
    commit: String,
    /// The name of the blob.
    etag: String,
    checksum: Option<Checksum>,
}

/// Gives the files of a model: those in the cache where they are the hub's or the hub is not asked, else fetched ones.
pub fn snapshot(
    name: &HubName,
    settings: &HubSettings,
    tell: &mut dyn FnMut(&Transfer),
) -> Result<Snapshot, FetchError> {
    let folder = settings.cache.join(name.folder());
    let place = Place { name, settings, folder };
    let offline = || FetchError::Offline { name: name.to_string(), cache: settings.cache.clone() };
    if settings.offline {
        return place.cached(None).ok_or_else(offline);
    }
    let client = Client::new(&settings.endpoint);
    let config = match place.ask(&client, CONFIG, &name.revision) {
        Err(error @ FetchError::Unreachable { .. }) => {
            return place.cached(Some(error.to_string())).ok_or(error);
        }
        known => known?,
    };
    let commit = config.commit.clone();
    place.fetch(&client, CONFIG, &config, CONFIG_LIMIT, tell)?;
    let mut tried = WEIGHTS.iter().map(|file| {
        let known = place.ask(&client, file, &commit)?;
        place.fetch(&client, file, &known, WEIGHTS_LIMIT, tell)
    });
    let is_missing = |result: &Result<PathBuf, FetchError>| {
        matches!(result, Err(FetchError::Status { status: 404, .. }))
    };
    let weights = match tried.next().expect("weights have a name") {
        first if is_missing(&first) => tried.next().unwrap_or(first)?,
        first => first?,
    };
    place.refer(&commit)?;
    Ok(Snapshot { folder: place.snapshot(&commit), weights, commit, unasked: None })
}

impl Place<'_> {
    fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.name.revision)
    }

    /// The files in the cache, if all are there.
    fn cached(&self, unasked: Option<String>) -> Option<Snapshot> {
        let revision = &self.name.revision;
        let commit = match fs::read_to_string(self.reference()) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => revision.clone(),
        };
        let folder = self.snapshot(&commit);
        let is_whole = is_commit(&commit) && folder.join(CONFIG).is_file();
        let mut weights = WEIGHTS.iter().map(|file| folder.join(file));
        let weights = weights.find(|file| is_whole && file.is_file())?;
        Some(Snapshot { folder, weights, commit, unasked })
    }

    fn url(&self, file: &str, revision: &str) -> String {
        let revision = revision.replace('/', "%2F");
        format!("{}/{}/resolve/{revision}/{file}", self.settings.endpoint, self.name.path())
    }

    /// Asks for what a file is, without its content.
    fn ask(&self, client: &Client, file: &str, revision: &str) -> Result<Known, FetchError> {
        let url = self.url(file, revision);
        let token = self.settings.token.as_deref();
        let answer = client.send(Method::HEAD, &url, &[], token, Follow::Home)?;
        let status = answer.status().as_u16();
        if !matches!(status, 200..=399) {
            return Err(refused(&url, status));
        }
        let header = |name| text(answer.headers(), name);
        let answered =
            |reason: &str| FetchError::Answer { url: url.clone(), reason: reason.to_owned() };
        let commit = header("x-repo-commit").filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| answered("it does not say which commit it has"))?;
        let etag = header("x-linked-etag").or(header("etag")).map(|etag| {
            etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_ascii_lowercase()
        });
        let is_plain = |etag: &String| {
            !etag.is_empty() && etag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let etag = etag.filter(is_plain).ok_or_else(|| answered("it gives the file no ETag"))?;
        // Large files are named by their SHA-256, small ones by git.
        let is_sha256 = etag.len() == 64 && etag.chars().all(|c| c.is_ascii_hexdigit());
        let checksum = is_sha256.then(|| Checksum::Sha256(etag.clone()));
        Ok(Known { commit: commit.to_owned(), etag, checksum })
    }

    /// The place of a file in the snapshot, where it is after this.
    fn fetch(
        &self,
        client: &Client,
        file: &str,
        known: &Known,
        most: u64,
        tell: &mut dyn FnMut(&Transfer),
    ) -> Result<PathBuf, FetchError> {
        let Known { commit, etag, checksum } = known;
        let linked = self.snapshot(commit).join(file);
        if linked.is_file() {
            return Ok(linked);
        }
        let blobs = self.folder.join("blobs");
        for folder in [&blobs, &self.snapshot(commit)] {
            let write = |cause| FetchError::Write { path: folder.clone(), cause };
            fs::create_dir_all(folder).map_err(write)?;
        }
        let blob = blobs.join(etag);
        if !blob.is_file() {
            let wanted = Wanted {
                url: &self.url(file, commit),
                token: self.settings.token.as_deref(),
                checksum: checksum.clone(),
                most,
                file: &blob,
                part: &blobs.join(format!("{etag}.incomplete")),
            };
            // People know a file by its name, not by its blob's.
            let mut named = |transfer: &Transfer| {
                tell(&Transfer { file: file.to_owned(), ..transfer.clone() });
            };
            download(client, &wanted, &mut named)?;
        }
        match std::os::unix::fs::symlink(Path::new("../../blobs").join(etag), &linked) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
                Err(FetchError::Write { path: linked, cause })
            }
            _ => Ok(linked),
        }
    }

    /// Writes down which commit the revision is.
    fn refer(&self, commit: &str) -> Result<(), FetchError> {
        let file = self.reference();
        if fs::read_to_string(&file).is_ok_and(|known| known.trim() == commit) {
            return Ok(());
        }
        let aside = file.with_extension(format!("{}.tmp", std::process::id()));
        let written = || -> io::Result<()> {
            fs::create_dir_all(file.parent().expect("a reference is in a folder"))?;
            fs::write(&aside, commit)
        };
        written().map_err(|cause| FetchError::Write { path: aside.clone(), cause })?;
        moved(&aside, &file)
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}
