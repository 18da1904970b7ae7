//! Chat templates: what `scripts/golden_chat.py` says transformers renders.

use model::{ChatTemplate, Message};
use serde_json::{Value, json};

use crate::golden::folder;

fn messages(value: &Value) -> Vec<Message> {
    let text = |m: &Value, key: &str| m[key].as_str().unwrap().to_string();
    let turns = value.as_array().unwrap().iter();
    turns.map(|m| Message::new(&text(m, "role"), text(m, "content"))).collect()
}

#[test]
fn conversations_are_rendered_as_transformers_does() {
    let golden: Value =
        serde_json::from_slice(&std::fs::read(folder("chat.json")).unwrap()).unwrap();
    let mut refused = 0;
    for t in golden["templates"].as_array().unwrap() {
        let source = t["template"].as_str().unwrap();
        let template = ChatTemplate::new(source, t["special"].as_object().unwrap()).unwrap();
        for case in t["cases"].as_array().unwrap() {
            let generate = case["add_generation_prompt"].as_bool().unwrap();
            let got = template.render(&messages(&case["messages"]), generate);
            match (case["text"].as_str(), got) {
                (Some(want), Ok(got)) => assert_eq!(got, want, "{}", t["name"]),
                (None, Err(e)) => {
                    refused += 1;
                    assert!(e.to_string().contains(case["error"].as_str().unwrap()), "{e}");
                }
                (want, got) => panic!("{}: {want:?} {got:?}", t["name"]),
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_template_is_found_where_checkpoints_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let shown = || {
        let template = ChatTemplate::load(dir.path()).unwrap().unwrap();
        template.render(&[Message::new("user", "hi")], true).unwrap()
    };
    assert!(ChatTemplate::load(dir.path()).unwrap().is_none());
    write("tokenizer_config.json", "{}");
    assert!(ChatTemplate::load(dir.path()).unwrap().is_none());
    let config = json!({
        "bos_token": { "content": "<s>", "special": true },
        "chat_template": "{{ bos_token }}{{ messages[0].content }}",
    });
    write("tokenizer_config.json", &config.to_string());
    assert_eq!(shown(), "<s>hi");
    let named = json!({ "chat_template": [
        { "name": "tool_use", "template": "x" }, { "name": "default", "template": "d" } ] });
    write("tokenizer_config.json", &named.to_string());
    assert_eq!(shown(), "d");
    write("chat_template.jinja", "{% for m in messages %}\n{{ m.role }}\n{% endfor %}\n");
    assert_eq!(shown(), "user\n");
    write("chat_template.jinja", "{% for m in %}");
    let error = ChatTemplate::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("chat template") && error.contains("line 1"), "{error}");
}
