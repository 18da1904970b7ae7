//! Where a model's files are: in a directory, in the local cache that all Hugging Face tools
//! share, or on the hub, from which they go into that cache.

use std::{
    collections::BTreeSet,
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use ureq::Agent;

use crate::policy::COMPANIONS;

/// The branch that a name without a revision means.
const MAIN: &str = "main";
const ENDPOINT: &str = "https://huggingface.co";
const INDEX: &str = "model.safetensors.index.json";
/// What is downloaded of a model, where it has it, besides its weights and [`COMPANIONS`].
const FILES: [&str; 3] = ["config.json", "adapter_config.json", INDEX];
/// Files of weights, in one piece.
const WEIGHTS: [&str; 2] = ["model.safetensors", "adapter_model.safetensors"];

/// The directory of a model: `name` itself, or the snapshot of a hub name such as
/// `Qwen/Qwen2.5-Coder-0.5B-Instruct` or, with a revision, `NAME@REVISION`.
///
/// # Errors
/// If there is no such directory and it is no hub name, or it is neither in the local cache
/// nor to be had from the hub; with `offline`, the hub is not asked.
pub(crate) fn resolve(name: &str, offline: bool) -> Result<PathBuf> {
    if Path::new(name).is_dir() {
        return Ok(PathBuf::from(name));
    }
    let (id, revision) = name.split_once('@').unwrap_or((name, MAIN));
    if !is_hub_name(id) || !is_part(revision) {
        bail!(
            "no model at `{name}`: give a Hugging Face directory, a hub name such as \
             `Qwen/Qwen2.5-Coder-0.5B-Instruct`, `embedded` or `embedded-selfplay`"
        );
    }
    let cache = cache_dir().context("no home directory for the model cache: set HF_HOME")?;
    let repo = cache.join(format!("models--{}", id.replace('/', "--")));
    if let Some(snapshot) = cached(&repo, revision) {
        return Ok(snapshot);
    }
    let place = cache.display();
    if offline || offline_by_environment() {
        bail!("`{name}` is not in the local cache {place}, and offline the hub is not asked");
    }
    Hub::new().download(&repo, id, revision).with_context(|| {
        format!("`{name}` is not in the local cache {place}, and cannot be had from the hub")
    })
}

/// The name by which a model will be found from another working directory.
pub(crate) fn lasting_name(name: &str, dir: &Path) -> Result<String> {
    if Path::new(name).is_dir() {
        return Ok(dir.canonicalize()?.display().to_string());
    }
    Ok(name.to_string())
}

/// `OWNER/NAME`, of letters, digits and `-_.`.
fn is_hub_name(id: &str) -> bool {
    id.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

fn is_part(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && !text.starts_with('.') && text.chars().all(fine)
}

fn set(key: &str) -> Option<PathBuf> {
    env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn cache_dir() -> Option<PathBuf> {
    let caches = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    set("HF_HUB_CACHE")
        .or_else(|| set("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| caches().map(|caches| caches.join("huggingface/hub")))
}

/// Whether the environment forbids asking the hub, as it does for `transformers`.
fn offline_by_environment() -> bool {
    let yes = |value: &str| ["1", "on", "true", "yes"].contains(&value);
    set("HF_HUB_OFFLINE").is_some_and(|v| yes(&v.to_string_lossy().to_lowercase()))
}

/// The snapshot of a revision in the cache, if all of its weights are there.
fn cached(repo: &Path, revision: &str) -> Option<PathBuf> {
    let commit = fs::read_to_string(repo.join("refs").join(revision));
    let commit = commit.map_or_else(|_| revision.to_string(), |text| text.trim().to_string());
    let snapshot = repo.join("snapshots").join(commit);
    let there = |name: &str| snapshot.join(name).exists();
    let whole = WEIGHTS.iter().any(|name| there(name))
        || shards(&snapshot.join(INDEX)).is_ok_and(|files| files.iter().all(|name| there(name)));
    whole.then_some(snapshot)
}

/// The files that an index names.
fn shards(index: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(&fs::read(index)?)?;
    ensure!(index.weight_map.values().all(|file| is_part(file)), "{INDEX} names an odd file");
    Ok(index.weight_map.into_values().collect())
}

/// The hub, or what HF_ENDPOINT names in its place.
struct Hub {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
}

/// What the hub says of a revision.
#[derive(Deserialize)]
struct Revision {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    fn new() -> Self {
        let seconds = |n| Some(Duration::from_secs(n));
        let config = Agent::config_builder()
            .timeout_connect(seconds(10))
            .timeout_recv_response(seconds(60))
            .user_agent(concat!("axiom-rl/", env!("CARGO_PKG_VERSION")));
        let text = |key: &str| set(key).map(|value| value.to_string_lossy().into_owned());
        Self {
            agent: config.build().into(),
            endpoint: text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_string()),
            token: text("HF_TOKEN"),
        }
    }

    fn get(&self, path: &str) -> Result<ureq::Body> {
        let url = format!("{}/{path}", self.endpoint.trim_end_matches('/'));
        let mut request = self.agent.get(&url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Ok(request.call().with_context(|| format!("asking {url}"))?.into_body())
    }

    /// Downloads what `repo` lacks of a revision and returns its snapshot. The reference is
    /// written last: without it nobody takes the snapshot for whole.
    fn download(&self, repo: &Path, id: &str, revision: &str) -> Result<PathBuf> {
        let mut found = self.get(&format!("api/models/{id}/revision/{revision}"))?;
        let found: Revision = serde_json::from_str(&found.read_to_string()?)?;
        ensure!(is_part(&found.sha), "the hub names an odd commit");
        let has = |name: &str| found.siblings.iter().any(|file| file.rfilename == name);
        let snapshot = repo.join("snapshots").join(&found.sha);
        fs::create_dir_all(&snapshot).context("cannot write into the cache")?;
        let fetch =
            |name: &str| self.fetch(&format!("{id}/resolve/{}", found.sha), name, &snapshot);
        let single = WEIGHTS.iter().filter(|name| has(name)).count() > 0;
        for name in
            FILES.iter().chain(&COMPANIONS).filter(|name| has(name) && !(single && **name == INDEX))
        {
            fetch(name)?;
        }
        if single {
            WEIGHTS.iter().filter(|name| has(name)).try_for_each(|name| fetch(name))?;
        } else if has(INDEX) {
            shards(&snapshot.join(INDEX))?.iter().try_for_each(|name| fetch(name))?;
        } else {
            bail!("it has no weights in the safetensors format");
        }
        let refs = repo.join("refs");
        fs::create_dir_all(&refs)?;
        runlog::write_atomic(&refs.join(revision), found.sha.as_bytes())?;
        Ok(snapshot)
    }

    /// Downloads one file, unless it is there.
    fn fetch(&self, from: &str, name: &str, snapshot: &Path) -> Result<()> {
        let path = snapshot.join(name);
        if path.exists() {
            return Ok(());
        }
        let body = self.get(&format!("{from}/{name}"))?;
        let announced = body.content_length();
        let unfinished = snapshot.join(format!("{name}.incomplete"));
        let mut file = fs::File::create(&unfinished)?;
        let n = io::copy(&mut body.into_reader(), &mut file).with_context(|| name.to_string())?;
        if let Some(all) = announced.filter(|all| *all != n) {
            bail!("{name} broke off after {n} of {all} bytes");
        }
        file.sync_all()?;
        Ok(fs::rename(&unfinished, &path)?)
    }
}
