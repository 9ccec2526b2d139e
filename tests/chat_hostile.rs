//! A hostile chat template ends in an error, within a second and 64 MB.
//!
//! Alone in its program: the allocator counts what any thread holds.
#![cfg(feature = "chat")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use quintile::model::chat::{ChatTemplate, Conversation, Error, SpecialTexts};
use serde_json::json;

/// Counts the bytes that are held, and the most that ever were.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(held, Relaxed);
}

// SAFETY: every call is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: by the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        grow(size);
        // SAFETY: by the caller.
        let new = unsafe { System.realloc(at, layout, size) };
        HELD.fetch_sub(if new.is_null() { size } else { layout.size() }, Relaxed);
        new
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const MAX_BYTES: usize = 64 << 20;
const MAX_TIME: Duration = Duration::from_secs(1);

/// Templates that want too much, by what they want too much of.
const HOSTILE: [(&str, &str); 28] = [
    ("steps", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
    (
        "output",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }} {{ b }}{% endfor %}{% endfor %}",
    ),
    ("range", "{% for a in range(10**12) %}{% endfor %}"),
    ("list of a range", "{{ range(10**10) | list | length }}"),
    ("repetition", "{{ 'a' * 10**9 }}"),
    ("repetition that is folded", "{% set x = 'a' * 1000000000 %}{{ x | length }}"),
    ("list repetition", "{{ ([0] * 10**9) | length }}"),
    (
        "doubling",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    ),
    (
        "doubling by addition",
        "{% set ns = namespace(x=[0]) %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x | length }}",
    ),
    (
        "doubling from the right",
        "{% set ns = namespace(x=[0]) %}{% for i in range(64) %}{% set ns.x = [] + (ns.x + ns.x) %}{% endfor %}{{ ns.x | length }}",
    ),
    (
        "doubling by a sum",
        "{% set ns = namespace(x=[0]) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] | sum(start=[]) %}{% endfor %}{{ ns.x | length }}",
    ),
    (
        "growth step by step",
        "{% set ns = namespace(x='') %}{% for i in range(99999) %}{% set ns.x = ns.x ~ 'aaaaaaaaaaaaaaaa' %}{% endfor %}",
    ),
    ("recursion of a macro", "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}"),
    ("recursion of two", "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 2) }}{% endmacro %}{{ f(0) }}"),
    ("recursion of a loop", "{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}"),
    ("width", "{{ '%1000000000d' | format(1) }}"),
    ("width of str.format", "{{ '{:>1000000000}'.format('a') }}"),
    ("width of str.format that is an argument", "{{ '{:>{}}'.format('a', 1000000000) }}"),
    ("precision of str.format", "{{ '{{{:.1000000000f}'.format(1.5) }}"),
    ("precision", "{{ '%.1000000000f' | format(1.5) }}"),
    (
        "join",
        "{% set x = ['a' * 1000] * 10000 %}{{ x | join('b' * 1000) }}{{ x | join('c' * 100000) }}",
    ),
    ("replacement", "{{ ('a' * 100000).replace('a', 'b' * 100000) }}"),
    ("indentation", "{{ ('a\n' * 100000) | indent(100000) }}"),
    (
        "lists that are shared",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
    ),
    (
        "lists that are shared, as text",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    ),
    (
        "lists within lists",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
    ),
    ("power", "{{ 10 ** 10 ** 10 }}"),
    ("a long date", "{{ strftime_now('%A' * 1000000) }}"),
];

/// What a template renders, in which time, and how many bytes were held at most.
fn measure(source: &str) -> (Result<String, Error>, Duration, usize) {
    let conversation = Conversation::new(vec![json!({"role": "user", "content": "Hi"})]);
    let (before, start) = (HELD.load(Relaxed), Instant::now());
    PEAK.store(before, Relaxed);
    let result = ChatTemplate::new(source, &SpecialTexts::default())
        .and_then(|template| template.render(&conversation));
    (result, start.elapsed(), PEAK.load(Relaxed) - before)
}

#[test]
fn a_hostile_template_ends_in_an_error_within_a_second_and_64_mb() {
    let (_, _, counted) = measure("{{ 'a' * 100000 }}");
    assert!(counted > 100_000, "the allocator counts");
    let deep = |open: &str, close: &str| open.repeat(20_000) + "1" + &close.repeat(20_000);
    let mut hostile: Vec<(&str, String)> =
        HOSTILE.iter().map(|&(name, source)| (name, source.to_owned())).collect();
    hostile.extend([
        ("parentheses", format!("{{{{ {} }}}}", deep("(", ")"))),
        ("lists in the source", format!("{{{{ {} }}}}", deep("[", "]"))),
        ("blocks", "{% if x %}".repeat(20_000)),
        ("signs", format!("{{{{ {} 1 }}}}", "not ".repeat(50_000))),
        ("a chain of filters", format!("{{{{ 'a' * 9999 {} }}}}", "| upper ".repeat(20_000))),
        ("statements", "{% set x = [x] %}".repeat(15_000) + "{{ x }}{{ x | tojson }}"),
    ]);
    let mut failures = Vec::new();
    for (name, source) in &hostile {
        let (result, time, bytes) = measure(source);
        println!("{name}: {time:.0?}, {bytes} bytes, {:?}", result.as_ref().map(String::len));
        // Signs are many, but all there is to do with them is little.
        let is_accepted = result.is_ok() && *name != "signs";
        if is_accepted || time > MAX_TIME || bytes > MAX_BYTES {
            let result = result.map(|text| text.len());
            failures.push(format!("{name}: {time:?}, {bytes} bytes, {result:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn limits_grow_with_the_conversation() {
    let words = "word ".repeat(400_000);
    let mut messages = vec![json!({"role": "user", "content": words})];
    messages.extend((0..1000).map(|i| json!({"role": "assistant", "content": format!("{i}")})));
    let source = "{% for m in messages %}<{{ m.role }}>{{ (m.content | trim).split('x')[-1] + '\\n' }}{% endfor %}";
    let template = ChatTemplate::new(source, &SpecialTexts::default()).unwrap();
    let text = template.render(&Conversation::new(messages)).unwrap();
    assert!(text.len() > 2_000_000 && text.ends_with("<assistant>999\n"), "{}", text.len());
}
