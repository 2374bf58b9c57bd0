//! The skill's own settings.

use alloc_crate::string::String;

use crate::{Call, Error, Status, door};

/// The skill's settings: the defaults of its manifest, under what the integrator set.
pub struct Config;

impl Config {
    /// The JSON text of a setting, or `None` when it has no value.
    ///
    /// # Errors
    ///
    /// When the host fails; a setting that is not there is no error.
    pub fn raw(key: &str) -> Result<Option<String>, Error> {
        let Some(value) = door::config_get(key)? else { return Ok(None) };
        let text = String::from_utf8(value);
        text.map(Some).map_err(|_| Error::Host { call: Call::ConfigGet, code: Status::NotUtf8.code() })
    }

    /// A setting, or `None` when it has no value.
    ///
    /// # Errors
    ///
    /// [`Error::failed`] when its value is not a `T`, and when the host fails.
    #[cfg(feature = "json")]
    pub fn get<T: serde::de::DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
        let Some(value) = door::config_get(key)? else { return Ok(None) };
        crate::json::read(&value, key).map(Some).map_err(Error::failed)
    }
}
