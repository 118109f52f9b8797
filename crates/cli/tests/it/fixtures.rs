//! Small datasets, a tiny recipe, and the command itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder that is gone after the test.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// Seconds of training: a ResNet-18-D of four narrow blocks on 16-pixel images, 5 steps an epoch.
const RECIPE: &str = r#"
version = 2
name = "tiny"
seed = 3

[network]
model = "resnet18d"
stem = "small"
init = "xavier"
last_gamma = 0.0
shape = { blocks = [1, 1, 1, 1], channels = [8, 8, 16, 16], stem_channels = 8 }

[data]
source = "path"
split = 0.2
split_seed = 3

[preprocess]
size = 16
crop = { area = [0.5, 1.0], aspect = [0.75, 1.3333333333333333] }
flip = 0.5
color = { hue = [0.6, 1.4], saturation = [0.6, 1.4], brightness = [0.6, 1.4] }
pca_noise = 0.1
normalize = { mean = [123.68, 116.779, 103.939], std = [58.393, 57.12, 57.375] }

[validation]
resize = 18
crop = 16

[train]
duration = "8 epochs"
batch = 8
parts = 1
evaluate_every = "2 epochs"

[rate]
base = 0.2
linear_scaling = { reference_batch = 256 }
warmup = { duration = "1 epoch" }
decay = { step = { factor = 0.1, at = ["6 epochs"] } }

[update]
optimizer = { nag = { momentum = 0.9 } }
decay = 1e-4
decay_on = "weights"

[checkpoint]
every = "3 steps"
keep = 2
"#;

/// What the tiny recipe becomes with every trick on.
const EVERYTHING: &[(&str, &str)] = &[
    ("name = \"tiny\"", "name = \"everything\""),
    ("flip = 0.5\n", "flip = 0.5\nrandaugment = { operations = 2, magnitude = 5.0 }\n"),
    (
        "[validation]",
        "erasing = { probability = 0.5, area = [0.02, 0.4], aspect = [0.3, 3.3] }\n\n[validation]",
    ),
    ("parts = 1\n", "parts = 2\n"),
    ("step = { factor = 0.1, at = [\"6 epochs\"] }", "cosine = {}"),
    ("decay_on = \"weights\"\n", "decay_on = \"weights\"\nclip = { norm = 2.0 }\n"),
    (
        "[checkpoint]",
        r#"[target]
smoothing = { epsilon = 0.1, over = "others" }

[mixup]
alpha = 0.2
pairing = "permutation"

[cutmix]
alpha = 1.0

[distillation]
teacher = "teacher"
temperature = 2.0
weighting = "sum"

[average]
decay = 0.9

[checkpoint]"#,
    ),
];

pub(crate) const CLASSES: [&str; 3] = ["blue", "green", "red"];

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        Sandbox { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The tiny recipe as a file.
    pub(crate) fn recipe(&self) -> PathBuf {
        self.write("tiny.toml", RECIPE)
    }

    /// The tiny recipe with every trick on, and its teacher, a run of the tiny recipe.
    pub(crate) fn everything(&self) -> PathBuf {
        let (recipe, data) = (self.recipe(), self.colors());
        let mut arguments = vec!["train", recipe.to_str().unwrap(), "--data"];
        arguments.extend([data.to_str().unwrap(), "--out", "teacher"]);
        self.succeed(&arguments);
        let text = EVERYTHING.iter().fold(RECIPE.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "the tiny recipe has no {from}");
            text.replacen(from, to, 1)
        });
        self.write("everything.toml", text)
    }

    /// What [`Self::everything`] gave, with its activations in half precision and its loss scaled.
    pub(crate) fn in_half(&self, everything: &Path) -> PathBuf {
        let text = fs::read_to_string(everything).unwrap();
        let (from, to) = ("parts = 2\n", "parts = 2\nprecision = \"f16\"\n");
        assert!(text.contains(from));
        self.write("half.toml", text.replacen(from, to, 1))
    }

    /// 54 noisy images of three colors: 42 to train on, 12 for validation after a split.
    pub(crate) fn colors(&self) -> PathBuf {
        let root = self.path("colors");
        for (class, name) in CLASSES.iter().enumerate() {
            for index in 0..18 {
                write_image(&root.join(name).join(format!("{index:02}.png")), class, index);
            }
        }
        root
    }

    /// The same in parts: 42 images to train on, 12 for validation.
    pub(crate) fn parts(&self) -> PathBuf {
        let root = self.path("parts");
        for (class, name) in CLASSES.iter().enumerate() {
            for index in 0..18 {
                let part = if index < 14 { "train" } else { "val" };
                let path = root.join(part).join(name).join(format!("{index:02}.png"));
                write_image(&path, class, index);
            }
        }
        root
    }

    /// The parts with ten training images spoiled, each in another way than the one before; gives their paths inside.
    pub(crate) fn spoiled(&self) -> (PathBuf, Vec<String>) {
        let root = self.parts();
        let names: Vec<String> =
            (0..10).map(|at| format!("train/{}/{:02}.png", CLASSES[at % 3], at + at / 3)).collect();
        for (at, name) in names.iter().enumerate() {
            let path = root.join(name);
            let whole = fs::read(&path).unwrap();
            let spoiled = match at % 4 {
                0 => Vec::new(),
                1 => b"these are words".to_vec(),
                2 => whole[..whole.len() / 2].to_vec(),
                _ => b"GIF89a\x01\0\x01\0\0\0\0\x2C\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\x01\0\0\x3B"
                    .to_vec(),
            };
            fs::write(path, spoiled).unwrap();
        }
        (root, names)
    }

    /// Runs the command in this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the command runs")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trickbag"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs the command, which has to succeed, and gives its standard output.
    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs the command, which has to fail with this exit code, and gives its standard error.
    #[track_caller]
    pub(crate) fn fail(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{arguments:?}: {text}");
        text
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An image that is mostly of its class's color, of another size each.
pub(crate) fn write_image(path: &Path, class: usize, index: u32) {
    fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
    let (width, height) = (17 + index % 5, 16 + index % 7);
    let image = image::RgbImage::from_fn(width, height, |x, y| {
        let noise = |channel: u32| {
            let mixed = (x * 31 + y * 17 + index * 101 + channel * 57).wrapping_mul(2_654_435_761);
            (mixed >> 24) as u8 / 2
        };
        let mut pixel = [noise(0), noise(1), noise(2)];
        pixel[2 - class] = pixel[2 - class].saturating_add(100);
        image::Rgb(pixel)
    });
    image.save(path).unwrap();
}
