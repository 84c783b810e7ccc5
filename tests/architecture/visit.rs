//! What a module says of others: its imports and every path in its code. Tests are passed over.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, Macro, UseTree};

/// Names with `::` between them.
pub(crate) type Names = Vec<String>;

/// A leaf of a `use`: what is imported, under which name.
pub(crate) struct Import {
    pub(crate) path: Names,
    pub(crate) alias: String,
    /// Others can see it here.
    pub(crate) is_public: bool,
}

/// A module, without those within it.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) items: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    /// Everything of these is in sight.
    pub(crate) globs: Vec<Names>,
    pub(crate) paths: BTreeSet<Names>,
    /// Modules within, with their text if it is here, or the file it is in if that has another name.
    pub(crate) modules: BTreeMap<String, Inner>,
}

/// A module within another.
pub(crate) enum Inner {
    /// In braces.
    Here(Vec<Item>),
    /// In a file of this name.
    File(Option<String>),
}

/// Reads the items of a module.
pub(crate) fn contents(items: &[Item]) -> Contents {
    let mut contents = Contents::default();
    for item in items {
        contents.items.extend(name_of(item));
        contents.visit_item(item);
    }
    contents
}

impl<'ast> Visit<'ast> for Contents {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(module) => {
                let inner = match &module.content {
                    Some((_, items)) => Inner::Here(items.clone()),
                    None => Inner::File(path_attribute(&module.attrs)),
                };
                self.modules.insert(module.ident.to_string(), inner);
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.import(&mut Vec::new(), &item.tree, is_public);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(item) => &item.attrs[..],
            syn::ImplItem::Const(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|part| part.ident.to_string());
        self.paths.insert(names.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_macro(self, item);
        self.scan(item.tokens.clone());
    }

    /// Derives and the like name nothing of this house, and texts in them are no paths.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

impl Contents {
    fn import(&mut self, before: &mut Names, tree: &UseTree, is_public: bool) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(before, &path.tree, is_public);
                before.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(before, tree, is_public);
                }
            }
            UseTree::Glob(_) => self.globs.push(before.clone()),
            UseTree::Name(leaf) => {
                let name = leaf.ident.to_string();
                self.leaf(before, &name, &name, is_public);
            }
            UseTree::Rename(leaf) => {
                let (name, alias) = (leaf.ident.to_string(), leaf.rename.to_string());
                self.leaf(before, &name, &alias, is_public);
            }
        }
    }

    fn leaf(&mut self, before: &[String], name: &str, alias: &str, is_public: bool) {
        let mut path = before.to_vec();
        if name != "self" {
            path.push(name.to_owned());
        }
        let alias = match alias {
            "self" => path.last().cloned().unwrap_or_default(),
            alias => alias.to_owned(),
        };
        self.imports.push(Import {
            path,
            alias,
            is_public,
        });
    }

    /// Paths among the tokens of a macro, which are no syntax tree.
    fn scan(&mut self, tokens: TokenStream) {
        let mut names = Names::new();
        let mut colons = 0;
        for token in tokens {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(name) if colons == 2 => names.push(name.to_string()),
                _ => {
                    self.paths.insert(std::mem::take(&mut names));
                    if let TokenTree::Ident(name) = &token {
                        names.push(name.to_string());
                    }
                }
            }
            if !matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ':') {
                colons = 0;
            }
            if let TokenTree::Group(group) = token {
                self.scan(group.stream());
            }
        }
        self.paths.insert(names);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// `#[cfg(test)]`.
fn is_test(attributes: &[Attribute]) -> bool {
    let is = |attribute: &Attribute| {
        let argument = attribute.parse_args::<syn::Path>();
        attribute.path().is_ident("cfg") && argument.is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(is)
}

/// `#[path = "..."]`.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        let named = attribute.meta.require_name_value().ok()?;
        let syn::Expr::Lit(literal) = &named.value else {
            return None;
        };
        match &literal.lit {
            syn::Lit::Str(text) if named.path.is_ident("path") => Some(text.value()),
            _ => None,
        }
    })
}
