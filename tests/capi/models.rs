//! Handles: the text and logits of the Rust interface, and a status with words for what goes wrong.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::thread;

use quintile::model::tokenizer::EncodeOptions;
use quintile::model::{self, GenerateOptions, Pool, SamplerOptions, Session};

use crate::api::*;
use crate::c;

const FILE: &str = "tests/data/tiny/llama-linear.gguf";
const PROMPT: &str = "the and in on";

/// A buffer for words, and what it says.
struct Words([c_char; 300]);

impl Words {
    fn new() -> Words {
        Words([b'?' as c_char; 300])
    }

    fn get(&self) -> &str {
        // SAFETY: every entry that is given the buffer ends its text in it.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }.to_str().unwrap()
    }
}

/// An open model.
struct Opened(*mut Model);
// SAFETY: any threads may use a model at the same time.
unsafe impl Sync for Opened {}

impl Opened {
    fn new(file: &str) -> Opened {
        let (mut model, mut words) = (ptr::null_mut(), Words::new());
        let (path, at) = (c(file), words.0.as_mut_ptr());
        // SAFETY: texts that end in a zero, places for what is written; so below.
        let status =
            unsafe { (api().quintile_model_open)(path.as_ptr(), ptr::null(), &mut model, at, 300) };
        assert_eq!((status, words.get()), (OK, ""));
        Opened(model)
    }

    fn tokens(&self, text: &str, flags: u32) -> Vec<u32> {
        let (mut count, mut tokens) = (0, vec![0; 100]);
        // SAFETY: as above.
        unsafe {
            let tokenize = api().quintile_tokenize;
            let text = (text.as_ptr().cast(), text.len());
            let status = tokenize(self.0, text.0, text.1, flags, ptr::null_mut(), 0, &mut count);
            assert_eq!(status, if count == 0 { OK } else { BUFFER_TOO_SMALL });
            let at = tokens.as_mut_ptr();
            assert_eq!(tokenize(self.0, text.0, text.1, flags, at, count, &mut count), OK);
        }
        tokens.truncate(count);
        tokens
    }

    fn context(&self, change: impl Fn(&mut ContextOptions)) -> (i32, InUse, String) {
        let (mut options, mut context) = (MaybeUninit::uninit(), ptr::null_mut());
        let mut words = Words::new();
        // SAFETY: as above.
        let status = unsafe {
            assert_eq!((api().quintile_context_options_init)(options.as_mut_ptr()), OK);
            change(options.assume_init_mut());
            let (options, at) = (options.as_ptr(), words.0.as_mut_ptr());
            (api().quintile_context_new)(self.0, options, &mut context, at, 300)
        };
        assert_eq!(status == OK, !context.is_null());
        (status, InUse(context), words.get().to_owned())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { (api().quintile_model_free)(self.0) }
    }
}

/// A context, or null.
struct InUse(*mut Context);
// SAFETY: a second thread is refused, or cancels.
unsafe impl Sync for InUse {}

impl Drop for InUse {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { (api().quintile_context_free)(self.0) }
    }
}

impl InUse {
    fn eval(&self, tokens: &[u32], logits: Option<&mut [f32]>) -> (i32, String) {
        let mut words = Words::new();
        let (at, len) = logits.map_or((ptr::null_mut(), 0), |l| (l.as_mut_ptr(), l.len()));
        let error = words.0.as_mut_ptr();
        // SAFETY: slices with their lengths.
        let status = unsafe {
            (api().quintile_context_eval)(
                self.0,
                tokens.as_ptr(),
                tokens.len(),
                at,
                len,
                error,
                300,
            )
        };
        (status, words.get().to_owned())
    }

    fn position(&self) -> usize {
        let mut position = 0;
        // SAFETY: a place for the number.
        assert_eq!(unsafe { (api().quintile_context_position)(self.0, &mut position) }, OK);
        position
    }

    /// Status, reason, tokens and text, of which the callback wants so many.
    fn generate(
        &self,
        tokens: &[u32],
        most: usize,
        change: impl Fn(&mut Sampling),
    ) -> (i32, i32, Vec<u32>, String, String) {
        let mut heard = Heard { tokens: Vec::new(), text: Vec::new(), most, context: self.0 };
        let (mut sampling, mut finish, mut words) = (MaybeUninit::uninit(), -1, Words::new());
        // SAFETY: slices with their lengths; the callback gets what it expects.
        let status = unsafe {
            assert_eq!((api().quintile_sampling_init)(sampling.as_mut_ptr()), OK);
            change(sampling.assume_init_mut());
            let user = (&raw mut heard).cast();
            (api().quintile_generate)(
                self.0,
                tokens.as_ptr(),
                tokens.len(),
                sampling.as_ptr(),
                Some(hear),
                user,
                &mut finish,
                words.0.as_mut_ptr(),
                300,
            )
        };
        let text = String::from_utf8(heard.text).unwrap();
        (status, finish, heard.tokens, text, words.get().to_owned())
    }
}

struct Heard {
    tokens: Vec<u32>,
    text: Vec<u8>,
    most: usize,
    context: *mut Context,
}

unsafe extern "C" fn hear(user: *mut c_void, token: u32, text: *const c_char, n: usize) -> c_int {
    // SAFETY: what `generate` above gave, and a text of so many bytes.
    let (heard, text) =
        unsafe { (&mut *user.cast::<Heard>(), std::slice::from_raw_parts(text.cast::<u8>(), n)) };
    heard.tokens.push(token);
    heard.text.extend_from_slice(text);
    let mut position = 0;
    // SAFETY: the context lives, and is in use.
    assert_eq!(unsafe { (api().quintile_context_position)(heard.context, &mut position) }, BUSY);
    c_int::from(heard.tokens.len() >= heard.most)
}

/// What the Rust interface generates.
fn want(sampler: SamplerOptions, max_tokens: usize) -> (Vec<u32>, String) {
    let model = model::Model::open(FILE).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    let pool = Pool::new(std::num::NonZeroUsize::MIN).unwrap();
    let mut session = Session::new(&model, &pool, &Default::default()).unwrap();
    let mut sampler = model::Sampler::new(sampler).unwrap();
    let options = GenerateOptions { max_tokens, ..Default::default() };
    let pieces = model::generate(&mut session, &tokenizer, &mut sampler, PROMPT, options).unwrap();
    let pieces: Vec<_> = pieces.map(Result::unwrap).collect();
    (
        pieces.iter().map(|piece| piece.token).collect(),
        pieces.iter().map(|piece| piece.text.as_str()).collect(),
    )
}

#[test]
fn tokens_and_what_they_stand_for_are_those_of_the_rust_interface() {
    let (opened, model) = (Opened::new(FILE), model::Model::open(FILE).unwrap());
    let tokenizer = model.tokenizer().unwrap();
    for flags in 0..4 {
        let options = EncodeOptions { add_special: flags & 1 != 0, parse_special: flags & 2 != 0 };
        for text in [PROMPT, "", "é🚀\0x", "</s>"] {
            assert_eq!(opened.tokens(text, flags), tokenizer.encode(text, options), "{text:?}");
        }
    }
    let mut info = MaybeUninit::<ModelInfo>::uninit();
    // SAFETY: places for what is written; texts end in a zero.
    unsafe {
        assert_eq!((api().quintile_model_describe)(opened.0, info.as_mut_ptr()), OK);
        let info = info.assume_init();
        assert_eq!(info.vocab, model.config().vocab);
        assert_eq!(info.bos, tokenizer.bos().map_or(-1, i64::from));
        for token in 0..info.vocab as u32 {
            let (mut bytes, mut count, mut flags) = (ptr::null(), 0, 9);
            let status =
                (api().quintile_token_bytes)(opened.0, token, &mut bytes, &mut count, &mut flags);
            assert_eq!(status, OK);
            assert_eq!(std::slice::from_raw_parts(bytes, count), tokenizer.token_bytes(token));
            assert_eq!(flags & 1 != 0, tokenizer.is_control(token));
            assert_eq!(flags & 2 != 0, tokenizer.is_end_of_generation(token));
        }
        let (mut bytes, mut count) = (ptr::null(), 0);
        let beyond = info.vocab as u32;
        let status =
            (api().quintile_token_bytes)(opened.0, beyond, &mut bytes, &mut count, ptr::null_mut());
        assert_eq!(status, OUT_OF_RANGE);
        let mut tensor = MaybeUninit::<TensorView>::uninit();
        let name = c("output.weight");
        let at = tensor.as_mut_ptr();
        assert_eq!((api().quintile_model_tensor)(opened.0, name.as_ptr(), at), OK);
        let tensor = tensor.assume_init();
        let found = model.file().tensor_info("output.weight").unwrap();
        let data = std::slice::from_raw_parts(tensor.data.cast::<u8>(), tensor.bytes);
        assert_eq!(data, model.file().tensor_bytes(found));
        assert_eq!([tensor.k, tensor.rows], found.dims[..]);
        let name = c("no.weight");
        assert_eq!((api().quintile_model_tensor)(opened.0, name.as_ptr(), at), OUT_OF_RANGE);
    }
}

#[test]
fn logits_have_the_bits_of_the_rust_interface_however_a_text_is_given() {
    let (opened, model) = (Opened::new(FILE), model::Model::open(FILE).unwrap());
    let pool = Pool::new(std::num::NonZeroUsize::MIN).unwrap();
    let mut session = Session::new(&model, &pool, &Default::default()).unwrap();
    let tokens = opened.tokens(PROMPT, 1);
    session.forward(&tokens).unwrap();
    let want: Vec<u32> = session.logits().iter().map(|x| x.to_bits()).collect();
    for threads in [1, 3] {
        let (_, context, _) = opened.context(|options| options.threads = threads);
        let mut logits = vec![0.0; want.len()];
        let same = |logits: &[f32]| logits.iter().map(|x| x.to_bits()).eq(want.iter().copied());
        assert_eq!(context.eval(&tokens[..1], None).0, OK);
        assert_eq!(context.eval(&tokens[1..], Some(&mut logits)).0, OK);
        assert!(same(&logits));
        // Nothing new: the same again; and after the last was forgotten and given once more.
        for _ in 0..2 {
            logits.fill(0.0);
            assert_eq!(context.eval(&[], Some(&mut logits)).0, OK);
            assert!(same(&logits));
        }
        let last = tokens.len() - 1;
        // SAFETY: a context in use by nobody else.
        assert_eq!(unsafe { (api().quintile_context_truncate)(context.0, last) }, OK);
        assert_eq!(context.eval(&tokens[last..], Some(&mut logits)).0, OK);
        assert!(same(&logits));
        assert_eq!(context.position(), tokens.len());
        // SAFETY: as above.
        let status = unsafe { (api().quintile_context_truncate)(context.0, tokens.len() + 1) };
        assert_eq!(status, OUT_OF_RANGE);
        let (status, text) = context.eval(&[1, 9999], None);
        assert_eq!((status, context.position()), (OUT_OF_RANGE, tokens.len()));
        assert!(text.contains("9999"), "{text}");
        assert_eq!(context.eval(&[1], Some(&mut logits[1..])).0, WRONG_SIZE);
    }
}

#[test]
fn generated_text_is_that_of_the_rust_interface_whole_or_in_parts() {
    let opened = Opened::new(FILE);
    let prompt = opened.tokens(PROMPT, 1);
    for (temperature, seed) in [(0.0, 0), (0.9, 5)] {
        let set = move |sampling: &mut Sampling| {
            (sampling.temperature, sampling.seed, sampling.max_tokens) = (temperature, seed, 12);
        };
        let (tokens, text) =
            want(SamplerOptions { temperature, seed, ..SamplerOptions::default() }, 12);
        let (_, context, _) = opened.context(|_| {});
        let got = context.generate(&prompt, usize::MAX, set);
        assert_eq!((got.0, got.1), (OK, 1), "{}", got.4);
        assert_eq!((&got.2, &got.3), (&tokens, &text));
        assert_eq!(context.position(), prompt.len() + tokens.len());
    }
    // Greedily, a text that is left and taken up again is the same.
    let (tokens, text) = want(SamplerOptions { temperature: 0.0, ..Default::default() }, 12);
    let (_, context, _) = opened.context(|_| {});
    let greedy = |sampling: &mut Sampling| {
        (sampling.temperature, sampling.max_tokens) = (0.0, 12);
    };
    let first = context.generate(&prompt, 2, greedy);
    assert_eq!((first.0, first.1, first.2.len()), (OK, 5, 2));
    assert_eq!(context.position(), prompt.len() + 2);
    let left = |sampling: &mut Sampling| {
        (sampling.temperature, sampling.max_tokens) = (0.0, 10);
    };
    let rest = context.generate(&[], usize::MAX, left);
    assert_eq!(([first.2, rest.2].concat(), [first.3, rest.3].concat()), (tokens, text));
}

#[test]
fn generation_ends_at_stop_strings_and_when_cancelled_or_full() {
    let opened = Opened::new(FILE);
    let prompt = opened.tokens(PROMPT, 1);
    let (_, text) = want(SamplerOptions { temperature: 0.0, ..Default::default() }, 12);
    let middle = text.char_indices().nth(text.chars().count() / 2).unwrap().0;
    let stop = c(&text[middle..]);
    let stops = [stop.as_ptr()];
    let (_, context, _) = opened.context(|_| {});
    let got = context.generate(&prompt, usize::MAX, |sampling| {
        (sampling.temperature, sampling.stop, sampling.stop_count) = (0.0, stops.as_ptr(), 1);
    });
    assert_eq!((got.0, got.1), (OK, 2), "{}", got.4);
    assert!(text.starts_with(&got.3) && !got.3.contains(&text[middle..]));

    // SAFETY: a context that lives.
    assert_eq!(unsafe { (api().quintile_context_cancel)(context.0) }, OK);
    let got = context.generate(&[], usize::MAX, |_| {});
    assert_eq!((got.0, got.1, got.2.len()), (OK, 4, 0));
    // SAFETY: as above.
    assert_eq!(unsafe { (api().quintile_context_cancel)(context.0) }, OK);
    assert_eq!(context.eval(&[5], None).0, CANCELLED);
    assert_eq!(context.eval(&[5], None).0, OK);

    let (_, small, _) = opened.context(|options| options.context = prompt.len() + 3);
    let got = small.generate(&prompt, usize::MAX, |sampling| {
        (sampling.temperature, sampling.ignore_end) = (0.0, 1);
    });
    assert_eq!((got.0, got.1), (OK, 3), "{}", got.4);
    let (status, words) = small.eval(&prompt, None);
    assert_eq!(status, CONTEXT_FULL);
    assert!(words.contains(&format!("context of {}", prompt.len() + 3)), "{words}");
}

#[test]
fn a_model_is_shared_by_threads_and_outlived_by_contexts() {
    let opened = Opened::new(FILE);
    let prompt = opened.tokens(PROMPT, 1);
    let (tokens, _) = want(SamplerOptions { temperature: 0.0, ..Default::default() }, 6);
    let greedy = |sampling: &mut Sampling| (sampling.temperature, sampling.max_tokens) = (0.0, 6);
    thread::scope(|scope| {
        for _ in 0..4 {
            let (opened, prompt, tokens) = (&opened, &prompt, &tokens);
            scope.spawn(move || {
                let (_, context, _) = opened.context(|options| options.threads = 2);
                assert_eq!(&context.generate(prompt, usize::MAX, greedy).2, tokens);
            });
        }
    });
    let (_, context, _) = opened.context(|_| {});
    drop(opened);
    assert_eq!(context.generate(&prompt, usize::MAX, greedy).2, tokens);
}

#[test]
fn what_is_wrong_is_a_status_and_words_that_name_it() {
    let open = |path: &str, change: &dyn Fn(&mut ModelOptions)| {
        let (mut model, mut words) = (ptr::dangling_mut(), Words::new());
        let (path, at) = (c(path), words.0.as_mut_ptr());
        let mut options = MaybeUninit::uninit();
        // SAFETY: as above.
        let status = unsafe {
            assert_eq!((api().quintile_model_options_init)(options.as_mut_ptr()), OK);
            change(options.assume_init_mut());
            (api().quintile_model_open)(path.as_ptr(), options.as_ptr(), &mut model, at, 300)
        };
        if status == OK {
            drop(Opened(model));
        } else {
            assert!(model.is_null());
        }
        (status, words.get().to_owned())
    };
    let (status, words) = open("no-such.gguf", &|_| {});
    assert!(status == IO && words.contains("no-such.gguf"), "{words}");
    let (status, words) = open("Cargo.toml", &|_| {});
    assert!(status == INVALID_FILE && words.contains("Cargo.toml: magic"), "{words}");
    assert_eq!(open(FILE, &|options| options.read_file = 1).0, OK);
    let (fast, foreign) = (c("fast"), if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" });
    let (status, words) = open(FILE, &|options| options.level = fast.as_ptr());
    assert!(status == INVALID_OPTION && words.contains("fast"), "{words}");
    let foreign_name = c(foreign);
    let (status, words) = open(FILE, &|options| options.level = foreign_name.as_ptr());
    assert!(status == UNSUPPORTED && words.contains(foreign), "{words}");

    let opened = Opened::new(FILE);
    let (status, _, words) = opened.context(|options| options.cache_format = 13);
    assert!(status == INVALID_OPTION && words.contains("13"), "{words}");
    assert_ne!(opened.context(|options| options.context = usize::MAX).0, OK);
    assert_ne!(opened.context(|options| options.batch = 0).0, OK);
    assert_eq!(opened.context(|options| options.threads = usize::MAX).0, INVALID_OPTION);

    let (_, context, _) = opened.context(|_| {});
    let got = context.generate(&[], usize::MAX, |_| {});
    assert_eq!(got.0, INVALID_OPTION, "an empty text: {}", got.4);
    assert_ne!(context.eval(&[], Some(&mut [0.0; 320])).0, OK);
    let got = context.generate(&[1], usize::MAX, |sampling| sampling.top_p = f32::NAN);
    assert!(got.0 == INVALID_OPTION && got.4.contains("top-p"), "{}", got.4);
    let got = context.generate(&[1], usize::MAX, |sampling| sampling.stop_count = 1);
    assert_eq!(got.0, NULL_POINTER);
    let empty = c("");
    let stops = [empty.as_ptr()];
    let got = context.generate(&[1], usize::MAX, |sampling| {
        (sampling.stop, sampling.stop_count) = (stops.as_ptr(), 1);
    });
    assert_eq!(got.0, INVALID_OPTION);
    let got = context.generate(&[1, 99999], usize::MAX, |_| {});
    assert_eq!((got.0, context.position()), (OUT_OF_RANGE, 0), "{}", got.4);

    let (null, mut number) = (ptr::null_mut::<Context>(), 0);
    let mut context_place = ptr::null_mut();
    // SAFETY: null is refused everywhere, and a null buffer for words is none.
    unsafe {
        let api = api();
        (api.quintile_model_free)(ptr::null_mut());
        (api.quintile_context_free)(null);
        let nil = ptr::null_mut();
        let open = api.quintile_model_open;
        assert_eq!(open(ptr::null(), ptr::null(), &mut ptr::null_mut(), nil, 0), NULL_POINTER);
        let path = c(FILE);
        assert_eq!(open(path.as_ptr(), ptr::null(), nil.cast(), nil, 0), NULL_POINTER);
        let new = api.quintile_context_new;
        assert_eq!(new(ptr::null(), ptr::null(), &mut context_place, nil, 0), NULL_POINTER);
        assert_eq!(new(opened.0, ptr::null(), nil.cast(), nil, 0), NULL_POINTER);
        let eval = api.quintile_context_eval;
        assert_eq!(eval(null, ptr::null(), 0, ptr::null_mut(), 0, nil, 0), NULL_POINTER);
        assert_eq!(eval(context.0, ptr::null(), 3, ptr::null_mut(), 0, nil, 0), NULL_POINTER);
        assert_eq!((api.quintile_context_position)(null, &mut number), NULL_POINTER);
        assert_eq!((api.quintile_context_position)(context.0, ptr::null_mut()), NULL_POINTER);
        assert_eq!((api.quintile_context_truncate)(null, 0), NULL_POINTER);
        assert_eq!((api.quintile_context_cancel)(null), NULL_POINTER);
        let generate = api.quintile_generate;
        let (no, user) = (ptr::null(), ptr::null_mut());
        let status = generate(context.0, [1].as_ptr(), 1, no, None, user, ptr::null_mut(), nil, 0);
        assert_eq!(status, NULL_POINTER);
        let tokenize = api.quintile_tokenize;
        let bad = b"\xff".as_ptr().cast();
        let (nowhere, count) = (ptr::null_mut(), &mut number);
        assert_eq!(tokenize(ptr::null(), bad, 1, 0, nowhere, 0, count), NULL_POINTER);
        assert_eq!(tokenize(opened.0, bad, 1, 0, nowhere, 0, count), INVALID_UTF8);
        assert_eq!(tokenize(opened.0, ptr::null(), 1, 0, nowhere, 0, count), NULL_POINTER);
        assert_eq!(tokenize(opened.0, c("a").as_ptr(), 1, 8, nowhere, 0, count), INVALID_OPTION);
        assert_eq!((api.quintile_model_describe)(opened.0, ptr::null_mut()), NULL_POINTER);
        assert_eq!((api.quintile_sampling_init)(ptr::null_mut()), NULL_POINTER);
    }
}
