//! What a secret allows; pure.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Config;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalling) enum Right {
    /// To join, play, record, and read who is where and what was recorded.
    Enter,
    /// To change rooms and participants from outside, delete, and read addresses.
    Administer,
}

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalling) enum Refusal {
    /// No secret was shown.
    Missing,
    /// The secret is none of the server's.
    Wrong,
    /// The secret is the server's, and allows less than that.
    TooLittle,
}

/// The secrets of a server. Without a token everybody may enter. Without a token of its own,
/// administering needs the one of entering.
#[derive(Debug, Clone, Copy)]
pub(in crate::signalling) struct Secrets<'a> {
    token: Option<&'a str>,
    admin: Option<&'a str>,
}

impl<'a> From<&'a Config> for Secrets<'a> {
    fn from(config: &'a Config) -> Self {
        Self {
            token: config.token.as_deref(),
            admin: config.admin_token.as_deref(),
        }
    }
}

impl Secrets<'_> {
    /// Whether a secret is needed for `right`.
    pub(in crate::signalling) fn guard(self, right: Right) -> bool {
        match right {
            Right::Enter => self.token.is_some(),
            Right::Administer => self.token.or(self.admin).is_some(),
        }
    }

    /// Whether the secret of the administrator was shown, where there is one of its own.
    pub(in crate::signalling) fn is_admin(self, given: Option<&str>) -> bool {
        let both = self.admin.zip(given);
        both.is_some_and(|(admin, given)| is_same(admin, given))
    }

    /// Judges the secret that a client shows.
    ///
    /// # Errors
    /// [`Refusal`] unless it allows `right`.
    pub(in crate::signalling) fn judge(
        self,
        right: Right,
        given: Option<&str>,
    ) -> Result<(), Refusal> {
        if !self.guard(right) {
            return Ok(());
        }
        let given = given.filter(|given| !given.is_empty());
        let given = given.ok_or(Refusal::Missing)?;
        // Both are compared in any case: the time tells nothing of which one it is.
        let is = |secret: Option<&str>| secret.is_some_and(|secret| is_same(secret, given));
        let (is_token, is_admin) = (is(self.token), is(self.admin));
        match right {
            _ if is_admin => Ok(()),
            Right::Enter if is_token => Ok(()),
            Right::Administer if is_token && self.admin.is_none() => Ok(()),
            Right::Administer if is_token => Err(Refusal::TooLittle),
            _ => Err(Refusal::Wrong),
        }
    }
}

/// Compares two secrets in a time that depends on neither, not even on their lengths.
fn is_same(secret: &str, given: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    digest(secret).ct_eq(&digest(given)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Secrets<'static> = Secrets {
        token: None,
        admin: None,
    };
    const TOKEN: Secrets<'static> = Secrets {
        token: Some("in"),
        admin: None,
    };
    const ADMIN: Secrets<'static> = Secrets {
        token: None,
        admin: Some("root"),
    };
    const BOTH: Secrets<'static> = Secrets {
        token: Some("in"),
        admin: Some("root"),
    };

    #[test]
    fn each_secret_allows_what_it_is_for() {
        use Refusal::{Missing, TooLittle, Wrong};
        let shown = [None, Some(""), Some("x"), Some("in"), Some("root")];
        let table = [
            (NONE, Right::Enter, [Ok(()); 5]),
            (NONE, Right::Administer, [Ok(()); 5]),
            (
                TOKEN,
                Right::Enter,
                [Err(Missing), Err(Missing), Err(Wrong), Ok(()), Err(Wrong)],
            ),
            (
                TOKEN,
                Right::Administer,
                [Err(Missing), Err(Missing), Err(Wrong), Ok(()), Err(Wrong)],
            ),
            (ADMIN, Right::Enter, [Ok(()); 5]),
            (
                ADMIN,
                Right::Administer,
                [Err(Missing), Err(Missing), Err(Wrong), Err(Wrong), Ok(())],
            ),
            (
                BOTH,
                Right::Enter,
                [Err(Missing), Err(Missing), Err(Wrong), Ok(()), Ok(())],
            ),
            (
                BOTH,
                Right::Administer,
                [
                    Err(Missing),
                    Err(Missing),
                    Err(Wrong),
                    Err(TooLittle),
                    Ok(()),
                ],
            ),
        ];
        for (secrets, right, expected) in table {
            let got = shown.map(|given| secrets.judge(right, given));
            assert_eq!(got, expected, "{secrets:?} {right:?}");
        }
    }

    #[test]
    fn secrets_are_compared_whole() {
        for given in ["i", "inn", "IN", " in", "in "] {
            assert_eq!(TOKEN.judge(Right::Enter, Some(given)), Err(Refusal::Wrong));
        }
        assert!(BOTH.is_admin(Some("root")));
        assert!(!BOTH.is_admin(Some("in")) && !TOKEN.is_admin(Some("in")));
    }
}
