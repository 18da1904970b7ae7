//! A model with its tokenizer, and where they come from.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use generate::{Filter, Sampling, StopStrings};
use model::{AdapterSpec, ChatTemplate, Config, Dtype, Hold, Message, Model, Precision, Tokenizer};
use rand::Rng as _;
use serde_json::{Map, Value, json};
use tasks::Task;

use crate::{
    dtype::{LoadDtype, Matmul},
    hub,
    seed::Seed,
};

/// A model in the binary.
struct Embedded {
    /// Its name where a directory is expected.
    name: &'static str,
    config: &'static str,
    weights: &'static [u8],
    tokenizer: &'static [u8],
}

/// What `axiom pretrain` wrote into a folder of `assets`.
macro_rules! embedded {
    ($name:literal, $folder:literal) => {
        Embedded {
            name: $name,
            config: include_str!(concat!("../../../assets/", $folder, "/config.json")),
            weights: include_bytes!(concat!("../../../assets/", $folder, "/model.safetensors")),
            tokenizer: include_bytes!(concat!("../../../assets/", $folder, "/tokenizer.json")),
        }
    };
}

/// The embedded models: that of the task families, and that of self-play.
static EMBEDDED: [Embedded; 2] =
    [embedded!("embedded", "nano"), embedded!("embedded-selfplay", "selfplay")];

const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// What belongs to a model besides its weights and config: kept as it is from load to save.
pub(crate) const COMPANIONS: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "chat_template.jinja",
];

/// Whether prompts are conversations.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Chat {
    /// Where the model has a chat template.
    Auto,
    /// Always; a model without a template is refused.
    Always,
    /// Never: the model continues a plain text.
    Never,
}

/// Refuses a stop string that could not be meant.
pub(crate) fn check_stop(text: &str) -> Result<()> {
    ensure!(!text.is_empty(), "an empty stop string would end every completion at once");
    Ok(())
}

/// Which model, and how it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source<'a> {
    /// `embedded`, `embedded-selfplay`, a Hugging Face or PEFT directory, or a hub name.
    pub(crate) name: &'a str,
    pub(crate) chat: Chat,
    /// Whether no socket may be opened.
    pub(crate) offline: bool,
    pub(crate) dtype: LoadDtype,
    pub(crate) matmul: Matmul,
    /// Whether all weights learn, unless the model comes with an adapter.
    pub(crate) learns: bool,
}

impl Source<'_> {
    /// How its weights are held.
    pub(crate) fn hold(&self) -> Result<Hold> {
        match (self.learns, self.dtype) {
            (false, dtype) => Ok(Hold::Frozen(dtype.precision())),
            (true, LoadDtype::Auto | LoadDtype::Float32) => Ok(Hold::Learning),
            (true, _) => bail!(
                "weights that learn are float32: set model.load_dtype to \"auto\", or model.adapter.r \
                 above 0 to learn by an adapter"
            ),
        }
    }
}

/// What can be said of a model without its weights.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) config: Config,
    /// How its weights are stored.
    pub(crate) stored: Precision,
    /// The adapter that it comes with.
    pub(crate) adapter: Option<AdapterSpec>,
    tokenizer: Tokenizer,
    chat: Option<ChatTemplate>,
}

impl Outline {
    /// Of a model that is here, or on the hub.
    pub(crate) fn of(source: &Source<'_>) -> Result<Self> {
        if let Some(embedded) = EMBEDDED.iter().find(|e| e.name == source.name) {
            return Ok(Self {
                config: Config::parse(embedded.config)?,
                stored: Precision::Float32,
                adapter: None,
                tokenizer: Tokenizer::from_bytes(embedded.tokenizer)?,
                chat: None,
            });
        }
        let dir = hub::resolve(source.name, source.offline)?;
        let context = || format!("cannot read the model in {}", dir.display());
        if dir.join(ADAPTER_CONFIG).exists() {
            let text = std::fs::read_to_string(dir.join(ADAPTER_CONFIG)).with_context(context)?;
            let name = base_name(&text)?;
            let base = Self::of(&Source { name: &name, ..*source }).context("its base model")?;
            return Ok(Self { adapter: Some(AdapterSpec::parse(&text)?), ..base });
        }
        let config = std::fs::read_to_string(dir.join("config.json")).with_context(context)?;
        let chat = ChatTemplate::load(&dir)?.filter(|_| source.chat != Chat::Never);
        Ok(Self {
            config: Config::parse(&config).with_context(context)?,
            stored: model::stored_precision(&dir).with_context(context)?,
            adapter: None,
            tokenizer: Tokenizer::load(&dir)?,
            chat,
        })
    }

    /// How many tokens the prompt of a task has, give or take one.
    pub(crate) fn prompt_tokens(&self, task: &Task) -> Result<usize> {
        let text = match &self.chat {
            Some(template) => template.render(&instruction(task), true)?,
            None => tasks::prompt(task),
        };
        Ok(self.tokenizer.encode(&text)?.len())
    }
}

/// The base model that `adapter_config.json` names.
fn base_name(config: &str) -> Result<String> {
    let config: Value =
        serde_json::from_str(config).with_context(|| format!("{ADAPTER_CONFIG} is not JSON"))?;
    let name = config["base_model_name_or_path"].as_str().map(str::to_string);
    name.with_context(|| format!("{ADAPTER_CONFIG} has no `base_model_name_or_path`"))
}

/// A model with its tokenizer.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) model: Model,
    pub(crate) tokenizer: Tokenizer,
    /// The tokens that end a completion, the usual one first.
    pub(crate) eos: Vec<u32>,
    /// The texts that do.
    stop: Option<Arc<StopStrings>>,
    /// The template, where prompts are conversations.
    chat: Option<ChatTemplate>,
    /// The token before every plain prompt, where the tokenizer's config asks for one.
    bos: Option<u32>,
    /// The model's name, or that of the base model of its adapter.
    base: String,
    companions: Vec<(String, Vec<u8>)>,
}

impl Policy {
    /// Loads a model.
    pub(crate) fn load(source: &Source<'_>) -> Result<Self> {
        let mut policy = Self::find(source)?;
        let precision = source.matmul.precision(&policy.model);
        policy.model.set_matmul_precision(precision);
        Ok(policy)
    }

    fn find(source: &Source<'_>) -> Result<Self> {
        if let Some(embedded) = EMBEDDED.iter().find(|e| e.name == source.name) {
            if source.chat == Chat::Always {
                bail!("an embedded model has no chat template; use chat `auto` or `never`");
            }
            let model = Model::from_bytes(embedded.config, embedded.weights, source.hold()?)?;
            let mut policy = Self::new(model, Tokenizer::from_bytes(embedded.tokenizer)?)?;
            policy.base = embedded.name.to_string();
            return Ok(policy);
        }
        let dir = hub::resolve(source.name, source.offline)?;
        let loaded = if dir.join(ADAPTER_CONFIG).exists() {
            Self::load_adapter(source, &dir)
        } else {
            Self::load_dir(source, &dir)
        };
        loaded.with_context(|| format!("cannot load the model in {}", dir.display()))
    }

    /// The adapter in a PEFT directory, on its base model.
    fn load_adapter(source: &Source<'_>, dir: &Path) -> Result<Self> {
        let name = base_name(&std::fs::read_to_string(dir.join(ADAPTER_CONFIG))?)?;
        let source = Source { name: &name, learns: false, ..*source };
        let mut policy = Self::load(&source).context("its base model")?;
        policy.read_adapter(dir)?;
        Ok(policy)
    }

    fn load_dir(source: &Source<'_>, dir: &Path) -> Result<Self> {
        let mut policy = Self {
            eos: Vec::new(),
            stop: None,
            base: hub::lasting_name(source.name, dir)?,
            chat: None,
            bos: None,
            companions: Vec::new(),
            model: Model::load(dir, source.hold()?)?,
            tokenizer: Tokenizer::load(dir)?,
        };
        for name in COMPANIONS.iter().filter(|name| dir.join(name).exists()) {
            policy.companions.push(((*name).to_string(), std::fs::read(dir.join(name))?));
        }
        policy.eos = policy.eos_of_generation_config()?;
        policy.bos = policy.bos_of_tokenizer_config()?;
        policy.chat = match (source.chat, ChatTemplate::load(dir)?) {
            (Chat::Never, _) | (Chat::Auto, None) => None,
            (Chat::Always, None) => bail!("it has no chat template; use chat `auto` or `never`"),
            (Chat::Auto | Chat::Always, template) => template,
        };
        policy.check()?;
        Ok(policy)
    }

    /// A policy of parts made here.
    pub(crate) fn new(model: Model, tokenizer: Tokenizer) -> Result<Self> {
        let mut policy = Self {
            eos: model.config.eos_token_ids.clone(),
            stop: None,
            base: EMBEDDED[0].name.to_string(),
            chat: None,
            bos: None,
            companions: Vec::new(),
            model,
            tokenizer,
        };
        policy.check()?;
        let end = policy.eos.first().and_then(|id| policy.tokenizer.token(*id));
        let special = json!({
            "tokenizer_class": "Qwen2Tokenizer",
            "eos_token": end,
            "pad_token": end,
            "model_max_length": policy.model.config.max_position_embeddings,
        });
        policy.companions = vec![
            ("tokenizer.json".to_string(), policy.tokenizer.to_bytes()?),
            ("tokenizer_config.json".to_string(), serde_json::to_vec_pretty(&special)?),
        ];
        Ok(policy)
    }

    fn check(&self) -> Result<()> {
        let rows = self.model.config.vocab_size;
        if self.eos.is_empty() {
            bail!(
                "config.json has no `eos_token_id`, nor has generation_config.json; add the token \
                 that ends a completion"
            );
        }
        if let Some(id) = self.eos.iter().find(|id| **id as usize >= rows) {
            bail!("`eos_token_id` {id} is beyond the {rows} tokens of the model");
        }
        if self.tokenizer.vocab_size() > rows {
            let tokens = self.tokenizer.vocab_size();
            bail!("the tokenizer has {tokens} entries, the model's embedding {rows}");
        }
        Ok(())
    }

    /// What a companion that is a JSON object says; nothing where there is none.
    fn companion(&self, name: &str) -> Result<Map<String, Value>> {
        let found = self.companions.iter().find(|c| c.0 == name);
        found.map_or(Ok(Map::new()), |(_, bytes)| {
            serde_json::from_slice(bytes).with_context(|| format!("{name} is not a JSON object"))
        })
    }

    /// The tokens that end a completion: those of `generation_config.json` where it names any,
    /// as in `transformers`. Its other settings are the recipe's.
    fn eos_of_generation_config(&self) -> Result<Vec<u32>> {
        let ids = match self.companion("generation_config.json")?.remove("eos_token_id") {
            None | Some(Value::Null) => return Ok(self.model.config.eos_token_ids.clone()),
            Some(Value::Array(ids)) => ids,
            Some(id) => vec![id],
        };
        let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids: Option<Vec<u32>> = ids.iter().map(id).collect();
        ids.context("generation_config.json: `eos_token_id` is neither a token nor a list of them")
    }

    /// The token that `tokenizer_config.json` wants before every text.
    fn bos_of_tokenizer_config(&self) -> Result<Option<u32>> {
        let config = self.companion("tokenizer_config.json")?;
        if config.get("add_bos_token") != Some(&Value::Bool(true)) {
            return Ok(None);
        }
        let token = match config.get("bos_token") {
            Some(Value::Object(token)) => token.get("content").and_then(Value::as_str),
            Some(token) => token.as_str(),
            None => None,
        };
        let id = token.and_then(|token| self.tokenizer.id(token));
        id.map(Some).context("tokenizer_config.json: `add_bos_token` without a known `bos_token`")
    }

    /// Whether prompts are conversations.
    pub(crate) fn chats(&self) -> bool {
        self.chat.is_some()
    }

    /// A text as the policy is asked it: as the user's turn of a conversation, or as it is.
    pub(crate) fn ask(&self, text: &str) -> Result<Vec<u32>> {
        match &self.chat {
            Some(template) => self.converse(template, &[Message::new("user", text)]),
            None => self.plain(text),
        }
    }

    /// A task as the policy is asked it.
    pub(crate) fn prompt(&self, task: &Task) -> Result<Vec<u32>> {
        match &self.chat {
            Some(template) => self.converse(template, &instruction(task)),
            None => self.plain(&tasks::prompt(task)),
        }
    }

    /// A task as the policy is asked it with a hint.
    pub(crate) fn hinted(&self, task: &Task) -> Result<Vec<u32>> {
        let hint = tasks::hint(task);
        match &self.chat {
            Some(template) => {
                let (system, user) = tasks::instruction(task);
                let user = format!("{user}\n{hint}");
                let turns = [Message::new("system", system), Message::new("user", user)];
                self.converse(template, &turns)
            }
            None => self.plain(&tasks::prompt_with(task, &hint)),
        }
    }

    /// A task as the policy is asked it after a program of its own that failed.
    pub(crate) fn corrected(&self, task: &Task, program: &str, why: &str) -> Result<Vec<u32>> {
        match &self.chat {
            Some(template) => {
                let [system, user] = instruction(task);
                let reply = Message::new("assistant", format!("```python\n{program}```"));
                let again = format!("{why}\nAnswer with the whole corrected function.");
                self.converse(template, &[system, user, reply, Message::new("user", again)])
            }
            None => {
                let remarks = format!("This program is wrong:\n{program}{why}\nA right one:");
                self.plain(&tasks::prompt_with(task, &remarks))
            }
        }
    }

    /// The text of a task's prompt, for people.
    pub(crate) fn show_prompt(&self, task: &Task) -> Result<String> {
        match &self.chat {
            Some(template) => Ok(template.render(&instruction(task), true)?),
            None => Ok(tasks::prompt(task)),
        }
    }

    fn converse(&self, template: &ChatTemplate, turns: &[Message]) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(&template.render(turns, true)?)?)
    }

    fn plain(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self.tokenizer.encode_whole(text)?;
        if let Some(bos) = self.bos.filter(|bos| tokens.first() != Some(bos)) {
            tokens.insert(0, bos);
        }
        Ok(tokens)
    }

    /// A completion's text as the policy would have produced it, the end token included.
    pub(crate) fn completion(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self.tokenizer.encode(text)?;
        tokens.extend(self.eos.first());
        Ok(tokens)
    }

    /// From now on these texts end a completion too.
    pub(crate) fn stop_at(&mut self, strings: &[String]) {
        let stop = || Arc::new(StopStrings::new(strings.to_vec(), self.tokenizer.clone()));
        self.stop = (!strings.is_empty()).then(stop);
    }

    /// How it draws completions of at most so many tokens.
    pub(crate) fn sampling(
        &self,
        temperature: f32,
        completion_tokens_max: usize,
        filter: Filter,
    ) -> Sampling {
        let (eos, stop) = (self.eos.clone(), self.stop.clone());
        Sampling { temperature, completion_tokens_max, eos, stop, filter }
    }

    /// What a completion says, up to a stop string.
    pub(crate) fn text(&self, completion: &[u32]) -> Result<String> {
        let text = self.tokenizer.decode(completion)?;
        Ok(match &self.stop {
            Some(stop) => stop.cut(&text).to_string(),
            None => text,
        })
    }

    /// The program in a completion of a task's prompt.
    pub(crate) fn program(&self, task: &Task, completion: &[u32]) -> Result<String> {
        let text = self.text(completion)?;
        Ok(if self.chats() { tasks::program_of_reply(&text) } else { tasks::program(task, &text) })
    }

    /// Lays a new adapter on the model: it learns, and the weights stay.
    pub(crate) fn attach(&mut self, spec: AdapterSpec, seed: Seed) -> Result<()> {
        let mut rng = seed.rng();
        Ok(self.model.attach(spec, || rng.random())?)
    }

    /// Puts back what was learnt and saved in `dir`.
    pub(crate) fn restore(&mut self, dir: &Path) -> Result<()> {
        if self.model.adapter().is_none() {
            let precision = self.model.matmul_precision();
            self.model = Model::load(dir, Hold::Learning)?;
            self.model.set_matmul_precision(precision);
            return Ok(());
        }
        self.model.drop_adapter();
        self.read_adapter(dir)
    }

    fn read_adapter(&mut self, dir: &Path) -> Result<()> {
        let config = std::fs::read_to_string(dir.join(ADAPTER_CONFIG))
            .with_context(|| format!("cannot read {ADAPTER_CONFIG}"))?;
        let weights = std::fs::read(dir.join(ADAPTER_WEIGHTS))
            .with_context(|| format!("cannot read {ADAPTER_WEIGHTS}"))?;
        Ok(self.model.attach_peft(&config, &weights)?)
    }

    /// Writes what was learnt into `dir`, which exists: a Hugging Face directory with weights
    /// of type `dtype`, or a PEFT directory where an adapter learns.
    pub(crate) fn save(&self, dir: &Path, dtype: Dtype) -> Result<()> {
        for (name, bytes) in &self.companions {
            runlog::write_atomic(&dir.join(name), bytes)?;
        }
        if self.model.adapter().is_none() {
            return Ok(self.model.save(dir, dtype)?);
        }
        let (config, weights) = self.model.adapter_to_bytes(&self.base)?;
        runlog::write_atomic(&dir.join(ADAPTER_CONFIG), &config)?;
        runlog::write_atomic(&dir.join(ADAPTER_WEIGHTS), &weights)?;
        Ok(())
    }
}

/// The conversation that asks for a task's program.
fn instruction(task: &Task) -> [Message; 2] {
    let (system, user) = tasks::instruction(task);
    [Message::new("system", system), Message::new("user", user)]
}
