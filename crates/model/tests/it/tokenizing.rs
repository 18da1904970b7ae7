//! The tokenizer: training, round trips, files.

use model::Tokenizer;

#[test]
fn trained_tokenizer_round_trips() {
    let texts = ["def f(x):\n    return x + 12\n", "# Return the sum of a and b.\n"];
    let tokenizer = Tokenizer::train(texts.iter().copied(), 300).unwrap();
    assert_eq!(tokenizer.encode("<|endoftext|>").unwrap(), [0]);
    for text in [texts[0], texts[1], "héllo\t«Ω» 4711\n\n  x"] {
        let tokens = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
    }
    // Digits stand alone.
    assert_eq!(tokenizer.encode("4711").unwrap().len(), 4);
    let again = Tokenizer::from_bytes(&tokenizer.to_bytes().unwrap()).unwrap();
    assert_eq!(again.encode(texts[0]).unwrap(), tokenizer.encode(texts[0]).unwrap());
}

#[test]
fn training_is_deterministic() {
    let text: Vec<String> = (0..500).map(|i| format!("value_{} = {}\n", i % 37, i)).collect();
    let train = || Tokenizer::train(text.iter().map(String::as_str), 320).unwrap();
    assert_eq!(train().to_bytes().unwrap(), train().to_bytes().unwrap());
}
