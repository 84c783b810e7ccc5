//! What a path means where it stands: an item of a file, a module, or something of another crate.

use std::collections::BTreeSet;

use super::source::{LIBRARY, Modules};
use super::visit::Names;

/// What a path leads to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Something defined in a module, or said to be.
    Item {
        module: Names,
        file: String,
        name: String,
    },
    Module(Names),
    Outside(Names),
}

/// The imports that were followed on the way, lest one be followed for ever.
type Seen = BTreeSet<(Names, String)>;

impl Modules {
    /// What a path means in the module `at`.
    pub(crate) fn resolve(&self, at: &Names, path: &[String]) -> Target {
        self.follow(at, path, false, &mut Seen::new())
    }

    /// `more`: names come behind the path.
    fn follow(&self, at: &Names, path: &[String], more: bool, seen: &mut Seen) -> Target {
        let (mut target, mut rest) = self.begin(at, path, more, seen);
        while let Some((name, after)) = rest.split_first() {
            target = match target {
                Target::Module(module) if name == "super" => {
                    Target::Module(module[..module.len() - 1].to_vec())
                }
                Target::Module(module) => {
                    let found = self.look_up(&module, name, more || !after.is_empty(), seen);
                    found.unwrap_or_else(|| self.item(&module, name))
                }
                Target::Outside(mut path) => {
                    path.push(name.clone());
                    Target::Outside(path)
                }
                // What is behind a type is part of it.
                item @ Target::Item { .. } => item,
            };
            rest = after;
        }
        target
    }

    /// Where a path begins, and what is left of it.
    fn begin<'a>(
        &self,
        at: &Names,
        path: &'a [String],
        more: bool,
        seen: &mut Seen,
    ) -> (Target, &'a [String]) {
        let Some((first, rest)) = path.split_first() else {
            return (Target::Module(at.clone()), path);
        };
        let target = match first.as_str() {
            "crate" => Target::Module(at[..1].to_vec()),
            "self" => Target::Module(at.clone()),
            "super" => Target::Module(at[..at.len() - 1].to_vec()),
            LIBRARY if at[0] != LIBRARY => Target::Module(vec![LIBRARY.to_owned()]),
            name => {
                let found = self.look_up(at, name, more || !rest.is_empty(), seen);
                found.unwrap_or_else(|| Target::Outside(vec![name.to_owned()]))
            }
        };
        (target, rest)
    }

    fn item(&self, module: &Names, name: &str) -> Target {
        let file = self.0.get(module).map_or("", |module| &module.file);
        Target::Item {
            module: module.clone(),
            file: file.to_owned(),
            name: name.to_owned(),
        }
    }

    /// What a name means in a module: a module or an item of its own, or something it imports.
    fn look_up(&self, at: &Names, name: &str, more: bool, seen: &mut Seen) -> Option<Target> {
        let contents = &self.0.get(at)?.contents;
        let own = contents.items.contains(name);
        if contents.modules.contains_key(name) && (more || !own) {
            let mut module = at.clone();
            module.push(name.to_owned());
            return Some(Target::Module(module));
        }
        if own {
            return Some(self.item(at, name));
        }
        if !seen.insert((at.clone(), name.to_owned())) {
            return None;
        }
        let imports = contents.imports.iter().filter(|one| one.alias == name);
        let mut found = imports.map(|import| self.follow(at, &import.path, more, seen));
        if let Some(found) = found.next() {
            return Some(found);
        }
        contents.globs.iter().find_map(|glob| {
            let from = match self.follow(at, glob, true, seen) {
                Target::Module(module) => module,
                _ => return None,
            };
            self.look_up(&from, name, more, seen)
        })
    }
}
