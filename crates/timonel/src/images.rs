//! `timonel image`: the node's image store from the command line.

use crate::args::{ImageCommand, ImageOptions};
use crate::places::Places;
use anyhow::{Context, Result, bail};
use runtime::image::ImageStore;

/// Runs one image command.
pub(crate) fn image(options: &ImageOptions) -> Result<i32> {
    let places = Places::new(&options.place.data_dir);
    let store = ImageStore::open(&places.runtime().join("images"))?;
    match &options.command {
        ImageCommand::Import { files } => {
            for f in files {
                for image in store.import(f).with_context(|| format!("importing {}", f.display()))? {
                    println!("imported {}", image.repo_tags.join(", "));
                }
            }
        }
        ImageCommand::Pull { image } => {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let id = runtime.block_on(store.pull(image, None, None))?;
            println!("pulled {image} ({id:?})");
        }
        ImageCommand::Ls => list(&store)?,
        ImageCommand::Rm { images } => {
            for i in images {
                if store.get(i)?.is_none() {
                    bail!("there is no image {i}: `timonel image ls` shows those there are");
                }
                store.remove(i)?;
                println!("removed {i}");
            }
        }
    }
    Ok(0)
}

fn list(store: &ImageStore) -> Result<()> {
    println!("{:<60} {:<14} SIZE", "IMAGE", "ID");
    for image in store.list() {
        let id: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
        let mib = image.size_bytes / (1 << 20);
        for tag in if image.repo_tags.is_empty() { vec!["<none>".to_owned()] } else { image.repo_tags } {
            println!("{tag:<60} {id:<14} {mib} MiB");
        }
    }
    Ok(())
}
