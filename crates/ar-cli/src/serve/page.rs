//! The page's files, which are part of the program.

/// A file: its name, what it is, and what is in it.
pub(crate) struct Asset {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) content: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($($name:literal $kind:ident),* $(,)?) => {
        &[$(Asset { name: $name, kind: $kind, content: include_bytes!(concat!("page/", $name)) }),*]
    };
}

/// All of them; the first is the page.
pub(crate) const ASSETS: &[Asset] = assets![
    "index.html" HTML,
    "style.css" CSS,
    "api.js" SCRIPT,
    "app.js" SCRIPT,
    "charts.js" SCRIPT,
    "dom.js" SCRIPT,
    "drawing.js" SCRIPT,
    "form.js" SCRIPT,
    "image.js" SCRIPT,
    "images.js" SCRIPT,
    "panel.js" SCRIPT,
];

/// The file of that name.
pub(crate) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_no_exception_of_the_policy() {
        for asset in ASSETS {
            let text = std::str::from_utf8(asset.content).unwrap();
            for forbidden in
                ["http://", "https://", "eval(", "innerHTML", "<script>", " style=\"", " onclick="]
            {
                let found = text.match_indices(forbidden).find(|(at, _)| {
                    // The name of a namespace is no address.
                    !text[*at..].starts_with("http://www.w3.org/")
                });
                assert!(found.is_none(), "{}: {forbidden}", asset.name);
            }
        }
    }

    #[test]
    fn every_module_that_is_imported_is_there() {
        for asset in ASSETS.iter().filter(|asset| asset.kind == SCRIPT) {
            let text = std::str::from_utf8(asset.content).unwrap();
            for (_, rest) in
                text.match_indices(" from \"./").map(|(at, s)| (at, &text[at + s.len()..]))
            {
                let name = rest.split('"').next().unwrap();
                assert!(super::asset(name).is_some(), "{}: {name}", asset.name);
            }
        }
    }
}
