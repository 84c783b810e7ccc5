//! Does a DTLS certificate have the fingerprint that the SDP promised (RFC 8122)?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::line::Fingerprint;

/// Whether the PEM certificate `pem` hashes to `expected`. With another hash function than SHA-2 it
/// does not: MD5 and SHA-1 are not taken (RFC 8122 section 5).
pub(crate) fn matches(pem: &str, expected: &Fingerprint) -> bool {
    let Some(der) = der(pem) else {
        return false;
    };
    let digest = match expected.hash.as_str() {
        "sha-256" => Sha256::digest(&der).to_vec(),
        "sha-384" => Sha384::digest(&der).to_vec(),
        "sha-512" => Sha512::digest(&der).to_vec(),
        _ => return false,
    };
    let text: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    text.join(":") == expected.digest
}

/// The DER bytes of a PEM certificate; `None` if there are none.
fn der(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END"))
        .map(str::trim)
        .collect();
    STANDARD.decode(body).ok().filter(|der| !der.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAEC\nAwQF\n-----END CERTIFICATE-----\n";

    fn fingerprint(hash: &str, digest: &str) -> Fingerprint {
        Fingerprint {
            hash: hash.to_owned(),
            digest: digest.to_owned(),
        }
    }

    #[test]
    fn the_digest_of_the_der_bytes_decides() {
        // printf '\x00\x01\x02\x03\x04\x05' | sha256sum
        let right = "17:e8:8d:b1:87:af:d6:2c:16:e5:de:bf:3e:65:27:cd:\
             00:6b:c0:12:bc:90:b5:1a:81:0c:d8:0c:2d:51:1f:43";
        assert!(matches(PEM, &fingerprint("sha-256", right)));
        assert!(!matches(PEM, &fingerprint("sha-384", right)));
        assert!(!matches(PEM, &fingerprint("sha-1", right)));
        let wrong = right.replace("17:", "18:");
        assert!(!matches(PEM, &fingerprint("sha-256", &wrong)));
        assert!(!matches("", &fingerprint("sha-256", right)));
    }
}
