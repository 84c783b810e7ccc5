//! The sources: what each file says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The texts of files, by path from the root of the repository.
#[derive(Debug, Default)]
pub(crate) struct Files(pub(crate) BTreeMap<String, String>);

impl Files {
    /// All files below a folder of the repository whose names end so.
    pub(crate) fn of(folder: &str, ending: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Self::default();
        files.read(root, folder, ending);
        assert!(!files.0.is_empty(), "nothing in {folder}");
        files
    }

    fn read(&mut self, root: &Path, folder: &str, ending: &str) {
        for entry in fs::read_dir(root.join(folder)).expect("a folder") {
            let entry = entry.expect("an entry").path();
            let name = entry.file_name().and_then(|name| name.to_str());
            let path = format!("{folder}/{}", name.expect("a name in Unicode"));
            if entry.is_dir() {
                self.read(root, &path, ending);
            } else if entry.extension().is_some_and(|found| found == ending) {
                let text = fs::read_to_string(&entry).expect("a text");
                self.0.insert(path, text);
            }
        }
    }
}

/// Sources that were made up.
impl<const N: usize> From<[(&str, &str); N]> for Files {
    fn from(files: [(&str, &str); N]) -> Self {
        Self(
            files
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .into(),
        )
    }
}

/// The folder that a file or folder lies in.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
