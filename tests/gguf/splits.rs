//! Models that are split over several files: any file opens all of them, and a set that is not
//! complete or does not belong together is refused.

use std::fs;
use std::path::{Path, PathBuf};

use quintile::gguf::{Gguf, Limits, OpenOptions};

use crate::builder::*;

/// A folder with the files of a set; removed with the value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let name = format!("split-{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a set of files that are named as they should be.
    fn of(name: &str, files: &[File]) -> Folder {
        let folder = Folder::new(name);
        for (i, file) in files.iter().enumerate() {
            folder.write(&shard_name(i, files.len()), file);
        }
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, file: &File) {
        fs::write(self.path(name), file.bytes()).unwrap();
    }

    fn open(&self, name: &str) -> Gguf {
        Gguf::open(&self.path(name), &OpenOptions::default()).expect("a sound file")
    }

    /// The message with which `name` is refused, without the folder's path.
    fn refusal(&self, name: &str) -> String {
        let error = Gguf::open(&self.path(name), &OpenOptions::default()).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with(self.0.to_str().unwrap()), "{error}");
        error.replace(&format!("{}/", self.0.display()), "")
    }

    /// Asserts that every file of a set of `count` is refused with this message.
    #[track_caller]
    fn assert_refused(&self, count: usize, message: &str) {
        for i in 0..count {
            let name = shard_name(i, count);
            if self.path(&name).exists() {
                assert_eq!(self.refusal(&name), message, "opened as {name}");
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The name of file `i` (from 0).
fn shard_name(i: usize, count: usize) -> String {
    format!("model-{:05}-of-{count:05}.gguf", i + 1)
}

/// The pairs of file `no`.
fn place(no: u16, count: u16, tensors: i32) -> Vec<Vec<u8>> {
    vec![
        pair("split.no", value_type::U16, &no.to_le_bytes()),
        pair("split.count", value_type::U16, &count.to_le_bytes()),
        pair("split.tensors.count", value_type::I32, &tensors.to_le_bytes()),
    ]
}

fn architecture(name: &str) -> Vec<u8> {
    pair("general.architecture", value_type::STRING, &string(name))
}

/// The files of a set of `count` as llama-gguf-split writes them: file `i` holds the tensors `i.a`
/// and `i.b`, four f32 of value `i` each.
fn set(count: usize) -> Vec<File> {
    let shard = |i: usize| {
        let tensor =
            |name, offset| Record::new(&format!("{i}.{name}"), &[4], tensor_type::F32, offset);
        let mut file = File::empty();
        if i == 0 {
            file.pairs.push(architecture("llama"));
        }
        file.pairs.extend(place(i as u16, count as u16, 2 * count as i32));
        file.tensors = vec![tensor("a", 0), tensor("b", 32)];
        file.data = vec![0; 48];
        for at in [0, 4, 8, 12, 32, 36, 40, 44] {
            file.data[at..at + 4].copy_from_slice(&(i as f32).to_le_bytes());
        }
        file
    };
    (0..count).map(shard).collect()
}

#[test]
fn any_file_of_a_set_opens_all_its_tensors_and_the_metadata_of_the_first() {
    for count in [2, 5] {
        let mut files = set(count);
        // Every file has an alignment of its own: llama-gguf-split does not repeat the key.
        files[0].pairs.push(pair("general.alignment", value_type::U32, &128u32.to_le_bytes()));
        files[0].alignment = 128;
        files[0].tensors[1].offset = 128;
        files[0].data.splice(16..32, [0; 112]);
        let size: usize = files.iter().map(|file| file.bytes().len()).sum();
        let folder = Folder::of(&format!("any-{count}"), &files);
        for opened in 0..count {
            for mmap in [true, false] {
                let path = folder.path(&shard_name(opened, count));
                let options = OpenOptions { mmap, ..OpenOptions::default() };
                let file = Gguf::open(&path, &options).unwrap();
                assert_eq!(file.metadata().str("general.architecture").unwrap(), Some("llama"));
                assert_eq!(file.path(), Some(folder.path(&shard_name(0, count)).as_path()));
                assert_eq!(file.file_size(), size as u64);
                assert_eq!(file.shards().len(), count);
                assert_eq!(file.tensors().len(), 2 * count);
                for (i, shard) in file.shards().iter().enumerate() {
                    assert_eq!(shard.path(), Some(folder.path(&shard_name(i, count)).as_path()));
                    assert_eq!(shard.alignment(), if i == 0 { 128 } else { 32 });
                }
                for (n, tensor) in file.tensors().iter().enumerate() {
                    let i = n / 2;
                    assert_eq!(tensor.name, format!("{i}.{}", ["a", "b"][n % 2]));
                    assert_eq!(tensor.shard, i);
                    let values = file.tensor(&tensor.name).unwrap().to_f32();
                    assert_eq!(values, [i as f32; 4], "{}", tensor.name);
                }
            }
        }
    }
}

#[test]
fn a_first_file_without_tensors_is_sound() {
    let mut files = set(2);
    files[0].tensors.clear();
    files[0].data.clear();
    for (i, file) in files.iter_mut().enumerate() {
        file.pairs.retain(|pair| !pair[8..].starts_with(b"split."));
        file.pairs.extend(place(i as u16, 2, 2));
    }
    let folder = Folder::of("no-tensors", &files);
    assert_eq!(folder.open(&shard_name(0, 2)).tensors().len(), 2);
}

#[test]
fn a_file_is_whole_without_a_count_above_1_whatever_its_name() {
    let merged = |count| File { pairs: place(0, count, 1), ..set(1).remove(0) };
    let none = File { pairs: vec![architecture("llama")], ..set(1).remove(0) };
    let folder = Folder::new("whole");
    for file in [merged(0), merged(1), none] {
        for name in ["model.gguf", &shard_name(0, 1), &shard_name(1, 3)] {
            folder.write(name, &file);
            assert_eq!(folder.open(name).shards().len(), 1);
        }
        let file = Gguf::from_bytes(file.bytes(), &Limits::default()).unwrap();
        assert_eq!(file.shards().len(), 1);
    }
}

#[test]
fn a_missing_file_is_named() {
    for missing in 0..3 {
        let folder = Folder::of(&format!("missing-{missing}"), &set(3));
        fs::remove_file(folder.path(&shard_name(missing, 3))).unwrap();
        for opened in (0..3).filter(|&i| i != missing) {
            let message = format!(
                "{}: this file is missing: {} is one of 3 that belong together",
                shard_name(missing, 3),
                shard_name(opened, 3)
            );
            assert_eq!(folder.refusal(&shard_name(opened, 3)), message);
        }
    }
}

#[test]
fn a_file_of_a_set_by_another_name_is_refused() {
    let folder = Folder::of("renamed", &set(3));
    for name in ["model.gguf", "model-2-of-3.gguf", "model-00002-of-00003.GGUF", "00002-of-00003"] {
        fs::copy(folder.path(&shard_name(1, 3)), folder.path(name)).unwrap();
        let message = format!(
            "{name}: split.count at byte 46: found 3 (uint16), expected at most 1, or a file name \
             that ends in -00002-of-00003.gguf"
        );
        assert_eq!(folder.refusal(name), message);
    }
}

#[test]
fn a_file_of_a_set_in_memory_is_refused() {
    let message = "split.count at byte 46: found 3 (uint16), expected at most 1: bytes in memory \
                   must be a whole file";
    crate::assert_refused(set(3)[1].bytes(), message);
}

#[test]
fn swapped_files_are_refused() {
    let mut files = set(3);
    files.swap(1, 2);
    let folder = Folder::of("swapped", &files);
    let second = "model-00002-of-00003.gguf: split.no at byte 24: found 2 (uint16), expected one \
                  less than 2, the number in the file's name";
    assert_eq!(folder.refusal(&shard_name(0, 3)), second);
    assert_eq!(folder.refusal(&shard_name(1, 3)), second);
    let third = second.replace("model-00002", "model-00003");
    let third = third.replace("found 2", "found 1").replace("than 2", "than 3");
    assert_eq!(folder.refusal(&shard_name(2, 3)), third);
}

#[test]
fn a_file_of_a_set_of_another_count_is_refused() {
    let mut files = set(3);
    files[2].pairs = place(2, 4, 6);
    let message = "model-00003-of-00003.gguf: split.count at byte 46: found 4 (uint16), expected \
                   3, as in the file's name";
    Folder::of("count", &files).assert_refused(3, message);
}

#[test]
fn a_whole_file_in_the_place_of_one_of_a_set_is_refused() {
    let mut files = set(2);
    files[1].pairs.clear();
    let folder = Folder::of("whole-in-place", &files);
    let message = "model-00002-of-00002.gguf: no metadata key split.count";
    assert_eq!(folder.refusal(&shard_name(0, 2)), message);
    files[1].pairs = place(0, 1, 2);
    folder.write(&shard_name(1, 2), &files[1]);
    let message = "model-00002-of-00002.gguf: split.count at byte 46: found 1 (uint16), expected \
                   2, as in the file's name";
    assert_eq!(folder.refusal(&shard_name(0, 2)), message);
}

#[test]
fn a_file_that_does_not_state_its_place_is_refused() {
    for (missing, key) in [(0, "split.no"), (2, "split.tensors.count")] {
        let mut files = set(2);
        files[1].pairs.remove(missing);
        let message = format!("model-00002-of-00002.gguf: no metadata key {key}");
        Folder::of(&format!("unstated-{missing}"), &files).assert_refused(2, &message);
    }
}

#[test]
fn a_place_beyond_the_count_is_refused() {
    let mut files = set(2);
    files[1].pairs = place(2, 2, 4);
    let message = "model-00002-of-00002.gguf: split.no at byte 24: found 2 (uint16), expected \
                   less than 2, split.count";
    Folder::of("beyond", &files).assert_refused(2, message);
}

#[test]
fn a_file_of_another_architecture_is_refused() {
    let mut files = set(2);
    files[1].pairs.push(architecture("llama"));
    let folder = Folder::of("architecture", &files);
    folder.open(&shard_name(1, 2));
    *files[1].pairs.last_mut().unwrap() = architecture("qwen2");
    folder.write(&shard_name(1, 2), &files[1]);
    let message = "model-00002-of-00002.gguf: general.architecture at byte 106: found \"qwen2\" \
                   (string), expected \"llama\", as in model-00001-of-00002.gguf";
    folder.assert_refused(2, message);
}

#[test]
fn a_file_of_another_split_is_refused() {
    let mut files = set(2);
    files[1].pairs = place(1, 2, 5);
    let message = "model-00002-of-00002.gguf: split.tensors.count at byte 71: found 5 (int32), \
                   expected 4, as in model-00001-of-00002.gguf";
    Folder::of("tensors", &files).assert_refused(2, message);
}

#[test]
fn a_count_of_tensors_that_the_files_do_not_hold_is_refused() {
    for count in [3, 5] {
        let mut files = set(2);
        for (i, file) in files.iter_mut().enumerate() {
            file.pairs = place(i as u16, 2, count);
        }
        let message = format!(
            "model-00001-of-00002.gguf: split.tensors.count at byte 71: found {count} (int32), \
             expected 4, the tensors of the 2 files together"
        );
        Folder::of(&format!("held-{count}"), &files).assert_refused(2, &message);
    }
}

#[test]
fn a_tensor_that_two_files_hold_is_refused() {
    let mut files = set(3);
    files[2].tensors[1].name = b"0.a".to_vec();
    let message = "model-00003-of-00003.gguf: tensor \"0.a\" at byte 224 is also in \
                   model-00001-of-00003.gguf";
    Folder::of("repeated", &files).assert_refused(3, message);
}

#[test]
fn a_truncated_file_is_refused_by_its_name_at_every_length() {
    let files = set(2);
    let folder = Folder::of("truncated", &files);
    let whole = files[1].bytes();
    for len in 0..whole.len() {
        fs::write(folder.path(&shard_name(1, 2)), &whole[..len]).unwrap();
        let message = folder.refusal(&shard_name(0, 2));
        assert!(message.starts_with("model-00002-of-00002.gguf: "), "{len} bytes: {message}");
    }
}
