//! What a sound file may ask for and not get: memory without end, and code.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use quintile::gguf::Value;
use quintile::model::{Pool, Session, SessionOptions};

use super::edit::Parts;
use super::{MODELS, load, run};

/// Where the system says how much memory there is.
#[test]
#[cfg(target_os = "linux")]
fn a_cache_beyond_the_memory_is_refused_before_it_is_allocated() {
    for name in MODELS {
        let mut parts = Parts::of(name);
        let arch = if name == "llama-linear" { "llama" } else { name };
        parts.set(&format!("{arch}.context_length"), Value::U32(u32::MAX));
        let model = load(parts.bytes()).unwrap();
        let pool = Pool::new(NonZeroUsize::MIN).unwrap();
        let refusal = |context: usize| {
            let options = SessionOptions { context: Some(context), ..SessionOptions::default() };
            Session::new(&model, &pool, &options).err().expect("no machine has it").to_string()
        };
        for context in [1 << 45, usize::MAX] {
            let message = refusal(context);
            assert!(message.contains(&format!("a context of {context}")), "{message}");
        }
        // By itself a session takes a context that any machine has room for.
        let session = Session::new(&model, &pool, &SessionOptions::default()).unwrap();
        assert_eq!(session.context(), 4096);
    }
}

/// CVE-2024-34359 ran code in a template; llama.cpp#26387 and #24140 recursed and counted in one without
/// end. Here a template is a string like any other.
#[test]
fn a_chat_template_is_never_run() {
    let templates = [
        "{% for i in range(1000000000) %}{{ i }}{% endfor %}".to_owned(),
        "{{ ''.__class__.__mro__[1].__subclasses__() }}".to_owned(),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        "{{ (".repeat(100_000),
    ];
    let plain = run(&load(Parts::of("llama-linear").bytes()).unwrap());
    for template in templates {
        let mut parts = Parts::of("llama-linear");
        parts.set("tokenizer.chat_template", Value::String(template));
        let start = Instant::now();
        assert_eq!(run(&load(parts.bytes()).unwrap()), plain);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
}
