//! Authorities, certificates and a wire for the tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::config::{CertificateFiles, ClientAuth, ClientTls, ServerTls};
use crate::{Acceptor, Connector, Material, Session, SessionError, TicketSecret};

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A clock that stands where it is put.
#[derive(Debug)]
pub(crate) struct Clock(pub(crate) AtomicU64);

impl Clock {
    pub(crate) fn at(seconds: u64) -> Arc<Clock> {
        Arc::new(Clock(AtomicU64::new(seconds)))
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

/// 2026-06-01 00:00:00 UTC, within what all certificates of tests are valid for.
pub(crate) const NOW: u64 = 1_780_272_000;

pub(crate) fn name(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    parts.iter().for_each(|(kind, value)| name.push(kind.clone(), *value));
    name
}

pub(crate) fn authority(common: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(common), KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn authority_params(common: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&[(DnType::CommonName, common)]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// What a client's or a server's certificate says.
pub(crate) fn leaf_params(common: &str, hosts: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = name(&[(DnType::CommonName, common)]);
    params.serial_number = Some(SerialNumber::from(vec![0x10, 0x01]));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// The PEM of a certificate, of those after it, and of its key.
pub(crate) fn signed(params: &CertificateParams, by: &Authority, chain: &[&Authority]) -> String {
    signed_for(params, &KeyPair::generate().unwrap(), by, chain)
}

pub(crate) fn signed_for(params: &CertificateParams, key: &KeyPair, by: &Authority, chain: &[&Authority]) -> String {
    let mut text = params.signed_by(key, by).unwrap().pem();
    chain.iter().for_each(|authority| text.push_str(&authority.pem()));
    text + &key.serialize_pem()
}

pub(crate) fn material(files: &[(&str, &str)]) -> Material {
    files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect()
}

pub(crate) fn server(certificates: &[&str]) -> ServerTls {
    ServerTls::showing(certificates.iter().map(CertificateFiles::together).collect())
}

/// Asks for certificates that `ca.pem` has signed.
pub(crate) fn asking(required: bool) -> ClientAuth {
    ClientAuth {
        required,
        ca: PathBuf::from("ca.pem"),
        crl: None,
        depth: 2,
        minimum_serial: None,
        user: Some(crate::config::UserField::SubjectCn),
        export: false,
    }
}

/// Trusts `ca.pem`.
pub(crate) fn client(certificate: Option<&str>) -> ClientTls {
    let certificate = certificate.map(CertificateFiles::together);
    ClientTls { ca: Some(PathBuf::from("ca.pem")), certificate, ..ClientTls::default() }
}

pub(crate) fn secret() -> TicketSecret {
    TicketSecret::new(&[7; TicketSecret::MIN_LEN]).unwrap()
}

pub(crate) fn acceptor(wanted: &ServerTls, material: &Material) -> Acceptor {
    Acceptor::new(wanted, material, &secret()).unwrap()
}

pub(crate) fn connector(wanted: &ClientTls, material: &Material) -> Connector {
    Connector::new(wanted, material).unwrap()
}

/// Carries bytes between both until neither has more; what came of each side.
pub(crate) fn carry(client: &mut Session, server: &mut Session) -> [Result<(), SessionError>; 2] {
    let mut came = [Ok(()), Ok(())];
    loop {
        let there = pass(client, server, &mut came[1]);
        let back = pass(server, client, &mut came[0]);
        if !there && !back {
            return came;
        }
    }
}

fn pass(from: &mut Session, to: &mut Session, came: &mut Result<(), SessionError>) -> bool {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let is_any = !wire.is_empty();
    let mut rest = wire.as_slice();
    while !rest.is_empty() && came.is_ok() {
        *came = to.read_tls(&mut rest).unwrap().map(drop);
    }
    is_any
}

/// Shakes hands with `host`; both sides, after what they sent one another.
pub(crate) fn shake(
    connector: &Connector,
    acceptor: &Acceptor,
    host: &str,
) -> Result<(Session, Session), [Result<(), SessionError>; 2]> {
    let mut client = connector.begin(host).unwrap();
    let mut server = acceptor.begin().unwrap();
    match carry(&mut client, &mut server) {
        [Ok(()), Ok(())] => Ok((client, server)),
        came => Err(came),
    }
}
