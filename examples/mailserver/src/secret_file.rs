//! Files that hold secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Refuses a file that everybody on this machine may read or write. A group may: that is how a key is shared with a server
/// that does not run as root. A file that is not there is no concern of this function.
pub fn check_rights(path: &Path) -> Result<(), String> {
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    match found.permissions().mode() & 0o007 {
        0 => Ok(()),
        _ => {
            let (path, mode) = (path.display(), found.permissions().mode() & 0o777);
            Err(format!(
                "{path} holds secrets, but everybody may use it (mode {mode:04o}); mend it with: chmod o= {path}"
            ))
        }
    }
}
