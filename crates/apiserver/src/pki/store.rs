//! The PKI directory of a data dir: what `timonel up` issues once and renews when it grows old.
//!
//! ```text
//!   pki/ca.{crt,key}              clients, kubelets, serving       pki/front-proxy-ca.{crt,key}   aggregated servers
//!   pki/sa.{key,pub}              service account tokens           pki/<name>.{crt,key}           what the CA issued
//! ```

use super::{Authority, Issued, Key, PkiError, Request};
use jiff::Timestamp;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509_cert::Certificate;
use x509_cert::der::DecodePem;

/// Authorities live ten years, as kubeadm's do.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Issued certificates live one year.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// A certificate is renewed at start when less than this is left of it.
const RENEW_BEFORE_S: i64 = 90 * 24 * 3600;

/// The files of one PKI directory.
pub struct Files {
    dir: PathBuf,
}

/// The authorities and keys of a cluster.
pub struct Material {
    pub ca: Authority,
    pub front_proxy_ca: Authority,
    pub service_accounts: Key,
    /// `sa.pub`: the keys that tokens are accepted by; more than our own where one was exchanged.
    pub service_accounts_public: String,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> PkiError + '_ {
    move |source| PkiError::Io { path: path.display().to_string(), source }
}

impl Files {
    /// The directory, created if need be.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, PkiError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(io(&dir))?;
        Ok(Self { dir })
    }

    /// Loads the authorities, making those that are missing.
    ///
    /// # Errors
    /// Files that cannot be read, written or understood.
    pub fn material(&self, now: Timestamp) -> Result<Material, PkiError> {
        let ca = self.authority("ca", "kubernetes", now)?;
        let front_proxy_ca = self.authority("front-proxy-ca", "front-proxy-ca", now)?;
        let service_accounts = match self.read("sa.key")? {
            Some(pem) => Key::from_pem(&pem)?,
            None => {
                let key = Key::generate()?;
                self.write("sa.key", &key.plain_pem())?;
                key
            }
        };
        let service_accounts_public = match self.read("sa.pub")? {
            Some(pem) => pem,
            None => {
                let pem = service_accounts.public().pem();
                self.write("sa.pub", &pem)?;
                pem
            }
        };
        Ok(Material { ca, front_proxy_ca, service_accounts, service_accounts_public })
    }

    fn authority(&self, name: &str, common_name: &str, now: Timestamp) -> Result<Authority, PkiError> {
        let (crt, key) = (format!("{name}.crt"), format!("{name}.key"));
        if let (Some(c), Some(k)) = (self.read(&crt)?, self.read(&key)?) {
            return Authority::load(&c, &k);
        }
        let made = Authority::create(common_name, AUTHORITY_LIFETIME, now)?;
        // The key first: a certificate without its key would be mistaken for a whole authority.
        self.write(&key, &made.key_pem())?;
        self.write(&crt, made.pem())?;
        Ok(made)
    }

    /// A certificate of that name: the stored one while it is fresh and says the same, else a new one.
    ///
    /// # Errors
    /// As [`Files::material`].
    pub fn certificate(
        &self,
        name: &str,
        ca: &Authority,
        request: Request,
        now: Timestamp,
    ) -> Result<Issued, PkiError> {
        let (crt, key, asked) = (format!("{name}.crt"), format!("{name}.key"), format!("{name}.request"));
        let words = format!("{request:?} {}", ca.pem());
        if let (Some(certificate), Some(key), Some(w)) = (self.read(&crt)?, self.read(&key)?, self.read(&asked)?) {
            if w == words && is_fresh(&certificate, now) {
                return Ok(Issued { certificate, key });
            }
        }
        let issued = ca.issue(request, now)?;
        self.write(&key, &issued.key)?;
        self.write(&crt, &issued.certificate)?;
        self.write(&asked, &words)?;
        Ok(issued)
    }

    fn read(&self, name: &str) -> Result<Option<String>, PkiError> {
        let path = self.dir.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io(&path)(e)),
        }
    }

    /// Writes a file that only its owner can read, atomically.
    fn write(&self, name: &str, text: &str) -> Result<(), PkiError> {
        let (path, temp) = (self.dir.join(name), self.dir.join(format!(".{name}.new")));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temp).map_err(io(&temp))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io(&temp))?;
        fs::rename(&temp, &path).map_err(io(&path))
    }
}

fn is_fresh(certificate: &str, now: Timestamp) -> bool {
    let Ok(parsed) = Certificate::from_pem(certificate) else { return false };
    let end = parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
    i64::try_from(end).unwrap_or(i64::MAX) - now.as_second() > RENEW_BEFORE_S
}
