//! Making a model from nothing: the same bits whatever the number of threads.

use std::{fs, path::Path};

use crate::binary::{output, stderr};

const FILES: [&str; 4] =
    ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];

fn pretrain(dir: &Path, threads: &str) -> Vec<Vec<u8>> {
    let out = dir.join(threads);
    let made = output(&[
        "pretrain",
        "--out",
        out.to_str().unwrap(),
        "--threads",
        threads,
        "--set",
        "tokens=20000",
        "--set",
        "hidden_size=64",
    ]);
    assert!(made.status.success(), "{}", stderr(&made));
    FILES.iter().map(|f| fs::read(out.join(f)).unwrap()).collect()
}

#[test]
fn threads_change_no_bit() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(pretrain(dir.path(), "1"), pretrain(dir.path(), "2"));
}
