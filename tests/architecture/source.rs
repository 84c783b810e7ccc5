//! The modules of the program, and from them which file uses what of which.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Files, folder_of};
use super::graph::Arrows;
use super::resolve::Target;
use super::visit::{Contents, Inner, Names, contents};

/// Who uses what.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// All files that were read; tests are not.
    pub(crate) files: BTreeSet<String>,
    pub(crate) arrows: Arrows,
    /// The paths that each file uses of other crates.
    pub(crate) outside: BTreeMap<String, BTreeSet<Names>>,
}

/// A module, and the file that it is in.
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) contents: Contents,
}

/// All modules, by their path from `LIBRARY` or `PROGRAM`.
#[derive(Default)]
pub(crate) struct Modules(pub(crate) BTreeMap<Names, Module>);

/// The two crates of the package.
pub(crate) const LIBRARY: &str = "tessera";
const PROGRAM: &str = "(program)";

/// Finds out who uses what, from the texts of `src`.
pub(crate) fn usage(files: &Files) -> Usage {
    let mut modules = Modules::default();
    for (name, root) in [(LIBRARY, "src/lib.rs"), (PROGRAM, "src/main.rs")] {
        if files.0.contains_key(root) {
            modules.read(files, vec![name.to_owned()], root);
        }
    }
    let mut usage = Usage::default();
    for (at, module) in &modules.0 {
        usage.files.insert(module.file.clone());
        modules.note(at, module, &mut usage);
    }
    usage
}

impl Modules {
    fn read(&mut self, files: &Files, at: Names, file: &str) {
        let text = files.0.get(file).unwrap_or_else(|| panic!("no {file}"));
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.enter(files, at, file, &children_of(file), &parsed.items);
    }

    /// Takes in a module and those within it, whose files lie in `folder`.
    fn enter(&mut self, files: &Files, at: Names, file: &str, folder: &str, items: &[syn::Item]) {
        let mut contents = contents(items);
        let mut tests = Vec::new();
        for (name, inner) in &contents.modules {
            let mut path = at.clone();
            path.push(name.clone());
            match inner {
                Inner::Here(items) => {
                    self.enter(files, path, file, &format!("{folder}/{name}"), items);
                }
                Inner::File(Some(other)) => {
                    self.read(files, path, &format!("{}/{other}", folder_of(file)));
                }
                Inner::File(None) => {
                    let own = format!("{folder}/{name}.rs");
                    let found = match files.0.contains_key(&own) {
                        true => own,
                        false => format!("{folder}/{name}/mod.rs"),
                    };
                    if is_of_tests(&found) {
                        tests.push(name.clone());
                    } else {
                        self.read(files, path, &found);
                    }
                }
            }
        }
        contents.modules.retain(|name, _| !tests.contains(name));
        let file = file.to_owned();
        self.0.insert(at, Module { file, contents });
    }

    /// Notes what a module uses.
    fn note(&self, at: &Names, module: &Module, usage: &mut Usage) {
        let contents = &module.contents;
        let mut shown = BTreeSet::new();
        for import in &contents.imports {
            let target = self.resolve(at, &import.path);
            if import.is_public && self.is_below(at, &target) {
                shown.insert(import.alias.as_str());
            } else {
                usage.add(&module.file, target);
            }
        }
        for glob in &contents.globs {
            match self.resolve(at, glob) {
                Target::Outside(mut path) => {
                    path.push("*".to_owned());
                    usage.add(&module.file, Target::Outside(path));
                }
                target => usage.add(&module.file, target),
            }
        }
        for path in &contents.paths {
            // A lone name is local or an import, which has been noted, unless that only shows it to
            // others or there are imports of whatever there is.
            let counts = match &path[..] {
                [] => false,
                [name] => shown.contains(name.as_str()) || !contents.globs.is_empty(),
                _ => true,
            };
            if counts {
                usage.add(&module.file, self.resolve(at, path));
            }
        }
    }

    /// Whether something is defined within the modules of another: who imports it shows it.
    fn is_below(&self, at: &Names, target: &Target) -> bool {
        let inside = |module: &Names| module.len() > at.len() && module.starts_with(at);
        match target {
            Target::Item { module, .. } | Target::Module(module) => inside(module),
            Target::Outside(_) => false,
        }
    }
}

impl Usage {
    fn add(&mut self, from: &str, target: Target) {
        match target {
            Target::Item { file, name, .. } if file != from => {
                let arrow = (from.to_owned(), file);
                self.arrows.entry(arrow).or_default().insert(name);
            }
            Target::Outside(path) => {
                self.outside
                    .entry(from.to_owned())
                    .or_default()
                    .insert(path);
            }
            Target::Item { .. } | Target::Module(_) => {}
        }
    }
}

/// Where the modules lie that a file declares.
fn children_of(file: &str) -> String {
    let (folder, name) = (folder_of(file), file.rsplit('/').next().unwrap_or_default());
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        name => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

/// Whether all of a file is tests.
fn is_of_tests(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.ends_with("_tests.rs")
}
