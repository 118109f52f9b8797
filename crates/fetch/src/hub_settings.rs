//! Where models are fetched from and kept: the environment variables of `huggingface_hub`, so that both share one cache.

use std::path::PathBuf;

use crate::error::FetchError;

const ENDPOINT: &str = "https://huggingface.co";

/// A hub, and the cache of its files on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSettings {
    /// Its address, without a slash at the end.
    pub endpoint: String,
    pub cache: PathBuf,
    pub token: Option<String>,
    /// Whether nothing is asked of it.
    pub offline: bool,
}

impl HubSettings {
    /// The settings of the environment: `HF_ENDPOINT`; `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else in
    /// `XDG_CACHE_HOME/huggingface`, else in `~/.cache/huggingface`; `HF_TOKEN`, else the file `HF_TOKEN_PATH`, else `token` in
    /// `HF_HOME`; `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// Where the address is none, or where there is no folder for a cache.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<HubSettings, FetchError> {
        let variable = |name| variable(name).filter(|value| !value.trim().is_empty());
        let folder = |name| variable(name).map(PathBuf::from);
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        if !(endpoint.starts_with("https://") || endpoint.starts_with("http://")) {
            return Err(FetchError::Endpoint { endpoint });
        }
        let home = folder("HF_HOME")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface")));
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let cache = folder("HF_HUB_CACHE").or_else(|| in_home("hub")).ok_or(FetchError::NoHome)?;
        let file = folder("HF_TOKEN_PATH").or_else(|| in_home("token"));
        let token = variable("HF_TOKEN")
            .or_else(|| file.and_then(|file| std::fs::read_to_string(file).ok()))
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty());
        let offline = variable("HF_HUB_OFFLINE").is_some_and(|word| {
            ["1", "true", "yes", "on"].contains(&word.trim().to_lowercase().as_str())
        });
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Ok(HubSettings { endpoint, cache, token, offline })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<HubSettings, FetchError> {
        HubSettings::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_says_where_models_are_fetched_from_and_kept() {
        let plain = settings(&[("HOME", "/h")]).unwrap();
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, PathBuf::from("/h/.cache/huggingface/hub"));
        assert_eq!((plain.token, plain.offline), (None, false));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), " hf_secret\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let more = settings(&[
            ("HF_HOME", home),
            ("HF_ENDPOINT", "http://127.0.0.1:1/"),
            ("HF_HUB_OFFLINE", "1"),
            ("HOME", "/h"),
        ]);
        let more = more.unwrap();
        assert_eq!(more.cache, folder.path().join("hub"));
        assert_eq!(more.endpoint, "http://127.0.0.1:1");
        assert_eq!((more.token.as_deref(), more.offline), (Some("hf_secret"), true));
        let explicit =
            settings(&[("HF_HUB_CACHE", "/c"), ("HF_TOKEN", "t"), ("HF_HUB_OFFLINE", "0")]);
        let explicit = explicit.unwrap();
        assert_eq!((explicit.cache, explicit.offline), (PathBuf::from("/c"), false));
        assert_eq!(explicit.token.as_deref(), Some("t"));
        assert!(matches!(settings(&[]), Err(FetchError::NoHome)));
        let wrong = settings(&[("HOME", "/h"), ("HF_ENDPOINT", "hub")]).unwrap_err();
        assert!(wrong.to_string().contains("begins with https://"), "{wrong}");
    }
}
