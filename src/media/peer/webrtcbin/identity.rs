//! The certificate that webrtcbin shows in DTLS.
//!
//! By itself it makes one of RSA. WebRTC asks for ECDSA with P-256 (RFC 8827 section 6.5), and there
//! are clients who have ciphers for nothing else.

use std::sync::OnceLock;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use sha2::{Digest, Sha256};

/// A certificate and what a description says of it.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Certificate and key, in PEM.
    pub(crate) pem: String,
    /// Hash function and digest, as `a=fingerprint` has them (RFC 8122).
    fingerprint: String,
}

/// The identity of this process, made at the first call. `None` if it cannot be made; webrtcbin then
/// makes its own. Who connects trusts it by its fingerprint in the description alone, so it says
/// nothing and lasts as long as the process.
pub(crate) fn own() -> Option<&'static Identity> {
    static OWN: OnceLock<Option<Identity>> = OnceLock::new();
    let made = OWN.get_or_init(|| match Identity::make() {
        Ok(identity) => Some(identity),
        Err(error) => {
            tracing::error!(%error, "no certificate of ECDSA can be made");
            None
        }
    });
    made.as_ref()
}

impl Identity {
    fn make() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters
            .distinguished_name
            .push(DnType::CommonName, "WebRTC");
        let certificate = parameters.self_signed(&key)?;
        let digest = Sha256::digest(certificate.der());
        let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self {
            pem: certificate.pem() + &key.serialize_pem(),
            fingerprint: format!("sha-256 {}", digest.join(":")),
        })
    }

    /// Puts the fingerprint into a description that webrtcbin has made. The one that it puts there
    /// itself is of all that [`Self::pem`] says, the key included.
    pub(crate) fn put_into(&self, sdp: &mut gst_sdp::SDPMessageRef) {
        const FINGERPRINT: &str = "fingerprint";
        for media in sdp.medias_mut() {
            let places = 0..media.attributes_len();
            let is_fingerprint = |place: &u32| {
                let attribute = media.attribute(*place);
                attribute.is_some_and(|attribute| attribute.key() == FINGERPRINT)
            };
            if let Some(place) = places.into_iter().find(is_fingerprint) {
                let own = gst_sdp::SDPAttribute::new(FINGERPRINT, Some(&self.fingerprint));
                // It fails for a place that is not there alone.
                let _ = media.replace_attribute(place, own);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::sdp::certificate;
    use crate::media::sdp::line::Fingerprint;

    #[test]
    fn a_description_names_the_certificate_and_not_the_key() {
        gst::init().expect("GStreamer");
        let identity = own().expect("an identity");
        let text = b"v=0\r\nm=audio 9 x 0\r\na=mid:0\r\na=fingerprint:sha-256 AA\r\n";
        let mut sdp = gst_sdp::SDPMessage::parse_buffer(text).expect("SDP");
        identity.put_into(&mut sdp);
        let media = sdp.media(0).expect("an m-line");
        let said = media.attribute_val("fingerprint").expect("a fingerprint");
        let (hash, digest) = said.split_once(' ').expect("two words");
        let expected = Fingerprint {
            hash: hash.to_owned(),
            digest: digest.to_lowercase(),
        };
        assert!(certificate::matches(&identity.pem, &expected));
    }
}
