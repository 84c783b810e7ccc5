//! The one transport that carries all m-lines (RFC 9143): which group bundles them, and what its
//! credentials, certificate and DTLS role are.

use std::collections::BTreeSet;

use crate::media::sdp::error::{OfferError, malformed};
use crate::media::sdp::line::Fingerprint;
use crate::media::sdp::text::{Attributes, Description, Media};

/// Hash functions of a fingerprint that are taken, the strongest first, with the length of their
/// digests in bytes. MD5 and SHA-1 are not among them (RFC 8122 section 5).
const HASHES: [(&str, usize); 3] = [("sha-512", 64), ("sha-384", 48), ("sha-256", 32)];

/// Longest value of an ICE credential (RFC 8839 section 5.4).
const MAX_CREDENTIAL: usize = 256;

/// Candidates that are read of an offer; further ones are left out. Browsers offer a dozen.
const MAX_CANDIDATES: usize = 64;

/// The transport of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IceTransport {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    /// `actpass`, `active` or `passive` (RFC 8842).
    pub(crate) setup: String,
    /// Fingerprint of the certificate that the offerer will use, by the strongest hash it names.
    pub(crate) fingerprint: Fingerprint,
    /// Whether the offerer is an ICE-lite implementation (RFC 8445 section 2.5).
    pub(crate) is_lite: bool,
    /// Values of `a=candidate`, as they were offered.
    pub(crate) candidates: Vec<String>,
}

/// The mids of the group that bundles the m-lines in the places `taken`; `None` if there is only one
/// m-line and no such group, for one has nothing to be bundled with. Mids in a group that are not
/// there, and other groups, mean nothing.
///
/// # Errors
/// There are several m-lines, and no group has all of them.
pub(super) fn bundle<'a>(
    description: &Description<'a>,
    taken: &[usize],
) -> Result<Option<Vec<&'a str>>, OfferError> {
    let mids = taken
        .iter()
        .map(|index| description.media[*index].attributes.value("mid"));
    let mids: Option<Vec<&str>> = mids.collect();
    let groups = description.session.values("group").filter_map(|value| {
        let mut words = value.split_ascii_whitespace();
        let mut once = BTreeSet::new();
        let is_bundle = words.next() == Some("BUNDLE");
        is_bundle.then(|| words.filter(|mid| once.insert(*mid)).collect::<Vec<_>>())
    });
    for group in groups {
        let named: BTreeSet<&str> = group.iter().copied().collect();
        if mids.iter().flatten().all(|mid| named.contains(mid)) && mids.is_some() {
            return Ok(Some(group));
        }
    }
    match (taken, mids) {
        ([_], _) => Ok(None),
        (_, None) => Err(malformed("an m-line of several has no a=mid")),
        _ => Err(malformed(
            "no a=group:BUNDLE names every m-line, and all of them have to share one transport",
        )),
    }
}

/// Reads the transport. It is that of the tagged m-line, the first of the group that is there (RFC
/// 9143 section 7.2), or else of the first m-line; what that does not say is said at session level,
/// or by the next m-line that says it.
///
/// # Errors
/// Something that a connection needs is missing or contradicts itself.
pub(super) fn read(
    description: &Description<'_>,
    taken: &[usize],
    bundle: Option<&[&str]>,
) -> Result<IceTransport, OfferError> {
    let carriers = carriers(description, taken, bundle);
    let levels: Vec<&Attributes<'_>> = carriers
        .first()
        .map(|tagged| &tagged.attributes)
        .into_iter()
        .chain([&description.session])
        .chain(carriers.iter().skip(1).map(|media| &media.attributes))
        .collect();
    let said_on = |attributes: &&&Attributes<'_>, name: &str| {
        let value = attributes.value(name);
        value.is_some_and(|value| !value.is_empty() && value.len() <= MAX_CREDENTIAL)
    };
    let said = |name: &str| {
        let value = levels.iter().find(|level| said_on(level, name));
        let value = value.and_then(|level| level.value(name));
        value.ok_or_else(|| malformed(format!("no m-line has an a={name}")))
    };
    // Both credentials are of one level: each pair is of one transport.
    let ice = |level: &&&Attributes<'_>| said_on(level, "ice-ufrag") && said_on(level, "ice-pwd");
    let ice = levels.iter().find(ice);
    let credential = |name: &str| match ice.and_then(|level| level.value(name)) {
        Some(value) => ice_credential(name, value),
        None => said(name).and_then(|value| ice_credential(name, value)),
    };
    let setup = said("setup")?;
    if !["actpass", "active", "passive"].contains(&setup) {
        return Err(malformed("a=setup is none of actpass, active, passive"));
    }
    if !levels.iter().any(|attributes| attributes.has("rtcp-mux")) {
        return Err(malformed("no m-line has an a=rtcp-mux"));
    }
    let candidates = carriers.iter().find_map(|media| {
        let candidates: Vec<String> = media
            .attributes
            .values("candidate")
            .take(MAX_CANDIDATES)
            .map(str::to_owned)
            .collect();
        (!candidates.is_empty()).then_some(candidates)
    });
    Ok(IceTransport {
        ufrag: credential("ice-ufrag")?,
        pwd: credential("ice-pwd")?,
        setup: setup.to_owned(),
        fingerprint: fingerprint(&carriers, &description.session)?,
        is_lite: description.session.has("ice-lite"),
        candidates: candidates.unwrap_or_default(),
    })
}

/// The m-lines that may describe the transport, the tagged one first. In a group that can be one
/// that is not taken, such as a data channel in the first place.
fn carriers<'a, 'b>(
    description: &'b Description<'a>,
    taken: &[usize],
    bundle: Option<&[&str]>,
) -> Vec<&'b Media<'a>> {
    let of_mid = |mid: &&str| {
        let mut all = description.media.iter();
        all.find(|media| media.attributes.value("mid") == Some(mid))
    };
    let is_used = |media: &&Media<'_>| media.port != 0 || media.attributes.has("bundle-only");
    let group = bundle.unwrap_or_default().iter().filter_map(of_mid);
    let mut all: Vec<&Media<'_>> = group.filter(is_used).collect();
    if all.is_empty() {
        all.extend(taken.iter().map(|index| &description.media[*index]));
    }
    // Only a line of no transport of its own has port 0 and is bundled all the same.
    let (mut own, only_bundled): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|media| media.attributes.has("ice-ufrag") || media.port != 0);
    own.extend(only_bundled);
    own
}

/// Checks that an ICE credential has the characters it may have (RFC 8839 section 5.4).
fn ice_credential(name: &str, value: &str) -> Result<String, OfferError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=#".contains(&byte);
    match value.bytes().all(fits) {
        true => Ok(value.to_owned()),
        false => Err(malformed(format!(
            "a={name} has characters that it cannot have"
        ))),
    }
}

/// The fingerprint by the strongest hash that the m-lines name, or else the session (RFC 8122 section
/// 5). All of that hash must be the same: one certificate serves the whole connection.
fn fingerprint(
    carriers: &[&Media<'_>],
    session: &Attributes<'_>,
) -> Result<Fingerprint, OfferError> {
    let of_lines = carriers.iter().map(|media| &media.attributes);
    let of_tagged = carriers.first().map(|media| &media.attributes);
    let says = |attributes: &Attributes<'_>| attributes.has("fingerprint");
    let of_session = (!of_tagged.is_some_and(says)).then_some(session);
    let values: BTreeSet<(String, String)> = of_lines
        .chain(of_session)
        .flat_map(|attributes| attributes.values("fingerprint"))
        .map(|value| {
            let (hash, digest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
            (
                hash.to_ascii_lowercase(),
                digest.trim().to_ascii_lowercase(),
            )
        })
        .collect();
    if values.is_empty() {
        return Err(malformed("it has no a=fingerprint"));
    }
    for (hash, length) in HASHES {
        let digests: BTreeSet<&str> = values
            .iter()
            .filter(|(known, _)| known == hash)
            .map(|(_, digest)| digest.as_str())
            .collect();
        let mut digests = digests.into_iter();
        match (digests.next(), digests.next()) {
            (None, _) => {}
            (Some(digest), None) if is_digest(digest, length) => {
                return Ok(Fingerprint {
                    hash: hash.to_owned(),
                    digest: digest.to_owned(),
                });
            }
            (Some(_), None) => {
                return Err(malformed(format!(
                    "its a=fingerprint:{hash} is not {length} bytes in hexadecimal"
                )));
            }
            (Some(_), Some(_)) => {
                return Err(malformed(format!(
                    "it names different fingerprints by {hash}"
                )));
            }
        }
    }
    Err(malformed(
        "it has no a=fingerprint by sha-256, sha-384 or sha-512",
    ))
}

/// Whether `text` is so many bytes in hexadecimal, with colons between them.
fn is_digest(text: &str, length: usize) -> bool {
    let is_byte = |byte: &str| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
    text.split(':').count() == length && text.split(':').all(is_byte)
}
