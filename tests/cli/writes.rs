//! Writes that are interrupted or fail: a file under the final name is the old one or the new one,
//! always whole.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use quintile::formats::Format;
use quintile::gguf::{Builder, Value as Metadata};
use quintile::tensor::Dims;

use super::*;

/// A file that takes some tens of milliseconds to quantise.
fn large(folder: &TempFolder) -> String {
    const ROWS: usize = 1024;
    let path = folder.path("source.gguf");
    let mut builder = Builder::new();
    builder.metadata("general.architecture", Metadata::String("llama".into()));
    builder.metadata("llama.block_count", Metadata::U32(4));
    let name = |i| format!("blk.{i}.ffn_up.weight");
    for i in 0..4 {
        builder.tensor(name(i), Dims::new(&[1024, ROWS]).unwrap(), Format::F32.gguf_id());
    }
    let mut writer = builder.create(path.as_ref()).unwrap();
    let mut state = 1u32;
    for _ in 0..4 * ROWS {
        let row: Vec<u8> = (0..1024)
            .flat_map(|_| {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                (state as i32 as f32 * 1e-10).to_le_bytes()
            })
            .collect();
        writer.write(&row).unwrap();
    }
    writer.finish().unwrap();
    path
}

#[test]
fn a_hundred_kills_at_random_moments_leave_the_old_file_or_the_new_one() {
    let (sources, folder) = (TempFolder::new("kill-source"), TempFolder::new("kill"));
    let source = large(&sources);
    let out = folder.path("out.gguf");
    let args = ["quantize", &source, &out, "q5_k_m", "-t", "2", "--isa", "scalar"];
    let start = Instant::now();
    call(&args).ok();
    let whole = start.elapsed();
    let new = fs::read(&out).unwrap();
    let old = b"the file that was there before".to_vec();

    let (mut kept, mut replaced, mut state) = (0, 0, 12345u64);
    for i in 0..100 {
        fs::write(&out, &old).unwrap();
        let mut child = spawn(&args);
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // From before the first byte to after the last.
        let share = (state >> 32) as f64 / (1u64 << 32) as f64 * 1.2;
        std::thread::sleep(Duration::from_secs_f64(whole.as_secs_f64() * share));
        let kill = i % 2 == 0;
        if kill {
            child.kill().unwrap()
        } else {
            interrupt(&child)
        }
        let status = child.wait().unwrap();
        if kill {
            assert!(status.success() || status.signal() == Some(9), "{status}");
        } else {
            // Before the command watches the signal, it has its usual effect.
            let ended =
                status.success() || status.code() == Some(130) || status.signal() == Some(2);
            assert!(ended, "{status}");
        }
        let found = fs::read(&out).unwrap();
        if found == old {
            kept += 1;
            assert!(!status.success());
        } else {
            assert!(found == new, "a file of {} bytes, which is neither", found.len());
            replaced += 1;
        }
        // A complete file may have a name of its own for the moment before it is renamed.
        let others: Vec<String> =
            folder.names().into_iter().filter(|name| name != "out.gguf").collect();
        for name in &others {
            assert!(kill && name.ends_with(".new"), "{others:?}");
            fs::remove_file(folder.path(name)).unwrap();
        }
    }
    eprintln!("kept {kept} times, replaced {replaced} times");
    assert!(kept > 0);
}

/// Runs a shell script that has the binary as `$Q` and the folder as `$F`.
fn shell(script: &str, folder: &TempFolder) -> Done {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("Q", env!("CARGO_BIN_EXE_quintile"));
    command.env("F", folder.0.as_os_str()).stdin(Stdio::null());
    wait(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell"))
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_names_its_reason() {
    let folder = TempFolder::new("limit");
    let source = large(&folder);
    fs::write(folder.path("out.gguf"), "old").unwrap();
    // Without the signal, a file that grows too large is an error of the write.
    let script = format!(
        "trap '' XFSZ; ulimit -f 1000; \"$Q\" quantize {source} \"$F\"/out.gguf q5_k_m -t 2"
    );
    let message = shell(&script, &folder).failed();
    assert!(message.contains("out.gguf: cannot write: "), "{message}");
    assert_eq!(fs::read(folder.path("out.gguf")).unwrap(), b"old");
    assert_eq!(folder.names(), ["out.gguf", "source.gguf"]);
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    let (sources, folder) = (TempFolder::new("full-source"), TempFolder::new("full"));
    let source = large(&sources);
    let script = format!(
        r#"unshare --mount --map-root-user sh -c '
            mount -t tmpfs -o size=1m tmpfs "$F" || exit 77
            echo old > "$F"/out.gguf
            for options in "" "--split-max-size 800K"; do
                "$Q" quantize {source} "$F"/out.gguf q5_k_m $options && exit 78
            done
            ls -A "$F" && cat "$F"/out.gguf && df --output=used "$F" | tail -n 1' || exit $?"#
    );
    let done = shell(&script, &folder);
    if done.code != Some(0) && !done.stderr.contains("out.gguf") {
        eprintln!("SKIPPED full disk: no small file system can be mounted here: {}", done.stderr);
        return;
    }
    let errors: Vec<&str> = done.stderr.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(errors.len(), 2, "{done:?}");
    assert!(errors.iter().all(|error| error.contains("cannot write: No space left")), "{done:?}");
    let lines: Vec<&str> = done.stdout.split_whitespace().collect();
    assert_eq!(&lines[..2], ["out.gguf", "old"], "{done:?}");
    // The blocks of what was written are free again.
    assert!(lines[2].parse::<u32>().unwrap() <= 8, "{done:?}");
}

#[test]
fn a_session_that_cannot_be_written_leaves_the_old_one() {
    let folder = TempFolder::new("session-limit");
    let path = folder.path("a.session");
    call(&["run", "-m", LLAMA, "-p", PROMPT, "-n", "2", "--session", &path]).ok();
    let old = fs::read(&path).unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; \"$Q\" run -m {LLAMA} -p '{PROMPT} and' -n 40 --temp 0 --json \
         --session \"$F\"/a.session > /dev/null"
    );
    let message = shell(&script, &folder).failed();
    assert!(message.contains("a.session: cannot write: "), "{message}");
    assert!(fs::read(&path).unwrap() == old);
    // Killed at any moment, it is the old one or the new one.
    let prompt = [PROMPT; 20].join(" ");
    let args = ["run", "-m", LLAMA, "-p", &prompt, "-n", "1", "--temp", "0", "--session", &path];
    let start = Instant::now();
    call(&args).ok();
    let whole = start.elapsed();
    let new = fs::read(&path).unwrap();
    for i in 0..30 {
        fs::write(&path, &old).unwrap();
        let mut child = spawn(&args);
        std::thread::sleep(whole * i / 25);
        child.kill().unwrap();
        child.wait().unwrap();
        let found = fs::read(&path).unwrap();
        assert!(found == old || found == new, "a file of {} bytes", found.len());
        let others = folder.names().into_iter().filter(|name| name != "a.session");
        for name in others {
            assert!(name.ends_with(".new"), "{name}");
            fs::remove_file(folder.path(&name)).unwrap();
        }
    }
}
