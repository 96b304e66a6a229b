//! Whether a folder can be written, asked by writing what is no object and taking it away again.

use std::fs::{self, OpenOptions};
use std::path::Path;

use ::doctor::Finding;

/// Looks at the folder or, where it is not there yet, at the one that it would be made in.
pub(super) fn writable(path: &Path) -> Finding {
    const NAME: &str = "archive folder";
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(place) = absolute.ancestors().find(|part| part.is_dir()) else {
        return Finding::not_checked(NAME, "nothing of its path is there");
    };
    // A name that begins with a dot is no key of the format, and a process's id is its own.
    let probe = place.join(format!(".doctor-{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|_| fs::remove_file(&probe));
    match written {
        Ok(()) => Finding::good(NAME, "it can be written"),
        Err(error) => Finding::fix(
            NAME,
            format!("nothing can be written into {} ({error})", place.display()),
            "let the account that runs this program write there (chown, chmod, a full disk), or \
             name another folder",
        ),
    }
}
