//! Longer contexts by option.

use super::*;

const LONGER: &str = "tests/data/tiny/qwen2-yarn.gguf";

fn tokens(model: &str, options: &str) -> Value {
    let options = options.split_whitespace();
    let fixed = ["run", "-m", model, "-p", PROMPT, "--temp", "0", "-n", "12", "--json"];
    call(&fixed.into_iter().chain(options).collect::<Vec<_>>()).json()["tokens"].take()
}

#[test]
fn options_say_what_the_file_would() {
    // The file's own words, one by one and all together.
    let own = tokens(LONGER, "");
    let all = "--rope-scaling yarn --rope-scale 4 --yarn-orig-ctx 512 --rope-freq-base 10000 \
               --yarn-ext-factor 1 --yarn-attn-factor 1 --yarn-beta-fast 32 --yarn-beta-slow 1";
    assert_eq!(tokens(LONGER, all), own);
    assert_eq!(tokens(LONGER, "--rope-freq-scale 0.25"), own);
    // YaRN that extrapolates nothing differs from linear scaling by what it multiplies alone.
    let interpolated = "--yarn-ext-factor 0 --yarn-attn-factor 0.878249";
    let (linear, none) = ("--rope-scaling linear", "--rope-scaling none");
    assert_ne!(tokens(LONGER, linear), own);
    assert_ne!(tokens(LONGER, none), tokens(LONGER, linear));
    let logprob = |tokens: &Value| tokens[0]["logprob"].as_f64().expect("a number");
    let [a, b] = [interpolated, linear].map(|options| logprob(&tokens(LONGER, options)));
    assert!((a - b).abs() < 1e-3, "{a} {b}");
    // A scale alone is linear, where the file has none.
    assert_eq!(
        tokens(QWEN2, "--rope-scale 2"),
        tokens(QWEN2, "--rope-scaling linear --rope-scale 2")
    );
}

#[test]
fn options_that_make_no_sense_are_wrong_usage() {
    for options in [
        "--rope-scale 0",
        "--rope-scale nan",
        "--rope-freq-scale 0",
        "--rope-freq-base -1",
        "--rope-scaling cubic",
        "--rope-scale 2 --rope-freq-scale 2",
        "--yarn-orig-ctx 0",
        "--yarn-ext-factor 2",
    ] {
        run(options).refused();
    }
    let message = call(&["run", "-m", QWEN2, "-p", PROMPT, "--rope-scaling", "yarn"]).refused();
    assert!(message.contains("rope scaling `yarn` without a scale"), "{message}");
}
