//! What is to be timed: every test in every setup.

use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::cli::output::Failure;
use crate::model::{CacheType, system};

/// Options that take lists.
#[derive(clap::Args)]
pub struct Lists {
    /// Tokens of prefill tests, ppN; 0 for none
    #[arg(short = 'p', long, value_name = "N", value_delimiter = ',', default_value = "512")]
    n_prompt: Vec<usize>,
    /// Tokens of decoding tests, tgN; 0 for none
    #[arg(short, long, value_name = "N", value_delimiter = ',', default_value = "64")]
    n_gen: Vec<usize>,
    /// Test prefill and decoding together, ppP+tgN (also -pg; may be given several times)
    #[arg(long, value_name = "P,N")]
    prompt_gen: Vec<PromptGen>,
    /// Tokens before those of a test, not timed
    #[arg(short = 'd', long, value_name = "N", value_delimiter = ',', default_value = "0")]
    n_depth: Vec<usize>,
    /// Threads; those beyond the processors rest [default: the physical cores that this process may use]
    #[arg(short, long, value_name = "N", value_delimiter = ',')]
    threads: Vec<NonZeroUsize>,
    /// Threads of batches: prefill (also -tb); the same as -t where not given
    #[arg(long, value_name = "N")]
    threads_batch: Option<NonZeroUsize>,
    /// Tokens of a batch, at most
    #[arg(short, long, value_name = "N", value_delimiter = ',', default_value = "2048")]
    batch: Vec<NonZeroUsize>,
    /// Tokens that are computed together, at most, and no more than a batch has (also -ub)
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "512")]
    ubatch: Vec<NonZeroUsize>,
    /// Cache keys as f16, q8_0 or f32 (also -ctk)
    #[arg(long, value_name = "TYPE", value_delimiter = ',', default_value = "f16")]
    cache_type_k: Vec<CacheType>,
    /// Cache values as f16, q8_0 or f32 (also -ctv); the same as the keys, which is what not giving it means
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    cache_type_v: Vec<CacheType>,
}

/// What a session is set up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Of single tokens, and of batches.
    pub threads: [NonZeroUsize; 2],
    pub batch: NonZeroUsize,
    /// What is computed together: the smaller of -ub and -b.
    pub ubatch: NonZeroUsize,
    pub cache: CacheType,
}

/// A number of tokens to read, then one to decode, after so many others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    pub n_prompt: usize,
    pub n_gen: usize,
    pub n_depth: usize,
}

impl Test {
    /// The name that llama-bench gives it.
    pub fn name(&self) -> String {
        let Test { n_prompt, n_gen, n_depth } = *self;
        let name = match (n_prompt, n_gen) {
            (_, 0) => format!("pp{n_prompt}"),
            (0, _) => format!("tg{n_gen}"),
            _ => format!("pp{n_prompt}+tg{n_gen}"),
        };
        if n_depth == 0 { name } else { format!("{name} @ d{n_depth}") }
    }

    pub fn tokens(&self) -> usize {
        self.n_prompt + self.n_gen
    }
}

/// `P,N`
#[derive(Clone, Copy, Debug)]
struct PromptGen(usize, usize);

impl FromStr for PromptGen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let two = text.split_once(',').and_then(|(prompt, generated)| {
            Some(PromptGen(prompt.trim().parse().ok()?, generated.trim().parse().ok()?))
        });
        two.filter(|PromptGen(prompt, generated)| prompt + generated > 0)
            .ok_or("not two numbers divided by a comma, one of them above 0")
    }
}

impl Lists {
    /// Every combination of threads, batches and caches.
    pub fn setups(&self) -> Result<Vec<Setup>, Failure> {
        let values =
            if self.cache_type_v.is_empty() { &self.cache_type_k } else { &self.cache_type_v };
        if *values != self.cache_type_k {
            let names =
                |types: &[CacheType]| types.iter().map(|t| t.name()).collect::<Vec<_>>().join(",");
            return Err(Failure::Usage(format!(
                "keys are cached as {} and values as {}: give both options the same types",
                names(&self.cache_type_k),
                names(values)
            )));
        }
        let threads = match &*self.threads {
            [] => vec![system::default_threads()],
            threads => threads.to_vec(),
        };
        let mut setups = Vec::new();
        for &threads in &threads {
            for &batch in &self.batch {
                for &ubatch in &self.ubatch {
                    for &cache in &self.cache_type_k {
                        let threads = [threads, self.threads_batch.unwrap_or(threads)];
                        let setup = Setup { threads, batch, ubatch: ubatch.min(batch), cache };
                        if !setups.contains(&setup) {
                            setups.push(setup);
                        }
                    }
                }
            }
        }
        Ok(setups)
    }

    /// The tests, by depth: prefill, decoding, both.
    pub fn tests(&self) -> Result<Vec<Test>, Failure> {
        let mut tests: Vec<Test> = Vec::new();
        for &n_depth in &self.n_depth {
            let prompts = self.n_prompt.iter().map(|&n| (n, 0));
            let both =
                self.prompt_gen.iter().map(|&PromptGen(prompt, generated)| (prompt, generated));
            for (n_prompt, n_gen) in prompts.chain(self.n_gen.iter().map(|&n| (0, n))).chain(both) {
                let test = Test { n_prompt, n_gen, n_depth };
                if test.tokens() > 0 && !tests.contains(&test) {
                    tests.push(test);
                }
            }
        }
        if tests.is_empty() {
            return Err(Failure::Usage(
                "nothing to do: -p and -n are 0, and there is no -pg".into(),
            ));
        }
        Ok(tests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        lists: Lists,
    }

    fn lists(args: &str) -> Lists {
        Line::parse_from(["bench"].into_iter().chain(args.split_whitespace())).lists
    }

    #[test]
    fn lists_are_combined_each_with_each() {
        let setups = lists("-t 1,2 -b 64,2048 --ubatch 512,32").setups().unwrap();
        let seen: Vec<_> = setups.iter().map(|s| (s.threads[0].get(), s.ubatch.get())).collect();
        let of = |threads| [(threads, 64), (threads, 32), (threads, 512), (threads, 32)];
        assert_eq!(seen, [of(1), of(2)].concat());
    }

    #[test]
    fn tests_have_the_names_of_llama_bench() {
        let names =
            |args| -> Vec<String> { lists(args).tests().unwrap().iter().map(Test::name).collect() };
        assert_eq!(names(""), ["pp512", "tg64"]);
        assert_eq!(names("-p 0 -n 0 --prompt-gen 8,4"), ["pp8+tg4"]);
        assert_eq!(names("-p 8,16,8 -n 0 -d 0,32"), ["pp8", "pp16", "pp8 @ d32", "pp16 @ d32"]);
        assert!(lists("-p 0 -n 0").tests().is_err());
    }
}
