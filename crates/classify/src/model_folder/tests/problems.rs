//! Every problem of a model folder and of an import names what, where and the next command.

use std::io;
use std::path::Path;

use super::*;
use crate::import::{self, Import, ImportProblem};

/// The names of the kinds in order, each with words that its message has to hold. The compiler asks for a new kind here.
fn folder_words(problem: &FolderProblem) -> (usize, [&'static str; 2]) {
    match problem {
        FolderProblem::NoModel => (0, ["no model here", "give a run folder"]),
        FolderProblem::NotTrained => (1, ["no model yet", "`trickbag train --resume"]),
        FolderProblem::Interrupted => (2, ["interrupted", "give the same command again"]),
        FolderProblem::NotFile => (3, ["no regular file", "put the model's own file there"]),
        FolderProblem::Unreadable(_) => (4, ["cannot be read", "check that the file is there"]),
        FolderProblem::ConfigTooLarge { .. } => (5, ["at most 67108864", "`trickbag export"]),
        FolderProblem::Json(_) => (6, ["line 1 column", "correct that place"]),
        FolderProblem::Key { .. } => (7, ["trickbag.split is 2", "write the share"]),
        FolderProblem::Disagreement { .. } => {
            (8, ["label_names is a list of 1", "num_classes is 4"])
        }
        FolderProblem::NotOurs { .. } => (9, ["silu", "`trickbag models` lists them"]),
        FolderProblem::Network(_) => (10, ["resnet19", "did you mean"]),
        FolderProblem::Damaged(_) => (11, ["not a whole safetensors file", "copy it again"]),
        FolderProblem::Dtype { .. } => (12, ["fc.weight is F16", "tensor.float()"]),
        FolderProblem::NotFinite { .. } => (13, ["fc.bias holds NaN", "lower rate"]),
        FolderProblem::Checksum { .. } => (14, ["checksum", "copy it again"]),
        FolderProblem::Tensors(_) => {
            (15, ["the tensors are not those of resnet18", "copy both files again"])
        }
        FolderProblem::NoBest => (16, ["no best checkpoint", "leave --best"]),
        FolderProblem::OtherTask { .. } => {
            (17, ["a checkpoint of detection", "give one of a classifier"])
        }
    }
}

fn parsed(edit: impl Fn(&mut serde_json::Value)) -> FolderProblem {
    let options = Options::plain(4);
    let network = zoo::network("resnet18", &options).expect("a known name");
    let mut config = config(&network, &card(options));
    edit(&mut config);
    parse::parse(&config.to_string()).expect_err("a problem")
}

#[test]
fn every_problem_of_a_folder_says_what_to_do() {
    let network = zoo::network("resnet18", &Options::plain(4)).expect("a known name");
    let problems = [
        FolderProblem::NoModel,
        FolderProblem::NotTrained,
        FolderProblem::Interrupted,
        FolderProblem::NotFile,
        FolderProblem::Unreadable(io::ErrorKind::PermissionDenied.into()),
        FolderProblem::ConfigTooLarge { bytes: 1 << 40, limit: CONFIG_LIMIT },
        parsed(|config| config["num_classes"] = json!("four")),
        parsed(|config| config["trickbag"]["split"] = json!(2)),
        parsed(|config| config["label_names"] = json!(["one"])),
        parsed(|config| {
            config["trickbag"] = json!(null);
            config["model_args"] = json!({"act_layer": "silu"});
        }),
        parsed(|config| config["trickbag"]["network"] = json!("resnet19")),
        FolderProblem::Damaged("it is cut short".into()),
        FolderProblem::Dtype { name: "fc.weight".into(), dtype: "F16".into() },
        FolderProblem::NotFinite { name: "fc.bias".into(), value: f32::NAN },
        FolderProblem::Checksum { stored: 1, computed: 2 },
        Mismatch::check(&network, &Default::default()).expect_err("nothing fits").into(),
        FolderProblem::NoBest,
        FolderProblem::OtherTask { task: "detection" },
    ];
    for (index, problem) in problems.into_iter().enumerate() {
        let (kind, words) = folder_words(&problem);
        assert_eq!(kind, index, "each kind once, in order: {problem}");
        let path = Path::new("runs/x/model/config.json").to_owned();
        let text = at(path, problem).to_string();
        assert!(text.starts_with("runs/x/model/config.json: "), "it names where: {text}");
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in: {text}"));
    }
}

fn import_words(problem: &ImportProblem) -> (usize, [&'static str; 2]) {
    match problem {
        ImportProblem::NotFile => (0, ["no regular file", "give the file of the weights"]),
        ImportProblem::Unreadable(_) => (1, ["cannot be read", "check that the file is there"]),
        ImportProblem::TooLarge { .. } => (2, ["at most 8589934592", "save the weights alone"]),
        ImportProblem::Weights(_) => (3, ["neither a safetensors file", "give a .safetensors"]),
        ImportProblem::Folder(_) => (4, ["checksum", "copy it again"]),
        ImportProblem::Network(_) => (5, ["0 classes", "give a number from 1"]),
        ImportProblem::Twice { .. } => {
            (6, ["a and b are both c", "save the tensors of one model alone"])
        }
        ImportProblem::Tensors { .. } => (7, ["missing", "--model"]),
        ImportProblem::ClassNames { .. } => (8, ["2 names are given", "--class-names"]),
        ImportProblem::NoNetwork => (9, ["no config.json", "--model"]),
    }
}

#[test]
fn every_problem_of_an_import_says_what_to_do() {
    let network = zoo::network("resnet18", &Options::plain(4)).expect("a known name");
    let mismatch = Mismatch::check(&network, &Default::default()).expect_err("nothing fits");
    let problems = [
        ImportProblem::NotFile,
        ImportProblem::Unreadable(io::ErrorKind::PermissionDenied.into()),
        ImportProblem::TooLarge { bytes: 1 << 40 },
        ::weights::WeightsError::Unknown.into(),
        FolderProblem::Checksum { stored: 1, computed: 2 }.into(),
        zoo::network("resnet18", &Options::plain(0)).expect_err("no class").into(),
        ImportProblem::Twice { name: "c".into(), one: "a".into(), other: "b".into() },
        ImportProblem::Tensors { mismatch, fitting: Vec::new() },
        ImportProblem::ClassNames { classes: 3, names: 2 },
        ImportProblem::NoNetwork,
    ];
    for (index, problem) in problems.into_iter().enumerate() {
        let (kind, words) = import_words(&problem);
        assert_eq!(kind, index, "each kind once, in order: {problem}");
        let path = Path::new("weights.pth").to_owned();
        let text = ClassifyError::Import { path, problem: Box::new(problem) }.to_string();
        assert!(text.starts_with("weights.pth: "), "it names where: {text}");
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in: {text}"));
    }
}

/// What is no file of weights is refused by its first bytes, before the rest is read.
#[test]
fn an_import_reads_regular_files_that_begin_as_weights_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |file: &Path| {
        let request = Import { file, network: Some("resnet18"), classes: None, class_names: None };
        import::import(&request, &nn::cpu()).unwrap_err().to_string()
    };
    let sparse = folder.path().join("sparse.pth");
    fs::File::create(&sparse).unwrap().set_len(1 << 40).unwrap();
    assert!(refused(&sparse).contains("neither a safetensors file nor"), "{}", refused(&sparse));
    fs::write(&sparse, b"PK\x03\x04").unwrap();
    fs::File::options().append(true).open(&sparse).unwrap().set_len(1 << 40).unwrap();
    assert!(refused(&sparse).contains("has 1099511627776 bytes"), "{}", refused(&sparse));
    assert!(refused(folder.path()).contains("no regular file"));
    assert!(refused(Path::new("/dev/zero")).contains("no regular file"));

    // A file of ours is checked when it is imported, too.
    let network = zoo::network("mobilenetv1_025", &Options::plain(2)).expect("a known name");
    let rng = |index| data::at(1, data::Stream::Init, 0, index as u64);
    let model = Model::initialized(network, Init::Xavier, 1.0, &nn::cpu(), rng);
    let mut bytes = train::model_file::to_bytes(&model, 7);
    *bytes.last_mut().unwrap() ^= 1;
    let file = folder.path().join("model.safetensors");
    fs::write(&file, bytes).unwrap();
    assert!(refused(&file).contains("checksum"), "{}", refused(&file));
}
