//! What is left where the mail is.

use std::path::Path;

use pillarbox_fs::{Fs, RealFs};

use crate::parts::{BoxFuture, Room};

/// Measures the room on the disk of a folder, or of the nearest folder above it that is there; for
/// [`Reserve`](crate::parts::Reserve). `None` if the system does not say.
pub fn room_on_disk(folder: &Path) -> BoxFuture<'static, Option<Room>> {
    let folder = folder.to_owned();
    Box::pin(async move {
        // A disk that does not answer must not keep other sessions waiting.
        let measured = tokio::task::spawn_blocking(move || {
            folder
                .ancestors()
                .find(|folder| folder.as_os_str().is_empty() || RealFs.metadata(&folder.join(".")).is_ok())
                .and_then(|folder| {
                    let space = RealFs.space(&folder.join(".")).ok()?;
                    Some(Room { octets: space.bytes, files: space.files })
                })
        });
        measured.await.ok().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_is_not_there_yet() {
        let dir = tempfile::tempdir().unwrap();
        let room = room_on_disk(&dir.path().join("not/yet")).await.expect("it stands on a disk");
        assert!(room.octets > 0 && room.files > 0);
    }
}
